r"""
Softmax cross-entropy in one line of gradient
=============================================

Afterwards you can turn logits into probabilities and a loss without overflow, derive the gradient
of that loss, which is one line, and say what it does to a network that is wrong, unsure, or wrong
and sure of itself.

It, or its form for two classes, is the loss of every classifier in this project, and of both heads
of DANN.
"""

# %%
# From logits to probabilities
# ----------------------------
#
# A network for :math:`K` classes ends in :math:`K` numbers, the *logits* :math:`z`. They may be
# anything. Probabilities must be positive and sum to 1. The exponential makes them positive, the
# division makes them sum to 1:
#
# .. math:: p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}
#
# That is the softmax. *Predict:* what happens to :math:`p` if 100 is added to all the logits? And
# if all are doubled?

import matplotlib.pyplot as plt
import numpy as np

from minidann.data import make_blobs_pair
from minidann.experiments.plots import BLUE, GREEN, GREY, ORANGE
from minidann.nn.gradcheck import check_loss, numerical_gradient
from minidann.nn.losses import binary_cross_entropy, softmax_cross_entropy


def naive_softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)


z = np.array([2.0, 1.0, -1.0])
p = naive_softmax(z)
for what, logits in (("z", z), ("z + 100", z + 100), ("2 z", 2 * z), ("0 z", 0 * z)):
    print(f"{what:<8}", naive_softmax(logits).round(4))
np.testing.assert_allclose(naive_softmax(z + 100), p)
np.testing.assert_allclose(p[0] / p[1], np.exp(z[0] - z[1]))

# %%
# Adding a constant changes nothing: it multiplies numerator and denominator alike. Only differences
# of logits count, and :math:`p_i / p_j = e^{z_i - z_j}`: a lead of 1 is a factor of 2.7 in
# probability. Doubling makes it more sure of itself; if all logits are 0, it knows nothing.
#
# The loss
# --------
#
# The truth is class :math:`t`. The network gave it the probability :math:`p_t`, and pays
#
# .. math::
#
#    L = -\log p_t
#    \qquad\text{and over } N \text{ examples the mean:}\qquad
#    L = \frac{1}{N} \sum_n -\log p_{n, t_n}
#
# Certain and right costs nothing. Certain and wrong costs without limit. A network that knows
# nothing pays :math:`\log K`. That is a number to remember: if the first loss of a run with 10
# classes is far above :math:`\log 10`, the network starts with a prejudice, because its initial
# weights or its inputs are too large.

rng = np.random.default_rng(0)
labels = rng.integers(0, 10, 1000)
for size in (0, 0.1, 10):
    loss, _ = softmax_cross_entropy(size * rng.standard_normal((1000, 10)), labels)
    print(f"random logits of size {size:<4}: loss {loss:6.3f}     log 10 = {np.log(10):.3f}")
    assert (loss > 2 * np.log(10)) == (size == 10)

# %%
# Overflow, and what cures it
# ---------------------------
#
# The formulas are right, and a program that follows them word by word breaks. Here is the loss of
# one example, whose true class is 0 and whose logits are :math:`(-s, 0)`, or, which is the same,
# :math:`(0, s)`. The loss should be very nearly :math:`s` for a large :math:`s`. Three programs:
#
# - naive: probabilities by the formula, then the logarithm;
# - shifted: the largest logit is subtracted first, which changes nothing and leaves only exponents
#   of at most 0;
# - log-sum-exp: shifted, and the logarithm is taken *before* anything is divided:
#
# .. math::
#
#    -\log p_t = -\log \frac{e^{z_t}}{\sum_j e^{z_j}} = \log \sum_j e^{z_j} - z_t
#    = \log \sum_j e^{z_j - m} - (z_t - m), \qquad m = \max_j z_j
#
# *Predict:* in float32, which of the first two breaks at :math:`s = 100`, and for which of the two
# pairs of logits?


def naive(z, t):
    return -np.log(naive_softmax(z)[t])


