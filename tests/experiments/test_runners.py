"""Tasks are executed here, in processes or on a cluster; their outcomes are the same."""

import os
import signal
import sys
import threading
from functools import partial

import pytest
from threadpoolctl import threadpool_info

from minidann.experiments import runners
from minidann.experiments.config import Execution
from minidann.experiments.runners import call, run_tasks
from minidann.runtime.errors import InputError
from minidann.runtime.threads import all_cores, get_num_threads


def look_around(task, row):
    """Where a task finds itself."""
    with all_cores():  # as DANN's methods work
        blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return {
        "row": row,
        "process": os.getpid(),
        "main thread": threading.current_thread() is threading.main_thread(),
        "ignores Ctrl-C": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
        "BLAS threads": max(library["num_threads"] for library in blas),
        "threads": get_num_threads(),
    }


def fail(task, row):
    raise InputError(f"the file of {task} is damaged")


def kill_once(folder, task, row):
    """A task that takes its process with it, the first time."""
    if task == 2 and not (folder / "killed").exists():
        (folder / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 10 * task


def kill_always(task, row):
    os.kill(os.getpid(), signal.SIGKILL)


def test_one_task_has_the_terminal_to_itself():
    assert list(run_tasks(lambda task, row: row, ["a"], Execution())) == [("a", None)]


def test_one_task_needs_no_process_of_its_own():
    ((_, found),) = run_tasks(look_around, ["a"], Execution(jobs=2))
    assert found["process"] == os.getpid() and found["row"] is None


def test_tasks_one_by_one_keep_their_order():
    results = run_tasks(lambda task, row: (task, row), ["a", "b"], Execution())
    assert list(results) == [("a", ("a", 1)), ("b", ("b", 1))]


def test_no_tasks_no_outcomes():
    assert list(run_tasks(fail, [], Execution())) == []


def test_tasks_side_by_side_work_on_one_core_each_and_leave_ctrl_c_to_the_program():
    found = dict(run_tasks(look_around, range(4), Execution(jobs=2)))
    assert sorted(found) == [0, 1, 2, 3]
    assert {one["row"] for one in found.values()} == {1, 2}
    assert {(one["threads"], one["BLAS threads"]) for one in found.values()} == {(1, 1)}
    assert os.getpid() not in {one["process"] for one in found.values()}
    assert all(one["ignores Ctrl-C"] for one in found.values())


def test_tasks_on_a_cluster_work_on_one_core_each_in_threads(cluster):
    found = dict(run_tasks(look_around, range(4), Execution(cluster=cluster.scheduler_address)))
    assert sorted(found) == [0, 1, 2, 3]
    workers = {one.pid for one in cluster.workers.values()}
    assert {one["process"] for one in found.values()} <= workers
    assert {one["row"] for one in found.values()} == {None}  # their terminal is a log
    assert {(one["threads"], one["BLAS threads"]) for one in found.values()} == {(1, 1)}
    assert not any(one["main thread"] or one["ignores Ctrl-C"] for one in found.values())


def test_a_task_whose_worker_is_killed_is_executed_again(cluster, tmp_path):
    execution = Execution(cluster=cluster.scheduler_address)
    found = dict(run_tasks(partial(kill_once, tmp_path), range(5), execution))
    assert found == {task: 10 * task for task in range(5)}
    assert (tmp_path / "killed").exists()


def test_a_task_that_kills_every_worker_is_one_sentence(cluster):
    execution = Execution(cluster=cluster.scheduler_address)
    with pytest.raises(InputError, match=r"ended 2 workers of tcp.* memory") as refused:
        list(run_tasks(kill_always, ["a"], execution))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("where", ["here", "processes", "cluster"])
def test_an_error_of_a_task_is_raised_as_it_is(where, cluster):
    address = cluster.scheduler_address if where == "cluster" else None
    execution = Execution(jobs=2 if where == "processes" else 1, cluster=address)
    with pytest.raises(InputError, match=r"^the file of . is damaged$"):
        list(run_tasks(fail, ["a", "b"], execution))


def test_a_call_goes_where_the_tasks_go(cluster):
    assert call(os.getpid, Execution(jobs=2)) == os.getpid()
    workers = {one.pid for one in cluster.workers.values()}
    assert call(os.getpid, Execution(cluster=cluster.scheduler_address)) in workers


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense"])
def test_a_scheduler_that_does_not_answer_is_one_sentence(address, monkeypatch):
    monkeypatch.setattr(runners, "PATIENCE", 0.2)
    with pytest.raises(InputError, match=f"no Dask scheduler answers at {address}") as refused:
        list(run_tasks(fail, ["a"], Execution(cluster=address)))
    assert "--cluster" in str(refused.value) and "\n" not in str(refused.value)


def test_a_missing_dask_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r'pip install -e "\.\[cluster\]"'):
        list(run_tasks(fail, ["a"], Execution(cluster="tcp://127.0.0.1:1")))


def test_a_cluster_without_workers_is_said_to_be_waited_for(cluster, capsys, monkeypatch):
    execution = Execution(cluster=cluster.scheduler_address)
    call(os.getpid, execution)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("distributed.Client.scheduler_info", lambda client: {"workers": {}})
    call(os.getpid, execution)
    assert f"Waiting for the first worker of {cluster.scheduler_address}" in capsys.readouterr().err
