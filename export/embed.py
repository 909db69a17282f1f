"""Sightings of objects come in (`export.identities`); an `EmbeddingHead` that tells them apart leaves, and how well.

Supervised contrastive loss (Khosla et al. 2020, eq. 2) on tracks. Two tracks of one clip count as different people only
where both were in view at one time, or in different clips; whoever left and came back may be the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from export.embedding import FINE, MAP_CHANNELS, EmbeddingHead

if TYPE_CHECKING:
    from torch import Tensor

    from export.identities import Sightings

TEMPERATURE = 0.1
TRACKS, LOOKS = 32, 4  # a batch
LEAST_LOOKS = 3


def train_head(sightings: Sightings, *, steps: int = 3000, rate: float = 2e-3, seed: int = 1) -> EmbeddingHead:
    """Train a new head.

    Args:
        sightings: of many objects.
        steps: optimiser steps of TRACKS x LOOKS sightings.
        rate: the highest learning rate; half a cosine down to zero.
        seed: of batches and initial values.
    """
    generator = torch.Generator().manual_seed(seed)
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    head = EmbeddingHead()
    standardise(head, sightings)
    optimiser = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    pooled = torch.from_numpy(sightings.pooled)
    spread = pooled.std(dim=0)
    rows_of = {track: np.flatnonzero(sightings.tracks == track) for track in np.unique(sightings.tracks)}
    usable = np.array([track for track, rows in rows_of.items() if len(rows) >= LEAST_LOOKS])
    strange = strangers(sightings)
    clips = np.array([sightings.clips[rows_of[track][0]] for track in usable])
    share = 1.0 / np.sqrt(np.bincount(clips)[clips])  # one long clip is not everything
    for _ in range(steps):
        chosen = rng.choice(len(usable), min(TRACKS, len(usable)), replace=False, p=share / share.sum())
        rows = np.concatenate([rng.choice(rows_of[track], LOOKS) for track in usable[chosen]])
        noise = torch.randn(len(rows), pooled.shape[1], generator=generator) * spread * 0.1
        embeddings = head.embed_unprojected(pooled[rows] + noise)
        tracks = sightings.tracks[rows]
        loss = contrastive_loss(
            embeddings,
            torch.from_numpy(tracks[:, None] == tracks[None]),
            torch.from_numpy(strange(rows)),
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
    return head.eval()


def standardise(head: EmbeddingHead, sightings: Sightings) -> None:
    """Start with projections of even size: the maps' channels differ a hundredfold, and their means are not zero."""
    spread = sightings.pooled.reshape(-1, MAP_CHANNELS).std(axis=0).clip(1e-3)
    sizes = torch.from_numpy(spread).float()[None, :, None, None]
    with torch.no_grad():
        head.fine.weight /= sizes[:, :FINE]
        head.coarse.weight /= sizes[:, FINE:]
        head.hidden.bias -= head.hidden.weight[:, :, 0] @ head.project(torch.from_numpy(sightings.pooled)).mean(dim=0)


def strangers(sightings: Sightings) -> object:
    """A function from rows (M,) to which pairs of them are surely different objects, (M, M) bool."""
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    for track, time_s in zip(sightings.tracks.tolist(), sightings.times_s.tolist(), strict=True):
        first[track] = min(first.get(track, time_s), time_s)
        last[track] = max(last.get(track, time_s), time_s)

    def among(rows: np.ndarray) -> np.ndarray:
        tracks, clips = sightings.tracks[rows], sightings.clips[rows]
        begins = np.array([first[track] for track in tracks.tolist()])
        ends = np.array([last[track] for track in tracks.tolist()])
        together = (begins[:, None] <= ends[None]) & (begins[None] <= ends[:, None])
        return np.asarray((clips[:, None] != clips[None]) | ((tracks[:, None] != tracks[None]) & together))

    return among


def contrastive_loss(embeddings: Tensor, same: Tensor, strange: Tensor) -> Tensor:
    """Khosla et al. 2020, eq. 2, over pairs known to be the same or surely different; embeddings (M, E)."""
    logits = embeddings @ embeddings.T / TEMPERATURE
    others = ~torch.eye(len(logits), dtype=torch.bool)
    same = same & others
    against = torch.where(same | strange, logits, -torch.inf)
    against = torch.where(others, against, -torch.inf).logsumexp(dim=1, keepdim=True)
    likelihood = torch.where(same, logits - against, torch.zeros(()))
    return -(likelihood.sum(dim=1) / same.sum(dim=1).clamp(min=1)).mean()


def judge(embeddings: np.ndarray, sightings: Sightings, *, gap_s: float = 1.0) -> dict[str, float]:
    """How well embeddings (N, E) tell who is who among those in view together.

    Returns:
        `rank1`: share of looks whose most similar look among all that are `gap_s` to `gap_s` + 1 s later belongs to the
        same track, where several tracks are to choose from; `auc`: chance that a pair of one track is more similar than
        a pair of different tracks in view together; `looks`: how many were asked.
    """
    hits, asked, same_pairs, other_pairs = 0, 0, [], []
    for clip in np.unique(sightings.clips):
        of_clip = np.flatnonzero(sightings.clips == clip)
        times, tracks = sightings.times_s[of_clip], sightings.tracks[of_clip]
        for row, now in enumerate(times):
            later = np.flatnonzero((times >= now + gap_s) & (times < now + gap_s + 1.0))
            mine = tracks[later] == tracks[row]
            if not mine.any() or mine.all():
                continue
            likeness = embeddings[of_clip[later]] @ embeddings[of_clip[row]]
            hits += bool(mine[likeness.argmax()])
            asked += 1
            same_pairs.append(likeness[mine])
            other_pairs.append(likeness[~mine])
    same, other = np.concatenate(same_pairs), np.sort(np.concatenate(other_pairs))
    auc = np.searchsorted(other, same).mean() / len(other)
    return {"rank1": hits / asked, "auc": float(auc), "looks": asked}


def unit(values: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1, (N, E)."""
    return np.asarray(functional.normalize(torch.from_numpy(values), dim=1).numpy())
