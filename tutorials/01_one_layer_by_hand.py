r"""
One neuron layer by hand
========================

Afterwards you can write the forward and the backward pass of a dense layer, of ReLU and of the
sigmoid without looking them up, say why no other product of two of the arrays could be the
gradient, and train a network with nothing but your own lines.

A layer is a function. Training asks two things of it: what comes out, and by how much the loss
would change if anything that goes in were a little different. The second is called the backward
pass. It is the chain rule of school calculus, and bookkeeping.
"""

# %%
# One neuron, one example
# -----------------------
#
# Two inputs, two weights, one bias, a sigmoid. The neuron says :math:`p`; the truth is :math:`t =
# 1`; the loss is half the squared difference.
#
# .. math::
#
#    z = x_0 w_0 + x_1 w_1 + b \qquad p = \sigma(z) = \frac{1}{1 + e^{-z}} \qquad L = \tfrac{1}{2}
#    (p - t)^2
#
# Four small functions, one inside the other. The chain rule multiplies their slopes, from the last
# to the first:
#
# .. math::
#
#    \frac{\partial L}{\partial w_1}
#    = \underbrace{\frac{\partial L}{\partial p}}_{p - t} \;
#      \underbrace{\frac{\partial p}{\partial z}}_{p (1 - p)} \;
#      \underbrace{\frac{\partial z}{\partial w_1}}_{x_1}
#
# *Predict before you run:* the neuron says too little (:math:`p < t`), and :math:`x_1 = -1`. Must
# :math:`w_1` go up or down?

from itertools import permutations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Patch, Rectangle

from minidann.data import make_blobs_pair, make_moons_pair
from minidann.experiments.plots import BLUE, GREEN, GREY, ORANGE
from minidann.nn import Dense, ReLU, Sequential, Sigmoid
from minidann.nn.gradcheck import check_layer, numerical_gradient
from minidann.nn.optimizers import SGD


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


x, w, b, t = np.array([2.0, -1.0]), np.array([0.5, 1.5]), 0.2, 1.0
z = x @ w + b
p = sigmoid(z)
dp = p - t  # dL/dp
dz = dp * p * (1 - p)  # dL/dz
dw, db = dz * x, dz  # dL/dw, dL/db
print(f"forward:   z = {z:.4f}   p = {p:.4f}   L = {(p - t) ** 2 / 2:.4f}")
print(f"backward: dp = {dp:.4f}  dz = {dz:.4f}  dw = {dw.round(4)}  db = {db:.4f}")

# %%
# :math:`\partial L / \partial w_1` is positive: the loss grows with :math:`w_1`, so :math:`w_1`
# must go *down*. The input is negative, a smaller weight makes a larger sum. Note the order of the
# work. Forward goes from :math:`x` to :math:`L`. Backward goes from :math:`L` to the weights, and
# each line uses the one before it: ``dz`` is computed once and serves both weights and the bias.
#
# Here and everywhere in this project ``dp`` is short for :math:`\partial L / \partial p`. It always
# has the shape of ``p``.
#
# Is it true? Nudge :math:`w_1` a little, look at the loss. (How to nudge well is the matter of the
# next tutorial.)


def loss_of(w):
    return (sigmoid(x @ w + b) - t) ** 2 / 2


nudge = np.array([0, 1e-5])
slope = (loss_of(w + nudge) - loss_of(w - nudge)) / 2e-5
print(f"by the chain rule {dw[1]:.10f}, by nudging {slope:.10f}")
np.testing.assert_allclose(dw[1], slope, rtol=1e-8)
assert dw[1] > 0 and loss_of(w - 0.1 * dw) < loss_of(w), (
    "a small step against the gradient lowers the loss"
)

# %%
# Many neurons, many examples
# ---------------------------
#
# A layer has :math:`M` neurons that all see the same :math:`D` inputs, and we feed it :math:`N`
# examples at once. One example is a row of ``x``, one neuron is a column of ``W``:
#
# .. math::
#
#    y_{nm} = \sum_d x_{nd} W_{dm} + b_m \qquad x\ (N, D) \quad W\ (D, M) \quad b\ (M) \quad y\ (N,
#    M)
#
# That sum is the definition of a matrix product. Loops first, so that it is plain what is meant:

