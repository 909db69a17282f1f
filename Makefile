# Two commands set everything up on a machine with Python 3.11+, make and git:
#   make demo    tracks two real clips (or VIDEO=your.mp4) and shows where to look
#   make test    runs the test suite
# and for those who work on it: lint, bench, wheel, test-export (needs torch), test-wheel.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(shell command -v uv 2>/dev/null)
OUT    ?= demo-output

.PHONY: demo test test-export test-wheel lint format bench wheel wheel-cpu clean
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
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
endif

ifdef UV
INSTALL := $(UV) pip install --python $(BIN)/python
else
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check
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
	@$(BIN)/python -m pytest -m "not export and not wheel" $(ARGS)

# The PyTorch side. On Linux PyPI's torch brings CUDA along; for the small build:
#   make test-export TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH ?= torch==2.13.0
$(VENV)/.export: $(VENV)/.dev
	@$(INSTALL) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX),) "$(TORCH)"
	@touch $@

test-export: $(VENV)/.export
	@$(BIN)/python -m pytest -m export tests/export $(ARGS)

test-wheel: $(VENV)/.dev
	@$(INSTALL) --quiet build
	@$(BIN)/python -m build --wheel --outdir dist .

# The same tree as masktrail-cpu, for servers: ONNX Runtime for the CPU in the place of the GPU wheel, OpenCV without windows (no libGL).
DIST ?= dist
CPU_TREE = $(DIST)/cpu-tree
wheel-cpu: $(VENV)/.dev
	@$(INSTALL) --quiet build
	@rm -rf $(CPU_TREE) && mkdir -p $(CPU_TREE)/demos
	@cp -R tracker models masktrail.py pyproject.toml README.md LICENSE NOTICE $(CPU_TREE)/ && cp -R demos/clips $(CPU_TREE)/demos/
	@sed -i.before -E -e 's/^name = "masktrail"/name = "masktrail-cpu"/' -e '/^cuda = \[/d' \
	  -e 's/"opencv-python>/"opencv-python-headless>/' -e '/"onnxruntime>=[^"]*darwin/d' -e "s/\"onnxruntime-gpu(>=[^;]*); sys_platform != 'darwin'\"/\"onnxruntime\1\"/" \
	  $(CPU_TREE)/pyproject.toml
	@$(BIN)/python -m build --wheel --outdir $(DIST) $(CPU_TREE)
	@rm -rf $(CPU_TREE)

clean:
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
