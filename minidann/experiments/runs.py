"""A task is one network to train and test; a run is what came of it. An experiment is many tasks.

    task = Task("mnist", "usps", "dann", seed=0)
    experiment = Experiment("digits", images.train_and_test, (task,), settings)
    outcomes = conduct(experiment)            {task: Outcome}; results.json and history.csv in out

The tasks are executed side by side or on a cluster (:mod:`minidann.experiments.runners`); the
records are in the order of the tasks all the same.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple, Protocol

from minidann.experiments.checkpoints import SAVING, Saving, read_checkpoint
from minidann.experiments.config import Execution, Settings, one_of
from minidann.experiments.folder import claimed, clear, results_in
from minidann.experiments.records import environment
from minidann.experiments.results import Results
from minidann.experiments.runners import call, run_tasks
from minidann.runtime.command import Stopped
from minidann.runtime.device import transfer_to
from minidann.runtime.errors import TrainingError
from minidann.runtime.files import writable
from minidann.runtime.progress import tell
from minidann.runtime.stops import asked

MOST_TITLES = 8  # of finished runs that are listed one by one
METHODS = {"source": "source only", "target": "trained on target", "dann": "DANN"}


class Titled(Hashable, Protocol):
    """A task of any experiment: a frozen dataclass, picklable, with a title and a name."""

    @property
    def title(self) -> str:
        """What the task is called on the terminal."""

    @property
    def name(self) -> str:
        """What its files are called."""


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

    ``record``: what was asked and what was reached, for results.json; it has ``stopped_at``, the
    step that is kept, if a signal ended the training, and ``failed``, the reason, if the training
    diverged. ``history``: rows for history.csv. ``features``: of some
    test examples, for the figures.
    """

    record: dict[str, Any]
    history: Sequence[dict[str, Any]] = ()
    features: Any = None

    @property
    def stopped(self) -> bool:
        """Whether Ctrl-C or the like ended the training before its last step."""
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


@contextmanager
def begun(settings: Settings, execution: Execution) -> Iterator[None]:
    """A context for all that an experiment does, in which its folder is its own.

    Raises
    ------
    InputError
        One sentence about a folder or a GPU that is not there, or results that are there: now, not
        after an hour of training.
    Stopped
        After Ctrl-C that nobody has spoken about yet.
    """
    if not execution.cluster:  # where the workers have one
        transfer_to(settings.device)
    with claimed(replace(settings, out=writable(settings.out))):
        try:
            yield
        except Stopped:
            raise
        except KeyboardInterrupt:
            if not results_in(settings.out):
                raise
            tell(f"\nStopped. Kept: what is in {settings.out}.")
            raise Stopped(resumable=True) from None


def conduct(experiment: Experiment) -> dict[Any, Outcome]:
    """Execute all tasks; write ``results.json`` and ``history.csv`` whenever one has ended.

    Before the first one begins, the checkpoints of all that go on from one are read.

    Returns
    -------
    dict of task to Outcome
        Those that succeeded, in the order of the tasks. Failed ones are recorded, and said at the
        end.

    Raises
    ------
    InputError
        If a checkpoint is damaged or of another run.
    Stopped
        After Ctrl-C; the user has been told what is kept.
    TrainingError
        If all tasks failed.
    """
    settings, execution = experiment.settings, experiment.execution
    for task in experiment.tasks:
        if resumed := settings.resumed(task):
            read_checkpoint(*resumed)
    results = Results(
        settings.out,
        experiment.program,
        experiment.options,
        experiment.tasks,
        resume=settings.resume,
    )
    settings = _prepare(experiment, results)
    where = settings.absolute() if execution.cluster else settings
    outcomes: dict[Any, Outcome] = {}
    try:
        machine = call(partial(environment, settings.device), execution)
        function = partial(_of_task, experiment.function, where)
        for task, outcome in run_tasks(function, experiment.tasks, execution):
            outcomes[task] = outcome
            results.add(task, outcome.record, outcome.history)
            results.save(machine)
            if execution.jobs == 1 and (outcome.stopped or asked()):
                raise KeyboardInterrupt
        if any(outcome.stopped for outcome in outcomes.values()):
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        tell(f"\nStopped. {_what_is_kept(experiment, outcomes)}")
        raise Stopped(resumable=bool(results_in(settings.out))) from None
    except Exception as error:
        if outcomes or isinstance(error, OSError):
            goes_on = " The same command with --resume goes on." * bool(results_in(settings.out))
            error.add_note(f"{_what_is_kept(experiment, outcomes)}{goes_on}")
        raise
    return _succeeded({task: outcomes[task] for task in experiment.tasks})


