"""Where the files of the data sets are, and whether they are whole.

A file is searched for in this order, and the first hit wins:

    1. the folder that the caller names
    2. the folder that the environment variable MINIDANN_DATA names
    3. ``datasets/`` in the working directory
    4. the user's cache folder, ``~/.cache/minidann``

A file is checked by its *content*, the arrays or images that it holds: a copy that was compressed
anew passes, a damaged one never does.
"""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minidann.runtime.errors import InputError

PathLike = str | os.PathLike[str]


class File(NamedTuple):
    """A file that users download.

    ``name`` is relative to a data folder, such as ``"mnist/train-images-idx3-ubyte.gz"``.
    ``addresses`` are tried in order. ``sha256`` is the hash of the content, as the loader of the
    data set defines it; "" if it is not known. ``dataset`` is the name that ``python -m
    minidann.data fetch`` has for the data set, if it differs from the name of the folder.
    ``unpacked`` is what the user gets who unpacks the file, an archive, where it lies; it serves as
    well.
    """

    name: str
    addresses: tuple[str, ...]
    sha256: str = ""
    dataset: str = ""
    unpacked: str = ""

    @property
    def candidates(self) -> tuple[str, ...]:
        """The names under which its content may lie in a data folder."""
        names = (self.name, self.name.removesuffix(".gz"), self.unpacked)
        return tuple(dict.fromkeys(filter(None, names)))


def user_cache() -> Path:
    """``~/.cache/minidann``; for a user without a home folder, one that nobody has."""
    try:
        home = Path.home()
    except RuntimeError:  # no HOME, and no entry among the users, as in many containers
        home = Path("/nonexistent")
    return home / ".cache" / "minidann"


def folders(data_dir: PathLike | None = None) -> list[Path]:
    """The folders that are searched, in order."""
    named = [data_dir, os.environ.get("MINIDANN_DATA")]
    standard = [Path("datasets"), user_cache()]
    return [Path(folder) for folder in named if folder] + standard


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
    if data_dir and not Path(data_dir).is_dir():
        raise InputError(
            f"{data_dir} is not a folder; name the one that holds the data sets with --data-dir, "
            "or leave it out"
        )
    for folder in folders(data_dir):
        for candidate in file.candidates:
            if (folder / candidate).exists():
                return folder / candidate
    searched = ", ".join(str(folder) for folder in folders(data_dir))
    dataset = file.dataset or Path(file.name).parts[0]
    remedy = remedy or (
        f"python -m minidann.data fetch {dataset} downloads it from {file.addresses[0]}; "
        "or put it there yourself, name another folder with --data-dir or MINIDANN_DATA, "
        "or run with --data digits, which needs no files"
    )
    raise InputError(f"{file.name} is in none of the data folders ({searched}); {remedy}")


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
    unverified = not file.sha256 or os.environ.get("MINIDANN_VERIFY") == "0"
    if unverified or digest(*content) == file.sha256:
        return
    raise InputError(
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
