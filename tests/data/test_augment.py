"""Bent images are the same images, looked at elsewhere; covered ones, but for a square."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from minidann.data import augment, cutout, random_colours, random_negatives, random_warp
from minidann.runtime.arrays import to_host

ON_HOST = np.asarray


def warped(x, transfer=ON_HOST, seed=0, **how):
    return to_host(random_warp(transfer(x), np.random.default_rng(seed), **how))


def covered(n, height=20, width=30, **how):
    """Which pixels of each image a square lies on, bool (n, height, width)."""
    return (
        cutout(np.zeros((n, height, width, 2)), np.random.default_rng(0), fill=1, **how)[..., 0]
        == 1
    )


def ramp(n, height=9, width=11):
    """Images whose two channels are the row and column of a pixel: a sample tells where it is."""
    return np.broadcast_to(
        np.stack(np.mgrid[:height, :width], axis=-1).astype(np.float32), (n, height, width, 2)
    )


def where(n, size=(9, 11), **how):
    """The displacements (n, H, W, 2) of one warp, but for what the border holds back."""
    margin = 40
    large = ramp(n, *(length + 2 * margin for length in size))
    inner = (slice(None), slice(margin, -margin), slice(margin, -margin))
    return (warped(large, **how) - large)[inner]


def test_a_warp_of_nothing_leaves_the_images_as_they_are(place):
    x = np.random.default_rng(1).integers(0, 256, (5, 9, 7, 3), np.uint8)
    y = warped(x, place)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, x)


def test_sampling_is_scipys_of_the_first_order(place):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((4, 6, 8, 3)).astype(np.float32)
    rows, columns = (rng.uniform(-2, length + 1, (4, 5, 7)).astype(np.float32) for length in (6, 8))
    rows[0, 0], columns[0, :, 0] = 5, 7  # the last row and column themselves
    y = to_host(augment.sample(*map(place, (x, rows, columns))))
    assert y.shape == (4, 5, 7, 3) and y.dtype == np.float32
    for n in range(4):
        for c in range(3):
            expected = map_coordinates(x[n, ..., c], [rows[n], columns[n]], order=1, mode="nearest")
            np.testing.assert_allclose(y[n, ..., c], expected, atol=1e-5)


def test_a_shift_moves_each_image_as_a_whole_as_far_as_it_may():
    moved = where(1000, shift=3)
    np.testing.assert_allclose(moved, np.broadcast_to(moved[:, :1, :1], moved.shape), atol=1e-4)
    for along in moved[:, 0, 0].T:
        assert along.min() == pytest.approx(-3, abs=0.1) and along.max() == pytest.approx(
            3, abs=0.1
        )
        assert abs(along.mean()) < 0.3 and along.std() == pytest.approx(
            3 / np.sqrt(3), rel=0.1
        )  # no way is preferred
    assert abs(np.corrcoef(moved[:, 0, 0].T)[0, 1]) < 0.2


def test_what_comes_in_from_outside_repeats_the_border():
    y = warped(ramp(50), shift=4)
    assert y[..., 0].min() >= 0 and y[..., 0].max() <= 8 and y[..., 1].max() <= 10
    assert (y[..., 0] == 0).any(axis=(1, 2)).any() and (y[..., 1] == 10).any()


def test_an_affine_warp_is_linear_about_the_middle_with_all_four_entries_free():
    moved = where(300, affine=0.1)
    np.testing.assert_allclose(moved[:, 4, 5], 0, atol=1e-4)  # the middle of 9 x 11
    np.testing.assert_allclose(moved[:, 4, 9], 2 * moved[:, 4, 7], atol=1e-3)
    np.testing.assert_allclose(moved[:, 8, 5], -moved[:, 0, 5], atol=1e-3)
    np.testing.assert_allclose(moved[:, 8, 10], moved[:, 8, 5] + moved[:, 4, 10], atol=1e-3)
    entries = np.stack([*moved[:, 5, 5].T, *moved[:, 4, 6].T])  # one pixel down, one pixel right
    np.testing.assert_allclose(np.cov(entries), 0.01 * np.eye(4), atol=0.003)


def test_an_elastic_warp_is_free_at_its_knots_and_straight_between_them():
    x = ramp(300, 41, 41)
    moved = warped(x, elastic=0.5) - x
    knots = moved[:, 10:31:10, 10:31:10]  # away from the border, which holds back
    assert knots.std() == pytest.approx(0.5, rel=0.05) and abs(knots.mean()) < 0.05
    assert np.abs(np.corrcoef(knots.reshape(300, -1).T) - np.eye(18)).max() < 0.25
    np.testing.assert_allclose(
        moved[:, 14, 20], 0.6 * moved[:, 10, 20] + 0.4 * moved[:, 20, 20], atol=1e-4
    )
    np.testing.assert_allclose(
        moved[:, 15, 15], moved[:, 10:21:10, 10:21:10].mean(axis=(1, 2)), atol=1e-4
    )


def test_one_seed_bends_alike_and_nothing_is_changed_in_place(place):
    x = np.random.default_rng(1).standard_normal((8, 6, 6, 2)).astype(np.float32)
    how, before = {"shift": 1, "affine": 0.1, "elastic": 1}, x.copy()
    one, same, other = warped(x, **how), warped(x, place, **how), warped(x, seed=1, **how)
    np.testing.assert_allclose(one, same, atol=1e-6)
    assert not np.allclose(one, other) and np.array_equal(x, before)


def test_cutout_fills_one_rectangle_and_leaves_the_rest(place):
    x = np.random.default_rng(1).integers(0, 100, (40, 20, 30, 3), np.uint8)
    y = to_host(cutout(place(x), np.random.default_rng(2)))
    assert y.dtype == x.dtype
    hidden = (y == 127).all(axis=-1)
    np.testing.assert_array_equal(y[~hidden], x[~hidden])
    np.testing.assert_array_equal(
        hidden, hidden.any(axis=2, keepdims=True) & hidden.any(axis=1, keepdims=True)
    )
    for along in (hidden.any(axis=1), hidden.any(axis=2)):
        assert (
            np.abs(np.diff(along.astype(int), axis=1)).sum(axis=1) <= 2
        ).all()  # one stretch: it begins and ends once at most


def test_cutouts_squares_are_of_any_size_up_to_the_largest():
    hidden = covered(2000, side=0.5)
    tall, wide = (hidden.any(axis=axis).sum(axis=1) for axis in (2, 1))
    inner = (hidden[:, 0] | hidden[:, -1]).sum(axis=1) + (hidden[:, :, 0] | hidden[:, :, -1]).sum(
        axis=1
    ) == 0  # nothing of it lies outside
    assert tall.max() == 10 and wide.max() == 15
    assert tall[inner].min() == 0 and tall[~inner].min() <= 1
    np.testing.assert_allclose(
        tall[inner] / 20, wide[inner] / 30, atol=1 / 20 + 1 / 30
    )  # but for a pixel each


def test_cutouts_squares_lie_anywhere():
    hidden = covered(20_000, 10, 10, side=0.5)
    share = hidden.mean(axis=0)
    # far from the border a square of side s covers a place with the probability s^2: the mean over
    # 0 .. side is side^2 / 3
    assert share[5, 5] == pytest.approx(0.25 / 3, rel=0.1) and share[4, 4] == pytest.approx(
        0.25 / 3, rel=0.1
    )
    assert (share > 0.25 * share[5, 5]).all() and share[0, 0] < share[0, 5] < share[
        5, 5
    ]  # corners too, though seldom
    np.testing.assert_allclose(share, share[::-1, ::-1], atol=0.012)
    np.testing.assert_allclose(share, share.T, atol=0.012)


def test_one_seed_covers_alike_and_nothing_is_changed_in_place(place):
    x = np.random.default_rng(1).standard_normal((8, 6, 6, 2)).astype(np.float32)
    before = x.copy()
    one, same, other = (
        to_host(cutout(where(x), np.random.default_rng(seed)))
        for where, seed in ((ON_HOST, 0), (place, 0), (ON_HOST, 1))
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other) and np.array_equal(x, before)


def test_ink_and_paper_get_any_colours_and_what_lies_between_lies_between():
    x = np.zeros((4000, 1, 3, 3), np.uint8)
    x[:, 0, 1], x[:, 0, 2] = 255, 51
    paper, ink, between = random_colours(x, np.random.default_rng(0))[:, 0].transpose(1, 0, 2)
    np.testing.assert_allclose(between, 0.8 * paper + 0.2 * ink, atol=1e-3)
    for colour in (paper, ink):  # (4000, 3), uniform in each channel
        assert colour.min() >= 0 and colour.max() <= 255
        np.testing.assert_allclose(
            np.quantile(colour, [0.1, 0.5, 0.9], axis=0).T / 255, 3 * [[0.1, 0.5, 0.9]], atol=0.03
        )
    everything = np.corrcoef(np.hstack([paper, ink]).T)
    assert abs(everything - np.eye(6)).max() < 0.06  # no channel follows another


def test_one_seed_colours_alike_and_nothing_is_changed_in_place(place):
    x = np.random.default_rng(1).integers(0, 256, (8, 6, 6, 3), np.uint8)
    before = x.copy()
    one, same, other = (
        to_host(random_colours(where(x), np.random.default_rng(seed)))
        for where, seed in ((ON_HOST, 0), (place, 0), (ON_HOST, 1))
    )
    np.testing.assert_array_equal(one, same)
    assert one.dtype == np.float32 and np.array_equal(x, before)
    assert not np.array_equal(one, other)


def test_half_of_the_images_become_negatives_and_one_seed_turns_the_same(place):
    x = np.random.default_rng(1).integers(0, 256, (2000, 2, 2, 3), np.uint8)
    before = x.copy()
    y = to_host(random_negatives(place(x), np.random.default_rng(0)))
    turned = (y == 255 - x).all(axis=(1, 2, 3))
    assert y.dtype == np.uint8 and abs(turned.mean() - 0.5) < 0.05
    np.testing.assert_array_equal(y[~turned], x[~turned])
    np.testing.assert_array_equal(y, random_negatives(x, np.random.default_rng(0)))
    assert np.array_equal(x, before)
