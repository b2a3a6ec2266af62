r"""
Finite differences
==================

Afterwards you can test any backward pass against its forward pass, choose the width of the
difference and the tolerance for a reason, tell a bug from a kink, and name what such a test can not
see.

"""

# %%
# Why check at all
# ----------------
#
# Here is the network of the last tutorial with one layer more, on the same two moons. The layer in
# the middle has a bug in its backward pass: somebody forgot to transpose. *Predict:* will it learn,
# and will you see that something is wrong?

import matplotlib.pyplot as plt
import numpy as np

from minidann.data import make_moons_pair
from minidann.experiments.plots import BLUE, GREEN, GREY, ORANGE
from minidann.nn import BatchNorm, Dense, Layer, ReLU, Sequential, Sigmoid, gradcheck
from minidann.nn.gradcheck import (
    TOLERANCE,
    check_layer,
    check_loss,
    numerical_gradient,
    relative_error,
)
from minidann.nn.losses import softmax_cross_entropy
from minidann.nn.optimizers import SGD


class NoTranspose(Dense):
    """A Dense with ``dy @ W`` for ``dy @ W.T``, which runs where W is square."""

    def backward(self, dy):
        super().backward(dy)
        return dy @ self.params["W"]


moons, _ = make_moons_pair(300, seed=0)
t = moons.y[:, None].astype(np.float32)


def train_with(middle, seed, steps=400):
    """The accuracy and the losses with this kind of layer in the middle."""
    rng = np.random.default_rng(seed)
    hidden = [Dense(2, 16, rng=rng), ReLU(), middle(16, 16, rng=rng), ReLU()]
    network, losses = Sequential([*hidden, Dense(16, 1, rng=rng), Sigmoid()]), []
    optimizer = SGD(network, learning_rate=1)
    for _ in range(steps):
        p = network.forward(moons.x, train=True)
        losses.append(float(((p - t) ** 2).mean() / 2))
        network.parameter_gradients((p - t) / len(t))
        optimizer.step()
    return ((p > 0.5) == t).mean(), losses


runs = {kind: [train_with(kind, seed) for seed in range(5)] for kind in (Dense, NoTranspose)}
for kind, results in runs.items():
    print(
        f"{kind.__name__:<12} accuracy with five seeds:",
        *(f"{accuracy:.3f}" for accuracy, _ in results),
    )

figure, axis = plt.subplots(figsize=(8, 3.8), layout="constrained")
for kind, style, colour in ((Dense, "-", BLUE), (NoTranspose, "--", ORANGE)):
    for seed, (_, losses) in enumerate(runs[kind]):
        axis.semilogy(
            losses, style, color=colour, lw=1.5, label=kind.__name__ if seed == 0 else None
        )
axis.set_xlabel("step", fontsize=12)
axis.set_ylabel("loss", fontsize=12)
axis.legend(fontsize=12)
axis.grid(alpha=0.3)
plt.show()
worse = [wrong[1][-1] / right[1][-1] for right, wrong in zip(runs[Dense], runs[NoTranspose])]
print("last loss with the bug, over that without it:", ", ".join(f"{ratio:.1f}" for ratio in worse))
assert all(accuracy > 0.99 for results in runs.values() for accuracy, _ in results)
assert all(1.2 < ratio < 4 for ratio in worse)

