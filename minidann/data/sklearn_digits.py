"""A stand-in for MNIST and MNIST-M that needs no files: scikit-learn's own digits and photographs.

The 1,797 digits of ``sklearn.datasets.load_digits`` (8x8, 17 grey levels, from the UCI repository)
are enlarged to 28x28 by bicubic interpolation; the backgrounds are scikit-learn's two sample
photographs, a Chinese temple and a flower. It shows how a program works, not how well a method
does: with so few digits and only two photographs, the network of tf-dann ends no better with DANN
than without.
"""

import numpy as np

from minidann.data.mnist import Digits
from minidann.data.mnist_m import mnistm_pair

FAINT = 128  # interpolation leaves a grey halo around each stroke; below this it is paper, not ink


def load_digits_pair(*, seed: int = 0, binarize: bool = False) -> tuple[Digits, Digits]:
    """(source, target): plain digits in three channels, and the same digits over photographs.

    Parameters
    ----------
    seed : int
        Of the patches. The split is always the same: 1,347 training and 450 test digits.
    binarize : bool
        Whether the source is black and white rather than grey; see
        :func:`minidann.data.mnist_m.mnistm_pair`.

    Returns
    -------
    (Digits, Digits)
        uint8 (N, 28, 28, 3) images.
    """
    # these take most of a second to import
    from sklearn.datasets import load_digits, load_sample_images
    from sklearn.model_selection import train_test_split

    small = load_digits()
    images = np.stack([enlarge(image) for image in small.images])
    x_train, x_test, y_train, y_test = train_test_split(
        images, small.target.astype(np.int64), test_size=450, random_state=0, stratify=small.target
    )
    digits = Digits(x_train, y_train, x_test, y_test)
    return mnistm_pair(digits, load_sample_images().images, seed=seed, binarize=binarize)


def enlarge(image: np.ndarray) -> np.ndarray:
    """An 8x8 digit of 0..16 as a uint8 28x28 one of 0..255, with a border of 2 as in MNIST."""
    from PIL import Image  # slow to import

    small = Image.fromarray((image * 255 / 16).astype(np.uint8))
    large = np.pad(np.asarray(small.resize((24, 24), Image.Resampling.BICUBIC)), 2)
    return np.where(large < FAINT, 0, large).astype(np.uint8)
