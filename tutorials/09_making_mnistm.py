r"""
Making MNIST-M
==============

MNIST-M is MNIST laid over photographs, by a formula of one line. After this tutorial you can make
it, pixel by pixel, equal to the package's to the last bit; you know the mistake with bytes that
makes the digits vanish; and you can say in numbers why a classifier that learnt white digits on
black can not read them.

No files are needed: the digits and the two photographs are scikit-learn's own.
"""

# %%
# The digits
# ----------
#
# scikit-learn's digits are 8x8 pixels of 0 to 16. Four steps make them look like MNIST's: 16
# becomes 255; bicubic interpolation enlarges them to 24x24; a border of 2 makes 28x28; and whatever
# is fainter than 128 becomes 0, "no ink", because interpolation leaves a grey halo around each
# stroke. Here they are by hand, compared with the package's for every digit.

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from minidann.data import load_digits_pair, make_mnistm
from minidann.data.mnist_m import blend, ink
from minidann.data.sklearn_digits import enlarge
from minidann.experiments.plots import BLUE, GREY, ORANGE


def larger(image):
    """An 8x8 digit of 0..16 as a 28x28 digit of 0..255."""
    grey = Image.fromarray((image * 255 / 16).astype(np.uint8))
    grey = np.asarray(grey.resize((24, 24), Image.Resampling.BICUBIC))
    grey = np.pad(grey, 2)
    return np.where(grey < 128, 0, grey).astype(np.uint8)


small = load_digits()
digits = np.stack([larger(image) for image in small.images])
for image, digit in zip(small.images, digits):
    np.testing.assert_array_equal(digit, enlarge(image))
photographs = load_sample_images().images
print(f"digits {digits.shape} {digits.dtype}; photographs", *(photo.shape for photo in photographs))

# %%
# The formula
# -----------
#
# For a pixel at row :math:`i`, column :math:`j` and for each colour channel :math:`c` of a
# background :math:`B` and a digit :math:`D`, which is grey and so the same in all three channels,
#
# .. math:: X_{ijc} = | B_{ijc} - D_{ij} |
#
# (Ganin et al., JMLR 17(59), 2016, section 5.2.4). Before you read on: a pixel of the photograph is
# (10, 200, 128), a green. What becomes of it where there is no ink, :math:`D = 0`, and what where
# there is full ink, :math:`D = 255`?

pixel = np.array([10, 200, 128])
for amount in (0, 255):
    print(f"ink {amount:>3}: {pixel} becomes {np.abs(pixel - amount)}")

every = np.arange(256)
np.testing.assert_array_equal(np.abs(every - 0), every)
np.testing.assert_array_equal(np.abs(every - 255), 255 - every)

# %%
# No ink leaves the photograph as it is; full ink gives its negative, :math:`255 - B`. So a digit of
# MNIST-M has no colour of its own. It is a *hole* through which the photograph's negative shows.
#
# One image, channel by channel:


def blended(background, digit):
    """|background - digit|, one channel at a time."""
    result = np.empty_like(background)
    for c in range(3):
        result[:, :, c] = np.abs(background[:, :, c].astype(int) - digit.astype(int))
    return result


digit = ink(digits[3])  # a three: 255 where there is ink, 0 elsewhere
patch = photographs[1][150:178, 300:328]
example = blended(patch, digit)
np.testing.assert_array_equal(example, blend(patch, digit[..., None]))
np.testing.assert_array_equal(example[digit == 0], patch[digit == 0])
np.testing.assert_array_equal(example[digit == 255], 255 - patch[digit == 255])

figure, axes = plt.subplots(1, 6, figsize=(10, 2.3), layout="constrained")
steps = {"digit $D$": digit, "background $B$": patch, "$|B - D|$": example}
steps |= {f"its {name}": example[:, :, c] for c, name in enumerate(("red", "green", "blue"))}
for axis, (title, image) in zip(axes, steps.items()):
    axis.imshow(image, cmap="gray", vmin=0, vmax=255)
    axis.set_title(title, fontsize=13)
    axis.axis("off")
plt.show()

means = [(example[digit > 0].mean(0) - example[digit == 0].mean(0)).round()]
print("mean of the ink less mean of the ground, in red, green and blue:", *means)
assert means[0][0] < -64 and means[0][2] > 64

