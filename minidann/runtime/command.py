"""What every program needs of the command line: types of options, and one-sentence errors."""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from functools import wraps

from minidann.runtime.errors import InputError, TrainingError

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


class Stopped(KeyboardInterrupt):
    """Ctrl-C, after the user has been told what had finished and where it is kept."""


def clear_errors(main: Main) -> Callable[..., int | None]:
    """Let a ``main`` answer a user's mistake, a damaged file or a full disk in one sentence.

    The exit status is then 1; after Ctrl-C it is 130.
    """

    @wraps(main)
    def wrapped(argv: Sequence[str] | None = None) -> int | None:
        try:
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