# %%
# It learns, and every point is classified rightly. The layer below receives a wrong gradient, but
# the layers above it make do. All that shows, seed by seed, is a loss that falls more slowly, and
# who would have known how fast it ought to fall? On a harder problem you would look for the cause
# in the learning rate, the data, the idea. A check that compares the backward pass with the forward
# pass finds it at once.
#
# One side or both?
# -----------------
#
# A derivative is a limit of differences. A computer can not take the limit, but it can take a small
# step :math:`\varepsilon`. Taylor's series says what that costs:
#
# .. math::
#
#    f(x \pm \varepsilon) = f(x) \pm \varepsilon f'(x) + \tfrac{1}{2} \varepsilon^2 f''(x)
#    \pm \tfrac{1}{6} \varepsilon^3 f'''(x) + \dots
#
# .. math::
#
#    \text{one-sided:}\quad \frac{f(x + \varepsilon) - f(x)}{\varepsilon}
#    = f'(x) + \tfrac{1}{2} \varepsilon f''(x) + \dots
#
# .. math::
#
#    \text{central:}\quad \frac{f(x + \varepsilon) - f(x - \varepsilon)}{2 \varepsilon}
#    = f'(x) + \tfrac{1}{6} \varepsilon^2 f'''(x) + \dots
#
# In the central form :math:`f(x)` and :math:`f''(x)` cancel. *Predict:* if :math:`\varepsilon` is
# made ten times smaller, by what factor does the error of each form fall?


def one_sided(f, x, epsilon):
    return (f(x + epsilon) - f(x)) / epsilon


def central(f, x, epsilon):
    return (f(x + epsilon) - f(x - epsilon)) / (2 * epsilon)


for epsilon in (1e-1, 1e-2, 1e-3):
    errors = [abs(rule(np.exp, 1.0, epsilon) - np.e) for rule in (one_sided, central)]
    promised = epsilon / 2 * np.e, epsilon**2 / 6 * np.e  # all derivatives of exp are exp
    print(f"eps {epsilon:.0e}:  one-sided {errors[0]:.2e}   central {errors[1]:.2e}")
    np.testing.assert_allclose(errors, promised, rtol=0.05)

# %%
# By 10 and by 100, as the series promises. The central form costs one more evaluation for each
# number and is worth it.
#
# Which epsilon?
# --------------
#
# So, the smaller the better? A computer's numbers have a last digit. :math:`f` is known only to
# about :math:`u |f|`, with :math:`u = 1.1 \cdot 10^{-16}` in float64 and :math:`6 \cdot 10^{-8}` in
# float32. The difference of two values that are nearly equal keeps that error, and the division by
# :math:`\varepsilon` makes it large: about :math:`u |f| / \varepsilon`. One error falls with
# :math:`\varepsilon`, the other grows. On paper with logarithms on both axes each is a straight
# line.

epsilons = 10.0 ** np.arange(-13, 0.1, 0.25)
points = np.linspace(0.5, 1.5, 200)


def errors_of(rule, dtype):
    """The error, relative to the derivative, for every epsilon: root mean square over many
    points."""
    x = points.astype(dtype)
    found = [rule(np.exp, x, dtype(epsilon)).astype(np.float64) for epsilon in epsilons]
    true = np.exp(x.astype(np.float64))
    return np.array([np.sqrt(np.mean((values / true - 1) ** 2)) for values in found])


pairs = [(rule, dtype) for rule in (one_sided, central) for dtype in (np.float64, np.float32)]
errors = {pair: errors_of(*pair) for pair in pairs}

figure, axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained", sharey=True)
for axis, dtype, u in zip(axes, (np.float64, np.float32), (2.0**-53, 2.0**-24)):
    axis.loglog(epsilons, errors[one_sided, dtype], "o", color=BLUE, ms=5, label="one-sided")
    axis.loglog(epsilons, errors[central, dtype], "^", color=ORANGE, ms=5, label="central")
    axis.loglog(
        epsilons, epsilons / 2, ":", color=BLUE, lw=1.5, label=r"truncation $\varepsilon/2$"
    )
    axis.loglog(
        epsilons, epsilons**2 / 6, "--", color=ORANGE, lw=1.5, label=r"truncation $\varepsilon^2/6$"
    )
    axis.loglog(epsilons, u / epsilons, "-", color=GREY, lw=1.5, label=r"rounding $u/\varepsilon$")
    axis.axvline(
        1e-5, color=GREEN, lw=6, alpha=0.25, label=r"$\varepsilon = 10^{-5}$, as in gradcheck"
    )
    axis.set(xlabel=r"$\varepsilon$", title=dtype.__name__, ylim=(1e-13, 10))
    axis.xaxis.label.set_size(13)
    axis.grid(alpha=0.3)
