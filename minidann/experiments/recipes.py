"""The recipes for images of digits: a network, and how it is trained.

``tf-dann``, that project's, to the letter:

    features       conv 5x5 same 32 - ReLU - pool 2 - conv 5x5 same 48 - ReLU - pool 2 -
                   flatten (2352)
    label head     100 - ReLU - 100 - ReLU - 10
    domain head    reversal - 100 - ReLU - 2
    weights        truncated normal 0.1, biases 0.1
    training       32 source + 32 target, 8,600 steps, momentum 0.9,
                   learning rate 0.01 / (1 + 10p)^0.75
    input          binarised digits, (x - mean of each channel over both training sets) / 255

``paper``, the paper's network for MNIST (its figure 4a) and protocol (its section 5.2.2), where
they are written down:

    features       conv 5x5 32 - ReLU - pool 2 - conv 5x5 48 - ReLU - pool 2 - flatten (768)
    label head     100 - ReLU - 100 - ReLU - 10
    domain head    reversal - 100 - ReLU - 1, logistic
    training       64 source + 64 target, momentum 0.9, learning rate 0.01 / (1 + 10p)^0.75,
                   L_d the sum of both domains' means (its equation 10)
    input          grey digits, the mean of each channel over the domain's training set subtracted
    not written    the borders (here "valid", as in LeNet-5), the weights (here He's), the scale of
                   the input (here its standard deviation is 1, which He's weights take for
                   granted), the number of steps (here 20,000)

``best``, which normalises the two domains separately (see :mod:`minidann.nn.batchnorm`):

    features       conv 5x5 valid 64 - BN - pool 2 - ReLU -
                   conv 5x5 valid 50 - BN - dropout .5 of channels - pool 2 - ReLU - flatten (800)
    label head     100 - BN - ReLU - dropout .5 - 100 - BN - ReLU - 10
    domain head    reversal - 400 - BN - ReLU - 2
    weights        He's
    training       64 source + 64 target, 10,000 steps, Adam,
                   learning rate 0.001, in the last three tenths along a cosine to 0
    lambda         twice what follows: to the features, L_d is then the paper's sum of both
                   domains' means (its equation 10), not the mean over both
    input          grey digits, (x - mean of each channel over the domain's training set) / 255
    augmentation   training gives ink and paper of each source image colours at random, which
                   takes nothing from the target; see :func:`minidann.data.random_colours`
    at the end     batch-norm adopts the statistics of 2,000 training images of the target,
                   which normalised the target in training too

``light``, the same network without dropout but with a domain head of 100, trained for 2,000 steps:

    training       learning rate from 0.001 along a cosine to 0
    input          (x - mean of each channel of the image) / the image's standard deviation
    augmentation   training warps the images of both domains at random;
                   see :func:`minidann.data.random_warp`
    lambda         a tenth of what follows

``pseudo``, as ``light`` but for

    target         answers with a probability above .9 serve as labels
                   (see :mod:`minidann.pseudo_labels`); they are those for the image shifted by up
                   to 2 pixels, not warped
    augmentation   a grey square covers a part of each warped image of both domains;
                   see :func:`minidann.data.cutout`
    lambda         as follows
    steps          5,000
    at the end     batch-norm adopts the statistics of 2,000 training images of the target,
                   which normalised the target in training too

``svhn``, the paper's network for SVHN and SYN NUMBERS (its figure 4b), with batch-norm and dropout
as dann_tf2.0 wrote it, at 32x32 pixels, trained as ``light``:

    features       conv 5x5 same 64 - BN - ReLU - pool 3/2 - the same again -
                   conv 5x5 same 128 - BN - ReLU - flatten (8192)
    label head     3072 - BN - ReLU - dropout .5 - 2048 - BN - ReLU - dropout .5 - 10
    domain head    reversal - 1024 - BN - ReLU - dropout .5 - 1024 - BN - ReLU - dropout .5 - 2
    training       64 source + 64 target, 20,000 steps, Adam,
                   learning rate 0.001, in the last three tenths along a cosine to 0
    input, augmentation, lambda    as ``light``
    not the paper's    batch-norm, Adam, standardised and warped images, a tenth of its lambda: as
                   dann_tf2.0 trained it, its target accuracy fell while lambda rose

``signs``, the paper's network for GTSRB (its figure 4c), with batch-norm; 43 classes, 40x40 pixels:

    features       conv 5x5 valid 96 - BN - pool 2 - ReLU -
                   conv 3x3 valid 144 - BN - pool 2 - ReLU -
                   conv 5x5 valid 256 - BN - pool 2 - ReLU - flatten (1024)
    label head     512 - BN - ReLU - 43
    domain head    reversal - 1024 - BN - ReLU - 1024 - BN - ReLU - 1, logistic
    weights        He's
    training       32 source + 32 target, 500 steps, Adam,
                   learning rate from 0.001 along a cosine to 0
    input          as ``light``
    augmentation   training moves and turns the images of both domains a little
    not the paper's    batch-norm, the weights and the training, which is for two thousand drawn
                   signs and not for its 100,000; the borders are not written there

``signs-pseudo``, the same with pseudo-labels and squares, as ``pseudo``, but without

    class balance    it assumes equally frequent classes, and in GTSRB one is ten times as frequent
                     as another
    own statistics   at the end

Where nothing else is said, lambda = 2 / (1 + exp(-10p)) - 1. In every one, one optimizer trains all
three parts, and losses are means over all their examples (but for ``paper``).

Pooling stands before ReLU in the code: the maximum of max(x, 0) is max(maximum, 0), gradient
included, on a quarter of the numbers.

Source: tf-dann and dann_tf2.0 for what is called theirs; Ganin et al., JMLR 17(59), 2016.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minidann.dann import DANN
from minidann.data import cutout, random_colours, random_warp
from minidann.nn import BatchNorm, Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU, Sequential
from minidann.nn.initializers import truncated_normal
from minidann.nn.layer import Layer
from minidann.nn.optimizers import SGD, Adam
from minidann.nn.schedules import cosine, learning_rate, reversal_strength
from minidann.pseudo_labels import PseudoLabelDANN

Schedule = Callable[[float], float]
Augmentation = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Recipe(NamedTuple):
    """What is trained, and how.

    Attributes
    ----------
    build : function (seed, domains) -> DANN
        With fresh weights. ``domains``, 1 or 2, is how many a training batch holds, for batch-norm
        to treat each on its own.
    steps, batch_size : int
        ``batch_size`` examples of each domain.
    optimizer : function (networks) -> Optimizer, or what acts as one
    learning_rate, lam : function (p) -> float
        Schedules over the progress p.
    average : bool
        Whether the weights of the second half of the steps are averaged at the end.
    size : int
        Height and width of the images, in pixels.
    fit : "pad" or "resize"
        What becomes of a smaller image: a border, or it is enlarged.
    binarize : bool
        Whether the source's handwritten digits are black and white, as those that are blended in
        MNIST-M, or grey.
    mean : "joint", "domain", "standard" or "image"
        Whose mean is subtracted from the images; "standard" is "domain" and also divides by the
        domain's standard deviation, "image" divides each image by its own.
    augment : function (images, rng) -> images, optional
        Changes the images of both domains at random in training.
    source_augment : function (images, rng) -> images, optional
        Changes the source's images before that.
    balanced : bool
        Whether all classes of the source are equally frequent in training; see
        :func:`minidann.data.pairs.balanced`.
    weak_augment : function (images, rng) -> images, optional
        The same for the version of the target's images that is given pseudo-labels; None if
        ``build`` knows of none.
    own_statistics : bool
        Whether batch-norm adopts those of the target at the end; see
        :meth:`minidann.dann.DANN.adapt_batch_norm`.
    """

    build: Callable[..., DANN]
    steps: int
    batch_size: int
    optimizer: Callable[..., Any]
    learning_rate: Schedule
    lam: Schedule = reversal_strength
    average: bool = False
    size: int = 28
    fit: str = "pad"
    binarize: bool = False
    mean: str = "domain"
    augment: Augmentation | None = None
    source_augment: Augmentation | None = None
    balanced: bool = False
    weak_augment: Augmentation | None = None
    own_statistics: bool = False

    def of_source(self) -> Augmentation | None:
        """How training changes the source's images, if it does."""
        first, then = self.source_augment, self.augment
        if not (first and then):
            return first or then
        return lambda x, rng: then(first(x, rng), rng)


