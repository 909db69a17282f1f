"""Embeddings: pooling, training and export."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from export import to_onnx
from export.embed import contrastive_loss, judge, strangers, train_head, unit
from export.embedding import MAP_CHANNELS, EmbeddingHead
from export.identities import Sightings, join
from export.weights import load_exported
from export.yolact_nano import YolactNano

pytestmark = pytest.mark.export


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def sightings(rng, *, tracks: int = 24, looks: int = 8, noise: float = 0.5) -> Sightings:
    """Objects of fixed appearance in two clips, seen once a second, with noise and a nuisance that is not theirs."""
    looks_like = rng.normal(size=(tracks, 2 * MAP_CHANNELS))
    nuisance = np.outer(rng.normal(size=tracks * looks), rng.normal(size=2 * MAP_CHANNELS)) * 3
    rows = np.repeat(np.arange(tracks), looks)
    pooled = looks_like[rows] + nuisance + rng.normal(size=(len(rows), 2 * MAP_CHANNELS)) * noise
    return Sightings(
        pooled.astype(np.float32),
        clips=rows % 2,
        tracks=rows,
        times_s=np.tile(np.arange(looks, dtype=float), tracks),
        class_ids=np.zeros(len(rows), np.int64),
    )


def test_halves_are_averaged_apart():
    maps = torch.zeros(1, 3, 4, 4)
    maps[0, 0, :2] = 1.0  # the upper half of the picture
    maps[0, 1] = torch.arange(4.0)  # grows to the right
    masks = torch.zeros(1, 2, 8, 8)
    masks[0, 0, :, :4] = 1.0  # left half, whole height; the second mask is empty
    cells = torch.tensor([[[0.0, 0.0, 4.0, 8.0], [0.0, 0.0, 8.0, 8.0]]])
    pooled = EmbeddingHead.pool(maps, masks, cells)[0].T
    torch.testing.assert_close(pooled[0], torch.tensor([1.0, 0.5, 0.0, 0.0, 0.5, 0.0]))
    assert not pooled[1].any()


def test_projecting_before_pooling_equals_projecting_after():
    torch.manual_seed(1)
    head = EmbeddingHead().eval()
    c2, p3, masks = torch.randn(2, 32, 16, 24), torch.randn(2, 64, 8, 12), torch.rand(2, 5, 16, 24)
    cells = torch.tensor([2.0, 1.0, 20.0, 15.0]).expand(2, 5, 4)
    with torch.no_grad():
        directly = head(c2, p3, masks, cells)
        pooled = head.pool(head.maps(c2, p3), masks, cells)
        later = head.embed_unprojected(pooled.transpose(1, 2).reshape(10, -1)).view(2, 5, -1)
    torch.testing.assert_close(directly, later, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(directly.norm(dim=2), torch.ones(2, 5))


def test_only_those_in_view_together_or_in_other_clips_are_strangers():
    looks = Sightings(
        np.zeros((5, 2 * MAP_CHANNELS), np.float32),
        clips=np.array([0, 0, 0, 0, 1]),
        tracks=np.array([1, 1, 2, 3, 4]),
        times_s=np.array([0.0, 2.0, 1.0, 5.0, 0.0]),
        class_ids=np.zeros(5, np.int64),
    )
    expected = np.zeros((5, 5), bool)
    expected[[0, 0, 1, 1, 2, 3], [2, 4, 2, 4, 4, 4]] = True  # track 3 came after 1 and 2 had left
    assert (strangers(looks)(np.arange(5)) == (expected | expected.T)).all()


def test_pairs_that_nobody_knows_do_not_count():
    torch.manual_seed(2)
    embeddings = torch.nn.functional.normalize(torch.randn(4, 8), dim=1)
    same = torch.zeros(4, 4, dtype=torch.bool)
    same[0, 1] = same[1, 0] = True
    strange = torch.zeros(4, 4, dtype=torch.bool)
    strange[0, 2] = strange[2, 0] = True
    before = contrastive_loss(embeddings, same, strange)
    embeddings[3] = -embeddings[3]  # unknown to all
    torch.testing.assert_close(before, contrastive_loss(embeddings, same, strange))
    assert torch.isfinite(before)


def test_joined_sightings_keep_their_objects_apart():
    rng = np.random.default_rng(6)
    first, second = sightings(rng, tracks=4, looks=3), sightings(rng, tracks=5, looks=3)
    both = join([first, second])
    assert len(both.tracks) == 27
    assert len(np.unique(both.tracks)) == 9
    assert not set(both.clips[:12]) & set(both.clips[12:])
    assert (both.times_s[12:] == second.times_s).all()


def test_training_learns_what_belongs_to_the_object():
    rng = np.random.default_rng(3)
    seen = sightings(rng)
    head = train_head(seen, steps=60)
    with torch.no_grad():
        learned = judge(head.embed_unprojected(torch.from_numpy(seen.pooled)).numpy(), seen)
    raw = judge(unit(seen.pooled), seen)
    assert learned["rank1"] > 0.95 > raw["rank1"]
    assert learned["auc"] > raw["auc"]


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
