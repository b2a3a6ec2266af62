"""MNIST-M: the digits of MNIST blended over random patches of photographs.

    x[i, j, c] = | background[i, j, c] - digit[i, j] |        all in 0..255

Where there is no digit the photograph shows through; where there is, it is inverted. To a person
the digit stays plain, to a network trained on MNIST neither its colour nor its surroundings are known.

Source: Ganin et al., JMLR 17(59), 2016, section 5.2.4, with photographs of BSDS500 (Arbelaez et al.,
2011); the details (200 training photographs, digits binarised at > 0) are tf-dann's.
"""

import io
import tarfile
import zlib

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from minidann.data.mnist import Digits
from minidann.data.store import File, find, verify
from minidann.errors import InputError

SOURCE = "http://www.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/BSR/BSR_bsds500.tgz"
BSDS500 = File("bsds500/BSR_bsds500.tgz", (SOURCE,), "b626d29a9653bf7a573863ad2470032b8d6e01a04a88d1c1e4b599055eb60e71")  # of the 200 .jpg in name order
TRAIN_FOLDER = "BSR/BSDS500/data/images/train/"
TRAIN_PHOTOGRAPHS = 200


def load_backgrounds(data_dir=None):
    """The 200 training photographs of BSDS500, in the order of their names: a list of uint8 (H, W, 3).

    They are read out of ``bsds500/BSR_bsds500.tgz``, which is never unpacked to disk.

    Raises
    ------
    InputError
        If the archive is missing, damaged or does not hold them all.
    """
    path = find(BSDS500, data_dir)
    photographs, files = {}, {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile() and member.name.startswith(TRAIN_FOLDER) and member.name.endswith(".jpg"):
                    files[member.name] = archive.extractfile(member).read()
                    with Image.open(io.BytesIO(files[member.name])) as image:
                        photographs[member.name] = np.asarray(image.convert("RGB"))
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise InputError(f"{path} can not be read ({error}); download it again from {SOURCE}") from error
    if len(photographs) != TRAIN_PHOTOGRAPHS:
        raise InputError(f"{path} holds {len(photographs)} of the {TRAIN_PHOTOGRAPHS} photographs under {TRAIN_FOLDER}; download it again from {SOURCE}")
    verify(BSDS500, path, *(files[name] for name in sorted(files)))
    return [photographs[name] for name in sorted(photographs)]


def make_mnistm(digits, backgrounds, *, seed=0, binarize=True):
    """Blend digits over random patches of photographs.

    Parameters
    ----------
    digits : uint8 array (N, H, W)
        Grey digits, 0 where there is no ink.
    backgrounds : list of uint8 arrays (., ., 3)
        Photographs, each at least H x W.
    seed : int
        Chooses photograph and place for each digit. The first n of N digits get the same patches as n alone.
    binarize : bool
        Whether a digit's pixel is 255 wherever it is not 0 (tf-dann), or keeps its grey.

    Returns
    -------
    uint8 array (N, H, W, 3)

    Raises
    ------
    InputError
        If there is no photograph or one is smaller than a digit.
    """
    n, height, width = digits.shape
    if not backgrounds:
        raise InputError("there are no backgrounds to blend the digits over; give at least one photograph")
    for photograph in backgrounds:
        if photograph.shape[0] < height or photograph.shape[1] < width:
            size = "x".join(map(str, photograph.shape[:2]))
            raise InputError(f"a background of {size} pixels is smaller than a digit of {height}x{width}; use larger photographs")
    chance = np.random.default_rng(seed).random((n, 3))  # which photograph, top, left: a row a digit
    chosen = (chance[:, 0] * len(backgrounds)).astype(int)
    blended = np.empty((n, height, width, 3), np.uint8)
    for i, photograph in enumerate(backgrounds):
        rows = np.flatnonzero(chosen == i)
        patches = sliding_window_view(photograph, (height, width), axis=(0, 1))  # (tops, lefts, 3, H, W)
        top, left = (chance[rows, 1:] * patches.shape[:2]).astype(int).T
        blended[rows] = blend(patches[top, left].transpose(0, 2, 3, 1), ink(digits[rows], binarize)[..., None])
    return blended


def ink(digits, binarize=True):
    """The digits as they are blended: 255 wherever there is ink, or their own grey. uint8, as given."""
    return np.where(digits > 0, np.uint8(255), np.uint8(0)) if binarize else digits


def blend(background, digit):
    """|background - digit| of uint8 arrays, as numbers: 10 and 255 give 245 (uint8 alone would wrap around to 11)."""
    return np.abs(background.astype(np.int16) - digit.astype(np.int16)).astype(np.uint8)


def mnistm_pair(mnist, backgrounds, *, seed=0, binarize=True):
    """(source, target): MNIST in three equal channels, and MNIST-M made of the same digits.

    Both are :class:`Digits` of uint8 (N, 28, 28, 3). Training and test patches are drawn apart.
    """
    three = [np.repeat(ink(x, binarize)[..., None], 3, axis=3) for x in (mnist.x_train, mnist.x_test)]
    blended = [make_mnistm(x, backgrounds, seed=(seed, split), binarize=binarize) for split, x in enumerate((mnist.x_train, mnist.x_test))]
    return tuple(Digits(x_train, mnist.y_train, x_test, mnist.y_test) for x_train, x_test in (three, blended))
