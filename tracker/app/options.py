"""Nothing enters; the options that commands share leave, each with its heading and its line of help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

TRACKING, INPUT, SEGMENTATION = "Tracking", "Input", "Segmentation"
"""Headings of options that few need; the others stand first."""

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="Videos, folders or patterns of images or videos, a webcam (0), RTSP or HTTP addresses.",
    ),
]
Save = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Annotated video (.mp4, .mkv, ...); a folder or {name} with several sources."),
]
Records = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE", help="Records by suffix: .jsonl .csv .parquet .txt (MOT) .mots.txt .coco.json; repeatable."
    ),
]
MaskFormat = Annotated[
    str | None,
    typer.Option(
        metavar="FORM", help="Shapes in JSONL, CSV and Parquet: rle, polygon or none; by default rle, in CSV none."
    ),
]
Model = Annotated[
    str, typer.Option(metavar="NAME", help="A model of the zoo (see: masktrail models list) or an .onnx file.")
]
Classes = Annotated[
    list[str] | None, typer.Option(metavar="NAMES", help="Only these classes: --classes car,bus; repeatable.")
]
Device = Annotated[str, typer.Option(metavar="NAME", help="Where models run: auto, cpu, cuda or tensorrt.")]
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the summary there too.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no table.")]
Confirm = Annotated[
    float,
    typer.Option(
        min=0, max=1, metavar="SCORE", rich_help_panel=TRACKING, help="A track gets its number once it has this score."
    ),
]
CameraMotion = Annotated[
    str,
    typer.Option(
        metavar="MODE", rich_help_panel=TRACKING, help="auto: tracks go along when the camera moves; off: it stands."
    ),
]
Reid = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=TRACKING,
        help="Re-identification: an .onnx network that knows objects again by their looks.",
    ),
]
Refine = Annotated[
    bool,
    typer.Option(
        "--refine",
        rich_help_panel=TRACKING,
        help="A second pass over recordings: fills gaps, joins tracks, drops false ones.",
    ),
]
Stride = Annotated[int, typer.Option(min=1, metavar="N", rich_help_panel=INPUT, help="Use every n-th frame.")]
Limit = Annotated[
    int | None, typer.Option(min=1, metavar="N", rich_help_panel=INPUT, help="Stop after this many frames.")
]
Decode = Annotated[
    str,
    typer.Option(
        metavar="NAME", rich_help_panel=INPUT, help="Where video is decoded: auto, cpu, cuda, vaapi or videotoolbox."
    ),
]
Transport = Annotated[
    str, typer.Option(metavar="NAME", rich_help_panel=INPUT, help="How RTSP cameras send: tcp or udp.")
]
Conf = Annotated[
    float | None,
    typer.Option(
        metavar="SCORE", rich_help_panel=SEGMENTATION, help="Lowest score to look at; by default the model's own."
    ),
]
Iou = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        rich_help_panel=SEGMENTATION,
        help="Overlap from which two instances are one; by default the model's own.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        rich_help_panel=SEGMENTATION,
        help="Batches at once; by default one per core on the CPU, one per slot on a GPU.",
    ),
]
Batch = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=256,
        metavar="N",
        rich_help_panel=SEGMENTATION,
        help="Frames of a recording per run of the model; by default 8 on a GPU, 1 on the CPU.",
    ),
]
Fp16 = Annotated[
    bool, typer.Option("--fp16", rich_help_panel=SEGMENTATION, help="Half precision, with --device tensorrt.")
]