axes[0].set_ylabel("relative error", fontsize=12)
figure.legend(
    *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=11
)
plt.show()


def slope(rule, dtype, low, high):
    """Of the straight line through log error over log epsilon, between two epsilons."""
    inside = (epsilons > low * 0.99) & (epsilons < high * 1.01)
    return np.polyfit(np.log(epsilons[inside]), np.log(errors[rule, dtype][inside]), 1)[0]


slopes = {
    "one-sided, truncation": slope(one_sided, np.float64, 1e-6, 1e-1),
    "central, truncation": slope(central, np.float64, 1e-4, 1e-1),
    "central, rounding": slope(central, np.float64, 1e-12, 1e-7),
}
for name, value in slopes.items():
    print(f"{name}: slope {value:+.2f}")
np.testing.assert_allclose(list(slopes.values()), [1, 2, -1], atol=0.1)
for (rule, dtype), values in errors.items():
    best = epsilons[values.argmin()]
    print(
        f"{rule.__name__:>9} {dtype.__name__}: best at eps = {best:.0e}, error {values.min():.0e}"
    )

# %%
# The best :math:`\varepsilon` lies where the lines cross. For the central form, up to factors near
# 1,
#
# .. math::
#
#    \varepsilon^2 = \frac{u}{\varepsilon}
#    \quad\Rightarrow\quad
#    \varepsilon = u^{1/3}, \quad \text{error } u^{2/3}
#
# and for the one-sided form :math:`\varepsilon = u^{1/2}`, error :math:`u^{1/2}`. In float64 the
# central form is best at about :math:`5 \cdot 10^{-6}`, with ten or eleven correct digits; the
# one-sided form has eight at best. The package takes :math:`10^{-5}`. In float32 four or five
# digits is all there is, and :math:`10^{-5}` would be a bad choice. On the far left of that panel
# :math:`x + \varepsilon` rounds to :math:`x`, the difference is 0 and all is lost. Hence the rule:
# *train in float32, check in float64*.

for dtype, u in ((np.float64, 2.0**-53), (np.float32, 2.0**-24)):
    for rule, root in ((one_sided, 1 / 2), (central, 1 / 3)):
        best = epsilons[errors[rule, dtype].argmin()]
        assert u**root / 10 < best < u**root * 10, "the lines cross there"
assert errors[central, np.float64].min() < 1e-10 < 1e-9 < errors[one_sided, np.float64].min() < 1e-7
assert 1e-6 < errors[central, np.float32].min() < 1e-4
assert numerical_gradient.__defaults__ == (1e-5,), "the epsilon of the package"

# %%
# A layer has many outputs
# ------------------------
#
# Differences are for a function with one value. A layer's ``y`` is an array. So a loss is made up:
# choose any array :math:`R` in the shape of ``y`` and let
#
# .. math:: L = \sum y \odot R \qquad\text{so that}\qquad \frac{\partial L}{\partial y} = R
#
# Then ``backward(R)`` must return :math:`\partial L / \partial x`, and differences of :math:`L` say
# whether it does.
#
# Which :math:`R`? The obvious choice is ones: :math:`L` is the sum of all outputs. Let us see it
# fail. Here is batch-norm, which brings every column to mean 0 and standard deviation 1 (the result
# is called ``xhat``), with a bug that people really make: the backward pass knows that the mean
# depends on ``x``, and forgets that the standard deviation does. The correct line is in
# ``minidann/nn/batchnorm.py``, and tutorial 08 derives it. And here is the softmax, which makes
# each row sum to 1; its derivative is in tutorial 03. For now look at the two only from outside:
# does ``backward`` agree with the differences?


