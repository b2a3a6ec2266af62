r"""
Your own data
=============

Your own arrays through the same three networks in thirty lines. After this tutorial you can set up
DANN for a table of measurements, you know what to change for images, for unequal domains and for
more classes, and you know what can be said about success without a single target label, and what
can not.
"""

# %%
# Two clinics
# -----------
#
# You need three arrays: ``x_source`` (N, D), ``y_source`` (N,), integers from 0, and ``x_target``
# (M, D). Here they are made from scikit-learn's breast cancer data: 30 measurements of cells,
# benign or malignant. One half of the patients is clinic A, the source. The other half is clinic B,
# the target, and differs in two ways that real tables differ in:
#
# - *other instruments*: each of B's measurements has a gain and an offset of its own,
# - *a leak*: ten more columns, which A fills in after the diagnosis, so that they follow the class.
#   B fills them in before. They look much the same there, and mean nothing.
#
# B's labels exist, for this lesson: under the name ``y_secret``, for the verdict and nothing else.

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.linear_model import LogisticRegression

from minidann import DANN
from minidann.data import Batches
from minidann.experiments.plots import BLUE, GREEN, GREY, ORANGE
from minidann.metrics import accuracy
from minidann.nn import Conv2D, Dense, Flatten, MaxPool2D, ReLU, Sequential
from minidann.nn.optimizers import Adam
from minidann.nn.schedules import cosine, reversal_strength
from minidann.runtime.errors import InputError
from minidann.train import fit

plt.rcParams.update({"font.size": 11, "figure.dpi": 100, "savefig.dpi": 100})


def clinics(seed, leaks=10):
    """(x_source, y_source, x_target, y_secret), as the clinics would send them."""
    x, y = load_breast_cancer(return_X_y=True)
    rng = np.random.default_rng(seed)
    a, b = np.array_split(rng.permutation(len(x)), 2)
    measured = x[b] * rng.uniform(0.5, 2, 30) + 2 * x.std(axis=0) * rng.normal(size=30)
    after = 3 * y[a][:, None] + rng.normal(size=(len(a), leaks))  # follows the class
    before = 1.5 + 1.8 * rng.normal(
        size=(len(b), leaks)
    )  # about the same mean and spread for both classes
    return np.hstack([x[a], after]), y[a], np.hstack([measured, before]), y[b]


x_source, y_source, x_target, y_secret = clinics(0)
print(f"source {x_source.shape}, target {x_target.shape}")

figure, axes = plt.subplots(1, 3, figsize=(9, 3.6), layout="constrained")
for x, colour, hatch, name in (
    (x_source, BLUE, None, "A, source"),
    (x_target, ORANGE, "///", "B, target"),
):
    axes[0].hist(
        x[:, 0], 25, alpha=0.45, color=colour, hatch=hatch, histtype="stepfilled", label=name
    )
axes[0].set(title="a measurement", xlabel="mean radius, as sent", ylabel="patients", ylim=(0, 60))
axes[0].legend(loc="upper right")
sets = (
    (axes[1], x_source, y_source, BLUE, "o", "A"),
    (axes[2], x_target, y_secret, ORANGE, "^", "B"),
)
for axis, x, y, colour, marker, name in sets:
    for label, fill in ((0, "none"), (1, colour)):
        points = x[y == label, 30:32].T
        axis.plot(*points, marker, ms=5, color=colour, mfc=fill, label=f"class {label}")
    axis.set(title=f"two leak columns in {name}", xlabel="column 30", ylabel="column 31")
    axis.set(xlim=(-5, 8), ylim=(-5, 11))
    axis.legend(ncols=2, columnspacing=0.6, handletextpad=0.1, loc="upper center")
plt.show()

# %%
# Thirty lines
# ------------
#
# Everything there is to write. ``adapt`` never sees a target label: it has no argument for one.


def standardise(x):
    """Each column of one domain to mean 0 and standard deviation 1, by that domain's own
    statistics."""
    return ((x - x.mean(axis=0)) / (x.std(axis=0) + 1e-8)).astype(np.float32)


