"""A stand-in for MNIST and MNIST-M that needs no files: scikit-learn's own digits and photographs.

The 1,797 digits of ``sklearn.datasets.load_digits`` (8x8, 17 grey levels, from the UCI repository)
are enlarged to 28x28 by bicubic interpolation; the backgrounds are scikit-learn's two sample
photographs, a Chinese temple and a flower. It shows how a program works, not how well a method
does: with so few digits and only two photographs, the network of tf-dann ends no better with DANN
than without.
"""

import numpy as np
from PIL import Image

from minidann.data.mnist import Digits
from minidann.data.mnist_m import mnistm_pair

FAINT = 128  # interpolation leaves a grey halo around each stroke; below this it is paper, not ink


def load_digits_pair(*, seed=0, binarize=True):
    """(source, target): plain digits in three channels, and the same digits blended over photographs.

    Parameters
    ----------
    seed : int
        Of the patches. The split is always the same: 1,347 training and 450 test digits.
    binarize : bool
        See :func:`minidann.data.mnist_m.make_mnistm`.

    Returns
    -------
    (Digits, Digits)
        uint8 (N, 28, 28, 3) images.
    """
    # scikit-learn takes most of a second to import
    from sklearn.datasets import load_digits, load_sample_images
    from sklearn.model_selection import train_test_split

    small = load_digits()
    images = np.stack([enlarge(image) for image in small.images])
    x_train, x_test, y_train, y_test = train_test_split(
        images, small.target.astype(np.int64), test_size=450, random_state=0, stratify=small.target
    )
    return mnistm_pair(
        Digits(x_train, y_train, x_test, y_test),
        load_sample_images().images,
        seed=seed,
        binarize=binarize,
    )


def enlarge(image):
    """An 8x8 digit of 0..16 as a 28x28 one of 0..255, with a border of 2 pixels as MNIST's digits have."""
    grey = Image.fromarray((image * 255 / 16).astype(np.uint8)).resize(
        (24, 24), Image.Resampling.BICUBIC
    )
    large = np.pad(np.asarray(grey), 2)
    return np.where(large < FAINT, 0, large).astype(np.uint8)