N, D, M = 4, 3, 2
rng = np.random.default_rng(0)
x, W, b = rng.standard_normal((N, D)), rng.standard_normal((D, M)), rng.standard_normal(M)

y = np.zeros((N, M))
for n in range(N):
    for m in range(M):
        y[n, m] = sum(x[n, d] * W[d, m] for d in range(D)) + b[m]

np.testing.assert_allclose(x @ W + b, y)
print("y = x @ W + b, shape", y.shape)

# %%
# The chain rule, entry by entry
# ------------------------------
#
# Now backward. Somebody above this layer has worked out ``dy``: for each entry of ``y``, how much
# the loss grows with it. We want the same for each entry of ``W``, ``b`` and ``x``. One question
# does it all:
#
#     *Which entries of y does this number move, and by how much each?*
#
# The chain rule then says: add up, over all entries that are moved, ``dy`` there times how much it
# is moved. The figure answers the question for one entry of each. ``W`` stands above ``y`` and
# ``x`` to its left, so that each entry of ``y`` lies where a row of ``x`` and a column of ``W``
# cross.

# rows, columns, left, bottom
PLACES = {"W": (D, M, 0, 1.9), "b": (1, M, 0, 0.5), "y": (N, M, 0, -4), "x": (N, D, -3.6, -4)}
ENTRY = {"facecolor": GREEN}
MOVED = {"facecolor": "#F6C9AE", "hatch": "///"}
FACTOR = {"facecolor": "#BFDCEC", "hatch": "..."}


def draw_layer(axis, marks):
    """The four arrays as grids; ``marks``: dict of (array, row, column) -> style."""
    for name, (rows, columns, left, bottom) in PLACES.items():
        for i, j in np.ndindex(rows, columns):
            style = marks.get((name, i, j), {"facecolor": "white"})
            corner = left + j, bottom + rows - 1 - i
            axis.add_patch(Rectangle(corner, 1, 1, edgecolor=GREY, lw=0.8, **style))
        axis.text(left - 0.2, bottom + rows / 2, name, ha="right", va="center", fontsize=14)
    axis.set(xlim=(-4.4, 2.3), ylim=(-4.3, 5.1), aspect="equal")
    axis.axis("off")


of_W = (
    {("y", n, 0): MOVED for n in range(N)}
    | {("x", n, 1): FACTOR for n in range(N)}
    | {("W", 1, 0): ENTRY}
)
of_x = (
    {("y", 2, m): MOVED for m in range(M)}
    | {("W", 1, m): FACTOR for m in range(M)}
    | {("x", 2, 1): ENTRY}
)
of_b = {("y", n, 1): MOVED for n in range(N)} | {("b", 0, 1): ENTRY}
figure, axes = plt.subplots(1, 3, figsize=(9, 5), layout="constrained")
titles = "one weight W[1, 0]", "one input x[2, 1]", "one bias b[1]"
for axis, title, marks in zip(axes, titles, (of_W, of_x, of_b)):
    draw_layer(axis, marks)
    axis.set_title(title, fontsize=13)
styles = {
    "the number that moves": ENTRY,
    "the entries of y that it moves": MOVED,
    "by how much each (the bias: by 1)": FACTOR,
}
key = [Patch(edgecolor=GREY, label=label, **style) for label, style in styles.items()]
figure.legend(handles=key, loc="outside lower center", ncols=3, fontsize=11, handleheight=1.4)
plt.show()

# %%
# Read the sums off the figure: ``dy`` at the hatched entries, times the dotted entry that lies
# beside or above it.
#
# .. math::
#
#    \frac{\partial L}{\partial W_{dm}} = \sum_n dy_{nm}\, x_{nd}
#    \qquad
#    \frac{\partial L}{\partial x_{nd}} = \sum_m dy_{nm}\, W_{dm}
#    \qquad
#    \frac{\partial L}{\partial b_m} = \sum_n dy_{nm}
#
# A weight is used by every example, so its gradient is a sum over examples. An input is used by
# every neuron, so its gradient is a sum over neurons. A bias is a weight whose input is always 1.
#
# A sum over a shared index is again a matrix product. In the first sum the shared index :math:`n`
# is the *first* of both; a product wants it last on the left and first on the right, so the left
# one is transposed. In the second, :math:`m` is the last of both, so the right one is transposed:
#
# .. math:: dW = x^T\, dy \qquad dx = dy\, W^T \qquad db = \text{dy summed over its rows}

