r"""
The reversal layer
==================

The whole of domain-adversarial training is one layer of two lines: forward it does nothing,
backward it multiplies by :math:`-\lambda`. After this tutorial you can say which objective each
parameter of the network then follows, why the gradient check of tutorial 02 calls this layer wrong,
how to check it all the same, and why training circles.

A network with two heads
------------------------

Images, or points, come from two *domains*. For the source we have labels; for the target we have
none. Three networks share the work (the notation is that of Ganin et al., JMLR 17(59), 2016):

- the features :math:`f = G_f(x; \theta_f)`,
- the label head :math:`G_y(f; \theta_y)` with its loss :math:`L_y`, on source rows alone, since
  only they have labels,
- the domain head :math:`G_d(f; \theta_d)` with its loss :math:`L_d`, on all rows: did this
  :math:`f` come from the source (0) or the target (1)?

The domain head should tell the domains apart as well as it can. The features should make that
impossible, and yet serve the label head. So :math:`L_d` is wanted small by one part of the network
and large by another:

.. math::

   E(\theta_f, \theta_y, \theta_d) = L_y(\theta_f, \theta_y) - \lambda\, L_d(\theta_f, \theta_d)
   \qquad \min_{\theta_f, \theta_y}\ \max_{\theta_d}\ E
"""

# %%
# Two losses pull on one feature
# ------------------------------
#
# Begin with a single source example whose feature is a point :math:`f` in the plane. Each head is
# one logistic unit: ``z = f @ w`` and ``p = sigmoid(z)``. By tutorial 03 the gradient with respect
# to its logit is "what was said minus what is true", and by tutorial 01 that goes back through the
# product:
#
# .. math::
#
#    \frac{\partial L_y}{\partial f} = (p_y - 1)\, w_y \quad \text{(its class is 1)} \qquad\qquad
#    \frac{\partial L_d}{\partial f} = (p_d - 0)\, w_d \quad \text{(its domain is 0)}
#
# The feature moves *against* its gradient. With the reversal that gradient is
# :math:`\partial L_y / \partial f - \lambda\, \partial L_d / \partial f`.
#
# Predict before you run: :math:`w_y` and :math:`w_d` below have a negative product. Where will the
# feature go for a large :math:`\lambda`, and what becomes of the label loss?

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import FancyBboxPatch

from minidann import DANN
from minidann.experiments.plots import BLUE, GREEN, GREY, ORANGE
from minidann.nn import Dense, GradientReversal, ReLU, Sequential, Sigmoid
from minidann.nn.gradcheck import check_layer, numerical_gradient, relative_error
from minidann.nn.losses import binary_cross_entropy, softmax_cross_entropy

w_y, w_d = np.array([1.0, 1.5]), np.array([-2.0, 0.5])
f = np.array([0.3, 0.2])


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def loss(f, w, truth):
    """Cross-entropy of one logistic unit, and its gradient with respect to the feature."""
    value, dz = binary_cross_entropy(np.array([f @ w]), np.array([truth]))
    return float(value), dz[0] * w


dLy_df, dLd_df = loss(f, w_y, 1)[1], loss(f, w_d, 0)[1]
np.testing.assert_allclose(dLy_df, (sigmoid(f @ w_y) - 1) * w_y)
np.testing.assert_allclose(dLd_df, (sigmoid(f @ w_d) - 0) * w_d)
np.testing.assert_allclose(dLy_df, numerical_gradient(lambda f: loss(f, w_y, 1)[0], f), rtol=1e-8)
np.testing.assert_allclose(dLd_df, numerical_gradient(lambda f: loss(f, w_d, 0)[0], f), rtol=1e-8)
print(
    "dL_y/df =",
    dLy_df.round(3),
    "  dL_d/df =",
    dLd_df.round(3),
    "  their product:",
    round(dLy_df @ dLd_df, 3),
)

# %%
# Three values of :math:`\lambda`, three sums. Each arrow is drawn in the direction in which it
# moves the feature.


