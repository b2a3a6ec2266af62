"""How far work has come: a bar on a terminal, lines in a log file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

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
    return tqdm(dynamic_ncols=True, position=row, leave=row is None, **options)