def tf_dann(seed: int, domains: int = 2) -> DANN:
    """The network of tf-dann; it has no batch-norm, so that ``domains`` makes no difference."""
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


def paper(seed: int, domains: int = 2) -> DANN:
    """The paper's network for MNIST; without batch-norm, ``domains`` makes no difference."""
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
    seed: int,
    domains: int = 2,
    *,
    normalization: str = "separate",
    dropout: float = 0.5,
    domain_width: int = 100,
    label_domains: int = 1,
) -> DANN:
    """The network of ``best``.

    Parameters
    ----------
    seed : int
    domains : int
        How many a training batch holds.
    normalization : "separate", "mixed" or "none"
        Each domain of a batch by its own statistics, the whole batch by one mean and variance, or
        no batch-norm.
    dropout : float
        The rate of both dropout layers, 0 for none.
    domain_width : int
        Hidden units of the domain head.
    label_domains : int
        How many domains the label head is trained on.
    """
    rng = np.random.default_rng(seed)
    conv, dense = partial(Conv2D, rng=rng, padding="valid"), partial(Dense, rng=rng)
    together = domains if normalization == "separate" else 1

    def norm(channels: int, domains: int = together) -> list[BatchNorm]:
        return [] if normalization == "none" else [BatchNorm(channels, domains=domains)]

    def drop(channels: bool = False) -> list[Dropout]:
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


