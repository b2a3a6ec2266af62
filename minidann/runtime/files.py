"""Files that are written whole or not at all, and read only if they are files.

    .NAME.HOST-PID-TOKEN.SUFFIX     what a save writes to, beside NAME.SUFFIX

A process that was killed while it saved leaves that file behind; the next one that writes there
removes it.
"""

import errno
import os
import platform
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from secrets import token_hex

from minidann.runtime.errors import InputError

HOST = re.sub(r"\W", "_", platform.node(), flags=re.ASCII)[:32] or "host"
TEMPORARY = re.compile(r"\..+\.(\w+)-(\d+)-[0-9a-f]{8}(\.\w+)?", re.ASCII)
FORGOTTEN = 86_400  # seconds; no save takes so long, whatever machine it runs on
ACTIVE: set[str] = set()  # names of what this process is writing to


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path to write to, which becomes ``path`` only if all went well.

    On an error nothing is left behind. The temporary file stands beside ``path`` and keeps its
    suffix, by which some libraries choose the format. The bytes are on the disk before the name is,
    and both are when this returns: after a power cut there is the old file or the new one.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    # threads and machines that share the folder may write the same file at the same time
    temporary = path.with_name(f".{path.stem}.{HOST}-{os.getpid()}-{token_hex(4)}{path.suffix}")
    ACTIVE.add(temporary.name)
    try:
        yield temporary
        _to_disk(temporary)
        os.replace(temporary, path)
        _to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
        ACTIVE.discard(temporary.name)


def _to_disk(path: Path) -> None:
    """Wait until what was written to a file, or which names a folder holds, is on the disk."""
    if path.is_dir() and os.name == "nt":  # Windows opens no folders
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that cannot say
            raise
    finally:
        os.close(handle)


def sweep(folder: Path) -> None:
    """Remove what killed processes were writing to in a folder.

    Nothing of a process that still runs, here or on another machine, is touched.
    """
    with suppress(OSError), os.scandir(folder) as entries:  # no such folder, or no right to list it
        for entry in entries:
            match = TEMPORARY.fullmatch(entry.name)
            if match and entry.name not in ACTIVE:
                with suppress(OSError):  # another process was faster
                    if _abandoned(match[1], int(match[2]), entry):
                        os.unlink(entry)


def _abandoned(host: str, process: int, entry: os.DirEntry) -> bool:
    if time.time() - entry.stat(follow_symlinks=False).st_mtime > FORGOTTEN:
        return True
    if host != HOST or os.name == "nt":  # on Windows os.kill ends the process that it asks for
        return False
    if process == os.getpid():
        return True  # of an earlier process of this number: in a container all have the same
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def open_regular(path: str | os.PathLike) -> BufferedReader:
    """Open a file to read its bytes; a pipe or a device, which may have no end, is refused.

    Raises
    ------
    OSError
        If it cannot be opened, or is not a regular file.
    """
    # without O_NONBLOCK, opening a pipe waits for somebody who writes to it
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags)
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
    raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def read_bytes(path: str | os.PathLike, largest: int) -> bytes:
    """The bytes of a regular file of at most ``largest`` bytes.

    Raises
    ------
    OSError
        If it cannot be opened, or is not a regular file.
    ValueError
        If it has more bytes.
    """
    with open_regular(path) as file:
        content = file.read(min(largest, os.fstat(file.fileno()).st_size) + 1)
    if len(content) > largest:
        raise ValueError(f"it has more than {largest} bytes")
    return content


def writable(folder: Path) -> Path:
    """Make the folder and try to write to it: now, not after an hour of training.

    What a killed process was writing there is removed.

    Raises
    ------
    InputError
        If nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise InputError(
            f"nothing can be written to {folder} ({error.strerror}); choose another folder "
            "with --out"
        ) from error
