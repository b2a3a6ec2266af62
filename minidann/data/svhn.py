"""SVHN: colour photographs of house numbers cut into single digits of 32x32 pixels.

There are 73,257 training and 26,032 test images, and 531,131 easier ones. This is "format 2" of
Netzer et al., *Reading Digits in Natural Images with Unsupervised Feature Learning*, 2011: MATLAB 5
files of two arrays,

    X   uint8 (32, 32, 3, N)    row, column, channel, image; MATLAB stores the first axis fastest
    y   uint8 (N, 1)            the digit, where 10 stands for 0

A MATLAB 5 file begins with a header of 128 bytes, of which the last four are the version 0x0100
and "MI" (swapped if little-endian). Elements follow: a type and a number of bytes, both uint32, and
the bytes, padded to a multiple of 8. (An element of up to 4 bytes has the number in the upper half
of the type, and the bytes where the number would be.) An array is an element of type 14, or one of
type 15 whose bytes are that element compressed by zlib; it contains four elements:

    flags   uint32: lowest byte 6 double ... 9 uint8 ..., bit 9 logical, bit 11 complex
    shape   int32, one per axis
    name    characters
    values  of any type of number that holds them

The files are read here and not by scipy.io.loadmat, because on some damaged files that one crashes
Python instead of raising an error. Newer files (version 7.3) are HDF5 under the same name; they are
refused.
"""

import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from minidann.data.mnist import Digits
from minidann.data.store import File, PathLike, find, verify_bytes
from minidann.runtime.errors import InputError, in_words
from minidann.runtime.files import open_regular

PLACE = "://ufldl.stanford.edu/housenumbers/"
SOURCE = f"https{PLACE}"
IMAGE = 32 * 32 * 3  # bytes
# images; no file of SVHN has more, so a header that claims more is damage
LARGEST = {"train": 100_000, "test": 100_000, "extra": 600_000}
FILES = {
    split: File(
        f"svhn/{split}_32x32.mat",
        tuple(f"{scheme}{PLACE}{split}_32x32.mat" for scheme in ("https", "http")),
        dataset=dataset,
        largest=LARGEST[split] * (IMAGE + 8) + 10_000,  # as without compression
        md5=md5,
    )
    for split, dataset, md5 in (
        ("train", "svhn", "e26dedcc434d2e4c54c9b2d4a06d8373"),
        ("test", "svhn", "eb5a983be6a315427106f1b164d9cef3"),
        ("extra", "svhn-extra", "a93ce644f1a588dc4d68dda5feec44a7"),
    )
}
DENSEST = 16  # photographs are compressed to no less than a sixteenth: SVHN's to four fifths
MOST_ARRAYS = 20
SMALL = 1 << 20  # bytes that are decompressed whatever they are compressed to
MATLAB_5 = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}
MATRIX, COMPRESSED = 14, 15  # types of elements
# NumPy's names of the types of values, by MATLAB's numbers
NUMBERS = dict(zip((1, 2, 3, 4, 5, 6, 7, 9), ("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8")))
CLASSES = dict(enumerate(("cell", "struct", "object", "char", "sparse", "double", "single"), 1))
CLASSES |= {8 + i: f"{'u' if i % 2 else ''}int{8 << i // 2}" for i in range(8)}

Read = Callable[[int], bytes]  # the next n bytes, fewer at the end


def load_svhn(data_dir: PathLike | None = None, *, extra: bool = False) -> Digits:
    """SVHN, from ``svhn/train_32x32.mat`` and ``svhn/test_32x32.mat`` of a data folder.

    Parameters
    ----------
    data_dir : path, optional
        Searched before the folders of :mod:`minidann.data.store`.
    extra : bool
        Whether the 531,131 easier images of ``svhn/extra_32x32.mat`` follow the training images.
        They take 1.6 GB, and twice that while they are read.

    Returns
    -------
    Digits
        uint8 images (73257, 32, 32, 3) and (26032, 32, 32, 3), int64 labels 0..9.

    Raises
    ------
    InputError
        If a file is missing, damaged or not in this format.
    """
    splits = ("train", "extra") if extra else ("train",)
    train = [read_split(split, data_dir) for split in splits]
    return Digits(*joined(train), *joined([read_split("test", data_dir)]))


