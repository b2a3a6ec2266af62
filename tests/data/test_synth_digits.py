"""Drawn house numbers: shapes, labels, seeds, and that the labels can be learnt."""

import numpy as np
import pytest

from minidann.data.house_camera import LUMA
from minidann.data.mnist import Digits
from minidann.data.synth_digits import LARGEST, draw, load_synth_digits, make_synth_digits
from minidann.runtime.errors import InputError


@pytest.fixture(scope="module")
def drawn():
    return make_synth_digits(2000)


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


def test_no_image_is_blank(drawn):
    grey = drawn[0][:, 4:28, 8:24] @ LUMA / 255
    assert np.ptp(grey, axis=(1, 2)).min() > 0.05


def test_brightness_is_that_of_photographs(drawn):
    grey = drawn[0] @ LUMA / 255
    assert 0.38 < grey.mean() < 0.52
    assert 0.16 < grey.std() < 0.26
    assert 0.08 < grey.std((1, 2)).mean() < 0.18


def test_labels_can_be_learnt(drawn):
    """Ridge regression on edge directions, the same for light on dark and dark on light.

    Chance is 0.1.
    """
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


def test_quick_work_shows_no_bar(capsys):
    make_synth_digits(20)
    make_synth_digits(20, progress=False)
    assert capsys.readouterr().err == ""
