"""The convolution over windows: its blocks and its buffer, which change no result."""

import threading
from operator import methodcaller

import numpy as np
import pytest

from minidann import plain
from minidann.fast import fourier, windowed
from minidann.nn import Conv2D
from minidann.runtime.arrays import to_host


@pytest.fixture(autouse=True)
def over_windows(monkeypatch):
    monkeypatch.setattr(fourier, "pays", lambda *size: False)


def test_blocks_do_not_change_the_result(place, monkeypatch):
    """One image at a time, as for large images, and all at once."""
    results = []
    for size, count in ((1, 5), (windowed.BLOCK_BYTES, 1)):
        monkeypatch.setattr(windowed, "BLOCK_BYTES", size)
        monkeypatch.setattr(windowed, "GPU_BLOCK_BYTES", size)
        layer = Conv2D(2, 3, 3, rng=np.random.default_rng(0)).convert(
            lambda array: place(array.astype(np.float64))
        )
        y = layer.forward(place(np.random.default_rng(1).standard_normal((5, 6, 7, 2))))
        assert len(windowed.window_blocks(y, layer.params["W"])) == count
        dx = layer.backward(place(np.random.default_rng(2).standard_normal(y.shape)))
        results.append([to_host(array) for array in (y, dx, *layer.grads.values())])
    for blockwise, whole in zip(*results):
        np.testing.assert_allclose(blockwise, whole, rtol=1e-12, atol=1e-12)


def test_two_layers_do_not_overwrite_each_others_windows(place):
    """All layers share the buffer: a backward must not find another layer's windows in it."""
    x = place(np.random.default_rng(1).standard_normal((2, 5, 5, 2)))
    alone = Conv2D(2, 3, 3, rng=np.random.default_rng(0)).convert(place)
    dy = place(np.random.default_rng(2).standard_normal(alone.forward(x).shape))
    alone.backward(dy)
    together = Conv2D(2, 3, 3, rng=np.random.default_rng(0)).convert(place)
    together.forward(x)
    Conv2D(2, 4, 4, rng=np.random.default_rng(3)).convert(place).forward(x + 1)
    together.backward(dy)
    assert all(
        np.array_equal(to_host(alone.grads[name]), to_host(together.grads[name]))
        for name in alone.grads
    )


def test_the_buffer_of_the_windows_is_where_and_in_the_precision_that_the_windows_are(
    place, monkeypatch
):
    """The one that was left there would do for the size."""
    monkeypatch.setattr(windowed, "_scratch", threading.local())
    layer = Conv2D(2, 3, 3, rng=np.random.default_rng(0))
    x = np.random.default_rng(1).standard_normal((2, 5, 5, 2))
    with plain():
        expected = layer.forward(x)
    for there in (place, to_host, place):
        for dtype, digits in ((np.float32, 4), (np.float64, 12)):
            layer.convert(there).convert(methodcaller("astype", dtype))
            y = layer.forward(there(x.astype(dtype)))
            assert y.dtype == dtype and type(y) is type(there(x))
            np.testing.assert_allclose(to_host(y), expected, rtol=0, atol=10.0**-digits)
