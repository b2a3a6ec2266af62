"""Stored images become network input: minus a mean, divided by 255 or by their own deviation."""

import numpy as np
import pytest

from minidann.data import as_pair, load_digits_pair
from minidann.data.preprocessing import normalize, preparation, standardize
from minidann.runtime.arrays import to_host


@pytest.fixture
def images():
    x = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), np.uint8)
    x[..., 1] //= 3
    return x


@pytest.mark.parametrize("mean", ["joint", "domain"])
def test_the_mean_of_both_training_sets_or_of_each_is_subtracted(mean):
    source, target = as_pair(*load_digits_pair(), mean=mean)
    same = mean == "joint"
    assert np.array_equal(source.mean, target.mean) == same
    centred = [normalize(domain.x_train, domain.mean) for domain in (source, target)]
    for x in [np.concatenate(centred)] if same else centred:
        assert x.dtype == np.float32
        np.testing.assert_allclose(x.mean(axis=(0, 1, 2), dtype=np.float64), 0, atol=1e-6)
        np.testing.assert_allclose(np.ptp(x, axis=(0, 1, 2)), 1, atol=1e-6)


def test_each_image_gets_its_own_mean_and_variance_taken_away(images, place):
    y = to_host(standardize(place(images)))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.mean(axis=(1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(y.var(axis=(1, 2, 3)), 1, rtol=1e-3)
    np.testing.assert_allclose(
        y.std(axis=(1, 2)) / images.std(axis=(1, 2)),
        np.repeat(1 / np.sqrt(images.var(axis=(1, 2)).mean(axis=1))[:, None], 3, axis=1),
        rtol=1e-3,
    )
    brighter, empty = 40 + images // 2, np.zeros_like(images)
    np.testing.assert_allclose(standardize(brighter), y, atol=0.03)  # but for rounding
    assert not standardize(empty).any()


def test_images_without_a_mean_are_prepared_by_their_own(images, place):
    mean = np.array([100.0, 50.0, 20.0], np.float32)
    np.testing.assert_array_equal(
        to_host(preparation(mean, place)(images)), to_host(normalize(place(images), place(mean)))
    )
    np.testing.assert_array_equal(
        to_host(preparation(None, place)(images)), to_host(standardize(place(images)))
    )