def networks(columns, classes, seed, width=32):
    """Features, label head and domain head for a table."""
    rng = np.random.default_rng(seed)
    features = Sequential([Dense(columns, width, rng=rng), ReLU()])
    label_head = Sequential([Dense(width, classes, rng=rng)])
    domain_head = Sequential([Dense(width, width, rng=rng), ReLU(), Dense(width, 2, rng=rng)])
    return DANN(features, label_head, domain_head)


def adapt(x_source, y_source, x_target, *, lam=1.0, steps=1500, size=32, seed=0):
    """A trained DANN; ``lam=0`` is training on the source alone."""
    dann = networks(x_source.shape[1], y_source.max() + 1, seed)
    rng = np.random.default_rng([seed, 1])
    fit(
        dann,
        Adam(dann.networks),  # one optimizer for all three
        Batches(x_source, y_source, size=size, rng=rng),
        Batches(x_target, size=size, rng=rng),
        steps=steps,
        lam=lambda p: lam * reversal_strength(p),  # from 0 to lam
        learning_rate=partial(cosine, base=1e-3),  # to 0 at the last step
        # callbacks=[ProgressBar()] of minidann.train shows the progress
    )
    return dann


dann = adapt(standardise(x_source), y_source, standardise(x_target))
print("the first ten patients of clinic B:", dann.predict(standardise(x_target))[:10])

# %%
# First the cheap remedy
# ----------------------
#
# Before you adapt, standardise, and *each domain by itself*: a gain and an offset of each column
# are then gone, with no network at all. The habit from ordinary supervised learning, the training
# set's mean and deviation for everything, is wrong here. How much accuracy does that cost? Four
# draws of the clinics. The last row is trained on 200 labelled patients of B and tested on the
# others: the ceiling, roughly.


def as_source(x, x_source):
    """The habit: the source's statistics for another domain."""
    return ((x - x_source.mean(axis=0)) / x_source.std(axis=0)).astype(np.float32)


def trials(seed):
    """Target accuracy of each way."""
    x_source, y_source, x_target, y_secret = clinics(seed)
    source, target, habit = (
        standardise(x_source),
        standardise(x_target),
        as_source(x_target, x_source),
    )
    on_target = adapt(target[:200], y_secret[:200], source, lam=0.0, seed=seed)
    ways = {
        "source's statistics, source only": (habit, 0.0),
        "source's statistics, DANN": (habit, 1.0),
    }
    ways |= {"own statistics, source only": (target, 0.0), "own statistics, DANN": (target, 1.0)}
    found = {}
    for name, (x, lam) in ways.items():
        found[name] = accuracy(adapt(source, y_source, x, lam=lam, seed=seed).predict(x), y_secret)
    return found | {"trained on target": accuracy(on_target.predict(target[200:]), y_secret[200:])}


rows = [trials(seed) for seed in range(4)]
found = {name: np.array([row[name] for row in rows]) for name in rows[0]}
for name, values in found.items():
    print(f"{name:<34} {values.mean():.3f}   " + " ".join(f"{value:.3f}" for value in values))

figure, axis = plt.subplots(figsize=(8, 3.4), layout="constrained")
for y, values in enumerate(found.values()):
    axis.plot(values, [-y] * 4, "^", ms=9, color=ORANGE, mfc="none", mew=1.6)
    axis.plot(values.mean(), -y, "|", ms=22, color="black", mew=2)
axis.set_yticks([-y for y in range(len(found))], found)
axis.set(xlabel="accuracy on the target: four draws, and their mean", ylim=(-4.5, 0.5))
axis.grid(alpha=0.3)
plt.show()

mean = {name: values.mean() for name, values in found.items()}
assert mean["own statistics, source only"] > mean["source's statistics, source only"] + 0.15
assert abs(mean["source's statistics, DANN"] - mean["source's statistics, source only"]) < 0.1
assert mean["own statistics, DANN"] > mean["own statistics, source only"] + 0.04

