"""Tasks to outcomes: here one after another, in several processes, or on a Dask cluster.

    for task, outcome in run_tasks(function, tasks, Execution(jobs=2)):         as they come

A function (task, row) and its tasks have to be picklable; neither knows where it is executed.

    jobs = 1        in this process, on all cores
    jobs = N        in N processes at most (:mod:`minidann.experiments.processes`), one BLAS thread
                    each
    cluster         on the workers of a Dask scheduler, which execute tasks in threads: no signal
                    handlers there, and one core a task; a task whose worker is lost is executed
                    again on another one
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from minidann.experiments.config import Execution
from minidann.experiments.processes import in_processes
from minidann.runtime.errors import InputError
from minidann.runtime.progress import progress_bar, tell
from minidann.runtime.threads import set_num_threads

PATIENCE = 20  # seconds that the scheduler has to answer

T = TypeVar("T")
R = TypeVar("R")


def run_tasks(
    function: Callable[[T, int | None], R], tasks: Sequence[T], execution: Execution
) -> Iterator[tuple[T, R]]:
    """Call ``function(task, row)`` for every task.

    Parameters
    ----------
    function : callable
        ``row`` is the line of the terminal for the task's own progress bar; None is the only one.
    tasks : sequence
    execution : Execution

    Yields
    ------
    (task, result)
        As they come. A bar counts them, if there are several tasks.

    Raises
    ------
    InputError
        If the cluster cannot be reached or is lost, or a task ends worker after worker.
    """
    if execution.cluster:
        results = _on_cluster(function, tasks, execution.cluster)
    elif execution.jobs == 1 or len(tasks) == 1:
        results = _one_by_one(function, tasks)
    else:
        results = in_processes(function, tasks, execution.jobs)
    if len(tasks) == 1:
        yield from results
        return
    with progress_bar(len(tasks), "runs", unit="run") as bar:
        for result in results:
            bar.update()
            yield result


def call(function: Callable[[], R], execution: Execution) -> R:
    """``function()`` where the tasks are executed: on a worker of the cluster, or else here."""
    if not execution.cluster:
        return function()
    with _connect(execution.cluster) as client:
        return client.submit(function, pure=False).result()


def _one_by_one(
    function: Callable[[T, int | None], R], tasks: Sequence[T]
) -> Iterator[tuple[T, R]]:
    row = 1 if len(tasks) > 1 else None
    for task in tasks:
        yield task, function(task, row)


def _on_cluster(
    function: Callable[[T, int | None], R], tasks: Sequence[T], address: str
) -> Iterator[tuple[T, R]]:
    with _connect(address) as client:
        from distributed import CancelledError, KilledWorker, as_completed

        def submit(task: T) -> Any:
            return client.submit(_on_worker, function, task, pure=False)

        try:
            for future in as_completed(map(submit, tasks)):
                yield future.result()
        except KilledWorker as error:
            raise InputError(
                f"a task ended {error.allowed_failures + 1} workers of {address} one after another,"
                " perhaps for want of memory; look into the workers' log"
            ) from error
        except CancelledError as error:
            raise InputError(
                f"the Dask scheduler at {address} was lost or restarted; start it again, and give "
                "--resume to go on from the checkpoints"
            ) from error


def _on_worker(function: Callable[[T, None], R], task: T) -> tuple[T, R]:
    """A task in a thread of a worker of the cluster. Its progress goes to the worker's log."""
    set_num_threads(1)  # for good: the worker may have other tasks in other threads
    return task, function(task, None)


@contextmanager
def _connect(address: str) -> Iterator[Any]:
    """A client of the scheduler.

    Raises
    ------
    InputError
        If Dask is not installed here, or no scheduler answers.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise InputError(
            'a cluster needs Dask on this machine: pip install -e ".[cluster]", '
            "or leave --cluster out"
        ) from error
    try:
        client = Client(address, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise InputError(
            f"no Dask scheduler answers at {address} ({error}); "
            "start one, give its address with --cluster, or leave that out"
        ) from error
    with client:
        if not client.scheduler_info()["workers"]:
            tell(f"Waiting for the first worker of {address}.")
        yield client
