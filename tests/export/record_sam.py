"""Records what the original code of the Segment Anything family gives for small networks with random weights.

Run once, where segment-anything, mobile_sam, sam2 and torchvision are installed, from the root of a checkout::

    python -m tests.export.record_sam

Versions used: torch 2.13.0, torchvision 0.28.0, segment-anything 1.0, mobilesam-mirror 1.0.0
with timm 1.0.31, sam2 1.1.0.
"""

from __future__ import annotations

import re
import sys
from functools import partial
from typing import Any

import numpy as np
import torch

from export.networks.sam_weights import random_network
from tests.export.record_originals import write
from tests.export.sam_networks import HIERA, NETWORKS, SEED, TINY_VIT, VIT, boxes, picture

NORM = partial(torch.nn.LayerNorm, eps=1e-6)
SAMPLED = 16
"""Every so many cells of the logits along each axis are kept as numbers, all as bits."""


def record(name: str, predictor: Any, side_px: int) -> None:
    """Scores and masks of boxes alone, then with the first logits as a prompt."""
    predictor.set_image(picture(side_px)[..., ::-1].copy())
    scores, logits = [], []
    for box in boxes(side_px):
        _, score, low = predictor.predict(box=box, multimask_output=False)
        _, again, second = predictor.predict(box=box, multimask_output=False, mask_input=low)
        scores.append([score[0], again[0]])
        logits.append([low[0], second[0]])
    found = np.array(logits, np.float32)  # (boxes, 2, 256, 256)
    write(
        name,
        scores=np.array(scores, np.float32),
        masks=np.packbits(found > 0, axis=-1),
        logits=found[..., ::SAMPLED, ::SAMPLED],
    )


def heads(package: Any, width: int, side_px: int, cells: int) -> dict[str, Any]:
    """The original prompt encoder and mask decoder."""
    return {
        "prompt_encoder": package.PromptEncoder(width, (cells, cells), (side_px, side_px), 16),
        "mask_decoder": package.MaskDecoder(
            transformer_dim=width, transformer=package.TwoWayTransformer(2, width, 4, 64)
        ),
    }


def record_vit_small() -> None:
    """`segment_anything`'s predictor."""
    from segment_anything import SamPredictor, modeling

    encoder = modeling.ImageEncoderViT(
        img_size=VIT.side_px,
        patch_size=VIT.patch_px,
        embed_dim=VIT.width,
        depth=VIT.depth,
        num_heads=VIT.heads,
        global_attn_indexes=VIT.whole,
        out_chans=VIT.out,
        window_size=VIT.window,
        norm_layer=NORM,
        use_rel_pos=True,
    )
    side = VIT.side_px
    original = modeling.Sam(image_encoder=encoder, **heads(modeling, VIT.out, side, side // VIT.patch_px)).eval()
    original.load_state_dict(random_network(NETWORKS["vit_small"], SEED).state_dict())
    record("sam_vit_small", SamPredictor(original), side)


def record_tiny_vit_small() -> None:
    """`mobile_sam`'s predictor; train and eval make it read its attention biases again."""
    from mobile_sam import SamPredictor, modeling

    encoder = modeling.TinyViT(
        img_size=TINY_VIT.side_px,
        embed_dims=TINY_VIT.widths,
        depths=TINY_VIT.depths,
        num_heads=TINY_VIT.heads,
        window_sizes=TINY_VIT.windows,
        drop_path_rate=0.0,
    )
    original = modeling.Sam(image_encoder=encoder, **heads(modeling, TINY_VIT.out, TINY_VIT.side_px, 64))
    state = random_network(NETWORKS["tiny_vit_small"], SEED).state_dict()
    left = original.load_state_dict(state, strict=False)
    classifier = ("image_encoder.norm_head.", "image_encoder.head.")
    assert not left.unexpected_keys, left
    assert all(key.startswith(classifier) for key in left.missing_keys), left
    record("sam_tiny_vit_small", SamPredictor(original.train().eval()), TINY_VIT.side_px)


def record_hiera_small() -> None:
    """`sam2`'s predictor, with its published settings for pictures."""
    from sam2.build_sam import build_sam2
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    widths = [HIERA.width << stage for stage in (3, 2, 1, 0)]
    settings = {
        "trunk.embed_dim": HIERA.width,
        "trunk.stages": list(HIERA.depths),
        "trunk.global_att_blocks": list(HIERA.whole),
        "neck.d_model": HIERA.out,
        "neck.backbone_channel_list": widths,
        "neck.position_encoding.num_pos_feats": HIERA.out,
    }
    changes = [f"++model.image_encoder.{key}={value}" for key, value in settings.items()]
    original = build_sam2("configs/sam2.1/sam2.1_hiera_t.yaml", device="cpu", hydra_overrides_extra=changes)
    network = random_network(NETWORKS["hiera_small"], SEED)
    left = original.load_state_dict(network.state_dict(), strict=False)
    assert not left.unexpected_keys, left
    assert all(re.match(network.unused, key) for key in left.missing_keys), left
    record("sam_hiera_small", SAM2ImagePredictor(original), HIERA.side_px)


if __name__ == "__main__":
    for one in (record_vit_small, record_tiny_vit_small, record_hiera_small):
        if not sys.argv[1:] or one.__name__.removeprefix("record_") in sys.argv[1:]:
            one()