# %%
# Most of what was missing was the instruments' doing, and standardising repairs it for nothing.
# What is left is the leak, which no mean and no deviation shows: single columns look alike. But
# together, ten columns that rise and fall with the class in A and independently in B, they give the
# domain away, and DANN has something to work against.
#
# With the source's statistics DANN has to undo everything at once: it helps on some draws, does
# harm on others, and on the mean of the four changes nothing for the better. Do the easy part
# first.

# %%
# Did it work? Without target labels
# ----------------------------------
#
# You will not have ``y_secret``. There is no certain answer then, and a short argument says so.
# Suppose B called its classes the other way round. ``x_target`` would be the same, number by
# number, and so would be every training and every criterion without target labels. The accuracy
# would be its complement.

source, target = standardise(x_source), standardise(x_target)
right = accuracy(dann.predict(target), y_secret)
swapped = accuracy(dann.predict(target), 1 - y_secret)
print(f"accuracy {right:.3f}; if B's classes were swapped, {swapped:.3f}")
np.testing.assert_allclose(right + swapped, 1)

# %%
# So look for signs that something is *wrong*. Three are worth having:
#
# - **source accuracy**, on source examples held out: it may fall by what a shortcut of the source
#   was worth, and by no more. If it falls far, lambda is too large.
# - a **fresh domain classifier** on the features (tutorial 11): they should be harder to tell apart
#   than those of source-only training. Not the network's own domain head, which may be dead
#   (tutorial 13).
# - **reverse validation** (Ganin et al., section 5.1.2): let the network label the target; train
#   again, from the target with these labels as a source, back to the source; test on held-out
#   source labels. If the way there mixed the classes up, the way back is not likely to come out
#   right.
#
# Predict which of them will find out that ``lam=0`` is the worst choice here. Then compare with the
# secret.


def tellable(f_source, f_target):
    """The accuracy of a linear domain classifier on examples it was not fitted to."""
    f, d = np.concatenate([f_source, f_target]), np.repeat([0, 1], [len(f_source), len(f_target)])
    return LogisticRegression(max_iter=2000).fit(f[::2], d[::2]).score(f[1::2], d[1::2])


def signs(seed, lam):
    """What can be known without target labels, and the secret."""
    x_source, y_source, x_target, y_secret = clinics(seed)
    source, target = standardise(x_source), standardise(x_target)
    held_out, y_held_out = source[:60], y_source[:60]
    there = adapt(source[60:], y_source[60:], target, lam=lam, seed=seed)
    back = adapt(target, there.predict(target), source[60:], lam=lam, seed=seed + 50)
    return {
        "source accuracy": accuracy(there.predict(held_out), y_held_out),
        "tellable": tellable(there.transform(source), there.transform(target)),
        "reverse validation": accuracy(back.predict(held_out), y_held_out),
        "target (secret)": accuracy(there.predict(target), y_secret),
    }


strengths = (0.0, 0.3, 1.0, 3.0)
table = {lam: [signs(seed, lam) for seed in range(4)] for lam in strengths}
means = {
    lam: {name: np.mean([row[name] for row in rows]) for name in rows[0]}
    for lam, rows in table.items()
}
for lam, row in means.items():
    print(f"lam {lam:<4} " + "   ".join(f"{name} {value:.3f}" for name, value in row.items()))

figure, axis = plt.subplots(figsize=(8, 3.9), layout="constrained")
looks = (("s-", BLUE), ("D--", GREY), ("v:", GREEN), ("^-", ORANGE))
for name, (style, colour) in zip(means[0.0], looks):
    values = [means[lam][name] for lam in strengths]
    axis.plot(range(4), values, style, color=colour, ms=8, lw=1.8, label=name)
axis.set_xticks(range(4), strengths)
axis.set(xlabel="lambda at the end", ylabel="mean of four draws", ylim=(0.5, 1.02), xlim=(-0.2, 5))
axis.legend(loc="center right")
axis.grid(alpha=0.3)
plt.show()

