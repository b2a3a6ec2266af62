"""An experiment: records in the order of the tasks, kept whenever one ends, on any runner."""

import csv
import json
import time
from functools import partial
from pathlib import Path

import pytest

from minidann.experiments import runs
from minidann.experiments.config import Execution, Settings
from minidann.experiments.runs import Experiment, Outcome, Task, begin, conduct
from minidann.runtime.command import Stopped
from minidann.runtime.errors import InputError

TASKS = tuple(Task("a", "b", "dann", seed) for seed in range(4))


def answer(task, settings, row):
    """The later a task, the sooner its outcome, where they are executed side by side."""
    time.sleep(0.2 * (3 - task.seed) if row != 1 else 0)
    rows = [task.record() | {"step": step} for step in (1, 2)]
    return Outcome(task.record() | {"steps": 2, "target_class": task.seed / 10}, rows, task.seed)


def stop(stopped, at_once, task, settings, row):
    """What a task does that Ctrl-C ends, with a history so far or at once."""
    if task == stopped and at_once:
        raise KeyboardInterrupt
    if task == stopped:
        return Outcome(task.record() | {"steps": 2, "stopped_at": 1}, [{"seed": 1, "step": 1}])
    return Outcome(task.record() | {"steps": 2}, [{"seed": task.seed, "step": 2}], task.seed)


@pytest.fixture
def experiment(tmp_path):
    def make(function, execution=None):
        settings = Settings(out=tmp_path / "out")
        execution = execution or Execution()
        return Experiment("blobs", function, TASKS, settings, execution, {"steps": 2})

    return make


def record(tmp_path):
    return json.loads((tmp_path / "out/results.json").read_text())


def seeds_in_history(tmp_path):
    with open(tmp_path / "out/history.csv", newline="") as file:
        return [int(row["seed"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize("where", ["here", "processes", "cluster"])
def test_records_are_in_the_order_of_the_tasks_wherever_they_are_executed(
    where, experiment, tmp_path, request
):
    if where == "cluster":
        execution = Execution(cluster=request.getfixturevalue("cluster").scheduler_address)
    else:
        execution = Execution(jobs=1 if where == "here" else 4)
    outcomes = conduct(experiment(answer, execution))
    assert list(outcomes) == list(TASKS)
    assert [outcome.features for outcome in outcomes.values()] == [0, 1, 2, 3]
    written = record(tmp_path)
    assert [run["seed"] for run in written["runs"]] == [0, 1, 2, 3]
    assert written["program"] == "python -m minidann.blobs" and written["options"] == {"steps": 2}
    assert written["environment"] == runs.environment("cpu")
    assert seeds_in_history(tmp_path) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_what_has_ended_is_kept_while_others_go_on(experiment, tmp_path):
    seen = []

    def look(task, settings, row):
        path = tmp_path / "out/results.json"
        seen.append(len(record(tmp_path)["runs"]) if path.exists() else 0)
        return answer(task, settings, row)

    conduct(experiment(look))
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize("at_once", [False, True])
def test_ctrl_c_keeps_what_is_finished_and_says_what_was_going_on(
    at_once, experiment, tmp_path, capsys
):
    with pytest.raises(Stopped):
        conduct(experiment(partial(stop, TASKS[1], at_once)))
    said = capsys.readouterr().err
    assert "Runs that had finished: a to b, DANN, seed 0." in said and "seed 2" not in said
    assert ("a to b, DANN, seed 1 ended after step 1 of 2." in said) != at_once
    assert f"{tmp_path / 'out/results.json'} and {tmp_path / 'out/history.csv'}" in said
    assert seeds_in_history(tmp_path) == ([0] if at_once else [0, 1])


def test_ctrl_c_before_anything_ended_keeps_nothing(experiment, tmp_path, capsys):
    with pytest.raises(Stopped):
        conduct(experiment(partial(stop, TASKS[0], True)))
    said = capsys.readouterr().err
    assert "finished: none." in said and "Kept: nothing." in said
    assert not (tmp_path / "out").exists()


def test_a_cluster_is_given_absolute_paths(experiment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, "call", lambda function, execution: function())
    monkeypatch.setattr(
        runs,
        "run_tasks",
        lambda function, tasks, execution: [(task, function(task, None)) for task in tasks],
    )

    def where(task, settings, row):
        return Outcome(task.record() | {"out": str(settings.out)})

    for cluster, expected in ((None, "here"), ("tcp://a:1", str(tmp_path / "here"))):
        conduct(
            Experiment(
                "x", where, TASKS[:1], Settings(out=Path("here")), Execution(cluster=cluster)
            )
        )
        written = json.loads((tmp_path / "here/results.json").read_text())
        assert written["runs"][0]["out"] == expected


def test_a_gpu_that_is_not_there_is_met_before_any_training(experiment, tmp_path, monkeypatch):
    def none(device):
        raise InputError(f"no {device}")

    monkeypatch.setattr(runs, "transfer_to", none)
    with pytest.raises(InputError, match="no gpu"):
        begin(Settings(out=tmp_path, device="gpu"), Execution())
    begin(
        Settings(out=tmp_path, device="gpu"), Execution(cluster="tcp://a:1")
    )  # it is the workers'


def test_an_unknown_method_is_one_sentence():
    with pytest.raises(InputError, match="method is 'best'; choose one of source, target, dann"):
        Task("a", "b", "best", 0)


def test_a_task_has_a_title_a_name_and_a_record():
    task = Task("mnist", "usps", "source", 3)
    assert task.title == "mnist to usps, source only, seed 3" and task.name == "mnist-usps-source-3"
    assert task.record() == {"source": "mnist", "target": "usps", "method": "source", "seed": 3}
    variant = Task("mnist", "usps", "dann", 3, "no dropout")
    assert variant.title == "mnist to usps, no dropout, seed 3"
    assert variant.name == "mnist-usps-no dropout-3"
    assert variant.record() == task.record() | {"method": "dann", "variant": "no dropout"}
