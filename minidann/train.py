"""The training loop: draw a batch, compute the gradients, take a step.

    history = History(every=100, monitor=lambda: {"target": accuracy_now()})
    fit(dann, Adam(dann.networks), source, target, steps=1000, lam=reversal_strength,
        learning_rate=lambda p: 1e-3, callbacks=[history, ProgressBar()])

Whatever else happens during training is a callback: an object that is told when training begins,
when a step has been taken and when training ends. They are called in the order in which they are
given, and that order matters: first :class:`AverageWeights`, which changes the weights after the
last step, then :class:`History`, which records what they achieve, then
:class:`minidann.experiments.checkpoints.Checkpoint`, which saves both, last :class:`ProgressBar`.
"""

import csv
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from minidann.dann import DANN, Losses
from minidann.nn.optimizers import Optimizer, WeightAverage
from minidann.runtime.arrays import to_host
from minidann.runtime.errors import InputError, TrainingError
from minidann.runtime.files import replacing
from minidann.runtime.progress import progress_bar
from minidann.runtime.state import State, as_text, check_state, from_text, part, with_prefix
from minidann.runtime.threads import all_cores

if TYPE_CHECKING:
    from tqdm import tqdm

Schedule = Callable[[float], float]  # of the progress p, 0 <= p < 1


class BatchStream(Protocol):
    """What :func:`fit` needs of :class:`minidann.data.Batches`."""

    arrays: tuple

    def __next__(self) -> tuple: ...
    def at(self, rows: Any) -> tuple: ...
    def state_dict(self) -> State: ...
    def load_state_dict(self, state: State) -> None: ...


class Callback:
    """What :func:`fit` tells about training. A subclass overrides the methods that it needs."""

    name: str | None = None  # that its state is saved under; None if it has no ``state_dict``

    def begin(self, training: "Training") -> None:
        """Training begins; a callback may set its state to that of an earlier process."""

    def after_step(self, training: "Training") -> None:
        """``training.step`` steps have been taken."""

    def end(self, training: "Training") -> None:
        """Training has ended, after the last step or by an exception."""


def fit(
    dann: DANN,
    optimizer: Optimizer,
    source: BatchStream,
    target: BatchStream | None,
    *,
    steps: int,
    lam: Schedule,
    learning_rate: Schedule,
    objective: str = "dann",
    callbacks: Iterable[Callback] = (),
) -> "Training":
    """Train a DANN.

    Parameters
    ----------
    dann : DANN
    optimizer : Optimizer
        Holds the networks that the objective trains. Its learning rate is set at each step.
    source : Batches of (x, y)
    target : Batches of (x,)
        May be None for the objective ``"label"``.
    steps : int
        Number of batches.
    lam, learning_rate : function (p) -> float
        Schedules over the progress p = step / steps, 0 <= p < 1.
    objective : str
        ``"dann"``: L_y and the reversed L_d. ``"label"``: L_y alone, no adaptation. ``"domain"``:
        L_d alone.
    callbacks : sequence of Callback
        Called in this order; see the top of this file. Without a :class:`History` among them, one
        is added, since it is the history that notices when training diverges.

    Returns
    -------
    Training
        Its ``history`` holds the rows.

    Raises
    ------
    InputError
        If ``steps`` is not positive, the objective is unknown, a schedule's value is not finite or
        a label is not a class of the label head.
    TrainingError
        If a loss or a weight is no longer finite.
    """
    if steps < 1:
        raise InputError(f"the number of steps is {steps}; it must be at least 1")
    if objective not in OBJECTIVES:
        raise InputError(f"the objective is {objective!r}; choose one of {', '.join(OBJECTIVES)}")
    if objective != "domain":
        check_labels(dann, source)
    if objective == "label":
        lam = no_reversal
    compute_gradients = OBJECTIVES[objective]
    training = Training(dann, optimizer, source, target, steps, tuple(callbacks))
    quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore")  # History reports it once
    with all_cores(), quiet, running(training):
        while training.step < steps:
            p = training.p = training.step / steps
            training.lam = schedule_value("lam", lam, p)
            optimizer.learning_rate = schedule_value("learning rate", learning_rate, p)
            training.losses = compute_gradients(dann, source, target, training.lam)
            optimizer.step()
            training.step += 1
            for callback in training.callbacks:
                callback.after_step(training)
    return training


