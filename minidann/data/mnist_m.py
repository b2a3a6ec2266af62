"""MNIST-M: the digits of MNIST blended over random patches of photographs.

    x[i, j, c] = | background[i, j, c] - digit[i, j] |        all in 0..255

Where there is no digit the photograph shows through; where there is, it is inverted. To a person
the digit stays plain, to a network trained on MNIST neither its colour nor its surroundings are
known.

Source: Ganin et al., JMLR 17(59), 2016, section 5.2.4, with photographs of BSDS500 (Arbelaez et
al., 2011); the details (200 training photographs, digits binarised at > 0) are tf-dann's.

There are two ways to it: made here of MNIST and photographs (:func:`mnistm_pair`;
:func:`cached_mnistm_pair` keeps it), or the authors' own release, for those who have it
(:func:`load_mnistm_release`), a folder of small images for each split beside its labels:

    mnist_m/mnist_m_train/00000000.png ...      32x32 pixels, the digit in the middle 28x28
    mnist_m/mnist_m_train_labels.txt            a line an image: 00000000.png 5
"""

import io
import stat
import struct
import tarfile
import warnings
import zipfile
import zlib
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from tqdm import tqdm

from minidann.data import mnist
from minidann.data.mnist import Digits, load_mnist
from minidann.data.store import File, digest, find, folders, verify
from minidann.runtime.errors import InputError
from minidann.runtime.files import replacing

SOURCE = "http://www.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/BSR/BSR_bsds500.tgz"
BSDS500 = File(
    "bsds500/BSR_bsds500.tgz",
    (SOURCE,),
    "b626d29a9653bf7a573863ad2470032b8d6e01a04a88d1c1e4b599055eb60e71",
)  # of the 200 .jpg in name order
TRAIN_FOLDER = "BSR/BSDS500/data/images/train/"
TRAIN_PHOTOGRAPHS = 200
LARGEST_PHOTOGRAPH = 50_000_000  # pixels; a file of some kilobytes can claim billions
LARGEST_PHOTOGRAPHS = 1_000_000_000  # pixels of all photographs together, 3 GB
RELEASE = {
    split: File(f"mnist_m/mnist_m_{split}_labels.txt", ("http://yaroslav.ganin.net/",))
    for split in ("train", "test")
}
LARGEST_LABELS = 10_000_000  # bytes; the training labels have a million
CACHE_VERSION = 1  # to be raised whenever the same parameters give other images
IMAGE_ERRORS = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    IndexError,
    struct.error,
    zlib.error,
)  # that Pillow raises on damaged images


def load_backgrounds(data_dir=None, path=None):
    """Photographs to blend digits over, in the order of their names: a list of uint8 (H, W, 3).

    Parameters
    ----------
    data_dir : path, optional
        Searched before the folders of :mod:`minidann.data.store`, for ``bsds500/BSR_bsds500.tgz``:
        its 200 training photographs are taken. The archive is never unpacked to disk.
    path : path, optional
        Photographs of your own instead, .jpg, .jpeg or .png: a folder, with all that are in its
        folders, or an archive (.tgz, .tar, .zip).

    Raises
    ------
    InputError
        If the archive or folder is missing or damaged, does not hold them all, or holds what no
        collection of photographs does: names that lead outside it, links, images of more than 50
        million pixels.
    """
    if path is not None:
        return read_photographs(Path(path))
    path = find(BSDS500, data_dir)
    files = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if (
                    member.isfile()
                    and member.name.startswith(TRAIN_FOLDER)
                    and member.name.endswith(".jpg")
                ):
                    files[member.name] = archive.extractfile(member).read(LARGEST_PHOTOGRAPH + 1)
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise InputError(
            f"{path} can not be read ({error}); download it again from {SOURCE}"
        ) from error
    if len(files) != TRAIN_PHOTOGRAPHS:
        raise InputError(
            f"{path} holds {len(files)} of the {TRAIN_PHOTOGRAPHS} photographs under {TRAIN_FOLDER}; download it again from {SOURCE}"
        )
    verify(
        BSDS500, path, *(files[name] for name in sorted(files))
    )  # before Pillow sees a byte: the archive came over plain http
    return [decode(files[name], f"{name} in {path}") for name in sorted(files)]


