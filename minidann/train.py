"""The training loop: draw a batch, compute the gradients, take a step.

    history = History(every=100, monitor=lambda: {"target": accuracy_now()})
    fit(dann, Adam(dann.networks), source, target, steps=1000, lam=reversal_strength,
        learning_rate=lambda p: 1e-3, callbacks=[history, ProgressBar()])

Whatever else happens during training is a callback: see :mod:`minidann.callbacks`.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import numpy as np

from minidann.callbacks import BatchStream, Callback, Training, diverged
from minidann.dann import DANN, Losses
from minidann.nn.optimizers import Optimizer
from minidann.runtime.checks import check_labels, check_range
from minidann.runtime.divergence import LOWER, in_forward, in_weights
from minidann.runtime.errors import InputError, TrainingError
from minidann.runtime.preparing import repeated, unless_bytes
from minidann.runtime.threads import all_cores

Schedule = Callable[[float], float]  # of the progress p, 0 <= p < 1
ON_HOST = (float, np.floating)  # what a loss is there; as a tuple it takes no time to ask


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
        Called in this order; see :mod:`minidann.callbacks`. Without a history among them, one is
        added, since it is the history that notices when training diverges.

    Returns
    -------
    Training
        Its ``history`` holds the rows.

    Raises
    ------
    InputError
        If ``steps`` is not positive, the objective is unknown, a schedule's value is not finite, a
        label is not a class of the label head, or the batches hold other arrays than x and y of the
        source and x of the target.
    ValueError
        If the optimizer holds layers that are not the DANN's.
    TrainingError
        If a loss or a weight is no longer finite. It names the step and the layer where the first
        such number arose, and the last checkpoint; on a GPU, the row of the history by which it
        has.
    """
    if steps < 1:
        raise InputError(f"the number of steps is {steps}; it must be at least 1")
    if objective not in OBJECTIVES:
        raise InputError(f"the objective is {objective!r}; choose one of {', '.join(OBJECTIVES)}")
    check_streams(dann, source, target, objective)
    check_optimizer(dann, optimizer)
    if objective == "label":
        lam = no_reversal
    keep_preparation(dann, source, target or source)
    compute_gradients = OBJECTIVES[objective]
    training = Training(dann, optimizer, source, target, steps, tuple(callbacks))
    drawn = Drawn(source), Drawn(target)
    quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore")  # it is reported once
    with all_cores(), quiet, running(training):
        while training.step < steps:
            p = training.p = training.step / steps
            training.lam = schedule_value("lam", lam, p)
            optimizer.learning_rate = schedule_value("learning rate", learning_rate, p)
            training.losses = compute_gradients(dann, *drawn, training.lam)
            if not may_be_finite(training.losses):
                raise origin_of_nan(training, compute_gradients, *drawn)
            optimizer.step()
            training.step += 1
            for callback in training.callbacks:
                callback.after_step(training)
    return training


def dann_gradients(dann, source, target, lam):
    """Draw a batch and set the gradients of L_y and of the reversed L_d."""
    (x_source, y_source), x_target = next(source), target_examples(target)
    return dann.compute_gradients(x_source, y_source, x_target, lam)


def label_gradients(dann, source, target, lam):
    """Draw a batch of the source and set the gradients of L_y."""
    x_source, y_source = next(source)
    return dann.compute_label_gradients(x_source, y_source)


def domain_gradients(dann, source, target, lam):
    """Draw a batch and set the gradients of the reversed L_d."""
    (x_source, _), x_target = next(source), target_examples(target)
    return dann.compute_domain_gradients(x_source, x_target, lam)


def target_examples(target):
    """Draw a batch of the target, which must hold no labels."""
    batch = next(target)
    if len(batch) != 1:
        raise InputError(
            f"a batch of the target holds {len(batch)} arrays; give x alone, for target labels "
            "have no way in"
        )
    return batch[0]


OBJECTIVES = {"dann": dann_gradients, "label": label_gradients, "domain": domain_gradients}


def no_reversal(p):
    """lam of the objective ``"label"``, which has no domain head."""
    return 0.0


@contextmanager
def running(training: Training) -> Iterator[None]:
    """Tell the callbacks that training begins, and that it has ended, however it does."""
    with ExitStack() as stack:
        for callback in training.callbacks:
            stack.callback(callback.end, training)
            callback.begin(training)
        yield


class Drawn:
    """A stream, and the batch that was drawn last, to be looked at if training diverges."""

    def __init__(self, stream: BatchStream | None):
        self._stream, self._batch = stream, ()

    def __next__(self) -> tuple:
        self._batch = next(self._stream)  # type: ignore[arg-type]
        return self._batch

    def again(self) -> Iterator[tuple]:
        """A stream of that batch alone."""
        return iter([self._batch])


def may_be_finite(losses: Losses) -> bool:
    """Whether the losses of a step are finite, as far as that can be known without waiting.

    On a GPU they are not looked at: each step would wait. There the history looks at its rows.
    """
    total = losses.label + losses.domain
    return not isinstance(total, ON_HOST) or math.isfinite(total)


def origin_of_nan(
    training: Training, compute_gradients: Callable, source: Drawn, target: Drawn
) -> TrainingError:
    """What to raise if a loss is not finite, while the weights are those that it came from."""
    step, networks = training.step, training.named_networks()
    origin = in_weights(networks)  # as the step before has left them
    if not origin.what:
        batches = source.again(), target.again()
        step += 1
        origin = in_forward(
            networks, lambda: compute_gradients(training.dann, *batches, training.lam)
        )
        if step == 1 and origin.remedy == LOWER:
            origin = origin._replace(remedy="make the input or the first weights smaller")
    return diverged(training, f"in step {step}", training.losses, origin)


def schedule_value(name: str, schedule: Schedule, p: float) -> float:
    """The schedule at p, which must be a finite number."""
    value = schedule(p)
    if not math.isfinite(value):
        raise InputError(f"{name} is {value} at p = {p:g}; it must be a finite number")
    return float(value)


def keep_preparation(dann: DANN, source: BatchStream, target: BatchStream) -> None:
    """Let the network prepare stored examples as training does; see ``DANN.network_input``."""
    prepares = [getattr(stream, "prepare", None) for stream in (source, target)]
    of_source, of_target = map(repeated, prepares, (source.arrays[0], target.arrays[0]))
    known = dann.prepare or dann.preparation
    if known and of_source is of_target is unless_bytes:
        return  # examples that are prepared already say nothing of how
    dann.prepare = of_source, of_target
    if to_dict := getattr(prepares[1], "to_dict", None):
        dann.preparation = to_dict()


def check_streams(
    dann: DANN, source: BatchStream, target: BatchStream | None, objective: str
) -> None:
    """Refuse batches that are not those of the objective, and labels of no class.

    The labels' range is looked at here on a GPU too, once.
    """
    if len(source.arrays) != 2:
        raise InputError(
            f"the source's batches hold {len(source.arrays)} arrays; give two, x and y"
        )
    if objective != "label" and target is None:
        raise InputError(
            f'the target is None; give its batches, or train by the objective "label" instead of '
            f'"{objective}"'
        )
    if objective == "domain":
        return
    x, y = source.arrays
    example, _ = source.at(slice(0, 1))
    classes = dann.label_head.forward(dann.features.forward(example)).shape[1]
    check_labels(y, len(x), classes, of="source examples")
    check_range(y, classes)


def check_optimizer(dann: DANN, optimizer: Optimizer) -> None:
    """Refuse one that was made of other layers: those of the DANN would stay as they are."""
    if isinstance(optimizer, Optimizer):
        optimizer.check_layers(dann.networks)