def draw_pulls(axis, lam):
    """The feature, both boundaries, and the three arrows."""
    line = np.linspace(-3, 3, 2)
    axis.plot(line, -line * w_y[0] / w_y[1], color=GREEN, lw=1.5)
    axis.plot(line, -line * w_d[0] / w_d[1], color=GREY, lw=1.5, ls="--")
    pulls = (-dLy_df, GREEN, 6), (lam * dLd_df, ORANGE, 6), (-dLy_df + lam * dLd_df, "black", 2.5)
    for pull, colour, width in pulls:
        style = {
            "arrowstyle": "-|>",
            "color": colour,
            "lw": width,
            "shrinkA": 0,
            "shrinkB": 0,
            "mutation_scale": 18,
        }
        if pull.any():
            axis.annotate("", f + pull, f, arrowprops=style)
    axis.plot(*f, "o", color=BLUE, ms=11, zorder=3)
    axis.set(
        xlim=(-2.0, 1.2), ylim=(-1.0, 1.5), aspect="equal", xticks=(-2, -1, 0, 1), yticks=(-1, 0, 1)
    )
    axis.set_title(rf"$\lambda = {lam:g}$", fontsize=17)
    axis.set_xlabel("$f_1$", fontsize=15)
    axis.tick_params(labelsize=13)


figure, axes = plt.subplots(1, 3, figsize=(12, 4.6), sharey=True, layout="constrained")
for axis, lam in zip(axes, (0, 0.5, 2.5)):
    draw_pulls(axis, lam)
axes[0].set_ylabel("$f_2$", fontsize=15)
axes[0].text(-1.9, -0.22, "solid: label\nboundary, class 1\nabove it", color=GREEN, fontsize=13)
axes[0].text(-1.9, -0.95, "dashed: domain\nboundary, source\non its right", color=GREY, fontsize=13)
handles = [plt.Line2D([], [], color=colour, lw=4) for colour in (GREEN, ORANGE, "black")]
names = (
    r"$-\partial L_y / \partial f$: label",
    r"$+\lambda\, \partial L_d / \partial f$: domain, reversed",
    "their sum: where $f$ goes",
)
figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=15, frameon=False)
plt.show()

# %%
# The label loss pulls the feature away from its boundary, into class 1. The reversed domain loss
# pulls it over the domain boundary, to where the domain head takes it for a target. Here the two
# disagree, and the weight :math:`\lambda` decides.
#
# How much may :math:`\lambda` be before the label loss gets worse? A small step :math:`-\mu g`
# changes :math:`L_y` by :math:`-\mu\, g^T\, \partial L_y / \partial f` to first order, so it gets
# worse when
#
# .. math:: \Big\| \frac{\partial L_y}{\partial f} \Big\|^2 < \lambda\,
#    \Big(\frac{\partial L_d}{\partial f}\Big)^T \frac{\partial L_y}{\partial f}
#
# For gradients that do not disagree (product zero or less) no :math:`\lambda` does this harm. A
# single feature that is moved freely has no other way out. A *network* does: it can turn its
# features so that the domain's direction is no longer among them. Tutorial 05 shows this happen.

critical = dLy_df @ dLy_df / (dLy_df @ dLd_df)
for lam in (0.9 * critical, 1.1 * critical):
    moved = f - 1e-3 * (dLy_df - lam * dLd_df)
    change = loss(moved, w_y, 1)[0] - loss(f, w_y, 1)[0]
    print(f"lambda = {lam:.2f}: the label loss changes by {change:+.1e}")
    assert (change > 0) == (lam > critical)

# %%
# The graph
# ---------
#
# Now the same with all three networks in place. Forward everything runs along the black arrows.
# Backward each loss sends its gradient down the dashed ones; in the box :math:`R_\lambda` one of
# them turns its sign, and at :math:`f` the two are added, because :math:`f` feeds both heads (the
# chain rule for a value that is used twice).


def box(axis, x, y, text, face, colour="black"):
    shape = FancyBboxPatch(
        (x - 0.42, y - 0.32), 0.84, 0.64, boxstyle="round,pad=0.04", fc=face, ec="black", lw=1.5
    )
    axis.add_patch(shape)
    axis.text(x, y, text, ha="center", va="center", fontsize=16, color=colour)


def forward(axis, start, end):
    axis.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "black", "lw": 2})


def backward(axis, start, end, colour, text, at):
    style = {"arrowstyle": "-|>", "color": colour, "lw": 2.5, "ls": (0, (4, 2))}
    axis.annotate("", end, start, arrowprops=style)
    axis.text(*at, text, color=colour, fontsize=15, ha="center", va="center")


