"""The training loop: draw a batch, compute the gradients, take a step.

    history = History(every=100, monitor=lambda: {"target": accuracy_now()})
    fit(dann, Adam(dann.networks), source, target, steps=1000, lam=reversal_strength,
        learning_rate=lambda p: 1e-3, callbacks=[history, ProgressBar()])

Whatever else happens during training is a callback: see :mod:`minidann.callbacks`.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from minidann.callbacks import Callback, History
from minidann.dann import DANN, Losses
from minidann.nn.optimizers import Optimizer
from minidann.runtime.errors import InputError
from minidann.runtime.state import State, check_state, part, with_prefix
from minidann.runtime.threads import all_cores

Schedule = Callable[[float], float]  # of the progress p, 0 <= p < 1


class BatchStream(Protocol):
    """What :func:`fit` needs of :class:`minidann.data.Batches`."""

    arrays: tuple

    def __next__(self) -> tuple: ...
    def at(self, rows: Any) -> tuple: ...
    def state_dict(self) -> State: ...
    def load_state_dict(self, state: State) -> None: ...


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


def schedule_value(name: str, schedule: Schedule, p: float) -> float:
    """The schedule at p, which must be a finite number."""
    value = schedule(p)
    if not math.isfinite(value):
        raise InputError(f"{name} is {value} at p = {p:g}; it must be a finite number")
    return float(value)


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
