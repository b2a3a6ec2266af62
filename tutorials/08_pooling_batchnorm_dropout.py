r"""
Pooling, batch-norm, dropout
============================

After this tutorial you can write the backward pass of the three layers that stand between the
convolutions. Each has a lesson of its own: max pooling *routes* a gradient, batch-norm makes the
examples of a batch depend on each other, and dropout must remember what it drew. And you will know
what batch-norm does to two domains in one batch, which must be settled before it is used in DANN.

It leans on tutorial 02 (finite differences) and on im2col and col2im of tutorial 07.
"""

# %%
# Max pooling: the winner takes it
# --------------------------------
#
# Each window of the image is replaced by its largest pixel, channel by channel:
#
# .. math:: y[n, u, v, c] = \max_{i, j} \; x[n, \, s u + i, \, s v + j, \, c]
#
# What is the derivative of a maximum? Move a pixel that is not the largest a little: the maximum
# does not change, derivative 0. Move the largest: the maximum moves with it, derivative 1. So
# :math:`dy` goes to the winner of its window, whole, and to no other pixel. If windows overlap, a
# pixel may win several, and collects from each.
#
# Below, windows of 3 x 3 that move by 2 over 5 x 5 pixels: four windows. Their gradients are 1, 2,
# 3 and 4. What reaches the 9 in the middle, and what the 8?

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import uniform_filter

from minidann.data import load_digits_pair
from minidann.experiments.plots import BLUE, GREEN, GREY, ORANGE
from minidann.nn import BatchNorm, Dropout, MaxPool2D
from minidann.nn.conv import col2im, im2col
from minidann.nn.gradcheck import (
    TOLERANCE,
    away_from_kinks,
    check_layer,
    numerical_gradient,
    relative_error,
)


def double(layer):
    """The same layer in float64, the precision to check in."""
    return layer.convert(lambda array: array.astype(np.float64))


image = np.array(
    [[1, 0, 2, 1, 8], [3, 5, 1, 0, 2], [2, 4, 9, 6, 1], [0, 1, 3, 2, 0], [7, 1, 0, 4, 5]], float
)
x, dy = image.reshape(1, 5, 5, 1), np.array([1.0, 2, 3, 4]).reshape(1, 2, 2, 1)
pool = MaxPool2D(3, stride=2)
y, dx = pool.forward(x), pool.backward(dy)
print(y[0, :, :, 0], dx[0, :, :, 0], sep="\n")
assert dx[0, 2, 2, 0] == 1 + 2 + 3 + 4 and dx[0, 0, 4, 0] == 0

# %%
# The 9 lies in all four windows and wins each: 1 + 2 + 3 + 4 = 10. The 8 is second to it, and gets
# nothing: its only window holds the 9 as well. The figure shows this image above, and below it
# windows of 2 x 2 that do not overlap, each with a winner of its own.


