"""Recorded runs, run again: what today's code makes of the options that a record holds.

On the machine and with the versions of the record, a run comes out equal to the last digit, unless
the code computes something else than it did. Elsewhere sums are rounded otherwise, and adversarial
training enlarges that. How much, ``minidann.plain()`` shows, which computes the same and rounds
otherwise. On Blobs, label only and domain classifier end with the same accuracies. Of five seeds of
DANN, ``annealed``, one changed in its accuracies of classes, by one point of 300; of five of
tf-dann's DANN deep, whose learning rate is constant, all did, by up to .037 on the target, when the
standard deviation over seeds was .0145. So a run that is rounded otherwise is taken for another
draw of the same training, at worst. Two draws differ with a standard deviation of sqrt(2) sd, and
three of these are allowed:

    an accuracy of one run                  |today - recorded|           <= 3 sqrt(2) sd
    k runs that differ by the seed alone    |mean of the k differences|  <= 3 sqrt(2) sd / sqrt(k)

    sd    over the seeds of the record, but at least .003; with fewer than three of a kind, .02 for
          the accuracies of classes (over seeds of MNIST-M: .001 to .027), and those of domains are
          not judged; .003 for the classes of those that end in the same place

For a recipe that circles around a saddle point this is wide: there the mean over seeds tells.
"""

import json
import math
import statistics
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from minidann.data.registry import find_dataset
from minidann.experiments import images, points, variants
from minidann.experiments.config import ImageSettings, Settings, one_of
from minidann.experiments.image_sets import load_sets
from minidann.experiments.points import BlobsTask
from minidann.experiments.recipes import RECIPES
from minidann.experiments.runs import Outcome, Task, Titled
from minidann.runtime.device import transfer_to
from minidann.runtime.errors import InputError, TrainingError, in_words
from minidann.runtime.files import read_bytes
from minidann.runtime.progress import tell

LARGEST = 1 << 24  # bytes of a results.json
LEAST_SD, UNKNOWN_SD = 0.003, 0.02
ENOUGH = 3  # seeds of a kind, for a standard deviation
# regimes of Blobs that end in the same place however sums are rounded; "DANN" is annealed
STABLE = {"domain classifier", "label only", "DANN"}
OLD_PAIRS = {  # of records whose runs do not name their pair, by --data
    "mnistm": ("mnist", "mnistm"),
    "digits": ("digits", "digits-m"),
}

REDRAWN = {"mnistm", "synth"}  # sets that were other images before records named their commit

Run = Mapping[str, Any]


class Replay(NamedTuple):
    """A recorded run, as it is run again.

    Attributes
    ----------
    record : str
        Its file, as it was named.
    function, task, settings
        What trains and tests it; see :class:`minidann.experiments.runs.Experiment`.
    kind : tuple
        What the runs that differ from it by their seed alone have in common.
    recorded : dict of str to float
        Its accuracies; see :func:`accuracies`.
    sd : dict of str to float
        The standard deviation over seeds of those accuracies that are judged.
    seconds : float
        How long it took.
    """

    record: str
    function: Callable[[Any, Any, int | None], Outcome]
    task: Titled
    settings: Settings
    kind: tuple
    recorded: dict[str, float]
    sd: dict[str, float]
    seconds: float


class Finding(NamedTuple):
    """What came of a run, or of the mean of several: a line of the table.

    The figures are those of the accuracy that is farthest from its record, measured by what it may
    differ by, ``tolerance``; an accuracy that is not judged has none.
    """

    record: str
    run: str
    accuracy: str
    recorded: float
    today: float
    tolerance: float
    verdict: str


def load_record(path: Path) -> dict[str, Any]:
    """Read a ``results.json``.

    Raises
    ------
    InputError
        If the file cannot be read, or is not one.
    """
    try:
        record = json.loads(read_bytes(path, LARGEST))
        if not record["program"].startswith("python -m "):
            raise ValueError(f"its program is {record['program']}")
        if not all(isinstance(record[part], dict) for part in ("options", "environment")):
            raise ValueError("its options and its environment are no tables")
        if not all(isinstance(run["seed"], int) for run in record["runs"]):
            raise ValueError("a seed is not an integer")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else in_words(error)
        raise InputError(
            f"{path} cannot be read as a results.json ({reason}); give files that a program wrote"
        ) from error
    return record


