"""The recipes for images of digits: a network, and how it is trained.

``tf-dann``, that project's, to the letter:

    features       conv 5x5 same 32 - ReLU - pool 2 - conv 5x5 same 48 - ReLU - pool 2 - flatten (2352)
    label head     100 - ReLU - 100 - ReLU - 10
    domain head    reversal - 100 - ReLU - 2
    weights        truncated normal 0.1, biases 0.1
    training       32 source + 32 target, 8,600 steps, momentum 0.9, learning rate 0.01 / (1 + 10p)^0.75
    input          binarised digits, (x - mean of each channel over both training sets) / 255

``paper``, the paper's network for MNIST (its figure 4a) and protocol (its section 5.2.2), where
they are written down:

    features       conv 5x5 32 - ReLU - pool 2 - conv 5x5 48 - ReLU - pool 2 - flatten (768)
    label head     100 - ReLU - 100 - ReLU - 10
    domain head    reversal - 100 - ReLU - 1, logistic
    training       64 source + 64 target, momentum 0.9, learning rate 0.01 / (1 + 10p)^0.75, L_d the sum of both domains' means (its equation 10)
    input          grey digits, the mean subtracted
    not written    the borders (here "valid", as in LeNet-5), the weights (here He's), the number of steps (here 20,000)

``best``, for which the two domains are normalised separately (see :mod:`minidann.nn.batchnorm`):

    features       conv 5x5 valid 64 - BN - pool 2 - ReLU - conv 5x5 valid 50 - BN - dropout .5 of channels - pool 2 - ReLU - flatten (800)
    label head     100 - BN - ReLU - dropout .5 - 100 - BN - ReLU - 10
    domain head    reversal - 100 - BN - ReLU - 2
    weights        He's
    training       64 source + 64 target, 10,000 steps, Adam, learning rate from 0.001 along a cosine to 0
    input          grey digits, (x - mean of each channel over the domain's training set) / 255

``light``, the same network without dropout and the same training for 2,000 steps, with

    input          (x - mean of each channel of the image) / the image's standard deviation
    augmentation   in training the images of both domains are bent at random, see :func:`minidann.data.random_warp`
    lambda         a tenth of what follows

``pseudo``, as ``light`` but for

    target         answers with a probability above .9 serve as labels, see :mod:`minidann.pseudo_labels`; they are those for the image moved by up to
                   2 pixels, not bent
    augmentation   on the bent images of both domains lies a grey square, see :func:`minidann.data.cutout`
    lambda         as follows
    steps          5,000
    at the end     batch-norm is given the statistics of 2,000 training images of the target, by which the target was normalised in training too

``svhn``, the paper's network for SVHN and SYN NUMBERS (its figure 4b) as dann_tf2.0 wrote it, at
32x32 pixels:

    features       conv 5x5 same 64 - BN - ReLU - pool 3/2 - the same again - conv 5x5 same 128 - BN - ReLU - flatten (8192)
    label head     3072 - BN - ReLU - dropout .5 - 2048 - BN - ReLU - dropout .5 - 10
    domain head    reversal - 1024 - BN - ReLU - dropout .5 - 1024 - BN - ReLU - dropout .5 - 2
    training       64 source + 64 target, 20,000 steps, momentum 0.9, learning rate 0.01 / (1 + 10p)^0.75, L2 of .001

In every one lambda = 2 / (1 + exp(-10p)) - 1, all three parts are trained by one optimizer, and
losses are means over all their examples (but for ``paper``).

Pooling stands before ReLU in the code: the maximum of max(x, 0) is max(maximum, 0), gradient
included, on a quarter of the numbers.

Source: tf-dann and dann_tf2.0 for what is called theirs; Ganin et al., JMLR 17(59), 2016.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from minidann.dann import DANN
from minidann.data import cutout, random_warp
from minidann.nn import BatchNorm, Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU, Sequential
from minidann.nn.initializers import truncated_normal
from minidann.nn.optimizers import SGD, Adam
from minidann.nn.schedules import cosine, learning_rate, reversal_strength
from minidann.pseudo_labels import PseudoLabelDANN


class Recipe(NamedTuple):
    """What is trained, and how.

    ``build``: function (seed, domains) -> DANN with fresh weights; ``domains``, 1 or 2, is how many
    a training batch holds, for batch-norm to treat each on its own. ``steps``; ``batch_size`` of
    each domain. ``optimizer``: function (networks) -> Optimizer; ``learning_rate`` and ``lam``: its
    schedules, functions of the progress p. ``average``: whether the weights of the second half of
    the steps are averaged at the end. ``size``: height and width of the images; ``binarize``
    whether the digits of MNIST and MNIST-M are; ``mean`` "joint", "domain" or "image", whose mean
    is subtracted from the images; with "image" each is also divided by its standard deviation.
    ``augment``: function (images, rng) -> images, which changes those of both domains at random in
    training, or None. ``weak_augment``: the like for the version of the target's images that is
    given pseudo-labels, or None if ``build`` knows of none. ``own_statistics``: whether batch-norm
    adopts those of the target at the end, see :meth:`minidann.dann.DANN.adapt_batch_norm`.
    """

    build: Callable
    steps: int
    batch_size: int
    optimizer: Callable
    learning_rate: Callable
    lam: Callable = reversal_strength
    average: bool = False
    size: int = 28
    binarize: bool = False
    mean: str = "domain"
    augment: Callable | None = None
    weak_augment: Callable | None = None
    own_statistics: bool = False


def tf_dann(seed, domains=2):
    """The network of tf-dann; it has no batch-norm, so that ``domains`` is all one to it."""
    rng = np.random.default_rng(seed)
    conv, dense = (
        partial(Conv2D, rng=rng, init=truncated_normal),
        partial(Dense, rng=rng, init=truncated_normal),
    )
    features = [
        conv(3, 32, 5),
        MaxPool2D(2),
        ReLU(),
        conv(32, 48, 5),
        MaxPool2D(2),
        ReLU(),
        Flatten(),
    ]
    label_head = [dense(2352, 100), ReLU(), dense(100, 100), ReLU(), dense(100, 10)]
    domain_head = [dense(2352, 100), ReLU(), dense(100, 2)]
    return DANN(Sequential(features), Sequential(label_head), Sequential(domain_head))


def paper(seed, domains=2):
    """The paper's network for MNIST; it has no batch-norm, so that ``domains`` is all one to it."""
    rng = np.random.default_rng(seed)
    conv, dense = partial(Conv2D, rng=rng, padding="valid"), partial(Dense, rng=rng)
    features = [
        conv(3, 32, 5),
        MaxPool2D(2),
        ReLU(),
        conv(32, 48, 5),
        MaxPool2D(2),
        ReLU(),
        Flatten(),
    ]
    label_head = [dense(768, 100), ReLU(), dense(100, 100), ReLU(), dense(100, 10)]
    domain_head = [dense(768, 100), ReLU(), dense(100, 1)]
    return DANN(
        Sequential(features), Sequential(label_head), Sequential(domain_head), domain_weight=2.0
    )