def draw(axis, values, title, winners=()):
    """A table of numbers; the winners in orange and ringed."""
    axis.imshow(np.zeros_like(values), cmap="Greys", vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(values):
        won = (row, column) in winners
        box = dict(boxstyle="circle,pad=0.25", fc=ORANGE, ec="black", lw=1.2) if won else None
        ink = "white" if won else (GREY if value == 0 else "black")
        axis.text(
            column, row, f"{value:g}", ha="center", va="center", fontsize=14, color=ink, bbox=box
        )
    axis.set_xticks(np.arange(values.shape[1] + 1) - 0.5, [])
    axis.set_yticks(np.arange(values.shape[0] + 1) - 0.5, [])
    axis.grid(color=GREY, lw=0.8)
    axis.tick_params(length=0)
    axis.set_title(title, fontsize=13)


def frame_windows(axis, starts, size):
    """A frame around each window, each a little smaller, so that all four can be seen."""
    styles = zip(starts, (BLUE, GREEN, ORANGE, "black"), ("-", "--", ":", "-."))
    for k, ((row, column), colour, style) in enumerate(styles):
        inset = 0.05 + 0.06 * k
        corner, side = (column - 0.5 + inset, row - 0.5 + inset), size - 2 * inset
        axis.add_patch(plt.Rectangle(corner, side, side, fc="none", ec=colour, ls=style, lw=2))


figure, panels = plt.subplots(
    2, 4, figsize=(10, 5.6), layout="constrained", width_ratios=(5, 2.6, 2.6, 5)
)
for (first, *rest), size, stride, pixels in zip(panels, (3, 2), (2, 2), (image, image[:4, :4])):
    pool = MaxPool2D(size, stride=stride)
    pooled, back = pool.forward(pixels[None, :, :, None])[0, :, :, 0], pool.backward(dy)[0, :, :, 0]
    winners = {tuple(place) for place in np.argwhere(back)}
    draw(first, pixels, f"x, windows of {size} x {size}", winners)
    frame_windows(first, [(stride * u, stride * v) for u in range(2) for v in range(2)], size)
    for axis, values, title in zip(rest, (pooled, dy[0, :, :, 0], back), ("y", "dy", "dx")):
        draw(axis, values, title, winners if title == "dx" else ())
plt.show()

# %%
# In code: pooling is im2col, and then a choice in each row
# ---------------------------------------------------------
#
# With im2col of tutorial 07 each window is a row. Forward takes the largest number of each row.
# Backward puts :math:`dy` into the winner's place of an empty row; then col2im brings the rows back
# to the image, and *adds where windows overlap*, as it always does.


def pool_forward(x, size, stride):
    """y, and the winner of each window for backward. Every channel is an image by itself."""
    N, H, W, C = x.shape
    rows = im2col(x.transpose(0, 3, 1, 2).reshape(N * C, H, W, 1), (size, size), (stride, stride))
    winners = rows.argmax(axis=1)
    OH, OW = (H - size) // stride + 1, (W - size) // stride + 1
    return rows.max(axis=1).reshape(N, C, OH, OW).transpose(0, 2, 3, 1), winners


def pool_backward(dy, winners, shape, size, stride):
    N, H, W, C = shape
    rows = np.zeros((len(winners), size * size))
    rows[np.arange(len(winners)), winners] = dy.transpose(0, 3, 1, 2).ravel()
    dx = col2im(rows, (N * C, H, W, 1), (size, size), (stride, stride))
    return dx.reshape(N, C, H, W).transpose(0, 2, 3, 1)


rng = np.random.default_rng(0)
for size, stride in ((2, 2), (3, 2), (3, 1), (2, 3)):
    for x in (
        away_from_kinks(rng, (3, 7, 8, 2)),
        rng.integers(0, 3, (3, 7, 8, 2)).astype(float),
    ):  # few values: ties
        layer = MaxPool2D(size, stride=stride)
        y, winners = pool_forward(x, size, stride)
        np.testing.assert_array_equal(layer.forward(x), y)
        upstream = rng.standard_normal(y.shape)
        dx = pool_backward(upstream, winners, x.shape, size, stride)
        np.testing.assert_allclose(layer.backward(upstream), dx, atol=1e-15)
        np.testing.assert_allclose(dx.sum(), upstream.sum())  # routed: nothing gained, nothing lost
    assert check_layer(layer, away_from_kinks(rng, (2, 7, 8, 2))).passed()
print("ours and MaxPool2D agree, and the gradient that comes in goes out, no more and no less")

# %%
# Ties
# ----
#
# After a ReLU many windows hold nothing but zeros. Who wins? ``argmax`` takes the first in reading
# order, and so does the package. Is that right? Ask finite differences, for a window of four zeros
# and :math:`dy = 1`. What will they say: 1, 0, 1/4 or something else?

tie = np.zeros((1, 2, 2, 1))
pool = MaxPool2D(2)
pool.forward(tie)
routed = pool.backward(np.ones((1, 1, 1, 1)))[0, :, :, 0]
differences = numerical_gradient(lambda x: float(MaxPool2D(2).forward(x).sum()), tie)[0, :, :, 0]
print("routed:", routed.ravel(), "  differences:", differences.ravel())
np.testing.assert_allclose(routed.ravel(), [1, 0, 0, 0])
np.testing.assert_allclose(differences, 0.5)
assert pool.forward(tie + 0.1) == 0.1  # all four raised together

# %%
# One half for every pixel: raise it by :math:`\varepsilon` and the maximum rises, lower it and the
# maximum stays. The four halves add up to 2, and that is no gradient of anything: raise all four
# together by :math:`\varepsilon` and :math:`y` rises by :math:`\varepsilon`, not by twice as much.
# At a tie the maximum *has* no derivative. To send the whole gradient to one of the tied pixels is
# a consistent choice: what comes in goes out once. To send it to every tied pixel, as ``dy * (x ==
# y)`` would, multiplies it:

every_tied_pixel = (tie == tie.max()) * 1.0
print("sent back by dy * (x == y):", every_tied_pixel.sum(), "for 1 received")
assert every_tied_pixel.sum() == 4 and routed.sum() == 1

# %%
# So a gradient check of pooling must keep its inputs away from ties (``away_from_kinks`` above),
# and a test of ties must be made by hand.
#
# Batch-norm, forward
# -------------------
#
# Take one channel: :math:`m` numbers, one from each example of the batch (for images, one from each
# pixel of each example; every pixel counts as an example). Batch-norm brings them to mean 0 and
# variance 1, and then lets the network choose another mean and scale:
#
# .. math::
#    \mu = \frac1m \sum_k x_k, \quad d_k = x_k - \mu, \quad v = \frac1m \sum_k d_k^2, \quad
#    \sigma = \sqrt{v + \varepsilon}, \quad \hat x_k = \frac{d_k}{\sigma}, \quad
#    y_k = \gamma \hat x_k + \beta

rng = np.random.default_rng(1)
epsilon = 1e-5
x = rng.normal(loc=3, scale=2, size=(6, 4))  # m = 6 examples, 4 channels
gamma, beta = rng.standard_normal(4), rng.standard_normal(4)

mu = x.mean(axis=0)
d = x - mu
v = (d**2).mean(axis=0)
sigma = np.sqrt(v + epsilon)
xhat = d / sigma
y = gamma * xhat + beta

layer = double(BatchNorm(4))
layer.params.update(gamma=gamma, beta=beta)
np.testing.assert_allclose(layer.forward(x, train=True), y)
print("mean of xhat:    ", xhat.mean(axis=0).round(12) + 0.0)  # + 0.0: no -0
print("variance of xhat:", xhat.var(axis=0).round(4))

# %%
# Backward, line by line
# ----------------------
#
# Every layer so far treated each example by itself. Here :math:`x_k` moves *every* output: through
# the mean and the variance. We walk the chain back from :math:`y` to :math:`x`, one arrow at a
# time. Write :math:`da` for :math:`\partial L / \partial a`. At each quantity, ask: which of the
# later ones does it enter, directly? Sum over those.
#
# 1. :math:`y_k = \gamma \hat x_k + \beta`. One :math:`\gamma` and one :math:`\beta` serve all
#    examples, so they collect from all:
#
#    .. math::
#       d\gamma = \sum_k dy_k \, \hat x_k, \qquad d\beta = \sum_k dy_k, \qquad
#       d\hat x_k = \gamma \, dy_k
#
# 2. :math:`\hat x_k = d_k / \sigma`. One :math:`\sigma` divides all the :math:`d_k`, and
#    :math:`\partial \hat x_k / \partial \sigma = -d_k / \sigma^2`:
#
#    .. math:: d\sigma = -\sum_k d\hat x_k \, \frac{d_k}{\sigma^2}
#
# 3. :math:`\sigma = \sqrt{v + \varepsilon}`, with derivative :math:`1 / (2 \sigma)`:
#
#    .. math:: dv = \frac{d\sigma}{2 \sigma}
#
# 4. :math:`d_k` is used twice: in :math:`\hat x_k = d_k / \sigma`, and in :math:`v`, where
#    :math:`\partial v / \partial d_k = 2 d_k / m`. Two uses, two terms. (Here :math:`d d_k` is the
#    gradient that arrives at :math:`d_k`; ``dd`` in the code.)
#
#    .. math:: d d_k = \frac{d\hat x_k}{\sigma} + dv \, \frac{2 d_k}{m}
#
# 5. :math:`d_k = x_k - \mu`. One :math:`\mu` is taken from all of them:
#
#    .. math:: d\mu = -\sum_k d d_k
#
# 6. :math:`x_k` is used twice: in :math:`d_k`, and in :math:`\mu` with weight :math:`1/m`:
#
#    .. math:: dx_k = d d_k + \frac{d\mu}{m}
#
# Six steps, and in code a line for each:

m = len(x)
dy = rng.standard_normal(x.shape)

dgamma, dbeta, dxhat = (dy * xhat).sum(axis=0), dy.sum(axis=0), gamma * dy  # 1
dsigma = -(dxhat * d / sigma**2).sum(axis=0)  # 2
dv = dsigma / (2 * sigma)  # 3
dd = dxhat / sigma + dv * 2 * d / m  # 4
dmu = -dd.sum(axis=0)  # 5
dx = dd + dmu / m  # 6

# %%
# Is every line right, not only the last? A chain can be cut anywhere: the part from some quantity
# up to :math:`L` is a function of that quantity, and so finite differences can judge each line by
# itself. When your own derivation goes wrong, this is how to find the line.


def from_xhat(xhat):
    return ((gamma * xhat + beta) * dy).sum()


def from_sigma(sigma):
    return from_xhat(d / sigma)


def from_v(v):
    return from_sigma(np.sqrt(v + epsilon))


def from_d(d):
    return from_xhat(d / np.sqrt((d**2).mean(axis=0) + epsilon))


def from_mu(mu):
    return from_d(x - mu)


def from_x(x):
    return from_d(x - x.mean(axis=0))


lines = {
    "dgamma": (dgamma, lambda gamma: ((gamma * xhat + beta) * dy).sum(), gamma),
    "dbeta": (dbeta, lambda beta: ((gamma * xhat + beta) * dy).sum(), beta),
    "dxhat": (dxhat, from_xhat, xhat),
    "dsigma": (dsigma, from_sigma, sigma),
    "dv": (dv, from_v, v),
    "dd": (dd, from_d, d),
    "dx": (dx, from_x, x),
}
for name, (ours, rest_of_the_chain, at) in lines.items():
    error = relative_error(ours, numerical_gradient(rest_of_the_chain, at.copy()))
    print(f"{name:<7} relative error {error:.0e}")
    assert error < TOLERANCE

# %%
# ``dmu`` is missing from the list, because it has something to show. :math:`\mu` enters :math:`v`
# as well, through every :math:`d_k`. Move :math:`\mu` once with :math:`v` held fixed, and once with
# :math:`v` following. By how much will the two derivatives differ?

following, fixed = (
    numerical_gradient(from_mu, mu.copy()),
    numerical_gradient(lambda mu: from_xhat((x - mu) / sigma), mu.copy()),
)
print("dmu:           ", dmu.round(6))
print("v may follow:  ", following.round(6))
print("v held fixed:  ", fixed.round(6))
np.testing.assert_allclose(following, dmu, atol=1e-7)
np.testing.assert_allclose(fixed, dmu, atol=1e-7)

# %%
# The same. Moving :math:`\mu` does not change :math:`v` to first order: :math:`\partial v /
# \partial \mu = -\frac2m \sum_k d_k`, and deviations from the mean add up to 0. (The mean is the
# point from which the squared distances are smallest, and at the bottom of a parabola the slope is
# 0.) This is why the long expression is about to become short.
#
# From six lines to one
# ---------------------
#
# Put step 3 into the second term of step 4, then step 2, and use :math:`\hat x_k = d_k / \sigma`
# twice:
#
# .. math::
#    dv \, \frac{2 d_k}{m} = \frac{d\sigma}{2 \sigma} \frac{2 d_k}{m} =
#    \frac{\hat x_k}{m} \, d\sigma
#    = -\frac{\hat x_k}{m} \sum_j d\hat x_j \frac{\hat x_j}{\sigma}
#    = -\frac{1}{\sigma} \, \hat x_k \, \mathrm{mean}(d\hat x \, \hat x)
#
# In step 5 that term adds up to nothing, because :math:`\sum_k \hat x_k = 0`. So
# :math:`d\mu / m = -\mathrm{mean}(d\hat x) / \sigma`, and step 6 becomes
#
# .. math::
#    dx_k = \frac{1}{\sigma}
#    \Big( d\hat x_k - \mathrm{mean}(d\hat x) - \hat x_k \, \mathrm{mean}(d\hat x \, \hat x) \Big)
#    = \frac{\gamma}{\sigma} \Big( dy_k - \frac{d\beta}{m} - \hat x_k \frac{d\gamma}{m} \Big)
#
# The two means are gradients that we need anyway. That one line is the backward pass of the
# package.

short = gamma / sigma * (dy - dbeta / m - xhat * dgamma / m)
np.testing.assert_allclose(short, dx)
np.testing.assert_allclose(layer.backward(dy), dx)
np.testing.assert_allclose(layer.grads["gamma"], dgamma)
np.testing.assert_allclose(layer.grads["beta"], dbeta)
images = rng.standard_normal((3, 4, 5, 2))  # 3 x 4 x 5 = 60 values of each channel
assert check_layer(BatchNorm(2), images).passed()
rows, whole = double(BatchNorm(2)), double(BatchNorm(2))
as_rows = rows.forward(images.reshape(60, 2), train=True)
np.testing.assert_allclose(as_rows, whole.forward(images, train=True).reshape(60, 2))
print("six lines, one line and BatchNorm: equal; images: every pixel is an example")

# %%
# What it means
# -------------
#
# Look at the bracket as geometry. The :math:`m` values of a channel are one vector of :math:`m`
# numbers. The part of a vector :math:`a` along another, :math:`b`, is :math:`b \, (a \cdot b) / (b
# \cdot b)`. For the vector of ones that is the mean of :math:`a` in every place. For :math:`\hat x`
# we have :math:`\hat x \cdot \hat x = m` (its variance is 1, up to :math:`\varepsilon`), so the
# part of :math:`dy` along it is :math:`\hat x \, \mathrm{mean}(dy \, \hat x)`. Both are taken away:
# **dy loses its mean and its part along xhat**, and what is left is multiplied by :math:`\gamma /
# \sigma`.
#
# It could not be otherwise. Add a constant to all of :math:`x`: :math:`y` stays as it is. Multiply
# :math:`x - \mu` by a positive number: :math:`y` stays, up to :math:`\varepsilon`. No loss above
# this layer can see a shift or a stretch of the batch, so its gradient cannot ask for one.
#
# With three examples it can be drawn. The plane at right angles to (1, 1, 1) is a sheet of paper,
# and on it :math:`\hat x` always lies, up to :math:`\varepsilon`, on a circle of radius
# :math:`\sqrt 3`. Moving :math:`x` can only turn :math:`\hat x` along the circle.

three, upstream = np.array([[0.2], [1.9], [0.6]]), np.array([[0.0], [-0.7], [1.9]])
layer = double(BatchNorm(1))
three_hat = layer.forward(three, train=True)  # gamma = 1, beta = 0: y is xhat
three_dx = layer.backward(upstream)
# two directions at right angles to (1, 1, 1) and to each other
plane = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2], [6]])
on_paper = {
    name: (plane @ vector).ravel()
    for name, vector in (
        ("xhat", three_hat),
        ("dy", upstream),
        ("dx", three_dx * np.sqrt(three.var() + epsilon)),
    )
}
along = three_hat * (upstream * three_hat).mean()
on_paper["along"] = (plane @ along).ravel()
np.testing.assert_allclose(on_paper["dy"] - on_paper["along"], on_paper["dx"])
np.testing.assert_allclose(np.linalg.norm(on_paper["xhat"]), np.sqrt(3), rtol=1e-4)

