"""Batches: every example once an epoch, without a seam, in a seeded order."""

import sys
from itertools import islice

import numpy as np
import pytest
import strict_cupy
from hypothesis import given
from hypothesis import strategies as st

from minidann.data import Batches
from minidann.runtime.arrays import to_device, to_host
from minidann.runtime.errors import InputError

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


def order(place, n, size, seed, epochs, later=None):
    """The first ``epochs`` epochs of rows of a data set.

    It lives on the device, or goes there batch by batch, by ``later``.
    """
    rows = Batches(place(np.arange(n)), size=size, rng=np.random.default_rng(seed), transfer=later)
    batches = [x for (x,) in islice(rows, -(-epochs * n // size))]
    assert {type(x) for x in batches} == {type((later or place)(np.arange(n)))} and {
        len(x) for x in batches
    } == {size}
    return np.concatenate([to_host(x) for x in batches])[: epochs * n].reshape(epochs, n)


@given(sizes, seeds)
def test_every_epoch_has_every_example_once_whatever_the_batch(place, sizes, seed):
    np.testing.assert_array_equal(
        np.sort(order(place, *sizes, seed, epochs=5)), np.tile(np.arange(sizes[0]), (5, 1))
    )


def test_every_epoch_has_an_order_of_its_own(place):
    epochs = order(place, 50, 8, 0, epochs=4)
    assert len({tuple(epoch) for epoch in epochs}) == 4 and tuple(range(50)) not in {
        tuple(epoch) for epoch in epochs
    }


@given(sizes, seeds)
def test_the_order_follows_the_seed_wherever_the_examples_live(place, sizes, seed):
    expected = order(to_host, *sizes, seed, 3)
    np.testing.assert_array_equal(order(place, *sizes, seed, 3), expected)
    np.testing.assert_array_equal(order(to_host, *sizes, seed, 3, later=place), expected)


def test_other_seeds_give_other_orders(place):
    assert not np.array_equal(order(place, 50, 8, 0, 1), order(place, 50, 8, 1, 1))


def test_examples_keep_their_labels_and_alone_are_prepared(place):
    x, y = np.arange(30).reshape(15, 2), np.arange(15)
    for images, labels in islice(
        Batches(place(x), place(y), size=4, rng=np.random.default_rng(0), prepare=lambda x: x / 2),
        12,
    ):
        np.testing.assert_array_equal(to_host(images), x[to_host(labels)] / 2)


def test_a_batch_goes_to_the_device_and_is_prepared_there(place):
    x, y = np.arange(30, dtype=np.uint8).reshape(15, 2), np.arange(15)
    device, prepared = type(place(x)), []

    def prepare(images):
        prepared.append((type(images), images.dtype))
        return images / 2

    for images, labels in islice(
        Batches(x, y, size=4, rng=np.random.default_rng(0), prepare=prepare, transfer=place), 12
    ):
        assert type(images) is type(labels) is device
        np.testing.assert_array_equal(to_host(images), x[to_host(labels)] / 2)
    assert prepared == [(device, np.uint8)] * 12


def test_the_order_lives_beside_the_examples(place):
    """On a GPU an index of main memory would go up in every step."""
    x = np.arange(5)
    here, there = (
        Batches(array, size=2, rng=np.random.default_rng(0), transfer=place)
        for array in (x, place(x))
    )
    for _ in range(6):  # over the seam of two epochs
        next(here), next(there)
        assert type(here.order) is np.ndarray and type(there.order) is type(place(x))


def test_only_the_order_of_a_new_epoch_goes_up_to_examples_on_the_device(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", strict_cupy)
    images, labels = to_device(np.zeros((9, 28, 28, 3), np.uint8)), to_device(np.arange(9))
    batches, ups = (
        Batches(images, labels, size=3, rng=np.random.default_rng(0), transfer=to_device),
        [],
    )
    for _ in range(7):
        strict_cupy.meter.reset()
        next(batches)
        ups.append(strict_cupy.meter.up)
        assert not strict_cupy.meter.down and not strict_cupy.meter.syncs
    assert ups == [[], [], [9 * 8], [], [], [9 * 8], []]


def test_a_batch_is_a_copy(place):
    x = place(np.arange(6.0))
    (batch,) = next(Batches(x, size=6, rng=np.random.default_rng(0)))
    batch[:] = -1
    np.testing.assert_array_equal(to_host(x), np.arange(6))


@pytest.mark.parametrize("n, size", [(5, 6), (5, 0), (5, -1), (0, 1)])
def test_a_batch_must_fit_the_data_set(n, size):
    with pytest.raises(
        InputError, match=f"a batch of {size} examples cannot be drawn from a data set of {n}"
    ):
        Batches(np.zeros(n), size=size, rng=np.random.default_rng(0))


def test_each_example_needs_its_label():
    with pytest.raises(InputError, match="differ in length: 5, 4"):
        Batches(np.zeros(5), np.zeros(4), size=2, rng=np.random.default_rng(0))


def test_a_hole_in_a_table_is_found_before_training(place):
    """Not when training diverges, as if the learning rate were too high."""
    x = np.ones((6, 3), np.float32)
    x[4, 1] = np.nan
    with pytest.raises(InputError, match=r"column 1 of the examples holds NaN.*row 4 first"):
        Batches(place(x), place(np.arange(6)), size=2, rng=np.random.default_rng(0))
