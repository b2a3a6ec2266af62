"""Callbacks: what happens during training besides training, and what they see of it.

:func:`minidann.train.fit` tells each callback when training begins, when a step has been taken and
when training ends, in the order in which they are given. That order matters: first
:class:`AverageWeights`, which changes the weights after the last step, then :class:`History`, which
records what they achieve, then :class:`minidann.experiments.checkpoints.Checkpoint`, which saves
both, last :class:`ProgressBar`.
"""

import csv
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from minidann.dann import DANN, NETWORKS, Losses
from minidann.nn.optimizers import Optimizer, WeightAverage
from minidann.runtime.arrays import to_host
from minidann.runtime.divergence import LOWER, Origin, in_weights
from minidann.runtime.errors import InputError, TrainingError
from minidann.runtime.files import replacing
from minidann.runtime.progress import progress_bar
from minidann.runtime.state import (
    State,
    as_text,
    check_state,
    from_text,
    part,
    with_prefix,
)

if TYPE_CHECKING:
    from tqdm import tqdm


class BatchStream(Protocol):
    """What :func:`minidann.train.fit` needs of :class:`minidann.data.Batches`."""

    arrays: tuple

    def __next__(self) -> tuple: ...
    def at(self, rows: Any) -> tuple: ...
    def state_dict(self) -> State: ...
    def load_state_dict(self, state: State) -> None: ...


class Callback:
    """What :func:`minidann.train.fit` tells about training.

    A subclass overrides the methods that it needs.
    """

    name: str | None = None  # that its state is saved under; None if it has no ``state_dict``

    def begin(self, training: "Training") -> None:
        """Training begins; a callback may set its state to that of an earlier process."""

    def after_step(self, training: "Training") -> None:
        """``training.step`` steps have been taken."""

    def end(self, training: "Training") -> None:
        """Training has ended, after the last step or by an exception."""

    def kept(self) -> str:
        """What of the training is kept on disk, for the message when it diverges; "" if nothing."""
        return ""


@dataclass(eq=False)
class Training:
    """What changes while a network is trained.

    Attributes
    ----------
    step : int
        Steps taken, of ``steps``.
    p, lam : float
        Progress and strength of the reversal of the last step.
    losses : Losses
        Of the last step, on the device.
    """

    dann: DANN
    optimizer: Optimizer
    source: BatchStream
    target: BatchStream | None
    steps: int
    callbacks: tuple[Callback, ...] = ()
    step: int = 0
    p: float = 0.0
    lam: float = 0.0
    losses: Losses = field(default_factory=Losses)

    def __post_init__(self) -> None:
        if not any(isinstance(callback, History) for callback in self.callbacks):
            self.callbacks = (History(), *self.callbacks)

    @property
    def learning_rate(self) -> float:
        """The optimizer's, of the last step."""
        return self.optimizer.learning_rate

    @property
    def history(self) -> "History":
        """The rows that were recorded."""
        return next(callback for callback in self.callbacks if isinstance(callback, History))

    def named_networks(self) -> dict[str, Any]:
        """The networks of ``dann`` by their names."""
        return dict(zip(NETWORKS, self.dann.networks))

    def state_dict(self) -> State:
        """All that the next step depends on; see ``minidann.runtime.state``."""
        state = {"step": np.array(self.step)}
        for name, thing in self._parts().items():
            state |= with_prefix(name, thing.state_dict())
        return state

    def load_state_dict(self, state: State) -> None:
        """The inverse of ``state_dict``; nothing is changed if the state does not fit.

        Raises
        ------
        ValueError
            If the state is not that of such a training.
        """
        before = self.state_dict()
        check_state(state, before)
        if not 0 <= state["step"] <= self.steps:
            raise ValueError(f"step is {state['step']}; it must be from 0 to {self.steps}")
        try:
            self._load(state)
        except ValueError:
            self._load(before)
            raise

    def _load(self, state: State) -> None:
        for name, thing in self._parts().items():
            try:
                thing.load_state_dict(part(state, name))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
        self.step = int(state["step"])

    def _parts(self) -> dict[str, Any]:
        """Whatever has a state, by the name that it is saved under."""
        parts = {"dann": self.dann, "optimizer": self.optimizer, "source": self.source}
        if self.target is not None:
            parts["target"] = self.target
        return parts | {one.name: one for one in self.callbacks if one.name}


