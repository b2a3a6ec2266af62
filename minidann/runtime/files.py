"""Files that are written whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from minidann.runtime.errors import InputError


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path to write to, which becomes ``path`` only if all went well.

    On an error nothing is left behind. The temporary file stands beside ``path`` and keeps its
    suffix, by which some libraries choose the format.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # threads and machines that share the folder may write the same file at the same time
    temporary = path.with_name(f".{path.stem}.{os.getpid()}-{token_hex(4)}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def writable(folder: Path) -> Path:
    """Make the folder and try to write to it: now, not after an hour of training.

    Raises
    ------
    InputError
        If nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise InputError(
            f"nothing can be written to {folder} ({error.strerror}); choose another folder "
            "with --out"
        ) from error
