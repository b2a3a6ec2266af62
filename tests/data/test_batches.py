"""Batches: every example once an epoch, without a seam, in a seeded order."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidann.data import Batches
from minidann.errors import InputError

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


def order(n, size, seed, epochs):
    """The first ``epochs`` epochs of rows."""
    batches = list(islice(Batches(np.arange(n), size=size, rng=np.random.default_rng(seed)), -(-epochs * n // size)))
    assert {len(x) for (x,) in batches} == {size}
    return np.concatenate([x for (x,) in batches])[: epochs * n].reshape(epochs, n)


@given(sizes, seeds)
def test_every_epoch_has_every_example_once_whatever_the_batch(sizes, seed):
    np.testing.assert_array_equal(np.sort(order(*sizes, seed, epochs=5)), np.tile(np.arange(sizes[0]), (5, 1)))


def test_every_epoch_has_an_order_of_its_own():
    epochs = order(50, 8, 0, epochs=4)
    assert len({tuple(epoch) for epoch in epochs}) == 4 and tuple(range(50)) not in {tuple(epoch) for epoch in epochs}


@given(sizes, seeds)
def test_the_order_follows_the_seed(sizes, seed):
    np.testing.assert_array_equal(order(*sizes, seed, 3), order(*sizes, seed, 3))


def test_other_seeds_give_other_orders():
    assert not np.array_equal(order(50, 8, 0, 1), order(50, 8, 1, 1))


def test_examples_keep_their_labels_and_alone_are_prepared():
    x, y = np.arange(30).reshape(15, 2), np.arange(15)
    for images, labels in islice(Batches(x, y, size=4, rng=np.random.default_rng(0), prepare=lambda x: x / 2), 12):
        np.testing.assert_array_equal(images, x[labels] / 2)


def test_a_batch_is_a_copy():
    x = np.arange(6.0)
    (batch,) = next(Batches(x, size=6, rng=np.random.default_rng(0)))
    batch[:] = -1
    np.testing.assert_array_equal(x, np.arange(6))


@pytest.mark.parametrize("n, size", [(5, 6), (5, 0), (5, -1), (0, 1)])
def test_a_batch_must_fit_the_data_set(n, size):
    with pytest.raises(InputError, match=f"a batch of {size} examples can not be drawn from a data set of {n}"):
        Batches(np.zeros(n), size=size, rng=np.random.default_rng(0))


def test_each_example_needs_its_label():
    with pytest.raises(InputError, match="differ in length: 5, 4"):
        Batches(np.zeros(5), np.zeros(4), size=2, rng=np.random.default_rng(0))