def shifted(z, t):
    return naive(z - z.max(), t)


def log_sum_exp(z, t):
    z = z - z.max()
    return np.log(np.exp(z).sum()) - z[t]


table = {}
print(f"{'s':>8} {'naive':>10} {'naive (0,s)':>12} {'shifted':>10} {'log-sum-exp':>12}")
with np.errstate(all="ignore"):  # the warnings are the point, but the table shows it better
    for s in (1, 10, 100, 1000):
        z = np.array([-s, 0], np.float32)
        table[s] = naive(z, 0), naive(z + np.float32(s), 0), shifted(z, 0), log_sum_exp(z, 0)
        print(
            f"{s:>8} {table[s][0]:>10.4f} {table[s][1]:>12.4f} {table[s][2]:>10.4f} "
            f"{table[s][3]:>12.4f}"
        )

# %%
# The second column is for :math:`(0, s)`. Then :math:`e^{100}` is too large for float32, whose
# largest number is near :math:`e^{88.7}`: it becomes infinity, :math:`p_t` is 1 over infinity,
# which is 0, and the loss is infinite. (The other probability is infinity over infinity, which is
# not a number at all.)
#
# The shift makes that impossible, and still the third column ends in infinity. There :math:`p_t` is
# so small that it is *rounded to zero*. That happens from about :math:`s = 104` on in float32; at
# 100 digits are being lost already, as you see. So the shift cures the first disease alone. The
# last column never takes the logarithm of a number below 1, since one term of its sum is
# :math:`e^0`.

assert np.isclose(np.log(np.finfo(np.float32).max), 88.7, atol=0.1)
with np.errstate(over="ignore", invalid="ignore"):
    assert np.isnan(naive_softmax(np.array([0, 100], np.float32))[1])
assert np.exp(np.float32(-104)) == 0, "rounded to zero"
assert np.isinf(table[100][1]) and np.isinf(table[1000][2]) and abs(table[100][2] - 100) > 0.01
for s, row in table.items():
    np.testing.assert_allclose(row[3], s + np.log1p(np.exp(-s)), rtol=1e-5)
z = np.array([[-10_000, 0]], np.float32)
loss, dlogits = softmax_cross_entropy(z, np.array([0]))
print("the package at s = 10,000:", loss, dlogits)
assert loss == 10_000 and np.isfinite(dlogits).all()

# %%
# The gradient, the short way
# ---------------------------
#
# Take the log-sum-exp form without the shift, which changes no value: for one example :math:`L =
# \log \sum_j e^{z_j} - z_t`. Write :math:`[k = t]` for 1 if :math:`k` is the true class, else 0.
# Move :math:`z_k`. It stands once in the sum, and perhaps in the last term:
#
# .. math::
#
#    \frac{\partial L}{\partial z_k}
#    = \frac{1}{\sum_j e^{z_j}} \; \frac{\partial}{\partial z_k} \sum_j e^{z_j} - [k = t]
#    = \frac{e^{z_k}}{\sum_j e^{z_j}} - [k = t]
#    = p_k - [k = t]
#
# The loss is the mean over :math:`N` examples, each row of logits belongs to one of them, so each
# gets a factor :math:`1/N`:
#
# .. math:: \boxed{\; \frac{\partial L}{\partial z} = \frac{p - \text{onehot}(t)}{N} \;}
#
# What was said minus what is true. In code it is one line and an average:


def by_hand(z, t):
    """Mean loss and its gradient: z (N, K), t (N,) integers."""
    z = z - z.max(axis=1, keepdims=True)
    rows = np.arange(len(z))
    p = naive_softmax(z)  # safe now
    loss = (np.log(np.exp(z).sum(axis=1)) - z[rows, t]).mean()
    dz = (p - np.eye(z.shape[1])[t]) / len(z)  # the one line
    return loss, dz