figure, axis = plt.subplots(figsize=(6.4, 5.6), layout="constrained")
axis.add_patch(plt.Circle((0, 0), np.sqrt(3), fc="none", ec=GREY, lw=1.2))
start = on_paper["xhat"]
arrows = (
    (np.zeros(2), start, BLUE, "-", "xhat"),
    (start, start + on_paper["dy"], GREY, "-", "dy, without its mean"),
    (start, start + on_paper["along"], ORANGE, "--", "its part along xhat: lost"),
    (start, start + on_paper["dx"], GREEN, "-", "what is left: sigma dx"),
)
shape = dict(arrowstyle="-|>", lw=2.5, shrinkA=0, shrinkB=0, mutation_scale=18)
for tail, head, colour, style, label in arrows:
    axis.annotate(
        "",
        head,
        tail,
        arrowprops=dict(shape, color=colour, ls=style),
    )
    axis.plot([], [], color=colour, ls=style, lw=2.5, label=label)
axis.plot(*np.stack([start + on_paper["dy"], start + on_paper["dx"]]).T, ":", color=GREY, lw=1.5)
axis.plot(*start, "o", color=BLUE, ms=8)
axis.plot(0, 0, "+", color="black", ms=10)
axis.set(aspect="equal", xlim=(-2.7, 2.2), ylim=(-2.1, 2.9), xticks=[], yticks=[])
axis.set_title("the plane at right angles to (1, 1, 1), m = 3", fontsize=13)
axis.legend(fontsize=12, loc="upper right")
plt.show()

