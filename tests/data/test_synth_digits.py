"""Drawn house numbers: that the label is the digit in the middle, that it can be read, and that a seed is a seed."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from minidann.data.mnist import Digits
from minidann.data.synth_digits import (
    COLUMNS,
    FONTS,
    LARGEST,
    LUMA,
    MIN_CONTRAST,
    choose_colours,
    coverage,
    draw,
    flaw,
    font_paths,
    load_glyphs,
    load_synth_digits,
    look_up,
    make_synth_digits,
    pixels,
    see,
    spell,
    throw,
)
from minidann.runtime.errors import InputError

SHIPPED = Path(matplotlib.get_data_path(), "fonts", "ttf")


@pytest.fixture(scope="module")
def drawn():
    return make_synth_digits(2000)


def ink_of(chance, size=32):
    """(the number, how much of each pixel is its ink) without any paint."""
    glyphs = load_glyphs(font_paths())
    number = spell(chance, glyphs)
    x, y, scale = see(chance, size)
    return number, coverage(look_up(glyphs, number, x, y) + pixels(number["weight"]), scale)


def plain(label, font):
    """The chance of one upright digit alone, as wide as its font has it, with its own stroke."""
    chance = {name: np.full((1, 1), 0.5, np.float32) for name in COLUMNS}
    values = dict(
        label=(label + 0.5) / 10,
        font=(font + 0.5) / len(FONTS),
        length=0.0,
        aspect=0.7,
        height=1.0,
        weight=0.4,
    )
    return chance | {name: np.full((1, 1), value, np.float32) for name, value in values.items()}


def reference(digit, path, box):
    """A digit as Pillow draws it, stretched to a box (left, top, right, bottom) of a 32x32 picture of 0..1."""
    glyph = Image.new("L", (300, 300))
    ImageDraw.Draw(glyph).text((100, 100), str(digit), 255, ImageFont.truetype(path, 100))
    glyph = glyph.crop(glyph.getbbox())
    picture = Image.new("L", (32, 32))
    picture.paste(glyph.resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.BOX), box[:2])
    return np.asarray(picture) / 255


# ---- arrays


def test_shapes_and_types(drawn):
    images, labels = drawn
    assert images.shape == (2000, 32, 32, 3) and images.dtype == np.uint8
    assert labels.shape == (2000,) and labels.dtype == np.int64


def test_labels_are_balanced(drawn):
    share = np.bincount(drawn[1], minlength=10) / 2000
    assert len(share) == 10 and share.min() > 0.08 and share.max() < 0.12


@pytest.mark.parametrize("size", [16, 48])
def test_other_sizes(size):
    images, labels = make_synth_digits(70, size=size)
    assert images.shape == (70, size, size, 3)
    np.testing.assert_array_equal(labels, make_synth_digits(70)[1])


def test_smallest():
    assert make_synth_digits(1)[0].shape == (1, 32, 32, 3)


@pytest.mark.parametrize("n", [0, -1, LARGEST + 1])
def test_refuses_numbers_out_of_range(n):
    with pytest.raises(InputError, match=str(n)):
        make_synth_digits(n)
    with pytest.raises(InputError, match=str(n)):
        load_synth_digits(10, n)


@pytest.mark.parametrize("size", [15, 129])
def test_refuses_sizes_out_of_range(size):
    with pytest.raises(InputError, match=str(size)):
        make_synth_digits(1, size=size)


# ---- the seed


def test_same_seed_same_images(drawn):
    for once, again in zip(drawn, make_synth_digits(2000), strict=True):
        np.testing.assert_array_equal(once, again)


@pytest.mark.parametrize("n", [1, 63, 65, 200])
def test_first_images_are_those_of_fewer(drawn, n):
    for many, few in zip(drawn, make_synth_digits(n), strict=True):
        np.testing.assert_array_equal(many[:n], few)


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_chunks_make_no_difference(drawn, chunk):
    for some, whole in zip(draw(150, np.random.SeedSequence(0), chunk=chunk), drawn, strict=True):
        np.testing.assert_array_equal(some, whole[:150])


def test_seeds_differ(drawn):
    images, labels = make_synth_digits(200, seed=1)
    assert (labels != drawn[1][:200]).mean() > 0.8
    assert not (images == drawn[0][:200]).all((1, 2, 3)).any()


def test_train_and_test_are_drawn_apart(drawn):
    digits = load_synth_digits(300, 200)
    assert isinstance(digits, Digits)
    np.testing.assert_array_equal(digits.x_train, drawn[0][:300])
    np.testing.assert_array_equal(digits.y_train, drawn[1][:300])
    assert digits.x_test.shape == (200, 32, 32, 3) and digits.y_test.shape == (200,)
    assert not {image.tobytes() for image in digits.x_train} & {
        image.tobytes() for image in digits.x_test
    }
    assert (digits.y_train[:200] != digits.y_test).mean() > 0.8


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_test_images_are_no_other_seed_s(seed):
    assert (load_synth_digits(1, 100).y_test != make_synth_digits(100, seed=seed)[1]).mean() > 0.7


# ---- what is drawn


@pytest.mark.parametrize("font", range(len(FONTS)), ids=FONTS)
def test_labelled_digit_is_in_the_middle(font):
    """Drawn plain, the ink is Pillow's glyph of the label, and more like it than like any other digit's."""
    overlaps = np.zeros((10, 10))
    for label in range(10):
        number, ink = ink_of(plain(label, font))
        rows, columns = (np.flatnonzero((ink[0] > 0.5).any(axis)) for axis in (1, 0))
        assert number["label"].item() == label
        assert abs(columns[0] + columns[-1] - 31) <= 2 and abs(rows[0] + rows[-1] - 31) <= 3
        box = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
        for digit in range(10):
            drawn = reference(digit, font_paths()[font], box)
            overlaps[label, digit] = (
                np.minimum(ink[0], drawn).sum() / np.maximum(ink[0], drawn).sum()
            )
    np.testing.assert_array_equal(overlaps.argmax(1), np.arange(10))
    assert overlaps.diagonal().min() > 0.6


def test_labelled_digit_stays_near_the_middle():
    """With everything varied, the middle of the labelled digit's ink is never far from the image's."""
    chance = throw(np.random.default_rng(0), 500)
    chance["length"][:] = 0
    _, ink = ink_of(chance)
    place = np.arange(32) - 15.5
    x, y = (
        (ink * place).sum((1, 2)) / ink.sum((1, 2)),
        (ink * place[:, None]).sum((1, 2)) / ink.sum((1, 2)),
    )
    assert np.abs(x).max() < 6 and np.abs(y).max() < 8  # a 7 is heavy at the top
    assert np.abs([x.mean(), y.mean()]).max() < 1


def test_neighbours_reach_in_from_the_sides():
    number, ink = ink_of(throw(np.random.default_rng(0), 2000))
    digits = number["there"].sum(1)
    at_sides = ink[:, :, [0, 1, 2, -3, -2, -1]].max((1, 2)) > 0.5
    assert set(digits) == {1, 2, 3} and np.bincount(digits)[1:].min() > 200
    assert at_sides[digits == 1].mean() < 0.15 and at_sides[digits > 1].mean() > 0.7


def test_a_number_has_the_label_anywhere():
    number, _ = ink_of(throw(np.random.default_rng(0), 2000))
    before, after = number["there"][:, :2].sum(1), number["there"][:, 3:].sum(1)
    assert number["there"][:, 2].all()
    assert {(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0)} == set(
        zip(before.tolist(), after.tolist(), strict=True)
    )


def test_contrast_is_never_zero():
    shades, colours = choose_colours(throw(np.random.default_rng(0), 5000))
    contrast = np.abs(shades["ink"] - shades["ground"])
    assert contrast.min() > MIN_CONTRAST - 1e-5
    assert (contrast < 0.25).mean() > 0.15 and (contrast > 0.4).mean() > 0.15
    assert 0.4 < (shades["ink"] > shades["ground"]).mean() < 0.6
    for name, colour in colours.items():
        assert colour.min() > -1e-5 and colour.max() < 1 + 1e-5
        np.testing.assert_allclose(colour[:, :, 0, 0] @ LUMA, shades[name][:, 0], atol=1e-5)


def test_no_image_is_blank(drawn):
    grey = drawn[0][:, 4:28, 8:24] @ LUMA / 255
    assert np.ptp(grey, axis=(1, 2)).min() > 0.05


def test_brightness_is_that_of_photographs(drawn):
    grey = drawn[0] @ LUMA / 255
    assert 0.38 < grey.mean() < 0.52
    assert 0.16 < grey.std() < 0.26
    assert 0.08 < grey.std((1, 2)).mean() < 0.18


def test_labels_can_be_learnt(drawn):
    """Ridge regression on edge directions, which do not mind light on dark or dark on light; chance is 0.1."""
    images, labels = make_synth_digits(3500)
    down, right = np.gradient(images @ LUMA, axis=(1, 2))
    angle = 2 * np.arctan2(down, right)
    edges = np.stack(
        [np.hypot(down, right) * np.clip(np.cos(angle - k * np.pi / 2), 0, None) for k in range(4)],
        -1,
    )
    cells = edges.reshape(-1, 8, 4, 8, 4, 4).sum((2, 4)).reshape(len(images), -1)
    cells = np.sqrt(cells / cells.sum(1, keepdims=True))
    cells = np.hstack([cells - cells[:3000].mean(0), np.ones((len(cells), 1))])
    weights = np.linalg.solve(
        cells[:3000].T @ cells[:3000] + 0.3 * np.eye(cells.shape[1]),
        cells[:3000].T @ np.eye(10)[labels[:3000]],
    )
    accuracy = ((cells[3000:] @ weights).argmax(1) == labels[3000:]).mean()
    assert accuracy > 0.5


# ---- fonts


@pytest.mark.parametrize("path", font_paths(), ids=FONTS)
def test_digits_of_a_font_are_distinct(path):
    glyphs = load_glyphs((path,))
    assert not flaw(path)
    assert (
        glyphs.fields.shape == (11, 64, 64)
        and (glyphs.fields[:10].max((1, 2)) > 0).all()
        and (glyphs.fields[10] < 0).all()
    )
    ink = (glyphs.fields[:10] > 0).reshape(10, -1)
    differ = (ink[:, None] != ink).sum(2) / ink.sum(1)
    assert differ[~np.eye(10, dtype=bool)].min() > 0.1


def test_distance_field_measures_distance():
    """Left of a zero the outline comes nearer by 1/40 of its height with every sample."""
    left = load_glyphs((str(SHIPPED / "DejaVuSans.ttf"),)).fields[0][32, :8]
    np.testing.assert_allclose(np.diff(left), 1 / 40, atol=1e-3)


@pytest.mark.parametrize(
    "name", ["cmsy10.ttf", "cmex10.ttf", "cmmi10.ttf", "STIXNonUni.ttf", "STIXSizOneSymReg.ttf"]
)
def test_symbol_fonts_are_refused(name):
    with pytest.raises(InputError, match=name):
        make_synth_digits(1, fonts=[SHIPPED / name])


def test_given_fonts_are_used(drawn):
    images, labels = make_synth_digits(100, fonts=[SHIPPED / "DejaVuSans-Bold.ttf"])
    np.testing.assert_array_equal(labels, drawn[1][:100])
    assert (images != drawn[0][:100]).any((1, 2, 3)).mean() > 0.8


def test_unreadable_fonts_are_refused(tmp_path):
    (tmp_path / "no.ttf").write_bytes(b"no font")
    for path in (tmp_path / "no.ttf", tmp_path / "absent.ttf"):
        with pytest.raises(InputError, match=path.name):
            make_synth_digits(1, fonts=[path])


@pytest.mark.parametrize("fonts", [[], "windows"])
def test_no_fonts_are_refused(fonts):
    with pytest.raises(InputError, match="font"):
        make_synth_digits(1, fonts=fonts)


def test_system_fonts_come_after_matplotlib_s(tmp_path, monkeypatch):
    mine, symbols = tmp_path / "mine.ttf", tmp_path / "symbols.ttf"
    mine.write_bytes((SHIPPED / "cmr10.ttf").read_bytes())
    symbols.write_bytes((SHIPPED / "cmsy10.ttf").read_bytes())
    monkeypatch.setattr(
        "matplotlib.font_manager.findSystemFonts",
        lambda: [str(symbols), str(mine), str(SHIPPED / "cmr10.ttf")],
    )
    assert font_paths("system") == (*font_paths(), str(mine))
    assert make_synth_digits(5, fonts="system")[0].shape == (5, 32, 32, 3)


def test_quick_work_shows_no_bar(capsys):
    make_synth_digits(20)
    make_synth_digits(20, progress=False)
    assert capsys.readouterr().err == ""
