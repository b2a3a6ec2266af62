r"""
MNIST to MNIST-M
================

A convolutional network learns plain digits with their labels, sees digits over photographs without
labels, and reads those as well. First a small version, trained before your eyes: source only, DANN,
and trained on target, with the share of the gap that DANN closes. Then the record of the full
experiment, from MNIST to MNIST-M, and how to read such a record.
"""

# %%
# A pair that is small enough
# ---------------------------
#
# The full experiment takes minutes for each network, so here is a smaller one, made of what the
# last tutorial made: scikit-learn's digits and photographs. It has to be an easier one as well, and
# you should know why.
#
# The obvious pair, ``load_digits_pair()``, is MNIST-M in small: 1,347 training digits over two
# photographs. There DANN does not help the network of tf-dann: the record
# ``docs/results/digits.json`` says so. It may be that so few digits and only two photographs are
# too little for it; that has not been taken apart.

import csv
import json
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_images

import minidann
from minidann import DANN
from minidann.callbacks import History
from minidann.data import Batches, Digits, as_pair, load_digits_pair, make_mnistm
from minidann.data.preprocessing import normalize
from minidann.experiments.plots import BLUE, GREEN, GREY, ORANGE
from minidann.experiments.runs import METHODS
from minidann.metrics import evaluate
from minidann.nn import BatchNorm, Conv2D, Dense, Flatten, MaxPool2D, ReLU, Sequential
from minidann.nn.optimizers import Adam
from minidann.nn.schedules import cosine, reversal_strength
from minidann.train import fit

RESULTS = Path(minidann.__file__).parents[1] / "docs" / "results"


def read_runs(name):
    """The runs of a record: a list of dicts; none if it is not there."""
    path = RESULTS / name
    return json.loads(path.read_text())["runs"] if path.exists() else []


small = {run["method"]: run["target_class"] for run in read_runs("digits.json")}
for method, accuracy in small.items():
    print(f"digits.json, {METHODS[method]:<20} target accuracy {accuracy:.3f}")
if small:
    assert small["dann"] < small["source"] + 0.02, "what the text above says"

# %%
# So the photographs are seen through blue glass: their red is dimmed to 15 %, their green to 50 %,
# their blue is left alone. Then they are blended by the same formula as ever, :math:`|B - D|`, with
# grey digits, the easier of the last tutorial's two kinds. In red the digit stands on a dark
# ground, nearly as in the source; in blue it is as hard as MNIST-M; green is between. Some evidence
# is the same in both domains and some is not, as :math:`x + y` and :math:`x - y` were in Blobs, and
# a network that is trained on the source alone has no way to tell which is which: there the three
# channels are equal.
#
# Images of 20x20 pixels make it fast. ``as_pair`` reduces them, finds the mean of each channel, and
# keeps the target's training labels to itself unless they are asked for by name: here they are, for
# the network that is trained on the target, the ceiling.

GLASS = np.array([0.15, 0.5, 1.0])  # red, green, blue
plain, _ = load_digits_pair(binarize=False)
dimmed = [(photo * GLASS).astype(np.uint8) for photo in load_sample_images().images]
x_train, x_test = (
    make_mnistm(x[..., 0], dimmed, seed=(100, split), binarize=False)
    for split, x in enumerate((plain.x_train, plain.x_test))
)
source, target = as_pair(
    plain, Digits(x_train, plain.y_train, x_test, plain.y_test), size=20, oracle_labels=True
)
np.testing.assert_array_equal(source.x_train[..., 0], source.x_train[..., 2])
print(
    "training images",
    source.x_train.shape,
    "channel means",
    source.mean.round(),
    target.mean.round(),
)

figure, axes = plt.subplots(2, 8, figsize=(10, 3.1), layout="constrained")
for row, domain, name in zip(axes, (source, target), ("source", "target")):
    for axis, image in zip(row, domain.x_train):
        axis.imshow(image)
        axis.set(xticks=[], yticks=[])
    row[0].set_ylabel(name, fontsize=14)
plt.show()