def read_photographs(path):
    """All photographs in a folder or archive, in the order of their names: a list of uint8 (H, W, 3). See :func:`load_backgrounds`."""
    if path.is_dir():
        members = folder_members
    elif path.name.endswith(".zip"):
        members = zip_members
    elif path.name.endswith((".tgz", ".tar", ".tar.gz")):
        members = tar_members
    else:
        raise InputError(
            f"{path} is neither a folder nor an archive of photographs that is there; name one that ends in .tgz, .tar or .zip"
        )
    photographs, pixels = {}, 0
    try:
        for name, content in members(path):
            photographs[name] = decode(content, f"{name} in {path}")
            pixels += photographs[name].size // 3
            if pixels > LARGEST_PHOTOGRAPHS:
                raise InputError(
                    f"the photographs in {path} have more than {LARGEST_PHOTOGRAPHS} pixels together; use fewer or smaller ones"
                )
    except InputError:
        raise
    except (
        OSError,
        EOFError,
        ValueError,
        RuntimeError,
        tarfile.TarError,
        zipfile.BadZipFile,
        struct.error,
        zlib.error,
    ) as error:
        raise InputError(
            f"{path} can not be read ({error}); make the archive or folder anew"
        ) from error
    if not photographs:
        raise InputError(
            f"{path} holds no photographs; put some there that end in .jpg, .jpeg or .png, or name another folder or archive"
        )
    return [photographs[name] for name in sorted(photographs)]


def folder_members(path):
    """(name, bytes) of each photograph in a folder and its folders."""
    for file in path.rglob("*"):
        name = file.relative_to(path).as_posix()
        if is_photograph(name) and file.is_file():
            with open(file, "rb") as opened:
                yield name, opened.read(LARGEST_PHOTOGRAPH + 1)


def tar_members(path):
    """(name, bytes) of each photograph in a tar archive."""
    with tarfile.open(path) as archive:
        for member in archive:
            refuse_unsafe(member.name, member.issym() or member.islnk(), path)
            if is_photograph(member.name) and member.isfile():
                yield member.name, archive.extractfile(member).read(LARGEST_PHOTOGRAPH + 1)


def zip_members(path):
    """(name, bytes) of each photograph in a zip archive."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            refuse_unsafe(member.filename, stat.S_ISLNK(member.external_attr >> 16), path)
            if is_photograph(member.filename) and not member.is_dir():
                with archive.open(member) as opened:
                    yield member.filename, opened.read(LARGEST_PHOTOGRAPH + 1)


def is_photograph(name):
    """Whether a file's name is a photograph's, and not one that macOS hides beside it (``._photograph.jpg``)."""
    return name.lower().endswith((".jpg", ".jpeg", ".png")) and not PurePosixPath(
        name
    ).name.startswith(".")


def refuse_unsafe(name, is_link, path):
    """Refuse a member of an archive that leads outside it."""
    parts = name.replace("\\", "/").split("/")
    if is_link or not parts[0] or parts[0].endswith(":") or ".." in parts:
        what = "a link" if is_link else "a name that leads outside it"
        raise InputError(
            f"{path} holds {name!r}, {what}, which no archive of photographs needs; make the archive anew without it"
        )


def decode(content, name, formats=("JPEG", "PNG")):
    """The image in the bytes of a file, uint8 (H, W, 3); its size is looked at before it is decoded.

    Raises
    ------
    InputError
        If it is damaged or larger than 50 million bytes or pixels; ``name`` is for the message.
    """
    remedy = "replace it, or leave it out"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if len(content) > LARGEST_PHOTOGRAPH:
                raise InputError(f"{name} has more than {LARGEST_PHOTOGRAPH} bytes; {remedy}")
            with Image.open(io.BytesIO(content), formats=formats) as image:
                if image.width * image.height > LARGEST_PHOTOGRAPH:
                    raise InputError(
                        f"{name} is an image of {image.width}x{image.height} pixels, more than {LARGEST_PHOTOGRAPH}; {remedy}"
                    )
                return np.asarray(image.convert("RGB"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(
            f"{name} is an image of more than {LARGEST_PHOTOGRAPH} pixels; {remedy}"
        ) from error
    except IMAGE_ERRORS as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name} can not be read as an image ({error}); {remedy}") from error


def make_mnistm(digits, backgrounds, *, seed=0, binarize=True):
    """Blend digits over random patches of photographs.

    Parameters
    ----------
    digits : uint8 array (N, H, W)
        Grey digits, 0 where there is no ink.
    backgrounds : list of uint8 arrays (., ., 3)
        Photographs, each at least H x W.
    seed : int
        Chooses photograph and place for each digit. The first n of N digits get the same patches as
        n alone.
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
        raise InputError(
            "there are no backgrounds to blend the digits over; give at least one photograph"
        )
    for photograph in backgrounds:
        if photograph.shape[0] < height or photograph.shape[1] < width:
            size = "x".join(map(str, photograph.shape[:2]))
            raise InputError(
                f"a background of {size} pixels is smaller than a digit of {height}x{width}; use larger photographs"
            )
    chance = np.random.default_rng(seed).random(
        (n, 3)
    )  # which photograph, top, left: a row a digit
    chosen = (chance[:, 0] * len(backgrounds)).astype(int)
    blended = np.empty((n, height, width, 3), np.uint8)
    for i, photograph in enumerate(backgrounds):
        rows = np.flatnonzero(chosen == i)
        patches = sliding_window_view(
            photograph, (height, width), axis=(0, 1)
        )  # (tops, lefts, 3, H, W)
        top, left = (chance[rows, 1:] * patches.shape[:2]).astype(int).T
        blended[rows] = blend(
            patches[top, left].transpose(0, 2, 3, 1), ink(digits[rows], binarize)[..., None]
        )
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
    blended = [
        make_mnistm(x, backgrounds, seed=(seed, split), binarize=binarize)
        for split, x in enumerate((mnist.x_train, mnist.x_test))
    ]
    return plain(mnist, binarize), Digits(blended[0], mnist.y_train, blended[1], mnist.y_test)