class CarelessBatchNorm(BatchNorm):
    """Right forward; a backward pass that lacks the term ``- xhat mean(dy xhat)``."""

    def backward(self, dy):
        super().backward(dy)
        return self.params["gamma"] * (dy - dy.mean(axis=0)) * self._per_sigma[0]


class Softmax(Layer):
    """Each row becomes probabilities: y = exp(x) / sum(exp(x))."""

    def forward(self, x, train=False):
        self._y = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
        return self._y

    def backward(self, dy):
        return self._y * (dy - (dy * self._y).sum(axis=1, keepdims=True))


class CarelessSoftmax(Softmax):
    """Takes the plain mean of ``dy``, where the mean weighted by ``y`` belongs, and is 7 times too
    large."""

    def backward(self, dy):
        return 7 * self._y * (dy - dy.mean(axis=1, keepdims=True))


def compare(layer, x, upstream):
    """The largest numbers in backward's dx, in the differences, and in what parts them."""

    def loss(x):
        return float((layer.forward(x, train=True) * upstream).sum())

    loss(x)
    by_backward = layer.backward(upstream)
    by_differences = numerical_gradient(loss, x)
    return [
        np.abs(values).max()
        for values in (by_backward, by_differences, by_backward - by_differences)
    ]


rng = np.random.default_rng(0)
x = rng.standard_normal((6, 4))
upstreams = {"ones": np.ones((6, 4)), "random": rng.standard_normal((6, 4))}
layers = BatchNorm(4), CarelessBatchNorm(4), Softmax(), CarelessSoftmax()
table = {}
print(f"{'':<18} {'upstream':<9} {'backward':>9} {'differences':>12} {'apart by':>9}")
for layer in layers:
    for name, upstream in upstreams.items():
        row = table[type(layer).__name__, name] = compare(layer.convert(np.float64), x, upstream)
        print(f"{type(layer).__name__:<18} {name:<9} {row[0]:>9.1e} {row[1]:>12.1e} {row[2]:>9.1e}")

# %%
# With ones, all four agree with their differences, two of them wrongly. The reason is in the
# forward pass. The columns of a batch-norm sum to a constant, and so do the rows of a softmax.
# Their sum does not move, whatever ``x`` does. The true gradient is zero, and both bugs leave zero
# alone: each has a factor ``dy - mean(dy)``, which is zero for ones.
#
# With a random :math:`R` the right ones agree to many digits and the bugs stand out. The true
# gradient is a linear function of :math:`R`, and so is the wrong one. If they differ at all, they
# agree only on a thin set of :math:`R`, which random numbers do not hit.

for (name, upstream), (_, _, apart) in table.items():
    caught = apart > 1e-3
    assert caught == (name.startswith("Careless") and upstream == "random"), (name, upstream)
print("ones caught no bug, random caught both")

# %%
# How far is too far?
# -------------------
#
# The differences have an error of their own, so "equal" needs a tolerance. An absolute one is
# useless: a gradient may well be of the size :math:`10^{-6}`, and then :math:`10^{-7}` would pass
# one that is wrong by a tenth. So the distance is taken relative to the gradients themselves. For a
# gradient :math:`a` by backward and :math:`n` by differences, both arrays,
#
# .. math:: \text{error} = \frac{\max |a - n|}{\max(\max |a|, \max |n|)}
#
# A gradient that is zero in truth, as that of a bias in front of a batch-norm, has no relative
# error worth the name: judge it by its size.
#
# Otherwise the number is more than a verdict. It hints at the mistake:

n = rng.standard_normal((4, 3))
n[0, 0] = 3.0  # the entry that is largest
hints = {
    "sign turned": -n,
    "never filled in": 0 * n,
    "half of it": n / 2,
    "twice of it": 2 * n,
    "divided by N = 4": n / 4,
}
for what, a in hints.items():
    print(f"{what:<18} error {relative_error(a, n):.3f}")
np.testing.assert_allclose([relative_error(a, n) for a in hints.values()], [2, 1, 0.5, 0.5, 0.75])