# %%
# On the flower's orange the three is blue. It is *darker* than its ground in red, *lighter* in
# blue, and it stands out least in green, where the ground is nearest to the middle grey. Remember
# this picture.
#
# The mistake with bytes
# ----------------------
#
# Images are stored as bytes, ``uint8``, which count from 0 to 255 and then begin again: in bytes,
# 10 - 255 is not -245 but -245 + 256 = 11. ``np.abs`` comes too late, for a byte is never negative.
# What would you expect to see, then, if you write ``np.abs(background - digit)`` and both are
# bytes?


def wrapped(background, digit):
    """The formula written down without a thought for the type. Do not use it."""
    return np.abs(background - digit)


assert wrapped(np.uint8(200), np.uint8(0)) == 200
every_byte = every.astype(np.uint8)
b, d = np.meshgrid(every_byte, every_byte, indexing="ij")  # every pair of bytes
wrong = wrapped(b, d)
right = blend(b, d)
np.testing.assert_array_equal(wrong, (b.astype(int) - d) % 256)
np.testing.assert_array_equal(wrong[:, 255], (every + 1) % 256)
print("10 and 255 give", wrong[10, 255], "instead of", right[10, 255])
print(f"wrong for {(wrong != right).sum():,} of {b.size:,} pairs of bytes")

figure, axes = plt.subplots(1, 4, figsize=(10, 2.9), layout="constrained")
grey_digit = digits[3]
pictures = {
    "full ink, right": blend(patch, digit[..., None]),
    "full ink, bytes": wrapped(patch, digit[..., None]),
    "grey ink, right": blend(patch, grey_digit[..., None]),
    "grey ink, bytes": wrapped(patch, grey_digit[..., None]),
}
for axis, (title, image) in zip(axes, pictures.items()):
    axis.imshow(image)
    axis.set_title(title, fontsize=13)
    axis.axis("off")
plt.show()

# %%
# With full ink the digit is *gone*: modulo 256, :math:`B - 255` is :math:`B + 1`, the photograph
# one step brighter (but 0 where it was 255: a stray speck). Nothing crashes, the shapes and the
# type are right, the pictures look like plausible photographs, and there is next to nothing in them
# to learn. Grey ink comes out right wherever it is fainter than its ground, and in false colours
# elsewhere. That is the more dangerous case, for such an image still looks like something that
# might have been meant. Two habits protect you: look at your data, and test a formula at its
# extremes.
#
# Where exactly is it wrong? Where :math:`D > B`, except where :math:`D - B = 128`, which is its own
# negative modulo 256.
#
# Any of these is right. The package takes the first, with the smallest type that holds -255 to 255:

np.testing.assert_array_equal(wrong != right, (d > b) & (d.astype(int) - b != 128))

as_int16 = np.abs(b.astype(np.int16) - d.astype(np.int16)).astype(np.uint8)
by_cases = np.where(b > d, b - d, d - b)  # in bytes, but never below zero where it is used
by_order = np.maximum(b, d) - np.minimum(b, d)
for candidate in (as_int16, by_cases, by_order):
    assert candidate.dtype == np.uint8
    np.testing.assert_array_equal(candidate, right)

# %%
# Binarised or grey
# -----------------
#
# MNIST's strokes have soft, grey edges. The authors of MNIST-M made every pixel that is not 0 a 255
# first (``binarize=True``):
#
# .. math:: X_{ijc} = | B_{ijc} - 255 \, [D_{ij} > 0] |
#
# One may also blend the greys as they are, which gives an easier set: an accuracy on it must not
# stand beside one on MNIST-M. Here it is called ``mnistm-grey``.
#
# How far the ink stands out from the ground right under it is, for ink of any :math:`D`,
#
# .. math::
#
#    |B - D| - B = \begin{cases} D - 2B & \text{if } D > B \\ -D & \text{if } D \le B \end{cases}
#
# which is zero where :math:`D = 2B`. Grey ink on the wrong ground is *invisible ink*. Full ink,
# :math:`255 - 2B`, never is quite, since 255 is odd; but over the middle greys, 127 and 128, it
# differs from its ground by a single step of 255.

change = right.astype(int) - b  # for all pairs: row = background, column = ink
np.testing.assert_array_equal(
    change, np.where(d > b, d.astype(int) - 2 * b.astype(int), -d.astype(int))
)
invisible = (change == 0) & (d > 0)
np.testing.assert_array_equal(np.argwhere(invisible)[:, 1], 2 * np.argwhere(invisible)[:, 0])
assert not invisible[:, 255].any() and np.abs(change[:, 255]).min() == 1