# %%
# How this was chosen
# -------------------
#
# Whoever shows you one pair on which a method works should say how many were tried. Without the
# glass, a network of this size gained next to nothing from DANN; over photographs that were merely
# darkened it gained something; the glass was chosen because there it gains much, and so was the
# learning rate of .003 in place of .001. All this was chosen by target accuracy, on runs with the
# seeds 0, 1, 10 and 11 and another draw of patches. Below are the seeds 20 and 21, run after that
# was settled, and their last step. Everything else is as in the recipe ``best`` of
# ``minidann.experiments.recipes``, only with a smaller network, smaller batches, fewer steps and
# without dropout: batch-norm for each domain on its own, He's weights, Adam, the learning rate down
# to zero along a cosine, the paper's :math:`\lambda`.
#
# So what follows shows *that* adaptation can work, and how it looks when it does. It is no estimate
# of how often.
#
# The network
# -----------
#
# Count the shapes before you read the comments: a convolution of 5x5 without border on 20x20,
# pooling by 2, the same again.


def build(seed, parts):
    """G_f, G_y and G_d; ``parts``: how many domains a training batch of the features holds."""
    rng = np.random.default_rng(seed)
    conv, dense = partial(Conv2D, rng=rng, padding="valid"), partial(Dense, rng=rng)
    first = [conv(3, 16, 5), BatchNorm(16, domains=parts), MaxPool2D(2), ReLU()]  # (N, 8, 8, 16)
    second = [
        conv(16, 32, 5),
        BatchNorm(32, domains=parts),
        MaxPool2D(2),
        ReLU(),
        Flatten(),
    ]  # (N, 128)
    label_head = [
        dense(128, 50),
        BatchNorm(50),
        ReLU(),
        dense(50, 10),
    ]  # sees the source alone: one part
    domain_head = [dense(128, 100), BatchNorm(100, domains=parts), ReLU(), dense(100, 2)]
    return DANN(Sequential(first + second), Sequential(label_head), Sequential(domain_head))


f = build(0, 1).features.forward(normalize(source.x_train[:4], source.mean))
assert f.shape == (4, 128)

# %%
# Three trainings
# ---------------
#
# They differ in what they are given, and in nothing else: *source only* has the source with labels;
# *DANN* has, besides, the target without labels; *trained on target* has the target with labels,
# which in a real task are not there. The first is the floor, the last the ceiling.

STEPS, SIZE, RATE = 600, 32, 3e-3


def centred(domain):
    """The function that makes network input of a domain's images: (x - its mean) / 255."""
    return lambda x: normalize(x, domain.mean)


def accuracies(dann):
    """The four accuracies on the test images."""
    tests = ((domain.x_test, domain.y_test) for domain in (source, target))
    return evaluate(dann, *tests, centred(source), centred(target))


def train(method, seed):
    """(DANN, History) of one network."""
    adversarial = method == "dann"
    dann = build(seed, 2 if adversarial else 1)
    labelled = target if method == "target" else source
    batches = partial(Batches, size=SIZE, rng=np.random.default_rng([seed, 1]))
    history = History(every=100, monitor=lambda: accuracies(dann))
    fit(
        dann,
        Adam(dann.networks if adversarial else dann.networks[:2]),
        batches(labelled.x_train, labelled.y_train, prepare=centred(labelled)),
        batches(target.x_train, prepare=centred(target)),
        steps=STEPS,
        lam=reversal_strength,
        learning_rate=partial(cosine, base=RATE),
        objective="dann" if adversarial else "label",
        callbacks=[history],
    )
    return dann, history


# %%
# Predict: source only reads the source's test digits nearly without mistakes. What will it read of
# the target? And of the way from there to the ceiling, which share will DANN make?

SEEDS = (20, 21)
runs = {
    (method, seed): train(method, seed) for method in ("source", "dann", "target") for seed in SEEDS
}
last = {key: history[-1] for key, (_, history) in runs.items()}


def mean(method, name):
    """The mean over the seeds of a number of the last step."""
    return np.mean([last[method, seed][name] for seed in SEEDS])


print(f"{'':<20}{'source':>8}{'target':>8}   each seed on the target")
for method in ("source", "dann", "target"):
    each = "  ".join(f"{last[method, seed]['target_class']:.3f}" for seed in SEEDS)
    on_source, on_target = mean(method, "source_class"), mean(method, "target_class")
    print(f"{METHODS[method]:<20}{on_source:>8.3f}{on_target:>8.3f}   {each}")


