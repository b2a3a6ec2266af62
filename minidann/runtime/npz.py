"""Arrays in a file: an .npz that nothing has to unpickle, whole or refused.

Beside the arrays stands a SHA-256 of all names, dtypes, shapes and numbers, so that a changed byte
is noticed. Nothing in the file is compressed: what it claims to hold cannot be larger than it is.
:func:`read_npz` reads an .npz that others have written, too.
"""

import hashlib
import io
import math
import os
import zipfile
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np

from minidann.runtime.archives import open_zip, read_zipped
from minidann.runtime.files import replacing
from minidann.runtime.state import State

FINGERPRINT = "sha256"
LARGEST = 8 << 30  # bytes of a file; the largest network of the recipes takes 0.6 GB with its Adam
KINDS = "biufU"  # bool, integers, floats, text
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def save_arrays(path: str | PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays of main memory to a file, whole or not at all.

    Raises
    ------
    ValueError
        If an array holds neither numbers nor text.
    """
    for name, array in arrays.items():
        if array.dtype.kind not in KINDS:
            raise ValueError(
                f"{name} is an array of {array.dtype}, which is neither number nor text"
            )
    sealed: dict[str, Any] = {**arrays, FINGERPRINT: np.array(fingerprint(arrays))}
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **sealed)


def load_arrays(path: str | PathLike, largest: int = LARGEST) -> State:
    """Read a file of :func:`save_arrays` that has at most ``largest`` bytes.

    Raises
    ------
    ValueError
        If it is not such a file, or has been changed since; one sentence, for a message that names
        the file.
    OSError
        If it cannot be opened.
    """
    arrays = read_npz(path, largest)
    seal = arrays.pop(FINGERPRINT, None)
    if seal is None:
        raise ValueError(f"it has no {FINGERPRINT} of its contents")
    if str(seal) != fingerprint(arrays):
        raise ValueError("its contents have been changed since it was written")
    return arrays


def read_npz(path: str | PathLike, largest: int = LARGEST, unpacked: int | None = None) -> State:
    """The arrays of numbers and text in any .npz, read-only; nothing is unpickled.

    Parameters
    ----------
    path : path
    largest : int
        Bytes that the file may have.
    unpacked : int, optional
        Bytes that the arrays may have together, decompressed. Without it nothing may be compressed.

    Raises
    ------
    ValueError
        If it is no such file, damaged or larger; one sentence, for a message that names the file.
    OSError
        If it cannot be opened.
    """
    size = os.stat(path).st_size
    if size > largest:
        raise ValueError(f"it has {size} bytes, more than {largest}")
    try:
        with open_zip(path) as archive:
            members = archive.infolist()
            total = sum(one.file_size for one in members)
            if unpacked is not None and total > unpacked:
                raise ValueError(f"it claims to hold {total} bytes, more than {unpacked}")
            compressed = any(one.compress_type != zipfile.ZIP_STORED for one in members)
            if unpacked is None and (compressed or total > size):
                raise ValueError("it claims to hold more than its own size")
            return {one.filename.removesuffix(".npy"): _read(archive, one) for one in members}
    except (OSError, ValueError):
        raise
    except Exception as error:  # a damaged file can raise nearly anything
        raise ValueError(f"it is not a whole .npz file ({type(error).__name__})") from error


def fingerprint(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of all names, dtypes, shapes and numbers, in hexadecimal."""
    total = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        total.update(repr((name, array.dtype.str, array.shape)).encode())
        total.update(array.tobytes())
    return total.hexdigest()


def _read(archive, member):
    """One array of the archive, read-only; its header is believed only as far as the bytes go."""
    damaged = ValueError(f"{member.filename} is damaged")
    content = read_zipped(archive, member, member.file_size)
    file = io.BytesIO(content)
    try:
        shape, fortran, dtype = HEADERS[np.lib.format.read_magic(file)](file)
    except (KeyError, ValueError) as error:  # NumPy would advise to trust the file
        raise damaged from error
    if dtype.kind not in KINDS or not dtype.itemsize:
        raise ValueError(f"{member.filename} is an array of {dtype}, neither number nor text")
    if min(shape, default=0) < 0 or len(content) - file.tell() != math.prod(shape) * dtype.itemsize:
        raise damaged
    return np.ndarray(shape, dtype, content, file.tell(), order="F" if fortran else "C")
