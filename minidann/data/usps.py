"""USPS: 7,291 + 2,007 handwritten digits of 16x16 grey pixels, scanned from envelopes.

The U.S. Postal Service scanned them. The files are those of *The Elements of Statistical Learning*
(Hastie, Tibshirani and Friedman): gzip-compressed text with one digit a line, its label and then
its 256 pixels row by row, from -1 (paper) to 1 (ink):

    6.0000 -1.0000 -1.0000 ... -0.6310 0.8620 -0.1670 ... -1.0000

LIBSVM's copy, compressed by bzip2, has them as ``7 1:-1 2:-1 ... 7:-0.631 8:0.862 ... 256:-1``.

Nearly every digit is as high as its image, 16 pixels. MNIST's digits are fitted into 20 of their 28
pixels instead, so these are enlarged to 20 pixels when the two are to be compared: then both are
19.7 pixels high and 33.3 bright on average. What remains between them: USPS is more blurred and
narrower, and is centred by its outline where MNIST is centred by its centre of mass.
"""

import io
import warnings

import numpy as np

from minidann.data.mnist import Digits
from minidann.data.store import File, PathLike, find, read, verify
from minidann.runtime.errors import InputError

SOURCE = "https://hastie.su.domains/ElemStatLearn/datasets/"
SHA256 = {  # of the parsed labels and thousandths: copies of the text differ in white space
    "zip.train.gz": "d6119ff3756119ce7a40cce45afded3774e13735d431e04d8dee8de2000fbf6e",
    "zip.test.gz": "ac5019a436b906054e20f5f6c3fbb09edbc73325d20dc9ea0f8f021fe73bb11a",
}
LIBSVM = {  # and torchvision, whose folder is the data folder
    "zip.train.gz": ("usps/usps.bz2", "usps/usps", "usps.bz2"),
    "zip.test.gz": ("usps/usps.t.bz2", "usps/usps.t", "usps.t.bz2"),
}
FILES = {
    name: File(f"usps/{name}", (SOURCE + name,), sha256, largest=20_000_000, others=LIBSVM[name])
    for name, sha256 in SHA256.items()
}
LARGEST = 40_000_000  # bytes of text; the larger file holds 15 million
INNER = 20  # pixels that a digit fills of MNIST's 28
REMEDY = f"download it again from {SOURCE}"


def load_usps(data_dir: PathLike | None = None, *, size: int = 28) -> Digits:
    """USPS, from ``usps/zip.train.gz`` and ``usps/zip.test.gz`` of a data folder.

    Each file may also be there uncompressed, without ``.gz``, or as LIBSVM and torchvision have it:
    ``usps.bz2`` and ``usps.t.bz2``.

    Parameters
    ----------
    data_dir : path, optional
        Searched before the folders of :mod:`minidann.data.store`.
    size : 28 or 16
        28: enlarged to 20x20 by bicubic interpolation, with a border of 4, as in MNIST. 16: as they
        are.

    Returns
    -------
    Digits
        uint8 images (7291, size, size) and (2007, size, size), 0 where there is no ink; int64
        labels.

    Raises
    ------
    InputError
        If a file is missing or damaged, or ``size`` is another number.
    """
    if size not in (16, 28):
        raise InputError(
            f"USPS comes in images of 16 or 28 pixels a side, not {size!r}; choose one of the two"
        )
    arrays = []
    for file in FILES.values():
        path = find(file, data_dir)
        labels, thousandths = parse(read(path, LARGEST, REMEDY), path)
        verify(file, path, labels, thousandths)
        images = grey(thousandths)
        arrays += [enlarge(images) if size == 28 else images, labels]
    return Digits(*arrays)


def parse(text: bytes, path: PathLike) -> tuple[np.ndarray, np.ndarray]:
    """The labels and pixels of a file's text; ``path`` is for the message.

    Returns
    -------
    labels : int64 array (N,)
    thousandths : int16 array (N, 16, 16)
        The pixels times 1000, -1000..1000.

    Raises
    ------
    InputError
        If a line is not a digit's label and 256 numbers in [-1, 1].
    """
    try:
        table = parse_libsvm(text) if b":" in text[:1000] else parse_table(text)
    except (ValueError, OverflowError, IndexError) as error:
        raise InputError(f"{path} is not a table of numbers ({error}); {REMEDY}") from error
    if not len(table) or table.shape[1] != 257:
        raise InputError(
            f"{path} holds {len(table)} lines of {table.shape[1]} numbers, "
            f"but a digit is a label and 256 pixels; {REMEDY}"
        )
    labels, pixels = table[:, 0], table[:, 1:]
    unknown = labels[~np.isin(labels, np.arange(10))]
    if len(unknown):
        raise InputError(f"{path} holds the label {unknown[0]}, but a digit is 0 to 9; {REMEDY}")
    if not (np.abs(pixels) <= 1).all():
        raise InputError(f"{path} holds a pixel that is not in [-1, 1]; {REMEDY}")
    return labels.astype(np.int64), np.rint(1000 * pixels).astype(np.int16).reshape(-1, 16, 16)


def parse_table(text: bytes) -> np.ndarray:
    """A row of numbers for each line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # no lines: the shape shows it as well
        return np.loadtxt(io.BytesIO(text), comments=None, ndmin=2)


def parse_libsvm(text: bytes) -> np.ndarray:
    """The same of LIBSVM's text, whose labels are 1 to 10: ``7 1:-1 2:-1 ... 256:-1``."""
    from sklearn.datasets import load_svmlight_file  # takes most of a second to import

    pixels, labels = load_svmlight_file(io.BytesIO(text), n_features=256, zero_based=False)
    return np.column_stack([labels - 1, pixels.toarray()])


def grey(thousandths: np.ndarray) -> np.ndarray:
    """-1000..1000 as 0..255, rounded: uint8, of the same shape."""
    return np.rint((thousandths.astype(np.float32) + 1000) * (255 / 2000)).astype(np.uint8)


def enlarge(images: np.ndarray) -> np.ndarray:
    """uint8 (N, 16, 16) -> (N, 28, 28): to 20x20 by bicubic interpolation, with an empty border."""
    from PIL import Image  # slow to import

    border = (28 - INNER) // 2
    large = np.zeros((len(images), 28, 28), np.uint8)
    for image, inner in zip(images, large[:, border:-border, border:-border]):
        inner[:] = Image.fromarray(image).resize((INNER, INNER), Image.Resampling.BICUBIC)
    return large