inked = digits[digits > 0]
print(f"{(inked < 255).mean():.0%} of the pixels with ink are grey, below 255")

figure, axes = plt.subplots(2, 7, figsize=(10, 3.3), layout="constrained")
for row, binarize in zip(axes, (True, False)):
    images = make_mnistm(digits[:7], photographs, seed=5, binarize=binarize)
    for axis, image in zip(row, images):
        axis.imshow(image)
        axis.set(xticks=[], yticks=[])
    row[0].set_ylabel("binarised" if binarize else "grey", fontsize=13)
plt.show()

# %%
# Beside the authors' MNIST-M stands MNIST as it is: the source is *grey*. So there is a second
# difference between the domains: where the source has a soft edge, the target has a hard one. The
# project tf-dann takes it away and makes the source black and white as well
# (``load_digits_pair(binarize=True)``). The target is the same beside either.
#
# Random patches
# --------------
#
# Each digit gets a patch of its own: which photograph, and where in it, are three random numbers
# :math:`u` in [0, 1). A photograph of height :math:`H` has :math:`H - 28 + 1` places for a patch
# of 28 rows, not :math:`H - 28`: forget the 1 and the last row is never seen, take one more and
# the program ends with an error, one time in hundreds.
#
# All three numbers of a digit are drawn together, digit by digit. That gives a property worth
# having: the first 100 digits get the same patches whether you make 100 or 60,000.


def draw_places(n, seed):
    """The photograph, top and left of each of n patches: integers (n, 3)."""
    u = np.random.default_rng(seed).random((n, 3))
    which = (u[:, 0] * len(photographs)).astype(int)
    room = (
        np.array([photo.shape[:2] for photo in photographs]) - 28 + 1
    )  # places in each photograph
    top_left = (u[:, 1:] * room[which]).astype(int)
    return np.column_stack([which, top_left])


def cut(places):
    """The patches at these places: uint8 (n, 28, 28, 3)."""
    return np.stack([photographs[k][top : top + 28, left : left + 28] for k, top, left in places])


def by_hand(digits, seed, binarize=True):
    """MNIST-M of these digits."""
    patches = cut(draw_places(len(digits), seed))
    return np.stack([blended(patch, digit) for patch, digit in zip(patches, ink(digits, binarize))])


for binarize in (True, False):
    made = make_mnistm(digits, photographs, seed=7, binarize=binarize)
    np.testing.assert_array_equal(by_hand(digits, 7, binarize), made)
np.testing.assert_array_equal(draw_places(100, 7), draw_places(1797, 7)[:100])

# %%
# Training and test patches apart
# -------------------------------
#
# 1,347 digits are for training, 450 for testing. Each part has a random stream of its own, seeds
# ``(seed, 0)`` and ``(seed, 1)``. Why not the same seed for both? Because then test digit 0 would
# lie on the very patch of training digit 0, and so on: 450 backgrounds that training has seen,
# pixel for pixel.

parts = train_test_split(digits, small.target, test_size=450, random_state=0, stratify=small.target)
x_train, x_test, y_train, y_test = parts
source, target = load_digits_pair(seed=0)
for x, blended_x, plain_x, split in (
    (x_train, target.x_train, source.x_train, 0),
    (x_test, target.x_test, source.x_test, 1),
):
    np.testing.assert_array_equal(by_hand(x, (0, split)), blended_x)
    np.testing.assert_array_equal(np.repeat(x[..., None], 3, axis=3), plain_x)
np.testing.assert_array_equal(target.y_test, y_test)
np.testing.assert_array_equal(source.y_train, target.y_train)

places = {"train": draw_places(1347, (0, 0)), "test": draw_places(450, (0, 1))}
same_seed = draw_places(450, (0, 0))
np.testing.assert_array_equal(
    same_seed, places["train"][:450]
)  # the mistake: all are training patches


def overlap(place, others):
    """The largest share of a patch that is covered by one of the others."""
    rows, columns = (np.clip(28 - np.abs(others[:, i] - place[i]), 0, None) for i in (1, 2))
    return (rows * columns * (others[:, 0] == place[0])).max() / 28**2


