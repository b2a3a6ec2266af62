"""Where the files of the data sets are, and whether they are whole.

A file is searched for in this order, and the first hit wins:

    1. the folder that the caller names
    2. the folder that the environment variable MINIDANN_DATA names
    3. ``datasets/`` in the working directory
    4. the user's cache folder, ``~/.cache/minidann``

A file is checked by its *content*, the arrays or images that it holds: a copy that was compressed
anew passes, a damaged one never does. Where the bytes are known, they are checked before anything
parses them.
"""

import bz2
import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidann.runtime.archives import DAMAGE, GZIP, inflated
from minidann.runtime.errors import InputError, in_words
from minidann.runtime.files import open_regular

PathLike = str | os.PathLike[str]


class File(NamedTuple):
    """A file that users download.

    ``name`` is relative to a data folder, such as ``"mnist/train-images-idx3-ubyte.gz"``.
    ``addresses`` are tried in order, those of https first. ``sha256`` is the hash of the content,
    as the loader of the data set defines it; "" if it is not known. ``dataset`` is the name that
    ``python -m minidann.data fetch`` has for the data set, if it differs from the name of the
    folder. ``unpacked`` is what the user gets who unpacks the file, an archive, where it lies; it
    serves as well. ``largest`` is more bytes than any copy of the file has. ``md5`` is the
    published hash of the file's bytes, where no hash of its content is known. ``others`` are the
    names that other sources and libraries give it.
    """

    name: str
    addresses: tuple[str, ...]
    sha256: str = ""
    dataset: str = ""
    unpacked: str = ""
    largest: int = 1 << 31
    md5: str = ""
    others: tuple[str, ...] = ()

    @property
    def candidates(self) -> tuple[str, ...]:
        """The names under which its content may lie in a data folder."""
        names = (self.name, self.name.removesuffix(".gz"), self.unpacked, *self.others)
        return tuple(dict.fromkeys(filter(None, names)))


def user_cache() -> Path:
    """``~/.cache/minidann``; for a user without a home folder, one that nobody has."""
    try:
        home = Path.home()
    except RuntimeError:  # no HOME, and no entry among the users, as in many containers
        home = Path("/nonexistent")
    return home / ".cache" / "minidann"


def folders(data_dir: PathLike | None = None) -> list[Path]:
    """The folders that are searched, in order.

    Raises
    ------
    InputError
        If ``data_dir`` is not a folder.
    """
    if data_dir and not expanded(data_dir).is_dir():
        raise InputError(
            f"{data_dir} is not a folder; name the one that holds the data sets with --data-dir, "
            "or leave it out"
        )
    named = [data_dir, os.environ.get("MINIDANN_DATA")]
    standard = [Path("datasets"), user_cache()]
    return [expanded(folder) for folder in named if folder] + standard


def expanded(path: PathLike) -> Path:
    """The path with the home folder in place of ``~``, which no shell replaces in a variable."""
    return Path(os.path.expanduser(path))


def present(file: File, folder: PathLike) -> Path | None:
    """Path of a file in one folder, under any of its names; None if it is not there."""
    paths = [Path(folder, name) for name in file.candidates]
    there = [path for path in paths if path.exists()]
    # a folder may have the name of the file that is in it
    return next((path for path in there if path.is_file()), there[0] if there else None)


def locate(file: File, data_dir: PathLike | None = None) -> Path | None:
    """Path of a file in the first data folder that has it; None if none does."""
    return next((path for folder in folders(data_dir) if (path := present(file, folder))), None)


def find(file: File, data_dir: PathLike | None = None, *, remedy: str = "") -> Path:
    """Path of a file.

    Parameters
    ----------
    file : File
        One whose name ends in ``.gz`` is also found without it, an archive also unpacked.
    data_dir : path, optional
        Searched first.
    remedy : str
        What to do if it is missing, for the message; by default, to download it.

    Raises
    ------
    InputError
        If the file is in none of the folders, or ``data_dir`` is not a folder.
    """
    if path := locate(file, data_dir):
        return path
    searched = ", ".join(str(folder) for folder in folders(data_dir))
    dataset = file.dataset or Path(file.name).parts[0]
    remedy = remedy or (
        f"python -m minidann.data fetch {dataset} downloads it from {file.addresses[0]}; "
        "or put it there yourself, or name another folder with --data-dir or MINIDANN_DATA"
    )
    raise InputError(f"{file.name} is in none of the data folders ({searched}); {remedy}")


def read(path: Path, largest: int, remedy: str) -> bytes:
    """The bytes of a file, decompressed if they are those of gzip or bzip2, whatever its name.

    A browser may decompress a file that it downloads, and keep the name.

    Raises
    ------
    InputError
        If it is no regular file, cannot be read, is damaged or holds more than ``largest``;
        ``remedy`` ends it.
    """
    try:
        with open_regular(path) as file:
            start = file.peek(3)
            stream: Any = file
            if start.startswith(GZIP):
                stream = inflated(file)
            elif start.startswith(b"BZh"):
                stream = bz2.BZ2File(file)
            content = stream.read(largest + 1)
    except DAMAGE as error:
        raise InputError(f"{path} cannot be read ({in_words(error)}); {remedy}") from error
    if len(content) > largest:
        raise InputError(f"{path} holds more than {largest} bytes; {remedy}")
    return content


def verify(file: File, path: PathLike, *content: np.ndarray | bytes) -> None:
    """Refuse a file whose content is not the published one.

    Parameters
    ----------
    file : File
    path : path
        Where it was read from; for the message.
    content : arrays or bytes
        What it holds, in the form that ``file.sha256`` is the hash of.

    Raises
    ------
    InputError
        If the hash of the content is known and differs.
    """
    if file.sha256 and verifying() and digest(*content) != file.sha256:
        raise unpublished(file, path)


def verify_bytes(file: File, path: Path, remedy: str) -> None:
    """Refuse a file whose bytes are not the published ones, before anything parses them.

    Raises
    ------
    InputError
        If the hash of the bytes is known and differs, or the file cannot be read, with ``remedy``.
    """
    if not file.md5 or not verifying():
        return
    try:
        with open_regular(path) as opened:
            found = hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({in_words(error)}); {remedy}") from error
    if found.hexdigest() != file.md5:
        raise unpublished(file, path)


def verifying() -> bool:
    """Whether the content of files is compared with what was published."""
    return os.environ.get("MINIDANN_VERIFY") != "0"


def unpublished(file: File, path: PathLike) -> InputError:
    """What is said of a file that is whole but not the published one."""
    return InputError(
        f"{path} can be read, but does not hold what was published: its content has another hash; "
        f"download it again from {file.addresses[0]}, "
        "or set MINIDANN_VERIFY=0 if these are data of your own in the same format"
    )


def digest(*content: np.ndarray | bytes) -> str:
    """The SHA-256 of arrays (their bytes in C order) or bytes one after another, in hexadecimal."""
    sha = hashlib.sha256()
    for part in content:
        sha.update(np.ascontiguousarray(part).data if isinstance(part, np.ndarray) else part)
    return sha.hexdigest()
