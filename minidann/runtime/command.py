"""What every program needs of the command line: types of options, and one-sentence errors."""

import argparse
import math
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from signal import SIGINT

from minidann.runtime.errors import InputError, TrainingError
from minidann.runtime.output import while_read
from minidann.runtime.progress import settle, tell
from minidann.runtime.stops import asked, caught

Main = Callable[[Sequence[str] | None], int | None]
LARGEST_SEED = 2**32 - 1  # what NumPy's older generators take, which scikit-learn draws from
MOST_SEEDS = 100_000


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


def seconds(text: str) -> float:
    """argparse type: a finite number of seconds, at least 0."""
    value = finite(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is not at least 0")
    return value


def seed_number(text: str) -> int:
    """argparse type: the seed of a random generator."""
    value = int(text)
    if not 0 <= value <= LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{value} is not from 0 to {LARGEST_SEED}")
    return value


def seed_count(text: str) -> int:
    """argparse type: how many seeds; so many that all runs can be listed."""
    value = positive(text)
    if value > MOST_SEEDS:
        raise argparse.ArgumentTypeError(f"{value} is more than {MOST_SEEDS}")
    return value


class Stopped(KeyboardInterrupt):
    """Ctrl-C or the like, after the user has been told what had finished and where it is kept.

    Parameters
    ----------
    resumable : bool
        Whether the same command goes on with ``--resume``.
    """

    def __init__(self, resumable: bool = False):
        super().__init__()
        self.resumable = resumable


def clear_errors(main: Main) -> Callable[..., int | None]:
    """Let a ``main`` answer a user's mistake, a damaged file or a full disk in one sentence.

    The exit status is then 1; after Ctrl-C it is 130, after another signal 128 and its number, as
    in a shell. A reader of the output may leave early.
    """

    @wraps(main)
    def wrapped(argv: Sequence[str] | None = None) -> int | None:
        with any_terminal(), caught():
            try:
                with while_read():
                    return main(argv)
            except (InputError, TrainingError, OSError) as error:
                tell("\n".join([f"error: {error}", *getattr(error, "__notes__", ())]))
                return 1
            except Stopped as stop:
                if stop.resumable:
                    given = sys.argv[1:] if argv is None else argv
                    tell(f"To go on: {command_to_resume(main.__module__, given)}")
            except KeyboardInterrupt:
                tell("\nStopped before anything was written.")
            return 128 + (asked() or SIGINT)

    return wrapped


def command_to_resume(program: str, argv: Sequence[str]) -> str:
    """The command line that goes on where a program, such as ``minidann.mnistm``, was stopped."""
    given = [word for word in map(str, argv) if word not in ("--resume", "--overwrite")]
    return shlex.join(["python", "-m", program, *given, "--resume"])


@contextmanager
def any_terminal() -> Iterator[None]:
    """What a program writes can be shown by any terminal, and its figures need no window.

    A letter that the terminal's encoding lacks is written as ``\\xfc``. The backend that a notebook
    names for its own process (MPLBACKEND) may not be installed here.
    """
    before = os.environ.get("MPLBACKEND")
    os.environ["MPLBACKEND"] = "agg"
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        if before is None:
            del os.environ["MPLBACKEND"]
        else:
            os.environ["MPLBACKEND"] = before
        settle()
