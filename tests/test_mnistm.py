"""The MNIST -> MNIST-M program, on small files in the real formats and on scikit-learn's digits."""

import csv
import gzip
import io
import json
import os
import signal
import struct
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minidann import mnistm
from minidann.data.mnistm import TRAIN_FOLDER, TRAIN_PHOTOGRAPHS


def write_idx(path, array):
    header = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


@pytest.fixture(scope="module")
def small_data(tmp_path_factory):
    """MNIST and BSDS500 in the real formats, small: 96 + 48 digits, 200 tiny photographs."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    (folder / "mnist").mkdir()
    (folder / "bsds500").mkdir()
    for split, n in (("train", 96), ("t10k", 48)):
        write_idx(folder / f"mnist/{split}-images-idx3-ubyte.gz", rng.integers(0, 256, (n, 28, 28)) * (rng.random((n, 28, 28)) < 0.2))
        write_idx(folder / f"mnist/{split}-labels-idx1-ubyte.gz", np.arange(n) % 10)
    with tarfile.open(folder / "bsds500/BSR_bsds500.tgz", "w:gz") as archive:
        for i in range(TRAIN_PHOTOGRAPHS):
            jpeg = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (30, 34, 3), dtype=np.uint8)).save(jpeg, "JPEG")
            member = tarfile.TarInfo(f"{TRAIN_FOLDER}{i:06}.jpg")
            member.size = len(jpeg.getvalue())
            archive.addfile(member, io.BytesIO(jpeg.getvalue()))
    return folder


def program(*options, **environment):
    command = [sys.executable, "-m", "minidann.mnistm", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


def test_all_methods_run_from_the_command_line(small_data, tmp_path):
    result = program("--steps", 12, "--batch-size", 8, "--out", tmp_path, MINIDANN_DATA=str(small_data))
    assert result.returncode == 0, result.stderr
    record = json.loads((tmp_path / "results.json").read_text())
    assert [run["method"] for run in record["runs"]] == list(mnistm.METHODS)
    assert record["options"]["recipe"] == "tf-dann" and record["environment"]["numpy"] == np.__version__
    assert all(0 <= run[key] <= 1 for run in record["runs"] for key in ("source_class", "target_class"))
    rows = list(csv.DictReader((tmp_path / "history.csv").open()))
    assert {"step", "p", "lam", "learning_rate", "label_loss", "domain_loss", "source_class", "target_class", "target_domain"} <= set(rows[0])
    assert [row["step"] for row in rows if row["method"] == "dann"] == ["10", "12"]
    for name in ("data.png", "curves.png", "embedding.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert all(name in result.stdout for name in ("source only", "DANN", "trained on target"))


def test_one_seed_gives_one_result(small_data, tmp_path):
    for name in ("one", "other"):
        assert program("--method", "dann", "--steps", 5, "--batch-size", 8, "--out", tmp_path / name, "--data-dir", small_data).returncode == 0
    assert (tmp_path / "one/history.csv").read_bytes() == (tmp_path / "other/history.csv").read_bytes()


def test_the_offline_data_needs_no_files(tmp_path):
    result = program("--data", "digits", "--method", "dann", "--steps", 3, "--limit", 64, "--out", tmp_path / "out", MINIDANN_DATA=str(tmp_path / "nothing"))
    assert result.returncode == 0, result.stderr


def test_the_network_is_that_of_tf_dann():
    dann = mnistm.build(0)
    assert [a.shape for n, a in dann.features.params.items() if n.endswith("W")] == [(5, 5, 3, 32), (5, 5, 32, 48)]
    assert [a.shape for n, a in dann.label_head.params.items() if n.endswith("W")] == [(2352, 100), (100, 100), (100, 10)]
    assert [a.shape for n, a in dann.domain_head.params.items() if n.endswith("W")] == [(2352, 100), (100, 2)]


def test_the_input_is_centred_on_both_training_sets():
    source, target, mean = mnistm.load("digits", None, None)
    both = np.concatenate([mnistm.normalize(source.x_train, mean), mnistm.normalize(target.x_train, mean)])
    assert both.dtype == np.float32
    np.testing.assert_allclose(both.mean(axis=(0, 1, 2), dtype=np.float64), 0, atol=1e-6)
    np.testing.assert_allclose(np.ptp(both, axis=(0, 1, 2)), 1, atol=1e-6)


def test_dann_on_the_digits_beats_chance_and_leaves_no_label_path(tmp_path):
    args = mnistm.parse(["--data", "digits", "--steps", "40", "--limit", "400"])
    record, history, features = mnistm.run("dann", 0, args, None)
    assert record["source_class"] > 0.3  # ten classes
    assert features.shape == (2 * 400, 2352) and history[-1]["step"] == 40


def damage(folder, name, change):
    path = folder / "mnist" / name
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))


DAMAGES = {
    "truncated": ("train-images-idx3-ubyte.gz", lambda data: data[:-100]),
    "wrong magic": ("train-images-idx3-ubyte.gz", lambda data: b"\x00\x00\x09\x03" + data[4:]),
    "labels short by one": ("t10k-labels-idx1-ubyte.gz", lambda data: struct.pack(">II", 0x801, 47) + data[8:-1]),
    "label 10": ("t10k-labels-idx1-ubyte.gz", lambda data: data[:-1] + b"\x0a"),
    "impossible size": ("train-images-idx3-ubyte.gz", lambda data: struct.pack(">IIII", 0x803, 10**9, 1000, 1000)),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_file_is_named_in_one_sentence(what, small_data, tmp_path, capsys):
    name, change = DAMAGES[what]
    (tmp_path / "mnist").mkdir()
    for file in (small_data / "mnist").iterdir():
        (tmp_path / "mnist" / file.name).write_bytes(file.read_bytes())
    damage(tmp_path, name, change)
    mnistm.load.cache_clear()
    assert mnistm.main(["--data-dir", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert name in error and "download" in error and error.count("\n") == 1
    assert not list((tmp_path / "out").iterdir())


def test_a_missing_file_says_where_to_get_it_and_what_runs_without(tmp_path):
    result = program("--steps", 5, "--out", tmp_path / "out", MINIDANN_DATA=str(tmp_path), HOME=str(tmp_path))
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert all(part in result.stderr for part in ("train-images-idx3-ubyte.gz", "https://", "--data digits"))


BAD_OPTIONS = [["--steps", "-1"], ["--lam", "nan"], ["--limit", "0"], ["--batch-size", "97"], ["--recipe", "none"], ["--data-dir", "nowhere"]]


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_a_bad_option_is_named(options, small_data, tmp_path):
    result = program("--out", tmp_path / "out", *options, MINIDANN_DATA=str(small_data))
    assert result.returncode != 0
    assert "Traceback" not in result.stderr and options[1] in result.stderr.splitlines()[-1]
    assert not list(tmp_path.rglob("*.*"))


def test_training_that_diverges_says_so(small_data, tmp_path):
    result = program("--method", "dann", "--steps", 20, "--batch-size", 8, "--lam", "1e30", "--out", tmp_path / "out", "--data-dir", small_data)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr and "lam 1e+30" in result.stderr.splitlines()[-1]
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_keeps_what_is_finished(small_data, tmp_path, jobs):
    command = [sys.executable, "-m", "minidann.mnistm", "--steps", "400", "--batch-size", "16", "--seeds", "20", "--jobs", jobs, "--method", "source"]
    process = subprocess.Popen([*command, "--data-dir", small_data, "--out", tmp_path], stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "results.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the program and to its workers
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in error and "Stopped" in error and "source (seed" in error
    record = json.loads((tmp_path / "results.json").read_text())
    assert [run for run in record["runs"] if "target_class" in run]
    assert not list(tmp_path.glob(".*"))


def test_target_labels_do_not_change_what_dann_learns(monkeypatch):
    args = mnistm.parse(["--data", "digits", "--steps", "4", "--limit", "64"])
    source, target, prepare = mnistm.load(args.data, args.limit, args.data_dir)
    rolled = target._replace(y_train=np.roll(target.y_train, 5), y_test=np.roll(target.y_test, 5))
    features = []
    for labelled in (target, rolled):
        monkeypatch.setattr(mnistm, "load", lambda *_, labelled=labelled: (source, labelled, prepare))
        features.append(mnistm.run("dann", 0, args, None)[2])
    np.testing.assert_array_equal(*features)


def test_the_script_that_builds_mnistm_writes_what_the_program_trains_on(small_data, tmp_path):
    script = Path(__file__).parents[1] / "datasets/create_mnistm.py"
    command = [sys.executable, script, "--data-dir", small_data, "--out", tmp_path / "mnistm.npz"]
    subprocess.run(command, check=True, capture_output=True)
    with np.load(tmp_path / "mnistm.npz", allow_pickle=False) as built:
        _, target, _ = mnistm.load("mnistm", None, str(small_data))
        for name, array in target._asdict().items():
            np.testing.assert_array_equal(built[name], array)
    refused = subprocess.run([*command[:-1], tmp_path / "mnistm.txt"], capture_output=True, text=True)
    assert refused.returncode == 2 and ".npz" in refused.stderr
