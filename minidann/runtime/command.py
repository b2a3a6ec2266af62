"""What every program needs of the command line: types of options, and one-sentence errors."""

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path

from minidann.runtime.errors import InputError, TrainingError
from minidann.runtime.output import while_read

Main = Callable[[Sequence[str] | None], int | None]


def positive(text: str) -> int:
    """argparse type: an integer of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def finite(text: str) -> float:
    """argparse type: a finite number."""
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number")
    return value


def user_path(text: str) -> Path:
    """argparse type: a path, in which ``~`` is the home folder.

    A shell replaces it at the beginning of a word alone, and not in ``--out=~/runs``.
    """
    return Path(os.path.expanduser(text))


class Stopped(KeyboardInterrupt):
    """Ctrl-C, after the user has been told what had finished and where it is kept."""


def clear_errors(main: Main) -> Callable[..., int | None]:
    """Let a ``main`` answer a user's mistake, a damaged file or a full disk in one sentence.

    The exit status is then 1; after Ctrl-C it is 130. A reader of the output may leave early.
    """

    @wraps(main)
    def wrapped(argv: Sequence[str] | None = None) -> int | None:
        try:
            with while_read():
                return main(argv)
        except (InputError, TrainingError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except Stopped:
            return 130
        except KeyboardInterrupt:
            print("\nStopped before anything was written.", file=sys.stderr)
            return 130

    return wrapped
