"""Options that people know from other tools, and what they are called here; errors name the right one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tracker.app.checked import CheckedCommand
from tracker.app.flags import flag_names
from tracker.errors import ConfigError
from tracker.settings.model import Flag, marker
from tracker.settings.stream import RunSettings

__all__ = ["HABITS", "HabitCommand"]

HABITS = {
    "--source": "give the source without an option: masktrail track street.mp4",
    "--input": "give the source without an option: masktrail track street.mp4",
    "--video": "give the source without an option: masktrail track street.mp4",
    "--uri": "give the source without an option: masktrail track rtsp://camera/stream",
    "--output": "--save out.mp4 for the annotated video, --records out.jsonl for rows",
    "--out": "--save out.mp4 for the annotated video, --records out.jsonl for rows",
    "--project": "--save folder/ and --records 'folder/{name}.jsonl'; nothing is written unless asked for",
    "--name": "--save 'folder/{name}.mp4' and --records 'folder/{name}.jsonl'",
    "--exist-ok": "leave it out: outputs replace what an earlier run wrote, and never a source or another output",
    "--show": "--save out.mp4, and open the file; no window is opened",
    "--view-img": "--save out.mp4, and open the file; no window is opened",
    "--save-txt": "--records out.txt (MOTChallenge text) or --records out.mots.txt (with masks)",
    "--save-conf": "leave it out: every record has the score",
    "--save-json": "--records out.coco.json for COCO results, --json summary.json for the summary",
    "--save-csv": "--records out.csv",
    "--save-crop": "cut them by the boxes of --records out.jsonl",
    "--save-vid": "--save out.mp4",
    "--save-frames": "--save 'folder/{frame}.jpg'",
    "--imgsz": "the input size is the model's own: --model yolact-nano-384x640 (see: masktrail models list)",
    "--img-size": "the input size is the model's own: --model yolact-nano-384x640 (see: masktrail models list)",
    "--weights": "--model",
    "--yolo-model": "--model",
    "--engine": "--device tensorrt with --model file.onnx; the engine is built and cached",
    "--vid-stride": "--stride",
    "--conf-thres": "--conf",
    "--conf-threshold": "--conf",
    "--iou-thres": "--iou",
    "--max-det": "leave it out: the model's file says how many instances a frame may have",
    "--agnostic-nms": "leave it out: suppression is across classes; --iou sets its overlap",
    "--half": "--fp16, with --device tensorrt",
    "--class": "--classes car,bus",
    "--tracker": "leave it out: there is one tracker; its settings are in Python (TrackerSettings)",
    "--tracking-method": "leave it out: there is one tracker; its settings are in Python (TrackerSettings)",
    "--reid-model": "--reid network.onnx",
    "--with-reid": "leave it out: embeddings of the model are used where it has them; --reid network.onnx for others",
    "--persist": "leave it out: every run is one stream with its identities; `masktrail live` with state: keeps them",
    "--retina-masks": "leave it out: records hold masks at image resolution",
    "--line-thickness": "--line-width, in pixels; by default widths follow the size of the picture",
    "--thickness": "--line-width, in pixels; by default widths follow the size of the picture",
    "--hide-labels": "--draw masks,trails",
    "--hide-boxes": "leave it out: boxes are drawn only with --draw labels,masks,boxes",
    "--show-boxes": "--draw labels,masks,trails,boxes",
    "--show-labels": "leave it out: labels are drawn unless --draw leaves them out",
    "--show-trajectories": "leave it out: trails are drawn unless --draw leaves them out",
    "--color-by": "--colour-by identity or class",
    "--hide-conf": "leave it out: labels show identity and class",
    "--stream-buffer": "`masktrail live` with policy: all or latest",
    "--fourcc": "leave it out: --save out.mp4 is H.264; the suffix chooses the container",
    "--start": "cut the recording first: ffmpeg -ss 60 -i in.mp4 -c copy part.mp4; --limit ends it early",
    "--max-frames": "--limit",
    "--end": "--limit, in frames",
    "--verbose": "leave it out; --quiet for less",
    "--gt-folder": "--gt",
}
"""Options of `yolo track`, BoxMOT, supervision's examples and DeepStream's, to what to write here."""

BY_NUMBER = {"--device": "--device cuda", "--classes": "--classes person,car (names; see: masktrail models show NAME)"}
"""What takes numbers elsewhere and names here."""

ASSIGNMENT = re.compile(r"(?P<name>[a-z_]+)=(?P<value>.*)", re.DOTALL)


def _advice(option: str, known: set[str]) -> str | None:
    """What to write in the place of an option that is unknown here."""
    advice = HABITS.get(option.replace("_", "-"))
    if advice is None and (respelt := option.replace("_", "-")) != option and respelt in known:
        return respelt
    return advice


def _owner(option: str) -> str | None:
    """The command that alone has an option, where it is none of all of them."""
    for name, field in RunSettings.model_fields.items():
        told = marker(field, Flag)
        if told is not None and told.command is not None and option in flag_names(name, field):
            return told.command
    return None


class HabitCommand(CheckedCommand):
    """A command whose unknown options are looked up among the habits."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as ever.

        Raises:
            ConfigError: An option of another tool, or ``name=value`` as `yolo` takes it.
        """
        known = {name for parameter in self.params for name in parameter.opts}
        for arg in args:
            option, _, _ = arg.partition("=")
            if option.startswith("--") and option not in known and (advice := _advice(option, known)):
                raise ConfigError(option, "expected an option of masktrail, found one of another tool", advice)
            if (
                option.startswith("--")
                and option not in known
                and (owner := _owner(option)) not in {None, ctx.info_name}
            ):
                problem = f"expected an option of {ctx.info_name}, found one of {owner}"
                raise ConfigError(option, problem, f"masktrail {owner}, or leave it out")
            given = ASSIGNMENT.fullmatch(arg)
            if given and not Path(arg).exists() and self._is_option(given["name"], known):
                option = f"--{given['name'].replace('_', '-')}"
                advice = f"{option} {given['value']}" if option in known else HABITS[option]
                if given["value"][:1].isdigit():  # numbers of cards and of classes
                    advice = BY_NUMBER.get(option, advice)
                raise ConfigError(arg, "expected options as --name value, found name=value", advice)
        return super().parse_args(ctx, args)

    @staticmethod
    def _is_option(name: str, known: set[str]) -> bool:
        option = f"--{name.replace('_', '-')}"
        return option in known or option in HABITS