def exit_status(experiment: Experiment, outcomes: Mapping) -> int:
    """That of a program: 1 if some of its runs failed."""
    return int(len(outcomes) < len(experiment.tasks))


def _prepare(experiment: Experiment, results: Results) -> Settings:
    """Clear the folder, or say what there is to resume; the settings that hold from now on."""
    settings, tasks = experiment.settings, experiment.tasks
    if settings.overwrite:
        clear(settings.out)
    if not settings.resume:
        return settings
    found = sum(settings.checkpoint_file(task.name).exists() for task in tasks)
    if found < len(tasks):
        what = "none of these runs" if not found else f"only {found} of these {len(tasks)} runs"
        tell(
            f"--resume found checkpoints of {what} in {settings.out}; what has none begins at the "
            "first step."
        )
    if not results.others:
        return settings
    # a network of a run that stays in the record stays beside it
    new = {
        task: name for task, name in settings.models.items() if not (settings.out / name).exists()
    }
    return replace(settings, models=new)


def _succeeded(outcomes: dict[Any, Outcome]) -> dict[Any, Outcome]:
    """The outcomes without those that failed, which are named on the terminal."""
    failed = {
        task: outcome.record["failed"]
        for task, outcome in outcomes.items()
        if "failed" in outcome.record
    }
    if len(failed) == len(outcomes) == 1:
        raise TrainingError(next(iter(failed.values())))
    for task, reason in failed.items():
        tell(f"error: {task.title} failed: {reason}")
    if failed and len(failed) == len(outcomes):
        raise TrainingError(f"all {len(failed)} runs failed")
    return {task: outcome for task, outcome in outcomes.items() if task not in failed}


def _of_task(function: Callable, settings: Settings, task: Titled, row: int | None) -> Outcome:
    """A task as runners execute it: saved as often as is wanted, a divergence as its outcome."""
    saving = Saving(settings.checkpoint_every)
    token = SAVING.set(saving)
    try:
        outcome = function(task, settings, row)
    except TrainingError as error:
        asked_for = asdict(task).items()  # type: ignore[call-overload]
        return Outcome({k: v for k, v in asked_for if v is not None} | {"failed": str(error)})
    finally:
        SAVING.reset(token)
    if outcome.stopped and saving.step is not None:
        outcome.record["stopped_at"] = saving.step
    return outcome


def _what_is_kept(experiment: Experiment, outcomes: Mapping[Titled, Outcome]) -> str:
    """The runs that had finished, those that were ended, and what is kept of all and where."""
    out = experiment.settings.out
    outcomes = {task: outcomes[task] for task in experiment.tasks if task in outcomes}
    finished = [
        task.title
        for task, outcome in outcomes.items()
        if not outcome.stopped and "failed" not in outcome.record
    ]
    if len(finished) > MOST_TITLES:
        finished = [f"{len(finished)} of {len(experiment.tasks)}"]
    ended = [
        f" {task.title} ended after step {outcome.record['stopped_at']} "
        f"of {outcome.record['steps']}."
        for task, outcome in outcomes.items()
        if outcome.stopped
    ]
    saved = any(
        experiment.settings.checkpoint_file(task.name).exists() for task in experiment.tasks
    )
    names = [name for name in ("results.json", "history.csv") if (out / name).exists()]
    kept = [str(out / name) for name in names] + [f"{out / 'checkpoints'}"] * saved
    return (
        f"Runs that had finished: {'; '.join(finished) or 'none'}."
        f"{''.join(ended)} Kept: {' and '.join(kept) or 'nothing'}."
    )