# %%
# Exactly 2 is a sign, exactly 1 a gradient that is missing, 1 - 1/N a mean where a sum belongs or
# the other way round, 1/2 a factor of 2 too many or too few. Other bugs give other numbers: 1.1 or
# 1.5 hints at nothing.
#
# Plant a bug and catch it
# ------------------------
#
# :func:`minidann.nn.gradcheck.check_layer` does all of the above: float64, a random :math:`R`,
# central differences for ``x`` and every parameter, and a report of the relative errors. A check
# that has never caught anything proves nothing, so it is given something to catch. *Predict,* for
# each bug below, which of ``x``, ``W`` and ``b`` will be reported.


class WrongSign(Dense):
    def backward(self, dy):
        return -super().backward(dy)


class NoSum(Dense):
    def backward(self, dy):
        dx = super().backward(dy)
        self.grads["b"] = dy[0]  # the bias of one example, in the shape of a bias
        return dx


class MeanForSum(Dense):
    def backward(self, dy):
        dx = super().backward(dy)
        self.grads["W"] = self.grads["W"] / len(dy)
        return dx


x = rng.standard_normal((5, 3))
print(f"{'':<12} {'x':>8} {'W':>8} {'b':>8}")
for kind, guilty in (
    (Dense, ""),
    (WrongSign, "x"),
    (NoTranspose, "x"),
    (NoSum, "b"),
    (MeanForSum, "W"),
):
    report = check_layer(kind(3, 3, rng=rng), x)
    print(f"{kind.__name__:<12}", *(f"{error:>8.2g}" for error in report.errors.values()))
    assert {name for name, error in report.errors.items() if error > TOLERANCE} == set(guilty)

# %%
# Each is caught, and the name of the gradient leads to the line. ``NoTranspose`` shows again why
# the sizes should differ: with ``Dense(4, 3)`` it could not even run.
#
# A loss is checked in the same way. Its value is one number already and needs no :math:`R`. The
# most common bug of all: the loss is a mean, its gradient that of the sum. (The loss here is that
# of the next tutorial; *logits* is the name of the numbers it is given.)


def forgetful(logits, labels):
    """The mean loss with the gradient of the sum: N times too large."""
    loss, dlogits = softmax_cross_entropy(logits, labels)
    return loss, dlogits * len(logits)


logits, labels = rng.standard_normal((5, 4)), rng.integers(0, 4, 5)
right, wrong = (
    check_loss(loss, logits, labels).largest for loss in (softmax_cross_entropy, forgetful)
)
print(f"softmax_cross_entropy {right:.0e}, without its 1/N {wrong:.2f}, which is 1 - 1/5")
assert right < TOLERANCE and np.isclose(wrong, 1 - 1 / 5)

# %%
# Where to put the tolerance
# --------------------------
#
# Measure. Here are the errors of every layer and loss of the package as it is; the same with a
# mistake of one per cent in each gradient, a small mistake as mistakes go; and with a forgotten
# sign. The tolerance of the package must lie in the gap.


def off_by_a_percent(gradient, upstream):
    return 1.01 * gradient


def sign_forgotten(gradient, upstream):
    return -gradient


def errors_with(bug):
    """The largest error of each layer and loss, with the bug planted."""
    plant = gradcheck.plant_layer(bug) if bug else None
    return [check(plant).largest for _, _, check in gradcheck.cases(np.random.default_rng(0))]


bugs = {"as it is": None, "1 % too large": off_by_a_percent, "wrong sign": sign_forgotten}
found = {name: errors_with(bug) for name, bug in bugs.items()}
figure, axis = plt.subplots(figsize=(8, 3.2), layout="constrained")
for height, (name, marker, colour) in enumerate(zip(found, "o^s", (BLUE, ORANGE, GREEN))):
    axis.semilogx(found[name], [height] * len(found[name]), marker, color=colour, ms=9, alpha=0.6)
