r"""
Convolution is a matrix product
===============================

After this tutorial you can write a convolution layer without a loop over pixels, derive its
backward pass from that of ``Dense``, test the one new step of it (``col2im``) without any
derivative, and say what the matrix costs in memory.

It leans on tutorial 01 (the gradients of ``Dense``) and tutorial 02 (finite differences).
"""

# %%
# One window, nine products
# -------------------------
#
# Lay a kernel of 3 x 3 weights over an image, multiply each weight by the pixel under it, add up:
# one number. Move the kernel by one pixel and do it again. With images :math:`x` of :math:`C`
# channels, :math:`M` kernels and stride :math:`s`, all of it is
#
# .. math::
#    y[n, u, v, m] = b[m] + \sum_{i, j, c} x[n, \, s u + i, \, s v + j, \, c] \; W[i, j, c, m]
#
# (Mathematics calls this a cross-correlation; its convolution turns the kernel first. Networks
# learn the kernel, so they could not care less.) The shapes are those of the whole package: images
# ``(N, H, W, C)``, kernels ``(KH, KW, C, M)``.
#
# How large is :math:`y` for an image of 4 x 4 pixels and a kernel of 3 x 3? Decide before you read
# the output.

import time
from contextlib import contextmanager
from unittest import mock

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

from minidann import plain
from minidann.experiments import recipes
from minidann.experiments.plots import BLUE, GREEN, GREY, ORANGE
from minidann.fast import fourier, windowed
from minidann.fast.borders import window_views
from minidann.nn import Conv2D, windows
from minidann.nn.conv import col2im as package_col2im
from minidann.nn.conv import im2col as package_im2col
from minidann.nn.gradcheck import TOLERANCE, check_layer, numerical_gradient, relative_error


def convolve_with_loops(x, W, b, stride):
    """The formula, one output number at a time."""
    KH, KW, _, M = W.shape
    OH, OW = (x.shape[1] - KH) // stride[0] + 1, (x.shape[2] - KW) // stride[1] + 1
    y = np.empty((len(x), OH, OW, M))
    for n, u, v, m in np.ndindex(y.shape):
        top, left = stride[0] * u, stride[1] * v
        y[n, u, v, m] = b[m] + (x[n, top : top + KH, left : left + KW] * W[..., m]).sum()
    return y


image = np.array([[1, 3, 0, 1], [3, 1, 2, 0], [0, 2, 1, 3], [1, 1, 2, 1]], float)
kernel = np.array(
    [[1, 0, -1], [2, 0, -2], [1, 0, -1]], float
)  # bright on the left, dark on the right: large

x, W, b = image.reshape(1, 4, 4, 1), kernel.reshape(3, 3, 1, 1), np.zeros(1)
y = convolve_with_loops(x, W, b, stride=(1, 1))
print(y[0, :, :, 0])
assert y.shape == (1, 2, 2, 1)

# %%
# The kernel of width 3 fits 4 - 3 + 1 = 2 times in each direction. The package's layer gives the
# same numbers:


def double(layer):
    """The same layer in float64, the precision to check in."""
    return layer.convert(lambda array: array.astype(np.float64))


layer = double(Conv2D(1, 1, 3, padding="valid", rng=np.random.default_rng(0)))
layer.params["W"] = W
np.testing.assert_allclose(layer.forward(x), y)

# %%
# Each window becomes a row
# -------------------------
#
# The loops are slow because Python goes round them once for every output number. Here is the way
# out. Write each window as *one row* of nine numbers, and the kernel as one column of nine. Then
# each output number is a row times a column, and all of them together are one matrix product.
# Making the rows is called *im2col*.


def draw_grid(axis, values, left, top, colour="white", marked=(), mark=ORANGE, size=14):
    """A table of numbers, its top left corner at (left, top), ``marked`` cells in ``mark``."""
    for (row, column), value in np.ndenumerate(values):
        face = mark if (row, column) in marked else colour
        box = (left + column, top - row - 1)
        axis.add_patch(Rectangle(box, 1, 1, facecolor=face, edgecolor=GREY, lw=0.8))
        ink = "white" if face == ORANGE else "black"
        middle = (box[0] + 0.5, box[1] + 0.5)
        axis.annotate(f"{value:g}", middle, ha="center", va="center", size=size, color=ink)


def draw_frame(axis, left, top, width, height):
    corner = (left, top - height)
    axis.add_patch(Rectangle(corner, width, height, facecolor="none", edgecolor="black", lw=2.5))


