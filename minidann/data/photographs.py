"""Photographs to blend digits over: those of BSDS500, or your own.

BSDS500 is the Berkeley Segmentation Data Set (Arbelaez et al., 2011). Its 200 training photographs
are the backgrounds of MNIST-M; they are read from the archive, which is never unpacked to disk.
"""

import contextlib
import io
import stat
import struct
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from minidann.data.store import File, PathLike, find, verify
from minidann.runtime.archives import DAMAGE, FILE, LINK, open_zip, read_zipped, tar_members
from minidann.runtime.errors import InputError, in_words
from minidann.runtime.files import open_regular, read_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

PLACE = "eecs.berkeley.edu/Research/Projects/CS/vision/grouping/BSR/BSR_bsds500.tgz"
SOURCE = f"https://www2.{PLACE}"
BSDS500 = File(
    "bsds500/BSR_bsds500.tgz",
    (SOURCE, f"http://www.{PLACE}"),
    # of the 200 .jpg in the order of their names
    "b626d29a9653bf7a573863ad2470032b8d6e01a04a88d1c1e4b599055eb60e71",
    largest=200_000_000,
    others=tuple(  # unpacked, here or where the data folder is
        f"{folder}BSDS500/data/images/train" for folder in ("bsds500/BSR/", "bsds500/", "BSR/", "")
    ),
)
TRAIN_FOLDER = "BSR/BSDS500/data/images/train/"
TRAIN_PHOTOGRAPHS = 200
LARGEST_TRAIN = 100_000_000  # bytes of the training photographs, which have 15 million
LARGEST_PHOTOGRAPH = 50_000_000  # pixels or bytes; a file of some kilobytes can claim billions
LARGEST_PHOTOGRAPHS = 150_000_000  # pixels of all photographs together, 450 MB
MOST_PHOTOGRAPHS = 20_000
IMAGE_ERRORS = (  # that Pillow raises on damaged images
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    IndexError,
    struct.error,
    zlib.error,
)


def load_backgrounds(
    data_dir: PathLike | None = None, path: PathLike | None = None
) -> list[np.ndarray]:
    """Photographs to blend digits over, in the order of their names: a list of uint8 (H, W, 3).

    Parameters
    ----------
    data_dir : path, optional
        Searched before the folders of :mod:`minidann.data.store`, for ``bsds500/BSR_bsds500.tgz``:
        its 200 training photographs are returned. The archive may also be unpacked there.
    path : path, optional
        Your own photographs instead, .jpg, .jpeg or .png: a folder, with all that are in its
        subfolders, or an archive (.tgz, .tar, .zip).

    Raises
    ------
    InputError
        If the archive or folder is missing, damaged or incomplete, or contains what no collection
        of photographs does: names that lead outside it, links, images of more than 50 million
        pixels, or of 150 million together.
    """
    if path is not None:
        return read_photographs(Path(path))
    return read_bsds500(find(BSDS500, data_dir))


def read_bsds500(path: Path) -> list[np.ndarray]:
    """The training photographs of BSDS500, verified before any is decoded.

    ``path`` is the archive, or the folder of the photographs where it was unpacked.
    """
    remedy = f"download it again from {SOURCE}"
    try:
        files = dict((unpacked_train if path.is_dir() else packed_train)(path))
    except DAMAGE as error:
        raise InputError(f"{path} cannot be read ({in_words(error)}); {remedy}") from error
    if len(files) != TRAIN_PHOTOGRAPHS:
        raise InputError(
            f"{path} holds {len(files)} of the {TRAIN_PHOTOGRAPHS} photographs under "
            f"{TRAIN_FOLDER}; {remedy}"
        )
    # before Pillow sees a byte: the archive may have come over plain http
    verify(BSDS500, path, *(files[name] for name in sorted(files)))
    return decode_all(files.items(), path)


def packed_train(path: Path) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of the training photographs in the archive of BSDS500."""
    left = LARGEST_TRAIN
    with open_regular(path) as file:
        for name, kind, read in tar_members(file):
            if kind == FILE and name.startswith(TRAIN_FOLDER) and name.endswith(".jpg"):
                content = read(left)
                left -= len(content)
                yield name, content


def unpacked_train(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The same in the folder that they were unpacked to."""
    left = LARGEST_TRAIN
    for file in islice(folder.glob("*.jpg"), MOST_PHOTOGRAPHS):
        content = read_bytes(file, left)
        left -= len(content)
        yield file.name, content


def read_photographs(path: Path) -> list[np.ndarray]:
    """All photographs in a folder or archive: see :func:`load_backgrounds`."""
    if path.is_dir():
        members = folder_members
    elif path.name.endswith(".zip"):
        members = zip_members
    elif path.name.endswith((".tgz", ".tar", ".tar.gz")):
        members = packed_members
    else:
        raise InputError(
            f"{path} is neither a folder nor an archive of photographs; "
            "name an existing one that ends in .tgz, .tar or .zip"
        )
    try:
        photographs = decode_all(members(path), path)
    except InputError:
        raise
    except DAMAGE as error:
        raise InputError(
            f"{path} cannot be read ({in_words(error)}); make the archive or folder anew"
        ) from error
    if not photographs:
        raise InputError(
            f"{path} holds no photographs; put some there that end in .jpg, .jpeg or .png, "
            "or name another folder or archive"
        )
    return photographs