assert means[0.0]["target (secret)"] == min(row["target (secret)"] for row in means.values())
assert means[0.0]["tellable"] == max(row["tellable"] for row in means.values())
for name in ("reverse validation", "source accuracy"):
    assert means[0.0][name] == max(row[name] for row in means.values())

# %%
# The domain classifier finds it: at ``lam=0`` the features are the most tellable. Reverse
# validation does *not*; it rates ``lam=0`` highest. (And so does the source accuracy: perfect,
# which for a table of medical measurements is itself a sign of a leak.) The reason is worth
# knowing. Source-only training reads the leak. On the target that gives wrong labels, but labels
# that follow the leak; the way back learns to read the leak from them, and on the source the leak
# is right. A mistake that is the same in both directions passes. Reverse validation is made for
# shifts that mix the classes up on the way. Use both, believe neither, and label thirty target
# examples by hand if you can, kept for the end.

# %%
# What to change
# --------------
#
# **Images.** Only the features: convolutions instead of the first ``Dense``, and ``Flatten`` at the
# end. Arrays are (N, height, width, channel). Keep images as bytes and let ``prepare`` make float32
# of each batch.

rng = np.random.default_rng(0)
x, y = rng.integers(0, 256, (100, 16, 16, 3), dtype=np.uint8), rng.integers(0, 10, 100)
layers = [
    Conv2D(3, 8, 5, rng=rng),
    ReLU(),
    MaxPool2D(2),
    Flatten(),
]  # 16 x 16 x 8, pooled to 8 x 8 x 8
features, label_head = Sequential(layers), Sequential([Dense(512, 10, rng=rng)])
domain_head = Sequential([Dense(512, 32, rng=rng), ReLU(), Dense(32, 2, rng=rng)])
on_images = DANN(features, label_head, domain_head)


def prepare(x):
    """Bytes to float32 around 0."""
    return x.astype(np.float32) / 255 - 0.5


x_batch, y_batch = next(Batches(x, y, size=8, rng=rng, prepare=prepare))
print(
    on_images.compute_gradients(x_batch, y_batch, x_batch, lam=0.1),
    on_images.transform(x_batch).shape,
)
assert on_images.transform(x_batch).shape == (8, 512)

# %%
# **Unequal domains.** There is nothing to change. ``Batches`` runs through each domain at its own
# pace and begins anew at its end; every step has as many examples of one as of the other, so that
# the domain head can not win by always naming the larger. Only the batch must not be larger than
# the smaller domain.

few = adapt(source, y_source, target[:40], seed=0)
with_few = accuracy(few.predict(target), y_secret)
print(f"with 40 unlabelled target patients: {with_few:.3f}, with all: {right:.3f}")
try:
    adapt(source, y_source, target[:20])
except InputError as error:
    print("refused:", error)

# %%
# (Unequal shares of the *classes* are another matter: if B has other shares of them than A,
# features that can not be told apart are wrong features. DANN assumes that they are about the
# same.)
#
# **More classes.** Integers from 0, and as many units in the label head. A label that it has no
# unit for is refused before the first step. Here are three kinds of wine, standardised, with a head
# for two:

x_wine, y_wine = load_wine(return_X_y=True)
wine = standardise(x_wine)
narrow = networks(columns=13, classes=2, seed=0)
rng = np.random.default_rng(0)
feed = Batches(wine, y_wine, size=32, rng=rng), Batches(wine, size=32, rng=rng)
schedules = {"lam": reversal_strength, "learning_rate": partial(cosine, base=1e-3)}
try:
    fit(narrow, Adam(narrow.networks), *feed, steps=10, **schedules)
except InputError as error:
    print("refused:", error)
else:
    raise AssertionError("a label without a unit must be refused")

