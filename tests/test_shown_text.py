"""Values of the environment, wherever they appear; and what an unprintable text looks like."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import pickle

import pytest

from tracker import errors
from tracker.errors import SourceError
from tracker.service.logs import formatter
from tracker.service.metrics import CameraMetrics, _families
from tracker.settings.environment import fill_in
from tracker.settings.yaml_file import parse_service_settings
from tracker.sources.address import expand_sources, redact


def test_a_value_is_masked_from_the_moment_it_is_filled_in() -> None:
    assert errors.mask("rtsp://h/t0ken/x") == "rtsp://h/t0ken/x"
    address = fill_in("rtsp://10.0.0.7/${TOKEN}/x", {"TOKEN": "t0ken"})
    assert address == "rtsp://10.0.0.7/t0ken/x"
    assert redact(address) == "rtsp://10.0.0.7/***/x"
    assert expand_sources(address)[0].name == "rtsp://10.0.0.7/***/x"
    assert expand_sources(address)[0].target == address
    error = SourceError(address, "no t0ken there", "try t0ken")
    assert str(error) == "rtsp://10.0.0.7/***/x: no *** there\n  remedy: try ***"
    assert "t0ken" not in str(pickle.loads(pickle.dumps(error)))
    assert b"t0ken" not in pickle.dumps(error)


def test_encoded_forms_are_masked() -> None:
    fill_in("${A} ${C}", {"A": "p@ss/word", "C": ""})
    assert errors.mask("x p%40ss%2Fword p%40ss/word p@ss/word xp@ss/wordx") == "x *** *** *** x***x"


def test_short_values_take_no_words_apart() -> None:
    fill_in("rtsp://u:${A}@h/cam${B}/${C}", {"A": "x", "B": "12", "C": "other"})
    assert errors.mask("another 640 x 360 of 12 other files") == "another 640 x 360 of 12 *** files"
    assert errors.mask("rtsp://u:x@h/cam12/other") == "rtsp://u:***@h/***/***"


@pytest.mark.parametrize("style", ["text", "json"])
def test_logs_mask_everything_and_forge_no_line(style: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_in("${TOKEN}", {"TOKEN": "t0ken"})
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter(style))
    logger = logging.getLogger("tests.foreign")
    monkeypatch.setattr(logger, "handlers", [handler])
    monkeypatch.setattr(logger, "propagate", False)
    extra = {"camera": "gate\n12:00:00 error forged", "problem": "at t0ken\x1b[2J", "paths": ["/t0ken/a"]}
    try:
        int("t0ken")
    except ValueError:
        logger.exception("lost t0ken", extra=extra)
    text = stream.getvalue()
    assert "t0ken" not in text
    assert "\x1b" not in text
    first = text.splitlines()[0]
    if style == "json":
        line = json.loads(first)
        assert (line["event"], line["problem"], line["paths"]) == ("lost ***", "at ***\x1b[2J", ["/***/a"])
    else:
        assert first.endswith(
            "error    gate\\n12:00:00 error forged: lost *** (problem=at ***\\x1b[2J, paths=['/***/a'])"
        )


def test_labels_of_metrics_are_masked() -> None:
    pytest.importorskip("prometheus_client")
    fill_in("${TOKEN}", {"TOKEN": "t0ken"})
    labelled = {one.name for one in dataclasses.fields(CameraMetrics) if one.metadata["metric"].labels}
    metrics = CameraMetrics(**{name: {} if name in labelled else 0.0 for name in CameraMetrics.__slots__})
    labels = {
        sample.labels["camera"]
        for family in _families(CameraMetrics, "camera", {"cam-t0ken": metrics})
        for sample in family.samples
    }
    assert labels == {"cam-***"}


def test_health_masks_values_and_keys() -> None:
    fill_in("${TOKEN}", {"TOKEN": "t0ken"})
    state = {"cameras": {"t0ken": {"problem": "t0ken is gone", "frames": 3, "size": (1, 2), "age": None}}}
    masked = {"cameras": {"***": {"problem": "*** is gone", "frames": 3, "size": [1, 2], "age": None}}}
    assert errors.mask_values(state) == masked


def test_a_file_of_cameras_gives_no_value_away() -> None:
    pytest.importorskip("yaml")
    camera = "{name: gate, url: 'rtsp://h/${TOKEN}', records: '${TOKEN}/{name}-{time}.jsonl', stride: '${TOKEN}'}"
    text = f"cameras:\n  - {camera}\n"
    with pytest.raises(Exception, match=r"cameras\.yaml:2: stride: expected a whole number") as failure:
        parse_service_settings(text, environment={"TOKEN": "t0ken"})
    assert "t0ken" not in str(failure.value)
