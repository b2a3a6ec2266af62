"""Max pooling against a loop over windows, ties included, and its gradient against differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidann.nn import MaxPool2D
from minidann.nn.gradcheck import away_from_kinks, check_layer
from minidann.runtime.arrays import to_host

seeds = st.integers(0, 2**32 - 1)
pytestmark = pytest.mark.usefixtures("way")


@st.composite
def poolings(draw):
    """(window, stride, padding, shape of images); windows may overlap, touch or leave gaps."""
    window = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(
        st.one_of(
            st.none(),
            st.tuples(st.integers(1, 4), st.integers(1, 4)),
            st.just(tuple(max(1, k - 1) for k in window)),
        )
    )
    padding = draw(st.sampled_from(["same", "valid", *range(min(window))]))
    border = {"same": 10, "valid": 0}.get(padding, padding)
    sides = [draw(st.integers(max(1, k - 2 * border), max(1, k - 2 * border) + 4)) for k in window]
    return window, stride, padding, (draw(st.integers(1, 3)), *sides, draw(st.integers(1, 2)))


def naive_pool(x, dy_of, window, stride, padding):
    """(y, dx): every window's first largest pixel, and its share of dy = ``dy_of(shape of y)``."""
    totals = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(x.shape[1:3], window, stride)]
    (top, bottom), (left, right) = (
        [(t // 2, t - t // 2) for t in totals]
        if padding == "same"
        else [(0 if padding == "valid" else padding,) * 2] * 2
    )
    padded = np.pad(x, [(0, 0), (top, bottom), (left, right), (0, 0)], constant_values=-np.inf)
    out = [(n - k) // s + 1 for n, k, s in zip(padded.shape[1:3], window, stride)]
    y, dpadded, dy = (
        np.empty((len(x), *out, x.shape[3])),
        np.zeros_like(padded),
        dy_of((len(x), *out, x.shape[3])),
    )
    for n, u, v, c in np.ndindex(y.shape):
        a, b = u * stride[0], v * stride[1]
        i, j = np.unravel_index(padded[n, a : a + window[0], b : b + window[1], c].argmax(), window)
        y[n, u, v, c] = padded[n, a + i, b + j, c]
        dpadded[n, a + i, b + j, c] += dy[n, u, v, c]
    return y, dpadded[:, top : top + x.shape[1], left : left + x.shape[2]]


@given(poolings(), seeds)
def test_values_and_gradients_are_those_of_a_loop_even_with_ties(place, pooling, seed):
    window, stride, padding, shape = pooling
    x = np.random.default_rng(seed).integers(0, 3, shape).astype(np.float64)  # ties everywhere

    def dy_of(shape):
        return np.random.default_rng(seed + 1).integers(-5, 6, shape).astype(np.float64)

    layer = MaxPool2D(window, stride=stride, padding=padding)
    y, dx = naive_pool(x, dy_of, window, stride or window, padding)
    np.testing.assert_array_equal(to_host(layer.forward(place(x))), y)
    np.testing.assert_array_equal(to_host(layer.backward(place(dy_of(y.shape)))), dx)


@given(poolings(), seeds)
def test_gradients(place, pooling, seed):
    window, stride, padding, shape = pooling
    x = away_from_kinks(np.random.default_rng(seed), shape)
    assert check_layer(MaxPool2D(window, stride=stride, padding=padding), x, transfer=place).passed(
        1e-7
    )


def test_of_equal_pixels_the_first_in_reading_order_takes_the_gradient(place):
    layer = MaxPool2D(2)
    layer.forward(place(np.zeros((1, 4, 4, 1))))
    dx = to_host(layer.backward(place(np.arange(1.0, 5).reshape(1, 2, 2, 1))))
    np.testing.assert_array_equal(dx[0, :, :, 0], [[1, 0, 2, 0], [0] * 4, [3, 0, 4, 0], [0] * 4])


@given(poolings(), seeds)
def test_the_gradient_is_handed_on_without_gain_or_loss(place, pooling, seed):
    window, stride, padding, shape = pooling
    layer = MaxPool2D(window, stride=stride, padding=padding)
    y = layer.forward(place(np.random.default_rng(seed).integers(0, 2, shape).astype(np.float64)))
    dy = np.random.default_rng(seed).integers(1, 9, y.shape).astype(np.float64)
    assert to_host(layer.backward(place(dy))).sum() == dy.sum()


def test_a_border_never_wins_over_negative_pixels(place):
    y = MaxPool2D(3, stride=1, padding=1).forward(place(np.full((1, 3, 3, 1), -7.0)))
    np.testing.assert_array_equal(to_host(y), np.full((1, 3, 3, 1), -7.0))


def test_the_stride_is_the_window_by_default(place):
    x = place(np.random.default_rng(0).standard_normal((2, 6, 6, 1)))
    np.testing.assert_array_equal(
        to_host(MaxPool2D((3, 2)).forward(x)), to_host(MaxPool2D((3, 2), stride=(3, 2)).forward(x))
    )


@pytest.mark.parametrize("padding", [2, 3])
def test_a_border_as_wide_as_the_window_is_refused(padding):
    with pytest.raises(ValueError, match="not smaller than the window"):
        MaxPool2D((3, 2), padding=padding)


@pytest.mark.parametrize("padding", ["full", -1])
def test_unknown_padding_is_refused(padding):
    with pytest.raises(ValueError, match="padding is"):
        MaxPool2D(2, padding=padding).forward(np.zeros((1, 4, 4, 1)))
