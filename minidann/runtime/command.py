"""What every program needs of the command line: types of options, and errors that are one sentence."""

import argparse
import math
import sys
from functools import wraps

from minidann.runtime.errors import InputError, TrainingError


def positive(text):
    """argparse type: an integer of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def finite(text):
    """argparse type: a finite number."""
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number")
    return value


class Stopped(KeyboardInterrupt):
    """Ctrl-C, of which the user has been told what had finished and where it is kept."""


def clear_errors(main):
    """Make a ``main`` end a user's mistake, a damaged file or a full disk with one sentence and exit status 1."""

    @wraps(main)
    def wrapped(argv=None):
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