rows = np.stack([image[u : u + 3, v : v + 3].ravel() for u in range(2) for v in range(2)])  # (4, 9)
product = rows @ kernel.reshape(9, 1)

figure, axis = plt.subplots(figsize=(11, 4.4), layout="constrained")
window = {(i, 1 + j) for i in range(3) for j in range(3)}
draw_grid(axis, image, 0, 6.5, marked=window)
draw_frame(axis, 1, 6.5, 3, 3)
draw_grid(axis, rows, 5.5, 6.5, marked={(1, j) for j in range(9)})
draw_frame(axis, 5.5, 5.5, 9, 1)
draw_grid(axis, kernel.reshape(9, 1), 16, 9, colour="#BFE5D8")
draw_grid(axis, product, 18.5, 6.5, marked={(1, 0)})
draw_grid(axis, product.reshape(2, 2), 21, 5.5, marked={(0, 1)})
for where, sign in ((4.75, "→"), (15.25, r"$\times$"), (17.75, "="), (20.25, "→")):
    axis.text(where, 4.5, sign, ha="center", va="center", fontsize=20)
for where, height, text in (
    (2, 6.9, "image, 4 x 4\nwindow (0, 1)"),
    (10, 6.9, "columns = im2col(x), 4 x 9\none window a row"),
    (16.5, 9.3, "W, 9 x 1"),
    (19, 6.9, "y\n4 x 1"),
    (22, 5.9, "y\n2 x 2"),
):
    axis.text(where, height, text, ha="center", va="bottom", fontsize=14)
axis.set(xlim=(-0.3, 23.4), ylim=(-0.3, 10.2), aspect="equal")
axis.axis("off")
plt.show()

# %%
# Follow the orange window: the second one, with its top left corner at row 0, column 1. It is the
# second row of the matrix, and its product with the kernel is the second number of :math:`y`. Look
# at the rows once more: pixels repeat. The sixteen pixels of the image fill 36 places of the
# matrix. That repetition is the price of the matrix product, and it is what makes the backward pass
# interesting.
#
# Now with a batch, channels and a stride, and without a loop over windows. The short loop is over
# the places *within* a window, because pixel :math:`(i, j)` of all windows together is a slice of
# the image:


def im2col(x, kernel, stride):
    """(N, H, W, C) -> (N OH OW, KH KW C)."""
    N, H, W, C = x.shape
    OH, OW = windows.count((H, W), kernel, stride)
    columns = np.empty((N, OH, OW, *kernel, C))
    for i, j in np.ndindex(kernel):
        columns[:, :, :, i, j] = x[
            :, i : i + stride[0] * OH : stride[0], j : j + stride[1] * OW : stride[1]
        ]
    return columns.reshape(N * OH * OW, -1)


def convolve(x, W, b, stride):
    """A Dense layer on windows."""
    OH, OW = windows.count(x.shape[1:3], W.shape[:2], stride)
    columns = im2col(x, W.shape[:2], stride)
    return (columns @ W.reshape(-1, W.shape[3]) + b).reshape(len(x), OH, OW, -1)


np.testing.assert_array_equal(im2col(x, (3, 3), (1, 1)), rows)

rng = np.random.default_rng(1)
x, W, b = (
    rng.standard_normal((2, 7, 6, 3)),
    rng.standard_normal((3, 2, 3, 5)),
    rng.standard_normal(5),
)
for stride in ((1, 1), (2, 2), (2, 1)):
    np.testing.assert_allclose(convolve(x, W, b, stride), convolve_with_loops(x, W, b, stride))
    np.testing.assert_array_equal(im2col(x, (3, 2), stride), package_im2col(x, (3, 2), stride))
print(
    "columns:",
    im2col(x, (3, 2), (1, 1)).shape,
    " W:",
    W.reshape(-1, 5).shape,
    " they share KH KW C =",
    3 * 2 * 3,
)

# %%
# One thing can go wrong here without any error. A row is written in the order ``(KH, KW, C)``, and
# ``W.reshape`` reads in that order as well. Let a row be written channel by channel and every shape
# still fits. The shapes argument of tutorial 01 is blind to it; comparing numbers is not:

channels_first = (
    im2col(x, (3, 2), (1, 1)).reshape(-1, 3, 2, 3).transpose(0, 3, 1, 2).reshape(-1, 18)
)
wrong = (channels_first @ W.reshape(18, 5) + b).reshape(2, 5, 5, 5)
right = convolve_with_loops(x, W, b, (1, 1))
print("shapes agree:", wrong.shape == right.shape, "  numbers agree:", np.allclose(wrong, right))
assert wrong.shape == right.shape and not np.allclose(wrong, right)

