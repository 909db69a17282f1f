"""Lines and zones of other tools: damaged and hostile files are one clear error, at once."""

from __future__ import annotations

import bz2
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.formats.sites.test_samples import PIPELINE_SERVER, SAMPLES
from tests.thorough import examples
from tracker.errors import ConfigError
from tracker.formats.sites.known import FORMATS, import_site, recognised
from tracker.formats.sites.plain import LARGEST_FILE, from_yaml, text_of_bytes
from tracker.site import MOST_POINTS

READ = [name for name, known in FORMATS.items() if known.read]
SIZE = (1920, 1080)

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(20)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} {{<<: [*{chr(97 + n)}, *{chr(97 + n)}]}}\n" for n in range(24)
)
HOSTILE = {
    "nothing": "",
    "space": "  \n",
    "words": "lorem ipsum",
    "null": "null",
    "number": "7",
    "list": "[]",
    "deep list": "[" * 100_000,
    "deep mapping": '{"a":' * 50_000,
    "closed deep list": "[" * 20_000 + "]" * 20_000,
    "deep yaml": "- " * 5_000 + "x",
    "huge number": "[[[" + "9" * 10_000 + ", 1], [2, 2], [3, 1]]]",
    "not a number": "[[[NaN, 1], [2, 2], [3, 1]]]",
    "infinity": '{"zones": [{"id": "a", "points": [{"x": Infinity, "y": 1}]}]}',
    "overflow": "[[[1e999, 1], [2, 2], [3, 1]]]",
    "booleans": '{"polygons": [[[true, false], [false, true], [true, true]]]}',
    "texts": '{"polygons": [[["a", "b"], ["c", "d"], ["e", "f"]]]}',
    "three numbers": "[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]",
    "two corners": '{"polygons": [[[1, 2], [3, 4]]]}',
    "many corners": json.dumps([[[n % 100, n % 99] for n in range(MOST_POINTS + 1)]]),
    "many polygons": json.dumps([[[1, 1], [9, 1], [9, 9]]] * 700),
    "aliases": BOMB,
    "merges": MERGES,
    "circle of aliases": "a: &a [*a]\nzones: *a\n",
    "circle of merges": "a: &a {<<: *a}\n",
    "zones of another type": '{"zones": 7, "sections": 8, "cameras": 9, "tripwires": 1, "lines": "x"}',
    "mappings of null": '{"countingAreas": {"a": null}, "cameras": {"a": null}, "zones": [null], "sections": [null]}',
    "tags": "!!python/object/apply:os.system [echo]",
    "surrogates": '{"zones": [{"id": "\\ud800", "points": "\\ud800"}]}',
    "group without end": "[property",
    "key without group": "a=1",
    "large": "#" * (LARGEST_FILE + 1),
}


@pytest.mark.parametrize("format_name", READ)
@pytest.mark.parametrize("name", HOSTILE)
def test_one_clear_error(format_name: str, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        import_site(HOSTILE[name], format_name, size=SIZE)
    assert len(str(caught.value)) < 700
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_hostile_is_recognised_as_something_or_refused(name: str) -> None:
    told = ""
    try:
        assert recognised(HOSTILE[name]) in FORMATS
    except ConfigError as error:
        told = str(error)
    assert len(told) < 700


def test_a_bz2_that_unpacks_to_gigabytes_is_refused_early() -> None:
    with pytest.raises(ConfigError, match="at most 1,000,000 bytes"):
        text_of_bytes(bz2.compress(b" " * 50_000_000))


def test_damaged_bytes() -> None:
    for data in (b"BZh91AY&SYgarbage", b"\xff\xfe"):
        with pytest.raises(ConfigError, match="the file"):
            text_of_bytes(data)
    whole = bz2.compress(SAMPLES["otflow"].encode())
    with pytest.raises(ConfigError):
        import_site(text_of_bytes(whole[:-40]), "otflow", size=SIZE)


def test_merged_and_repeated_values_of_yaml() -> None:
    assert from_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\n") == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
        "c": {"x": 1, "y": 2},
    }
    assert from_yaml("[1, 2.5, .5, yes, off, null, 2026-01-01, '7', 0x10]") == [
        *(1, 2.5, 0.5, True, False, None, "2026-01-01", "7", "0x10")
    ]


@settings(deadline=None, max_examples=examples(200))
@given(data=st.data())
def test_damaged_samples_are_read_or_are_one_error(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([*SAMPLES, "pipeline-server"]))
    text = SAMPLES.get(name, PIPELINE_SERVER)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text) - 1))
        length = data.draw(st.integers(0, 6))
        put = data.draw(st.sampled_from(["", "null", "[]", "{}", "-1", "1e9", '"x"', ":", ",", "\n", "]", "=", ";"]))
        text = text[:place] + put + text[place + length :]
    try:
        imported = import_site(text, name, size=SIZE, stream=data.draw(st.sampled_from(["", "0", "gate"])))
    except ConfigError:
        return
    assert imported.site.lines or imported.site.zones
