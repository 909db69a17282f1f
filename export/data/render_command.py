"""`python -m export render`: COCO folders of rendered roads and shops.

They never belong into validation: what is measured on them says nothing about cameras.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

SECONDS_BETWEEN = 3.7
STANDING_CAMERA_EVERY = 4  # this many seeds; the others look from elsewhere


def add_render(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`render`: seeds -> pictures with exact masks."""
    parser = commands.add_parser("render", help="render roads and shops with exact masks, to train with")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(100, 113)), help="one road and shop each")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each scene, a picture every 3.7 s")
    parser.add_argument("--out", type=Path, required=True, help="gets a folder a scene, for `prepare`")
    parser.set_defaults(run=render)


def render(options: argparse.Namespace) -> None:
    """Run `render`."""
    from rich.progress import track

    from demos.scenes.road import road
    from demos.scenes.shop import shop
    from demos.scenes.writers import write_sequence

    total = 0
    for seed in track(options.seeds, "rendering"):
        elsewhere = seed % STANDING_CAMERA_EVERY != 0
        for scene in (
            road(seed=seed, vary_camera=elsewhere, traffic=1.5, duration_s=options.seconds),
            shop(seed=seed, vary_camera=elsewhere, people=4 + seed % 9, duration_s=options.seconds),
        ):
            folder = write_sequence(
                scene,
                options.out,
                fps=1 / SECONDS_BETWEEN,
                name=f"rendered-{scene.name}-{seed}",
                images=True,
                video=False,
                min_area_px=20,
                min_visibility=0.1,
            )
            (folder / "instances.json").rename(folder / "annotations.json")
            total += len(list((folder / "img1").iterdir()))
    print(f"{total} pictures of {2 * len(options.seeds)} scenes in {options.out}")