# %%
# Backward: Dense, and one step more
# ----------------------------------
#
# With :math:`\mathrm{columns} = \mathrm{im2col}(x)` the layer is :math:`y = \mathrm{columns} \, W +
# b`, a ``Dense`` layer with windows for examples. So its gradients are those of tutorial 01, word
# for word:
#
# .. math::
#    dW = \mathrm{columns}^T dy, \qquad db = \sum_{\mathrm{rows}} dy, \qquad
#    d\,\mathrm{columns} = dy \, W^T
#
# What is left is the step from :math:`d\,\mathrm{columns}` to :math:`dx`. im2col only *copies*
# pixels. So if the pixels of an image are written as a vector of 16, im2col is multiplication by a
# matrix :math:`A` of 36 x 16 zeros and ones, with a single one in each row: "this place of the
# matrix holds that pixel". And for any linear map the chain rule reads
#
# .. math::
#    \mathrm{columns} = A x \quad\Rightarrow\quad
#    \frac{\partial L}{\partial x_k} = \sum_r \frac{\partial L}{\partial\,\mathrm{columns}_r} A_{rk}
#    \quad\text{that is}\quad dx = A^T \, d\,\mathrm{columns}
#
# :math:`A^T`, the *adjoint* of im2col, is *col2im*. In words: a pixel that was copied to several
# places collects the gradients from all of them, as a sum.
#
# We never build :math:`A`, but for 4 x 4 pixels we can look at it. Its columns come from im2col
# itself, applied to the 16 images in which one pixel is 1. On the left, in orange, the window of
# the figure above. Before you look at the right panel: which pixels lie in the most windows, and in
# how many?

one_pixel = np.eye(16).reshape(16, 4, 4, 1)
A = np.stack(
    [im2col(pixel[None], (3, 3), (1, 1)).ravel() for pixel in one_pixel], axis=1
)  # (36, 16)
assert (A.sum(axis=1) == 1).all()
counts = A.sum(axis=0).reshape(4, 4)

figure, (left, right) = plt.subplots(
    1, 2, figsize=(8.5, 5), layout="constrained", width_ratios=(1.1, 1)
)
place, pixel = np.nonzero(A)
left.scatter(pixel, place, marker="s", s=30, color=[ORANGE if 9 <= r < 18 else BLUE for r in place])
for edge in (8.5, 17.5, 26.5):
    left.axhline(edge, color=GREY, lw=0.8)
left.set(xlim=(-0.5, 15.5), ylim=(35.5, -0.5), yticks=(4, 13, 22, 31), xticks=range(0, 16, 3))
left.set_yticklabels(["(0, 0)", "(0, 1)", "(1, 0)", "(1, 1)"], fontsize=11)
left.set_ylabel("window, nine places each", fontsize=12)
left.set_xlabel("pixel, in reading order", fontsize=12)
left.set_title("A, 36 x 16: the ones of im2col", fontsize=12)
middle = {(1, 1), (1, 2), (2, 1), (2, 2)}
draw_grid(right, counts, 0, 4, marked=middle)
right.set(xlim=(-0.1, 4.1), ylim=(-0.1, 4.1), aspect="equal")
right.set_title("the windows that hold each pixel\n= column sums of A = col2im(ones)", fontsize=12)
right.axis("off")
plt.show()
print(counts)

# %%
# A corner lies in one window, a pixel of the middle in all four. Now col2im without the matrix. It
# is im2col read backwards: the same loop, the same slices, the two sides of the assignment
# exchanged, and ``+=`` for ``=``.


def col2im(columns, shape, kernel, stride):
    """(N OH OW, KH KW C) -> shape = (N, H, W, C)."""
    OH, OW = windows.count(shape[1:3], kernel, stride)
    columns = columns.reshape(shape[0], OH, OW, *kernel, shape[3])
    x = np.zeros(shape)
    for i, j in np.ndindex(kernel):
        x[:, i : i + stride[0] * OH : stride[0], j : j + stride[1] * OW : stride[1]] += columns[
            :, :, :, i, j
        ]
    return x


np.testing.assert_array_equal(
    col2im(np.ones((4, 9)), (1, 4, 4, 1), (3, 3), (1, 1))[0, :, :, 0], counts
)
dcolumns = rng.standard_normal(36)
np.testing.assert_allclose(col2im(dcolumns, (1, 4, 4, 1), (3, 3), (1, 1)).ravel(), A.T @ dcolumns)

