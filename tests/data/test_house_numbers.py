"""The shape of house numbers: the labelled digit is in the middle and can be read."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from minidann.data.fonts import find_faces, load_glyphs
from minidann.data.house_measures import BOLDEST
from minidann.data.house_numbers import (
    COLUMNS,
    coverage,
    look_up,
    pixels,
    quantile,
    see,
    spell,
    throw,
)

FACES = find_faces()


def ink_of(chance, size=32):
    """(the number, how much of each pixel is its ink) without any paint."""
    glyphs = load_glyphs(FACES)
    number = spell(chance, glyphs)
    x, y, scale = see(chance, size)
    return number, coverage(look_up(glyphs, number, x, y) + pixels(number["weight"]), scale)


def plain(label, font):
    """The chance of one upright digit alone, as wide as its font has it, with its own stroke."""
    finer, bolder = (
        0.12 * load_glyphs(FACES).strokes[font],
        BOLDEST - load_glyphs(FACES).strokes[font],
    )
    chance = {name: np.full((1, 1), 0.5, np.float32) for name in COLUMNS}
    values = dict(
        label=(label + 0.5) / 10,
        font=load_glyphs(FACES).shares[font] - 0.001,
        length=0.0,
        aspect=1.0,
        height=0.8,
        weight=finer / (finer + max(bolder, 0.012)),
    )
    return chance | {name: np.full((1, 1), value, np.float32) for name, value in values.items()}


def reference(digit, face, box):
    """A digit as Pillow draws it, in a 32x32 picture of 0..1.

    It is stretched to a box (left, top, right, bottom).
    """
    glyph = Image.new("L", (300, 300))
    character, font = chr(ord(face.zero) + digit), ImageFont.truetype(face.path, 100)
    ImageDraw.Draw(glyph).text((100, 100), character, 255, font)
    glyph = glyph.crop(glyph.getbbox())
    picture = Image.new("L", (32, 32))
    picture.paste(glyph.resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.BOX), box[:2])
    return np.asarray(picture) / 255


@pytest.mark.parametrize("font", range(len(FACES)))
def test_labelled_digit_is_in_the_middle(font):
    """Drawn plain, the ink is more like Pillow's glyph of the label than that of another digit."""
    overlaps = np.zeros((10, 10))
    for label in range(10):
        number, ink = ink_of(plain(label, font))
        rows, columns = (np.flatnonzero((ink[0] > 0.5).any(axis)) for axis in (1, 0))
        assert number["label"].item() == label
        assert abs(columns[0] + columns[-1] - 31) <= 2 and abs(rows[0] + rows[-1] - 31) <= 3
        box = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
        for digit in range(10):
            drawn = reference(digit, FACES[font], box)
            overlaps[label, digit] = (
                np.minimum(ink[0], drawn).sum() / np.maximum(ink[0], drawn).sum()
            )
    np.testing.assert_array_equal(overlaps.argmax(1), np.arange(10))
    assert overlaps.diagonal().min() > 0.6


def test_quantiles_are_those_of_the_table():
    values = quantile(np.linspace(0, 1, 10_001), (-1, 0, 0.5, 2, 8))
    np.testing.assert_allclose(np.quantile(values, (0, 0.25, 0.5, 0.75, 1)), (-1, 0, 0.5, 2, 8))


def test_fonts_have_their_shares():
    font = spell(throw(np.random.default_rng(0), 20_000), load_glyphs(FACES))["font"]
    share = np.bincount(font[:, 0], minlength=len(FACES)) / 20_000
    np.testing.assert_allclose(share, [face.share for face in FACES], atol=0.01)


def test_labelled_digit_stays_near_the_middle():
    """With everything varied, the labelled digit's ink is never far from the image's middle."""
    chance = throw(np.random.default_rng(0), 500)
    chance["length"][:] = 0
    _, ink = ink_of(chance)
    place = np.arange(32) - 15.5
    x, y = (
        (ink * place).sum((1, 2)) / ink.sum((1, 2)),
        (ink * place[:, None]).sum((1, 2)) / ink.sum((1, 2)),
    )
    assert np.abs(x).max() < 7 and np.abs(y).max() < 8  # a 7 is heavy at the top
    assert np.abs([x.mean(), y.mean()]).max() < 1


def test_labelled_digit_is_the_one_nearest_to_the_middle():
    chance = throw(np.random.default_rng(0), 2000)
    number = spell(chance, load_glyphs(FACES))
    x, y, _ = see(chance, 33)
    at = x[:, 16, 16, None], y[:, 16, 16, None]
    away = np.hypot(number["centre"] - at[0], number["rise"] - at[1])
    away[~number["there"]] = np.inf
    assert (away.argmin(1) == 2).mean() > 0.99


def test_neighbours_reach_in_from_the_sides():
    number, ink = ink_of(throw(np.random.default_rng(0), 2000))
    digits = number["there"].sum(1)
    at_sides = ink[:, :, [0, 1, 2, -3, -2, -1]].max((1, 2)) > 0.5
    assert set(digits) == {1, 2, 3} and np.bincount(digits)[1:].min() > 100
    assert at_sides[digits == 1].mean() < 0.15 and at_sides[digits > 1].mean() > 0.7


def test_a_number_has_the_label_anywhere():
    number, _ = ink_of(throw(np.random.default_rng(0), 2000))
    before, after = number["there"][:, :2].sum(1), number["there"][:, 3:].sum(1)
    assert number["there"][:, 2].all()
    assert {(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0)} == set(
        zip(before.tolist(), after.tolist(), strict=True)
    )
