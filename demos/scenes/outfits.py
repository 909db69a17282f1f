"""Random outfits: clothes, hair and skin by face of a walker's body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Outfit", "part_colour", "random_outfit"]

Colour = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Outfit:
    """Clothes, hair and skin of a person; colours are BGR 0..255.

    Attributes:
        top: Shirt, pullover or jacket.
        bottom: Trousers, skirt or shorts.
        shoes: Both.
        skin: Face, hands, bare arms and legs.
        hair: Head.
        sleeves: Share of the arm that is covered, 0.4 short to 1 long.
        pattern: ``plain``, ``stripes``, ``open`` (jacket over a shirt) or ``block`` (two colours).
        second: The other colour of the pattern.
        skirt: Whether legs are bare below a skirt.
        coat: Whether the top reaches down to the knees.
        long_hair: Whether hair falls to the shoulders.
        backpack: Its colour, or ``None``.
        bag: Colour of a bag or basket in the left hand, or ``None``.
        girth: Width against the standard body.
    """

    top: Colour
    bottom: Colour
    shoes: Colour = (40, 40, 42)
    skin: Colour = (130, 165, 215)
    hair: Colour = (25, 32, 42)
    sleeves: float = 1.0
    pattern: str = "plain"
    second: Colour = (225, 225, 225)
    skirt: bool = False
    coat: bool = False
    long_hair: bool = False
    backpack: Colour | None = None
    bag: Colour | None = None
    girth: float = 1.0


_TOPS = (
    (46, 40, 178),
    (168, 92, 36),
    (60, 130, 60),
    (40, 150, 220),
    (220, 220, 222),
    (50, 48, 46),
    (128, 70, 110),
    (176, 150, 70),
    (120, 110, 200),
    (96, 98, 100),
    (30, 90, 160),
    (150, 190, 220),
)
_BOTTOMS = ((92, 58, 36), (48, 42, 40), (60, 60, 62), (110, 130, 150), (36, 34, 32), (130, 96, 66), (84, 104, 118))
_SKINS = ((150, 180, 225), (128, 162, 212), (100, 134, 186), (66, 96, 146), (46, 66, 104))
_HAIRS = ((20, 22, 26), (24, 30, 40), (28, 44, 70), (24, 28, 34), (128, 178, 205), (134, 138, 144))


_BAGS = ((44, 60, 84), (50, 50, 130), (56, 56, 58), (92, 70, 48), (60, 84, 62), (36, 34, 34))


def random_outfit(rng: np.random.Generator) -> Outfit:
    """One of very many outfits."""

    def pick(colours: Sequence[Colour]) -> Colour:
        base = np.array(colours[int(rng.integers(len(colours)))]) * rng.uniform(0.85, 1.12)
        return (float(min(base[0], 250)), float(min(base[1], 250)), float(min(base[2], 250)))

    woman = rng.random() < 0.5
    return Outfit(
        top=pick(_TOPS),
        bottom=pick(_BOTTOMS),
        shoes=pick(((40, 40, 42), (210, 210, 212), (50, 70, 100), (36, 36, 120))),
        skin=pick(_SKINS),
        hair=pick(_HAIRS),
        sleeves=1.0 if rng.random() < 0.65 else 0.42,
        pattern=str(rng.choice(("plain", "plain", "stripes", "open", "block"))),
        second=pick(_TOPS),
        skirt=bool(woman and rng.random() < 0.3),
        coat=bool(rng.random() < 0.15),
        long_hair=bool(woman and rng.random() < 0.75),
        backpack=pick(_BAGS) if rng.random() < 0.16 else None,
        bag=pick(_BAGS) if rng.random() < 0.35 else None,
        girth=float(rng.uniform(0.93, 1.16)),
    )


def part_colour(outfit: Outfit, place: tuple[str, int], forward_deg: float) -> Colour:
    """The colour of one face of the body.

    Args:
        outfit: Clothes, hair and skin.
        place: Which tube (``trunk``, ``head``, ``thigh``, ...) and which ring of it, from its start.
        forward_deg: How far around the tube from straight ahead, 0..180.
    """
    part, number = place
    if part == "trunk":
        return _trunk_colour(outfit, number, forward_deg)
    if part == "head":
        return _head_colour(outfit, number, forward_deg)
    if part in ("thigh", "shank"):
        return outfit.skin if outfit.skirt else outfit.bottom
    if part in ("upper", "fore"):
        share = number / 7 * 0.55 if part == "upper" else 0.6 + number / 4 * 0.4
        return outfit.top if share < outfit.sleeves else outfit.skin
    fixed: dict[str, Colour | None] = {
        "neck": outfit.skin,
        "hand": outfit.skin,
        "shoe": outfit.shoes,
        "skirt": outfit.bottom,
        "coat": outfit.top,
        "mane": outfit.hair,
        "pack": outfit.backpack,
        "bag": outfit.bag,
    }
    return fixed[part] or outfit.top


def _trunk_colour(outfit: Outfit, ring: int, forward_deg: float) -> Colour:
    if ring == 0 or (ring == 1 and not outfit.coat):
        return outfit.bottom
    if ring >= 9:
        return outfit.second if outfit.pattern == "open" else outfit.top
    if outfit.pattern == "stripes" and ring % 2:
        return outfit.second
    if outfit.pattern == "open" and forward_deg < 28:
        return outfit.second
    if outfit.pattern == "block" and ring < 5:
        return outfit.second
    return outfit.top


def _head_colour(outfit: Outfit, ring: int, forward_deg: float) -> Colour:
    if ring >= 7 or forward_deg > 100 or (forward_deg > 75 and ring >= 3) or (ring == 6 and forward_deg > 40):
        return outfit.hair if ring >= 2 else outfit.skin
    if ring == 4 and 12 < forward_deg < 48:
        dark = 0.42
        return (outfit.skin[0] * dark, outfit.skin[1] * dark, outfit.skin[2] * dark)
    if ring == 1 and forward_deg < 30:
        return (outfit.skin[0] * 0.75, outfit.skin[1] * 0.68, outfit.skin[2] * 0.85)
    return outfit.skin