def share_of_gap(source_only, dann, on_target):
    """How much of the way from source only to trained on target DANN makes: 0 none, 1 all of it."""
    return (dann - source_only) / (on_target - source_only)


share = share_of_gap(*(mean(method, "target_class") for method in ("source", "dann", "target")))
print(f"\nDANN closes {share:.0%} of the gap")
assert all(
    last["dann", seed]["target_class"] > last["source", seed]["target_class"] + 0.1
    for seed in SEEDS
)
assert 0.4 < share < 1
domain = (mean("dann", "source_domain") + mean("dann", "target_domain")) / 2
print(f"DANN's domain head is right on {domain:.0%} of the test images")
assert 0.4 < domain < 0.65

# %%
# The share of the gap is
#
# .. math:: \frac{\text{DANN} - \text{source only}}{\text{trained on target} - \text{source only}}
#
# all three accuracies on the target's test images. The paper's tables give it in brackets; it makes
# experiments comparable whose floors and ceilings differ. It is also a quotient: if source only is
# nearly as good as the ceiling, it is noise divided by little, and it says nothing. Always give the
# three accuracies with it.
#
# How it went
# -----------

STYLES = {"source": (GREY, ":", "s"), "dann": ("black", "-", "o"), "target": (GREEN, "--", "D")}


def draw(axis, rows, name, method, label=None):
    """One line: a number of the history over the steps."""
    colour, style, marker = STYLES[method]
    steps = [int(row["step"]) for row in rows]
    values = [float(row[name]) for row in rows]
    axis.plot(
        steps,
        values,
        style,
        color=colour,
        marker=marker,
        ms=4.5,
        markevery=0.1,
        lw=1.8,
        label=label,
    )


figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for (method, seed), (_, history) in runs.items():
    draw(left, history, "target_class", method, METHODS[method] if seed == SEEDS[0] else None)
history = runs["dann", SEEDS[0]][1]
steps = [row["step"] for row in history]
right.plot(
    steps, [row["source_domain"] for row in history], "-o", color=BLUE, label="on the source"
)
right.plot(
    steps, [row["target_domain"] for row in history], "-^", color=ORANGE, label="on the target"
)
right.plot(steps, [row["lam"] for row in history], "--", color=GREY, label=r"$\lambda$")
left.set_title("class accuracy on the target", fontsize=13)
right.set_title(f"DANN's domain head, seed {SEEDS[0]}: share right", fontsize=13)
for axis in (left, right):
    axis.set_ylim(0, 1.03)
    axis.set_xlabel("step", fontsize=12)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=12, loc="lower right")
plt.show()

# %%
# This domain head's two curves move against each other: it mostly takes too many images for the
# source's. What matters is their mean, which falls from about two thirds to a little above one
# half. Whether *another* domain head would do better on these features is a question for the next
# tutorial.
#
# What the network learnt
# -----------------------
#
# In the source the three channels are equal. So the gradient of the first convolution is the same
# for all three, whatever the labels: training on the source changes the weights of red, green and
# blue *by the same amounts*. Whatever difference there is between the channels' weights is what the
# random start put there. Is it really so? And what did DANN do?


def change(method, seed):
    """How far training has moved the weights of the first convolution: (5, 5, 3 channels, 16)."""
    start = build(seed, 1).features.layers[0].params["W"]
    return runs[method, seed][0].features.layers[0].params["W"] - start


def apart(change):
    """How differently red and blue have moved, as a share of how far red has."""
    return np.linalg.norm(change[:, :, 0] - change[:, :, 2]) / np.linalg.norm(change[:, :, 0])


for method in STYLES:
    print(f"{METHODS[method]:<20} red and blue apart: {apart(change(method, SEEDS[0])):.3f}")
np.testing.assert_allclose(
    change("source", SEEDS[0]), change("source", SEEDS[0])[:, :, [2, 0, 1]], atol=1e-4
)
assert apart(change("source", SEEDS[0])) < 0.001 and apart(change("dann", SEEDS[0])) > 0.5

# %%
# Weights can be read in many ways. What a network *relies on* can be tried: give it test images of
# which it sees only one channel, the others filled with their mean. Which channel will DANN do best
# with, and source only?


