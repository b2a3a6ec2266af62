"""The Blobs program, from its command line."""

import csv
import json
import subprocess
import sys

import pytest

from minidann import DANN, blobs
from minidann.experiments.points import ANNEALED, REGIMES


def test_main_writes_the_record_and_the_figure(tmp_path, capsys):
    assert blobs.main(["--steps", "20", "--seed", "5", "--anneal", "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "results.json").read_text())
    assert {run["regime"] for run in record["runs"]} == set(REGIMES | ANNEALED)
    assert {run["seed"] for run in record["runs"]} == {5}
    assert DANN.load(tmp_path / "model.npz").domain_head.params["0.W"].shape == (15, 8)
    with open(tmp_path / "history.csv", newline="") as file:
        assert {row["regime"] for row in csv.DictReader(file)} == set(REGIMES | ANNEALED)
    assert (tmp_path / "blobs.png").read_bytes().startswith(b"\x89PNG")
    table = capsys.readouterr().out
    assert all(title in table for title in REGIMES | ANNEALED)


def test_seeds_side_by_side_give_what_they_give_one_by_one(tmp_path):
    for jobs in ("1", "2"):
        command = [
            sys.executable,
            "-m",
            "minidann.blobs",
            "--steps",
            "30",
            "--seeds",
            "2",
            "--jobs",
            jobs,
            "--out",
            str(tmp_path / jobs),
        ]
        subprocess.run(command, check=True, capture_output=True)

    def accuracies(jobs):
        runs = json.loads((tmp_path / jobs / "results.json").read_text())["runs"]
        return sorted(
            [(r["seed"], r["regime"], r["source_class"], r["target_class"]) for r in runs]
        )

    assert len(accuracies("1")) == 2 * len(REGIMES)
    assert accuracies("1") == accuracies("2")


@pytest.mark.parametrize(
    "options",
    [
        ["--steps", "-5"],
        ["--steps", "0"],
        ["--seeds", "0"],
        ["--lam", "nan"],
        ["--lam", "inf"],
        ["--lam", "much"],
        ["--batch-size", "301"],
    ],
)
def test_a_bad_option_is_one_sentence_that_names_it(options, tmp_path):
    command = [
        sys.executable,
        "-m",
        "minidann.blobs",
        *options,
        "--steps" if "--steps" not in options else "--seed",
        "20",
        "--out",
        str(tmp_path / "out"),
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    assert options[1] in result.stderr.splitlines()[-1]
    assert not list(tmp_path.rglob("*.*"))


def test_a_folder_that_can_not_be_written_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert blobs.main(["--steps", "10", "--out", str(tmp_path / "file")]) == 1
    error = capsys.readouterr().err
    assert str(tmp_path / "file") in error and "--out" in error
