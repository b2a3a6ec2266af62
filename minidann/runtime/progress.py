"""How far work has come: a bar on a terminal, lines in a log file."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

WIDE = 130  # columns that a bar with its losses and accuracies takes
NARROW = "{desc}: {percentage:3.0f}% {elapsed}<{remaining}{postfix}"

if TYPE_CHECKING:
    from tqdm import tqdm


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

    options |= {"total": total, "desc": description, "unit": unit}
    if not sys.stderr.isatty():
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
