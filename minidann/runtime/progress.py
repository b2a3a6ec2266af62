"""How far work has come: a bar on a terminal, lines in a log file.

Nobody may be listening: the terminal is gone, the disk of the log is full. Work goes on all the
same.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

WIDE = 130  # columns that a bar with its losses and accuracies takes
NARROW = "{desc}: {percentage:3.0f}% {elapsed}<{remaining}{postfix}"

if TYPE_CHECKING:
    from tqdm import tqdm


class Careful:
    """A stream to which what cannot be written is lost.

    Parameters
    ----------
    stream : text file, optional
        None, as ``sys.stderr`` is where a program was started without one.
    """

    def __init__(self, stream: IO[str] | None):
        self._stream = stream

    def write(self, text: str) -> int:
        """Write as much as can be written."""
        with suppress(OSError, ValueError, AttributeError):  # full, closed, None
            self._stream.write(text)  # type: ignore[union-attr]
        return len(text)

    def flush(self) -> None:
        """Write what waits in a buffer, if it can be written."""
        with suppress(OSError, ValueError, AttributeError):
            self._stream.flush()  # type: ignore[union-attr]

    def isatty(self) -> bool:
        """Whether it is a terminal that is still there."""
        with suppress(OSError, ValueError, AttributeError):
            return self._stream.isatty()  # type: ignore[union-attr]
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)  # tqdm asks for the encoding and the width


def tell(text: str) -> None:
    """A line for the user, on standard error."""
    stream = Careful(sys.stderr)
    stream.write(f"{text}\n")
    stream.flush()


def settle() -> None:
    """Give up what standard error could not take: Python would end with status 120 over it."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def progress_bar(
    total: int,
    description: str = "",
    row: int | None = None,
    unit: str = "step",
    **options: Any,
) -> tqdm:
    """A bar over ``total`` steps. Into a file it writes a line twice a minute.

    Parameters
    ----------
    total : int
    description : str
        Stands in front.
    row : int, optional
        The line of the terminal, if several bars run at once.
    unit : str
        What is counted.
    **options
        tqdm's own.
    """
    from tqdm import tqdm  # training without a bar needs NumPy alone

    from minidann.runtime.log_lines import LogLines

    stream = Careful(sys.stderr)
    options |= {"total": total, "desc": description, "unit": unit, "file": stream}
    if not stream.isatty():
        return LogLines(**options)
    width = columns()
    if width < WIDE:  # there is no room for a drawing beside the losses and accuracies
        options.setdefault("bar_format", NARROW)
    fitted = {"dynamic_ncols": True} if width else {"ncols": 79, "nrows": 24}
    return tqdm(position=row, leave=row is None, **fitted | options)


def columns() -> int:
    """The width of the terminal; 0 if it does not say, as in a container without one."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        return 0
