"""Our own SYN NUMBERS: drawn digits that look like house numbers, a labelled source for SVHN.

Ganin et al. (JMLR 17(59), 2016, section 5.2.4) drew theirs "from Windows fonts by varying the text
(that includes different one-, two-, and three-digit numbers), positioning, orientation, background
and stroke colors, and the amount of blur". So do we, with the fonts that come with matplotlib. An
image is a square of a street: a number of one to three digits, cut so that the *labelled* digit is
in the middle and its neighbours reach in from the sides.

``minidann.data.fonts`` makes distance fields of the digits, ``minidann.data.house_numbers`` puts
them into the image, ``minidann.data.house_paint`` paints it, back to front, and
``minidann.data.house_camera`` takes a photograph of few pixels. How large, narrow, dark, blurred
or noisy they are was read from SVHN's unlabelled images: ``minidann.data.house_measures``.
"""

from collections.abc import Sequence

import numpy as np

from minidann.data.fonts import find_faces, load_glyphs
from minidann.data.house_numbers import throw
from minidann.data.house_paint import paint
from minidann.data.mnist import Digits
from minidann.data.store import PathLike
from minidann.runtime.errors import InputError
from minidann.runtime.progress import progress_bar

LARGEST = 10_000_000  # images in one call
SIZES = 16, 128  # least and greatest side of an image, in pixels
CHUNK = 64  # images painted at once, few enough for the processor's cache


def make_synth_digits(
    n: int = 100_000,
    *,
    seed: int = 0,
    size: int = 32,
    fonts: Sequence[PathLike] | str | None = None,
    progress: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw house numbers.

    Parameters
    ----------
    n : int
        Images, 1 to 10 million. The first n of N images are the same as n images alone.
    seed : int
    size : int
        Side of an image in pixels, 16 to 128.
    fonts : list of paths, or "system", optional
        Font files to draw with. By default those of matplotlib, which are the same on every
        machine; "system" adds every fit font of this machine.
    progress : bool
        Whether to show a bar when it takes longer than two seconds.

    Returns
    -------
    images : uint8 array (n, size, size, 3)
    labels : int64 array (n,)
        The digit in the centre of each, 0..9, each as likely as any other.

    Raises
    ------
    InputError
        If n or size is out of range, or a font cannot be used.

    Notes
    -----
    The same seed gives the same images on the same machine. Elsewhere another version of FreeType
    or NumPy may change a pixel's last bit; the labels and what is drawn stay the same.
    """
    return draw(n, np.random.SeedSequence(seed), size, fonts, progress)


def load_synth_digits(n_train: int = 100_000, n_test: int = 10_000, *, seed: int = 0) -> Digits:
    """A data set of house numbers.

    The training images are the first n_train of :func:`make_synth_digits`; the n_test test images
    come from another random stream.

    Returns
    -------
    Digits
        uint8 images (n_train, 32, 32, 3) and (n_test, 32, 32, 3), int64 labels.

    Raises
    ------
    InputError
        If a number of images is out of range.
    """
    check(n_test, 32)  # before the training images take their time
    test_seed = np.random.SeedSequence(seed, spawn_key=(2,))  # draw() itself takes the keys 0 and 1
    return Digits(*draw(n_train, np.random.SeedSequence(seed)), *draw(n_test, test_seed))


def draw(
    n: int,
    seed: np.random.SeedSequence,
    size: int = 32,
    fonts: Sequence[PathLike] | str | None = None,
    progress: bool = True,
    chunk: int = CHUNK,
) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`make_synth_digits`, from a SeedSequence.

    The images are painted ``chunk`` at a time, which makes no difference to them: every image takes
    as many numbers of each random stream as any other.
    """
    check(n, size)
    glyphs = load_glyphs(find_faces(fonts))
    keys = [
        np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, key)) for key in (0, 1)
    ]
    table, noise = (np.random.default_rng(key) for key in keys)
    images, labels = np.empty((n, size, size, 3), np.uint8), np.empty(n, np.int64)
    with progress_bar(
        n, "house numbers", unit="image", unit_scale=True, delay=2, disable=not progress
    ) as bar:
        for start in range(0, n, chunk):
            rows = slice(start, min(start + chunk, n))
            images[rows], labels[rows] = paint(throw(table, rows.stop - start), noise, glyphs, size)
            bar.update(rows.stop - start)
    return images, labels


def check(n: int, size: int) -> None:
    """Raise InputError if that many images of that size cannot be drawn."""
    if not 1 <= n <= LARGEST:
        raise InputError(f"{n} is not a number of images that can be drawn; give 1 to {LARGEST:,}")
    if not SIZES[0] <= size <= SIZES[1]:
        raise InputError(
            f"images of {size}x{size} pixels cannot be drawn; "
            f"give a size of {SIZES[0]} to {SIZES[1]}"
        )
