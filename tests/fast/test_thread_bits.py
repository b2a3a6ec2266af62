"""Threads change no bit of what the fast twins compute."""

import numpy as np
import pytest
from test_twins import cut_small

from minidann.fast import fourier
from minidann.nn import BatchNorm, Conv2D, Dense, MaxPool2D
from minidann.nn.optimizers import SGD, Adam
from minidann.runtime.threads import all_cores, set_num_threads, thread_slices


def alone_and_threaded(results):
    """What a function gives on one thread, and on three."""
    given = []
    for n in (1, 3):
        set_num_threads(n)
        try:
            with all_cores():
                assert len(thread_slices(9)) == n
                given.append(results())
        finally:
            set_num_threads(None)
    return given


@pytest.mark.parametrize("n", [1, 2, 8])
@pytest.mark.parametrize(
    "make",
    [
        lambda: Conv2D(2, 3, 5, rng=np.random.default_rng(0)),
        lambda: Conv2D(2, 3, 3, stride=2, padding="valid", rng=np.random.default_rng(0)),
        lambda: MaxPool2D(2),
        lambda: MaxPool2D(3, stride=2, padding="same"),
        lambda: BatchNorm(2),
    ],
    ids=["same", "strided", "pool", "overlapping", "batch-norm"],
)
def test_threads_change_no_bit(monkeypatch, make, n):
    cut_small(monkeypatch)  # one image at a time, so that every thread has some

    def results():
        layer, rng = make(), np.random.default_rng(1)
        y = layer.forward(rng.standard_normal((n, 9, 8, 2)).astype(np.float32).round(1), train=True)
        return [
            y,
            layer.backward(rng.standard_normal(y.shape).astype(np.float32)),
            *layer.grads.values(),
        ]

    assert all(np.array_equal(a, b) for a, b in zip(*alone_and_threaded(results)))


@pytest.mark.parametrize(
    "shape, kernel",
    [
        ((8, 14, 14, 16), 5),
        ((3, 7, 6, 4), 3),
        ((2, 9, 9, 3), 3),
        ((5, 8, 8, 7), 5),
        ((3, 12, 12, 20), 5),
    ],
)
def test_threads_change_no_bit_of_a_convolution_through_the_frequencies(monkeypatch, shape, kernel):
    monkeypatch.setattr(fourier, "pays", lambda *size: True)

    def results():
        layer, rng = (
            Conv2D(shape[3], 8, kernel, rng=np.random.default_rng(0)),
            np.random.default_rng(1),
        )
        y = layer.forward(rng.standard_normal(shape, dtype=np.float32))
        return [
            y,
            layer.backward(rng.standard_normal(y.shape, dtype=np.float32)),
            *layer.grads.values(),
        ]

    assert all(np.array_equal(a, b) for a, b in zip(*alone_and_threaded(results)))


@pytest.mark.parametrize("n, m", [(8, 50), (50, 8)])
@pytest.mark.parametrize("make", [lambda dense: SGD(dense, 0.1, 0.9, 0.01), Adam])
def test_threads_change_no_bit_of_a_large_dense_layer_and_its_update(monkeypatch, make, n, m):
    cut_small(monkeypatch)

    def results():
        layer, rng = Dense(m, n, rng=np.random.default_rng(0)), np.random.default_rng(1)
        optimizer = make(layer)
        y = layer.forward(rng.standard_normal((n, m), dtype=np.float32))
        dx = layer.backward(rng.standard_normal(y.shape, dtype=np.float32))
        optimizer.step()
        optimizer.step()
        return [y, dx, *layer.grads.values(), *layer.params.values(), *optimizer.state.values()]

    assert all(np.array_equal(a, b) for a, b in zip(*alone_and_threaded(results)))
