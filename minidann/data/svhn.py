"""SVHN: colour photographs of house numbers cut into single digits of 32x32 pixels, 73,257 + 26,032 and 531,131 easier ones.

"Format 2" of Netzer et al., *Reading Digits in Natural Images with Unsupervised Feature Learning*,
2011: MATLAB 5 files of two arrays,

    X   uint8 (32, 32, 3, N)    row, column, channel, image; MATLAB stores the first axis fastest
    y   uint8 (N, 1)            the digit, where 10 stands for 0

A MATLAB 5 file is a header of 128 bytes, of which the last four are the version 0x0100 and "MI"
(swapped if little-endian), then elements: a type and a number of bytes, both uint32, and the bytes,
padded to a multiple of 8. (Of up to 4 bytes: the number in the upper half of the type, and the
bytes where the number would be.) An array is an element of type 14, or one of type 15 whose bytes
are that element compressed by zlib; inside it stand four elements:

    flags   uint32: 6 a double ... 9 uint8 ... in the lowest byte, bit 9 true and false, bit 11 complex
    shape   int32, one per axis
    name    characters
    values  of any type of number that holds them

It is read here, not by scipy.io.loadmat: that one crashes Python, rather than raising an error, on
some damaged files. Newer files (version 7.3) are HDF5 under the same name; they are refused.
"""

import os
import struct
import zlib

import numpy as np

from minidann.data.mnist import Digits
from minidann.data.store import File, find
from minidann.runtime.errors import InputError

SOURCE = "http://ufldl.stanford.edu/housenumbers/"
DATASETS = {"train": "svhn", "test": "svhn", "extra": "svhn-extra"}  # what fetches each file
FILES = {
    split: File(f"svhn/{split}_32x32.mat", (f"{SOURCE}{split}_32x32.mat",), dataset=dataset)
    for split, dataset in DATASETS.items()
}
COUNTS = {  # images of 0, 1 ... 9, as published; they stand in for a hash, which nobody has published of the content
    "train": (4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659),
    "test": (1744, 5099, 4149, 2882, 2523, 2384, 1977, 2019, 1660, 1595),
}
EXTRA_IMAGES = 531_131
LARGEST = 700_000  # images; no file of SVHN has more, so a header that claims more is damage
LARGEST_FILE = 1 << 32  # bytes; the pixels of LARGEST images, uncompressed, are half of it
MATLAB_5 = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}
MATRIX, COMPRESSED = 14, 15  # types of elements
NUMBERS = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
}  # NumPy's names of the types of values
CLASSES = {
    1: "cell",
    2: "struct",
    3: "object",
    4: "char",
    5: "sparse",
    6: "double",
    7: "single",
} | {8 + i: f"{'u' if i % 2 else ''}int{8 << i // 2}" for i in range(8)}


def load_svhn(data_dir=None, *, extra=False):
    """SVHN, from ``svhn/train_32x32.mat`` and ``svhn/test_32x32.mat`` of a data folder.

    Parameters
    ----------
    data_dir : path, optional
        Searched before the folders of :mod:`minidann.data.store`.
    extra : bool
        Whether the 531,131 easier images of ``svhn/extra_32x32.mat`` follow the training images.
        They take 1.6 GB, twice that while read.

    Returns
    -------
    Digits
        uint8 images (73257, 32, 32, 3) and (26032, 32, 32, 3), int64 labels 0..9.

    Raises
    ------
    InputError
        If a file is missing, damaged or not in this format.
    """
    train = [read_split(split, data_dir) for split in (("train", "extra") if extra else ("train",))]
    return Digits(*joined(train), *joined([read_split("test", data_dir)]))


def joined(parts):
    """One pair (images, labels) of several, the images (N, 32, 32, 3) in C order."""
    images, labels = zip(*parts)
    together = np.empty((sum(map(len, images)), 32, 32, 3), np.uint8)
    return np.concatenate(images, out=together), np.concatenate(labels)