shares = np.array([overlap(place, places["train"]) for place in places["test"]])
print(f"test patches that are a training patch: {(shares == 1).mean():.1%}")
assert (shares == 1).sum() == 1 and (shares > 0.5).mean() > 0.5
print(f"test patches of which a training patch covers more than half: {(shares > 0.5).mean():.0%}")

figure, axes = plt.subplots(1, 2, figsize=(10, 3.7), layout="constrained")
for k, axis in enumerate(axes):
    axis.imshow(photographs[k], alpha=0.55)
    for name, colour, marker in (("train", BLUE, "o"), ("test", ORANGE, "^")):
        _, top, left = places[name][:80][places[name][:80, 0] == k].T
        axis.plot(
            left + 14,
            top + 14,
            marker,
            color=colour,
            ms=7,
            mfc="none",
            mew=1.6,
            label=f"{name}: middle of a patch",
        )
        for x, y in zip(left, top):
            axis.add_patch(plt.Rectangle((x, y), 28, 28, fill=False, ec=colour, lw=1))
    axis.axis("off")
figure.legend(
    *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=13
)
plt.show()

# %%
# Look at the second number. The patches are drawn apart, but from the *same photographs*: with only
# two of them most test patches share more than half of their pixels with some training patch (the
# figure shows the first 80 of each part; among all of them one even coincides with a training
# patch, by chance). The same is true, less so, of MNIST-M as this package makes it of MNIST: its
# training and test digits lie on the same 200 photographs. So the test says how well new digits on
# *familiar grounds* are read. If you want to know more, split the photographs as well.
#
# Why it is hard
# --------------
#
# In MNIST the digit is lighter than its ground, always and everywhere. In MNIST-M full ink turns
# :math:`B` into :math:`255 - B`, so it is lighter than its ground only where the ground is darker
# than 127.5. What share of the images do you expect to hold a digit that is lighter than its
# ground? All three channels together?


def contrast(images, digits):
    """Mean of the pixels with ink less that of those without, for each channel: (n, 3)."""
    mask = (digits > 0)[..., None]
    with_ink = (images * mask).sum((1, 2)) / mask.sum((1, 2))
    without = (images * ~mask).sum((1, 2)) / (~mask).sum((1, 2))
    return with_ink - without


of_source, of_target = contrast(source.x_train, x_train), contrast(target.x_train, x_train)
assert of_source.min() > 128
lighter = of_target.mean(axis=1) > 0
mixed = (of_target.min(axis=1) < 0) & (of_target.max(axis=1) > 0)
faint = np.abs(of_target.mean(axis=1)) < 32
print(f"the digit is lighter than its ground: source 100%, target {lighter.mean():.0%}")
print(f"it is lighter in one channel and darker in another: target {mixed.mean():.0%}")
print(
    f"it differs from its ground by less than an eighth of 255, on average: target "
    f"{faint.mean():.0%}"
)
dark = np.mean([(photo < 127.5).mean() for photo in photographs])
print(f"numbers of the photographs that are below 127.5: {dark:.0%}")
assert 0.5 < lighter.mean() < 0.8 and abs(dark - lighter.mean()) < 0.1 and mixed.mean() > 0.1

figure, axis = plt.subplots(figsize=(8, 3.8), layout="constrained")
bins = np.linspace(-260, 260, 53)
axis.hist(of_target.mean(axis=1), bins, color=ORANGE, label="target: blended over photographs")
axis.hist(
    of_source.mean(axis=1), bins, color=BLUE, hatch="//", ec="white", label="source: plain digits"
)
axis.axvline(0, color=GREY, ls="--")
axis.set_yscale("log")
axis.set_ylim(0.7, 6000)
axis.set_xlabel(
    "digit darker        mean of the ink - mean of the ground        digit lighter", fontsize=12
)
axis.set_ylabel("training images", fontsize=12)
axis.legend(loc="upper left", fontsize=12)
plt.show()

# %%
# The share is that of the dark in the photographs, about two thirds in these two. A network that
# relied on "ink is light" would be misled by the other third; one that relied on one channel alone
# would find another channel saying the opposite in a good many images.
#
# What does that do to a classifier? The plainest one is a single layer: each class has a template
# of weights, and the answer is the class whose template agrees most with the image. It learns on
# the source that ink is light. A darker digit is then evidence *against* its own class.
#
# Predict the accuracies before you run it: on the source's test images, on target images whose
# digit is lighter, and on those whose digit is darker. Chance is one in ten.