def decode_all(members: Iterable[tuple[str, bytes]], path: Path) -> list[np.ndarray]:
    """The images of (name, bytes) pairs out of a folder or archive, in the order of their names."""
    photographs: dict[str, np.ndarray] = {}
    left = LARGEST_PHOTOGRAPHS
    for name, content in members:
        largest = min(left, LARGEST_PHOTOGRAPH)
        try:
            photographs[name] = decode(content, f"{name} in {path}", pixels=largest)
        except TooLarge as error:
            if largest == LARGEST_PHOTOGRAPH:
                raise
            raise InputError(
                f"the photographs in {path} have more than {LARGEST_PHOTOGRAPHS} pixels together; "
                "use fewer or smaller ones"
            ) from error
        left -= photographs[name].size // 3
        if len(photographs) > MOST_PHOTOGRAPHS:
            raise InputError(f"{path} holds more than {MOST_PHOTOGRAPHS} photographs; use fewer")
    return [photographs[name] for name in sorted(photographs)]


def folder_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of each photograph in a folder and its subfolders."""
    for file in path.rglob("*"):
        name = file.relative_to(path).as_posix()
        if is_photograph(name) and not file.is_dir():
            try:
                yield name, read_bytes(file, LARGEST_PHOTOGRAPH)
            except DAMAGE as error:
                raise InputError(
                    f"{name} in {path} cannot be read ({in_words(error)}); replace it, or leave it "
                    "out"
                ) from error


def packed_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of each photograph in a tar archive."""
    with open_regular(path) as file:
        for name, kind, read in tar_members(file):
            refuse_unsafe(name, kind == LINK, path)
            if kind == FILE and is_photograph(name):
                yield name, read(LARGEST_PHOTOGRAPH)


def zip_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of each photograph in a zip archive."""
    with open_zip(path) as archive:
        for member in archive.infolist():
            refuse_unsafe(member.filename, stat.S_ISLNK(member.external_attr >> 16), path)
            if is_photograph(member.filename) and not member.is_dir():
                yield member.filename, read_zipped(archive, member, LARGEST_PHOTOGRAPH)


def is_photograph(name: str) -> bool:
    """Whether a file's name is that of a photograph, and of none that macOS hides (``._a.jpg``)."""
    hidden = PurePosixPath(name).name.startswith(".")
    return name.lower().endswith((".jpg", ".jpeg", ".png")) and not hidden


def refuse_unsafe(name: str, is_link: bool, path: Path) -> None:
    """Refuse a member of an archive that leads outside it."""
    parts = name.replace("\\", "/").split("/")
    if is_link or not parts[0] or parts[0].endswith(":") or ".." in parts:
        what = "a link" if is_link else "a name that leads outside it"
        raise InputError(
            f"{path} holds {name!r}, {what}, which no archive of photographs needs; "
            "make the archive anew without it"
        )


def to_rgb(image: "Image") -> "Image":
    """Red, green and blue of an image of Pillow, whatever else it has."""
    return image if image.mode == "RGB" else image.convert("RGB")


def as_shown(image: "Image") -> "Image":
    """An image of Pillow as viewers show it: upright, over white where it is transparent."""
    from PIL import Image, ImageOps  # slow to import

    # as the camera was held; damaged notes of a camera raise nearly anything
    with contextlib.suppress(Exception):
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits of grey: Pillow would cut them off at 255
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


class TooLarge(InputError):
    """An image of more pixels than are decoded."""


def decode(
    content: bytes,
    name: PathLike,
    formats: tuple[str, ...] = ("JPEG", "PNG"),
    convert: Callable = to_rgb,
    pixels: int = LARGEST_PHOTOGRAPH,
) -> np.ndarray:
    """The image in the bytes of a file, uint8 (H, W, 3). All readers of images use this function.

    Only the named formats are decoded, whatever the file is called: for an EPS Pillow would start
    Ghostscript. The size is checked before the image is decoded.

    Parameters
    ----------
    content : bytes
    name : path
        For the message.
    formats : tuple of str
        Pillow's names of the formats.
    convert : function
        ``to_rgb`` or ``as_shown``.
    pixels : int
        The most that the image may have.

    Raises
    ------
    InputError
        If the image is damaged, of another format, or larger than 50 million bytes or so many
        pixels.
    """
    from PIL import Image  # slow to import

    remedy = "replace it, or leave it out"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if len(content) > LARGEST_PHOTOGRAPH:
                raise InputError(f"{name} has more than {LARGEST_PHOTOGRAPH} bytes; {remedy}")
            with Image.open(io.BytesIO(content), formats=formats) as image:
                if image.width * image.height > pixels:
                    raise TooLarge(
                        f"{name} is an image of {image.width}x{image.height} pixels, "
                        f"more than {pixels}; {remedy}"
                    )
                return np.asarray(convert(image))
    except InputError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLarge(f"{name} is an image of more than {pixels} pixels; {remedy}") from error
    except IMAGE_ERRORS as error:
        raise InputError(f"{name} cannot be read as an image ({error}); {remedy}") from error
