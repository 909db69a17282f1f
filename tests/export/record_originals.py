"""Records what the original implementations give for networks with this project's random weights.

Run once, where torchvision, mmdetection and mmcv-lite are installed, from the root of a checkout::

    python -m tests.export.record_originals

Versions used: torch 2.14.1, torchvision 0.29.1, mmdet 3.3.0 with mmcv-lite 2.1.0 (whose compiled operators, of which
SOLOv2 and Mask2Former's fusion head need none, are replaced by inert classes).
"""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch

FOLDER = Path(__file__).resolve().parent / "originals"
SIZE = (128, 160)
"""Height and width of the frames."""
KEPT = 30


def frame(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A picture (H, W, 3) uint8 BGR of smooth noise."""
    height, width = size
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), np.uint8)
    return np.ascontiguousarray(coarse.repeat(16, axis=0).repeat(16, axis=1)[:height, :width])


def rgb(picture: np.ndarray) -> torch.Tensor:
    """(3, H, W) float32, 0..255."""
    return torch.from_numpy(picture[..., ::-1].copy()).permute(2, 0, 1).float()


def write(name: str, **arrays: Any) -> None:
    """One file of arrays."""
    np.savez_compressed(FOLDER / f"{name}.npz", **arrays)
    sys.stdout.write(f"{name}: { ({key: value.shape for key, value in arrays.items()}) }\n")


def record_maskrcnn() -> None:
    """torchvision's Mask R-CNN: instances with their 28 x 28 maps."""
    from torchvision.models.detection import maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2

    from export.networks.mask_rcnn_weights import random_network

    for name, build in (("resnet50_fpn", maskrcnn_resnet50_fpn), ("resnet50_fpn_v2", maskrcnn_resnet50_fpn_v2)):
        original = build(weights=None, weights_backbone=None, min_size=SIZE[0], max_size=SIZE[1]).eval()
        original.load_state_dict(random_network(name, 1).state_dict())
        original.transform.postprocess = lambda found, _resized, _sizes: found
        with torch.no_grad():
            (found,) = original([rgb(frame(1)) / 255])
        kept = slice(0, KEPT)
        write(
            f"maskrcnn_{name}",
            boxes=found["boxes"][kept].numpy(),
            scores=found["scores"][kept].numpy(),
            labels=found["labels"][kept].numpy(),
            masks=found["masks"][kept, 0].half().numpy(),
            count=np.array(len(found["scores"])),
        )


def mmdetection() -> Any:
    """The package, without the operators that need a compiler."""

    class Inert(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (torch.nn.Module,), {})

    if "mmdet.models" in sys.modules:
        return sys.modules["mmdet"]
    parts = ("merge_cells", "carafe", "roi_align", "nms", "multi_scale_deform_attn", "point_sample", "deform_conv")
    for name in ("", *(f".{part}" for part in (*parts, "modulated_deform_conv"))):
        sys.modules[f"mmcv.ops{name}"] = Inert(f"mmcv.ops{name}")
    import mmcv

    mmcv.ops = sys.modules["mmcv.ops"]
    import mmdet.models
    from mmengine.registry import init_default_scope

    init_default_scope("mmdet")
    return mmdet


def record_solov2() -> None:
    """mmdetection's SOLOv2: raw heads, rounded to float16, and the instances of its head from them."""
    from export.networks.solov2_weights import random_network

    mmdetection()
    from mmdet.registry import MODELS
    from mmengine.config import Config

    name = "solov2-light_r18_fpn_ms-3x_coco"
    configuration = Config.fromfile(Path(mmdetection().__file__).parent / ".mim" / "configs" / "solov2" / f"{name}.py")
    configuration.model.backbone.init_cfg = None
    original = MODELS.build(configuration.model).eval()
    original.load_state_dict(random_network(name, 1).state_dict())
    mean, std = (torch.tensor(value)[:, None, None] for value in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)))
    with torch.no_grad():
        heads = original.mask_head(original.extract_feat(((rgb(frame(1)) - mean) / std)[None]))
        kernels, cate = ([level.half().float() for level in levels] for levels in heads[:2])
        features = heads[2].half().float()
        meta = [{"img_shape": SIZE, "ori_shape": SIZE}]
        (found,) = original.mask_head.predict_by_feat(list(kernels), [one.clone() for one in cate], features, meta)
    raw, used = (torch.cat([one.flatten(2) for one in levels], 2).transpose(1, 2) for levels in (cate, kernels))
    used = torch.where(raw.sigmoid().amax(2, keepdim=True) > 0.05, used, 0)  # kernels that nobody asks for
    raw = torch.where(raw > -4, raw, -9)
    write(
        "solov2_light_r18",
        cate=raw.half().numpy(),
        kernels=used.half().numpy(),
        features=features.half().numpy(),
        scores=found.scores.numpy(),
        labels=found.labels.numpy(),
        masks=np.packbits(found.masks.numpy(), axis=-1),
    )


def record_mask2former() -> None:
    """mmdetection's fusion head, which is the published `instance_inference`, on smooth random queries."""
    mmdetection()
    from mmdet.registry import MODELS
    from mmengine.config import ConfigDict

    head = MODELS.build(
        {
            "type": "MaskFormerFusionHead",
            "num_things_classes": 80,
            "num_stuff_classes": 0,
            "test_cfg": ConfigDict(max_per_image=100),
            "init_cfg": None,
        }
    )
    generator = torch.Generator().manual_seed(2)
    coarse = torch.randn(40, 1, 6, 7, generator=generator) * 5 - 2
    masks = torch.nn.functional.interpolate(coarse, (32, 40), mode="bicubic")[:, 0].half().float()
    classes = (torch.randn(40, 81, generator=generator) * 2.5).half().float()
    full = torch.nn.functional.interpolate(masks[None], SIZE, mode="bilinear", align_corners=False)[0]
    found = head.instance_postprocess(classes, full)
    order = found.scores.argsort(descending=True)
    write(
        "mask2former_fusion",
        classes=classes.half().numpy()[None],
        mask_logits=masks.half().numpy()[None],
        scores=found.scores[order].numpy(),
        labels=found.labels[order].numpy(),
        boxes=found.bboxes[order].numpy(),
        masks=np.packbits(found.masks[order].numpy(), axis=-1),
    )


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for record in (record_maskrcnn, record_solov2, record_mask2former):
        if not sys.argv[1:] or record.__name__.removeprefix("record_") in sys.argv[1:]:
            record()
