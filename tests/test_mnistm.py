"""The MNIST -> MNIST-M program, on small files in the real formats and on scikit-learn's digits."""

import contextlib
import csv
import gzip
import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from minidann import mnistm
from minidann.data import load_backgrounds, load_mnist, make_mnistm
from minidann.data.registry import load_dataset
from minidann.experiments import image_sets, images, recipes
from minidann.experiments.config import ImageSettings
from minidann.experiments.runs import METHODS, Task

PATIENCE = 300  # seconds for what takes a few, on a machine that has other work too


def program(*options, **environment):
    command = [sys.executable, "-m", "minidann.mnistm", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


def test_all_methods_run_from_the_command_line(small_data, tmp_path):
    result = program(
        "--steps", 12, "--batch-size", 8, "--out", tmp_path, MINIDANN_DATA=str(small_data)
    )
    assert result.returncode == 0, result.stderr
    record = json.loads((tmp_path / "results.json").read_text())
    assert [run["method"] for run in record["runs"]] == list(METHODS)
    assert (
        record["options"]["recipe"] == "tf-dann"
        and record["environment"]["numpy"] == np.__version__
    )
    assert all(
        0 <= run[key] <= 1 for run in record["runs"] for key in ("source_class", "target_class")
    )
    rows = list(csv.DictReader((tmp_path / "history.csv").open()))
    assert {
        "step",
        "p",
        "lam",
        "learning_rate",
        "label_loss",
        "domain_loss",
        "source_class",
        "target_class",
        "target_domain",
    } <= set(rows[0])
    assert [row["step"] for row in rows if row["method"] == "dann"] == ["10", "12"]
    for name in ("data.png", "curves.png", "embedding.png", "confusion.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert all(name in result.stdout for name in ("source only", "DANN", "trained on target"))
    command = [sys.executable, "-m", "minidann.predict", tmp_path / "model.npz"]
    predicted = subprocess.run([*command, tmp_path / "data.png"], capture_output=True, text=True)
    assert predicted.stdout.split()[1] in "0123456789", predicted.stderr


def test_one_seed_gives_one_result(small_data, tmp_path):
    for name in ("one", "other"):
        assert (
            program(
                "--method",
                "dann",
                "--steps",
                5,
                "--batch-size",
                8,
                "--out",
                tmp_path / name,
                "--data-dir",
                small_data,
            ).returncode
            == 0
        )
    assert (tmp_path / "one/history.csv").read_bytes() == (
        tmp_path / "other/history.csv"
    ).read_bytes()


def test_the_offline_data_needs_no_files(tmp_path):
    result = program(
        "--data",
        "digits",
        "--method",
        "dann",
        "--steps",
        3,
        "--limit",
        64,
        "--out",
        tmp_path / "out",
        MINIDANN_DATA=str(tmp_path / "nothing"),
    )
    assert result.returncode == 0, result.stderr


def test_the_authors_release_is_trained_on_and_predicted_from_the_command_line(
    small_data, tmp_path
):
    options = ("--data", "release", "--recipe", "paper", "--steps", 2, "--batch-size", 8)
    result = program(*options, "--out", tmp_path, MINIDANN_DATA=str(small_data))
    assert result.returncode == 0, result.stderr
    record = json.loads((tmp_path / "results.json").read_text())
    assert [(run["source"], run["target"]) for run in record["runs"]] == [
        ("mnist", "mnistm-release")
    ] * 3
    assert "trained on target" in result.stdout
    command = [sys.executable, "-m", "minidann.predict", tmp_path / "model.npz"]
    images = sorted((small_data / "mnist_m/mnist_m_test").iterdir())[:2]
    predicted = subprocess.run([*command, *images], capture_output=True, text=True)
    assert predicted.returncode == 0 and len(predicted.stdout.splitlines()) == 2, predicted.stderr


def test_without_the_release_one_sentence_says_so(small_data, no_data, tmp_path, capsys):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mnist").symlink_to(small_data / "mnist")
    options = ["--data", "release", "--data-dir", str(tmp_path / "data")]
    assert mnistm.main([*options, "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "unpack the authors' release" in error and error.count("\n") == 1


@pytest.mark.parametrize("recipe, binary", [("paper", False), ("best", False), ("tf-dann", True)])
def test_the_program_trains_on_the_authors_kind_beside_the_recipes_source(
    recipe, binary, small_data, tmp_path, monkeypatch
):
    trained = []
    train = images.train_task

    def spy(recipe, source, target, *rest):
        trained.append((source.x_test, target.x_test))
        return train(recipe, source, target, *rest)

    monkeypatch.setattr(images, "train_task", spy)
    options = ["--recipe", recipe, "--method", "dann", "--steps", "1", "--batch-size", "4"]
    options += ["--data-dir", str(small_data), "--out", str(tmp_path)]
    assert mnistm.main(options) == 0
    ((source, target),) = trained
    digits, photographs = load_mnist(small_data), load_backgrounds(small_data)
    blank = 0 * digits.x_test
    ground = make_mnistm(blank, photographs, seed=(0, 1))  # the same patches, with nothing on them
    ink = 255 * (digits.x_test[..., None] > 0)
    np.testing.assert_array_equal(target, abs(ground.astype(int) - ink))
    plain = ink if binary else digits.x_test[..., None]
    np.testing.assert_array_equal(source, np.broadcast_to(plain, source.shape))


def test_the_network_is_that_of_tf_dann():
    dann = recipes.tf_dann(0)
    assert [a.shape for n, a in dann.features.params.items() if n.endswith("W")] == [
        (5, 5, 3, 32),
        (5, 5, 32, 48),
    ]
    assert [a.shape for n, a in dann.label_head.params.items() if n.endswith("W")] == [
        (2352, 100),
        (100, 100),
        (100, 10),
    ]
    assert [a.shape for n, a in dann.domain_head.params.items() if n.endswith("W")] == [
        (2352, 100),
        (100, 2),
    ]


def test_dann_on_the_digits_beats_chance(tmp_path):
    settings = ImageSettings(recipe="tf-dann", steps=40, limit=400, out=tmp_path)
    record, history, features = images.train_and_test(
        Task("digits", "digits-m", "dann", 0), settings
    )
    assert record["source_class"] > 0.3  # ten classes
    assert features["digits-m"].shape == (2 * 400, 2352) and history[-1]["step"] == 40


def damage(folder, name, change):
    path = folder / "mnist" / name
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))


DAMAGES = {
    "truncated": ("train-images-idx3-ubyte.gz", lambda data: data[:-100]),
    "wrong magic": ("train-images-idx3-ubyte.gz", lambda data: b"\x00\x00\x09\x03" + data[4:]),
    "labels short by one": (
        "t10k-labels-idx1-ubyte.gz",
        lambda data: struct.pack(">II", 0x801, 47) + data[8:-1],
    ),
    "label 10": ("t10k-labels-idx1-ubyte.gz", lambda data: data[:-1] + b"\x0a"),
    "impossible size": (
        "train-images-idx3-ubyte.gz",
        lambda data: struct.pack(">IIII", 0x803, 10**9, 1000, 1000),
    ),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_file_is_named_in_one_sentence(what, small_data, tmp_path, capsys):
    name, change = DAMAGES[what]
    (tmp_path / "mnist").mkdir()
    for file in (small_data / "mnist").iterdir():
        (tmp_path / "mnist" / file.name).write_bytes(file.read_bytes())
    damage(tmp_path, name, change)
    image_sets.load.cache_clear()
    assert mnistm.main(["--data-dir", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert name in error and "download" in error and error.count("\n") == 1
    assert not list((tmp_path / "out").iterdir())


def test_a_missing_file_says_where_to_get_it_and_what_runs_without(tmp_path):
    result = program(
        "--steps", 5, "--out", tmp_path / "out", MINIDANN_DATA=str(tmp_path), HOME=str(tmp_path)
    )
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert all(
        part in result.stderr
        for part in ("train-images-idx3-ubyte.gz", "fetch mnist bsds500 ", "--data digits")
    )


BAD_OPTIONS = [
    ["--steps", "-1"],
    ["--lam", "nan"],
    ["--limit", "0"],
    ["--batch-size", "97"],
    ["--recipe", "none"],
    ["--data-dir", "nowhere"],
]


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_a_bad_option_is_named(options, small_data, tmp_path):
    result = program("--out", tmp_path / "out", *options, MINIDANN_DATA=str(small_data))
    assert result.returncode != 0
    assert "Traceback" not in result.stderr and options[1] in result.stderr.splitlines()[-1]
    assert not list(tmp_path.rglob("*.*"))


def test_training_that_diverges_says_so(small_data, tmp_path):
    result = program(
        "--method",
        "dann",
        "--steps",
        20,
        "--batch-size",
        8,
        "--lam",
        "1e30",
        "--out",
        tmp_path / "out",
        "--data-dir",
        small_data,
    )
    assert result.returncode == 1
    assert "Traceback" not in result.stderr and "lam 1e+30" in result.stderr.splitlines()[-1]
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_keeps_what_is_finished(small_data, tmp_path, jobs):
    command = [
        sys.executable,
        "-m",
        "minidann.mnistm",
        "--steps",
        "400",
        "--batch-size",
        "16",
        "--seeds",
        "20",
        "--jobs",
        jobs,
        "--method",
        "source",
    ]
    process = subprocess.Popen(
        [*command, "--data-dir", small_data, "--out", tmp_path],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + PATIENCE
    while not (tmp_path / "results.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the program and to its workers
    _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert (
        "Traceback" not in error
        and "Stopped" in error
        and "mnist to mnistm, source only, seed" in error
    )
    record = json.loads((tmp_path / "results.json").read_text())
    assert [run for run in record["runs"] if "target_class" in run]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks at processes through /proc")
def test_a_killed_program_leaves_no_worker_behind(small_data, tmp_path):
    command = [
        sys.executable,
        "-m",
        "minidann.mnistm",
        "--steps",
        "100000",
        "--batch-size",
        "8",
        "--seeds",
        "2",
        "--jobs",
        "2",
        "--method",
        "source",
    ]
    process = subprocess.Popen(
        [*command, "--data-dir", small_data, "--out", tmp_path],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert soon(lambda: len(working(process.pid)) >= 2)
    finally:
        process.kill()
        process.wait()
    assert soon(lambda: not working(process.pid))


def soon(condition):
    """Whether the condition comes true in time."""
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.2)
    return condition()


def working(session):
    """The processes of a session that have spent three seconds or more computing.

    The fields are those of /proc/PID/stat after the name.
    """
    fields = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            fields[stat.parent.name] = stat.read_text().rpartition(")")[2].split()
    hertz = os.sysconf("SC_CLK_TCK")
    return [
        pid
        for pid, of in fields.items()
        if int(of[3]) == session
        and of[0] != "Z"
        and int(pid) != session
        and int(of[11]) + int(of[12]) >= 3 * hertz
    ]


def test_the_script_that_builds_mnistm_writes_what_the_program_trains_on(small_data, tmp_path):
    script = Path(__file__).parents[1] / "datasets/create_mnistm.py"
    command = [sys.executable, script, "--data-dir", small_data, "--out", tmp_path / "mnistm.npz"]
    subprocess.run(command, check=True, capture_output=True)
    with np.load(tmp_path / "mnistm.npz", allow_pickle=False) as built:
        target = load_dataset("mnistm", data_dir=small_data)
        for name, array in target._asdict().items():
            np.testing.assert_array_equal(built[name], array)
    refused = subprocess.run(
        [*command[:-1], tmp_path / "mnistm.txt"], capture_output=True, text=True
    )
    assert refused.returncode == 2 and ".npz" in refused.stderr
