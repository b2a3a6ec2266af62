"""Checkpoints: a training run that is killed goes on where it was, to bit-identical weights.

One file holds all that the next step depends on: the weights and running statistics, what the
optimizer and the weight average remember, the order of the examples and the place in it, the state
of every random generator, and the history so far. It is an .npz of plain arrays with a JSON text
among them; nothing in it is ever unpickled. Arrays are saved from main memory and loaded to where
the network lives, so that a run begun on a GPU can be ended on a CPU.
"""

import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minidann.dann import DANN
from minidann.data.batches import Batches
from minidann.nn import Dropout
from minidann.nn.optimizers import Optimizer, WeightAverage
from minidann.runtime.arrays import to_device_of, to_host
from minidann.runtime.errors import InputError
from minidann.runtime.files import replacing

NOTES = "notes"  # the name of the JSON text in the file


class Training(NamedTuple):
    """What changes while a network is trained."""

    dann: DANN
    optimizer: Optimizer
    source: Batches
    target: Batches | None
    average: WeightAverage | None
    history: list


class Checkpoint:
    """A file that a training run is saved to from time to time.

    Parameters
    ----------
    path : path
        Of the file, ``.npz``. Written whole or not at all.
    run : dict
        Says which run this is, in plain numbers and texts (method, seed, steps ...): a file of
        another run is refused.
    resume : bool
        Whether to go on from the file if it is there; else training starts anew and the file will
        be replaced.
    every : float
        Seconds of training between two saves. Saved is at rows of the history only, and after the
        last step.
    """

    def __init__(self, path, run, *, resume=False, every=120.0):
        self.path, self.run, self.resume, self.every = Path(path), run, resume, every
        self._before = 0.0  # seconds of training in earlier processes
        self._started = self._saved = time.monotonic()

    def seconds(self):
        """Seconds of training so far, those of earlier processes included."""
        return self._before + time.monotonic() - self._started

    def save(self, training, step, last=False):
        """Save the state after ``step`` steps, if it is time to or the last one."""
        if not last and time.monotonic() - self._saved < self.every:
            return
        arrays, generators = state(training)
        notes = {
            "run": self.run,
            "step": step,
            "seconds": self.seconds(),
            "generators": generators,
            "history": list(training.history),
        }
        notes |= {"t": training.optimizer.t, "k": training.average.k if training.average else 0}
        with replacing(self.path) as temporary, open(temporary, "wb") as file:
            np.savez(
                file,
                **{name: to_host(array) for name, array in arrays.items()},
                **{NOTES: np.array(json.dumps(notes, default=plain))},
            )
        self._saved = time.monotonic()

    def restore(self, training):
        """Bring a run that was built anew to the state in the file, if it is to be resumed from one.

        Returns
        -------
        int
            Steps taken so far.

        Raises
        ------
        InputError
            If the file is damaged or of another run.
        """
        if not (self.resume and self.path.exists()):
            return 0
        try:
            with np.load(self.path, allow_pickle=False) as file:
                arrays = dict(file)
            notes = json.loads(str(arrays.pop(NOTES)))
            there, here = notes["run"], self.run
            different = ", ".join(
                f"{key} {there.get(key)} there, {here.get(key)} here"
                for key in there | here
                if there.get(key) != here.get(key)
            )
            if not different:
                check(training, arrays, notes)
        except (
            Exception
        ) as error:  # a damaged file can raise nearly anything; nothing has been changed yet
            what = f"{type(error).__name__}: {error}"
            raise InputError(
                f"{self.path} can not be read as a checkpoint of this run ({what}); delete it, or leave out --resume to start anew"
            ) from error
        if different:
            raise InputError(
                f"{self.path} is the checkpoint of another run ({different}); give the same options, or leave out --resume to start anew"
            )
        put(training, arrays, notes)
        self._before = notes["seconds"]
        return notes["step"]


def state(training):
    """(arrays by name, states of the random generators) of a run."""
    dann, optimizer, _, _, average, _ = training
    arrays = {f"optimizer.{name}": array for name, array in optimizer.state.items()}
    for part, network in zip(("features", "label_head", "domain_head"), dann.networks):
        arrays |= {
            f"{part}.{name}": array for name, array in (network.params | network.state).items()
        }
    if average:
        arrays |= {f"average.{name}": array for name, array in average.state.items()}
    for name, batches in streams(training).items():
        arrays |= {f"{name}.order": batches.order, f"{name}.next": np.array(batches.next)}
    return arrays, [generator.bit_generator.state for generator in generators(training)]


def check(training, arrays, notes):
    """Raise ValueError, or what comes of it, unless arrays and notes are whole and fit this run."""
    for name, array in state(training)[0].items():
        if (
            name not in arrays
            or arrays[name].shape != array.shape
            or arrays[name].dtype.kind != array.dtype.kind
        ):
            raise ValueError(f"it has no {name} of shape {array.shape}")
    for generator, saved in zip(generators(training), notes["generators"], strict=True):
        type(generator.bit_generator)().state = saved  # refuses what is no state
    if not (
        isinstance(notes["history"], list)
        and all(notes[name] >= 0 for name in ("step", "seconds", "t", "k"))
    ):
        raise ValueError("its notes are damaged")


def put(training, arrays, notes):
    """The inverse of ``state``: everything into its place."""
    for name, array in state(training)[0].items():
        if array.ndim:
            array[...] = to_device_of(array, arrays[name])
    for name, batches in streams(training).items():
        batches.next = int(arrays[f"{name}.next"])
    for generator, saved in zip(generators(training), notes["generators"]):
        generator.bit_generator.state = saved
    training.optimizer.t = notes["t"]
    if training.average:
        training.average.k = notes["k"]
    training.history[:] = notes["history"]


def streams(training):
    """The batches by name; the method "label" has no target."""
    return {
        name: batches
        for name, batches in (("source", training.source), ("target", training.target))
        if batches is not None
    }


def generators(training):
    """Every random generator that training draws from: those of the batches and of the dropout layers."""
    dropouts = (
        leaf
        for network in training.dann.networks
        for leaf in network.leaves()
        if isinstance(leaf, Dropout)
    )
    return [drawing.rng for drawing in (*streams(training).values(), *dropouts)]


def plain(value):
    """A numpy number or array as Python's own, for JSON."""
    return value.tolist()
