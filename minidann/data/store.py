"""Where the files of the data sets are, and how files are written.

A file is looked for in this order, and the first hit wins:

    1. the folder that the caller names
    2. the folder that the environment variable MINIDANN_DATA names
    3. ``datasets/`` in the working directory
    4. the user's cache folder, ``~/.cache/minidann``
"""

import os
from contextlib import contextmanager
from pathlib import Path

from minidann.errors import InputError


def folders(data_dir=None):
    """The folders that are searched, in order."""
    named = [data_dir, os.environ.get("MINIDANN_DATA")]
    return [Path(folder) for folder in named if folder] + [Path("datasets"), Path.home() / ".cache" / "minidann"]


def find(name, source, data_dir=None):
    """Path of the file ``name`` (such as ``"mnist/train-images-idx3-ubyte.gz"``).

    Parameters
    ----------
    name : str
        Relative to a data folder. A name that ends in ``.gz`` is also found without it.
    source : str
        Where a user gets the file; said in the error.
    data_dir : path, optional
        Searched first.

    Raises
    ------
    InputError
        If it is in none of the folders, or ``data_dir`` is no folder.
    """
    if data_dir and not Path(data_dir).is_dir():
        raise InputError(f"{data_dir} is not a folder; name the one that holds the data sets with --data-dir, or leave it out")
    for folder in folders(data_dir):
        for candidate in (name, name.removesuffix(".gz")):
            if (folder / candidate).exists():
                return folder / candidate
    searched = ", ".join(str(folder) for folder in folders(data_dir))
    raise InputError(
        f"{name} is in none of the data folders ({searched}); download it from {source} and put it there, "
        "name another folder with --data-dir or MINIDANN_DATA, or run with --data digits, which needs no files"
    )


@contextmanager
def replacing(path):
    """A path to write to that becomes ``path`` only if all went well; on an error nothing is left behind.

    The temporary file stands beside ``path`` and keeps its suffix, by which some libraries choose the format.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