dy = rng.standard_normal((N, M))  # from above; any numbers will do
dW, dx, db = np.zeros_like(W), np.zeros_like(x), np.zeros_like(b)
for n in range(N):
    for m in range(M):
        db[m] += dy[n, m]
        for d in range(D):
            dW[d, m] += dy[n, m] * x[n, d]
            dx[n, d] += dy[n, m] * W[d, m]

np.testing.assert_allclose(x.T @ dy, dW)
np.testing.assert_allclose(dy @ W.T, dx)
np.testing.assert_allclose(dy.sum(axis=0), db)
print("three lines do what the three loops do")

# %%
# The shapes argument
# -------------------
#
# Suppose you forgot all this. You still know that ``dW`` has the shape of ``W``, and that a
# gradient contains ``dy`` once, since it is a sum of ``dy`` times something. Let us try every
# product of two of ``dy``, ``x``, ``W``, each as it is or transposed, in either order, and keep
# those that have the shape of what we look for.
#
# *Predict:* how many are left for ``dW``, and how many for ``dx``?


def candidates(shape, dy, x, W):
    """The products of ``dy`` and one other array that have this shape, as text."""
    arrays = {"dy": dy, "x": x, "W": W, "dy.T": dy.T, "x.T": x.T, "W.T": W.T}
    found = []
    for left, right in permutations(arrays, 2):
        once = ("dy" in left) + ("dy" in right) == 1
        A, B = arrays[left], arrays[right]
        if once and A.shape[1] == B.shape[0] and (len(A), B.shape[1]) == shape:
            found.append(f"{left} @ {right}")
    return found


print("dW can be:", candidates(W.shape, dy, x, W))
print("dx can be:", candidates(x.shape, dy, x, W))
assert candidates(W.shape, dy, x, W) == ["x.T @ dy"]
assert candidates(x.shape, dy, x, W) == ["dy @ W.T"]

# %%
# One each, and they are the right ones. That is how practitioners recall the formulas, and you may
# too, if you know its limits:
#
# - It worked because 4, 3 and 2 are different numbers. With :math:`N = D = M` it says nothing, and
#   worse, a wrong transpose no longer raises an error. Test with sizes that are all different.
# - It knows nothing of signs and factors. ``-x.T @ dy`` and ``x.T @ dy / N`` have the right shape
#   as well.
# - It tried products of two. ``x.T @ dy @ W.T @ W`` has the right shape too. What rules it out is
#   that :math:`y` is linear in :math:`W`: the slope of a linear function does not depend on where
#   you are, so ``dW`` can not contain ``W``.
# - It does not choose between a sum and a mean: ``dy.mean(axis=0)`` has the shape of ``b``.

square = np.ones((3, 3))
found = candidates((3, 3), square, square, square)
print(
    f"with N = D = M = 3, {len(found)} products fit dW, among them {found[0]}, "
    f"{found[1]} and {found[-1]}"
)
assert len(found) > 10
assert (x.T @ dy @ W.T @ W).shape == W.shape

# %%
# So: use the shapes to find the formula, entry by entry to be sure, differences (next tutorial) to
# be surer. The layer of the package, ``minidann/nn/dense.py``, is these lines, and keeps ``x`` from
# the forward pass because the backward pass needs it:

layer = Dense(D, M, rng=rng).convert(lambda array: array.astype(np.float64))
layer.params["W"], layer.params["b"] = W, b
np.testing.assert_allclose(layer.forward(x), x @ W + b)
np.testing.assert_allclose(layer.backward(dy), dy @ W.T)
np.testing.assert_allclose(layer.grads["W"], x.T @ dy)
np.testing.assert_allclose(layer.grads["b"], dy.sum(axis=0))
print("Dense agrees: forward, dx, dW and db")