figure, axis = plt.subplots(figsize=(12, 5.6), layout="constrained")
top, bottom, up = 1.5, -1.5, 0.13
boxes = {
    "$x$": (0, 0),
    "$G_f$": (1.9, 0),
    "$f$": (4.2, 0),
    "$G_y$": (7.9, top),
    "$L_y$": (10.3, top),
}
boxes |= {r"$R_\lambda$": (6.2, bottom), "$G_d$": (8.4, bottom), "$L_d$": (10.3, bottom)}
for text, (x, y) in boxes.items():
    dark = text.startswith("$R")
    box(
        axis,
        x,
        y,
        text,
        "black" if dark else "#EAF2F8" if "G" in text else "white",
        "white" if dark else "black",
    )
for (x, y), name in (
    ((1.9, -0.55), r"$\theta_f$"),
    ((7.9, top + 0.58), r"$\theta_y$"),
    ((8.4, bottom - 0.6), r"$\theta_d$"),
):
    axis.text(x, y, name, fontsize=15, ha="center", va="center")
rows = [(0, 0, 1.9), (0, 1.9, 4.2), (top, 7.9, 10.3), (bottom, 6.2, 8.4), (bottom, 8.4, 10.3)]
for y, left, right in rows:
    forward(axis, (left + 0.5, y + up), (right - 0.5, y + up))
forward(axis, (4.72, 0.28), (7.4, top + up))
forward(axis, (4.72, -0.02), (5.75, bottom + 0.42))
down = r"\partial L_d / \partial f"
backward(axis, (9.8, top - up), (8.4, top - up), GREEN, "", (0, 0))
backward(axis, (7.4, top - up), (4.72, 0.02), GREEN, r"$\partial L_y / \partial f$", (6.6, 0.38))
backward(axis, (9.8, bottom - up), (8.9, bottom - up), ORANGE, "", (0, 0))
backward(
    axis, (7.9, bottom - up), (6.7, bottom - up), ORANGE, rf"$+\,{down}$", (7.45, bottom - 0.5)
)
backward(axis, (5.62, bottom + 0.2), (4.42, -0.4), BLUE, rf"$-\lambda\,{down}$", (4.2, -1.1))
total = rf"$\partial L_y / \partial f \,-\, \lambda\,{down}$"
backward(axis, (3.7, -up), (2.4, -up), "black", total, (2.2, -1.35))
axis.annotate(
    "", (3.05, -0.22), (2.4, -1.08), arrowprops={"arrowstyle": "-", "color": GREY, "lw": 1}
)
axis.text(5.95, bottom - 0.62, "turns the sign", fontsize=13, ha="center", va="center")
axis.text(
    2.75,
    1.75,
    "solid: forward\ndashed: backward",
    fontsize=15,
    ha="center",
    va="center",
    color=GREY,
)
axis.set(xlim=(-0.6, 10.9), ylim=(-2.4, 2.4))
axis.axis("off")
plt.show()

# %%
# There is no arrow back from :math:`G_f` to :math:`x`: data are not trained. And note where the box
# stands. Below it, towards the features, the sign is turned; above it, in :math:`\theta_d`, it is
# not. The domain head descends its loss like any classifier.
#
# The layer, and what each part of the network follows
# ----------------------------------------------------
#
# .. math:: R_\lambda(f) = f \qquad\qquad \text{backward:}\quad df = -\lambda\, dy
#
# No function has this pair for value and derivative; the paper calls it a pseudo-function. The code
# says it all:

x, dy = np.array([[1.0, 2.0]]), np.array([[10.0, -4.0]])
reversal = GradientReversal(lam=0.5)
print("forward", reversal.forward(x), "  backward", reversal.backward(dy))
np.testing.assert_array_equal(reversal.forward(x), x)
np.testing.assert_array_equal(reversal.backward(dy), -0.5 * dy)

