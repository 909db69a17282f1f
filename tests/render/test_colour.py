"""Colours are stable, far apart and readable."""

from __future__ import annotations

import cv2
import numpy as np

from tracker.render.colour import class_colour, identity_colour, ink_for, luminance


def lab(identity: int) -> np.ndarray:
    return cv2.cvtColor(np.float32([[identity_colour(identity)]]) / 255, cv2.COLOR_BGR2Lab)[0, 0]


def test_colours_never_change():
    # Recordings of different days are compared by colour: these are part of the interface.
    known = [(246, 146, 19), (116, 129, 252), (115, 157, 21), (251, 158, 197)]
    assert [identity_colour(n) for n in (1, 2, 3, 4)] == known


def test_identities_that_live_together_differ():
    colours = [lab(n) for n in range(1, 300)]
    for first in range(len(colours)):
        for second in range(first + 1, min(first + 24, len(colours))):
            distance = np.linalg.norm(colours[first] - colours[second])
            assert distance > (20 if second - first < 8 else 11)


def test_text_contrast_is_readable_on_every_colour():
    for identity in range(1, 500):
        colour = identity_colour(identity)
        high, low = sorted((luminance(colour), luminance(ink_for(colour))), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_identities_without_limit():
    assert len({identity_colour(n) for n in range(1, 400)}) > 380
    assert all(0 <= channel <= 255 for channel in identity_colour(10**12))


def test_classes_have_colours_of_their_own():
    assert len({class_colour(n) for n in range(6)}) == 6
