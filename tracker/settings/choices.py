"""Words that settings and stages both know, each list once; imports nothing, so that stages may use it."""

from __future__ import annotations

from typing import Literal

__all__ = [
    "CameraMotionChoice",
    "ColourBy",
    "DecodeChoice",
    "DrawnPart",
    "EconomyChoice",
    "LogForm",
    "MaskFormat",
    "Policy",
    "PrivacyMode",
    "Transport",
]

DecodeChoice = Literal["auto", "cpu", "cuda", "vaapi", "videotoolbox"]
"""Where video is decoded; ``auto`` takes the first device that works here, else the CPU."""

MaskFormat = Literal["rle", "polygon", "none"]
"""Shapes in records: run-length code, outline, or none."""

Policy = Literal["auto", "latest", "all"]
"""Which frames of a stream are taken when the engine is behind; ``auto`` is ``latest`` for what is live."""

Transport = Literal["tcp", "udp"]
"""How RTSP sends its packets."""

CameraMotionChoice = Literal["auto", "off"]
"""Whether the camera's own motion is estimated; ``off``: it stands still."""

DrawnPart = Literal["labels", "masks", "trails", "boxes", "site", "contacts", "occluders"]
"""What annotated pictures show; ``occluders`` are part of the site."""

PrivacyMode = Literal["none", "fill", "pixelate"]
"""How persons are covered in pictures: not, opaquely, or by coarse blocks, in which people may be recognised."""

ColourBy = Literal["identity", "class"]
"""What has a colour of its own in annotated pictures."""

EconomyChoice = Literal["off", "auto"]
"""Whether frames are left out of segmentation where they would hardly tell anything."""

LogForm = Literal["text", "json"]
"""Lines for people, or one JSON object each."""