def flat(images):
    """The mean of the three channels, 0..1, a row an image."""
    return images.mean(axis=3).reshape(len(images), -1) / 255


templates = LogisticRegression(C=0.01, max_iter=200).fit(flat(source.x_train), source.y_train)
correct = templates.predict(flat(target.x_test)) == target.y_test
negatives_correct = templates.predict(1 - flat(target.x_test)) == target.y_test
brightness = contrast(target.x_test, x_test).mean(axis=1)
accuracies = {
    "source": templates.score(flat(source.x_test), source.y_test),
    "target": correct.mean(),
    "target,\nclearly lighter": correct[brightness > 64].mean(),
    "target,\nclearly darker": correct[brightness < -64].mean(),
    "the darker ones,\nas negatives": negatives_correct[brightness < -64].mean(),
}
clearly_lighter, clearly_darker = (brightness > 64).sum(), (brightness < -64).sum()
print(f"of 450 test digits: {clearly_lighter} clearly lighter, {clearly_darker} clearly darker")
for name, accuracy in accuracies.items():
    print(f"{name.replace(chr(10), ' '):<32} {accuracy:.3f}")

on_source, on_target, on_lighter, on_darker, on_negatives = accuracies.values()
assert on_lighter > 0.8 and on_darker < 0.1 and on_negatives > 0.8, "what the text below says"

figure, axis = plt.subplots(figsize=(9, 3.6), layout="constrained")
colours = [BLUE] + 4 * [ORANGE]
bars = axis.bar(list(accuracies), list(accuracies.values()), color=colours, ec="white")
bars[0].set_hatch("//")
axis.bar_label(bars, fmt="{:.2f}", fontsize=12)
axis.axhline(0.1, color=GREY, ls="--")
axis.text(3, 0.12, "chance", color=GREY, fontsize=12, ha="center")
axis.set_ylim(0, 1.12)
axis.set_ylabel("accuracy", fontsize=12)
axis.tick_params(axis="x", labelsize=11)
plt.show()

# %%
# On the darker digits it is worse than guessing; turn the same images into their negatives, and it
# reads them about as well as the lighter ones. The digit's *shape* is as good as it was. What
# failed is the rule "ink is light", which the source never gave a reason to doubt.
#
# That names the task. There are features that serve both domains: edges, whichever side of them is
# the lighter one, the ways strokes bend and meet. A network *can* compute them, but from the source
# alone nothing pushes it to. DANN's domain head does: it thrives on whatever tells the domains
# apart, and the reversed gradient takes just that away. The next tutorial tries it.
#
# Check yourself
# --------------
#
# *Exercise.* A pixel of a photograph is (30, 140, 250), and the digit over it has grey ink of 200.
# (a) What does the pixel become? (b) What would the careless line ``np.abs(background - digit)``
# make of it, in bytes? (c) Ink is now binarised. Of the 256 values that a channel of the background
# can have, for how many is the ink *darker* than the ground under it? Write down two triples and a
# number, and run the cell.

your_answer = None  # ((a, a, a), (b, b, b), c)


def check(answer):
    """Compare with what the code of this tutorial gives."""
    a, b, c = answer
    ground, grey = np.array([30, 140, 250], np.uint8), np.uint8(200)
    assert tuple(a) == tuple(blend(ground, grey)), (
        "(a) in each channel: the difference, without its sign"
    )
    assert tuple(b) == tuple(wrapped(ground, grey)), (
        "(b) what would fall below 0 goes on at 255: add 256"
    )
    darker = blend(every_byte, np.uint8(255)) < every_byte
    assert c == darker.sum(), (
        "(c) the ink is 255 - B; of the bytes B from 0 to 255, count 255 - B < B"
    )
    print("All right.")


if your_answer is None:
    print("Write your answer into the line above.")
else:
    check(your_answer)

# %%
# Worked answer.
#
# (a) 200 - 30 = 170, 200 - 140 = 60, 250 - 200 = 50. (b) 30 - 200 = -170, and 256 more is 86; 140 -
# 200 = -60 gives 196; 250 - 200 = 50 never falls below zero and is right. One channel in three is
# right here, so that the pixel has a wrong *hue*: on a photograph of many colours that is easily
# overlooked. (c) 255 - B < B holds for B = 128, ..., 255, which are 128 values, one half of them.
# Ink on a photograph whose greys are spread evenly is as likely darker as lighter.

check(((170, 60, 50), (86, 196, 50), 128))