# %%
# Functions of one number: ReLU and sigmoid
# -----------------------------------------
#
# Between two dense layers stands a function that is applied to each entry by itself. Without one,
# two dense layers would be no more than one: :math:`(x W_1) W_2 = x (W_1 W_2)`. Ask the question
# again: which entries of ``y`` does ``x[n, d]`` move? Only ``y[n, d]``. The sum has one term, there
# is no matrix, only an element by element product with the slope:
#
# .. math::
#
#    \text{ReLU:}\quad y = \max(x, 0) \quad dx = dy \odot [x > 0]
#    \qquad\qquad
#    \text{sigmoid:}\quad y = \sigma(x) \quad dx = dy \odot y \odot (1 - y)
#
# The sigmoid's slope from its formula, in one breath: with :math:`u = e^{-x}`, :math:`y = 1 / (1 +
# u)` and :math:`dy/dx = u / (1 + u)^2 = \frac{1}{1 + u} \cdot \frac{u}{1 + u} = y (1 - y)`.

x_many = np.linspace(-6, 6, 301)
y_sigmoid, y_relu = sigmoid(x_many), np.maximum(x_many, 0)
figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
for axis, name, y_many, slope in (
    (axes[0], "ReLU", y_relu, 1.0 * (x_many > 0)),
    (axes[1], "sigmoid", y_sigmoid, y_sigmoid * (1 - y_sigmoid)),
):
    axis.plot(x_many, y_many, color=BLUE, lw=2, label="y")
    axis.plot(x_many, slope, "--", color=ORANGE, lw=2, label="slope, which multiplies dy")
    axis.set_title(name, fontsize=13)
    axis.set_xlabel("x", fontsize=12)
    axis.set_ylim(-0.1, 1.6)
    axis.grid(alpha=0.3)
figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=12)
plt.show()

dy_many = rng.standard_normal(x_many.shape)
for layer, by_hand in (
    (ReLU(), dy_many * (x_many > 0)),
    (Sigmoid(), dy_many * y_sigmoid * (1 - y_sigmoid)),
):
    layer.forward(x_many)
    np.testing.assert_allclose(layer.backward(dy_many), by_hand, atol=1e-15)
slope = y_sigmoid * (1 - y_sigmoid)
assert np.isclose(slope.max(), 0.25) and slope[0] < 0.01, (
    "a quarter at best, next to nothing far out"
)

# %%
# The figure holds two facts to remember. A ReLU hands the gradient on whole or not at all. A
# sigmoid hands on a quarter of it at best, and next to nothing where it is *saturated*, far to the
# left or right. A network that is sure of itself hardly learns, be it right or wrong. Tutorial 03
# shows the cure for the last layer.
#
# Train it
# --------
#
# Two clouds of points in the plane, class 0 around (0, 0) and class 1 around (0, 1). One layer of
# one neuron, a sigmoid, the mean over the examples of half the squared error. Gradient descent with
# learning rate :math:`\mu` does, over and over,
#
# .. math::
#
#    W \leftarrow W - \mu\, \frac{\partial L}{\partial W}
#    \qquad
#    b \leftarrow b - \mu\, \frac{\partial L}{\partial b}
#
# The mean puts a :math:`1/N` into ``dp``, and from there it reaches everything. It is written once,
# at the top.

source, _ = make_blobs_pair(300, seed=0)
x, t = source.x.astype(np.float64), source.y[:, None].astype(np.float64)  # (N, 2) (N, 1)
N = len(x)
W, b = (
    np.array([[0.5], [-0.5]]),
    np.zeros(1),
)  # a bad start, on purpose: class 1 lies where W says "less"
losses, lines = [], []
for _ in range(301):
    p = sigmoid(x @ W + b)  # forward
    losses.append(((p - t) ** 2).mean() / 2)
    lines.append((W.copy(), b.copy()))
    dp = (p - t) / N  # backward
    dz = dp * p * (1 - p)
    dW, db = x.T @ dz, dz.sum(axis=0)
    W, b = (
        W - 10 * dW,
        b - 10 * db,
    )  # learning rate 10: squared error behind a sigmoid has small slopes