def with_one_channel(dann, channel):
    """Accuracy on target test images of which all channels but one are their mean."""
    x = np.empty_like(target.x_test)
    x[:] = np.rint(target.mean)
    x[..., channel] = target.x_test[..., channel]
    return np.mean(dann.predict(centred(target)(x)) == target.y_test)


one_channel = {
    method: [
        np.mean([with_one_channel(runs[method, seed][0], c) for seed in SEEDS]) for c in range(3)
    ]
    for method in STYLES
}
print(f"{'seeing only':<20}{'red':>7}{'green':>7}{'blue':>7}")
for method, found in one_channel.items():
    print(f"{METHODS[method]:<20}" + "".join(f"{value:>7.3f}" for value in found))
assert one_channel["dann"][0] > one_channel["source"][0] + 0.2
assert max(one_channel["dann"][1:]) < one_channel["dann"][0] - 0.3

# %%
# DANN reads a good part of the digits from red alone, and from green alone or blue alone hardly
# more than chance, .1. Source only has learnt to use all three alike, each for about a third of the
# evidence; of one alone, even of red, it makes little. No target label told DANN so. The domain
# head could tell the domains apart by what the photographs put into blue and green; the reversed
# gradient took that away from it; and the label loss kept what it needed where it could be kept.
#
# The full experiment
# -------------------
#
# MNIST to MNIST-M: 60,000 training images of each domain, 10,000 test images, the 200 training
# photographs of BSDS500. ``python -m minidann.mnistm --seeds 2 --jobs 2`` trains the network of
# tf-dann three ways; its record is ``docs/results/mnistm.json``, and two more seeds of DANN are in
# ``mnistm-dann-seeds-2-3.json``. ``mnistm-best.json`` is the record of ``--recipe best``, the large
# sister of the network above; a record that is not there is left out below.

RECORDS = {
    "tf-dann": ("mnistm.json", "mnistm-dann-seeds-2-3.json"),
    "best": ("mnistm-best.json", "mnistm-best-source.json", "mnistm-best-target.json"),
}


def read_recipe(names):
    """method -> list of its runs, from all records of a recipe that are there."""
    found = {}
    for run in (run for name in names for run in read_runs(name)):
        found.setdefault(run["method"], []).append(run)
    return found


def values(runs, name):
    """mean +- standard deviation, in words."""
    numbers = [run[name] for run in runs]
    return f"{np.mean(numbers):.4f}" + (
        f" +- {np.std(numbers, ddof=1):.4f}" if len(numbers) > 1 else ""
    )


records = {recipe: read_recipe(names) for recipe, names in RECORDS.items()}
full_shares = {}
for recipe, methods in records.items():
    for method in [method for method in METHODS if method in methods]:
        done = methods[method]
        print(
            f"{recipe:<8} {METHODS[method]:<18} MNIST {values(done, 'source_class')}   MNIST-M",
            end=" ",
        )
        print(f"{values(done, 'target_class')}   seeds: {len(done)}")
    if set(METHODS) <= set(methods):
        on_target = {
            method: np.mean([run["target_class"] for run in done])
            for method, done in methods.items()
        }
        full_shares[recipe] = share_of_gap(
            on_target["source"], on_target["dann"], on_target["target"]
        )
        print(f"{recipe}: DANN closes {full_shares[recipe]:.1%} of the gap\n")

# %%
# The paper's own network went from .5225 to .7666, with a ceiling of .9596 (its table 2): 56 % of
# the gap by this formula.
#
# Both are of the same kind of data: binarised digits over the photographs of BSDS500. Which patch a
# digit lies on is drawn anew here; ``--data release`` trains on the authors' own images. The source
# is grey in the paper and in ``best``, black and white in tf-dann's recipe. ``best`` shows it in
# random colours, with and without DANN, which is why its source only is so high.

print(f"the paper: {share_of_gap(0.5225, 0.7666, 0.9596):.3f}")
assert round(share_of_gap(0.5225, 0.7666, 0.9596), 2) == 0.56

# %%
# The curves are in the CSV files beside the records: a row every 200 steps, on the first 500 test
# images of each domain.