def read_split(split, data_dir=None):
    """The images, uint8 (N, 32, 32, 3) in MATLAB's order, and the labels, int64 (N,), of "train", "test" or "extra"; verified."""
    path = find(FILES[split], data_dir)
    images, labels = read_mat(path)
    if os.environ.get("MINIDANN_VERIFY") != "0":
        right = (
            len(labels) == EXTRA_IMAGES
            if split == "extra"
            else tuple(np.bincount(labels, minlength=10)) == COUNTS[split]
        )
        if not right:
            raise InputError(
                f"{path} can be read, but does not hold what was published: its {len(labels)} images are not {sum(COUNTS.get(split, [EXTRA_IMAGES]))} of "
                f"the published digits; {remedy(path)}, or set MINIDANN_VERIFY=0 if these are data of your own in the same format"
            )
    return images, labels


def read_mat(path):
    """The images, uint8 (N, 32, 32, 3) as a view in MATLAB's order, and the labels, int64 (N,) of 0..9, of a file.

    Its arrays' names, types and sizes are checked before room is made for them.

    Raises
    ------
    InputError
        If it is unreadable, not MATLAB 5, or not of this layout.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            order = check_header(path, file.read(128), size)
            arrays = dict(read_arrays(path, file, order, size))
    except (OSError, zlib.error, MemoryError) as error:
        raise InputError(f"{path} can not be read ({error}); {remedy(path)}") from error
    if not {"X", "y"} <= set(arrays):
        raise InputError(
            f"{path} holds {', '.join(arrays) or 'nothing'}, not one X (the images) and one y (the labels); {remedy(path)}"
        )
    images, labels = arrays["X"], arrays["y"]
    if len(labels) != images.shape[3]:
        raise InputError(
            f"y in {path} has the shape {labels.shape}, but with {images.shape[3]} images it must be ({images.shape[3]}, 1); {remedy(path)}"
        )
    if not np.isin(labels, np.arange(1, 11)).all():
        wrong = labels[~np.isin(labels, np.arange(1, 11))][0]
        raise InputError(
            f"{path} holds the label {wrong}, but a digit is 1 to 9, or 10 for 0; {remedy(path)}"
        )
    return images.transpose(3, 0, 1, 2), labels.ravel().astype(np.int64) % 10


def check_header(path, header, size):
    """The order of bytes, "<" or ">", of a MATLAB 5 file; refuse any other and one larger than any of SVHN."""
    if header.startswith(b"\x89HDF") or header[124:] in (b"\x00\x02IM", b"\x02\x00MI"):
        raise InputError(
            f"{path} is a MATLAB 7.3 file (HDF5), but SVHN is in MATLAB 5 files; {remedy(path)}"
        )
    if header[124:] not in MATLAB_5:
        raise InputError(f"{path} is not a MATLAB 5 file; {remedy(path)}")
    if size > LARGEST_FILE:
        raise InputError(f"{path} has {size} bytes, more than any file of SVHN; {remedy(path)}")
    return MATLAB_5[header[124:]]


def read_arrays(path, file, order, size):
    """(name, array) of each array of a file of ``size`` bytes that is open behind its header; None in place of one that is not X or y."""
    seen = set()
    while (start := file.tell()) < size:
        kind, length = struct.unpack(order + "2I", exactly(path, file.read, 8))
        if kind not in (MATRIX, COMPRESSED) or start + 8 + length > size:
            raise InputError(
                f"{path} is damaged or cut short: there is no whole array at byte {start}; {remedy(path)}"
            )
        if kind == MATRIX:
            name, array = read_array(path, file.read, order)
            if file.tell() > start + 8 + length:
                raise InputError(
                    f"{path} is damaged: {name!r} is longer than its element; {remedy(path)}"
                )
        else:
            name, array = read_compressed(path, file.read(length), order)
        if name in seen:
            raise InputError(f"{path} holds {name!r} twice; {remedy(path)}")
        seen.add(name)
        yield name, array
        file.seek(start + 8 + length)


def read_compressed(path, content, order):
    """(name, array) of an array in the bytes of a compressed element; never more is decompressed than is asked for."""
    inflater, rest = zlib.decompressobj(), content

    def read(n):
        nonlocal rest
        out = inflater.decompress(rest, n) if n else b""
        rest = inflater.unconsumed_tail
        return out

    if struct.unpack(order + "2I", exactly(path, read, 8))[0] != MATRIX:
        raise InputError(
            f"{path} is damaged: something else than an array is compressed in it; {remedy(path)}"
        )
    name, array = read_array(path, read, order)
    if array is not None and (
        len(read(8)) > 7 or not inflater.eof
    ):  # the end is where zlib compares its checksum
        raise InputError(
            f"{path} is damaged: {name!r} is not as long as its header says; {remedy(path)}"
        )
    return name, array


def read_array(path, read, order):
    """(name, array) of the array whose elements ``read(n)`` gives; None in place of one that is not X or y."""
    _, flags = read_element(path, read, order, 8)
    _, shape = read_element(path, read, order, 256)
    _, name = read_element(path, read, order, 64)
    if len(flags) != 8 or len(shape) % 4:
        raise InputError(
            f"{path} is damaged: the header of an array in it has no flags or no shape; {remedy(path)}"
        )
    (flags,), shape = (
        struct.unpack(order + "I", flags[:4]),
        tuple(np.frombuffer(shape, order + "i4").tolist()),
    )
    name = name.decode("latin-1")
    if name not in ("X", "y"):
        return name, None
    kind = (
        "logical"
        if flags & 0x200
        else "complex"
        if flags & 0x800
        else CLASSES.get(flags & 0xFF, "unknown")
    )
    if name == "X" and (shape[:3] != (32, 32, 3) or len(shape) != 4 or kind != "uint8"):
        raise InputError(
            f"X in {path} is a {kind} array of shape {shape}, not uint8 (32, 32, 3, N); {remedy(path)}"
        )
    if name == "X" and not 0 < shape[3] <= LARGEST:
        raise InputError(
            f"the header of {path} claims {shape[3]} images, which no file of SVHN has; {remedy(path)}"
        )
    if name == "y" and not (kind in ("double", "single") or "int" in kind):
        raise InputError(f"y in {path} is a {kind} array, not one of whole numbers; {remedy(path)}")
    if name == "y" and not (len(shape) == 2 and shape[1] == 1 and 0 < shape[0] <= LARGEST):
        raise InputError(
            f"y in {path} has the shape {shape}, but with N images it must be (N, 1); {remedy(path)}"
        )
    count = int(np.prod(shape, dtype=np.int64))
    stored, values = read_element(
        path, read, order, count * (1 if name == "X" else 8), padded=False
    )
    dtype = np.dtype(order + NUMBERS.get(stored, "V1"))
    if (
        dtype.kind == "V"
        or (name == "X" and dtype != np.uint8)
        or len(values) != count * dtype.itemsize
    ):
        raise InputError(
            f"{path} is damaged: the values of {name} are not {count} numbers of the type that its header says; {remedy(path)}"
        )
    return name, np.frombuffer(values, dtype).reshape(shape, order="F")


def read_element(path, read, order, largest, padded=True):
    """(type, bytes) of the next element, refused if of more than ``largest`` bytes; the padding behind it is read too, or left."""
    head = exactly(path, read, 8)
    kind, size = struct.unpack(order + "2I", head)
    if kind >> 16:
        kind, size = kind & 0xFFFF, kind >> 16
        content = head[4 : 4 + size]
    elif size <= largest:
        content = exactly(path, read, size)
        exactly(path, read, -size % 8 if padded else 0)
    if size > largest or len(content) != size:
        raise InputError(f"{path} is damaged: an element of it claims {size} bytes; {remedy(path)}")
    return kind, content


def exactly(path, read, n):
    """The next n bytes."""
    content = read(n)
    if len(content) != n:
        raise InputError(
            f"{path} is damaged or cut short: {n} bytes should follow where only {len(content)} do; {remedy(path)}"
        )
    return content


def remedy(path):
    """What to do about a file."""
    return f"download it again from {SOURCE}{path.name}"
