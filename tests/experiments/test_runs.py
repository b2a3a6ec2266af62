"""An experiment: records in the order of the tasks, kept whenever one ends, on any runner."""

import csv
import json
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from minidann.experiments import runs
from minidann.experiments.checkpoints import Checkpoint
from minidann.experiments.config import Execution, Settings
from minidann.experiments.results import Results
from minidann.experiments.runs import Experiment, Outcome, Task, begun, conduct, exit_status
from minidann.runtime.command import Stopped
from minidann.runtime.errors import InputError, TrainingError
from minidann.runtime.stops import asked, caught

TASKS = tuple(Task("a", "b", "dann", seed) for seed in range(4))


def answer(task, settings, row):
    """The later a task, the sooner its outcome, where they are executed side by side."""
    time.sleep(0.2 * (3 - task.seed) if row != 1 else 0)
    rows = [task.record() | {"step": step} for step in (1, 2)]
    return Outcome(task.record() | {"steps": 2, "target_class": task.seed / 10}, rows, task.seed)


def diverge(bad, task, settings, row):
    """What tasks do of which some diverge."""
    if task.seed in bad:
        raise TrainingError("training diverged by step 3; lower lam")
    return Outcome(task.record() | {"steps": 2}, [task.record() | {"step": 2}], task.seed)


def stop(stopped, at_once, task, settings, row):
    """What a task does that Ctrl-C ends, with a history so far or at once."""
    if task == stopped and at_once:
        raise KeyboardInterrupt
    if task == stopped:
        return Outcome(task.record() | {"steps": 2, "stopped_at": 1}, [{"seed": 1, "step": 1}])
    return Outcome(task.record() | {"steps": 2}, [{"seed": task.seed, "step": 2}], task.seed)


@pytest.fixture
def experiment(tmp_path):
    def make(function, execution=None, tasks=TASKS, asked_for=2, **options):
        settings = Settings(out=tmp_path / "out", **options)
        execution = execution or Execution()
        return Experiment("blobs", function, tasks, settings, execution, {"steps": asked_for})

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
    settings = Settings(out=tmp_path, device="gpu")
    with pytest.raises(InputError, match="no gpu"), begun(settings, Execution()):
        raise AssertionError("it has begun")
    with begun(settings, Execution(cluster="tcp://a:1")):
        pass  # it is the workers'


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


# --- runs that fail


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_that_diverges_is_recorded_and_the_others_go_on(jobs, experiment, tmp_path, capsys):
    done = experiment(partial(diverge, {1}), Execution(jobs=jobs))
    outcomes = conduct(done)
    assert [task.seed for task in outcomes] == [0, 2, 3]
    assert exit_status(done, outcomes) == 1
    runs = record(tmp_path)["runs"]
    assert [run["seed"] for run in runs] == [0, 1, 2, 3]
    assert runs[1]["failed"] == "training diverged by step 3; lower lam"
    assert [run for run in runs if "failed" in run] == [runs[1]]
    said = capsys.readouterr().err
    assert "error: a to b, DANN, seed 1 failed: training diverged by step 3; lower lam" in said


def test_if_all_runs_diverge_nothing_is_written(experiment, tmp_path, capsys):
    with pytest.raises(TrainingError, match=r"^all 4 runs failed$"):
        conduct(experiment(partial(diverge, {0, 1, 2, 3})))
    assert capsys.readouterr().err.count("seed") == 4
    with pytest.raises(TrainingError, match=r"^training diverged by step 3; lower lam$"):
        conduct(experiment(partial(diverge, {0}), tasks=TASKS[:1]))
    assert not (tmp_path / "out").exists()


def test_if_none_fails_the_status_is_0(experiment):
    done = experiment(partial(diverge, ()))
    assert exit_status(done, conduct(done)) == 0


def test_a_full_disk_says_what_is_kept_and_where(experiment, tmp_path):
    def function(task, settings, row):
        if task.seed == 2:
            raise OSError(28, "No space left on device")
        return diverge((), task, settings, row)

    with pytest.raises(OSError) as full:
        conduct(experiment(function))
    (note,) = full.value.__notes__
    assert "finished: a to b, DANN, seed 0; a to b, DANN, seed 1." in note
    assert f"Kept: {tmp_path / 'out/results.json'}" in note and "--resume goes on" in note


# --- signals


def test_a_signal_after_the_last_step_of_a_run_ends_the_program_after_that_run(
    experiment, tmp_path, capsys
):
    def function(task, settings, row):
        if task.seed == 1:
            with suppress(KeyboardInterrupt):  # as train_recipe does it
                signal.raise_signal(signal.SIGTERM)
        return diverge((), task, settings, row)

    with caught():
        with pytest.raises(Stopped) as stopped:
            conduct(experiment(function))
        assert asked() == signal.SIGTERM and stopped.value.resumable
    assert [run["seed"] for run in record(tmp_path)["runs"]] == [0, 1]
    assert "seed 1. Kept" in capsys.readouterr().err


def test_ctrl_c_outside_of_training_says_what_is_kept(experiment, tmp_path, capsys):
    """While figures are drawn, say."""
    one = experiment(partial(diverge, ()))
    with pytest.raises(Stopped) as stopped, begun(one.settings, one.execution):
        conduct(one)
        raise KeyboardInterrupt
    assert stopped.value.resumable and str(tmp_path / "out") in capsys.readouterr().err
    nothing_yet = Settings(out=tmp_path / "other")
    with pytest.raises(KeyboardInterrupt) as stopped, begun(nothing_yet, Execution()):
        raise KeyboardInterrupt
    assert not isinstance(stopped.value, Stopped)