def joined(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Several pairs (images, labels) as one, the images (N, 32, 32, 3) in C order."""
    images, labels = zip(*parts)
    together = np.empty((sum(map(len, images)), 32, 32, 3), np.uint8)
    return np.concatenate(images, out=together), np.concatenate(labels)


def read_split(split: str, data_dir: PathLike | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The verified images and labels of "train", "test" or "extra": see :func:`read_mat`."""
    path = find(FILES[split], data_dir)
    verify_bytes(FILES[split], path, remedy(path))
    return read_mat(path, split)


def read_mat(path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The arrays of a file of "train", "test" or "extra".

    Their names, types and sizes are checked before memory is allocated for them.

    Returns
    -------
    images : uint8 array (N, 32, 32, 3)
        A view in MATLAB's order.
    labels : int64 array (N,)
        0..9.

    Raises
    ------
    InputError
        If the file cannot be read, is not MATLAB 5, or does not hold these two arrays.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            order = check_header(path, file.read(128))
            if size > FILES[split].largest:
                raise InputError(
                    f"{path} has {size} bytes, more than any file of SVHN; {remedy(path)}"
                )
            found = list(read_arrays(path, file, order, size, LARGEST[split]))
    except (OSError, zlib.error, MemoryError) as error:
        raise InputError(f"{path} cannot be read ({in_words(error)}); {remedy(path)}") from error
    arrays = {name: array for name, array in found if array is not None}
    if not {"X", "y"} <= set(arrays):
        names = ", ".join(name for name, _ in found)
        raise InputError(
            f"{path} holds {names or 'nothing'}, "
            f"not one X (the images) and one y (the labels); {remedy(path)}"
        )
    images, labels = arrays["X"], arrays["y"]
    if len(labels) != images.shape[3]:
        raise InputError(
            f"y in {path} has the shape {labels.shape}, but with {images.shape[3]} images "
            f"it must be ({images.shape[3]}, 1); {remedy(path)}"
        )
    unknown = labels[~np.isin(labels, np.arange(1, 11))]
    if len(unknown):
        raise InputError(
            f"{path} holds the label {unknown[0]}, but a digit is 1 to 9, or 10 for 0; "
            f"{remedy(path)}"
        )
    return images.transpose(3, 0, 1, 2), labels.ravel().astype(np.int64) % 10


def check_header(path: Path, header: bytes) -> str:
    """The order of bytes, "<" or ">", of a MATLAB 5 file. Any other file is refused."""
    if header.startswith(b"\x89HDF") or header[124:] in (b"\x00\x02IM", b"\x02\x00MI"):
        raise InputError(
            f"{path} is a MATLAB 7.3 file (HDF5), but SVHN is in MATLAB 5 files; {remedy(path)}"
        )
    if header[124:] not in MATLAB_5:
        raise InputError(f"{path} is not a MATLAB 5 file; {remedy(path)}")
    return MATLAB_5[header[124:]]


def read_arrays(
    path: Path, file: BinaryIO, order: str, size: int, most: int
) -> Iterator[tuple[str, np.ndarray | None]]:
    """(name, array) of each array of a file of ``size`` bytes that is open behind its header.

    No array has more than ``most`` images or labels. In place of an array that is neither X nor y
    there is None.
    """
    seen = set()
    while (start := file.tell()) < size:
        kind, length = struct.unpack(order + "2I", exactly(path, file.read, 8))
        end = start + 8 + length
        if kind not in (MATRIX, COMPRESSED) or end > size:
            raise InputError(
                f"{path} is damaged or cut short: there is no whole array at byte {start}; "
                f"{remedy(path)}"
            )
        if kind == MATRIX:
            name, array = read_array(path, file.read, order, most)
            if file.tell() > end:
                raise InputError(
                    f"{path} is damaged: {name!r} is longer than its element; {remedy(path)}"
                )
        else:
            name, array = read_compressed(path, file.read(length), order, most)
        if name in seen:
            raise InputError(f"{path} holds {name!r} twice; {remedy(path)}")
        seen.add(name)
        if len(seen) > MOST_ARRAYS:
            raise InputError(f"{path} holds more than {MOST_ARRAYS} arrays; {remedy(path)}")
        yield name, array
        file.seek(end)


def read_compressed(
    path: Path, content: bytes, order: str, most: int
) -> tuple[str, np.ndarray | None]:
    """(name, array) of an array in the bytes of a compressed element.

    Never more is decompressed than is asked for, nor than photographs could be compressed to so
    few bytes.
    """
    inflater, rest = zlib.decompressobj(), content

    def read(n: int) -> bytes:
        nonlocal rest
        if n > DENSEST * len(content) + SMALL:
            raise InputError(
                f"{path} is damaged: {len(content)} bytes of it claim to hold {n}; {remedy(path)}"
            )
        out = inflater.decompress(rest, n) if n else b""
        rest = inflater.unconsumed_tail
        return out

    if struct.unpack(order + "2I", exactly(path, read, 8))[0] != MATRIX:
        raise InputError(
            f"{path} is damaged: what is compressed in it is not an array; {remedy(path)}"
        )
    name, array = read_array(path, read, order, most)
    # zlib compares its checksum at the end, so it must be reached
    if array is not None and (len(read(8)) > 7 or not inflater.eof):
        raise InputError(
            f"{path} is damaged: {name!r} is not as long as its header says; {remedy(path)}"
        )
    return name, array


def read_array(path: Path, read: Read, order: str, most: int) -> tuple[str, np.ndarray | None]:
    """(name, array) of the array whose elements ``read(n)`` gives; None for another than X, y."""
    name, shape, kind = read_array_header(path, read, order)
    if name not in ("X", "y"):
        return name, None
    check_array(path, name, shape, kind, most)
    count = int(np.prod(shape, dtype=np.int64))
    largest = count * (1 if name == "X" else 8)
    stored, values = read_element(path, read, order, largest, padded=False)
    dtype = np.dtype(order + NUMBERS.get(stored, "V1"))
    known = dtype == np.uint8 if name == "X" else dtype.kind != "V"
    if not known or len(values) != count * dtype.itemsize:
        raise InputError(
            f"{path} is damaged: the values of {name} are not {count} numbers of the type "
            f"that its header says; {remedy(path)}"
        )
    return name, np.frombuffer(values, dtype).reshape(shape, order="F")


def read_array_header(path: Path, read: Read, order: str) -> tuple[str, tuple[int, ...], str]:
    """(name, shape, type in words) of the next array."""
    _, flags = read_element(path, read, order, 8)
    _, shape = read_element(path, read, order, 256)
    _, name = read_element(path, read, order, 64)
    if len(flags) != 8 or len(shape) % 4:
        raise InputError(
            f"{path} is damaged: the header of an array in it has no flags or no shape; "
            f"{remedy(path)}"
        )
    (bits,) = struct.unpack(order + "I", flags[:4])
    kind = CLASSES.get(bits & 0xFF, "unknown")
    if bits & 0x800:
        kind = "complex"
    if bits & 0x200:
        kind = "logical"
    return name.decode("latin-1"), tuple(np.frombuffer(shape, order + "i4").tolist()), kind


def check_array(path: Path, name: str, shape: tuple[int, ...], kind: str, most: int) -> None:
    """Refuse an X or y whose header claims another type or shape than SVHN's arrays have."""
    if name == "X":
        if shape[:3] != (32, 32, 3) or len(shape) != 4 or kind != "uint8":
            raise InputError(
                f"X in {path} is a {kind} array of shape {shape}, not uint8 (32, 32, 3, N); "
                f"{remedy(path)}"
            )
        if not 0 < shape[3] <= most:
            raise InputError(
                f"the header of {path} claims {shape[3]} images, which no file of SVHN has; "
                f"{remedy(path)}"
            )
        return
    if kind not in ("double", "single") and "int" not in kind:
        raise InputError(f"y in {path} is a {kind} array, not one of whole numbers; {remedy(path)}")
    if len(shape) != 2 or shape[1] != 1 or not 0 < shape[0] <= most:
        raise InputError(
            f"y in {path} has the shape {shape}, but with N images it must be (N, 1); "
            f"{remedy(path)}"
        )


def read_element(
    path: Path, read: Read, order: str, largest: int, padded: bool = True
) -> tuple[int, bytes]:
    """(type, bytes) of the next element, which is refused if it has more than ``largest`` bytes.

    The padding behind it is read too if ``padded``.
    """
    head = exactly(path, read, 8)
    kind, size = struct.unpack(order + "2I", head)
    content = b""
    if kind >> 16:
        kind, size = kind & 0xFFFF, kind >> 16
        content = head[4 : 4 + size]
    elif size <= largest:
        content = exactly(path, read, size)
        exactly(path, read, -size % 8 if padded else 0)
    if size > largest or len(content) != size:
        raise InputError(f"{path} is damaged: an element of it claims {size} bytes; {remedy(path)}")
    return kind, content


def exactly(path: Path, read: Read, n: int) -> bytes:
    """The next n bytes."""
    content = read(n)
    if len(content) != n:
        raise InputError(
            f"{path} is damaged or cut short: {n} bytes should follow where only {len(content)} do;"
            f" {remedy(path)}"
        )
    return content


def remedy(path: Path) -> str:
    """What to do about a file."""
    return f"download it again from {SOURCE}{path.name}"
