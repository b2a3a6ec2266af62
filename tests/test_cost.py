"""What a training step costs, counted and not timed: any machine notices a change."""

import gc
import tracemalloc

import numpy as np
import pytest

from minidann.experiments import points, recipes
from minidann.fast import products
from minidann.nn.optimizers import SGD, Adam

NETWORKS = {
    "mnist": (
        lambda: recipes.tf_dann(0),
        lambda networks: SGD(networks, 0.01, momentum=0.9),
        (28, 28, 3),
        10,
    ),
    "blobs": (lambda: points.build((8,), 0), Adam, (2,), 2),
}


def make_step(network, size):
    """A function that makes one step of ``size`` + ``size`` examples, which has run twice."""
    build, make_optimizer, shape, classes = NETWORKS[network]
    dann, rng = build(), np.random.default_rng(0)
    optimizer = make_optimizer(dann.networks)
    x_source, x_target = (rng.standard_normal((size, *shape), dtype=np.float32) for _ in range(2))
    y_source = rng.integers(0, classes, size)

    def step():
        dann.compute_gradients(x_source, y_source, x_target, 0.5)
        optimizer.step()

    step()
    step()
    return step


@pytest.fixture
def multiplications(monkeypatch):
    """Of all matrix products that a function asks for."""

    def count(function):
        counted = []

        def spy(matmul):
            def call(a, b, out=None):
                result = matmul(a, b) if out is None else matmul(a, b, out=out)
                counted.append(result.size * a.shape[-1])
                return result

            return call

        with monkeypatch.context() as patch:
            patch.setattr(np, "matmul", spy(np.matmul))
            patch.setattr(products, "matmul", spy(lambda a, b: a @ b))
            function()
        return sum(counted)

    return count


def test_multiplications_of_a_step_of_mnistms_network(multiplications):
    """By definition the convolutions take 121 + 121 and 3 x 482 million, the Dense layers 71.

    .607e9 when this was written: the second convolution goes through the frequencies.
    """
    count = multiplications(make_step("mnist", 32))
    assert 0.5e9 < count < 0.63e9


def test_multiplications_grow_with_the_batch_and_no_faster(multiplications):
    """A little less: the transform of the weights is the same for any batch."""
    one, two, four = (multiplications(make_step("mnist", size)) for size in (8, 16, 32))
    assert 1.9 < four / two <= 2 and 1.8 < two / one <= 2


@pytest.mark.parametrize("network, limit", [("mnist", 14e6), ("blobs", 8e3)])
def test_memory_that_a_step_takes_at_most(network, limit):
    """Beyond what stays from step to step. 11.8 MB and 5.6 kB when this was written.

    Of three steps the least: a thread that an earlier test left in this process allocates too, and
    can only add.
    """
    step = make_step(network, {"mnist": 32, "blobs": 8}[network])
    gc.collect()
    tracemalloc.start()
    try:
        step()  # what it replaces is now known to tracemalloc
        taken, left = min(memory_of(step) for _ in range(3))
    finally:
        tracemalloc.stop()
    assert taken < limit
    assert left < 0.02 * limit  # nothing is left behind


def memory_of(step):
    """(bytes that one step takes at most, bytes that it leaves), as tracemalloc sees it."""
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    step()
    after, peak = tracemalloc.get_traced_memory()
    return peak - before, after - before


def test_the_batch_is_not_unfolded_at_once():
    """All windows of the first convolution would take 60 MB for 256 images; a block takes 2."""
    step = make_step("mnist", 128)
    gc.collect()
    tracemalloc.start()
    try:
        step()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 75e6  # 64 when this was written, of which 25 stay from step to step