def pseudo(seed: int, domains: int = 2) -> PseudoLabelDANN:
    """The network of ``light``, whose label head meets the target too."""
    return PseudoLabelDANN(
        *best(seed, domains, dropout=0, label_domains=domains).networks, threshold=0.9
    )


def svhn(seed: int, domains: int = 2) -> DANN:
    """The paper's network for SVHN and SYN NUMBERS, with wide heads."""
    rng = np.random.default_rng(seed)
    pool = partial(MaxPool2D, 3, stride=2, padding="same")

    def conv(channels: int, kernels: int) -> tuple[Layer, ...]:
        return Conv2D(channels, kernels, 5, rng=rng), BatchNorm(kernels, domains=domains)

    def hidden(inputs: int, units: int, domains: int) -> tuple[Layer, ...]:
        return (
            Dense(inputs, units, rng=rng),
            BatchNorm(units, domains=domains),
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


def signs(seed: int, domains: int = 2, *, classes: int = 43, label_domains: int = 1) -> DANN:
    """The paper's network for GTSRB, with batch-norm.

    Parameters
    ----------
    seed : int
    domains : int
        How many a training batch holds.
    classes : int
    label_domains : int
        How many domains the label head is trained on.
    """
    rng = np.random.default_rng(seed)

    def conv(channels: int, kernels: int, side: int) -> tuple[Layer, ...]:
        layer = Conv2D(channels, kernels, side, padding="valid", rng=rng)
        return layer, BatchNorm(kernels, domains=domains), MaxPool2D(2), ReLU()

    def hidden(inputs: int, units: int, domains: int) -> tuple[Layer, ...]:
        return Dense(inputs, units, rng=rng), BatchNorm(units, domains=domains), ReLU()

    features = [*conv(3, 96, 5), *conv(96, 144, 3), *conv(144, 256, 5), Flatten()]
    label_head = [*hidden(1024, 512, label_domains), Dense(512, classes, rng=rng)]
    domain_head = [
        *hidden(1024, 1024, domains),
        *hidden(1024, 1024, domains),
        Dense(1024, 1, rng=rng),
    ]
    return DANN(Sequential(features), Sequential(label_head), Sequential(domain_head))


def signs_pseudo(seed: int, domains: int = 2) -> PseudoLabelDANN:
    """The network of ``signs``, whose label head meets the target too; no class balance."""
    networks = signs(seed, domains, label_domains=domains).networks
    return PseudoLabelDANN(*networks, threshold=0.9, balance=0)


def weak_reversal(p: float) -> float:
    """A tenth of the paper's schedule of lambda."""
    return 0.1 * reversal_strength(p)


def double_reversal(p: float) -> float:
    """Twice the paper's schedule of lambda."""
    return 2 * reversal_strength(p)


def warp_and_cover(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What ``light`` does to images, and a square over each."""
    return cutout(warp(x, rng), rng)


warp = partial(random_warp, shift=2, affine=0.15, elastic=1.5)
move = partial(random_warp, shift=2)
momentum = partial(SGD, learning_rate=0.01, momentum=0.9)

turn = partial(random_warp, shift=2, affine=0.1)


def turn_and_cover(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What ``signs`` does to images, and a square over each."""
    return cutout(turn(x, rng), rng)


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

SIGNS = Recipe(
    signs,
    500,
    32,
    Adam,
    partial(cosine, base=1e-3),
    size=40,
    fit="resize",
    mean="image",
    augment=turn,
)

RECIPES = {
    "tf-dann": Recipe(tf_dann, 8600, 32, momentum, learning_rate, binarize=True, mean="joint"),
    "paper": Recipe(paper, 20_000, 64, momentum, learning_rate, mean="standard"),
    "best": Recipe(
        partial(best, domain_width=400),
        10_000,
        64,
        Adam,
        partial(cosine, base=1e-3, start=0.7),
        double_reversal,
        source_augment=random_colours,
        own_statistics=True,
    ),
    "light": LIGHT,
    "pseudo": LIGHT._replace(
        build=pseudo,
        steps=5000,
        lam=reversal_strength,
        augment=warp_and_cover,
        weak_augment=move,
        own_statistics=True,
    ),
    "svhn": LIGHT._replace(
        build=svhn, steps=20_000, learning_rate=partial(cosine, base=1e-3, start=0.7), size=32
    ),
    "signs": SIGNS,
    "signs-pseudo": SIGNS._replace(build=signs_pseudo, augment=turn_and_cover, weak_augment=move),
}
