"""Blobs: where they lie, and how well anything can do on them."""

import math

import numpy as np
import pytest

from minidann.data import make_blobs_pair, make_moons_pair

CENTRES = [[[0, 0], [0, 1]], [[1, -1], [1, 0]]]
CEILING = 0.5 * (1 + math.erf(0.5 / (0.2 * math.sqrt(2)) / math.sqrt(2)))  # Phi(0.5 / (0.2 sqrt 2))


@pytest.fixture(scope="module")
def pair():
    return make_blobs_pair(20000, seed=1)


@pytest.mark.parametrize("domain", [0, 1])
def test_blobs_lie_around_their_centres(pair, domain):
    x, y = pair[domain]
    assert (
        x.dtype == np.float32 and y.dtype == np.int64 and np.bincount(y).tolist() == [10000, 10000]
    )
    for label, centre in enumerate(CENTRES[domain]):
        np.testing.assert_allclose(x[y == label].mean(axis=0), centre, atol=0.01)
        np.testing.assert_allclose(x[y == label].std(axis=0), 0.2, atol=0.01)


@pytest.mark.parametrize("domain", [0, 1])
def test_the_invariant_direction_reaches_the_ceiling_on_both_domains(pair, domain):
    x, y = pair[domain]
    assert pytest.approx(0.9615, abs=1e-4) == CEILING
    assert ((x.sum(axis=1) > 0.5) == y).mean() == pytest.approx(CEILING, abs=0.005)


def test_what_the_source_alone_teaches_is_right_for_half_of_the_target(pair):
    source, target = pair
    assert ((source.x[:, 1] > 0.5) == source.y).mean() > 0.99
    assert ((target.x[:, 1] > 0.5) == target.y).mean() == pytest.approx(0.5, abs=0.01)


def test_the_domains_do_not_share_their_noise(pair):
    noise = [x - np.array(centres)[y] for (x, y), centres in zip(pair, CENTRES)]
    assert abs((noise[0] * noise[1]).mean()) < 0.001


def test_blobs_follow_their_seed_and_options():
    first, again, other = (make_blobs_pair(40, seed=seed) for seed in (0, 0, 1))
    for a, b, c in zip(first, again, other):
        assert (
            np.array_equal(a.x, b.x) and np.array_equal(a.y, b.y) and not np.array_equal(a.x, c.x)
        )
    assert len(make_blobs_pair(7)[0].x) == 7
    x, y = make_blobs_pair(10, cluster_std=0.0)[1]
    np.testing.assert_allclose(x, np.array(CENTRES[1])[y])


def test_moons_are_two_half_circles_and_the_same_turned_by_35_degrees():
    source, target = make_moons_pair(2000, noise=0.0)
    assert [np.bincount(points.y).tolist() for points in (source, target)] == [[1000, 1000]] * 2
    for points, degrees in ((source, 0), (target, 35)):
        angle = np.deg2rad(-degrees)
        back = points.x @ np.array(
            [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
        )  # turned back
        first = back[points.y == 0] / 2 + [0.5, 0.25]
        second = back[points.y == 1] / 2 + [0.5, 0.25]
        np.testing.assert_allclose(np.hypot(*first.T), 1, atol=1e-5)
        assert (first[:, 1] > -1e-6).all()
        np.testing.assert_allclose(np.hypot(*(second - [1, 0.5]).T), 1, atol=1e-5)


def test_moons_follow_their_seed_and_the_target_is_another_draw():
    first, again, other = (make_moons_pair(50, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for p, q in zip(first, again) for a, b in zip(p, q))
    assert not np.array_equal(first[0].x, other[0].x)
    unturned_source, unturned_target = make_moons_pair(50, seed=1, degrees=0)
    assert np.array_equal(unturned_source.x, first[0].x) and not np.array_equal(
        unturned_target.x, unturned_source.x
    )
    assert {array.dtype for points in first for array in points} == {
        np.dtype(np.float32),
        np.dtype(np.int64),
    }