def best(
    seed, domains=2, *, normalization="separate", dropout=0.5, domain_width=100, label_domains=1
):
    """The network of ``best``.

    ``normalization``: "separate", each domain of a batch by its own statistics; "mixed", the whole
    batch by one mean and variance; or "none". ``dropout``: the rate of both dropout layers, 0 for
    none. ``domain_width``: hidden units of the domain head. ``label_domains``: how many domains the
    label head is trained on.
    """
    rng = np.random.default_rng(seed)
    conv, dense = partial(Conv2D, rng=rng, padding="valid"), partial(Dense, rng=rng)
    parts = domains if normalization == "separate" else 1

    def norm(channels, parts=parts):
        return [] if normalization == "none" else [BatchNorm(channels, domains=parts)]

    def drop(channels=False):
        return [Dropout(dropout, channels=channels, rng=rng)] if dropout else []

    features = [
        conv(3, 64, 5),
        *norm(64),
        MaxPool2D(2),
        ReLU(),
        conv(64, 50, 5),
        *norm(50),
        *drop(channels=True),
        MaxPool2D(2),
        ReLU(),
        Flatten(),
    ]
    label_head = [
        dense(800, 100),
        *norm(100, label_domains),
        ReLU(),
        *drop(),
        dense(100, 100),
        *norm(100, label_domains),
        ReLU(),
        dense(100, 10),
    ]
    domain_head = [dense(800, domain_width), *norm(domain_width), ReLU(), dense(domain_width, 2)]
    return DANN(Sequential(features), Sequential(label_head), Sequential(domain_head))


def pseudo(seed, domains=2):
    """The network of ``light``, whose label head meets the target too."""
    return PseudoLabelDANN(
        *best(seed, domains, dropout=0, label_domains=domains).networks, threshold=0.9
    )


def svhn(seed, domains=2):
    """The paper's network for SVHN and SYN NUMBERS: convolutions of 64, 64 and 128 kernels, and wide heads."""
    rng = np.random.default_rng(seed)
    pool = partial(MaxPool2D, 3, stride=2, padding="same")

    def conv(channels, kernels):
        return Conv2D(channels, kernels, 5, rng=rng), BatchNorm(kernels, domains=domains)

    def hidden(inputs, units, parts):
        return (
            Dense(inputs, units, rng=rng),
            BatchNorm(units, domains=parts),
            ReLU(),
            Dropout(0.5, rng=rng),
        )

    features = [
        *conv(3, 64),
        pool(),
        ReLU(),
        *conv(64, 64),
        pool(),
        ReLU(),
        *conv(64, 128),
        ReLU(),
        Flatten(),
    ]
    label_head = [*hidden(8192, 3072, 1), *hidden(3072, 2048, 1), Dense(2048, 10, rng=rng)]
    domain_head = [
        *hidden(8192, 1024, domains),
        *hidden(1024, 1024, domains),
        Dense(1024, 2, rng=rng),
    ]
    return DANN(Sequential(features), Sequential(label_head), Sequential(domain_head))


def weak_reversal(p):
    """A tenth of the paper's schedule of lambda."""
    return 0.1 * reversal_strength(p)


def bend_and_cover(x, rng):
    """What ``light`` does to an image, and a square over it."""
    return cutout(warp(x, rng), rng)


warp = partial(random_warp, shift=2, affine=0.15, elastic=1.5)
move = partial(random_warp, shift=2)
momentum = partial(SGD, learning_rate=0.01, momentum=0.9)

LIGHT = Recipe(
    partial(best, dropout=0),
    2000,
    64,
    Adam,
    partial(cosine, base=1e-3),
    weak_reversal,
    mean="image",
    augment=warp,
)

RECIPES = {
    "tf-dann": Recipe(tf_dann, 8600, 32, momentum, learning_rate, binarize=True, mean="joint"),
    "paper": Recipe(paper, 20_000, 64, momentum, learning_rate),
    "best": Recipe(best, 10_000, 64, Adam, partial(cosine, base=1e-3)),
    "light": LIGHT,
    "pseudo": LIGHT._replace(
        build=pseudo,
        steps=5000,
        lam=reversal_strength,
        augment=bend_and_cover,
        weak_augment=move,
        own_statistics=True,
    ),
    "svhn": Recipe(svhn, 20_000, 64, partial(momentum, weight_decay=1e-3), learning_rate, size=32),
}
