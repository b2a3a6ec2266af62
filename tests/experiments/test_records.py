"""Records: means and spreads, what was asked, and where it was computed."""

import csv
import json
import subprocess
from pathlib import Path

import pytest

import minidann
from minidann.experiments import records
from minidann.experiments.records import environment, save_history, save_results, spread, summarize


def test_summary_is_mean_sample_deviation_and_minimum():
    assert summarize([0.9, 0.8, 1.0]) == {
        "mean": pytest.approx(0.9),
        "sd": pytest.approx(0.1),
        "min": 0.8,
        "n": 3,
    }
    assert summarize([0.5])["sd"] == 0
    assert spread([0.9, 0.8, 1.0]) == "0.9000 +- 0.1000"
    assert spread([0.5]) == "0.5000"


def test_the_record_holds_options_environment_and_runs(tmp_path):
    options = {"steps": 5, "out": tmp_path, "device": "cpu"}
    machine = environment("cpu")
    save_results(tmp_path / "results.json", "blobs", options, machine, [{"seed": 0}])
    record = json.loads((tmp_path / "results.json").read_text())
    assert record["program"] == "python -m minidann.blobs"
    assert record["options"] == {"steps": 5, "out": str(tmp_path), "device": "cpu"}
    assert record["environment"] == machine and record["runs"] == [{"seed": 0}]


def test_the_environment_has_versions_and_device():
    found = environment("cpu")
    assert found["minidann"] == minidann.__version__ and found["device"].startswith("CPU")
    assert {"numpy", "scipy", "python", "machine"} <= found.keys()


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A repository with minidann in it, of one commit."""

    def git(*command):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        return subprocess.run(
            ["git", "-C", tmp_path, *identity, *command], check=True, capture_output=True, text=True
        ).stdout.strip()

    file = tmp_path / "minidann/__init__.py"
    file.parent.mkdir()
    file.write_text("")
    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    git("tag", "v1")
    monkeypatch.setattr(minidann, "__file__", str(file))
    records.commit.cache_clear()
    yield tmp_path, git("rev-parse", "HEAD")
    records.commit.cache_clear()


def test_the_commit_of_a_clone_is_recorded(clone):
    folder, commit = clone
    assert records.commit() == commit and environment("cpu")["commit"] == commit
    records.commit.cache_clear()
    (folder / "minidann/__init__.py").write_text("changed")
    assert records.commit() == f"{commit}-dirty"


def test_an_installed_copy_within_another_repository_has_no_commit(clone, monkeypatch):
    folder, _ = clone
    installed = folder / "venv/minidann/__init__.py"
    installed.parent.mkdir(parents=True)
    monkeypatch.setattr(minidann, "__file__", str(installed))
    assert records.commit() == "" and "commit" not in environment("cpu")


def test_a_machine_without_git_has_no_commit(clone, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert records.commit() == ""


def test_a_column_that_some_rows_lack_is_empty_there(tmp_path):
    save_history(tmp_path / "history.csv", [{"step": 1}, {"step": 1, "variant": "other"}])
    assert (tmp_path / "history.csv").read_text().split() == ["step,variant", "1,", "1,other"]


@pytest.mark.parametrize("rows", [[], [{"seed": 0, "step": 1}, {"seed": 1, "step": 1}]])
def test_a_history_is_a_table_with_a_header(rows, tmp_path):
    path = Path(tmp_path / "new/history.csv")
    save_history(path, rows)
    with open(path, newline="") as file:
        reader = csv.DictReader(file)
        assert [{key: int(value) for key, value in row.items()} for row in reader] == rows
    assert reader.fieldnames == (["seed", "step"] if rows else ["step"])