accuracy = ((p > 0.5) == t).mean()
print(f"loss {losses[0]:.4f} -> {losses[-1]:.4f}, accuracy {accuracy:.4f}")
print(f"W = {W.ravel().round(2)}, b = {b.round(2)}")
assert accuracy > 0.98 and losses[-1] < 0.02

# %%
# The neuron says 1/2 where :math:`x W + b = 0`, which is a straight line. Watch it turn.


def draw_classes(axis, x, t):
    for label in (0, 1):
        chosen = x[t[:, 0] == label]
        face = BLUE if label else "none"
        axis.scatter(
            *chosen.T, s=18, facecolors=face, edgecolors=BLUE, lw=0.8, label=f"class {label}"
        )


figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
left.plot(losses, color=GREEN, lw=2)
left.set_xlabel("step", fontsize=12)
left.set_ylabel("loss", fontsize=12)
left.set_ylim(0)
left.grid(alpha=0.3)
draw_classes(right, x, t)
ends = np.array([-1.0, 1.0])
for step, style in ((0, ":"), (2, "-."), (5, "--"), (300, "-")):
    W_then, b_then = lines[step]
    height = (
        -(ends * W_then[0] + b_then) / W_then[1]
    )  # solves x W + b = 0 for the second coordinate
    right.plot(ends, height, style, color="black", lw=2, label=f"step {step}")
    left.plot(step, losses[step], "o", color="black")
right.set(xlim=(-1, 1), ylim=(-0.9, 1.9))
right.legend(fontsize=11, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
right.set_title("where the neuron says 1/2", fontsize=12)
plt.show()

# %%
# Two layers
# ----------
#
# A line can not part two half moons that reach into each other. So: a layer of 16 neurons, ReLU, a
# layer of one neuron, sigmoid. The backward pass has nothing new in it. Each function's ``dx`` is
# the next one's ``dy``, and the code is the forward pass read from the bottom up. Put a finger on
# each forward line and find its mirror image.


def gradients(theta, x, t):
    """The loss and its gradient for each of the four parameters."""
    W1, b1, W2, b2 = theta
    h = x @ W1 + b1  # (N, 16)
    a = np.maximum(h, 0)
    p = sigmoid(a @ W2 + b2)  # (N, 1)

    dz = (p - t) / len(x) * p * (1 - p)  # through loss and sigmoid
    dW2, db2, da = a.T @ dz, dz.sum(axis=0), dz @ W2.T  # through the second layer
    dh = da * (h > 0)  # through the ReLU
    dW1, db1 = x.T @ dh, dh.sum(axis=0)  # through the first; no dx, for no one trains the data
    return ((p - t) ** 2).mean() / 2, (dW1, db1, dW2, db2)


moons, _ = make_moons_pair(300, seed=0)
x, t = moons.x.astype(np.float64), moons.y[:, None].astype(np.float64)
rng = np.random.default_rng(1)
start = [rng.standard_normal((2, 16)), np.zeros(16), rng.standard_normal((16, 1)) / 4, np.zeros(1)]

theta, losses = start, []
for _ in range(2000):
    loss, step = gradients(theta, x, t)
    theta = [parameter - 2 * gradient for parameter, gradient in zip(theta, step)]
    losses.append(loss)

one_W, one_b = np.zeros((2, 1)), np.zeros(1)  # and one layer alone, for comparison
for _ in range(2000):
    p = sigmoid(x @ one_W + one_b)
    dz = (p - t) / len(x) * p * (1 - p)
    one_W, one_b = one_W - 2 * x.T @ dz, one_b - 2 * dz.sum(axis=0)


def says_two(x):
    return sigmoid(np.maximum(x @ theta[0] + theta[1], 0) @ theta[2] + theta[3])


def says_one(x):
    return sigmoid(x @ one_W + one_b)


accuracies = [((says(x) > 0.5) == t).mean() for says in (says_one, says_two)]
print(f"accuracy with one layer {accuracies[0]:.3f}, with two {accuracies[1]:.3f}")
print(f"loss with two layers {losses[0]:.4f} -> {losses[-1]:.4f}")
assert accuracies[0] < 0.92 and accuracies[1] > 0.98

# %%
# Each hidden neuron is zero on one side of a line and grows on the other; the second layer adds
# them up, and the boundary may bend at each of those lines.

grid = np.stack(np.meshgrid(np.linspace(-4, 4, 200), np.linspace(-2.6, 2.6, 200)), axis=-1)
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharey=True)
for axis, says, title in zip(axes, (says_one, says_two), ("one layer", "two layers")):
    values = says(grid.reshape(-1, 2)).reshape(grid.shape[:2])
    axis.contourf(*grid.transpose(2, 0, 1), values, levels=[0, 0.5, 1], colors=["white", "#DDE9F1"])
    axis.contour(*grid.transpose(2, 0, 1), values, levels=[0.5], colors="black", linewidths=2)
    draw_classes(axis, x, t)
    axis.set_title(f"{title}: {((says(x) > 0.5) == t).mean():.1%} right", fontsize=13)