# %%
# Numbers, for the batch of six. The sum of :math:`dx` is 0 to rounding. Its part along :math:`\hat
# x` is 0 up to the share that :math:`\varepsilon` has in the variance, because :math:`\hat x` has
# variance :math:`v / (v + \varepsilon)`, a little less than 1:

left_over = (dx * xhat).sum(axis=0)
predicted = gamma / sigma * (dy * xhat).sum(axis=0) * epsilon / (v + epsilon)
print("sum of dx:      ", np.abs(dx.sum(axis=0)).max())
print("sum of dx xhat: ", left_over)
np.testing.assert_allclose(dx.sum(axis=0), 0, atol=1e-12)
np.testing.assert_allclose(left_over, predicted, rtol=1e-6)

# %%
# A bug that ones cannot see
# --------------------------
#
# Forget the last term, the one along :math:`\hat x`. Check once with an upstream gradient of ones,
# once with a random one. Which check lets the bug pass?


def batch_norm(x):
    return gamma * (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + epsilon) + beta


def careless(dy):
    return gamma / sigma * (dy - dy.mean(axis=0))


for name, R in (("ones", np.ones_like(x)), ("random", dy)):
    differences = numerical_gradient(lambda x, R=R: (batch_norm(x) * R).sum(), x.copy())
    difference = np.abs(careless(R) - differences).max()
    print(
        f"{name:<7} largest difference {difference:.0e}",
        "caught" if difference > 1e-6 else "NOT NOTICED",
    )
    assert (difference > 1e-2) == (name == "random")