axis.axvline(TOLERANCE, color="black", ls="--")
axis.text(TOLERANCE * 1.3, 0.35, "tolerance", fontsize=12)
axis.set_yticks(range(3), found, fontsize=12)
axis.set_ylim(-0.5, 2.5)
axis.set_xlabel(
    "largest relative error; a marker for each layer or loss, some coincide", fontsize=12
)
axis.grid(alpha=0.3)
plt.show()

for name, values in found.items():
    print(f"{name:<14} {min(values):.0e} to {max(values):.0e}")
assert max(found["as it is"]) < TOLERANCE / 10, "a factor of 10 to spare below"
assert min(found["1 % too large"]) > TOLERANCE * 1000, "and of 1000 above"

# %%
# Kinks
# -----
#
# A ReLU has no derivative at 0. If ``x`` is nearer to 0 than :math:`\varepsilon`, the two ends of
# the difference lie on different sides of the kink, and it measures neither slope.

near = np.linspace(-3e-5, 3e-5, 601)
relu = ReLU()
relu.forward(near)
by_backward = relu.backward(np.ones_like(near))
by_differences = central(lambda x: np.maximum(x, 0), near, 1e-5)
figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
axis.plot(near * 1e5, by_backward, color=BLUE, lw=2, label="backward")
axis.plot(near * 1e5, by_differences, "--", color=ORANGE, lw=2, label="central difference")
axis.set_xlabel(r"$x / \varepsilon$", fontsize=12)
axis.set_ylabel("slope of ReLU at x", fontsize=12)
axis.legend(fontsize=12, loc="upper left")
axis.grid(alpha=0.3)
plt.show()
apart = np.abs(by_backward - by_differences) > 1e-6
assert (apart <= (np.abs(near) <= 1.001e-5)).all(), "they part only within epsilon of the kink"

# %%
# Nothing is wrong there but the check. So keep its inputs away from kinks: draw numbers and drop
# those near 0, or use :func:`minidann.nn.gradcheck.away_from_kinks`. Max-pooling has the same
# trouble where two values are nearly equal.
#
# In a deep network you can not choose the inputs of a ReLU. How then is a kink told from a bug? By
# another :math:`\varepsilon`. A kink's error vanishes as soon as :math:`\varepsilon` is smaller
# than the distance to it. A bug stays.


class LeakyBackward(ReLU):
    """A bug: a slope of 0.1 below zero that the forward pass does not have."""

    def backward(self, dy):
        return dy * np.where(self._positive, 1, 0.1)


by_a_kink, away_from_it = np.array([[-1.0, 3e-6, 2.0]]), np.array([[-1.0, 0.3, 2.0]])
table = {}
for epsilon in (1e-5, 1e-6, 1e-7):
    kink = check_layer(ReLU(), by_a_kink, epsilon=epsilon).largest
    bug = check_layer(LeakyBackward(), away_from_it, epsilon=epsilon).largest
    table[epsilon] = kink, bug
    print(f"eps {epsilon:.0e}: a kink at a distance of 3e-6: {kink:.0e}   a bug: {bug:.0e}")
assert table[1e-5][0] > TOLERANCE > table[1e-6][0]
assert all(bug > 1e-2 for _, bug in table.values())

# %%
# What the check can not see
# --------------------------
#
# It compares backward with forward. If both are wrong together, they agree. Here is a dense layer
# that subtracts its bias, consistently:


class SubtractsBias(Dense):
    def forward(self, x, train=False):
        return super().forward(x, train) - 2 * self.params["b"]

    def backward(self, dy):
        dx = super().backward(dy)
        self.grads["b"] = -dy.sum(axis=0)
        return dx


report = check_layer(SubtractsBias(4, 3, rng=rng), rng.standard_normal((5, 4)))
print("the wrong layer passes:", report.passed())
assert report.passed()