# %%
# A test that needs no derivative
# -------------------------------
#
# The adjoint has a definition that can be run. For *every* :math:`x` and *every* :math:`c`
#
# .. math:: \langle A x, \, c \rangle = \langle x, \, A^T c \rangle
#
# where the angle brackets multiply element by element and add up. Two random arrays, two inner
# products, one comparison: no epsilon, no error of the differences, only rounding. If a linear step
# of your backward pass is wrong, this finds it, whatever the sizes. (One random pair suffices in
# practice: for a wrong col2im the two sides agree by chance only.)


def adjoint_error(im2col, col2im, shape, kernel, stride):
    """The two inner products of random arrays, compared."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal(shape)
    columns = im2col(x, kernel, stride)
    c = rng.standard_normal(columns.shape)
    ahead, back = (columns * c).sum(), (x * col2im(c, shape, kernel, stride)).sum()
    return abs(ahead - back) / max(abs(ahead), abs(back))


for stride in ((1, 1), (2, 2), (3, 3)):
    ours = adjoint_error(im2col, col2im, (2, 9, 9, 3), (3, 3), stride)
    package = adjoint_error(package_im2col, package_col2im, (2, 9, 9, 3), (3, 3), stride)
    print(
        f"stride {stride}: <Ax, c> and <x, A'c> differ by {ours:.0e}, "
        f"in the package by {package:.0e}"
    )
    assert max(ours, package) < 1e-12

# %%
# Now plant the mistake that everyone makes once: ``=`` where ``+=`` belongs. A pixel then keeps the
# gradient that was written to it last, that of one of its windows, and forgets the others. At which
# of the three strides will the test notice?


def forgetful_col2im(columns, shape, kernel, stride):
    OH, OW = windows.count(shape[1:3], kernel, stride)
    columns = columns.reshape(shape[0], OH, OW, *kernel, shape[3])
    x = np.zeros(shape)
    for i, j in np.ndindex(kernel):
        x[:, i : i + stride[0] * OH : stride[0], j : j + stride[1] * OW : stride[1]] = columns[
            :, :, :, i, j
        ]
    return x


errors = {
    s: adjoint_error(im2col, forgetful_col2im, (2, 9, 9, 3), (3, 3), (s, s)) for s in (1, 2, 3)
}
for s, error in errors.items():
    print(f"stride {s}: {error:.0e}", "caught" if error > 1e-6 else "not noticed")
assert errors[1] > 1e-3 and errors[2] > 1e-3 and errors[3] < 1e-12

# %%
# At stride 3 windows of 3 pixels do not overlap: each pixel lies in one of them, and ``=`` is as
# good as ``+=``. A test on a case without overlap would have passed a broken layer. Test the case
# that makes the step difficult.
#
# The whole layer
# ---------------
#
# One piece is missing: the border. ``padding="same"`` puts zeros around the image, so that at
# stride 1 :math:`y` is as large as :math:`x`. That is a linear map too (copy the image into the
# middle of zeros), and its adjoint is to cut the middle out: the gradient of a border pixel is
# dropped, since nobody can change the zeros.
#
# With it you have written the package's ``minidann/nn/conv.py``. That file is the lesson; what runs
# by default is its *fast twin* in ``minidann/fast``, with the same results and none of the plain
# looks, and ``with minidann.plain():`` turns the twins off. We compare with both.


def conv_forward(x, W, b, stride, border):
    """y, and what backward needs."""
    padded = windows.pad(x, border)
    return convolve(padded, W, b, stride), padded


def conv_backward(dy, padded, W, stride, border):
    """dx, dW, db."""
    dy = dy.reshape(-1, dy.shape[3])  # (N OH OW, M)
    dW = (im2col(padded, W.shape[:2], stride).T @ dy).reshape(W.shape)
    dcolumns = dy @ W.reshape(-1, W.shape[3]).T  # (N OH OW, KH KW C)
    return (
        windows.crop(col2im(dcolumns, padded.shape, W.shape[:2], stride), border),
        dW,
        dy.sum(axis=0),
    )


def results(layer, x, dy):
    """y, dx, dW, db of a layer of the package."""
    return layer.forward(x), layer.backward(dy), layer.grads["W"], layer.grads["b"]


print(f"{'padding':<8} {'stride':<7} {'y':<13} difference from Conv2D in y, dx, dW, db")
for padding, stride in (("same", 1), ("valid", 1), ("same", 2), ("valid", 2), (2, (1, 2))):
    layer = double(
        Conv2D(3, 5, (3, 2), stride=stride, padding=padding, rng=np.random.default_rng(3))
    )
    W, b = layer.params["W"], rng.standard_normal(5)
    layer.params["b"] = b
    border = windows.border(padding, x.shape[1:3], layer.kernel, layer.stride)
    y, padded = conv_forward(x, W, b, layer.stride, border)
    dy = rng.standard_normal(y.shape)
    dx, dW, db = conv_backward(dy, padded, W, layer.stride, border)
    with plain():
        lesson = results(layer, x, dy)
    found = [
        max(relative_error(ours, theirs), relative_error(ours, its_twins))
        for ours, theirs, its_twins in zip((y, dx, dW, db), lesson, results(layer, x, dy))
    ]
    print(
        f"{padding!s:<8} {stride!s:<7} {y.shape!s:<13}", " ".join(f"{error:.0e}" for error in found)
    )
    assert max(found) < 1e-12

# %%
# Agreement of two programs that share an idea proves little if the idea is wrong. So, as in
# tutorial 02, finite differences against a random upstream gradient, for ours and for the
# package's:

border = windows.border("same", x.shape[1:3], (3, 2), (2, 2))
y, padded = conv_forward(x, W, b, (2, 2), border)
upstream = rng.standard_normal(y.shape)
dx, dW, db = conv_backward(upstream, padded, W, (2, 2), border)


def loss(_):
    return float((conv_forward(x, W, b, (2, 2), border)[0] * upstream).sum())


for name, ours, array in (("dx", dx, x), ("dW", dW, W), ("db", db, b)):
    error = relative_error(ours, numerical_gradient(loss, array))
    print(f"{name}: {error:.0e}")
    assert error < TOLERANCE
assert check_layer(Conv2D(3, 5, (3, 2), stride=2, rng=np.random.default_rng(3)), x).passed()

# %%
# The gradient is a convolution too
# ---------------------------------
#
# At stride 1 there is a second way to :math:`dx`. Pixel :math:`a` meets weight :math:`i` in the
# window that begins at :math:`a - i`. So (without border, and written for one direction)
#
# .. math:: dx[n, a, c] = \sum_{i, m} dy[n, \, a - i, \, m] \; W[i, c, m]
#
# where :math:`dy` counts as 0 at places that it does not have. Let a kernel be :math:`k` long, and
# count its weights from the other end: with :math:`i = k - 1 - j`
#
# .. math:: dx[n, a, c] = \sum_{j, m} dy[n, \, a - (k - 1) + j, \, m] \; W[k - 1 - j, \, c, \, m]
#
# Read it again: a weighted sum of :math:`dy` over a window, which begins at :math:`a - (k - 1)`. It
# is a convolution of :math:`dy`, by the kernel turned through 180 degrees (both indices run
# backwards) with its in and out exchanged. :math:`dy` needs a border of :math:`k - 1` zeros, so
# that there is such a window for the pixels at the edge. This form reads where col2im adds to
# memory, and the fast twin uses it where it can.

W, b = rng.standard_normal((3, 2, 3, 5)), np.zeros(5)
dy = rng.standard_normal((2, 5, 5, 5))
turned = W[::-1, ::-1].transpose(0, 1, 3, 2)  # (KH, KW, M, C)
by_convolution = convolve(windows.pad(dy, ((2, 2), (1, 1))), turned, np.zeros(3), (1, 1))
by_col2im, _, _ = conv_backward(dy, x, W, (1, 1), ((0, 0), (0, 0)))
np.testing.assert_allclose(by_convolution, by_col2im)
print("dx", by_convolution.shape, "both ways: equal")

# %%
# What the matrix costs, and why blocks are faster
# ------------------------------------------------
#
# Each pixel is copied up to :math:`KH \cdot KW` times. Take the second convolution of the network
# for MNIST-M that the recipe ``tf-dann`` trains: 14 x 14 pixels, 32 channels, 48 kernels of 5 x 5,
# padding "same", 64 images, float32. How large is the unfolded batch? Guess the order of magnitude,
# then see. Beside it stands the cache of a processor core. We assume 2 MiB, a common size of the
# second level; what does not fit there goes through slower memory, twice: once when im2col writes
# it and once when the product reads it.

batch, size, channels, kernels, k = 64, 14, 32, 48, 5
assert recipes.tf_dann(0).features.params["3.W"].shape == (k, k, channels, kernels)
MB = 1e6
image_bytes = size * size * channels * 4
unfolded_bytes = size * size * k * k * channels * 4  # of one image
cache_bytes = 2 << 20
print(
    f"64 images: {batch * image_bytes / MB:.1f} MB   unfolded: {batch * unfolded_bytes / MB:.1f} MB"
)
print(f"a cache of 2 MiB holds {cache_bytes / unfolded_bytes:.1f} unfolded images")
assert unfolded_bytes == k * k * image_bytes

rng = np.random.default_rng(4)
images = rng.standard_normal((batch, size, size, channels), dtype=np.float32)
W = rng.standard_normal((k, k, channels, kernels), dtype=np.float32)
padded = windows.pad(images, windows.border("same", (size, size), (k, k), (1, 1)))
whole_batch = package_im2col(padded, (k, k), (1, 1))
assert whole_batch.nbytes == batch * unfolded_bytes

# %%
# Nobody asks us to hold the whole matrix at once. The product of a few rows gives a few rows of
# :math:`y`, and these need nothing from the others. So: unfold a few images into a small buffer,
# multiply, use *the same buffer* for the next few. The number of multiplications is the same. What
# changes is where the rows wait for their product.


def make_buffer(images):
    """Room for the windows of so many images."""
    return np.empty((images * size * size, k * k * channels), np.float32)


def convolve_in_blocks(padded, W, images, buffer):
    """The convolution, ``images`` at a time, each block unfolded into the same buffer."""
    matrix, kernel, stride = W.reshape(-1, W.shape[3]), W.shape[:2], (1, 1)
    OH, OW = windows.count(padded.shape[1:3], kernel, stride)
    y = np.empty((len(padded), OH, OW, W.shape[3]), np.float32)
    for start in range(0, len(padded), images):
        # every window of the block: a view, with the axes n, u, v, i, j, c of the formula
        views = window_views(padded[start : start + images], kernel, stride)
        columns = buffer[: len(views) * OH * OW]
        np.copyto(columns.reshape(views.shape), views)
        np.matmul(columns, matrix, out=y[start : start + images].reshape(-1, W.shape[3]))
    return y


def seconds(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def shares(functions, reference, rounds=15):
    """Times of the functions over that of number ``reference`` in the same round: medians."""
    times = np.array([[seconds(function) for function in functions] for _ in range(rounds)])
    return np.median(times / times[:, [reference]], axis=0)


at_once = np.array([1, 2, 4, 8, 16, 32, 64])
kept = make_buffer(batch)
whole = convolve_in_blocks(padded, W, batch, kept)
for n in at_once:
    np.testing.assert_allclose(convolve_in_blocks(padded, W, n, kept), whole, rtol=1e-3, atol=1e-3)
fresh_ones = [lambda n=n: convolve_in_blocks(padded, W, n, make_buffer(n)) for n in at_once]
kept_ones = [lambda n=n: convolve_in_blocks(padded, W, n, kept) for n in at_once]
# the plain way: number 6, the whole batch unfolded into a new array
with_fresh, with_kept = np.split(shares(fresh_ones + kept_ones, reference=6), 2)
print("images at once   unfolded   time, with a new buffer   with one that is kept")
for n, fresh, old in zip(at_once, with_fresh, with_kept):
    print(f"{n:>14} {n * unfolded_bytes / MB:>7.1f} MB {fresh:>25.2f} {old:>23.2f}")

# %%
# Times are shares of the plain way: the whole batch, unfolded into a new array. Two things can make
# it slow, and the two columns tell them apart. A large new array comes from the operating system
# page by page, each cleared first, at every step; a buffer that is kept is free of that. What is
# then left of a rise, from the top of the right column to its bottom, is mostly the way to slower
# memory and back. How much is due to which depends on the machine, so no time is asserted here.
# Another program that runs beside it moves the times as well: run the cell twice.

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
left.loglog(at_once, at_once * unfolded_bytes / MB, "o-", color=ORANGE, label="unfolded")
left.loglog(at_once, at_once * image_bytes / MB, "s-", color=BLUE, label="the images themselves")
capped = np.minimum(at_once * unfolded_bytes, windowed.BLOCK_BYTES) / MB
left.loglog(at_once, capped, "^:", color=GREEN, label="at most, in minidann")
left.axhline(cache_bytes / MB, color=GREY, ls="--", label="a cache of 2 MiB")
left.set_xlabel("images in the batch", fontsize=12)
left.set_ylabel("MB", fontsize=12)
left.set_title("memory", fontsize=13)
left.legend(fontsize=11)
right.semilogx(at_once, with_fresh, "o-", color=ORANGE, label="a new buffer every time")
right.semilogx(at_once, with_kept, "^-", color=GREEN, label="a buffer that is kept")
right.axhline(1, color=GREY, ls="--")
right.set(ylim=(0, 1.1 * max(*with_fresh, *with_kept)))
right.legend(fontsize=11)
right.set_xlabel("images unfolded at a time, of 64", fontsize=12)
right.set_ylabel("time, the plain way = 1", fontsize=12)
right.set_title("time, measured here", fontsize=13)
left.set_ylim(top=400)
left.set_yticks((0.1, 1, 10, 100), ("0.1", "1", "10", "100"), fontsize=11)
for axis in (left, right):
    axis.set_xticks(at_once, at_once, fontsize=11)
    axis.minorticks_off()
plt.show()
print(f"minidann unfolds at most {windowed.BLOCK_BYTES / 2**20:.0f} MiB at a time on a processor")
blocks_of_layer = windowed.window_blocks(np.empty((batch, size, size, kernels), np.float32), W)
print(
    f"this convolution by windows: {len(blocks_of_layer)} blocks "
    f"of {blocks_of_layer[0].stop} or so images"
)
assert (blocks_of_layer[0].stop - blocks_of_layer[0].start) * unfolded_bytes <= windowed.BLOCK_BYTES

# %%
# So the fast twin keeps one small buffer for each thread and unfolds into it, block by block
# (:mod:`minidann.fast.windowed`), where the lesson unfolds the whole batch. On a GPU, where
# thousands of threads want work, the block is the whole batch again (up to
# ``windowed.GPU_BLOCK_BYTES``); tutorial 12 shows what many small pieces of work cost there.
#
# Fewer multiplications: the Fourier transform
# --------------------------------------------
#
# So far every way took the same products. There is one that takes fewer, and the fast twin uses
# it for this very layer. The convolution theorem says: what is a sliding sum between pixels is *one
# product for each frequency*. In one direction, on a circle of :math:`n` points,
#
# .. math::
#    y[u] = \sum_j x[(u + j) \bmod n] \, w[j] \quad\Longleftrightarrow\quad
#    Y[k] = X[k] \, \overline{W[k]}
#
# with :math:`X[k] = \sum_u x[u] \, e^{-2 \pi \mathrm{i} k u / n}`, where :math:`\mathrm{i}^2 = -1`,
# the same for :math:`W` and :math:`Y`, and the bar for the complex conjugate. To see it, put the
# first formula into :math:`Y[k]` and write :math:`a` for :math:`u + j`; to take off a whole circle
# changes nothing (:math:`w` is real):
#
# .. math::
#    Y[k] = \sum_{u, j} x[u + j] \, w[j] \, e^{-2 \pi \mathrm{i} k u / n}
#    = \sum_a x[a] \, e^{-2 \pi \mathrm{i} k a / n} \; \sum_j w[j] \, e^{+2 \pi \mathrm{i} k j / n}
#
# Where a window runs over the end it wraps around; those outputs are thrown away. (This section is
# an outlook: none of the later tutorials needs it.)

x_line, w_line = rng.standard_normal(8), rng.standard_normal(3)
wrapped = np.fft.ifft(np.fft.fft(x_line) * np.fft.fft(w_line, 8).conj()).real
around = np.array([sum(x_line[(u + i) % 8] * w_line[i] for i in range(3)) for u in range(8)])
np.testing.assert_allclose(wrapped, around)
six = np.convolve(x_line, w_line[::-1], "valid")  # the windows that do not run over the end
np.testing.assert_allclose(wrapped[:6], six)
print("eight outputs on the circle, the first six of them are the convolution")

# %%
# With channels the product for each frequency is a small matrix product: a ``Dense`` layer for each
# frequency. :mod:`minidann.fast.fourier` writes real and imaginary parts side by side, so that
# nothing is complex, and takes the transform itself as a product with a matrix :math:`F` of cosines
# and sines. The whole layer is then a chain of linear maps, and you know what backward is: the
# chain of their adjoints, in reverse. The same test as for im2col applies:

# 14 + 2 + 2 = 18 points, with the border of "same"
F = fourier.transform((18, 18), (2, 2), (14, 14), np.float64)
pixels = rng.standard_normal((2, 14, 14, 3))
frequencies = rng.standard_normal(F(pixels).shape)  # real and imaginary parts of half of them
ahead, back = (F(pixels) * frequencies).sum(), (pixels * F.adjoint(frequencies)).sum()
np.testing.assert_allclose(ahead, back)
print(f"<F x, X> = {ahead:.6f} = <x, F' X>")

# %%
# Is the result the same, and what does it cost? Nothing in it is approximate, so both are asked in
# float64, for a batch of 64. A spy stands beside ``np.matmul`` and counts the multiplications that
# are really asked for.


@contextmanager
def counted_multiplications():
    """A list that grows by the multiplications of each matrix product made within the context."""
    counts, matmul = [], np.matmul

    def spy(a, b, out=None):
        result = matmul(a, b, out=out)
        counts.append(result.size * a.shape[-1])
        return result

    with mock.patch.object(np, "matmul", spy):
        yield counts


same = windows.border("same", (size, size), (k, k), (1, 1))
x, W, b = images.astype(float), W.astype(float), rng.standard_normal(kernels)
frequency_layer = fourier.FourierConvolution((size, size), (k, k), same, x.dtype)
with counted_multiplications() as by_windows:
    y_windows = windowed.correlate(windows.pad(x, same), W, (1, 1), b)
with counted_multiplications() as by_frequencies:
    y_frequencies = frequency_layer.forward(x, W, b)
share = sum(by_frequencies) / sum(by_windows)
print(f"forward, by windows:     {sum(by_windows) / 1e6:.0f} million multiplications")
print(f"forward, by frequencies: {sum(by_frequencies) / 1e6:.0f} million, {share:.2f} of that")
assert 0.1 < share < 0.4

np.testing.assert_allclose(y_frequencies, y_windows, rtol=1e-9, atol=1e-9)
dy = rng.standard_normal(y_windows.shape)
ours = conv_backward(dy, windows.pad(x, same), W, (1, 1), same)
for name, theirs, by_hand in zip(("dx", "dW", "db"), frequency_layer.gradients(dy), ours):
    print(f"{name}: {relative_error(theirs, by_hand):.0e}")
    assert relative_error(theirs, by_hand) < 1e-12

# %%
# It does not always pay. The first convolution of the same network has 3 channels in, and its
# transforms would cost more than they save: the way by windows costs :math:`C \cdot M` for each
# pixel and weight of the 5 x 5, while the cost of transforming the images grows with :math:`C + M`
# alone. So the fast twin counts, and chooses.

first = fourier.pays((28, 28), (5, 5), same, 3, 32)
second = fourier.pays((14, 14), (5, 5), same, 32, 48)
print("through frequencies? first convolution:", first, " second:", second)
assert second and not first

# %%
# Check yourself
# --------------
#
# *Exercise.* Two images of 6 x 6 pixels and 2 channels go through ``Conv2D(2, 5, 3, stride=2,
# padding="same")``. "same" gives ceil(6 / 2) = 3 windows in each direction; the border it needs is
# one row below and one column on the right.
#
# (a) What shape has the matrix of windows? (b) How many numbers does col2im add up for the pixel in
# row 2, column 1 (counted from 0, in the image without border)? (c) How many multiplications is the
# product that gives :math:`dW`?

your_answer = None  # ((rows, columns), terms, multiplications)


def expected():
    """The three answers, from the package."""
    border = windows.border("same", (6, 6), (3, 3), (2, 2))
    padded = windows.pad(np.zeros((2, 6, 6, 2)), border)
    columns = package_im2col(padded, (3, 3), (2, 2))
    terms = windows.crop(
        package_col2im(np.ones_like(columns), padded.shape, (3, 3), (2, 2)), border
    )
    return columns.shape, int(terms[0, 2, 1, 0]), columns.size * 5


def check(answer):
    """Compare with what the package does."""
    hints = (
        "a row for each window of each image, and in it every pixel and channel under the kernel",
        "windows begin at rows and columns 0, 2 and 4. Which of them hold row 2, which column 1?",
        "columns^T dy is (KH KW C, N OH OW) times (N OH OW, M)",
    )
    for letter, said, right, hint in zip("abc", answer, expected(), hints):
        assert said == right, f"({letter}) is not {said}: {hint}"
    print("All three are right.")


if your_answer is None:
    print("Write your answer into the line above.")
else:
    check(your_answer)

# %%
# *Worked answer.*

check(((2 * 3 * 3, 3 * 3 * 2), 2 * 1, (3 * 3 * 2) * (2 * 3 * 3) * 5))

# %%
# (a) Two images of nine windows are 18 rows; 3 x 3 pixels of 2 channels are 18 numbers in each. (b)
# In each direction the windows cover pixels 0 to 2, 2 to 4 and 4 to 6, where pixel 6 is border. Row
# 2 lies in two of them, column 1 in one: 2 x 1. (At stride 1 it would have been nine.) (c) An inner
# product of length 18 for each of the 18 x 5 weights.
#
# Take three things along. A layer that copies its input has a backward pass that adds. A linear
# step can be tested by its adjoint, to rounding and without epsilon. And the same formula may be
# computed in several orders that differ in memory and in multiplications, while a test holds them
# together.