# %%
# With ones, :math:`L` is the sum of all :math:`y`, which is :math:`m \beta` whatever :math:`x` is.
# Its gradient is 0, and so is that of the bug.
#
# Evaluation
# ----------
#
# In use there may be a single image, and its answer must not depend on its neighbours. So
# evaluation takes a mean and a variance that were collected in training, ``running = momentum *
# running + (1 - momentum) * batch``, and these are constants. Then :math:`dx = \gamma \, dy /
# \sigma`: nothing is lost. What would *training* mode do with a batch of one example?

layer = double(BatchNorm(4))
for step in range(1, 31):
    layer.forward(x, train=True)
    np.testing.assert_allclose(layer.state["mean"], (1 - 0.9**step) * x.mean(axis=0))
    if step in (1, 10, 30):
        share = layer.state["mean"][0] / x[:, 0].mean()
        print(f"after {step:>2} steps the running mean has {share:.2f} of the batch's")
assert check_layer(layer, x, train=False).passed()
layer.forward(x[:1], train=False)
np.testing.assert_allclose(layer.backward(dy[:1]), dy[:1] / np.sqrt(layer.state["var"] + epsilon))
alone = x[:1] - x[:1].mean(axis=0)
print("one example less the mean of its batch:", alone)
assert not alone.any()
try:
    double(BatchNorm(4)).forward(x[:1], train=True)
except ValueError as error:
    refused = str(error)
print("BatchNorm says:", refused)
assert "one value has no variance" in refused

# %%
# One example is its own mean: :math:`\hat x = 0`, and nothing of it is left, neither forward nor
# backward. So the layer refuses to be trained on it.
#
# Two domains in one batch
# ------------------------
#
# DANN's batch is two stacked halves, source above target. Which mean should batch-norm take away?
# Let the target be the source, moved. With one mean for both, each domain lies off it, on its own
# side. If both have variance :math:`v` and their means are :math:`\delta` apart, the mixture has
# variance :math:`v + \delta^2 / 4` (by the definition: each point is, besides its own spread,
# :math:`\delta / 2` off the common mean), so afterwards the means are still
#
# .. math:: \frac{\delta}{\sqrt{v + \delta^2 / 4 + \varepsilon}}
#
# apart, which tends to 2 as the shift grows. A domain classifier has its answer from a single
# threshold at 0. ``BatchNorm(channels, domains=2)`` takes each half by its own mean and variance
# instead. Predict what the right panel will look like.

rng = np.random.default_rng(2)
n, shift = 300, np.array([3.0, -2.0])
labels = np.arange(n) % 2
centres = np.where(labels[:, None] == 1, 1.0, -1.0) * [0.3, 1.2]
source = centres + rng.normal(scale=0.5, size=(n, 2))
target = centres + rng.normal(scale=0.5, size=(n, 2)) + shift
both = np.concatenate([source, target])
mixed = double(BatchNorm(2)).forward(both, train=True)
separate_layer = double(BatchNorm(2, domains=2))
separate = separate_layer.forward(both, train=True)


def gap(points):
    """Distance of the domain means, in each channel."""
    return np.abs(points[:n].mean(axis=0) - points[n:].mean(axis=0))


