"""Names of SOLOv2's weights: mmdetection's, and AdelaiDet's."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

from export.networks.checkpoints import detectron_body, load_strict, randomised, read_state, renamed
from export.networks.solov2 import CONFIGURATIONS, Configuration, SoloV2
from tracker.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

ADELAIDET_KEY = "ins_head.cate_pred.weight"
REMEDY = "take the file whole, as mmdetection publishes it, and its --config: " + ", ".join(CONFIGURATIONS)
CONSTANTS = r"pixel_(mean|std)|data_preprocessor\..+"


def adelaidet_names() -> list[tuple[str, str]]:
    """Rules from AdelaiDet's names (detectron2's backbone, towers as flat lists of convolution, norm, ReLU)."""
    rules = [
        *detectron_body("backbone"),
        (r"ins_head\.cate_pred\.(.+)", r"mask_head.conv_cls.\1"),
        (r"ins_head\.kernel_pred\.(.+)", r"mask_head.conv_kernel.\1"),
        (
            r"mask_head\.convs_all_levels\.(\d)\.conv(\d)\.0\.(.+)",
            r"mask_head.mask_feature_head.convs_all_levels.\1.conv\2.conv.\3",
        ),
        (
            r"mask_head\.convs_all_levels\.(\d)\.conv(\d)\.1\.(.+)",
            r"mask_head.mask_feature_head.convs_all_levels.\1.conv\2.gn.\3",
        ),
        (r"mask_head\.conv_pred\.0\.(.+)", r"mask_head.mask_feature_head.conv_pred.conv.\1"),
        (r"mask_head\.conv_pred\.1\.(.+)", r"mask_head.mask_feature_head.conv_pred.gn.\1"),
    ]
    for stage in range(4):
        rules += [
            (rf"backbone\.fpn_lateral{stage + 2}\.(.+)", rf"neck.lateral_convs.{stage}.conv.\1"),
            (rf"backbone\.fpn_output{stage + 2}\.(.+)", rf"neck.fpn_convs.{stage}.conv.\1"),
        ]
        for tower, branch in (("cate", "cls"), ("kernel", "kernel")):
            rules += [
                (rf"ins_head\.{tower}_tower\.{3 * stage}\.(.+)", rf"mask_head.{branch}_convs.{stage}.conv.\1"),
                (rf"ins_head\.{tower}_tower\.{3 * stage + 1}\.(.+)", rf"mask_head.{branch}_convs.{stage}.gn.\1"),
            ]
    return rules


def configuration_of(name: str) -> Configuration:
    """The configuration of a name, published ones too: `solov2-light_r18_fpn_ms-3x_coco` is `solov2-light_r18`.

    Raises:
        ModelError: There is none; deformable convolutions are not exported.
    """
    short = name.split("_fpn", maxsplit=1)[0]
    if short not in CONFIGURATIONS:
        known = ", ".join(CONFIGURATIONS)
        remedy = f"choose among {known}; deformable convolutions (dcn) are not exported"
        raise ModelError(f"--config {name}", "no such configuration", remedy)
    return CONFIGURATIONS[short]


def load_checkpoint(path: Path, name: str) -> SoloV2:
    """The network with the weights of a file; classes are the file's.

    Raises:
        ModelError: The file cannot be read, or does not fit to the last key.
    """
    state, configuration = read_state(path), configuration_of(name)
    if ADELAIDET_KEY in state:
        state = renamed(state, adelaidet_names())
        configuration = dataclasses.replace(
            configuration, channels="BGR", mean=configuration.mean[::-1], std=(1.0,) * 3, stride_first=True
        )
    head = state.get("mask_head.conv_cls.weight")
    if head is not None:
        configuration = dataclasses.replace(configuration, classes=len(head))
    network = load_strict(lambda: SoloV2(configuration), state, label=path, ignored=CONSTANTS, remedy=REMEDY)
    assert isinstance(network, SoloV2)
    return network


def random_network(name: str, seed: int) -> SoloV2:
    """Random weights with scores and masks of both kinds, so that a trial has instances."""
    network = randomised(SoloV2(configuration_of(name)), seed)
    assert isinstance(network, SoloV2)
    with torch.no_grad():
        network.mask_head.conv_cls.bias.fill_(-6.2)  # some dozens of cells and classes are candidates
        network.mask_head.conv_cls.weight.mul_(1.5)
    return network