z, t = rng.standard_normal((5, 4)), np.array([0, 3, 1, 1, 2])
loss, dz = by_hand(z, t)
loss_of_package, dz_of_package = softmax_cross_entropy(z, t)
np.testing.assert_allclose(loss, loss_of_package)
np.testing.assert_allclose(dz, dz_of_package)
np.testing.assert_allclose(dz, numerical_gradient(lambda z: by_hand(z, t)[0], z), atol=1e-9)
print("the package agrees, and so do the differences:", check_loss(by_hand, z, t))

# %%
# Three facts that the line holds, each of use when you debug:
#
# - Each row sums to zero: raising all logits does nothing, so there is no reason to.
# - No entry is larger in size than :math:`1/N`, however wrong the network is. The loss can not
#   explode through its own gradient.
# - The gradient vanishes only where the answer is right and certain.

wild = 1000 * rng.standard_normal((5, 4))
_, dz = softmax_cross_entropy(wild, t)
np.testing.assert_allclose(dz.sum(axis=1), 0, atol=1e-15)
assert np.abs(dz).max() <= 1 / 5
_, dz = softmax_cross_entropy(50 * np.eye(4)[t], t)
assert np.abs(dz).max() < 1e-15

# %%
# The long way, and why no one takes it
# -------------------------------------
#
# One could write two layers, softmax and :math:`-\log`, each with its own backward pass, and let
# the chain rule do the rest. In the softmax every logit moves every probability of its row. From
# the quotient rule,
#
# .. math::
#
#    \frac{\partial p_j}{\partial z_k}
#    = \frac{[j = k]\, e^{z_j} \sum_i e^{z_i} - e^{z_j} e^{z_k}}{\big( \sum_i e^{z_i} \big)^2}
#    = p_j \, \big( [j = k] - p_k \big)
#    \qquad
#    \frac{\partial L}{\partial p_j} = -\frac{[j = t]}{p_t}
#
# .. math::
#
#    \frac{\partial L}{\partial z_k}
#    = \sum_j \frac{\partial L}{\partial p_j} \frac{\partial p_j}{\partial z_k}
#    = -\frac{1}{p_t} \; p_t \, \big( [t = k] - p_k \big) = p_k - [k = t]
#
# The same, of course. But look at what cancels: a division by :math:`p_t` and a multiplication by
# it. On paper they are gone. In a program that does one after the other, :math:`p_t` may have been
# rounded to zero in between.


def jacobian(p):
    return np.diag(p) - np.outer(p, p)  # entry [j, k] is p_j ([j = k] - p_k)


def long_way(z, t):
    p = naive_softmax(z - z.max())
    dp = np.zeros_like(p)
    dp[t] = -1 / p[t]
    return dp @ jacobian(p)


z = np.array([0.5, -0.3, 1.2])
for j in range(3):
    by_differences = numerical_gradient(lambda z, j=j: naive_softmax(z)[j], z)
    np.testing.assert_allclose(jacobian(naive_softmax(z))[j], by_differences, atol=1e-9)
np.testing.assert_allclose(long_way(z, 1), naive_softmax(z) - [0, 1, 0])

very_wrong = np.array([-1000.0, 0.0, 0.0])
with np.errstate(all="ignore"):
    broken = long_way(very_wrong, 0)
_, (sound,) = by_hand(very_wrong[None], np.array([0]))
print("the long way: ", broken)
print("the short way:", sound)
assert np.isnan(broken).any()
np.testing.assert_allclose(sound, [-1, 0.5, 0.5])