def plain(mnist, binarize=True):
    """MNIST as the source: its digits as they are blended, in three equal channels, of which memory holds one (read-only)."""
    x_train, x_test = (
        np.broadcast_to(ink(x, binarize)[..., None], (*x.shape, 3))
        for x in (mnist.x_train, mnist.x_test)
    )
    return Digits(x_train, mnist.y_train, x_test, mnist.y_test)


def cached_mnistm_pair(data_dir=None, *, seed=0, binarize=True, cache_dir=None):
    """:func:`mnistm_pair` of MNIST and BSDS500, made once and kept in a file.

    The file's name is a hash of all that its images depend on, with the size and date of each file
    they are made of, so another seed or another copy of MNIST gets another file. A file that is
    damaged is made anew, and one that can not be written is done without.

    Parameters
    ----------
    data_dir : path, optional
        Searched before the folders of :mod:`minidann.data.store`.
    seed, binarize
        See :func:`make_mnistm`.
    cache_dir : path, optional
        Where the file is kept, of 220 MB; ``~/.cache/minidann/mnistm`` if not given.

    Returns
    -------
    (Digits, Digits)

    Raises
    ------
    InputError
        If the files of MNIST or BSDS500 are missing or damaged.
    """
    used = [find(file, data_dir).resolve() for file in (*mnist.FILES.values(), BSDS500)]
    key = repr(
        (
            CACHE_VERSION,
            seed,
            bool(binarize),
            [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in used],
        )
    )
    path = (
        Path(cache_dir or Path.home() / ".cache" / "minidann" / "mnistm")
        / f"mnistm-v{CACHE_VERSION}-{digest(key.encode())[:32]}.npz"
    )
    digits, blended = read_cache(path) or (None, None)
    if digits is None:
        digits = load_mnist(data_dir)
        pair = mnistm_pair(digits, load_backgrounds(data_dir), seed=seed, binarize=binarize)
        write_cache(path, digits, pair[1])
        return pair
    return plain(digits, binarize), blended