# %%
# With plain backpropagation through the graph, one step of size :math:`\mu` is then
#
# .. math::
#    \theta_y &\leftarrow \theta_y - \mu\, \frac{\partial L_y}{\partial \theta_y} \\
#    \theta_d &\leftarrow \theta_d - \mu\, \frac{\partial L_d}{\partial \theta_d}
#    \qquad\text{weight 1, not } \lambda \\
#    \theta_f &\leftarrow \theta_f - \mu\, \Big(\frac{\partial L_y}{\partial \theta_f}
#    - \lambda\, \frac{\partial L_d}{\partial \theta_f}\Big)
#
# The naive check fails
# ---------------------
#
# Tutorial 02 asks of every layer that its ``backward`` equal the differences of its ``forward``.
# Predict the relative error, :math:`\max|a - n| / \max(|a|, |n|)`, for a reversal with
# :math:`\lambda = 0.7`. The analytic :math:`a` is :math:`-0.7` times the numerical :math:`n`.

x = np.random.default_rng(0).standard_normal((5, 4))
naive = check_layer(GradientReversal(0.7), x)
print("naive check:               ", naive.errors)
assert abs(naive.largest - 1.7) < 1e-6 and not naive.passed()

# %%
# 1.7, that is :math:`(0.7 + 1) / 1`: "wrong" by more than the gradient itself, and rightly so, for
# ``backward`` is *not* the derivative of ``forward``. The check is mended by saying what we want:
# :math:`-\lambda` times the derivative. Then it is as sharp as ever: it notices a reversal that
# lost its sign.


class ForgottenSign(GradientReversal):
    def backward(self, dy):
        return self.lam * dy


told = check_layer(GradientReversal(0.7), x, input_factor=-0.7)
planted = check_layer(ForgottenSign(0.7), x, input_factor=-0.7)
print("told what to expect:       ", told.errors, "\nthe same, sign forgotten:  ", planted.errors)
assert told.passed() and not planted.passed()

# %%
# Now the whole network. A small one in float64, with smooth units so that no kink spoils the
# differences.


def small_dann(seed=1):
    rng = np.random.default_rng(seed)
    features = Sequential([Dense(3, 4, rng=rng), Sigmoid()])
    label_head = Sequential([Dense(4, 2, rng=rng)])
    domain_head = Sequential([Dense(4, 3, rng=rng), Sigmoid(), Dense(3, 2, rng=rng)])
    return DANN(features, label_head, domain_head).convert(lambda array: array.astype(np.float64))


rng = np.random.default_rng(2)
x_source, x_target = rng.standard_normal((6, 3)), rng.standard_normal((5, 3)) + 1
y_source = rng.integers(0, 2, 6)
dann, LAM = small_dann(), 0.7


def objective(dann, of_label, of_domain):
    """of_label L_y + of_domain L_d as ``dann.compute_gradients`` reports them; only gradients
    depend on its lam."""
    losses = dann.compute_gradients(x_source, y_source, x_target, LAM)
    return float(of_label * losses.label + of_domain * losses.domain)


# %%
# ``dann.compute_gradients`` returns :math:`L_y` and :math:`L_d` and sets all gradients. So for any
# candidate objective :math:`a L_y + b L_d` the differences can be taken through ``step`` itself,
# one parameter at a time. The function below holds the gradients that backpropagation set against
# those differences, for each of the three networks.


def error_against(dann, of_label, of_domain, lam=LAM):
    """The largest error of each network's gradients against differences of of_label L_y + of_domain
    L_d."""
    dann.compute_gradients(x_source, y_source, x_target, lam)
    set_by_step = [
        {name: grad.copy() for name, grad in network.grads.items()} for network in dann.networks
    ]
    errors = {}
    for part, network, grads in zip(("theta_f", "theta_y", "theta_d"), dann.networks, set_by_step):
        found = []
        for name, array in network.params.items():
            differences = numerical_gradient(lambda _: objective(dann, of_label, of_domain), array)
            found.append(relative_error(grads[name], differences))
        errors[part] = max(found)
    return errors


# %%
# Three candidates. Which of the nine checks will pass? Write your table down first.

candidates = {"L_y + L_d": (1, 1), "L_y - lam L_d": (1, -LAM), "L_d alone": (0, 1)}
table = {name: error_against(dann, *weights) for name, weights in candidates.items()}
print(f"{'objective':<16}" + "".join(f"{part:>12}" for part in ("theta_f", "theta_y", "theta_d")))
for name, errors in table.items():
    print(f"{name:<16}" + "".join(f"{error:>12.1e}" for error in errors.values()))