# %%
# The checklist
# -------------
#
# Before, during and after; each item is a mistake of tutorial 13 or of this one.
#
# - Each domain standardised by its own statistics, and source-only training as the baseline.
# - *One* optimizer over ``dann.networks``. Test: 100 lambda must give another result.
# - Lambda from 0 (``reversal_strength``), a learning rate that ends at 0, a number of steps fixed
#   beforehand.
# - Batch-norm: ``domains=2`` where both domains pass; know whose statistics evaluation uses.
# - The class shares of the target are about the source's, or you know why you may assume so.
# - While it trains: :math:`L_y` falls, :math:`L_d` is near :math:`\ln 2` and the reversed gradient
#   is not 0.
# - After: source accuracy held, a fresh domain classifier, reverse validation; several seeds, mean
#   and worst.
# - The last step is the result. Target labels, if there are any, are looked at once, at the end.

# %%
# Check yourself
# --------------
#
# *Exercise.* Write ``your_answer(columns, seed)`` for the wine: a DANN with 13 columns in, three
# classes, 24 features behind a ReLU, and a domain head with *one* logistic unit, as in the paper.
# One half of the wine is the source. The other half, measured with another gain and offset in each
# column and then standardised, is the target. The check trains it.

your_answer = None  # a function (columns, seed) -> DANN


def halves():
    """(x_source, y_source, x_target, y_secret) of the wine."""
    rng = np.random.default_rng(2)
    a, b = (
        np.arange(0, len(x_wine), 2),
        np.arange(1, len(x_wine), 2),
    )  # sorted by class: equal shares
    measured = x_wine[b] * rng.uniform(0.5, 2, 13) + x_wine.std(axis=0) * rng.normal(size=13)
    return standardise(x_wine[a]), y_wine[a], standardise(measured), y_wine[b]


def check(answer):
    """The shapes, then a training."""
    x_source, y_source, x_target, y_secret = halves()
    dann, classes = answer(x_source.shape[1], 0), len(np.unique(y_source))
    f = dann.features.forward(x_source)
    assert f.shape[1] == 24, f"{f.shape[1]} features, not 24"
    opposite, middle = dann.features.forward(-x_source), dann.features.forward(0 * x_source)
    assert np.abs(f + opposite - 2 * middle).max() > 1e-3, (
        "the features are linear in x: is there a ReLU?"
    )
    units = dann.label_head.forward(f).shape[1]
    assert units == classes, f"the label head has {units} units for {classes} classes"
    units = dann.domain_head.forward(f).shape[1]
    assert units == 1, f"the domain head ends in {units} units; one logistic unit says p(target)"
    logit = dann.domain_head.forward(1000 * f)
    assert np.abs(logit).max() > 1.01, (
        "the domain head must give the logit: the loss contains the sigmoid"
    )
    rng = np.random.default_rng(0)
    feed = Batches(x_source, y_source, size=32, rng=rng), Batches(x_target, size=32, rng=rng)
    fit(dann, Adam(dann.networks), *feed, steps=500, **schedules)
    reached = accuracy(dann.predict(x_target), y_secret)
    assert reached > 0.9, f"only {reached:.2f} on the target: is anything trained?"
    print(f"The shapes are right, and it reaches {reached:.3f} on the target.")


if your_answer is None:
    print("Write your answer into the line above.")
else:
    check(your_answer)

# %%
# *Worked answer.* Three numbers change: the features' outputs, which are the inputs of both heads;
# the units of the label head, one a class; and the last layer of the domain head, which has one
# unit. DANN sees by its width which cross-entropy it needs. That unit has no sigmoid layer: the
# loss contains it (tutorial 3).


def worked(columns, seed):
    """24 features, three classes, a logistic domain head."""
    rng = np.random.default_rng(seed)
    features = Sequential([Dense(columns, 24, rng=rng), ReLU()])
    domain_head = Sequential([Dense(24, 24, rng=rng), ReLU(), Dense(24, 1, rng=rng)])
    return DANN(features, Sequential([Dense(24, 3, rng=rng)]), domain_head)


check(worked)
