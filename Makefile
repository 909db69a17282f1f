# Two commands set everything up on a machine with Python 3.11+, make and git:
#   make demo    tracks two real clips (or VIDEO=your.mp4) and shows where to look
#   make test    runs the test suite
# and for those who work on it: lint, bench, wheel, test-slow, test-export (needs torch), test-wheel, test-browser, test-openvino, test-ray.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(shell command -v uv 2>/dev/null)
OUT    ?= demo-output

.PHONY: demo test test-slow torch lock sbom test-browser screenshots test-export test-wheel test-openvino test-ray lint format bench wheel wheel-cpu clean
.DEFAULT_GOAL := demo

# ---- environments: uv where present, else venv and pip ------------------------------------------------------------
$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "masktrail needs Python 3.11 or newer, found $$($(PYTHON) --version). Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
ifdef UV
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
else
	@echo "Creating $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing: apt install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --upgrade 'pip>=25.1'
endif

ifdef UV
INSTALL := $(UV) pip install --quiet --python $(BIN)/python
else
# -qq: pip's errors alone; its warnings (an index that is unreachable, once per package) are no business of `make demo`.
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check
endif

$(VENV)/.runtime: pyproject.toml | $(VENV)/pyvenv.cfg
	@echo "Installing masktrail and what it runs on (the ONNX Runtime wheel is about 250 MB) ..."
	@$(INSTALL) -e .
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.runtime
	@echo "Installing what the tests need ..."
	@$(INSTALL) --group dev
	@touch $@

# ---- what people run -----------------------------------------------------------------------------------------------
demo: $(VENV)/.runtime
	@$(BIN)/masktrail demo --out $(OUT) $(if $(VIDEO),"$(VIDEO)",)

test: $(VENV)/.dev
	@$(BIN)/python -m pytest -m "not export and not wheel and not browser and not ray and not slow" --ignore tests/export -n auto \
	  --dist loadfile $(ARGS)

# What takes long: worlds of several minutes, rendered in full and once per file; properties with all their examples, the same
# each time. MASKTRAIL_EXAMPLES=random looks for new ones.
test-slow: $(VENV)/.dev
	@MASKTRAIL_EXAMPLES=$${MASKTRAIL_EXAMPLES:-full} $(BIN)/python -m pytest -m "slow or examples" tests \
	  --ignore tests/export -n auto --dist loadfile $(ARGS)

# The PyTorch side, for `python -m export` and its tests: `make torch`. On Linux PyPI's torch brings CUDA along; for the small build:
#   make torch TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH ?= torch==2.13.0
$(VENV)/.export: $(VENV)/.dev
	@$(INSTALL) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX),) "$(TORCH)"
	@touch $@

torch: $(VENV)/.export

test-export: $(VENV)/.export
	@$(BIN)/python -m pytest -m export tests/export $(ARGS)

test-wheel: $(VENV)/.dev
	@$(BIN)/python -m pytest -m wheel tests/test_wheel.py $(ARGS)

# The dashboard's pages and reports in a real browser; skipped with the reason where Chromium is missing (apt-get install chromium).
test-browser: $(VENV)/.dev
	@$(BIN)/python -m pytest -m browser tests/dashboard tests/report $(ARGS)

# Every page in both themes and three widths, to be looked at.
SHOTS ?= runs/screenshots
screenshots: $(VENV)/.dev
	@$(BIN)/python -m tests.dashboard.screenshots --out $(SHOTS) $(ARGS)

# Two Ray nodes in two network namespaces: needs Linux and root, and skips with a reason elsewhere.
RAY ?= ray==2.60.0
$(VENV)/.ray: $(VENV)/.dev
	@$(INSTALL) "$(RAY)"
	@touch $@

test-ray: $(VENV)/.ray
	@$(BIN)/python -m pytest -m ray tests/batch $(ARGS)

# OpenVINO lies in a folder of its own: in the environment --device auto would take it, and other tests would segment in bf16. Its
# telemetry package is left out.
OPENVINO ?= openvino==2026.4.1
$(VENV)/openvino: $(VENV)/.dev
	@$(INSTALL) --no-deps --upgrade --target $@ "$(OPENVINO)"
	@touch $@

test-openvino: $(VENV)/openvino
	@PYTHONPATH=$(CURDIR)/$(VENV)/openvino $(BIN)/python -m pytest tests/inference/test_openvino.py $(ARGS)

lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(VENV)/.dev
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

bench: $(VENV)/.dev
	@$(BIN)/masktrail bench all $(if $(VIDEO),"$(VIDEO)",) --json runs/bench.json

wheel: $(VENV)/.dev
	@$(INSTALL) build
	@$(BIN)/python -m build --wheel --outdir dist .

# The same tree as masktrail-cpu, for servers: ONNX Runtime for the CPU in the place of the GPU wheel, OpenCV without windows (no libGL).
DIST ?= dist
CPU_TREE = $(DIST)/cpu-tree
wheel-cpu: $(VENV)/.dev
	@$(INSTALL) build
	@rm -rf $(CPU_TREE) && mkdir -p $(CPU_TREE)/demos
	@cp -R tracker models masktrail.py pyproject.toml README.md LICENSE NOTICE $(CPU_TREE)/ && cp -R demos/clips $(CPU_TREE)/demos/
	@sed -i.before -E -e 's/^name = "masktrail"/name = "masktrail-cpu"/' -e '/^cuda = \[/d' \
	  -e 's/"opencv-python>/"opencv-python-headless>/' -e '/"onnxruntime>=[^"]*darwin/d' -e "s/\"onnxruntime-gpu(>=[^;]*); sys_platform != 'darwin'\"/\"onnxruntime\1\"/" \
	  $(CPU_TREE)/pyproject.toml
	@$(BIN)/python -m build --wheel --outdir $(DIST) $(CPU_TREE)
	@rm -rf $(CPU_TREE)

# What images install, every package with its version and hashes, for Python 3.11 on Linux; no index is written into the file.
LOCK := examples/requirements.lock
EXTRAS ?= live dashboard mqtt
lock:
	@command -v uv >/dev/null || { echo "make lock needs uv: pip install uv"; exit 1; }
	@uv pip compile --quiet --universal --python-version 3.11 $(addprefix --extra ,$(EXTRAS)) --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-header --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade,) --output-file $(LOCK) pyproject.toml
	@echo "$(LOCK): $$(grep -cE '^[a-z0-9].*==' $(LOCK)) packages"

# Bill of materials of the runtime, CycloneDX JSON; the tool lives in an environment of its own, so that it is not in the list.
SBOM ?= dist/sbom.cdx.json
sbom: $(VENV)/.runtime
	@mkdir -p $(dir $(SBOM))
	@$(PYTHON) -m venv $(VENV)-sbom && $(VENV)-sbom/bin/python -m pip install --quiet --disable-pip-version-check 'cyclonedx-bom>=5,<8'
	@$(VENV)-sbom/bin/cyclonedx-py environment --pyproject pyproject.toml --of JSON --output-reproducible -o $(SBOM) $(BIN)/python
	@rm -rf $(VENV)-sbom
	@echo "$(SBOM): $$($(BIN)/python -c 'import json, sys; print(len(json.load(open(sys.argv[1]))["components"]))' $(SBOM)) components"

clean:
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