def scatter(axis, points, title, target_labels=labels):
    """Domain by colour and marker, class by filled and hollow."""
    halves = (
        ("source", points[:n], labels, BLUE, "o"),
        ("target", points[n:], target_labels, ORANGE, "^"),
    )
    for name, half, of, colour, marker in halves:
        for label, face in ((0, "none"), (1, colour)):
            axis.scatter(
                *half[of == label].T,
                s=16,
                marker=marker,
                facecolors=face,
                edgecolors=colour,
                lw=0.8,
                alpha=0.8,
                label=f"{name}, class {label}",
            )
        side = 20 if marker == "o" else 12
        axis.plot(*half.mean(axis=0), marker, ms=side, mfc=colour, mec="black", mew=2, zorder=5)
    axis.set_title(title, fontsize=13)
    axis.axhline(0, color=GREY, lw=0.6)
    axis.axvline(0, color=GREY, lw=0.6)
    axis.set_aspect("equal", adjustable="datalim")


def legend_below(figure, axis):
    entries = axis.get_legend_handles_labels()
    figure.legend(*entries, loc="outside lower center", ncols=4, fontsize=12, markerscale=1.8)


figure, panels = plt.subplots(1, 3, figsize=(11, 4.8), layout="constrained")
scatter(panels[0], both, "before")
scatter(panels[1], mixed, "one mean for both")
scatter(panels[2], separate, "each domain its own (domains=2)")
legend_below(figure, panels[0])
plt.show()

spread_within = (source.var(axis=0) + target.var(axis=0)) / 2  # v: here the two differ a little
expected_gap = gap(both) / np.sqrt(spread_within + gap(both) ** 2 / 4 + epsilon)
print("means apart, before:  ", gap(both).round(2))
print("one mean for both:    ", gap(mixed).round(2), " by the formula:", expected_gap.round(2))
print("each domain its own:  ", gap(separate).round(12))
np.testing.assert_allclose(gap(mixed), expected_gap)
np.testing.assert_allclose(1000 / np.sqrt(1 + 1000**2 / 4), 2, rtol=1e-4)  # a shift of 1000, v = 1
np.testing.assert_allclose(gap(separate), 0, atol=1e-12)
is_target = np.arange(2 * n) >= n
normalised_pairs = {"mixed": mixed, "separate": separate}
guesses = {
    name: np.mean((points[:, 0] > 0) == is_target) for name, points in normalised_pairs.items()
}
print(
    "domain guessed right by the sign of channel 0:",
    {name: round(float(share), 2) for name, share in guesses.items()},
)
assert guesses["mixed"] > 0.95 and 0.4 < guesses["separate"] < 0.6

# %%
# The large markers are the means. With one mean for both the domains stay as far apart as before,
# in another unit. Each by its own, they coincide here, because the domains differ by a shift and by
# nothing else. Nothing had to be learned for it. Whoever wants this must do it wherever a
# batch-norm sees both domains, in :math:`G_f` and in :math:`G_d` alike: a single mixed one hands on
# what difference of the means it is given. (With mixed batch-norm DANN may still adapt; tutorial 13
# compares the two.)
#
# In code, two parts are two layers, one on each half, that share :math:`\gamma` and :math:`\beta`:

upstream = rng.standard_normal(both.shape)
dx = separate_layer.backward(upstream)
halves = [double(BatchNorm(2)) for _ in range(2)]
for half, rows in zip(halves, (slice(0, n), slice(n, None))):
    np.testing.assert_allclose(half.forward(both[rows], train=True), separate[rows])
    np.testing.assert_allclose(half.backward(upstream[rows]), dx[rows])
np.testing.assert_allclose(
    halves[0].grads["gamma"] + halves[1].grads["gamma"], separate_layer.grads["gamma"]
)

# %%
# Two limits, both worth knowing before you trust it.
#
# **Evaluation.** The running statistics are joint: the average of the two means, the average of the
# two variances, so that no domain label is needed in use. What was brought together in training now
# has a common mean taken away, and lies apart again. How far? The variance is now the average of
# the two, :math:`v`, *without* :math:`\delta^2 / 4`, so by :math:`\delta / \sqrt{v + \varepsilon}`,
# which is more than with the mixture:

separate_layer.momentum = (
    0.0  # the running statistics are those of the last batch, for a clear view
)
separate_layer.forward(both, train=True)
evaluated = separate_layer.forward(both)
joint_mean = (source.mean(axis=0) + target.mean(axis=0)) / 2
np.testing.assert_allclose(separate_layer.state["mean"], joint_mean, rtol=1e-6)
np.testing.assert_allclose(gap(evaluated), gap(both) / np.sqrt(spread_within + epsilon))
print("means apart in training, each its own:", gap(separate).round(2))
print("means apart in evaluation, joint:     ", gap(evaluated).round(2))
assert (gap(evaluated) > gap(mixed)).all()

# %%
# The price depends on how far apart the statistics lie, and here they lie far apart on purpose.
# Where it is high, let the target have its own: pass unlabelled target examples through once and
# keep their statistics. (``minidann.ablation`` reports both.) For one layer:

target_layer = double(BatchNorm(2, momentum=0.0))
target_layer.forward(target, train=True)  # no label is needed
np.testing.assert_allclose(target_layer.forward(target), separate[n:], rtol=1e-5, atol=1e-5)
print("target by its own running statistics: as in training")

# %%
# **Other shares of the classes.** The mean of a domain depends on how many examples of each class
# are in it. Let the target hold nine of class 1 for each one of class 0. There is no shift at all
# now: each class is drawn around the same place in both domains. What does separate normalisation
# do?

few = (np.arange(n) % 10 != 0).astype(int)  # 1 for nine of ten
unequal = np.where(few[:, None] == 1, 1.0, -1.0) * [0.3, 1.2] + rng.normal(scale=0.5, size=(n, 2))
pair = np.concatenate([source, unequal])
normalised = double(BatchNorm(2, domains=2)).forward(pair, train=True)


