"""A task is one network to train and test; a run is what came of it. An experiment is many tasks.

    task = Task("mnist", "usps", "dann", seed=0)
    experiment = Experiment("digits", images.train_and_test, (task,), settings)
    outcomes = conduct(experiment)            {task: Outcome}; results.json and history.csv in out

The tasks are executed side by side or on a cluster (:mod:`minidann.experiments.runners`); the
records are in the order of the tasks all the same.
"""

import sys
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol

from minidann.experiments.checkpoints import read_checkpoint
from minidann.experiments.config import Execution, Settings, one_of
from minidann.experiments.records import environment, save_history, save_results
from minidann.experiments.runners import call, run_tasks
from minidann.runtime.command import Stopped
from minidann.runtime.device import transfer_to
from minidann.runtime.files import writable

METHODS = {"source": "source only", "target": "trained on target", "dann": "DANN"}


class Titled(Hashable, Protocol):
    """A task of any experiment: hashable, picklable, and with a title."""

    @property
    def title(self) -> str:
        """What the task is called on the terminal."""


@dataclass(frozen=True)
class Task:
    """One network to train and test on a pair of domains.

    Attributes
    ----------
    source, target : str
        Names of data sets.
    method : str
        What is trained on: "source" or "target", the labels of that domain alone; "dann", source
        labels and unlabelled target examples.
    seed : int
        Of weights, batches and dropout.
    variant : str, optional
        Which of several ways of doing that, in an experiment that compares them.

    Raises
    ------
    InputError
        For an unknown method.
    """

    source: str
    target: str
    method: str
    seed: int
    variant: str | None = None

    def __post_init__(self) -> None:
        one_of("method", self.method, METHODS)

    @property
    def pair(self) -> tuple[str, str]:
        """Source and target."""
        return self.source, self.target

    @property
    def title(self) -> str:
        """``mnist to usps, DANN, seed 0``"""
        return f"{' to '.join(self.pair)}, {self.variant or METHODS[self.method]}, seed {self.seed}"

    @property
    def name(self) -> str:
        """``mnist-usps-dann-0``, for the names of its files."""
        return "-".join([*self.pair, self.variant or self.method, str(self.seed)])

    def record(self) -> dict[str, Any]:
        """The fields, for the record; the variant only where there is one."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class Outcome(NamedTuple):
    """What came of a task.

    ``record``: what was asked and what was reached, for results.json; it has ``stopped_at``, a
    step, if Ctrl-C ended the training. ``history``: rows for history.csv. ``features``: of some
    test examples, for the figures.
    """

    record: dict[str, Any]
    history: Sequence[dict[str, Any]] = ()
    features: Any = None

    @property
    def stopped(self) -> bool:
        """Whether Ctrl-C ended the training before its last step."""
        return "stopped_at" in self.record


@dataclass(frozen=True)
class Experiment:
    """What :func:`conduct` carries out.

    Attributes
    ----------
    program : str
        Its name, as in ``python -m minidann.NAME``.
    function : callable (task, settings, row) -> Outcome
        Picklable. ``row`` is the line of the terminal for its progress bar; None is the only one.
    tasks : tuple
    settings : Settings
    execution : Execution
    options : mapping
        What was asked on the command line, for the record.
    """

    program: str
    function: Callable[[Any, Any, int | None], Outcome]
    tasks: tuple[Titled, ...]
    settings: Settings
    execution: Execution = field(default_factory=Execution)
    options: Mapping[str, Any] = field(default_factory=dict)


def begin(settings: Settings, execution: Execution) -> None:
    """Meet a folder or a GPU that is not there now, not after an hour of training.

    Raises
    ------
    InputError
        One sentence about what is missing.
    """
    if not execution.cluster:  # where the workers have one
        transfer_to(settings.device)
    writable(settings.out)


def conduct(experiment: Experiment) -> dict[Any, Outcome]:
    """Execute all tasks; write ``results.json`` and ``history.csv`` whenever one has ended.

    Before the first one begins, the checkpoints of all that go on from one are read.

    Returns
    -------
    dict of task to Outcome
        In the order of the tasks.

    Raises
    ------
    InputError
        If a checkpoint is damaged or of another run.
    Stopped
        After Ctrl-C; the user has been told what is kept.
    """
    settings, execution = experiment.settings, experiment.execution
    for task in experiment.tasks:
        if resumed := settings.resumed(task):
            read_checkpoint(*resumed)
    where = settings.absolute() if execution.cluster else settings
    outcomes: dict[Any, Outcome] = {}
    try:
        machine = call(partial(environment, settings.device), execution)
        function = partial(_of_task, experiment.function, where)
        for task, outcome in run_tasks(function, experiment.tasks, execution):
            outcomes[task] = outcome
            outcomes = {task: outcomes[task] for task in experiment.tasks if task in outcomes}
            _save(experiment, machine, outcomes.values())
            if outcome.stopped:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        print(f"\n{_what_stopped(outcomes, settings)}", file=sys.stderr)
        raise Stopped from None
    return outcomes


def _of_task(function: Callable, settings: Settings, task: Titled, row: int | None) -> Outcome:
    return function(task, settings, row)


def _save(experiment: Experiment, machine: dict, outcomes: Collection[Outcome]) -> None:
    """Write the records and the histories of all outcomes so far."""
    out = experiment.settings.out
    save_results(
        out / "results.json",
        experiment.program,
        experiment.options,
        machine,
        [outcome.record for outcome in outcomes],
    )
    save_history(out / "history.csv", [row for outcome in outcomes for row in outcome.history])


def _what_stopped(outcomes: Mapping[Titled, Outcome], settings: Settings) -> str:
    """What Ctrl-C found: the runs that had finished, the one that it ended, and what is kept."""
    finished = [task.title for task, outcome in outcomes.items() if not outcome.stopped]
    ended = [
        f" {task.title} ended after step {outcome.record['stopped_at']} "
        f"of {outcome.record['steps']}."
        for task, outcome in outcomes.items()
        if outcome.stopped
    ]
    kept = f"{settings.out / 'results.json'} and {settings.out / 'history.csv'}"
    return (
        f"Stopped. Runs that had finished: {'; '.join(finished) or 'none'}."
        f"{''.join(ended)} Kept: {kept if outcomes else 'nothing'}."
    )
