"""Shifted images are the same images elsewhere."""

import numpy as np
import pytest

from minidann.backend import to_host
from minidann.data import random_shift


def shifted(place, x, pixels=2, seed=0):
    return to_host(random_shift(place(x), pixels, np.random.default_rng(seed)))


def test_each_image_is_moved_as_a_whole_and_its_border_repeated(place):
    x = np.random.default_rng(1).integers(0, 256, (30, 9, 7, 3), np.uint8)
    padded = np.pad(x, [(0, 0), (2, 2), (2, 2), (0, 0)], mode="edge")
    places = []
    for image, large in zip(shifted(place, x), padded):
        here = [(i, j) for i in range(5) for j in range(5) if np.array_equal(large[i : i + 9, j : j + 7], image)]
        assert len(here) == 1
        places += here
    assert {i for i, _ in places} == {j for _, j in places} == set(range(5))
    assert len(set(places)) > 10  # each its own way


@pytest.mark.parametrize("pixels", [1, 3])
def test_the_farthest_is_reached_and_not_passed(pixels):
    x = np.zeros((400, 11, 11, 1), np.uint8)
    x[:, 5, 5] = 1
    _, rows, columns, _ = np.nonzero(shifted(lambda x: x, x, pixels))
    for moved in (rows - 5, columns - 5):
        assert set(moved) == set(range(-pixels, pixels + 1))
        assert abs(moved.mean()) < 0.3  # no way is preferred
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.2


def test_one_seed_moves_alike_and_nothing_is_changed_in_place():
    x = np.random.default_rng(1).standard_normal((8, 6, 6, 2))
    before = x.copy()
    one, same, other = (shifted(lambda x: x, x, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one, same) and not np.array_equal(one, other) and np.array_equal(x, before)