def class_gap(points, label):
    """Distance of the means of one class in the two domains."""
    of_source, of_target = points[:n][labels == label], points[n:][few == label]
    return float(np.linalg.norm(of_source.mean(axis=0) - of_target.mean(axis=0)))


figure, panels = plt.subplots(1, 2, figsize=(9.5, 5.2), layout="constrained")
scatter(panels[0], pair, "before: no shift,\nbut nine of ten targets are of class 1", few)
scatter(panels[1], normalised, "each domain its own:\nthe classes no longer agree", few)
legend_below(figure, panels[0])
plt.show()
for label in (0, 1):
    before, after = class_gap(pair, label), class_gap(normalised, label)
    print(f"class {label}: its means in the two domains are {before:.2f} apart, then {after:.2f}")
    assert after > 2 * before

# %%
# The overall means coincide, as promised, and that is the harm: the two classes of the target are
# pulled away from their fellows. DANN itself has the same limit: it matches whole domains, so it
# assumes that their classes come in similar shares. Know your class shares before you match
# anything.
#
# Dropout
# -------
#
# In training each unit is silenced with probability :math:`p` (``rate``), by a mask that is drawn
# anew at every forward pass. Those that remain are divided by :math:`1 - p`:
#
# .. math::
#    y = \frac{x \cdot \mathrm{mask}}{1 - p}, \qquad
#    dx = \frac{dy \cdot \mathrm{mask}}{1 - p}
#
# Why the division? The expected value: :math:`E[y] = (1 - p) \cdot \frac{x}{1 - p} + p \cdot 0 =
# x`. The layer above sees the same mean in training and in evaluation, where dropout does nothing.
# ("Inverted" dropout: the older form leaves training alone and shrinks the weights in evaluation.)
# What it costs is variance: :math:`E[y^2] = (1 - p) \cdot \frac{x^2}{(1 - p)^2} = \frac{x^2}{1 -
# p}`, so that :math:`E[y^2] - x^2 = x^2 \, p / (1 - p)`. Both, by 20,000 masks:

rate, draws = 0.4, 20_000
units = np.array([[-2.0, 0.5, 1.0, 3.0]])
dropout = Dropout(rate, rng=np.random.default_rng(3))
samples = np.concatenate([dropout.forward(units, train=True) for _ in range(draws)])
variance = units[0] ** 2 * rate / (1 - rate)
print("x:       ", units[0], "\nmean y:  ", samples.mean(axis=0).round(3))
print("variance:", samples.var(axis=0).round(3), " by the formula:", variance.round(3))
assert (
    np.abs(samples.mean(axis=0) - units[0]) < 4 * np.sqrt(variance / draws)
).all()  # four standard errors
np.testing.assert_allclose(samples.var(axis=0), variance, rtol=0.05)
assert dropout.forward(units) is units

# %%
# Backward must use *the mask of its forward pass*: a unit that was silenced had no part in
# :math:`y`, and so must not learn from it. Where :math:`y` is 0 because of the mask, :math:`dx` is
# 0, and elsewhere it is :math:`dy / (1 - p)`. Plant the mistake of drawing a new mask in backward:

x, dy = rng.standard_normal((5, 4)), rng.standard_normal((5, 4))
dropout = Dropout(rate, rng=np.random.default_rng(4))
y = dropout.forward(x, train=True)
np.testing.assert_allclose(dropout.backward(dy), np.where(y == 0, 0, dy / (1 - rate)))


class FreshMask(Dropout):
    """The mistake."""

    def backward(self, dy):
        return dy * self._draw(dy)


for kind in (Dropout, FreshMask):
    report = check_layer(kind(rate, rng=np.random.default_rng(5)), x)
    print(
        f"{kind.__name__:<10} largest relative error {report.largest:.0e}",
        "passed" if report.passed() else "CAUGHT",
    )
    assert report.passed() == (kind is Dropout)

# %%
# How can differences check a layer that is random? Every forward pass of ``check_layer`` starts
# from a copy of the layer, generator included, so that both sides of a difference draw the same
# mask.
#
# Whole channels
# --------------
#
# In an image, neighbours carry nearly the same number. Silence single pixels, and the next
# convolution, which looks at a neighbourhood, hardly misses them: their neighbours tell.
# ``Dropout(rate, channels=True)`` makes one draw for a whole channel of an example, so the mask has
# shape ``(N, 1, 1, C)``, and what is gone is gone.
#
# Put a number on it. A mean over 5 x 5 equal pixels, each silenced by itself with :math:`p = 1/2`,
# is a mean of 25 independent draws. How large is its standard deviation, relative to the pixel's
# value, and how large if the 25 fall and stand together?

source, _ = load_digits_pair()
digit = source.x_train[0].mean(axis=2) / 255  # (28, 28), 0 to 1
feature_maps = np.repeat(digit[None, :, :, None], 400, axis=3)  # the same picture in 400 channels
flat = np.ones_like(feature_maps)


def mean_5x5(x):
    return uniform_filter(x, size=(1, 5, 5, 1), mode="constant")


dropped, spread = {}, {}
for channels in (False, True):
    dropout = Dropout(0.5, channels=channels, rng=np.random.default_rng(6))
    dropped[channels] = dropout.forward(feature_maps, train=True)
    spread[channels] = mean_5x5(dropout.forward(flat, train=True))[0, 14, 14].std()
