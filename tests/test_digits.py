"""The program for any pair of digit sets, run as a command on small files in the real formats."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from minidann import DANN, digits


def program(*options, **environment):
    command = [sys.executable, "-m", "minidann.digits", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


def records(folder):
    return json.loads((folder / "results.json").read_text())["runs"]


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
    for name in ("mnist-usps", "mnist-mnistm"):
        assert DANN.load(tmp_path / f"{name}-model.npz").preparation["mean"] == "image"
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


def test_what_is_known_of_the_source_is_asked_for_and_recorded(small_data, tmp_path):
    options = ("--source", "usps", "--target", "mnist", "--method", "source", "--steps", 1)
    options += ("--batch-size", 4, "--limit", 16, "--negatives", "--balance", "--out", tmp_path)
    result = program(*options, MINIDANN_DATA=str(small_data))
    assert result.returncode == 0, result.stderr
    recorded = json.loads((tmp_path / "results.json").read_text())["options"]
    assert recorded["negatives"] is recorded["balance"] is True


def test_the_authors_mnistm_is_source_and_target(small_data, tmp_path):
    options = ("--source", "mnistm-release", "mnist", "--target", "mnistm-release", "mnist")
    options += ("--steps", 1, "--batch-size", 4, "--limit", 16, "--method", "dann")
    result = program(*options, "--out", tmp_path, MINIDANN_DATA=str(small_data))
    assert result.returncode == 0, result.stderr
    assert {(run["source"], run["target"]) for run in records(tmp_path)} == {
        ("mnist", "mnistm-release"),
        ("mnistm-release", "mnist"),
    }


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
    assert "release" not in result.stderr
    assert "Without svhn:" in result.stderr and "Without mnistm:" in result.stderr
    assert result.stdout.splitlines()[1].split() == ["trained", "on", "mnist", "synth", "usps"]
    assert list((tmp_path / "out").glob("*.png"))


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
