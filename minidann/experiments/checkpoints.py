"""Checkpoints: a training run that is killed goes on where it was, to bit-identical weights.

One file holds all that the next step depends on: the ``state_dict`` of the network, the optimizer,
the batches and the callbacks, each under its name, so that the weights of the first layer are
``"dann.features.0.W"``. A layer or a stream that draws random numbers has its generator in its
state. Arrays are saved from main memory and loaded to where the network lives, so that a run begun
on a GPU can be ended on a CPU.

    checkpoint = Checkpoint("run.npz", {"seed": 3, "steps": 1000}, resume=True)
    fit(..., callbacks=[history, checkpoint, ProgressBar()])
"""

import math
import time
from contextvars import ContextVar
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from minidann.callbacks import Callback, Training, check_finite
from minidann.runtime.arrays import to_host
from minidann.runtime.errors import InputError, in_words
from minidann.runtime.files import sweep
from minidann.runtime.npz import LARGEST, load_arrays, save_arrays
from minidann.runtime.state import State, as_text, check_state, from_text
from minidann.runtime.stops import Held

ROOM = 1 << 26  # bytes of a file beside the arrays of the training: the rows of its history


@dataclass
class Saving:
    """How often the checkpoints of a task are saved, and how far they have come.

    Attributes
    ----------
    every : float
        Seconds of training between two of them.
    step : int, optional
        Of the last one that was saved or read.
    """

    every: float = 120.0
    step: int | None = None


SAVING: ContextVar[Saving | None] = ContextVar("saving", default=None)  # of the task of a program


class Checkpoint(Callback):
    """A file that a training run is saved to from time to time, and before a signal ends it.

    In the main thread of a program Ctrl-C, SIGTERM and SIGHUP wait until the step is over and the
    file is saved; then they do what they would have done at once. A second Ctrl-C does not wait.

    Parameters
    ----------
    path : path
        Of the file, ``.npz``. Written whole or not at all.
    run : dict
        Says which run this is, in plain numbers and texts (objective, seed, steps ...): a file of
        another run is refused.
    resume : bool
        Whether to go on from the file if it is there; else training starts anew and the file will
        be replaced.
    every : float, optional
        Seconds of training between two saves; 120, or what a program was asked for. The last step
        is always saved.

    Raises
    ------
    InputError
        Where training begins, if the file is damaged or of another run.
    OSError
        If the file cannot be written.
    """

    def __init__(
        self,
        path: str | PathLike,
        run: dict[str, Any],
        *,
        resume: bool = False,
        every: float | None = None,
    ):
        self.path, self.run, self.resume = Path(path), run, resume
        self._saving, self._signals = SAVING.get() or Saving(), Held()
        self.every = self._saving.every if every is None else every
        self._before = 0.0  # seconds of training in earlier processes
        self._started = self._saved = time.monotonic()

    def seconds(self) -> float:
        """Seconds of training so far, those of earlier processes included."""
        return self._before + time.monotonic() - self._started

    def begin(self, training: Training) -> None:
        sweep(self.path.parent)
        if self.resume and self.path.exists():
            self.restore(training)
        self._signals.hold()

    def after_step(self, training: Training) -> None:
        stopped, last = self._signals.number is not None, training.step == training.steps
        if stopped or last or time.monotonic() - self._saved >= self.every:
            self.save(training)
        if stopped and not last:
            self._signals.release()

    def end(self, training: Training) -> None:
        self._signals.release()

    def save(self, training: Training) -> None:
        """Write the file now. A training that has diverged is not saved: a TrainingError."""
        check_finite(training, *(float(to_host(loss)) for loss in training.losses))
        save_arrays(self.path, training.state_dict() | _notes(self.run, self.seconds()))
        self._saved, self._saving.step = time.monotonic(), training.step

    def kept(self) -> str:
        """What the file holds, if it is of this training."""
        if self._saved == self._started and not self._before:  # neither written nor read
            return ""
        try:
            return f"{self.path} is whole and holds step {load_arrays(self.path)['step']}"
        except (OSError, ValueError, KeyError):
            return ""

    def restore(self, training: Training) -> None:
        """Bring a training that was built anew to the state in the file.

        Raises
        ------
        InputError
            If the file is damaged or of another run; then nothing has been changed.
        """
        largest = ROOM + 2 * sum(array.nbytes for array in training.state_dict().values())
        state, seconds = read_checkpoint(self.path, self.run, largest)
        try:
            training.load_state_dict(state)
        except ValueError as error:
            raise _unreadable(self.path, error) from error
        self._before, self._saving.step = seconds, training.step


def read_checkpoint(path: Path, run: dict[str, Any], largest: int = LARGEST) -> tuple[State, float]:
    """The state of a training in a file of :class:`Checkpoint`, and the seconds it has taken.

    Raises
    ------
    InputError
        If the file is damaged, has more than ``largest`` bytes or is of another run.
    """
    try:
        state = load_arrays(path, largest)
        expected = _notes(run, 0.0)
        notes = {name: state.pop(name) for name in expected if name in state}
        check_state(notes, expected)
        found, seconds = from_text(notes["run"]), float(notes["seconds"])
        if not (isinstance(found, dict) and 0 <= seconds < math.inf):
            raise ValueError("its description of the run is damaged")
    except (ValueError, OSError) as error:
        raise _unreadable(path, error) from error
    if different := _differences(found, run):
        raise InputError(
            f"{path} is the checkpoint of another run ({different}); give the same "
            "options, or leave out --resume to start anew"
        )
    return state, seconds


def _unreadable(path, error):
    return InputError(
        f"{path} cannot be read as a checkpoint of this run ({in_words(error)}); delete it, or "
        "leave out --resume to start anew"
    )


def _notes(run, seconds):
    """What a file says beside the state of the training."""
    return {"run": as_text(run), "seconds": np.array(seconds)}


def _differences(there, here):
    """What two descriptions of a run do not have in common, in words; empty if they are equal."""
    here = from_text(as_text(here))  # as it would come out of a file: tuples are lists there
    return ", ".join(
        f"{key} {there.get(key)} there, {here.get(key)} here"
        for key in there | here
        if there.get(key) != here.get(key)
    )
