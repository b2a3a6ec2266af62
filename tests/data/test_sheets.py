"""Contact sheets: every kind of data is drawn, under its own labels."""

import sys
import types
from typing import NamedTuple

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from minidann.data import make_blobs_pair, sheets
from minidann.data.__main__ import main
from minidann.data.mnist import Digits


class Reviews(NamedTuple):
    x_train: np.ndarray
    y_train: np.ndarray


def digits(shape, labels):
    """Images whose grey is ten times their label."""
    x = np.repeat(10 * labels, int(np.prod(shape))).reshape(len(labels), *shape).astype(np.uint8)
    return Digits(x, labels, x, labels)


DATA = {
    "grey digits": digits((28, 28), np.arange(50) % 10),
    "coloured digits": digits((32, 32, 3), np.arange(50) % 10),
    "a digit missing": digits((16, 16), np.arange(50) % 9),
    "points": make_blobs_pair(20),
    "photographs": [np.full((40, 60, 3), i, np.uint8) for i in range(3)],
    "reviews": Reviews(np.eye(30, 50, dtype=np.float32), np.arange(30) % 2),
}


@pytest.mark.parametrize("name", DATA)
def test_a_sheet_of_each_kind_is_written(name, tmp_path, monkeypatch):
    catalogue = types.ModuleType("catalogue")
    catalogue.DATASETS = {name: types.SimpleNamespace(title=name, load=lambda data_dir: DATA[name])}
    monkeypatch.setitem(sys.modules, "minidann.data.registry", catalogue)
    sheets.show([name, name], tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.size[0] > 1.5 * image.size[1] and len(np.unique(image.convert("L"))) > 3
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


@pytest.mark.parametrize("name", ["grey digits", "coloured digits"])
def test_every_column_holds_the_digits_of_its_label(name):
    axis = Figure().subplots()
    sheets.draw(axis, DATA[name], np.random.default_rng(0))
    drawn = axis.images[0].get_array()
    columns = drawn.reshape(drawn.shape[0], 10, -1)
    assert [set(np.unique(columns[:, label]).tolist()) for label in range(10)] == [
        {10 * label} for label in range(10)
    ]
    assert [text.get_text() for text in axis.get_xticklabels()] == [
        str(label) for label in range(10)
    ]


def test_of_many_classes_each_has_its_place_and_number():
    axis = Figure().subplots()
    labels = np.delete(np.arange(172) % 43, 5)
    x = np.repeat(labels, 16).reshape(-1, 4, 4)[..., None].repeat(3, axis=3).astype(np.uint8)
    sheets.draw(axis, Digits(x, labels, x, labels), np.random.default_rng(0))
    drawn = axis.images[0].get_array()
    assert drawn.shape == (3 * 2 * 4, 15 * 4, 3)  # three rows of fifteen columns of two images
    assert [text.get_text() for text in axis.texts] == [str(label) for label in range(43)]
    for label, text in enumerate(axis.texts):
        right, down = (int(at) // 4 for at in text.get_position())
        assert (drawn[4 * down : 4 * down + 8, 4 * right : 4 * right + 4] == label).all()
    assert (drawn[16:, 13 * 4 :] == 255).all()  # there is no class 43


def test_positive_reviews_stand_below_negative_ones():
    axis = Figure().subplots()
    positive = np.arange(30) % 2
    sheets.draw(
        axis,
        Reviews(np.repeat(positive[:, None], 4, axis=1).astype(np.float32), positive),
        np.random.default_rng(0),
    )
    drawn = np.asarray(axis.images[0].get_array())
    assert not drawn[:15].any() and drawn[15:].all()
    assert axis.lines[0].get_ydata()[0] == 14.5


@pytest.mark.parametrize("name", ["sheet", "sheet.bmp", "sheet.npz", ".png"])
def test_a_name_that_is_of_no_picture_is_refused_before_anything_is_read(name, tmp_path, capsys):
    out = tmp_path / name
    assert main(["show", "mnist", "--data-dir", str(tmp_path), "--out", str(out)]) == 1
    error = capsys.readouterr().err
    assert str(out) in error and ".png, .jpg" in error and error.count("\n") == 1


@pytest.mark.parametrize("suffix", sheets.FORMATS)
def test_every_kind_of_picture_that_is_named_can_be_written(suffix, tmp_path):
    out = tmp_path / f"sheet.{suffix.upper()}"
    sheets.show(["blobs"], out)
    assert out.stat().st_size
