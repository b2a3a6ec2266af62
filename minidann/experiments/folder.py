"""The folder of an experiment: one run at a time, and no results lost in it without a word."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from minidann.experiments.config import Settings
from minidann.runtime.errors import InputError

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

KEPT = ("results.json", "history.csv", "*model.npz", "checkpoints/*.npz")
LOCK = ".lock"


@contextmanager
def claimed(settings: Settings) -> Iterator[None]:
    """A context in which ``settings.out`` is this run's alone.

    Raises
    ------
    InputError
        If another run is using it, or it holds results and neither ``resume`` nor ``overwrite`` is
        wanted.
    """
    with locked(settings.out):
        if not (settings.resume or settings.overwrite):
            refuse_results(settings.out)
        yield


def results_in(folder: Path) -> list[Path]:
    """The records, networks and checkpoints in a folder."""
    return [path for pattern in KEPT for path in sorted(folder.glob(pattern))]


def refuse_results(folder: Path) -> None:
    """Refuse a folder with results, which this run would replace.

    Raises
    ------
    InputError
        Says what is there and the three ways on.
    """
    if found := results_in(folder):
        more = f" and {len(found) - 1} other files" if len(found) > 1 else ""
        raise InputError(
            f"there are results in {folder} already ({found[0].relative_to(folder)}{more}): go on "
            "with them by --resume, replace them by --overwrite, or name another folder with --out"
        )


def clear(folder: Path) -> None:
    """Delete the records, networks and checkpoints of a folder."""
    for path in results_in(folder):
        path.unlink()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A context that one process at a time can be in. It ends with the process, however that ends.

    Where the system or the file system has no locks, there is none.

    Raises
    ------
    InputError
        If another process is in it.
    """
    if fcntl is None:
        yield
        return
    path = folder / LOCK
    with _lock(path) as file:
        with suppress(OSError):  # a full disk: the lock holds all the same
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _lock(path: Path) -> IO[str]:
    """The file of a lock, open and locked."""
    file = open(path, "a+")  # noqa: SIM115 - it stays open as long as the lock is held
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        with file:
            file.seek(0)
            owner = file.read(200).strip() or "of an unknown process"
        raise InputError(
            f"{path.parent} is in use by another run ({owner}); wait until that has ended, or name "
            "another folder with --out"
        ) from error
    except OSError:  # a file system without locks
        return file
    if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
        return file
    file.close()  # the owner before has deleted it since it was opened: that lock is nobody's
    return _lock(path)