def replays(
    path: Path, *, seeds: int | None = 2, data_dir: str | None = None
) -> tuple[list[Replay], list[str]]:
    """The runs of a record that are to be run again.

    Parameters
    ----------
    path : Path
        Of a ``results.json``.
    seeds : int, optional
        How many of each kind of run, spread evenly over the recorded ones; None for all.
    data_dir : str, optional
        Folder that is searched first for data sets.

    Returns
    -------
    (list of Replay, list of str)
        And sentences about what does not exist any more.

    Raises
    ------
    InputError
        If the record cannot be read.
    """
    record = load_record(path)
    program = record["program"].removeprefix("python -m minidann.")
    found, gone = [], []
    for kind, runs in by_kind(record["runs"]).items():
        measured = [accuracies(run) for run in runs]
        sd = spread_over_seeds(measured, stable=runs[0].get("regime") in STABLE)
        for i in evenly(len(runs), seeds):
            try:
                one_of("program", program, PROGRAMS)
                refuse_redrawn(record, runs[i])
                function, task, settings = PROGRAMS[program](record["options"], runs[i], data_dir)
            except InputError as error:
                sentence = f"{path} holds what does not exist any more: {error}"
                gone += [sentence] if sentence not in gone else []
                break
            seconds = runs[i].get("seconds", 0.0)
            found.append(
                Replay(str(path), function, task, settings, kind, measured[i], sd, seconds)
            )
    return found, gone


def refuse_redrawn(record: Run, run: Run) -> None:
    """Refuse a run on images that its sets do not hold any more.

    Both domains of tf-dann's are binarised, as they were.

    Raises
    ------
    InputError
        Names the set.
    """
    if "commit" in record["environment"] or record["options"].get("recipe") == "tf-dann":
        return
    for name in {run.get("source"), run.get("target"), *run.get("confusion", ())} & REDRAWN:
        raise InputError(
            f"the data set {name} as it was drawn before records named their commit; record it anew"
        )


def by_kind(runs: Iterable[Run]) -> dict[tuple, list[Run]]:
    """Finished runs, together if they differ by the seed alone; by their seeds."""
    kinds: dict[tuple, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run["seed"]):
        if not {"stopped_at", "failed"} & run.keys():
            names = ("recipe", "regime", "source", "target", "method", "variant", "steps")
            kinds.setdefault(tuple(run.get(name) for name in names), []).append(run)
    return kinds


def evenly(n: int, wanted: int | None) -> list[int]:
    """``wanted`` of n indices, the first and the last among them; None is all."""
    wanted = n if wanted is None else wanted
    return sorted({round(i) for i in np.linspace(0, n - 1, min(n, wanted))})


def accuracies(run: Run) -> dict[str, float]:
    """All accuracies of a run by their names, those on other targets as ``mnist_class``."""
    named = {
        name: value
        for name, value in run.items()
        if name.endswith(("_class", "_domain", "_own_statistics"))
    }
    for name, matrix in run.get("confusion", {}).items():
        counts = np.array(matrix)
        named[f"{name}_class"] = float(np.trace(counts) / counts.sum())
    return named


def spread_over_seeds(measured: Sequence[Mapping[str, float]], *, stable: bool) -> dict[str, float]:
    """The standard deviation of each accuracy that is judged, as the module describes it."""
    of_classes = [name for name in measured[0] if not name.endswith("_domain")]
    if len(measured) < ENOUGH:
        sd = dict.fromkeys(of_classes, UNKNOWN_SD)
    else:
        sd = {
            name: max(LEAST_SD, statistics.stdev(values[name] for values in measured))
            for name in measured[0]
        }
    return sd | dict.fromkeys(of_classes, LEAST_SD) if stable else sd


# ----------------------------------------------------------------------------------------------
# from what a record holds to a task


def of_points(options: Run, run: Run, data_dir: str | None) -> tuple:
    """A run of Blobs. Records that name no recipe know tf-dann's alone."""
    task = BlobsTask(run.get("recipe", "tf-dann"), run["regime"], run["seed"])
    return points.train_and_test, task, Settings(**shared(options, run))


def of_images(
    options: Run,
    run: Run,
    data_dir: str | None,
    *,
    function: Callable[[Any, Any, int | None], Outcome] = images.train_and_test,
    variants: Collection[str] = RECIPES,
    recipe: str = "",
) -> tuple:
    """A run on a pair of image sets: what executes it, the variants that it knows, its recipe."""
    source, target = (
        (run["source"], run["target"]) if "source" in run else OLD_PAIRS[options["data"]]
    )
    task = Task(source, target, run["method"], run["seed"], run.get("variant"))
    if task.variant:
        one_of("variant", task.variant, variants)
    tested = tuple(run.get("confusion", [target]))
    for name in (source, target, *tested):
        find_dataset(name)
    settings = ImageSettings(
        recipe=options.get("recipe", recipe),
        limit=options.get("limit"),
        data_dir=data_dir,
        negatives=options.get("negatives", False),
        balance=options.get("balance", False),
        tested=tested,
        **shared(options, run),
    )
    return function, task, settings