def dann_gradients(dann, source, target, lam):
    """Draw a batch and set the gradients of L_y and of the reversed L_d."""
    (x_source, y_source), (x_target,) = next(source), next(target)
    return dann.compute_gradients(x_source, y_source, x_target, lam)


def label_gradients(dann, source, target, lam):
    """Draw a batch of the source and set the gradients of L_y."""
    x_source, y_source = next(source)
    return dann.compute_label_gradients(x_source, y_source)


def domain_gradients(dann, source, target, lam):
    """Draw a batch and set the gradients of the reversed L_d."""
    (x_source, _), (x_target,) = next(source), next(target)
    return dann.compute_domain_gradients(x_source, x_target, lam)


OBJECTIVES = {"dann": dann_gradients, "label": label_gradients, "domain": domain_gradients}


def no_reversal(p):
    """lam of the objective ``"label"``, which has no domain head."""
    return 0.0


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

    def state_dict(self) -> State:
        """All that the next step depends on; see :mod:`minidann.runtime.state`."""
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

    def _load(self, state):
        for name, thing in self._parts().items():
            try:
                thing.load_state_dict(part(state, name))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
        self.step = int(state["step"])

    def _parts(self):
        """Whatever has a state, by the name that it is saved under."""
        parts = {"dann": self.dann, "optimizer": self.optimizer, "source": self.source}
        if self.target is not None:
            parts["target"] = self.target
        return parts | {one.name: one for one in self.callbacks if one.name}


@contextmanager
def running(training: Training) -> Iterator[None]:
    """Tell the callbacks that training begins, and that it has ended, however it does."""
    with ExitStack() as stack:
        for callback in training.callbacks:
            stack.callback(callback.end, training)
            callback.begin(training)
        yield


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

    def _restart(self):
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

    def _record(self, training):
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

    def _sums(self):
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
    names = {
        "label_loss": "L_y",
        "domain_loss": "L_d",
        "source_class": "source",
        "target_class": "target",
        "lam": "lam",
    }
    return {shown: f"{row[name]:.3f}" for name, shown in names.items() if row.get(name)}


def schedule_value(name: str, schedule: Schedule, p: float) -> float:
    """The schedule at p, which must be a finite number."""
    value = schedule(p)
    if not math.isfinite(value):
        raise InputError(f"{name} is {value} at p = {p:g}; it must be a finite number")
    return float(value)


def check_finite(training: Training, label_loss: float, domain_loss: float) -> None:
    """Raise a TrainingError unless both losses and all weights are finite numbers."""
    if math.isfinite(label_loss + domain_loss) and finite_weights(training.dann):
        return
    raise TrainingError(
        f"training diverged by step {training.step}: label loss {label_loss:g}, domain loss "
        f"{domain_loss:g}, learning rate {training.learning_rate:.3g}, lam {training.lam:.3g}; "
        "lower one of the last two"
    )


def finite_weights(dann: DANN) -> bool:
    """Whether every parameter is a finite number.

    The losses of the last step do not show what that step did to the weights.
    """
    total = sum(
        array.sum() for network in dann.networks for array in network.params.values()
    )  # infinite or nan if one of them is
    return math.isfinite(float(total))


def check_labels(dann: DANN, source: BatchStream) -> None:
    """Refuse labels that the label head has no unit for.

    They would silently index the wrong logit.
    """
    _, y = source.arrays
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise InputError(
            f"the labels are an array of {y.dtype} of shape {y.shape}; they must be integers, one "
            "for each example"
        )
    example, _ = source.at(slice(0, 1))
    classes = dann.label_head.forward(dann.features.forward(example)).shape[1]
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= classes:
        raise InputError(
            f"the labels run from {low} to {high}, but the label head has units for 0 to "
            f"{classes - 1}; correct the labels or widen the head"
        )
