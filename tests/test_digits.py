"""The program for any pair of digit sets, run as a command on small files in the real formats."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from minidann import digits
from minidann.adaptation import Outcome, Task
from minidann.train import History


def program(*options, **environment):
    command = [sys.executable, "-m", "minidann.digits", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


def records(folder):
    return json.loads((folder / "results.json").read_text())["runs"]


def tasks(options):
    args = digits.parse(options)
    return [task[:] for task in digits.plan(args, digits.pairs(args, digits.NAMES))]


def test_each_source_goes_to_each_target_and_is_trained_alone_only_once():
    planned = tasks(["--source", "mnist", "usps", "--target", "usps", "mnistm", "--seeds", "2"])
    assert planned == [
        *(("mnist", "usps", "source", seed) for seed in (0, 1)),
        *(("usps", "mnistm", "source", seed) for seed in (0, 1)),
        *(("mnist", "usps", "target", seed) for seed in (0, 1)),
        *(("mnist", "mnistm", "target", seed) for seed in (0, 1)),
        *(("mnist", "usps", "dann", seed) for seed in (0, 1)),
        *(("mnist", "mnistm", "dann", seed) for seed in (0, 1)),
        *(("usps", "mnistm", "dann", seed) for seed in (0, 1)),
    ]


def test_the_matrix_has_every_pair_and_trains_each_source_once():
    planned = tasks(["--matrix"])
    assert sum(task[2] == "dann" for task in planned) == 5 * 4
    assert [task[0] for task in planned if task[2] == "source"] == list(digits.NAMES)
    assert not any(task[2] == "target" for task in planned)


@pytest.mark.parametrize("recipe", ["svhn", "pseudo"])
def test_svhn_to_mnist_by_other_recipes(recipe, small_data, tmp_path):
    options = (
        "--source",
        "svhn",
        "--target",
        "mnist",
        "--recipe",
        recipe,
        "--method",
        "dann",
        "--steps",
        1,
        "--batch-size",
        2,
    )
    result = program(*options, "--out", tmp_path, MINIDANN_DATA=str(small_data))
    assert result.returncode == 0, result.stderr
    (record,) = records(tmp_path)
    assert (
        record["source"] == "svhn"
        and record["target"] == "mnist"
        and np.sum(record["confusion"]["mnist"]) == 48
    )
    assert json.loads((tmp_path / "results.json").read_text())["options"]["recipe"] == recipe


def test_a_pair_has_its_three_methods_and_its_figures(small_data, tmp_path):
    options = ("--source", "mnist", "--target", "usps", "mnistm", "--steps", 2, "--batch-size", 8)
    result = program(*options, "--out", tmp_path, MINIDANN_DATA=str(small_data))
    assert result.returncode == 0, result.stderr
    assert [(r["target"], r["method"]) for r in records(tmp_path)] == [
        ("usps", "source"),
        ("usps", "target"),
        ("mnistm", "target"),
        ("usps", "dann"),
        ("mnistm", "dann"),
    ]
    for pair in ("mnist to usps", "mnist to mnistm"):
        assert all(
            f"{pair}, {method}" in result.stdout
            for method in ("source only", "trained on target", "DANN")
        )
        for figure in ("data", "curves", "embedding", "confusion"):
            assert (
                (tmp_path / f"{pair.replace(' to ', '-')}-{figure}.png")
                .read_bytes()
                .startswith(b"\x89PNG")
            )


def test_the_matrix_goes_without_what_is_not_there(small_data, tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("mnist", "usps"):
        (tmp_path / "data" / name).symlink_to(small_data / name)
    options = (
        "--matrix",
        "--steps",
        1,
        "--batch-size",
        4,
        "--limit",
        16,
        "--method",
        "source",
        "--out",
        tmp_path / "out",
    )
    result = program(*options, MINIDANN_DATA=str(tmp_path / "data"), HOME=str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert "Without svhn:" in result.stderr and "Without mnistm:" in result.stderr
    assert result.stdout.splitlines()[1].split() == ["trained", "on", "mnist", "synth", "usps"]
    assert list((tmp_path / "out").glob("*.png"))


def test_the_matrix_reads_sources_down_and_targets_across():
    def outcome(task, **shares):
        counts = {
            name: [[right, 100 - right] + 8 * [0]] + 9 * [10 * [0]]
            for name, right in shares.items()
        }
        return Outcome(task._asdict() | {"confusion": counts}, History(), {})

    outcomes = {
        task: outcome(task, **shares)
        for task, shares in (
            (Task("mnist", "usps", "source", 0), {"mnist": 99, "usps": 80}),
            (Task("usps", "mnist", "source", 0), {"mnist": 60, "usps": 97}),
            (Task("mnist", "usps", "dann", 0), {"usps": 90}),
            (Task("usps", "mnist", "dann", 0), {"mnist": 70}),
        )
    }
    rows = [line.split() for line in digits.matrix(outcomes, ["mnist", "usps"]).splitlines()]
    assert rows[2] == ["mnist", "0.9900", "0.8000"] and rows[3] == ["usps", "0.6000", "0.9700"]
    assert rows[6] == ["mnist", "0.9900", "0.9000"] and rows[7] == ["usps", "0.7000", "0.9700"]


MISTAKES = {
    "nothing": ([], "--matrix"),
    "both": (["--matrix", "--source", "mnist"], "--matrix"),
    "no target": (["--source", "mnist"], "--target"),
    "one set": (["--source", "mnist", "--target", "mnist"], "mnist"),
    "unknown": (["--source", "mnist", "--target", "omniglot"], "omniglot"),
    "the ceiling of a matrix": (["--matrix", "--method", "target"], "--method target"),
    "the wrong recipe": (["--matrix", "--recipe", "paper"], "paper"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_named_in_one_sentence(what, small_data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MINIDANN_DATA", str(small_data))
    options, named = MISTAKES[what]
    try:
        status = digits.main([*options, "--out", str(tmp_path / "out")])
    except SystemExit as refused:
        status = refused.code
    assert status in (1, 2)
    assert named in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.rglob("*.*"))
