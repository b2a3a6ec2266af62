"""The pair of domains that needs no files."""

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_sample_images

from minidann.data import load_digits_pair, make_mnistm
from minidann.data.sklearn_digits import FAINT, enlarge


@pytest.fixture(scope="module")
def pair():
    return load_digits_pair()


def test_shapes_and_types(pair):
    for domain in pair:
        assert domain.x_train.shape == (1347, 28, 28, 3) and domain.x_test.shape == (450, 28, 28, 3)
        assert (
            domain.x_train.dtype == domain.x_test.dtype == np.uint8
            and domain.y_train.dtype == domain.y_test.dtype == np.int64
        )


def test_every_digit_is_there_once_and_every_class_in_equal_parts(pair):
    source, target = pair
    total = np.bincount(load_digits().target)
    np.testing.assert_array_equal(np.bincount(source.y_train) + np.bincount(source.y_test), total)
    np.testing.assert_allclose(np.bincount(source.y_test), total / 4, atol=1)
    assert np.array_equal(source.y_train, target.y_train) and np.array_equal(
        source.y_test, target.y_test
    )


def test_images_stay_with_their_labels(pair):
    """The nearest class mean names most test digits."""
    source, _ = pair
    means = np.stack([source.x_train[source.y_train == k].mean(axis=0).ravel() for k in range(10)])
    distance = ((source.x_test.reshape(450, 1, -1) / 255 - means / 255) ** 2).sum(axis=2)
    assert (distance.argmin(axis=1) == source.y_test).mean() > 0.8


def test_source_digits_are_grey_or_black_and_white_in_equal_channels(pair):
    x, binary = pair[0].x_train, load_digits_pair(binarize=True)[0].x_train
    assert len(np.unique(x)) > 50 and (x == x[..., :1]).all()
    np.testing.assert_array_equal(binary, np.where(x > 0, 255, 0))
    assert 0.1 < (x > 0).mean() < 0.4


def test_the_target_is_the_same_beside_either_source(pair):
    """Photographs, which full ink inverts: a pixel and its inverse make 255."""
    source, target = pair
    assert np.array_equal(target.x_train, load_digits_pair(binarize=True)[1].x_train)
    blank = np.zeros_like(source.x_train[..., 0])
    ground = make_mnistm(blank, load_sample_images().images, seed=(0, 0))
    ink = source.x_train > 0
    np.testing.assert_array_equal(target.x_train, np.where(ink, 255 - ground, ground))


def test_the_seed_moves_the_patches_and_nothing_else(pair):
    source, target = pair
    (source_again, again), (source_other, other) = (load_digits_pair(seed=seed) for seed in (0, 1))
    assert all(np.array_equal(a, b) for a, b in zip((*source, *target), (*source_again, *again)))
    assert all(np.array_equal(a, b) for a, b in zip(source, source_other))
    assert not np.array_equal(target.x_train, other.x_train) and np.array_equal(
        target.y_train, other.y_train
    )


def test_enlarged_digits_have_an_empty_border_and_no_halo():
    large = enlarge(load_digits().images[0])
    assert large.shape == (28, 28) and large.dtype == np.uint8
    assert (
        not large[:2].any()
        and not large[-2:].any()
        and not large[:, :2].any()
        and not large[:, -2:].any()
    )
    assert large[large > 0].min() >= FAINT


@pytest.mark.parametrize("level, expected", [(0, 0), (16, 255)])
def test_enlarging_keeps_black_and_white(level, expected):
    np.testing.assert_array_equal(enlarge(np.full((8, 8), float(level)))[2:-2, 2:-2], expected)
