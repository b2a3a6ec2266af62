"""Convolution through the frequencies is that over windows, forward and backward, to rounding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidann.fast import fourier
from minidann.nn import Conv2D
from minidann.nn.gradcheck import check_layer

seeds = st.integers(0, 2**32 - 1)
NEVER, ALWAYS = (lambda *size, answer=answer: answer for answer in (False, True))


@st.composite
def convolutions(draw):
    """(options of a Conv2D of stride 1, shape of an image batch that it takes)."""
    kernel, channels = (
        draw(st.tuples(st.integers(1, 5), st.integers(1, 5))),
        draw(st.integers(1, 3)),
    )
    padding = draw(st.sampled_from(["same", "valid", 0, 1, 3]))
    side = [draw(st.integers(k, k + 5)) for k in kernel]
    options = {
        "in_channels": channels,
        "out_channels": draw(st.integers(1, 3)),
        "kernel_size": kernel,
        "padding": padding,
    }
    return options, (draw(st.integers(1, 4)), *side, channels)


def make(options, seed, dtype=np.float64):
    layer = Conv2D(**options, rng=np.random.default_rng(seed))
    layer.params["b"] = np.random.default_rng(seed).standard_normal(len(layer.params["b"]))
    return layer.convert(lambda array: array.astype(dtype))


def results(layer, x, seed):
    """y, dx, dW, db."""
    y = layer.forward(x, train=True)
    dx = layer.backward(np.random.default_rng(seed).standard_normal(y.shape).astype(y.dtype))
    return [y, dx, layer.grads["W"], layer.grads["b"]]


def both_ways(monkeypatch, options, x, seed, dtype=np.float64):
    """The results over windows, and those through the frequencies."""
    found = []
    for pays in (NEVER, ALWAYS):
        monkeypatch.setattr(fourier, "pays", pays)
        found.append(results(make(options, seed, dtype), x, seed))
    return found


@given(convolutions(), seeds)
def test_both_ways_agree(monkeypatch, convolution, seed):
    options, shape = convolution
    for over_windows, through_frequencies in zip(
        *both_ways(monkeypatch, options, np.random.default_rng(seed).standard_normal(shape), seed)
    ):
        np.testing.assert_allclose(
            through_frequencies,
            over_windows,
            rtol=1e-9,
            atol=1e-12 * max(1, np.abs(over_windows).max()),
        )


@given(convolutions(), seeds)
def test_gradients(monkeypatch, convolution, seed):
    monkeypatch.setattr(fourier, "pays", ALWAYS)
    options, shape = convolution
    assert check_layer(
        make(options, seed), np.random.default_rng(seed).standard_normal(shape), epsilon=1e-4
    ).passed(1e-7)


def test_in_float32_both_ways_agree_to_its_rounding(monkeypatch):
    options = {"in_channels": 16, "out_channels": 8, "kernel_size": 5}
    x = np.random.default_rng(0).standard_normal((8, 14, 14, 16), dtype=np.float32)
    for over_windows, through_frequencies in zip(
        *both_ways(monkeypatch, options, x, 0, np.float32)
    ):
        assert over_windows.dtype == through_frequencies.dtype == np.float32
        np.testing.assert_allclose(
            through_frequencies, over_windows, atol=3e-6 * np.abs(over_windows).max()
        )


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 4), st.integers(0, 4), seeds)
def test_the_transform_is_numpys_and_its_adjoint_the_transposed(height, width, top, left, seed):
    rng = np.random.default_rng(seed)
    size = (height + top + 1, width + left)
    F = fourier.Transform(size, (top, left), (height, width), np.float64)
    x = rng.standard_normal((2, height, width, 3))
    placed = np.zeros((2, *size, 3))
    placed[:, top : top + height, left : left + width] = x
    down, along = F.frequencies.T
    expected = np.fft.fft2(placed, axes=(1, 2))[:, down, along]
    np.testing.assert_allclose(
        F(x), np.concatenate([expected.real, expected.imag], axis=2), atol=1e-10
    )
    X = rng.standard_normal(F(x).shape)
    np.testing.assert_allclose((F(x) * X).sum(), (x * F.adjoint(X)).sum(), rtol=1e-9, atol=1e-9)


@given(st.integers(1, 12), st.integers(1, 12))
def test_of_each_two_conjugate_frequencies_one_is_kept(n_h, n_w):
    F = fourier.Transform((n_h, n_w), (0, 0), (1, 1), np.float64)
    kept = {(int(down), int(along)) for down, along in F.frequencies}
    conjugate = {(down, along): (-down % n_h, -along % n_w) for down, along in kept}
    assert len(kept) == len(F.frequencies)
    assert kept | {*conjugate.values()} == {*np.ndindex(n_h, n_w)}
    assert all(conjugate[pair] == pair for pair in kept & {*conjugate.values()})


@given(st.integers(1, 9), st.integers(1, 9), seeds)
def test_the_scaled_adjoint_is_the_inverse(height, width, seed):
    F = fourier.Transform((height, width), (0, 0), (height, width), np.float64)
    x = np.random.default_rng(seed).standard_normal((2, height, width, 3))
    np.testing.assert_allclose(F.adjoint(F(x) * F.scale[:, None]), x, atol=1e-12)


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), seeds)
def test_what_is_spread_is_the_complex_product_and_fold_its_adjoint(f, c, m, seed):
    rng = np.random.default_rng(seed)
    W, X = rng.standard_normal((f, 2, c, m)), rng.standard_normal((f, 5, 2 * c))
    B, dB = fourier.spread(W), rng.standard_normal((f, 2 * c, 2 * m))
    Y = (X[..., :c] + 1j * X[..., c:]) @ (W[:, 0] - 1j * W[:, 1])
    np.testing.assert_allclose(X @ B, np.concatenate([Y.real, Y.imag], axis=2), atol=1e-12)
    np.testing.assert_array_equal(
        fourier.spread(W.swapaxes(2, 3), transposed=True), B.swapaxes(1, 2)
    )
    np.testing.assert_allclose((dB * B).sum(), (fourier.fold(dB) * W).sum(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n", [1, 5, 8])
def test_a_large_batch_goes_through_in_several(monkeypatch, n):
    options = {"in_channels": 2, "out_channels": 3, "kernel_size": (3, 2), "padding": 1}
    monkeypatch.setattr(fourier, "pays", ALWAYS)
    x = np.random.default_rng(0).standard_normal((n, 6, 5, 2))
    at_once = results(make(options, 0), x, 1)
    monkeypatch.setattr(fourier, "IMAGES", 3)
    for in_several, expected in zip(results(make(options, 0), x, 1), at_once):
        np.testing.assert_allclose(in_several, expected, rtol=1e-9, atol=1e-12)


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 7), st.integers(0, 7))
def test_the_circle_holds_the_image_and_the_wider_border(n, kernel, before, after):
    """However small: no window meets a pixel on its way round, and no two outputs coincide."""
    if n + before + after < kernel:
        return
    (size, _), (out, _) = fourier.circle((n, 1), (kernel, 1), ((before, after), (0, 0)))
    assert out == n + before + after - kernel + 1 <= size
    image = {(before + i) % size for i in range(n)}
    for u in range(out):
        for i in range(kernel):
            inside = before <= u + i < before + n
            assert ((u + i) % size in image) == inside


@pytest.mark.parametrize(
    "image, kernel, border, channels, expected",
    [
        # the second convolution of tf-dann
        ((14, 14), (5, 5), 2, (32, 48), True),
        # the first: three channels are not worth a transform
        ((28, 28), (5, 5), 2, (3, 32), False),
        # each weight meets each pixel once: that is a Dense layer already
        ((14, 14), (1, 1), 0, (32, 48), False),
    ],
)
def test_it_is_used_where_it_saves_multiplications(image, kernel, border, channels, expected):
    assert fourier.pays(image, kernel, ((border, border), (border, border)), *channels) is expected


def test_the_layer_chooses(monkeypatch):
    """By size and stride, and always the windows on a GPU, which has products to spare."""
    used = []
    monkeypatch.setattr(
        fourier.FourierConvolution,
        "forward",
        lambda self, x, w, b: used.append(x.shape) or np.zeros((len(x), 14, 14, 48)),
    )
    rng = np.random.default_rng(0)
    Conv2D(32, 48, 5, rng=rng).forward(np.zeros((1, 14, 14, 32), np.float32))
    Conv2D(32, 48, 5, stride=2, rng=rng).forward(np.zeros((1, 14, 14, 32), np.float32))
    Conv2D(3, 32, 5, rng=rng).forward(np.zeros((1, 28, 28, 3), np.float32))
    assert used == [(1, 14, 14, 32)]


def test_neither_x_nor_dy_nor_the_weights_are_changed(monkeypatch):
    monkeypatch.setattr(fourier, "pays", ALWAYS)
    layer = make({"in_channels": 2, "out_channels": 3, "kernel_size": 3}, 0)
    x, dy = np.random.default_rng(0).standard_normal((2, 5, 5, 2)), np.ones((2, 5, 5, 3))
    for array in (x, dy, *layer.params.values()):
        array.flags.writeable = False
    layer.forward(x)
    layer.backward(dy)


def test_two_batches_in_turn_do_not_mix(monkeypatch):
    """Layers and calls share the transforms, but not what a layer remembers of its batch."""
    monkeypatch.setattr(fourier, "pays", ALWAYS)
    options = {"in_channels": 2, "out_channels": 3, "kernel_size": 3}
    x = np.random.default_rng(0).standard_normal((2, 5, 5, 2))
    alone = results(make(options, 0), x, 1)
    layer, other = make(options, 0), make(options, 5)
    y = layer.forward(x)
    other.forward(x + 1)
    dx = layer.backward(np.random.default_rng(1).standard_normal(y.shape))
    assert (
        np.array_equal(y, alone[0])
        and np.array_equal(dx, alone[1])
        and np.array_equal(layer.grads["W"], alone[2])
    )