passes = {
    (name, part) for name, errors in table.items() for part, error in errors.items() if error < 1e-7
}
assert passes == {
    ("L_y + L_d", "theta_y"),
    ("L_y + L_d", "theta_d"),
    ("L_y - lam L_d", "theta_f"),
    ("L_y - lam L_d", "theta_y"),
    ("L_d alone", "theta_d"),
}

# %%
# Read it by columns:
#
# - :math:`\theta_f` follows :math:`L_y - \lambda L_d` and nothing else. The naive check of
#   :math:`L_y + L_d` fails here, with an error above 1.
# - :math:`\theta_d` follows :math:`L_d` with weight 1. Against :math:`L_y - \lambda L_d` it fails:
#   it does not ascend, nor does it know :math:`\lambda`.
# - :math:`\theta_y` follows :math:`L_y`, which is in both sums.
#
# No row passes all three. That is not for want of trying a fourth row. If some objective
# :math:`\Phi` had all of these as its gradient, its mixed second derivatives would be equal. Here
# they are
#
# .. math::
#    \frac{\partial}{\partial \theta_d} \Big(\frac{\partial L_y}{\partial \theta_f}
#    - \lambda \frac{\partial L_d}{\partial \theta_f}\Big)
#    = -\lambda \frac{\partial^2 L_d}{\partial \theta_f\, \partial \theta_d}
#    \qquad\text{against}\qquad
#    \frac{\partial}{\partial \theta_f} \frac{\partial L_d}{\partial \theta_d}
#    = \frac{\partial^2 L_d}{\partial \theta_f\, \partial \theta_d}
#
# which agree only for :math:`\lambda = -1`, or where they vanish. Let us see it for one weight of
# each.

W_f, W_d = dann.features.params["0.W"], dann.domain_head.params["0.W"]


def gradient_of(network, name):
    dann.compute_gradients(x_source, y_source, x_target, LAM)
    return network.grads[name][0, 0]


def slope(g, array, epsilon=1e-5):
    """Central difference of g() along array[0, 0]."""
    here = array[0, 0]
    array[0, 0] = here + epsilon
    above = g()
    array[0, 0] = here - epsilon
    below = g()
    array[0, 0] = here
    return (above - below) / (2 * epsilon)


f_by_d = slope(lambda: gradient_of(dann.features, "0.W"), W_d)
d_by_f = slope(lambda: gradient_of(dann.domain_head, "0.W"), W_f)
print(f"how theta_f's gradient changes with theta_d: {f_by_d:+.6f}")
print(f"how theta_d's gradient changes with theta_f: {d_by_f:+.6f}   ratio {f_by_d / d_by_f:.6f}")
np.testing.assert_allclose(f_by_d, -LAM * d_by_f, rtol=1e-6)

# %%
# So "the loss of DANN" does not exist as one number that falls. Do not wait for the sum of the two
# losses to go down, and do not choose a stopping point by it. There are two players, each with a
# loss of its own.
#
# Lambda on the features only
# ---------------------------
#
# Double :math:`\lambda`. Which gradients change?


def gradients(lam):
    dann.compute_gradients(x_source, y_source, x_target, lam)
    return [
        np.concatenate([grad.ravel() for grad in network.grads.values()])
        for network in dann.networks
    ]


f_0, y_0, d_0 = gradients(lam=0.0)
f_1, y_1, d_1 = gradients(lam=0.7)
f_2, y_2, d_2 = gradients(lam=1.4)
np.testing.assert_array_equal(y_1, y_2)
np.testing.assert_array_equal(d_0, d_2)  # even at lam = 0 the domain head learns
np.testing.assert_allclose(f_2 - f_0, 2 * (f_1 - f_0))
print(
    "theta_y and theta_d: unchanged; the domain's share of theta_f:",
    np.linalg.norm(f_1 - f_0).round(4),
    "->",
    np.linalg.norm(f_2 - f_0).round(4),
)

# %%
# Were the domain head weakened along with the reversal (a factor :math:`\lambda` on the *loss*),
# then at the beginning, where the schedule has :math:`\lambda` near 0, it would learn nothing, and
# the features would listen to a head that knows nothing. The paper keeps its weight at 1 in the
# deep experiments (footnote 6).
#
# Plus or minus?
# --------------
#
# Some programs write ``loss = L_y + L_d``, others ``L_y - lam * L_d``. Both can be right and both
# can be wrong: it depends on whether a reversal stands in the graph. Four programs, and the weight
# with which :math:`L_d` enters each gradient:


def weights_of_L_d(sign, reversal, df=1.0):
    """(in the gradient of theta_f, in that of theta_d), if the domain part of the loss is sign *
    L_d."""
    dy = sign * df  # what the loss sends into the domain head, and out of its lower end
    return (reversal.backward(dy) if reversal else dy), dy


R = GradientReversal(LAM)
programs = {
    "L_y + L_d, no reversal": (1, None),
    "L_y + L_d, reversal": (1, R),
    "L_y - lam L_d, no reversal": (-LAM, None),
    "L_y - lam L_d, reversal": (-LAM, R),
}
print(f"{'':<28}{'theta_f':>9}{'theta_d':>9}")
for name, program in programs.items():
    of_f, of_d = weights_of_L_d(*program)
    print(f"{name:<28}{of_f:>9.2f}{of_d:>9.2f}")
assert [name for name, program in programs.items() if weights_of_L_d(*program) == (-LAM, 1)] == [
    "L_y + L_d, reversal"
]

# %%
# 1. No reversal, plus: both descend. Features that *help* the domain head: two tasks learned side
#    by side.
# 2. Reversal, plus: DANN.
# 3. No reversal, minus: the domain head ascends as well. It learns to be wrong, the features help
#    it to be, and nothing bounds a cross-entropy from above. (This loss is right for the features
#    alone, where the domain head is stepped apart, on a loss of its own.)
# 4. Both: two minus signs make a plus. The features help a head that learns to be wrong.
#
# So: with a reversal layer the losses are *added*. How to see such a mistake from outside: with a
# planted one, the check above fails.


class SignTwice(DANN):
    """The domain loss enters with -lam although a reversal is there."""

    def _domain_loss(self, f, n_source, lam):
        L_d, df = super()._domain_loss(f, n_source, lam)
        for leaf in self.domain_head.leaves():
            leaf.grads.update({name: -lam * grad for name, grad in leaf.grads.items()})
        return L_d, -lam * df


wrong = SignTwice(*small_dann().networks)
follows_features, follows_domain = (
    error_against(wrong, 1, -LAM)["theta_f"],
    error_against(wrong, 0, 1)["theta_d"],
)
print(f"planted: theta_f {follows_features:.1e}, theta_d {follows_domain:.1e}; both caught")
assert follows_features > 0.1 and follows_domain > 0.1

# %%
# The saddle point
# ----------------
#
# Descent in one direction and ascent in the other leads to a saddle point, if it leads anywhere.
# Take the smallest game there is, one number for each player, with the point of balance at the
# origin:
#
# .. math:: L_y = \tfrac{a}{2} \theta_f^2 \qquad L_d = \theta_f \theta_d + \tfrac{b}{2} \theta_d^2
#    \qquad \lambda = 1
#
# .. math::
#    \theta_f &\leftarrow \theta_f - \mu\,(a\,\theta_f - \theta_d) \\
#    \theta_d &\leftarrow \theta_d - \mu\,(\theta_f + b\,\theta_d)
#
# For :math:`a = b = 0` the field is a pure rotation: each player's gradient depends on the *other*
# one alone. The exact flow goes in circles. A step of finite size goes along the tangent, and a
# tangent leaves the circle. Predict: by which factor does the distance from the origin change at
# each simultaneous step?


def step_matrix(mu, a, b):
    """One simultaneous step is (theta_f, theta_d) <- A (theta_f, theta_d)."""
    return np.eye(2) - mu * np.array([[a, -1.0], [1.0, b]])


def play(mu, a, b, steps=120, start=(1.0, 0.0)):
    path = [np.array(start)]
    for _ in range(steps):
        path.append(step_matrix(mu, a, b) @ path[-1])
    return np.array(path)


mu = 0.1
circling, settling = play(mu, 0, 0), play(mu, 0.3, 0.3)
growth = np.linalg.norm(circling, axis=1)[1:] / np.linalg.norm(circling, axis=1)[:-1]
np.testing.assert_allclose(growth, np.sqrt(1 + mu**2))
shrinkage = abs(np.linalg.eigvals(step_matrix(mu, 0.3, 0.3))).max()
print(f"a = b = 0: {growth[0]:.4f} a step, never below 1;   a = b = 0.3: {shrinkage:.4f} a step")
assert shrinkage < 1

