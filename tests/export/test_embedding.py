"""Embeddings: pooling, training and export."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="the PyTorch side needs torch: pip install torch")

from export.data.identities import Sightings, join  # noqa: E402
from export.networks.embedding import MAP_CHANNELS, pool  # noqa: E402
from export.networks.weights import load_exported  # noqa: E402
from export.networks.yolact_nano import YolactNano  # noqa: E402
from export.onnx import to_onnx  # noqa: E402 - after the skip
from export.training.embed import embeddings_of, fisher, judge, unit  # noqa: E402

pytestmark = pytest.mark.export


def sightings(rng, *, tracks: int = 24, views: int = 8, noise: float = 0.5) -> Sightings:
    """Objects of fixed appearance in two clips, seen once a second, with noise and a nuisance that is not theirs."""
    looks_like = rng.normal(size=(tracks, 2 * MAP_CHANNELS))
    nuisance = np.outer(rng.normal(size=tracks * views), rng.normal(size=2 * MAP_CHANNELS)) * 3
    rows = np.repeat(np.arange(tracks), views)
    pooled = looks_like[rows] + nuisance + rng.normal(size=(len(rows), 2 * MAP_CHANNELS)) * noise
    return Sightings(
        pooled.astype(np.float32),
        clips=rows % 2,
        tracks=rows,
        times_s=np.tile(np.arange(views, dtype=float), tracks),
        class_ids=np.zeros(len(rows), np.int64),
    )


def test_halves_are_averaged_apart():
    c2, p3 = torch.zeros(1, 2, 16, 16), torch.zeros(1, 1, 8, 8)
    c2[0, 0, :8] = 1.0  # the upper half of the picture
    c2[0, 1] = torch.arange(16.0)  # grows to the right
    p3[0, 0, 4:] = 2.0
    masks = torch.zeros(1, 2, 16, 16)
    masks[0, 0, :, :8] = 1.0  # left half, whole height; the second mask is empty
    cells = torch.tensor([[[0.0, 0.0, 16.0, 16.0], [0.0, 0.0, 16.0, 16.0]]])
    pooled = pool(c2, p3, masks, cells)[0].T
    torch.testing.assert_close(pooled[0], torch.tensor([1.0, 4.0, 0.0, 0.0, 4.0, 2.0]))
    assert not pooled[1].any()


def test_boxes_beyond_the_grid_are_sampled_inside():
    c2, p3 = torch.ones(1, 32, 8, 8), torch.ones(1, 64, 4, 4)
    cells = torch.tensor([[[-5.0, -9.0, 3.0, 30.0]]])
    assert torch.isfinite(pool(c2, p3, torch.ones(1, 1, 8, 8), cells)).all()


def test_joined_sightings_keep_their_objects_apart():
    rng = np.random.default_rng(6)
    first, second = sightings(rng, tracks=4, views=3), sightings(rng, tracks=5, views=3)
    both = join([first, second])
    assert len(both.tracks) == 27
    assert len(np.unique(both.tracks)) == 9
    assert not set(both.clips[:12]) & set(both.clips[12:])
    assert (both.times_s[12:] == second.times_s).all()


def test_the_head_learns_what_belongs_to_the_object():
    rng = np.random.default_rng(3)
    seen = sightings(rng, tracks=200)
    known = seen.tracks < 160
    train, unseen = (Sightings(*(values[rows] for values in seen)) for rows in (known, ~known))
    learned, raw = judge(embeddings_of(fisher(train), unseen), unseen), judge(unit(unseen.pooled), unseen)
    assert learned["rank1"] > 0.9 > raw["rank1"]
    assert learned["auc"] > raw["auc"]


def test_the_head_gives_unit_vectors_of_the_asked_length():
    rng = np.random.default_rng(4)
    seen = sightings(rng, tracks=40)
    embeddings = embeddings_of(fisher(seen, size=12), seen)
    assert embeddings.shape == (len(seen.tracks), 12)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, rtol=1e-5)


def test_exported_embeddings_equal_those_of_torch(tmp_path):
    torch.manual_seed(4)
    network = YolactNano(embedding=16)
    for level in network.heads:
        torch.nn.init.normal_(level.class_out.weight, std=2.0)
        torch.nn.init.normal_(level.objectness_out.weight, std=2.0)
    module = to_onnx.EndToEnd(network, height=64, width=96, candidates=50, instances=20)
    to_onnx.export_onnx(module, tmp_path / "small.onnx", name="small", version="1")
    session = onnxruntime.InferenceSession(str(tmp_path / "small.onnx"), providers=["CPUExecutionProvider"])
    loaded = load_exported(tmp_path / "small.onnx")
    torch.testing.assert_close(loaded.embedding_head.state_dict(), network.embedding_head.state_dict())
    frames = np.random.default_rng(5).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    found = dict(zip([item.name for item in session.get_outputs()], session.run(None, {"frames": frames}), strict=True))
    with torch.no_grad():
        expected = dict(zip(module.output_names, module(torch.from_numpy(frames)), strict=True))
    assert found["embeddings"].shape == (2, 20, 16)
    for row in range(2):
        mine, theirs = np.argsort(found["scores"][row]), np.argsort(expected["scores"][row].numpy())
        likeness = (found["embeddings"][row][mine] * expected["embeddings"][row].numpy()[theirs]).sum(axis=1)
        # A box edge that differs in its last digit may fall into the next cell: one point of 32 is taken elsewhere.
        assert likeness.min() > 0.99
        assert np.median(likeness) > 1 - 1e-5


def test_a_constant_that_two_nodes_read_is_opened_for_each():
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Reshape", ["x", "shape"], ["flat"]),
            onnx.helper.make_node("Tile", ["flat", "shape"], ["y"]),
        ],
        "shared",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 2, 3])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 36])],
        [
            onnx.numpy_helper.from_array(np.array([1, 6], np.int64), "shape"),
            onnx.numpy_helper.from_array(np.zeros(3), "unread"),
        ],
    )
    to_onnx.open_batch(graph)
    to_onnx.drop_unused(graph)
    tensors = {item.name: onnx.numpy_helper.to_array(item).tolist() for item in graph.initializer}
    assert tensors[graph.node[0].input[1]] == [0, 6]
    assert tensors[graph.node[1].input[1]] == [1, 6]
    assert "unread" not in tensors
