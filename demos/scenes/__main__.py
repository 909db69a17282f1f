"""Command that renders a scene to a video with its exact truth beside it.

Usage: python -m demos.scenes door --out door.mp4
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demos.scenes.catalogue import SCRIPTS, WORLDS, counting_truth, frame_truth, names, open_recording
from demos.scenes.edges import EDGES
from demos.scenes.writers import mots_lines, write_text, write_video
from tracker.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from demos.scenes.truth import SceneTruth


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    about = [
        f"{kind}: {', '.join(sorted(group))}"
        for kind, group in (("worlds", WORLDS), ("scripts", SCRIPTS), ("edge cases", EDGES))
    ]
    parser = argparse.ArgumentParser(
        prog="python -m demos.scenes",
        description="Render a scene to FILE and its exact truth to FILE.truth.json beside it.",
        epilog="; ".join(about),
    )
    parser.add_argument("name", metavar="NAME", choices=names(), help="which scene, see below")
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="video; its suffix names the container")
    parser.add_argument("--fps", type=float, default=25.0, help="frames per second (25)")
    parser.add_argument("--size", default="640x360", metavar="WxH", help="pixels (640x360)")
    parser.add_argument("--seed", type=int, default=0, help="of worlds (0)")
    parser.add_argument("--seconds", type=float, help="length of a world (its own)")
    parser.add_argument("--masks", action="store_true", help="write true silhouettes too, as MOTS text")
    chosen = parser.parse_args(words)
    sides = [int(side) for side in chosen.size.lower().split("x") if side.isdecimal()]
    if len(sides) != 2 or not 32 <= min(sides) <= max(sides) <= 8192:
        parser.error(f"argument --size: expected WIDTHxHEIGHT of 32 to 8192 pixels each, found {chosen.size!r}")
    chosen.size = (sides[0], sides[1])
    if not 0.1 <= chosen.fps <= 240:
        parser.error(f"argument --fps: expected 0.1 to 240 frames per second, found {chosen.fps:g}")
    if chosen.seconds is not None and not 0 < chosen.seconds <= 86_400:
        parser.error(f"argument --seconds: expected more than 0 and at most a day, found {chosen.seconds:g}")
    return chosen


def main(words: Sequence[str] | None = None) -> int:
    """Render what the command line asks for."""
    chosen = _arguments(words)
    recording = open_recording(chosen.name, seed=chosen.seed, size=chosen.size, duration_s=chosen.seconds)
    frames: list[dict[str, Any]] = []

    masks: list[str] = []

    def keep(image: NDArray[np.uint8], truth: SceneTruth) -> None:
        del image
        frames.append(frame_truth(truth))
        if chosen.masks:
            masks.extend(mots_lines(len(frames), truth))

    beside = chosen.out.with_name(f"{chosen.out.name}.truth.json")
    try:
        times = recording.times(chosen.fps).tolist()
        write_video(recording.scene, chosen.out, chosen.fps, times_s=times, on_frame=keep)
        document = {"seed": chosen.seed, "fps": chosen.fps, **counting_truth(recording), "frames": frames}
        write_text(beside, json.dumps(document, indent=1) + "\n")
        if chosen.masks:
            write_text(chosen.out.with_name(f"{chosen.out.name}.mots.txt"), "".join(f"{line}\n" for line in masks))
    except SinkError as error:
        print(error, file=sys.stderr)
        return 1
    for name, line in document["lines"].items():
        print(f"line {name}: {line['counts'][0]} onto its left, {line['counts'][1]} onto its right")
    for name, zone in document["zones"].items():
        print(f"zone {name}: {len(zone['stays'])} stays")
    print(f"{len(frames)} frames in {chosen.out}, truth in {beside}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