def test_many_finished_runs_are_counted(experiment, capsys):
    tasks = tuple(Task("a", "b", "dann", seed) for seed in range(20))
    with pytest.raises(Stopped):
        conduct(experiment(partial(stop, tasks[15], False), tasks=tasks))
    assert (
        "Runs that had finished: 15 of 20. a to b, DANN, seed 15 ended" in capsys.readouterr().err
    )


# --- earlier results in the folder


def test_another_seed_is_added_to_the_records_that_are_there(experiment, tmp_path):
    conduct(experiment(answer, tasks=TASKS[:1]))
    before = record(tmp_path)
    conduct(experiment(answer, tasks=TASKS[1:2], resume=True))
    written = record(tmp_path)
    assert [run["seed"] for run in written["runs"]] == [0, 1]
    assert written["runs"][0] == before["runs"][0]
    assert seeds_in_history(tmp_path) == [0, 0, 1, 1]
    (earlier,) = written["earlier"]
    assert earlier == {name: before[name] for name in ("options", "finished", "environment")}
    conduct(experiment(answer, tasks=TASKS[2:3], resume=True))
    assert [run["seed"] for run in record(tmp_path)["runs"]] == [0, 1, 2]
    assert len(record(tmp_path)["earlier"]) == 2
    conduct(experiment(answer, resume=True))  # all four of them: one call again
    assert [run["seed"] for run in record(tmp_path)["runs"]] == [0, 1, 2, 3]
    assert "earlier" not in record(tmp_path)


def test_a_run_stays_in_the_record_until_it_has_ended_once_more(experiment, tmp_path):
    conduct(experiment(answer))
    whole = (tmp_path / "out/history.csv").read_bytes()

    def function(task, settings, row):
        assert [run["seed"] for run in record(tmp_path)["runs"]] == [0, 1, 2, 3]
        return answer(task, settings, 1)

    conduct(experiment(function, resume=True))
    assert (tmp_path / "out/history.csv").read_bytes() == whole


def test_runs_of_another_experiment_are_not_mixed_in(experiment, tmp_path):
    conduct(experiment(answer, tasks=TASKS[:1]))
    before = (tmp_path / "out/results.json").read_bytes()
    with pytest.raises(InputError, match=r"another experiment \(steps 2 there, 3 here\)"):
        conduct(experiment(answer, tasks=TASKS[1:2], asked_for=3, resume=True))
    assert (tmp_path / "out/results.json").read_bytes() == before


def test_a_switch_that_an_older_record_does_not_know_was_off(experiment, tmp_path):
    conduct(experiment(answer, tasks=TASKS[:1]))
    written = record(tmp_path)
    program, options = written["program"].rpartition(".")[2], written["options"]
    of_the_other_seed = partial(Results, tmp_path / "out", program, tasks=TASKS[1:2], resume=True)
    with pytest.raises(
        InputError, match=r"another experiment \(negatives False there, True here\)"
    ):
        of_the_other_seed(options=options | {"negatives": True})
    assert len(of_the_other_seed(options=options | {"negatives": False}).others) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"runs": []}', "[" * 100_000, '{"runs": 3}'])
def test_results_that_are_damaged_are_named(text, experiment, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/results.json").write_text(text)
    with pytest.raises(InputError, match=r"results\.json cannot be read as the results") as refused:
        conduct(experiment(answer, resume=True))
    assert "--resume" in str(refused.value) and len(str(refused.value)) < 500


def test_resume_says_what_it_did_not_find(experiment, tmp_path, capsys):
    conduct(experiment(answer, resume=True))
    said = capsys.readouterr().err
    assert f"--resume found checkpoints of none of these runs in {tmp_path / 'out'}" in said
    file = tmp_path / "out/checkpoints" / f"{TASKS[2].name}.npz"
    file.parent.mkdir()
    file.touch()
    conduct(experiment(answer, resume=True))
    assert "only 1 of these 4 runs" in capsys.readouterr().err
    conduct(experiment(answer, tasks=TASKS[2:3], resume=True))
    assert "--resume" not in capsys.readouterr().err


def test_overwrite_begins_with_an_empty_folder(experiment, tmp_path):
    conduct(experiment(answer))
    (tmp_path / "out/model.npz").touch()

    def function(task, settings, row):
        assert not list((tmp_path / "out").iterdir())
        return answer(task, settings, row)

    conduct(experiment(function, tasks=TASKS[:1], overwrite=True))
    assert [run["seed"] for run in record(tmp_path)["runs"]] == [0]


def test_the_network_of_a_run_that_stays_is_not_replaced(experiment, tmp_path):
    saved = []

    def function(task, settings, row):
        saved.append(settings.model_file(task))
        return answer(task, settings, 1)

    out = tmp_path / "out"
    conduct(experiment(function, tasks=TASKS[:1], models={TASKS[0]: "model.npz"}))
    (out / "model.npz").touch()
    conduct(experiment(function, tasks=TASKS[1:2], models={TASKS[1]: "model.npz"}, resume=True))
    conduct(experiment(function, tasks=TASKS[:2], models={TASKS[0]: "model.npz"}, resume=True))
    assert saved == [out / "model.npz", None, out / "model.npz", None]


def test_checkpoints_are_saved_as_often_as_is_wanted(experiment, tmp_path):
    seen = []

    def function(task, settings, row):
        seen.append(Checkpoint(tmp_path / "x.npz", {}).every)
        return answer(task, settings, 1)

    conduct(experiment(function, tasks=TASKS[:1], checkpoint_every=7.5))
    assert seen == [7.5] and Checkpoint(tmp_path / "x.npz", {}).every == 120