print(
    "standard deviation of a mean over 5 x 5 ones: "
    f"units {spread[False]:.2f}, channels {spread[True]:.2f}"
)
np.testing.assert_allclose(
    spread[False], np.sqrt(1 / 25), rtol=0.15
)  # p / (1 - p) = 1, over 25 draws
np.testing.assert_allclose(spread[True], 1, rtol=0.15)
whole = (dropped[True] != 0).any(axis=(0, 1, 2))
kept_pixels = np.where(whole, 2 * feature_maps, 0)  # divided by 1 - p = 1/2
np.testing.assert_allclose(dropped[True], kept_pixels)

examples = (
    ("no dropout", feature_maps[..., :1]),
    ("units", dropped[False][..., :1]),
    ("channels: this one fell", dropped[True][..., ~whole][..., :1]),
    ("channels: this one stayed", dropped[True][..., whole][..., :1]),
)
figure, panels = plt.subplots(2, 4, figsize=(10.5, 5.6), layout="constrained")
for (above, below), (title, picture) in zip(panels.T, examples):
    above.imshow(picture[0, :, :, 0], cmap="gray", vmin=0, vmax=2)
    below.imshow(mean_5x5(picture)[0, :, :, 0], cmap="gray", vmin=0, vmax=2)
    above.set_title(title, fontsize=13)
for axis in panels.flat:
    axis.set(xticks=[], yticks=[])
panels[0, 0].set_ylabel("y", fontsize=13)
panels[1, 0].set_ylabel("mean over 5 x 5", fontsize=13)
plt.show()

# %%
# A fifth against one. Below the second picture the digit can still be read; below the third there
# is nothing. (The fourth is brighter than the first, by the factor :math:`1 / (1 - p) = 2`. All
# pictures share one scale of grey.)
#
# Check yourself
# --------------
#
# *Exercise.* Do it on paper, then write the three numbers down.
#
# (a) ``BatchNorm(1, domains=2)`` receives four examples in training: source 1 and 3, target 10 and
# 14. The gradient that arrives is ``dy = (1, 0, 0, 0)``. What is the largest :math:`|dx|`, to two
# decimals?
#
# (b) ``MaxPool2D(3, stride=1)`` receives an image of 5 x 5 pixels that are all 0, but for a 1 in
# row 2, column 1 (counted from 0). Every :math:`dy` is 1. What reaches that pixel?
#
# (c) ``Dropout(0.8)`` in training; a unit remains, and the gradient that arrives at it is 1. What
# does it hand on?

your_answer = None  # (a, b, c)


def expected():
    """The three answers, from the package."""
    norm, pool, dropout = (
        double(BatchNorm(1, domains=2)),
        MaxPool2D(3, stride=1),
        Dropout(0.8, rng=np.random.default_rng(7)),
    )
    norm.forward(np.array([[1.0], [3], [10], [14]]), train=True)
    largest = np.abs(norm.backward(np.array([[1.0], [0], [0], [0]]))).max()
    spot = np.zeros((1, 5, 5, 1))
    spot[0, 2, 1, 0] = 1
    collected = pool.backward(np.ones_like(pool.forward(spot)))[0, 2, 1, 0]
    remain = dropout.forward(np.ones((1, 50)), train=True) > 0
    return (
        round(float(largest), 2),
        float(collected),
        float(dropout.backward(np.ones((1, 50)))[remain][0]),
    )


def check(answer):
    """Compare with what the package does."""
    hints = (
        "how many examples has each part? Which directions of dy are lost, and how many are there?",
        "which of the 3 x 3 windows hold that pixel? It wins each of them",
        "divide by the probability that a unit remains",
    )
    for letter, said, right, hint in zip("abc", answer, expected(), hints):
        assert np.isclose(said, right), f"({letter}) is not {said}: {hint}"
    print("All three are right.")


if your_answer is None:
    print("Write your answer into the line above.")
else:
    check(your_answer)

# %%
# *Worked answer.*

check((0.0, 6, 1 / (1 - 0.8)))

# %%
# (a) Each part is normalised by itself, so the target's examples get nothing, and the source's are
# a batch of two. Two numbers are a vector with two directions, the ones and :math:`\hat x = (-1,
# 1)`, and ``dy`` loses its part along either. Nothing is left: a batch of two teaches nothing below
# a batch-norm. (In numbers, what :math:`\varepsilon` leaves is far below the second decimal.) With
# one part for all four it would not be 0:

mixed = double(BatchNorm(1))
mixed.forward(np.array([[1.0], [3], [10], [14]]), train=True)
print(mixed.backward(np.array([[1.0], [0], [0], [0]])).ravel().round(3))
assert np.abs(mixed.backward(np.array([[1.0], [0], [0], [0]]))).max() > 0.05

# %%
# (b) There are 3 x 3 windows, which begin at rows and columns 0, 1, 2. Row 2 lies in all three rows
# of windows, column 1 in those that begin at 0 and 1: 3 x 2 windows, and the 1 wins each. (c) 1 /
# 0.2 = 5.
#
# The three lessons again. A choice made forward is a route backward. A quantity that all examples
# share hands a gradient to all of them, and what it makes invisible (shift and stretch) it takes
# out of the gradient. What was drawn at random must be kept.