class History(Callback, list):
    """What training recorded: a list of rows, each a dict of numbers with the same keys.

    ``step`` steps taken, ``p`` progress of the last of them, its ``lam`` and ``learning_rate``;
    ``label_loss`` and ``domain_loss`` averaged over the steps since the row before; then whatever
    ``monitor`` returns. A caller who is interrupted still has the rows so far.

    Parameters
    ----------
    rows : iterable of dict
        What it begins with.
    every : int
        Steps from one row to the next; the last step always has a row.
    monitor : function () -> dict, optional
        Called at every row; its numbers are recorded and nothing is decided by them.

    Raises
    ------
    InputError
        If ``every`` is not positive.
    TrainingError
        At a row, if a loss or a weight is no longer finite.
    """

    name = "history"

    def __init__(
        self,
        rows: Iterable[dict[str, Any]] = (),
        *,
        every: int = 100,
        monitor: Callable[[], dict[str, Any]] | None = None,
    ):
        super().__init__(rows)
        if every < 1:
            raise InputError(f"the number of steps between rows is {every}; it must be at least 1")
        self.every, self.monitor = every, monitor
        self._restart()

    def _restart(self) -> None:
        self._label_sum = self._domain_sum = 0.0  # over the steps since the last row
        self._count = 0

    def begin(self, training: Training) -> None:
        self._restart()

    def after_step(self, training: Training) -> None:
        label_loss, domain_loss = training.losses
        self._label_sum += label_loss
        self._domain_sum += domain_loss
        self._count += 1
        if training.step % self.every == 0 or training.step == training.steps:
            self._record(training)

    def _record(self, training: Training) -> None:
        label_loss, domain_loss = (total / self._count for total in self._sums())
        check_finite(training, label_loss, domain_loss)
        row = {
            "step": training.step,
            "p": training.p,
            "lam": training.lam,
            "learning_rate": training.learning_rate,
            "label_loss": label_loss,
            "domain_loss": domain_loss,
        }
        self.append(row | (self.monitor() if self.monitor else {}))
        self._restart()

    def _sums(self) -> list[float]:
        return [float(to_host(total)) for total in (self._label_sum, self._domain_sum)]

    def state_dict(self) -> State:
        """The rows as text, and the sums since the last one."""
        return {
            "rows": as_text(list(self)),
            "sums": np.array(self._sums()),
            "count": np.array(self._count),
        }

    def load_state_dict(self, state: State) -> None:
        """The inverse of ``state_dict``.

        Raises
        ------
        ValueError
            If names, shapes or dtypes are not those of ``state_dict()``, or the text is not a list
            of rows.
        """
        check_state(state, self.state_dict())
        rows = from_text(state["rows"])
        if not (isinstance(rows, list) and all(is_row(row) for row in rows)):
            raise ValueError("rows is not a list of rows")
        if state["count"] < 0:
            raise ValueError(f"count is {state['count']}; it must be at least 0")
        self[:] = rows
        # Python's numbers: added to a float32 loss they are float32 again, as they were
        self._label_sum, self._domain_sum = state["sums"].tolist()
        self._count = int(state["count"])

    def save(self, path: str | PathLike) -> None:
        """Write the rows as a CSV file with a header."""
        with replacing(path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(self[0]) if self else ["step"])
            writer.writeheader()
            writer.writerows(self)


def is_row(row: Any) -> bool:
    """Whether a value out of a file can be a row of a history."""
    return isinstance(row, dict) and isinstance(row.get("step"), int)


class AverageWeights(Callback):
    """Replaces the weights of the last step by their mean over the second half of the steps.

    Parameters
    ----------
    average : WeightAverage
        Of the networks that are trained.
    """

    name = "average"

    def __init__(self, average: WeightAverage):
        self.average = average

    def after_step(self, training: Training) -> None:
        if 2 * training.step > training.steps:
            self.average.update()
        if training.step == training.steps:
            self.average.apply()

    def state_dict(self) -> State:
        """See :class:`minidann.nn.optimizers.WeightAverage`."""
        return self.average.state_dict()

    def load_state_dict(self, state: State) -> None:
        """The inverse of ``state_dict``."""
        self.average.load_state_dict(state)


class ProgressBar(Callback):
    """Shows how many steps have been taken, with the losses and accuracies of the latest row.

    Parameters
    ----------
    bar : tqdm, optional
        A bar to advance by the number of steps, which may be part of something longer and stays
        open; by default one of its own.
    """

    def __init__(self, bar: "tqdm | None" = None):
        self.bar: Any = bar
        self._own = bar is None

    def begin(self, training: Training) -> None:
        if self._own:
            self.bar = progress_bar(training.steps)
        self._history, self._rows = training.history, len(training.history)
        self.bar.update(training.step)  # those of an earlier process

    def after_step(self, training: Training) -> None:
        self.bar.update()
        if len(self._history) > self._rows:
            self._rows = len(self._history)
            self.bar.set_postfix(short(self._history[-1]), refresh=False)

    def end(self, training: Training) -> None:
        if self._own and self.bar is not None:
            self.bar.close()


def short(row: dict[str, Any]) -> dict[str, str]:
    """The losses and accuracies of a row, for the progress bar."""
    names = {  # first what a narrow terminal has room for
        "target_class": "target",
        "source_class": "source",
        "label_loss": "L_y",
        "domain_loss": "L_d",
        "lam": "lam",
    }
    return {shown: f"{row[name]:.3f}" for name, shown in names.items() if row.get(name)}


def check_finite(training: Training, label_loss: float, domain_loss: float) -> None:
    """Raise a TrainingError unless both losses and all weights are finite numbers."""
    if math.isfinite(label_loss + domain_loss) and finite_weights(training.dann):
        return
    losses, by = Losses(label_loss, domain_loss), f"by step {training.step}"
    raise diverged(training, by, losses, in_weights(training.named_networks()))


def diverged(training: Training, when: str, losses: Losses, origin: Origin) -> TrainingError:
    """The error that says where, by which settings, what to do, and what is kept."""
    where = f"{origin.what}; " if origin.what else ""
    only_rate = origin.remedy == LOWER and not training.lam
    remedy = "lower the learning rate" if only_rate else origin.remedy
    kept = "".join(f"; {kept}" for one in training.callbacks if (kept := one.kept()))
    return TrainingError(
        f"training diverged {when}: {where}label loss {losses.label:g}, domain loss "
        f"{losses.domain:g}, learning rate {training.learning_rate:.3g}, lam {training.lam:.3g}; "
        f"{remedy}{kept}"
    )


def finite_weights(dann: DANN) -> bool:
    """Whether every parameter is a finite number.

    The losses of the last step do not show what that step did to the weights.
    """
    total = sum(
        array.sum() for network in dann.networks for array in network.params.values()
    )  # infinite or nan if one of them is
    return math.isfinite(float(total))