def read_histories(names):
    """(method, seed) -> the rows of its history, from the CSV files beside the records, as far as
    they are there."""
    curves = {}
    for path in (RESULTS / name.replace(".json", "-history.csv") for name in names):
        if path.exists():
            with open(path, newline="") as file:
                for row in csv.DictReader(file):
                    curves.setdefault((row["method"], int(row["seed"])), []).append(row)
    return curves


histories = {recipe: read_histories(names) for recipe, names in RECORDS.items()}
histories = {recipe: curves for recipe, curves in histories.items() if curves}
if histories:
    figure, axes = plt.subplots(
        1, len(histories), figsize=(10, 4.2), sharey=True, squeeze=False, layout="constrained"
    )
    for axis, (recipe, curves) in zip(axes[0], histories.items()):
        drawn = set()
        for (method, _), rows in curves.items():
            draw(axis, rows, "target_class", method, None if method in drawn else METHODS[method])
            drawn.add(method)
        axis.set_title(f"MNIST to MNIST-M, recipe {recipe}", fontsize=13)
        axis.set_xlabel("step", fontsize=12)
        axis.set_ylim(0, 1.03)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=12, loc="lower right")
    axes[0, 0].set_ylabel("accuracy on MNIST-M", fontsize=12)
    plt.show()

# %%
# How to read such a record
# -------------------------
#
# - *The last step*, for every run. The best step on the target would need target labels to find.
#   The curves of DANN swing to the end (tf-dann's by up to three hundredths in their last ten
#   rows), and whoever reports their peak reports that swing as skill (the exercise measures it in
#   the small experiment).
# - *The spread.* Compare the standard deviation of the seeds with the difference that you claim.
# - *The source's accuracy* as well: DANN pays for what it gains with a little of it.
# - *The domain accuracy of both domains.* An average of one half can be made of 90 % and 10 %.
# - *What chose the settings.* Someone who has no target labels could not have compared them by
#   target accuracy.
#
# Check yourself
# --------------
#
# *Exercise.* Somebody reports 90 % on a target: "with DANN we get to 95 % of the accuracy of a
# network trained on the target itself", which reaches 94.7 %; source only reaches 88 %. (a) Which
# share of the gap is closed, to two decimals? (b) In the small experiment above, take for each of
# the two seeds of DANN the *best* row of its history on the target in place of the last one. By how
# much does the mean of the two grow, to three decimals? Work with ``runs``. Write down both numbers
# and run the cell.

your_answer = None  # (a, b)


def check(answer):
    """Compare with what is computed."""
    a, b = answer
    gap = share_of_gap(0.88, 0.90, 0.947)
    assert abs(a - gap) < 0.006, (
        "(a) what was gained over source only, divided by what there was to be gained"
    )
    curves = [[row["target_class"] for row in runs["dann", seed][1]] for seed in SEEDS]
    too_much = np.mean([max(curve) - curve[-1] for curve in curves])
    assert abs(b - too_much) < 0.0006, (
        "(b) for each seed on its own: the largest target_class less the last one; then the mean"
    )
    print("Both are right.")


if your_answer is None:
    print("Write your answer into the line above.")
else:
    check(your_answer)

# %%
# Worked answer.
#
# (a) (.900 - .880) / (.947 - .880) = .30: less than a third of the gap, although .900 is 95 % of
# .947. Source only was at 93 % of it already. (b) is what the choice of the step adds. It is never
# negative: that is the point. Even if nothing but the noise of a finite test set made the rows
# differ, the best of six would on the average lie above the last, and it is target labels that pick
# it.

best_rows = [max(row["target_class"] for row in runs["dann", seed][1]) for seed in SEEDS]
last_rows = [runs["dann", seed][1][-1]["target_class"] for seed in SEEDS]
assert round(0.90 / 0.947, 2) == 0.95 and round(0.88 / 0.947, 2) == 0.93
print(f"best {np.mean(best_rows):.4f}, last {np.mean(last_rows):.4f}")
check((0.30, np.mean(best_rows) - np.mean(last_rows)))
for (method, seed), rows in histories.get("tf-dann", {}).items():
    accuracy = [float(row["target_class"]) for row in rows]
    print(
        f"MNIST-M, {METHODS[method]:<18} seed {seed}: best {max(accuracy):.3f}, "
        f"last {accuracy[-1]:.3f}"
    )