# %%
# :math:`\sqrt{1 + \mu^2}`, by Pythagoras: the step stands at a right angle to the radius and has
# :math:`\mu` times its length. Every step size spirals outwards; a smaller one only does so more
# slowly. What draws the players in is curvature of their own, :math:`a` and :math:`b`: a label
# loss that holds the features, a domain head that does not grow without limit.


def draw_game(axis, path, a, b, title):
    grid = np.linspace(-2, 2, 13)
    theta_f, theta_d = np.meshgrid(grid, grid)
    axis.quiver(
        theta_f,
        theta_d,
        theta_d - a * theta_f,
        -theta_f - b * theta_d,
        color=GREY,
        alpha=0.6,
        width=0.004,
    )
    axis.plot(*path.T, "-", color=BLUE, lw=1.5)
    axis.plot(*path[::4].T, "o", color=BLUE, ms=4)
    axis.plot(*path[0], "s", color="black", ms=10, label="start")
    axis.plot(*path[-1], "^", color=ORANGE, ms=12, label=f"after {len(path) - 1} steps")
    axis.plot(*path.mean(axis=0), "*", color=GREEN, ms=18, label="mean of all steps")
    axis.plot(0, 0, "x", color="black", ms=10, mew=2.5, label="saddle point")
    axis.set(
        aspect="equal",
        xlim=(-2.1, 2.1),
        ylim=(-2.1, 2.1),
        xticks=(-2, -1, 0, 1, 2),
        yticks=(-2, -1, 0, 1, 2),
    )
    axis.set_title(title, fontsize=15)
    axis.set_xlabel(r"$\theta_f$", fontsize=15)
    axis.set_ylabel(r"$\theta_d$", fontsize=15)
    axis.tick_params(labelsize=13)


figure, axes = plt.subplots(1, 2, figsize=(11, 6.2), layout="constrained")
draw_game(axes[0], circling, 0, 0, "a = b = 0: circles, and spirals out")
draw_game(axes[1], settling, 0.3, 0.3, "a = b = 0.3: spirals in")
figure.legend(
    *axes[0].get_legend_handles_labels(),
    loc="outside lower center",
    ncols=4,
    fontsize=14,
    frameon=False,
)
plt.show()

last, mean = np.linalg.norm(circling[-1]), np.linalg.norm(circling.mean(axis=0))
print(
    f"circling: the last step is {last:.2f} from the saddle point, the mean of all steps {mean:.2f}"
)
assert last > 1 and mean < 0.3 * last

# %%
# A network is no game of two numbers, but three things carry over, and tutorials 05 and 13 meet
# them again: where the last step stands is partly chance; the average over many steps may stand
# nearer to the balance than any of them; and a learning rate that falls to zero shortens the
# tangents.
#
# Check yourself
# --------------
#
# *Exercise.* Everything is one number: :math:`f = \theta_f x`, :math:`L_y = \frac12 (\theta_y f -
# y)^2`, :math:`L_d = \frac12 (\theta_d f - d)^2`, with a reversal of strength :math:`\lambda`
# between :math:`f` and the domain head. The values: :math:`x = 2,\ \theta_f = 0.5,\ \theta_y = 3,\
# \theta_d = -2,\ y = 1,\ d = 0,\ \lambda = 0.5`. Which three gradients does backpropagation set?
# Work them out on paper.

your_answer = None  # (of theta_f, of theta_y, of theta_d)


def unit(theta):
    layer = Dense(1, 1, rng=np.random.default_rng(0)).convert(
        lambda array: 0.0 * array.astype(np.float64)
    )
    layer.params["W"][...] = theta
    return layer


def backpropagated(x=2.0, theta_f=0.5, theta_y=3.0, theta_d=-2.0, y=1.0, d=0.0, lam=0.5):
    """The three gradients, by minidann's layers."""
    G_f, G_y, G_d = unit(theta_f), unit(theta_y), unit(theta_d)
    reversed_head = Sequential([GradientReversal(lam), G_d])
    f = G_f.forward(np.array([[x]]))
    df = G_y.backward(G_y.forward(f) - y) + reversed_head.backward(reversed_head.forward(f) - d)
    G_f.backward(df)
    return tuple(float(layer.grads["W"][0, 0]) for layer in (G_f, G_y, G_d))


