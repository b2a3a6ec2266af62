"""Convolution against a loop over windows, and its gradients against differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidann.nn import Conv2D, conv, windows
from minidann.nn.gradcheck import check_layer
from minidann.runtime.arrays import to_host

seeds = st.integers(0, 2**32 - 1)
pytestmark = pytest.mark.usefixtures("way")


@st.composite
def convolutions(draw):
    """(options of a Conv2D, shape of an image batch that it takes)."""
    kernel, stride = (
        draw(st.tuples(st.integers(1, 4), st.integers(1, 3))),
        draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
    )
    padding = draw(st.sampled_from(["same", "valid", 0, 1, 2, 3]))
    border = {"same": 10, "valid": 0}.get(padding, padding)
    side = [draw(st.integers(max(1, k - 2 * border), max(1, k - 2 * border) + 3)) for k in kernel]
    channels = draw(st.integers(1, 2))
    return {
        "in_channels": channels,
        "out_channels": draw(st.integers(1, 3)),
        "kernel_size": kernel,
        "stride": stride,
        "padding": padding,
    }, (
        draw(st.integers(1, 3)),
        *side,
        channels,
    )


def bordered(x, padding, kernel, stride, value=0.0):
    """x with the border that TensorFlow ("same", "valid") or PyTorch (int) would give it."""
    totals = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(x.shape[1:3], kernel, stride)]
    amounts = (
        [(t // 2, t - t // 2) for t in totals]
        if padding == "same"
        else [(0, 0)] * 2
        if padding == "valid"
        else [(padding, padding)] * 2
    )
    return np.pad(x, [(0, 0), *amounts, (0, 0)], constant_values=value)


def naive_convolution(x, W, b, stride):
    """The formula of the module's docstring, a window at a time; x has its border already."""
    out = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:3], W.shape, stride)]
    y = np.empty((len(x), *out, W.shape[3]))
    for u, v in np.ndindex(*out):
        window = x[
            :,
            u * stride[0] : u * stride[0] + W.shape[0],
            v * stride[1] : v * stride[1] + W.shape[1],
        ]
        y[:, u, v] = np.einsum("nijc,ijcm->nm", window, W) + b
    return y


def make(place, options, seed):
    """A layer in float64 with biases that are not 0."""
    layer = Conv2D(**options, rng=np.random.default_rng(seed)).convert(
        lambda array: array.astype(np.float64)
    )
    layer.params["b"] += np.random.default_rng(seed).standard_normal(len(layer.params["b"]))
    return layer.convert(place)


@given(convolutions(), seeds)
def test_forward_is_the_formula(place, convolution, seed):
    options, shape = convolution
    layer, x = make(place, options, seed), np.random.default_rng(seed).standard_normal(shape)
    padded = bordered(x, options["padding"], options["kernel_size"], options["stride"])
    expected = naive_convolution(
        padded, to_host(layer.params["W"]), to_host(layer.params["b"]), options["stride"]
    )
    np.testing.assert_allclose(to_host(layer.forward(place(x))), expected, rtol=1e-10, atol=1e-12)


@given(convolutions(), seeds)
def test_gradients(place, convolution, seed):
    options, shape = convolution
    x = np.random.default_rng(seed).standard_normal(shape)
    assert check_layer(make(place, options, seed), x, epsilon=1e-4, transfer=place).passed(1e-7)


@given(convolutions(), seeds)
def test_col2im_is_the_adjoint_of_im2col(place, convolution, seed):
    """<im2col x, c> = <x, col2im c>: a pixel collects from every window it lies in."""
    options, shape = convolution
    rng, (kernel, stride) = np.random.default_rng(seed), (options["kernel_size"], options["stride"])
    x = bordered(rng.standard_normal(shape), options["padding"], kernel, stride)
    columns = to_host(conv.im2col(place(x), kernel, stride))
    c = rng.standard_normal(columns.shape)
    image = to_host(conv.col2im(place(c), x.shape, kernel, stride))
    np.testing.assert_allclose((columns * c).sum(), (x * image).sum(), rtol=1e-9, atol=1e-9)


@given(convolutions(), seeds)
def test_im2col_holds_one_window_a_row(place, convolution, seed):
    options, shape = convolution
    kernel, stride = options["kernel_size"], options["stride"]
    x = bordered(
        np.random.default_rng(seed).standard_normal(shape), options["padding"], kernel, stride
    )
    out = windows.count(x.shape[1:3], kernel, stride)
    rows = [
        x[n, u * stride[0] :, v * stride[1] :][: kernel[0], : kernel[1]].ravel()
        for n, u, v in np.ndindex(len(x), *out)
    ]
    np.testing.assert_array_equal(to_host(conv.im2col(place(x), kernel, stride)), rows)


def test_col2im_counts_the_windows_of_each_pixel(place):
    counts = to_host(conv.col2im(place(np.ones((9, 4))), (1, 4, 4, 1), (2, 2), (1, 1)))[0, :, :, 0]
    np.testing.assert_array_equal(counts, np.outer([1, 2, 2, 1], [1, 2, 2, 1]))


def test_one_number_stands_for_height_and_width(place):
    x = place(np.random.default_rng(1).standard_normal((2, 7, 7, 2)))
    layers = [
        Conv2D(2, 3, k, stride=s, padding=1, rng=np.random.default_rng(0)).convert(place)
        for k, s in ((3, 2), ((3, 3), (2, 2)))
    ]
    one, two = (to_host(layer.forward(x)) for layer in layers)
    np.testing.assert_array_equal(one, two)


@given(st.integers(1, 30), st.integers(1, 6), st.integers(1, 5))
def test_same_padding_fits_a_window_for_every_stride_begun(n, k, s):
    amounts = windows.border("same", (n, n), (k, k), (s, s))
    assert (
        windows.count([n + sum(amount) for amount in amounts], (k, k), (s, s)) == (-(-n // s),) * 2
    )
    assert all(0 <= after - before <= 1 for before, after in amounts)


@pytest.mark.parametrize("padding", ["SAME", -1, 0.5, None])
def test_unknown_padding_is_refused(padding):
    with pytest.raises(ValueError, match="padding is"):
        Conv2D(1, 1, 3, padding=padding, rng=np.random.default_rng(0)).forward(
            np.zeros((1, 5, 5, 1))
        )


def test_a_kernel_larger_than_the_image_is_refused():
    with pytest.raises(ValueError, match="a window of 5 pixels does not fit an image side of 4"):
        Conv2D(1, 1, 5, padding="valid", rng=np.random.default_rng(0)).forward(
            np.zeros((1, 5, 4, 1))
        )