# %%
# That is why :mod:`minidann.nn.losses` takes logits, and returns value and gradient together, and
# why no network here ends in a softmax layer.
#
# Two classes: the sigmoid in disguise
# ------------------------------------
#
# With two classes only the difference :math:`s = z_1 - z_0` counts:
#
# .. math:: p_1 = \frac{e^{z_1}}{e^{z_0} + e^{z_1}} = \frac{1}{1 + e^{-(z_1 - z_0)}} = \sigma(s)
#
# So one logit would do, and binary cross-entropy is that: for a logit :math:`s` and a target
# :math:`t`, 0 or 1,
#
# .. math:: L = -t \log \sigma(s) - (1 - t) \log(1 - \sigma(s)) = \log(1 + e^{s}) - s\, t
#
# The last step: :math:`-\log \sigma(s) = \log(1 + e^{-s}) = \log(1 + e^{s}) - s`, and
# :math:`-\log(1 - \sigma(s)) = \log(1 + e^{s})`. Its slope is :math:`e^s / (1 + e^s) - t`, and with
# the mean
#
# .. math:: \frac{\partial L}{\partial s} = \frac{\sigma(s) - t}{N}
#
# What was said minus what is true, once more. For large :math:`s` the form :math:`\log(1 + e^s)`
# overflows; subtract the maximum of 0 and :math:`s`, as before, and it becomes :math:`\max(s, 0) +
# \log(1 + e^{-|s|})`.

z, t = rng.standard_normal((6, 2)), np.array([0, 1, 1, 0, 1, 0])
s = z[:, 1] - z[:, 0]
loss_two, dz = softmax_cross_entropy(z, t)
loss_one, ds = binary_cross_entropy(s, t)
sigma = 1 / (1 + np.exp(-s))
np.testing.assert_allclose(naive_softmax(z)[:, 1], sigma)
np.testing.assert_allclose(loss_one, loss_two)
np.testing.assert_allclose(loss_one, (-t * np.log(sigma) - (1 - t) * np.log(1 - sigma)).mean())
np.testing.assert_allclose(
    loss_one, (np.maximum(s, 0) + np.log1p(np.exp(-np.abs(s))) - s * t).mean()
)
np.testing.assert_allclose(ds, (sigma - t) / 6)
np.testing.assert_allclose(dz, np.stack([-ds, ds], axis=1))
np.testing.assert_allclose(dz[:, 1] - dz[:, 0], 2 * ds)
print(f"two logits: loss {loss_two:.6f}      one logit: loss {loss_one:.6f}")
print("dz of the first row:", dz[0].round(4), "    ds:", ds[0].round(4))

# %%
# Note the last two assertions: :math:`dz = (-ds, ds)`. With two logits and gradient descent at the
# same learning rate the difference is pushed from both ends and moves twice as fast. The two
# networks can say the same things; they do not learn at the same pace. The domain head of DANN asks
# "source or target", label 0 or 1, and may be built in either way. The paper takes one unit.
#
# Wrong and sure of itself
# ------------------------
#
# Tutorial 01 trained with the squared error behind a sigmoid, and found that a saturated sigmoid
# hands on next to nothing. Now compare. Let :math:`s` be the lead of the truth: positive is right,
# negative is wrong. :math:`p = \sigma(s)` is the probability that the truth got.
#
# .. math::
#
#    \text{cross-entropy:}\; -\log p, \text{ slope } -(1 - p)
#    \qquad
#    \text{squared error:}\; \tfrac{1}{2} (1 - p)^2, \text{ slope } -(1 - p)\, p\, (1 - p)
#
# *Predict:* a network begins with the wrong answer to every point, and is sure of it. Which of the
# two losses gets it out?

s = np.linspace(-8, 8, 401)
p = 1 / (1 + np.exp(-s))
values = {
    "cross-entropy": (-np.log(p), 1 - p),
    "squared error": ((1 - p) ** 2 / 2, (1 - p) * p * (1 - p)),
}
for value, size in values.values():
    np.testing.assert_allclose(np.gradient(value, s)[1:-1], -size[1:-1], atol=1e-3)

source, _ = make_blobs_pair(300, seed=0, cluster_std=0.2)
x, t = source.x.astype(np.float64), source.y.astype(np.float64)


def accuracies(slope_of, steps=300):
    """Train one neuron from a start that is sure of the wrong answer; ``slope_of(p, t)`` is
    dL/ds."""
    w, b, found = np.array([0.0, -20.0]), 10.0, []
    for _ in range(steps):
        p = 1 / (1 + np.exp(-(x @ w + b)))
        found.append(np.mean((p > 0.5) == t))
        ds = slope_of(p, t) / len(x)
        w, b = w - 5 * x.T @ ds, b - 5 * ds.sum()
    return found