def check(answer):
    """Compare with what the layers set."""
    hints = (
        "theta_f: add dL_y/df and -lam dL_d/df first, then multiply by x",
        "theta_y: the domain part does not reach it; dL_y/dtheta_y = (theta_y f - y) f",
        "theta_d: the reversal stands below the domain head; neither its sign nor "
        "its lam reaches theta_d",
    )
    for hint, said, true in zip(hints, answer, backpropagated(), strict=True):
        assert np.isclose(said, true), f"{said} is not right. {hint}"
    print("All three are right.")


if your_answer is None:
    print("Write your answer into the line above.")
else:
    check(your_answer)

# %%
# *Worked answer.* :math:`f = 0.5 \cdot 2 = 1`. The label head is off by :math:`3 \cdot 1 - 1 = 2`,
# the domain head by :math:`-2 \cdot 1 - 0 = -2`. Back to the feature: :math:`\partial L_y/\partial
# f = 3 \cdot 2 = 6` and :math:`\partial L_d/\partial f = -2 \cdot (-2) = 4`, so :math:`df = 6 - 0.5
# \cdot 4 = 4` and :math:`\theta_f` gets :math:`4 \cdot 2 = 8`. :math:`\theta_y` gets :math:`2 \cdot
# f = 2`; :math:`\theta_d` gets :math:`-2 \cdot f = -2`, untouched by :math:`\lambda`. Without the
# reversal :math:`\theta_f` would have got :math:`(6 + 4) \cdot 2 = 20`.

f = 0.5 * 2
off_y, off_d = 3 * f - 1, -2 * f - 0
check(((3 * off_y - 0.5 * (-2 * off_d)) * 2, off_y * f, off_d * f))
assert backpropagated(lam=-1.0)[0] == 20  # a reversal of strength -1 is none

# %%
# *Exercise.* A colleague puts the reversal one layer too high: not in front of the domain head but
# after its first layer. Which parameters now get a wrong gradient? Answer with the set of those
# names whose gradient is *not* that of the right network.

your_answer = (
    None  # a set, from {"theta_f", "theta_y", "first layer of theta_d", "second layer of theta_d"}
)


def all_gradients(place):
    """Gradients by name, with the reversal in front of layer ``place`` of the domain head."""
    rng = np.random.default_rng(3)
    G_f, G_y, first, second = (Dense(*shape, rng=rng) for shape in ((3, 4), (4, 2), (4, 3), (3, 2)))
    layers = [first, ReLU(), second]
    layers.insert(place, GradientReversal(LAM))
    G_d, x = Sequential(layers), np.concatenate([x_source, x_target])
    f = G_f.forward(x)
    _, dlogits = softmax_cross_entropy(G_d.forward(f), np.arange(11) // 6)
    df = G_d.backward(dlogits)
    _, dlogits = softmax_cross_entropy(G_y.forward(f[:6]), y_source)
    df[:6] += G_y.backward(dlogits)
    G_f.backward(df)
    names = "theta_f", "theta_y", "first layer of theta_d", "second layer of theta_d"
    return {name: layer.grads["W"] for name, layer in zip(names, (G_f, G_y, first, second))}


def check_places(answer):
    """Compare with the gradients of both networks."""
    right, colleague = all_gradients(place=0), all_gradients(place=1)
    true = {name for name in right if not np.allclose(right[name], colleague[name])}
    missing, extra = true - set(answer), set(answer) - true
    assert not missing, (
        f"{len(missing)} more: everything that a gradient passes after the reversal "
        "has its sign turned"
    )
    assert not extra, (
        f"{len(extra)} too many: does the sign reach them, or is it turned just as "
        "in the right network?"
    )
    print("Right.")


if your_answer is None:
    print("Write your answer into the line above.")
else:
    check_places(your_answer)

# %%
# *Worked answer.* The gradient comes from :math:`L_d`, passes the second layer, is turned, then
# passes the first layer and the features. The features get what they should: turned once is turned
# once. Only the first layer of the domain head lies between the wrong place and the right one. It
# now ascends :math:`L_d`: half of the domain head works against the other half. The losses run,
# nothing crashes, and a check of the features alone would not notice. That is why the check above
# looks at every parameter of all three networks.

check_places({"first layer of theta_d"})
