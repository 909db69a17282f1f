"""Names of Mask R-CNN's weights: torchvision's of today and of its published v1 file, detectron2's."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from export.networks.checkpoints import detectron_body, load_strict, randomised, read_state, renamed
from export.networks.mask_rcnn import CONFIGURATIONS, MaskRcnn
from tracker.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

OLD_KEY = "backbone.fpn.inner_blocks.0.weight"
DETECTRON_KEY = "backbone.bottom_up.stem.conv1.weight"
DETECTRON = "detectron2_resnet50_fpn"
OLD_NAMES = (
    (r"(backbone\.fpn\.(?:inner|layer)_blocks\.\d)\.(weight|bias)", r"\1.0.\2"),
    (r"rpn\.head\.conv\.(weight|bias)", r"rpn.head.conv.0.0.\1"),
    *((rf"roi_heads\.mask_head\.mask_fcn{n + 1}\.(weight|bias)", rf"roi_heads.mask_head.{n}.0.\1") for n in range(4)),
)
DETECTRON_NAMES = (
    *detectron_body("backbone.body"),
    *(
        rule
        for stage in range(4)
        for rule in (
            (rf"backbone\.fpn_lateral{stage + 2}\.(weight|bias)", rf"backbone.fpn.inner_blocks.{stage}.0.\1"),
            (rf"backbone\.fpn_output{stage + 2}\.(weight|bias)", rf"backbone.fpn.layer_blocks.{stage}.0.\1"),
            (rf"roi_heads\.mask_head\.mask_fcn{stage + 1}\.(weight|bias)", rf"roi_heads.mask_head.{stage}.0.\1"),
        )
    ),
    (r"proposal_generator\.rpn_head\.conv\.(weight|bias)", r"rpn.head.conv.0.0.\1"),
    (r"proposal_generator\.rpn_head\.objectness_logits\.(weight|bias)", r"rpn.head.cls_logits.\1"),
    (r"proposal_generator\.rpn_head\.anchor_deltas\.(weight|bias)", r"rpn.head.bbox_pred.\1"),
    (r"roi_heads\.box_head\.fc1\.(weight|bias)", r"roi_heads.box_head.fc6.\1"),
    (r"roi_heads\.box_head\.fc2\.(weight|bias)", r"roi_heads.box_head.fc7.\1"),
    (r"roi_heads\.mask_head\.deconv\.(weight|bias)", r"roi_heads.mask_predictor.conv5_mask.\1"),
    (r"roi_heads\.mask_head\.predictor\.(weight|bias)", r"roi_heads.mask_predictor.mask_fcn_logits.\1"),
)
CONSTANTS = r"pixel_(mean|std)|proposal_generator\.anchor_generator\.cell_anchors\.\d+"
REMEDY = "take the file whole, as torchvision or detectron2 publishes it, and its --config: " + ", ".join(
    CONFIGURATIONS
)


def load_checkpoint(path: Path, name: str, *, eps: float | None = None, **sizes: float) -> MaskRcnn:
    """The network with the weights of a file; classes are the file's.

    Args:
        path: of torchvision or detectron2.
        name: of the configuration; detectron2's names are recognised whatever it says.
        eps: of the batch norms; None: 0 for the published v1 file's names, as torchvision sets it, else 1e-5.
        sizes: `proposals`, `instances`, `score_threshold` of `MaskRcnn`.

    Raises:
        ModelError: The file cannot be read, or does not fit to the last key.
    """
    state = read_state(path)
    if DETECTRON_KEY in state:
        configuration = CONFIGURATIONS[DETECTRON]
        state = background_first(renamed(state, DETECTRON_NAMES), path)
    else:
        configuration = CONFIGURATIONS[name]
        if eps is None and OLD_KEY in state:
            eps = 0.0
        state = renamed(state, OLD_NAMES)
    head = state.get("roi_heads.box_predictor.cls_score.weight")
    classes = configuration.classes if head is None else len(head)
    configuration = dataclasses.replace(
        configuration, classes=classes, coco_ids=configuration.coco_ids and classes == 91
    )
    if eps is not None:
        configuration = dataclasses.replace(configuration, eps=eps)
    network = load_strict(
        lambda: MaskRcnn(configuration, **sizes),
        state,
        label=path,
        ignored=CONSTANTS,
        remedy=REMEDY,  # type: ignore[arg-type]
    )
    assert isinstance(network, MaskRcnn)
    return network


def background_first(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """detectron2's heads with the background, last there, at index 0; it has neither box code nor mask.

    Raises:
        ModelError: The class-agnostic heads of a cascade.
    """
    state = dict(state)
    for kind in ("weight", "bias"):
        key, box, mask = (
            f"roi_heads.{part}.{kind}"
            for part in ("box_predictor.cls_score", "box_predictor.bbox_pred", "mask_predictor.mask_fcn_logits")
        )
        if key not in state or box not in state or mask not in state:
            continue  # named when the network is loaded
        classes = len(state[key]) - 1
        if len(state[box]) != 4 * classes or len(state[mask]) != classes:
            found = f"{len(state[box])} and {len(state[mask])} rows"
            problem = f"expected box codes and masks of {classes} classes, found {found}"
            raise ModelError(path, problem, "class-agnostic heads and cascades are not exported")
        state[key] = torch.cat([state[key][-1:], state[key][:-1]])
        state[box] = torch.cat([torch.zeros_like(state[box][:4]), state[box]])
        state[mask] = torch.cat([torch.zeros_like(state[mask][:1]), state[mask]])
    return state


def random_network(name: str, seed: int, **sizes: float) -> MaskRcnn:
    """Random weights with scores above the threshold, so that a trial has instances."""
    network = randomised(MaskRcnn(CONFIGURATIONS[name], **sizes), seed)  # type: ignore[arg-type]
    assert isinstance(network, MaskRcnn)
    with torch.no_grad():
        network.rpn.head.bbox_pred.weight.mul_(0.05)
        network.roi_heads.box_predictor["bbox_pred"].weight.mul_(0.1)
        network.roi_heads.mask_predictor["mask_fcn_logits"].weight.mul_(0.3)
    return network