axes[0].legend(fontsize=11, loc="lower left")
plt.show()

# %%
# The package's layers, from the same start and with the same steps, arrive at the same weights.
# From here on we use them; you know what is inside.

network = Sequential([Dense(2, 16, rng=rng), ReLU(), Dense(16, 1, rng=rng), Sigmoid()])
network.convert(lambda array: array.astype(np.float64))
for parameter, value in zip(network.params.values(), start):
    parameter[...] = value
optimizer = SGD(network, learning_rate=2)
for _ in range(2000):
    p = network.forward(x, train=True)
    network.parameter_gradients((p - t) / len(x))
    optimizer.step()
for by_hand, by_package in zip(theta, network.params.values()):
    np.testing.assert_allclose(by_hand, by_package, rtol=1e-6, atol=1e-8)
print("the same weights after 2000 steps:", ", ".join(network.params))
print(
    "and the gradients pass the check of the next tutorial:", check_layer(network, x[:5]).passed()
)

# %%
# Check yourself
# --------------
#
# *Exercise.* A layer that writes a code and reads it back with the same weights: :math:`y = x\, W\,
# W^T`, with ``x`` (N, D) and ``W`` (D, M). Write ``dW`` as a function of ``x``, ``W`` and ``dy``
# (N, D). One warning: :math:`W` is there twice.

your_answer = None  # lambda x, W, dy: ...


def check(answer):
    """Compare with differences, at sizes that are all different."""
    rng = np.random.default_rng(7)
    x, W, dy = rng.standard_normal((5, 4)), rng.standard_normal((4, 3)), rng.standard_normal((5, 4))
    said = answer(x, W, dy)
    true = numerical_gradient(lambda W: float((x @ W @ W.T * dy).sum()), W.copy())
    assert np.shape(said) == W.shape, (
        f"dW must have the shape of W, {W.shape}; yours is {np.shape(said)}"
    )
    for path in (x.T @ dy @ W, dy.T @ x @ W):
        assert not np.allclose(said, path), (
            "that is the way through one W; there is another, and they add"
        )
    np.testing.assert_allclose(
        said, true, rtol=1e-6, err_msg="the shape is right, the numbers are not"
    )
    print("Right: it agrees with the differences.")


if your_answer is None:
    print("Write your answer into the line above.")
else:
    check(your_answer)

# %%
# *Worked answer.* Name the middle: :math:`h = x W_a` and :math:`y = h W_b^T`, as if the two were
# different arrays. The second is a dense layer whose weights are :math:`W_b^T`, so the gradient of
# :math:`W_b^T` is :math:`h^T dy`, and that of :math:`W_b` its transpose, :math:`dy^T h = dy^T x W`.
# What goes further down is :math:`dh = dy\, W_b`, and the first layer has :math:`x^T dh = x^T dy\,
# W`. Moving :math:`W` moves both, so the loss changes by the sum of what each would do.

check(lambda x, W, dy: x.T @ dy @ W + dy.T @ x @ W)

# %%
# Both terms have the right shape, so the shapes argument could not have told you that there are
# two. Keep this rule: *where a value is used twice, its gradients add.* In DANN the features are
# used twice, by the label head and by the domain head, and their gradients add. That is the whole
# of ``dann.compute_gradients``, but for one sign, which is tutorial 04.
