"""MNIST-M as its authors published it, for those who have it: 59,001 + 9,001 images of 32x32.

It is a folder of small images for each split, beside a file of their labels:

    mnist_m/mnist_m_train/00000000.png ...      32x32 pixels, the 28x28 of the digit in the middle
    mnist_m/mnist_m_train_labels.txt            one image a line: 00000000.png 5

It can no longer be downloaded by a program. :mod:`minidann.data.mnist_m` makes MNIST-M from MNIST
and photographs instead.
"""

import warnings
from pathlib import Path

import numpy as np

from minidann.data.mnist import Digits
from minidann.data.photographs import decode
from minidann.data.store import File, PathLike, find, folders, read
from minidann.runtime.errors import InputError

RELEASE = {
    split: File(f"mnist_m/mnist_m_{split}_labels.txt", ("http://yaroslav.ganin.net/",))
    for split in ("train", "test")
}
LARGEST_LABELS = 10_000_000  # bytes; the training labels have a million
LARGEST_IMAGE = 100_000  # bytes; of 1,024 pixels
LARGEST_SET = 100_000  # images; the training images are 59,001
REMEDY = "unpack the release again"


def load_mnistm_release(
    data_dir: PathLike | None = None, *, size: int = 28, limit: int | None = None
) -> Digits:
    """The authors' own MNIST-M, from ``mnist_m/`` of a data folder.

    Images that are missing are left out with a warning, as long as they are few.

    Parameters
    ----------
    data_dir : path, optional
        Searched before the folders of :mod:`minidann.data.store`.
    size : 28 or 32
        28: the middle of each image, where MNIST's digit is. 32: all of it.
    limit : int, optional
        Only the first training and test images are read.

    Returns
    -------
    Digits
        uint8 images (N, size, size, 3), int64 labels, in the order of the label files.

    Raises
    ------
    InputError
        If a label file is missing or damaged, an image is damaged or not of 32x32 pixels, more than
        one in a hundred is missing, or ``size`` is another number.
    """
    if size not in (28, 32):
        raise InputError(
            "the release of MNIST-M comes in images of 28 or 32 pixels a side, "
            f"not {size!r}; choose one of the two"
        )
    border = (32 - size) // 2
    arrays = []
    for split, file in RELEASE.items():
        path = find_release(file, data_dir)
        names, labels = read_labels(path)
        images, there = read_release(path.parent / f"mnist_m_{split}", names, limit)
        inner = images[:, border : 32 - border, border : 32 - border]
        arrays += [np.ascontiguousarray(inner), labels[there]]
    return Digits(*arrays)


def find_release(file: File, data_dir: PathLike | None = None) -> Path:
    """Path of a label file, as :func:`~minidann.data.store.find`, with a message of its own."""
    if not any((folder / file.name).exists() for folder in folders(data_dir)):
        searched = ", ".join(map(str, folders(data_dir)))
        raise InputError(
            f"{file.name} is in none of the data folders ({searched}); unpack the authors' release "
            f"of MNIST-M there (see {file.addresses[0]}), name another folder with --data-dir or "
            "MINIDANN_DATA, or make MNIST-M of MNIST and photographs, which needs no release"
        )
    return find(file, data_dir)


def read_labels(path: Path) -> tuple[list[str], np.ndarray]:
    """The names of the images and their labels, int64 (N,), of a label file.

    Raises
    ------
    InputError
        If the file cannot be read, a line is not a name and a digit, a name leads out of the folder
        of images or comes twice, or there are more than in any release.
    """
    try:
        lines = read(path, LARGEST_LABELS, REMEDY).decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} cannot be read ({error}); {REMEDY}") from error
    if not lines:
        raise InputError(f"{path} has no lines; {REMEDY}")
    names, labels = [], []
    for number, line in enumerate(lines, 1):
        name, _, label = line.strip().rpartition(" ")
        if label not in set("0123456789") or not name.endswith(".png"):
            raise InputError(
                f"line {number} of {path} is {line[:80]!r}, "
                f"not an image and its digit such as '00028165.png 0'; {REMEDY}"
            )
        if set(name) & set("/\\:\0") or ".." in name:
            raise InputError(
                f"line {number} of {path} names {name[:80]!r}, "
                f"which is outside the folder of images; {REMEDY}"
            )
        names.append(name)
        labels.append(int(label))
    if len(names) > LARGEST_SET or len(set(names)) != len(names):
        raise InputError(
            f"{path} names {len(names)} images, {len(set(names))} of them different; "
            f"it should be at most {LARGEST_SET}, each once; {REMEDY}"
        )
    return names, np.array(labels, np.int64)


def read_release(
    folder: Path, names: list[str], limit: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The images of those names that are in a folder; the first ``limit`` of them, if it is given.

    Returns
    -------
    images : uint8 array (n, 32, 32, 3)
    there : int array (n,)
        Which of the names they belong to.

    Raises
    ------
    InputError
        If an image is damaged or not of 32x32 pixels, or more than one in a hundred is missing.
    """
    from tqdm import tqdm

    files = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    there = np.flatnonzero([name in files for name in names])
    missing = len(names) - len(there)
    what = (
        f"{missing} of the {len(names)} images that {folder}_labels.txt names are not in {folder}"
    )
    if missing > len(names) / 100:
        raise InputError(f"{what}; {REMEDY}")
    if missing:
        warnings.warn(f"{what}; they are left out", stacklevel=3)
    there = there[:limit]
    shown = tqdm(there, desc=folder.name, unit="image", dynamic_ncols=True, delay=2, disable=None)
    images = np.empty((len(there), 32, 32, 3), np.uint8)
    for image, i in zip(images, shown):
        image[:] = read_image(folder / names[i])
    return images, there


def read_image(path: Path) -> np.ndarray:
    """An image of the release, uint8 (32, 32, 3).

    Raises
    ------
    InputError
        If it cannot be read, is damaged or not of 32x32 pixels.
    """
    content = read(path, LARGEST_IMAGE, REMEDY)
    image = decode(content, path, formats=("PNG",), pixels=32 * 32)
    if image.shape != (32, 32, 3):
        raise InputError(
            f"{path} is an image of {image.shape[1]}x{image.shape[0]} pixels, not 32x32; {REMEDY}"
        )
    return image