def read_cache(path):
    """(MNIST, MNIST-M), both :class:`Digits`, out of a file of :func:`write_cache`; None if there is none or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            parts = {
                name: file[name]
                for name in (
                    "x_train",
                    "y_train",
                    "x_test",
                    "y_test",
                    "blended_train",
                    "blended_test",
                )
            }
    except FileNotFoundError:
        return None
    except Exception:  # a damaged file makes NumPy stumble in ways of every type, and whichever it is, the file is made anew
        return None
    digits = Digits(*(parts[name] for name in Digits._fields))
    blended = digits._replace(x_train=parts["blended_train"], x_test=parts["blended_test"])
    whole = all(
        plain_part.dtype == blended_part.dtype == np.uint8
        and plain_part.shape == (len(labels), 28, 28)
        and blended_part.shape == (*plain_part.shape, 3)
        and labels.dtype == np.int64
        for plain_part, blended_part, labels in zip(digits[::2], blended[::2], digits[1::2])
    )
    return (digits, blended) if whole else None


def write_cache(path, digits, blended):
    """Keep what :func:`read_cache` reads; without a word to the caller but a warning if the disk is full or not ours."""
    try:
        with replacing(path) as temporary:
            np.savez(
                temporary,
                **digits._asdict(),
                blended_train=blended.x_train,
                blended_test=blended.x_test,
            )
    except OSError as error:
        warnings.warn(
            f"MNIST-M is not kept for the next time, for {path} can not be written ({error}); name another folder as cache_dir",
            stacklevel=3,
        )


def load_mnistm_release(data_dir=None, *, size=28):
    """The authors' own MNIST-M, from the folders and label files under ``mnist_m/`` of a data folder; see the top of this file.

    Images that are missing are left out with a warning, as long as they are few.

    Parameters
    ----------
    data_dir : path, optional
        Searched before the folders of :mod:`minidann.data.store`.
    size : 28 or 32
        28: the middle of each image, where MNIST's digit is. 32: all of it.

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
            f"the release of MNIST-M comes in images of 28 or 32 pixels a side, not {size!r}; choose one of the two"
        )
    border = (32 - size) // 2
    arrays = []
    for split, file in RELEASE.items():
        path = find_release(file, data_dir)
        names, labels = read_labels(path)
        images, there = read_release(path.parent / f"mnist_m_{split}", names)
        arrays += [
            np.ascontiguousarray(images[:, border : 32 - border, border : 32 - border]),
            labels[there],
        ]
    return Digits(*arrays)


def find_release(file, data_dir=None):
    """Path of a label file; where to get it is not what :func:`~minidann.data.store.find` says of files that it can download."""
    if not any((folder / file.name).exists() for folder in folders(data_dir)):
        searched = ", ".join(map(str, folders(data_dir)))
        raise InputError(
            f"{file.name} is in none of the data folders ({searched}); unpack the authors' release of MNIST-M there (see {file.addresses[0]}), "
            "name another folder with --data-dir or MINIDANN_DATA, or make MNIST-M of MNIST and photographs, which needs no release"
        )
    return find(file, data_dir)


def read_labels(path):
    """The names of the images and their labels, int64 (N,), of a label file.

    Raises
    ------
    InputError
        If it is unreadable, a line is not a name and a digit, or a name leads out of the folder of
        images.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(LARGEST_LABELS + 1)
        lines = text.decode("ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} can not be read ({error}); unpack the release again") from error
    if len(text) > LARGEST_LABELS or not lines:
        raise InputError(
            f"{path} has {'no lines' if not lines else f'more than {LARGEST_LABELS} bytes'}; unpack the release again"
        )
    names, labels = [], []
    for number, line in enumerate(lines, 1):
        name, _, label = line.strip().rpartition(" ")
        if label not in set("0123456789") or not name.endswith(".png"):
            raise InputError(
                f"line {number} of {path} is {line[:80]!r}, not an image and its digit such as '00028165.png 0'; unpack the release again"
            )
        if set(name) & set("/\\:\0") or ".." in name:
            raise InputError(
                f"line {number} of {path} names {name[:80]!r}, which is outside the folder of images; unpack the release again"
            )
        names.append(name)
        labels.append(int(label))
    return names, np.array(labels, np.int64)


def read_release(folder, names):
    """The images of those names that are in a folder, uint8 (n, 32, 32, 3), and which of the names they are, bool (N,)."""
    images, there = [], np.zeros(len(names), bool)
    for i, name in enumerate(
        tqdm(names, desc=folder.name, unit="image", dynamic_ncols=True, delay=2, disable=None)
    ):
        try:
            content = (folder / name).read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InputError(
                f"{folder / name} can not be read ({error}); unpack the release again"
            ) from error
        image = decode(content, folder / name, formats=["PNG"])
        if image.shape != (32, 32, 3):
            raise InputError(
                f"{folder / name} is an image of {image.shape[1]}x{image.shape[0]} pixels, not 32x32; unpack the release again"
            )
        images.append(image)
        there[i] = True
    missing = len(names) - len(images)
    if missing > len(names) / 100:
        raise InputError(
            f"{missing} of the {len(names)} images that {folder}_labels.txt names are not in {folder}; unpack the release again"
        )
    if missing:
        warnings.warn(
            f"{missing} of the {len(names)} images that {folder}_labels.txt names are not in {folder}; they are left out",
            stacklevel=3,
        )
    return np.stack(images), there
