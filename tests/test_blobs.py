"""The Blobs program, from its command line."""

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from minidann import DANN, blobs
from minidann.experiments.points import RECIPES, TF_DANN_RECORD
from minidann.experiments.records import spread

RESULTS = Path(__file__).parents[1] / "docs" / "results"


@pytest.mark.parametrize("recipe, units", [("annealed", 32), ("tf-dann", 8)])
def test_main_writes_the_record_and_the_figure(recipe, units, tmp_path, capsys):
    options = ["--recipe", recipe, "--steps", "20", "--seed", "5", "--out", str(tmp_path)]
    assert blobs.main(options) == 0
    record = json.loads((tmp_path / "results.json").read_text())
    assert [run["regime"] for run in record["runs"]] == list(RECIPES[recipe])
    assert {(run["recipe"], run["seed"]) for run in record["runs"]} == {(recipe, 5)}
    assert DANN.load(tmp_path / "model.npz").domain_head.params["0.W"].shape == (15, units)
    with open(tmp_path / "history.csv", newline="") as file:
        assert {row["regime"] for row in csv.DictReader(file)} == set(RECIPES[recipe])
    assert (tmp_path / "blobs.png").read_bytes().startswith(b"\x89PNG")
    table = capsys.readouterr().out
    assert all(title in table for title in RECIPES[recipe])


def test_a_single_draw_of_tf_dann_is_told_what_twenty_give(tmp_path, capsys):
    def printed(*options):
        command = [*options, "--steps", "5", "--out", str(tmp_path), "--overwrite"]
        assert blobs.main(command) == 0
        return capsys.readouterr().out

    runs = json.loads((RESULTS / "blobs-tf-dann.json").read_text())["runs"]
    found = [run["target_class"] for run in runs if run["regime"] == "DANN deep"]
    said = f"DANN deep {spread(found)}, worst {min(found):.4f}"
    assert len(found) == 20
    assert said in printed("--recipe", "tf-dann")
    assert "worst" not in printed("--recipe", "tf-dann", "--seeds", "2") + printed()


def test_the_packaged_record_is_the_one_in_docs():
    assert TF_DANN_RECORD.read_bytes() == (RESULTS / "blobs-tf-dann.json").read_bytes()
    assert TF_DANN_RECORD.name in (RESULTS.parents[1] / "setup.py").read_text()


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

    assert len(accuracies("1")) == 2 * len(RECIPES["annealed"])
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


def test_results_are_not_replaced_without_a_word(tmp_path, capsys):
    command = ["--steps", "20", "--out", str(tmp_path)]
    assert blobs.main(command) == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert blobs.main([*command, "--seed", "1"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "--resume" in said and "--overwrite" in said
    assert {path: path.read_bytes() for path in before} == before
    assert blobs.main([*command, "--seed", "1", "--resume"]) == 0
    runs = json.loads((tmp_path / "results.json").read_text())["runs"]
    assert [run["seed"] for run in runs] == [0, 0, 0, 1, 1, 1]
    assert (tmp_path / "model.npz").read_bytes() == before[tmp_path / "model.npz"]
    assert blobs.main([*command, "--overwrite"]) == 0
    with pytest.raises(SystemExit):
        blobs.main([*command, "--overwrite", "--resume"])
    after = json.loads((tmp_path / "results.json").read_text())["runs"]
    assert [run["seed"] for run in after] == [0, 0, 0]
    assert not {"overwrite", "checkpoint_every"} & record_of(tmp_path)["options"].keys()


def record_of(folder):
    return json.loads((folder / "results.json").read_text())


@pytest.mark.parametrize("name, jobs, status", [("SIGTERM", 1, 143), ("SIGHUP", 2, 129)])
def test_a_signal_saves_what_goes_on_and_the_command_to_go_on_is_named(
    name, jobs, status, tmp_path
):
    """As a scheduler or a closing terminal does it: the whole group gets it."""
    options = ["--steps", "1000000", "--jobs", str(jobs), "--checkpoint-every", ".5"]
    out = tmp_path / "stopped here"
    process = subprocess.Popen(
        [sys.executable, "-m", "minidann.blobs", *options, "--out", str(out)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while len(list(out.glob("checkpoints/*.npz"))) < jobs and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, getattr(signal, name))
    _, error = process.communicate(timeout=300)
    assert process.returncode == status and "Traceback" not in error, error
    assert "Runs that had finished: none" in error and str(out / "results.json") in error
    stopped = {run["regime"]: run["stopped_at"] for run in record_of(out)["runs"]}
    assert len(stopped) == jobs
    for regime, step in stopped.items():
        with np.load(out / f"checkpoints/annealed-{regime}-0.npz", allow_pickle=False) as saved:
            assert saved["step"] == step > 0
    said = error.splitlines()[-1]
    assert shlex.split(said.removeprefix("To go on: python -m minidann.blobs ")) == [
        *options,
        "--out",
        str(out),
        "--resume",
    ]
    assert not list(out.rglob(".*"))


def test_an_output_that_nobody_reads_to_its_end_costs_no_file(tmp_path):
    command = f'"{sys.executable}" -m minidann.blobs --steps 20 --out "{tmp_path}" | true'
    subprocess.run(command, shell=True, capture_output=True)
    names = {path.name for path in tmp_path.iterdir()}
    assert names >= {"results.json", "history.csv", "model.npz", "blobs.png"}
