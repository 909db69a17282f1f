"""Segment Anything whole: encoder and decoder as two graphs take them, under the names of its publishers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.networks.hiera import HieraConfiguration, ImageEncoder
from export.networks.sam_decoder import NO_POINT, MaskDecoder, PromptEncoder, stable
from export.networks.sam_vit import Vit, VitConfiguration
from export.networks.tiny_vit import TinyVit, TinyVitConfiguration

if TYPE_CHECKING:
    from typing import ClassVar

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of RGB in 0..255
LARGEST_LOGIT = 32.0  # that SAM 2 gives, and takes as a prompt


class Promptable(nn.Module):
    """What the export asks of a network.

    Attributes:
        features: names of what the encoder gives.
        resize: how pictures fill the encoder's input.
        unused: regular expression of the first part of keys that single pictures do not need.
        side_px: of the encoder's square input.
    """

    features: ClassVar[tuple[str, ...]] = ("image_embeddings",)
    resize: ClassVar[str] = "longest"
    unused: ClassVar[str] = r"(?!)"
    side_px: int

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """Normalised images (1, 3, S, S) -> features, in the order of their names."""
        raise NotImplementedError

    def decode(
        self, features: tuple[Tensor, ...], coords: Tensor, labels: Tensor, mask: Tensor, given: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Masks of boxes.

        Args:
            features: of :meth:`encode`.
            coords: (B, 2, 2), corners in pixels of the encoder's input.
            labels: (B, 2), 2 and 3.
            mask: logits (B, 1, 4 h, 4 w) of a run before.
            given: (B,), 1 where they are a prompt, else 0.

        Returns:
            Logits (B, 1, 4 h, 4 w) and expected IoUs (B, 1).
        """
        raise NotImplementedError


class Sam(Promptable):
    """SAM (Kirillov et al. 2023), MobileSAM (Zhang et al. 2023).

    A box's mask is the first one, as ``multimask_output=False`` has it.
    """

    unused = r"image_encoder\.(?:norm_head|head)(?=\.)"  # TinyViT's classifier

    def __init__(
        self, configuration: VitConfiguration | TinyVitConfiguration, *, heads: int = 8, hidden: int = 2048
    ) -> None:
        super().__init__()
        self.side_px = configuration.side_px
        tiny = isinstance(configuration, TinyVitConfiguration)
        self.image_encoder = TinyVit(configuration) if tiny else Vit(configuration)
        self.prompt_encoder = PromptEncoder(configuration.out, configuration.side_px)
        self.mask_decoder = MaskDecoder(configuration.out, heads, hidden)

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """See the base class."""
        return (self.image_encoder(images),)

    def decode(
        self, features: tuple[Tensor, ...], coords: Tensor, labels: Tensor, mask: Tensor, given: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See the base class."""
        (embedding,) = features
        places = self.prompt_encoder.pe_layer.grid(int(embedding.shape[2]))
        points, cells = self.prompt_encoder.points(coords, labels), self.prompt_encoder.mask(mask, given)
        return self.mask_decoder(embedding, places, points, cells, None)


class Sam2(Promptable):
    """SAM 2 and 2.1 (Ravi et al. 2024) for single pictures, without the memory of videos.

    A box's mask is the first one or, where that is unstable, the best of the others, as the published predictor has it
    with ``multimask_output=False``.
    """

    features = ("image_embed", "high_res_feats_0", "high_res_feats_1")
    resize = "stretch"
    unused = (
        r"memory_attention(?=\.)|memory_encoder(?=\.)|mask_downsample(?=\.)|maskmem_tpos_enc|no_mem_pos_enc|no_obj_ptr|"
        r"no_obj_embed_spatial|obj_ptr_proj(?=\.)|obj_ptr_tpos_proj(?=\.)|sam_mask_decoder\.pred_obj_score_head(?=\.)"
    )

    def __init__(self, configuration: HieraConfiguration) -> None:
        super().__init__()
        self.side_px = configuration.side_px
        self.image_encoder = ImageEncoder(configuration)
        self.no_mem_embed = nn.Parameter(torch.zeros(1, 1, configuration.out))
        self.sam_prompt_encoder = PromptEncoder(configuration.out, configuration.side_px)
        self.sam_mask_decoder = MaskDecoder(configuration.out, second_version=True)

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """See the base class; the second and third have C / 8 and C / 4 channels, at the strides 4 and 8."""
        fine, middle, coarse = self.image_encoder(images)
        embedding = coarse + self.no_mem_embed.reshape(1, -1, 1, 1)  # a first frame: nothing is remembered
        return embedding, self.sam_mask_decoder.conv_s0(fine), self.sam_mask_decoder.conv_s1(middle)

    def decode(
        self, features: tuple[Tensor, ...], coords: Tensor, labels: Tensor, mask: Tensor, given: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See the base class."""
        embedding, fine, middle = features
        encoder = self.sam_prompt_encoder
        places = encoder.pe_layer.grid(int(embedding.shape[2]))
        coords = functional.pad(coords, (0, 0, 0, 1))  # published code has a point that is none behind the corners
        labels = functional.pad(labels, (0, 1), value=NO_POINT)
        points, cells = encoder.points(coords, labels), encoder.mask(mask, given)
        logits, scores = stable(*self.sam_mask_decoder(embedding, places, points, cells, (fine, middle)))
        return logits.clamp(-LARGEST_LOGIT, LARGEST_LOGIT), scores
