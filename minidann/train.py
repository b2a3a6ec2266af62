"""The training loop: batches in, gradients, one step of the optimizer; a record and a progress bar beside it."""

import csv
import math
from contextlib import nullcontext

import numpy as np

from minidann.dann import Losses
from minidann.experiments.checkpoints import Training
from minidann.runtime.arrays import to_host
from minidann.runtime.errors import InputError, TrainingError
from minidann.runtime.files import replacing
from minidann.runtime.progress import progress_bar
from minidann.runtime.threads import threads

METHODS = ("dann", "label", "domain")


class History(list):
    """What training recorded: a list of rows, each a dict with the same keys.

    ``step`` steps taken, ``p`` progress of the last of them, its ``lam`` and ``learning_rate``;
    ``label_loss`` and ``domain_loss`` averaged over the steps since the row before; then whatever
    ``fit`` was given to monitor.
    """

    def save(self, path):
        """Write the rows as a CSV file with a header."""
        with replacing(path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(self[0]) if self else ["step"])
            writer.writeheader()
            writer.writerows(self)


def fit(
    dann,
    optimizer,
    source,
    target,
    *,
    steps,
    lam,
    learning_rate,
    method="dann",
    average=None,
    monitor=None,
    every=100,
    history=None,
    bar=None,
    checkpoint=None,
):
    """Train a DANN.

    Parameters
    ----------
    dann : DANN
    optimizer : Optimizer
        Holds the networks that ``method`` trains; its learning rate is set at each step.
    source : Batches of (x, y)
    target : Batches of (x,)
        Not used by the method ``"label"``.
    steps : int
        Number of batches.
    lam, learning_rate : function (p) -> float
        Schedules over the progress p = step / steps, 0 <= p < 1.
    method : str
        ``"dann"``: L_y and the reversed L_d. ``"label"``: L_y alone, no adaptation. ``"domain"``:
        L_d alone.
    average : WeightAverage, optional
        Takes in the weights of the second half of the steps, and replaces the last ones by their
        mean at the end.
    monitor : function () -> dict, optional
        Called at every row of the history; its numbers are recorded and nothing is decided by them.
    every : int
        Steps from one row of the history to the next.
    history : History, optional
        Receives the rows, so that a caller who is interrupted still has them.
    bar : tqdm, optional
        A progress bar to advance by ``steps``; by default one of its own.
    checkpoint : Checkpoint, optional
        Saves the run from time to time, at rows of the history, and may begin it where an earlier
        process was killed.

    Returns
    -------
    History

    Raises
    ------
    InputError
        If ``steps`` is not positive, a schedule's value is not finite or a label is not a class of
        the label head.
    TrainingError
        If a loss or a weight is no longer finite.
    """
    for name, number in (("number of steps", steps), ("number of steps between rows", every)):
        if number < 1:
            raise InputError(f"the {name} is {number}; it must be at least 1")
    if method not in METHODS:
        raise InputError(f"the method is {method!r}; choose one of {', '.join(METHODS)}")
    if method != "domain":
        check_labels(dann, source)
    history = History() if history is None else history
    training = Training(dann, optimizer, source, target, average, history)
    begin = checkpoint.restore(training) if checkpoint else 0
    sums = Losses()
    quiet = np.errstate(
        over="ignore", invalid="ignore", divide="ignore"
    )  # a loss that is not finite is reported below, once
    with threads(), quiet, nullcontext(bar) if bar is not None else progress_bar(steps) as bar:
        bar.update(begin)
        for step in range(begin, steps):
            p = step / steps
            strength = 0.0 if method == "label" else schedule_value("lam", lam, p)
            optimizer.learning_rate = schedule_value("learning rate", learning_rate, p)
            losses = gradients(dann, method, source, target, strength)
            optimizer.step()
            sums = Losses(*(total + loss for total, loss in zip(sums, losses)))
            if average and 2 * (step + 1) > steps:
                average.update()
            done = step + 1
            bar.update()
            if done % every and done < steps:
                continue
            since = (done - 1) % every + 1  # steps since the row before
            label_loss, domain_loss = (float(to_host(total)) / since for total in sums)
            if not (math.isfinite(label_loss + domain_loss) and finite_weights(dann)):
                raise TrainingError(
                    f"training diverged by step {done}: label loss {label_loss:g}, domain loss {domain_loss:g}, "
                    f"learning rate {optimizer.learning_rate:.3g}, lam {strength:.3g}; lower one of the last two"
                )
            last = done == steps
            if average and last:
                average.apply()
            row = {"step": done, "p": p, "lam": strength, "learning_rate": optimizer.learning_rate}
            row |= {"label_loss": label_loss, "domain_loss": domain_loss} | (
                monitor() if monitor else {}
            )
            history.append(row)
            sums = Losses()
            if checkpoint:
                checkpoint.save(training, done, last)
            bar.set_postfix(short(row), refresh=False)
    return history


def gradients(dann, method, source, target, lam):
    """Draw a batch and set the gradients that the method follows."""
    if method == "label":
        return dann.compute_label_gradients(*next(source))
    x_source, y_source = next(source)
    (x_target,) = next(target)
    if method == "domain":
        return dann.compute_domain_gradients(x_source, x_target, lam)
    return dann.compute_gradients(x_source, y_source, x_target, lam)


def schedule_value(name, schedule, p):
    """The schedule at p, which must be a finite number."""
    value = schedule(p)
    if not math.isfinite(value):
        raise InputError(f"{name} is {value} at p = {p:g}; it must be a finite number")
    return float(value)


def finite_weights(dann):
    """Whether every parameter is a finite number: the losses of the last step do not show what that step did."""
    total = sum(
        array.sum() for network in dann.networks for array in network.params.values()
    )  # infinite or nan if one of them is
    return math.isfinite(float(total))


def check_labels(dann, source):
    """Refuse labels that the label head has no unit for: they would index the wrong logit without a word."""
    _, y = source.arrays
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise InputError(
            f"the labels are an array of {y.dtype} of shape {y.shape}; they must be integers, one for each example"
        )
    example, _ = source.at(slice(0, 1))
    classes = dann.label_head.forward(dann.features.forward(example)).shape[1]
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= classes:
        raise InputError(
            f"the labels run from {low} to {high}, but the label head has units for 0 to {classes - 1}; correct the labels or widen the head"
        )


def short(row):
    """The losses and accuracies of a row, for the progress bar."""
    names = {
        "label_loss": "L_y",
        "domain_loss": "L_d",
        "source_class": "source",
        "target_class": "target",
        "lam": "lam",
    }
    return {shown: f"{row[name]:.3f}" for name, shown in names.items() if row.get(name)}
