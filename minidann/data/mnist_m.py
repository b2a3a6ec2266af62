"""MNIST-M: the digits of MNIST blended over random patches of photographs.

    x[i, j, c] = | background[i, j, c] - 255 (digit[i, j] > 0) |        all in 0..255

Where there is no digit the photograph shows through; where there is one, however faint, the
photograph is inverted. A person still reads the digit, but a network trained on MNIST knows neither
its colour nor its surroundings.

That is the target. Beside it stands the source, the same digits in three equal channels: MNIST as
it is, grey; or, in tf-dann's protocol, black and white as well.

Blending the digits' own greys, | background - digit |, gives another set, an easier one. It is not
called MNIST-M here, but ``mnistm-grey``.

Source: Ganin et al., JMLR 17(59), 2016, section 5.2.4, with photographs of BSDS500 (Arbelaez et
al., 2011); the details (200 training photographs, digits binarised at > 0) are tf-dann's.

There are two ways to get it: make it here from MNIST and photographs (:func:`mnistm_pair`;
:func:`cached_mnistm_pair` keeps it), or read the authors' own release
(:mod:`minidann.data.mnistm_release`).
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minidann.data import mnist
from minidann.data.mnist import Digits, load_mnist
from minidann.data.photographs import BSDS500, load_backgrounds
from minidann.data.store import PathLike, digest, find, user_cache
from minidann.runtime.errors import InputError, in_words
from minidann.runtime.npz import load_arrays, save_arrays

CACHE_VERSION = 2  # to be raised whenever the same parameters give other images
LARGEST_CACHE = 1 << 29  # bytes; that of MNIST has 220 million
CACHED = ("x_train", "y_train", "x_test", "y_test", "blended_train", "blended_test")


def make_mnistm(
    digits: np.ndarray,
    backgrounds: Sequence[np.ndarray],
    *,
    seed: int | Sequence[int] = 0,
    binarize: bool = True,
) -> np.ndarray:
    """Blend digits over random patches of photographs.

    Parameters
    ----------
    digits : uint8 array (N, H, W)
        Grey digits, 0 where there is no ink.
    backgrounds : list of uint8 arrays (., ., 3)
        Photographs, each at least H x W.
    seed : int or sequence of int
        Chooses photograph and place for each digit. The first n of N digits get the same patches as
        n digits alone.
    binarize : bool
        Whether a digit's pixel is 255 wherever it is not 0, which makes MNIST-M, or keeps its grey,
        which makes an easier set.

    Returns
    -------
    uint8 array (N, H, W, 3)

    Raises
    ------
    InputError
        If an array is not of bytes or of another shape, there is no photograph, or one is smaller
        than a digit.
    """
    require_bytes("digits", digits, "(N, H, W)", digits.ndim == 3)
    n, height, width = digits.shape
    if not len(backgrounds):
        raise InputError(
            "there are no backgrounds to blend the digits over; give at least one photograph"
        )
    for photograph in backgrounds:
        require_bytes("photographs", photograph, "(H, W, 3)", photograph.shape[2:] == (3,))
        if photograph.shape[0] < height or photograph.shape[1] < width:
            size = "x".join(map(str, photograph.shape[:2]))
            raise InputError(
                f"a background of {size} pixels is smaller than a digit of {height}x{width}; "
                "use larger photographs"
            )
    chance = np.random.default_rng(seed).random((n, 3))  # a row a digit: photograph, top, left
    chosen = (chance[:, 0] * len(backgrounds)).astype(int)
    blended = np.empty((n, height, width, 3), np.uint8)
    for i, photograph in enumerate(backgrounds):
        rows = np.flatnonzero(chosen == i)
        # (tops, lefts, 3, H, W)
        patches = sliding_window_view(photograph, (height, width), axis=(0, 1))
        top, left = (chance[rows, 1:] * patches.shape[:2]).astype(int).T
        background = patches[top, left].transpose(0, 2, 3, 1)  # (n_i, H, W, 3)
        blended[rows] = blend(background, ink(digits[rows], binarize)[..., None])
    return blended


def require_bytes(name: str, x: np.ndarray, wanted: str, fits: bool) -> None:
    """Refuse images of another shape than is wanted, or of numbers that are not 0..255."""
    if x.dtype != np.uint8 or not fits:
        raise InputError(
            f"the {name} are {x.dtype} of shape {x.shape}, but must be uint8 {wanted}, of 0..255; "
            "np.rint(255 * x).astype(np.uint8) makes them of 0..1"
        )


def ink(digits: np.ndarray, binarize: bool = True) -> np.ndarray:
    """The digits, uint8: 255 wherever there is ink, or as they are."""
    return np.where(digits > 0, np.uint8(255), np.uint8(0)) if binarize else digits


def blend(background: np.ndarray, digit: np.ndarray) -> np.ndarray:
    """|background - digit| of uint8 arrays.

    10 and 255 give 245; uint8 alone would wrap around to 11.
    """
    return np.abs(background.astype(np.int16) - digit.astype(np.int16)).astype(np.uint8)


def mnistm_pair(
    mnist: Digits, backgrounds: Sequence[np.ndarray], *, seed: int = 0, binarize: bool = False
) -> tuple[Digits, Digits]:
    """(source, target): MNIST in three equal channels, and MNIST-M made of the same digits.

    Both are :class:`Digits` of uint8 (N, 28, 28, 3). The source is grey or, with ``binarize``,
    black and white; the target is the same beside either.
    """
    return plain(mnist, binarize), blended(mnist, backgrounds, seed=seed)


def blended(
    mnist: Digits, backgrounds: Sequence[np.ndarray], *, seed: int = 0, binarize: bool = True
) -> Digits:
    """:func:`make_mnistm` of both splits, whose patches are drawn apart."""
    x_train, x_test = (
        make_mnistm(x, backgrounds, seed=(seed, split), binarize=binarize)
        for split, x in enumerate((mnist.x_train, mnist.x_test))
    )
    return mnist._replace(x_train=x_train, x_test=x_test)


def plain(mnist: Digits, binarize: bool = False) -> Digits:
    """MNIST as the source: grey or black and white, in three equal channels.

    The channels are read-only views of one, (N, 28, 28, 3).
    """
    x_train, x_test = (
        np.broadcast_to(ink(x, binarize)[..., None], (*x.shape, 3))
        for x in (mnist.x_train, mnist.x_test)
    )
    return mnist._replace(x_train=x_train, x_test=x_test)


def cached_mnistm_pair(
    data_dir: PathLike | None = None,
    *,
    seed: int = 0,
    binarize: bool = False,
    cache_dir: PathLike | None = None,
) -> tuple[Digits, Digits]:
    """:func:`mnistm_pair` of MNIST and BSDS500, made once and kept in a file.

    The file's name is a hash of all that its images depend on, with the size and date of each file
    that they are made of, so another seed or another copy of MNIST gets another file. It serves
    either source. A damaged file is made anew; if none can be written, there is a warning.

    Parameters
    ----------
    data_dir : path, optional
        Searched before the folders of :mod:`minidann.data.store`.
    seed, binarize
        See :func:`mnistm_pair`.
    cache_dir : path, optional
        Where the file of 220 MB is kept; ``~/.cache/minidann/mnistm`` if not given.

    Returns
    -------
    (Digits, Digits)

    Raises
    ------
    InputError
        If the files of MNIST or BSDS500 are missing or damaged.
    """
    files = [file._replace(dataset="mnistm") for file in (*mnist.FILES.values(), BSDS500)]
    used = [find(file, data_dir).resolve() for file in files]  # fetch mnistm downloads all of them
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in used]
    key = repr((CACHE_VERSION, seed, stats))
    folder = Path(cache_dir or user_cache() / "mnistm")
    path = folder / f"mnistm-v{CACHE_VERSION}-{digest(key.encode())[:32]}.npz"
    if kept := read_cache(path):
        digits, target = kept
        return plain(digits, binarize), target
    digits = load_mnist(data_dir)
    pair = mnistm_pair(digits, load_backgrounds(data_dir), seed=seed, binarize=binarize)
    write_cache(path, digits, pair[1])
    return pair


def read_cache(path: Path) -> tuple[Digits, Digits] | None:
    """(MNIST, MNIST-M) out of a file of :func:`write_cache`; None if it is missing or damaged.

    A damaged one is told in a warning.
    """
    try:
        parts = load_arrays(path, LARGEST_CACHE)
        check_cache(parts)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        warnings.warn(
            f"{path} cannot be read ({in_words(error)}), so MNIST-M is made anew", stacklevel=3
        )
        return None
    digits = Digits(*(parts[name] for name in Digits._fields))
    return digits, digits._replace(x_train=parts["blended_train"], x_test=parts["blended_test"])


def check_cache(parts: Mapping[str, np.ndarray]) -> None:
    """Raise a ValueError unless arrays are those of :func:`write_cache`."""
    if set(parts) != set(CACHED):
        raise ValueError("it holds other arrays")
    for split in ("train", "test"):
        x, y, blended = (parts[f"{name}_{split}"] for name in ("x", "y", "blended"))
        if not x.dtype == blended.dtype == np.uint8 or y.dtype != np.int64:
            raise ValueError("its arrays are of other types")
        if x.shape != (*y.shape, 28, 28) or blended.shape != (*x.shape, 3) or y.ndim != 1:
            raise ValueError("its arrays are of other shapes")
        if not ((y >= 0) & (y <= 9)).all():
            raise ValueError("it holds labels other than 0 to 9")


def write_cache(path: Path, digits: Digits, target: Digits) -> None:
    """Keep what :func:`read_cache` reads; only a warning if the disk is full or read-only."""
    try:
        save_arrays(path, dict(zip(CACHED, (*digits, target.x_train, target.x_test))))
    except OSError as error:
        warnings.warn(
            f"MNIST-M is not kept for the next time, for {path} cannot be written ({error}); "
            "name another folder as cache_dir",
            stacklevel=3,
        )
