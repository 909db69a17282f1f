"""Preprocessing: pixels lie where the letterbox says, and boxes map back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.segment.contracts.decoder import Decoded
from tracker.segment.manifest import InputSpec
from tracker.segment.placing import place
from tracker.segment.preprocess import Preprocessor
from tracker.types import Frame, Letterbox

PLAIN = InputSpec(
    layout="NHWC",
    dtype="uint8",
    channels="BGR",
    resize="letterbox-top-left",
    pad_value=114,
    mean=(0.0,) * 3,
    std=(1.0,) * 3,
)
sizes = st.tuples(st.integers(8, 2000), st.integers(8, 2000))


def frame(image: np.ndarray | None, *, network: np.ndarray | None = None, box: Letterbox | None = None) -> Frame:
    size = (image.shape[1], image.shape[0]) if image is not None else (box or Letterbox.fit((1, 1), (1, 1))).image_size
    return Frame(
        index=0, time_s=0.0, arrived_s=0.0, source="t", size=size, image=image, network_image=network, letterbox=box
    )


@settings(deadline=None)
@given(sizes, st.sampled_from([(640, 384), (416, 416), (550, 550)]), st.booleans(), st.data())
def test_a_box_comes_back_from_the_network_to_the_image(
    size: tuple[int, int], network: tuple[int, int], keep_aspect: bool, data: st.DataObject
) -> None:
    letterbox = Letterbox.fit(size, network, keep_aspect=keep_aspect)
    x = sorted(data.draw(st.lists(st.floats(0, size[0]), min_size=2, max_size=2)))
    y = sorted(data.draw(st.lists(st.floats(0, size[1]), min_size=2, max_size=2)))
    box = np.array([[x[0], y[0], x[1], y[1]]], np.float32)
    scale = np.array(letterbox.scale * 2, np.float32)
    decoded = Decoded(
        boxes=box * scale,
        scores=np.ones(1, np.float32),
        class_ids=np.zeros(1, np.int64),
        masks=np.zeros((1, network[1] // 4, network[0] // 4), np.uint8),
    )
    placed = place(decoded, letterbox)
    if (x[1] - x[0]) < 0.01 or (y[1] - y[0]) < 0.01:
        return
    np.testing.assert_allclose(placed.boxes, box, atol=1e-3)
    masks = placed.masks
    assert masks is not None
    # The grid covers the image: its last cell reaches the edge, the one after would lie wholly outside.
    for cells, step, length in zip(masks.probabilities.shape[:0:-1], masks.step_px, size, strict=True):
        assert cells * step >= length * (1 - 1 / min(network)) - 1e-3
        assert (cells - 1) * step < length + 1e-3


def test_padding_and_content_lie_where_the_letterbox_says() -> None:
    image = np.full((50, 200, 3), 7, np.uint8)
    batch, (letterbox,) = Preprocessor(spec=PLAIN, network_size=(100, 60), batch=1).pack([frame(image)])
    assert letterbox.content_size == (100, 25)
    assert batch.shape == (1, 60, 100, 3)
    assert (batch[0, :25] == 7).all()
    assert (batch[0, 25:] == 114).all()


def test_a_ramp_keeps_its_place() -> None:
    """A horizontal ramp halves its width: network pixel x shows image pixels 2 x and 2 x + 1."""
    image = np.repeat(np.arange(200, dtype=np.uint8)[None, :, None], 100, axis=0).repeat(3, axis=2)
    batch, _ = Preprocessor(spec=PLAIN, network_size=(100, 60), batch=1).pack([frame(image)])
    np.testing.assert_allclose(batch[0, 10, :, 0], np.arange(100) * 2 + 0.5, atol=0.5)


def test_a_fitting_network_image_is_handed_on_without_a_copy() -> None:
    box = Letterbox.fit((200, 100), (100, 60))
    network = np.full((60, 100, 3), 9, np.uint8)
    batch, _ = Preprocessor(spec=PLAIN, network_size=(100, 60), batch=1).pack([frame(None, network=network, box=box)])
    assert np.shares_memory(batch, network)


def test_a_network_image_of_another_size_gives_way_to_the_image() -> None:
    box = Letterbox.fit((200, 100), (32, 32))
    picture = frame(np.full((100, 200, 3), 5, np.uint8), network=np.full((32, 32, 3), 9, np.uint8), box=box)
    batch, (letterbox,) = Preprocessor(spec=PLAIN, network_size=(100, 60), batch=1).pack([picture])
    assert letterbox.network_size == (100, 60)
    assert (batch[0, :50] == 5).all()


def test_another_padding_overwrites_the_sources() -> None:
    box = Letterbox.fit((200, 100), (100, 60))
    network = np.full((60, 100, 3), 114, np.uint8)
    spec = InputSpec(pad_value=0).over(PLAIN)
    batch, _ = Preprocessor(spec=spec, network_size=(100, 60), batch=1).pack([frame(None, network=network, box=box)])
    assert (batch[0, :50] == 114).all()
    assert (batch[0, 50:] == 0).all()
    assert (network == 114).all()


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("channels", ["RGB", "BGR"])
def test_normalisation_follows_the_networks_channel_order(layout: str, channels: str) -> None:
    spec = InputSpec(layout=layout, dtype="float32", channels=channels, mean=(1.0, 2.0, 3.0), std=(2.0, 4.0, 8.0)).over(
        PLAIN
    )  # type: ignore[arg-type]
    image = np.empty((60, 100, 3), np.uint8)
    image[:] = (10, 20, 30)
    batch, _ = Preprocessor(spec=spec, network_size=(100, 60), batch=2).pack([frame(image), frame(image)])
    assert batch.dtype == np.float32
    pixel = batch[1, :, 7, 7] if layout == "NCHW" else batch[1, 7, 7]
    order = (30, 20, 10) if channels == "RGB" else (10, 20, 30)
    expected = [(order[0] - 1) / 2, (order[1] - 2) / 4, (order[2] - 3) / 8]
    np.testing.assert_allclose(pixel, expected, rtol=1e-6)