def shared(options: Run, run: Run) -> dict[str, Any]:
    """What all settings have; ``out`` is replaced when the run is executed."""
    return {
        "out": Path(),
        "device": options.get("device", "cpu"),
        "steps": run["steps"],
        "batch_size": options.get("batch_size"),
        "lam": options.get("lam"),
    }


PROGRAMS: dict[str, Callable[[Run, Run, str | None], tuple]] = {
    "blobs": of_points,
    "mnistm": of_images,
    "digits": of_images,
    "signs": partial(of_images, recipe="signs"),
    "ablation": partial(
        of_images,
        function=variants.train_and_test,
        variants=variants.VARIANTS,
        recipe="best",
    ),
}


# ----------------------------------------------------------------------------------------------
# running and judging


def check_data(found: Iterable[Replay]) -> None:
    """Meet a file or a GPU that is not there before anything is trained.

    Raises
    ------
    InputError
        One sentence about what is missing.
    """
    for replay in found:
        transfer_to(replay.settings.device)
        if isinstance(replay.settings, ImageSettings) and isinstance(replay.task, Task):
            load_sets((*replay.task.pair, *replay.settings.tested), replay.settings)


def execute(replay: Replay, row: int | None = None) -> dict[str, float]:
    """Train and test once more; the accuracies, which are not numbers if the training diverges.

    Ctrl-C ends it with a KeyboardInterrupt.
    """
    with TemporaryDirectory() as folder:
        settings = replace(replay.settings, out=Path(folder))
        try:
            outcome = replay.function(replay.task, settings, row)
        except TrainingError as error:
            tell(f"{replay.task.title}: {error}")
            return dict.fromkeys(replay.recorded, math.nan)
    if outcome.stopped:
        raise KeyboardInterrupt
    return accuracies(outcome.record)


def judge(pairs: Sequence[tuple[Replay, Mapping[str, float]]]) -> list[Finding]:
    """Compare runs with their records: a Finding for each, and for the mean of each kind.

    The verdict is ``equal``, ``close`` (within what rounding can do) or ``DIFFERS``.
    """
    findings = []
    kinds: dict[tuple, list[tuple[Replay, Mapping[str, float]]]] = {}
    for replay, today in pairs:
        kinds.setdefault((replay.record, replay.kind), []).append((replay, today))
        findings.append(_finding(replay.task.title, [(replay, today)]))
    return findings + [
        _finding(f"mean of {len(of)}: {_of_any_seed(of[0][0].task.title)}", of)
        for of in kinds.values()
        if len(of) > 1
    ]


def _finding(title: str, pairs: Sequence[tuple[Replay, Mapping[str, float]]]) -> Finding:
    first = pairs[0][0]
    judged = {
        name: 3 * math.sqrt(2 / len(pairs)) * sd
        for name, sd in sorted(first.sd.items(), key=lambda item: item[0] != "target_class")
    }
    recorded, today = (
        {name: statistics.fmean(run[name] for run in runs) for name in judged}
        for runs in ([replay.recorded for replay, _ in pairs], [today for _, today in pairs])
    )

    def share(name: str) -> float:
        return abs(today[name] - recorded[name]) / judged[name]

    name = max(judged, key=share)
    equal = all(
        today.get(name) == replay.recorded[name]
        for replay, today in pairs
        for name in replay.recorded
    )
    verdict = "equal" if equal else "close" if share(name) <= 1 else "DIFFERS"
    return Finding(first.record, title, name, recorded[name], today[name], judged[name], verdict)


def _of_any_seed(title: str) -> str:
    return title.rpartition(", seed ")[0]


def table(findings: Sequence[Finding]) -> str:
    """Two lines for each Finding, which fit a terminal of 80 columns."""
    lines = [f"  {'accuracy':<29} {'recorded':>8} {'today':>8} {'may differ by':>14}  verdict"]
    for of in findings:
        figures = f"{of.recorded:>8.4f} {of.today:>8.4f} {of.tolerance:>14.4f}"
        lines += [f"{of.record}: {of.run}", f"  {of.accuracy:<29} {figures}  {of.verdict}"]
    return "\n".join(lines)
