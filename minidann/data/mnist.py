"""MNIST: 60,000 + 10,000 handwritten digits of 28x28 grey pixels, in LeCun's idx format.

An idx file is a header of big-endian 32-bit integers, then the bytes of the array in C order:

    magic   0x00000801 labels, 0x00000803 images   (8: unsigned bytes; 1 or 3: number of axes)
    sizes   one per axis: N, or N, rows, columns
"""

from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minidann.data.store import File, PathLike, find, read, verify
from minidann.runtime.errors import InputError

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
SHA256 = {  # of the decompressed idx file
    "train-images-idx3-ubyte.gz": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "train-labels-idx1-ubyte.gz": (
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
    "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
# train-images.idx3-ubyte; Kaggle's folder around it; torchvision's, as the data folder or in mnist/
OTHERS = ("mnist/{1}", "mnist/{0}/{0}", "MNIST/raw/{0}", "mnist/MNIST/raw/{0}")
FILES = {
    name: File(
        f"mnist/{name}",
        tuple(mirror + name for mirror in MIRRORS),
        sha256,
        largest=50_000_000 if "images" in name else 100_000,  # as without compression
        others=tuple(
            pattern.format(raw, raw.replace("-idx", ".idx")) + suffix
            for pattern in OTHERS
            for raw in [name.removesuffix(".gz")]
            for suffix in (".gz", "")
        ),
    )
    for name, sha256 in SHA256.items()
}
LARGEST = 1 << 28  # bytes; MNIST's largest file has 47 million, so a larger header is damage


class Digits(NamedTuple):
    """A data set of images with labels, split in two.

    ``x_*`` uint8 (N, H, W) or (N, H, W, 3); ``y_*`` int64 (N,), 0..9 (of traffic signs, 0..42).
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def load_mnist(data_dir: PathLike | None = None) -> Digits:
    """MNIST, from the four idx files under ``mnist/`` of a data folder, compressed (.gz) or not.

    ``train-images.idx3-ubyte`` and the like are found too, and so are torchvision's ``MNIST/raw``.

    Parameters
    ----------
    data_dir : path, optional
        Searched before the folders of :mod:`minidann.data.store`.

    Returns
    -------
    Digits
        uint8 images (60000, 28, 28) and (10000, 28, 28), int64 labels.

    Raises
    ------
    InputError
        If a file is missing, damaged or does not fit the others.
    """
    return Digits(*load_split("train", data_dir), *load_split("t10k", data_dir))


def load_split(split: str, data_dir: PathLike | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, 28, 28) and labels int64 (N,) of "train" or "t10k", the test set."""
    images_file = FILES[f"{split}-images-idx3-ubyte.gz"]
    labels_file = FILES[f"{split}-labels-idx1-ubyte.gz"]
    images_path, labels_path = find(images_file, data_dir), find(labels_file, data_dir)
    images = read_idx(images_path, axes=3, file=images_file)
    labels = read_idx(labels_path, axes=1, file=labels_file)
    if len(images) != len(labels):
        raise InputError(
            f"{images_path} holds {len(images)} images but {labels_path} holds {len(labels)} "
            f"labels; download both again from {MIRRORS[0]}"
        )
    if images.shape[1:] != (28, 28):
        raise InputError(
            f"{images_path} holds images of {images.shape[1]}x{images.shape[2]} pixels, "
            f"not 28x28; download it again from {MIRRORS[0]}"
        )
    if labels.max(initial=0) > 9:
        raise InputError(
            f"{labels_path} holds the label {labels.max()}, but a digit is 0 to 9; "
            f"download it again from {MIRRORS[0]}"
        )
    return images, labels.astype(np.int64)


def read_idx(path: Path, axes: int, file: File | None = None) -> np.ndarray:
    """The array of an idx file of unsigned bytes with that many axes.

    If it is the ``file`` that was published, its bytes are verified before they are parsed.

    Raises
    ------
    InputError
        If the file cannot be read, is not the published one, not an idx file, has other axes, or is
        shorter or longer than its header says.
    """
    remedy = f"download it again from {MIRRORS[0]}"
    content = read(path, LARGEST, remedy)
    if file:
        verify(file, path, content)
    start = 4 * (1 + axes)
    magic, *shape = np.frombuffer(content[:start].ljust(start, b"\0"), ">u4").tolist()
    if magic != 0x800 + axes:
        raise InputError(
            f"{path} is not an idx file of {axes}-axis byte arrays: its magic number is "
            f"{magic:#010x}, not {0x800 + axes:#010x}; {remedy}"
        )
    if len(content) != start + prod(shape) or max(shape) > LARGEST:
        raise InputError(
            f"{path} holds {len(content)} bytes, but its header claims an array of shape "
            f"{tuple(shape)}; {remedy}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def idx_bytes(array: np.ndarray) -> bytes:
    """A uint8 array as an idx file holds it: the inverse of :func:`read_idx`."""
    header = np.array([0x800 + array.ndim, *array.shape], ">u4")
    return header.tobytes() + array.tobytes()
