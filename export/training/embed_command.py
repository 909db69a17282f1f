"""`python -m export embed`: a checkpoint with a fitted embedding head."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.networks.blend import add_blend
from tracker.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from export.data.identities import Sightings
    from export.networks.yolact_nano import YolactNano


def add_embed(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`embed`: a trained network and videos -> the network with embeddings."""
    parser = commands.add_parser("embed", help="train the embedding head of a trained network, for re-identification")
    parser.add_argument("--weights", type=Path, required=True, help="checkpoint of `train`, or an exported file")
    add_blend(parser)
    parser.add_argument("--archive", type=Path, help="made by `prepare`: its pictures' objects, each shown four times")
    parser.add_argument("--pictures", type=int, default=800, help="how many of them")
    parser.add_argument(
        "--videos", type=Path, nargs="+", default=[], help="recordings; the tracker gives the identities"
    )
    parser.add_argument("--val-videos", type=Path, nargs="+", default=[], help="recordings to judge on")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="checkpoint for `nano`")
    parser.set_defaults(run=embed)


def embed(options: argparse.Namespace) -> None:
    """Run `embed`."""
    import torch

    from export.data.identities import augmented_views, join
    from export.networks.blend import load_blended
    from export.training.embed import embeddings_of, fisher, judge, unit

    if not options.archive and not options.videos:
        raise ConfigError("embed", "nothing to learn from", "give --archive, --videos or both")
    network = load_blended(options.weights, options.blend, options.average).eval()
    if network.name != "yolact-nano":
        problem = f"expected weights of yolact-nano, found those of {network.name}"
        raise ConfigError(f"--weights {options.weights}", problem, "embeddings are of yolact-nano alone so far")
    network.embedding_head = None
    parts = [sightings(options.videos, network)] if options.videos else []
    if options.archive:
        from export.data.archive import Archive

        parts.append(augmented_views(Archive(options.archive), network, pictures=options.pictures, seed=options.seed))
    seen = join(parts)
    print(f"{len(seen.tracks)} sightings of {len(set(seen.tracks.tolist()))} objects", flush=True)
    head = fisher(seen)
    figures: dict[str, Any] = {}
    if options.val_videos:
        held_out = sightings(options.val_videos, network)
        learned = embeddings_of(head, held_out)
        figures = {"trained": judge(learned, held_out), "untrained maps": judge(unit(held_out.pooled), held_out)}
        print(json.dumps(figures, indent=1))
    network.embedding_head = head
    options.out.parent.mkdir(parents=True, exist_ok=True)
    state = {
        "average": network.state_dict(),
        "classes": list(network.classes),
        "activation": network.activation,
        "mask_growth": network.mask_growth,
        "embedding": figures,
    }
    torch.save(state, options.out)


def sightings(videos: list[Path], network: YolactNano) -> Sightings:
    """Samples of the identities in the videos, found by the network itself in a temporary export."""
    from export.data.identities import collect
    from export.onnx.to_onnx import EndToEnd, export_onnx

    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "network.onnx"
        export_onnx(EndToEnd(network, height=384, width=640), model, name="network", version="0")
        return collect(videos, model, network)