# %%
# So the forward pass needs tests of its own, against numbers worked out in another way. And one
# layer's backward pass is *meant* not to be its derivative: the reversal of tutorial 04 returns
# :math:`-\lambda\, dy`. There the check must be told what to expect.
#
# Check yourself
# --------------
#
# *Exercise 1.* A colleague wants second derivatives:
#
# .. math:: f''(x) \approx \frac{f(x + \varepsilon) - 2 f(x) + f(x - \varepsilon)}{\varepsilon^2}
#
# Truncation costs about :math:`\varepsilon^2`. Which power of ten is the best :math:`\varepsilon`
# in float64: is it :math:`10^{-8}`, :math:`10^{-7}`, ... or :math:`10^{-1}`? Balance truncation and
# rounding first, then answer.

your_answer = None  # the exponent, e.g. -8


def error_of_second(exponent):
    epsilon = 10.0**exponent
    second = (np.exp(points + epsilon) - 2 * np.exp(points) + np.exp(points - epsilon)) / epsilon**2
    return np.sqrt(np.mean((second / np.exp(points) - 1) ** 2))


def check(answer):
    """Compare with the exponent that is best when tried."""
    tried = {exponent: error_of_second(exponent) for exponent in range(-8, 0)}
    assert answer in tried, "answer with one of -8, -7, ..., -1"
    best = min(tried, key=tried.get)
    hint = "rounding" if answer < best else "truncation"
    message = (
        f"at 1e{answer} the error is {tried[answer]:.0e}, most of it {hint}; "
        "there is a better epsilon"
    )
    assert answer == best, message
    print(f"Right: 1e{best} has the smallest error, {tried[best]:.0e}.")


if your_answer is None:
    print("Write your answer into the line above.")
else:
    check(your_answer)

# %%
# *Worked answer.* Rounding leaves about :math:`u` in the numerator, and the division is by
# :math:`\varepsilon^2` now: :math:`\varepsilon^2 = u / \varepsilon^2`, so :math:`\varepsilon =
# u^{1/4} = 10^{-4}`, with an error near :math:`u^{1/2} = 10^{-8}`. The habit of :math:`10^{-5}`
# would lose two digits.

check(-4)
assert error_of_second(-5) > 30 * error_of_second(-4)

# %%
# *Exercise 2.* A layer divides each row by its sum: :math:`y_{nk} = x_{nk} / s_n` with :math:`s_n =
# \sum_j x_{nj}`. Write its backward pass. The check runs your formula through ``check_layer``.

your_answer = None  # lambda x, dy: ...


def check(answer):
    """Run the formula as the backward pass of a layer."""

    class Share(Layer):
        def forward(self, x, train=False):
            self._x = x
            return x / x.sum(axis=1, keepdims=True)

        def backward(self, dy):
            return answer(self._x, dy)

    report = check_layer(Share(), np.random.default_rng(3).uniform(1, 2, (5, 4)))
    error = report.largest
    assert report.passed(), (
        f"the relative error is {error:.2g}: when x moves, s moves, and with it the row"
    )
    print(f"Right: the relative error is {error:.0e}.")


if your_answer is None:
    print("Write your answer into the line above.")
else:
    check(your_answer)

# %%
# *Worked answer.* ``x[n, k]`` moves its row in two ways: ``y[n, k]`` directly, by :math:`1 / s_n`,
# and every ``y[n, j]`` through :math:`s_n`, by :math:`-x_{nj} / s_n^2 = -y_{nj} / s_n`. Add up:
#
# .. math:: dx_{nk} = \frac{1}{s_n} \Big( dy_{nk} - \sum_j dy_{nj}\, y_{nj} \Big)


def backward_of_share(x, dy):
    s = x.sum(axis=1, keepdims=True)
    return (dy - (dy * x / s).sum(axis=1, keepdims=True)) / s


check(backward_of_share)

# %%
# With :math:`R` of ones both terms in the bracket would be 1 and ``dx`` zero: the rows sum to 1, as
# a softmax's do. From now on, every layer you write meets ``check_layer`` before it meets data.
# ``python -m minidann.nn.gradcheck`` runs it for the whole package, and ``--plant sign`` shows it
# at work.