learned = {
    "cross-entropy": accuracies(lambda p, t: p - t),
    "squared error": accuracies(lambda p, t: (p - t) * p * (1 - p)),
}

figure, axes = plt.subplots(1, 3, figsize=(10.5, 4), layout="constrained")
for name, colour, style in (("cross-entropy", BLUE, "-"), ("squared error", ORANGE, "--")):
    axes[0].plot(s, values[name][0], style, color=colour, lw=2, label=name)
    axes[1].plot(s, values[name][1], style, color=colour, lw=2)
    axes[2].plot(learned[name], style, color=colour, lw=2)
titles = "the loss", "the size of its slope", "accuracy, from a bad start"
lead = r"wrong $\leftarrow\; s \;\rightarrow$ right"
for axis, title, label in zip(axes, titles, (lead, lead, "step")):
    axis.set_title(title, fontsize=13)
    axis.set_xlabel(label, fontsize=12)
    axis.grid(alpha=0.3)
for axis in axes[:2]:
    axis.axvline(0, color=GREY, lw=1)
figure.legend(
    *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=12
)
plt.show()
for name, found in learned.items():
    print(
        f"{name}: accuracy {found[0]:.3f} at the start, {found[-1]:.3f} after "
        f"{len(found) - 1} steps"
    )

at = {place: np.abs(s - place).argmin() for place in (-5, 0)}
parts = {
    place: values["squared error"][1][i] / values["cross-entropy"][1][i] for place, i in at.items()
}
for place, part in parts.items():
    print(f"at s = {place:>2} the squared error's slope is {part:.4f} of the other's")
assert parts[-5] < 0.01 and np.isclose(parts[0], 0.25)
assert learned["cross-entropy"][30] > 0.98 and learned["squared error"][-1] < 0.5

# %%
# The cross-entropy is right about nearly every point after thirty steps; the squared error is still
# mostly wrong after three hundred. The two slopes differ by the factor :math:`p (1 - p)`, the slope
# of the sigmoid. At :math:`s = 0` it is a quarter, at :math:`s = -5` less than a hundredth: the
# surer the mistake, the weaker the pull. The logarithm has the slope :math:`1/p`, which cancels the
# :math:`p` that makes the sigmoid flat on the wrong side. On the right side the pull may well fade,
# and does.
#
# What the gradient does during training
# --------------------------------------
#
# Now a softmax over two logits, and the source blobs again. Ten points get the wrong label, as
# happens in any real data set. Each point is drawn with an area that grows with its gradient
# :math:`|p_t - 1|`, at three moments of training. *Predict:* which points are large at the end?

wrong = rng.choice(300, 10, replace=False)
t = source.y.copy()
t[wrong] = 1 - t[wrong]
W, b, moments, shares = np.zeros((2, 2)), np.zeros(2), {}, {}
for step in range(501):
    _, dz = softmax_cross_entropy(x @ W + b, t)
    size = np.abs(dz[np.arange(300), t]) * 300  # 1 - p_t
    if step in (0, 10, 500):
        moments[step], shares[step] = size, size[wrong].sum() / size.sum()
    W, b = W - 1.0 * x.T @ dz, b - 1.0 * dz.sum(axis=0)

figure, axes = plt.subplots(1, 3, figsize=(10.5, 4.4), layout="constrained", sharey=True)
mislabelled = np.isin(np.arange(300), wrong)
kinds = (~mislabelled, "o", BLUE, "right label"), (mislabelled, "s", GREEN, "wrong label")
for axis, (step, size) in zip(axes, moments.items()):
    for rows, marker, colour, kind in kinds:
        for label in (0, 1):
            chosen = rows & (t == label)
            style = {
                "facecolors": colour if label else "none",
                "edgecolors": colour,
                "alpha": 0.8,
                "lw": 1.4,
            }
            area = 2 + 120 * size[chosen]
            axis.scatter(*x[chosen].T, area, marker=marker, label=f"{kind} {label}", **style)
    axis.set_title(f"step {step}", fontsize=13)
handles, names = axes[0].get_legend_handles_labels()
figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=11)
plt.show()
for step, share in shares.items():
    print(f"step {step:>3}: the 10 wrong labels, 1 point in 30, hold {share:.0%} of the gradient")

assert np.allclose(moments[0], 0.5) and np.isclose(shares[0], 1 / 30) and 0.3 < shares[500] < 0.36

# %%
# At first everyone pulls alike: the network knows nothing, and :math:`1 - p_t` is one half
# everywhere. Then the points far from the boundary fall silent, since they are right and sure. What
# goes on pulling are the points at the boundary, and those with a wrong label, of which the network
# is sure that they are something else: one point in thirty, and a third of the gradient.
#
# That is both the strength and the weakness of this loss. It spends its gradient where something is
# to be learned; and it can not tell a hard example from a wrong one.
#
# One thing for later. The gradient that DANN reverses is that of the domain head's cross-entropy.
# When that head is right and sure about every example, its gradient is zero, and zero reversed is
# zero. Such a head teaches the features nothing, however large :math:`\lambda` is.
#
# Check yourself
# --------------
#
# *Exercise.* The truth need not be one class. Let ``q`` (N, K) hold weights, any numbers of at
# least 0, and
#
# .. math:: L = \frac{1}{N} \sum_n \sum_k -q_{nk} \log p_{nk}
#
# With one-hot rows this is the loss above. With rows such as (0.9, 0.05, 0.05) it is label
# smoothing; with (3, 0, 0) the example counts three times. Write :math:`\partial L / \partial z` as
# a function of ``p`` and ``q``.

your_answer = None  # lambda p, q: ...


def soft_loss(z, q):
    z = z - z.max(axis=1, keepdims=True)
    return float((q * (np.log(np.exp(z).sum(axis=1, keepdims=True)) - z)).sum() / len(z))


def check(answer):
    """Compare with differences, for rows of three kinds."""
    rng = np.random.default_rng(11)
    z = rng.standard_normal((4, 3))
    kinds = {
        "one-hot rows": np.eye(3)[[0, 2, 1, 1]],
        "rows that sum to 1": np.eye(3)[[0, 2, 1, 1]] * 0.85 + 0.05,
        "rows that sum to anything": rng.uniform(0, 3, (4, 3)),
    }
    for kind, q in kinds.items():
        true = numerical_gradient(lambda z, q=q: soft_loss(z, q), z)
        said = answer(naive_softmax(z), q)
        assert np.shape(said) == (4, 3), (
            f"the gradient has the shape of z, (4, 3); yours is {np.shape(said)}"
        )
        message = (
            f"wrong for {kind}: is the 1/N there? And in the derivation, what "
            "is log-sum-exp multiplied by?"
        )
        np.testing.assert_allclose(said, true, atol=1e-8, err_msg=message)
        print("right for", kind)


if your_answer is None:
    print("Write your answer into the line above.")
else:
    check(your_answer)

# %%
# *Worked answer.* :math:`-\log p_k = \log \sum_j e^{z_j} - z_k`, so for one example :math:`L =
# \big( \sum_k q_k \big) \log \sum_j e^{z_j} - \sum_k q_k z_k`. The slope of the log-sum-exp is
# :math:`p`, that of the second term :math:`q`:
#
# .. math:: \frac{\partial L}{\partial z} = \frac{\big( \sum_k q_k \big)\, p - q}{N}

check(lambda p, q: (p * q.sum(axis=1, keepdims=True) - q) / len(q))

# %%
# For rows that sum to 1 it is :math:`(p - q) / N`: what was said minus what is true, again. With
# one-hot rows, the one line of this tutorial.
