"""The program for traffic signs, run as a command on tiny files in the formats that it reads."""

import csv
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from minidann import DANN, signs
from minidann.experiments import pair_program

SHORT = ("--steps", 1, "--batch-size", 2)


def program(*options, **environment):
    command = [sys.executable, "-m", "minidann.signs", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


@pytest.fixture(scope="module")
def small_signs(tmp_path_factory):
    """A data folder with 86 drawn and 129 photographed signs, two and three of each class."""
    folder, rng = tmp_path_factory.mktemp("signs"), np.random.default_rng(0)
    (folder / "signs").mkdir()
    for name, of_each in (("synsigns_1982_40x40", 2), ("gtsrb_2000_roi40x40", 3)):
        y = np.repeat(np.arange(43), of_each).astype(np.uint8)
        names = [f"{k:05d}/{i % of_each:05d}_00000.ppm" for i, k in enumerate(y)]
        x = rng.integers(0, 256, (len(y), 40, 40, 3), np.uint8)
        np.savez_compressed(folder / f"signs/{name}.npz", x=x, y=y, names=np.array(names))
    return folder


def test_all_methods_run_and_the_network_names_a_sign(small_signs, tmp_path):
    result = program("--data", "small", *SHORT, "--data-dir", small_signs, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    record = json.loads((tmp_path / "results.json").read_text())
    assert [(run["method"], run.get("variant")) for run in record["runs"]] == [
        ("source", None),
        ("target", None),
        ("dann", None),
        ("dann", "signs-pseudo"),
    ]
    assert [run["recipe"] for run in record["runs"]] == [*["signs"] * 3, "signs-pseudo"]
    for run in record["runs"]:
        assert run["images"] == {"synsigns-small": [78, 8], "gtsrb-small": [86, 43]}
        assert np.sum(run["confusion"]["gtsrb-small"], axis=1).tolist() == [1] * 43
    with open(tmp_path / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["variant"] for row in rows] == ["", "", "", "signs-pseudo"]
    for title in ("source only", "DANN ", "signs-pseudo", "trained on target"):
        assert f"synsigns-small to gtsrb-small, {title}" in result.stdout
    for name in ("data.png", "curves.png", "embedding.png", "confusion.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    dann = DANN.load(tmp_path / "model.npz")
    assert dann.class_names[14] == "stop" and dann.preparation["fit"] == "resize"
    sign = io.BytesIO()
    Image.fromarray(np.full((20, 20, 3), 200, np.uint8)).save(sign, "PNG")
    (tmp_path / "sign.png").write_bytes(sign.getvalue())
    command = [sys.executable, "-m", "minidann.predict", "model.npz", "sign.png"]
    said = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert any(name in said.stdout for name in dann.class_names), said.stderr


@pytest.mark.parametrize("method, kept", [("source", "source"), ("pseudo", "signs-pseudo")])
def test_one_method_of_some_seeds(method, kept, small_signs, tmp_path, monkeypatch):
    asked = []

    def keep(experiment):
        asked.append(experiment)
        return {}

    monkeypatch.setattr(pair_program, "conduct", keep)
    monkeypatch.setattr(pair_program, "save_figures", lambda *_: [])
    options = ["--data", "small", "--data-dir", str(small_signs), "--seed", "5", "--seeds", "2"]
    signs.main([*options, "--method", method, "--out", str(tmp_path)])
    (experiment,) = asked
    assert [(task.seed, task.variant or task.method) for task in experiment.tasks] == [
        (5, kept),
        (6, kept),
    ]
    assert experiment.settings.models == {experiment.tasks[0]: "model.npz"}


@pytest.mark.parametrize("data, named", [("release", "synthetic_data.zip"), ("small", "synsigns_")])
def test_missing_signs_are_named_in_one_sentence(data, named, no_data, tmp_path, capsys):
    assert signs.main(["--data", data, "--out", str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert named in line and "--data-dir" in line
    assert not list((tmp_path / "out").iterdir())


def test_a_batch_larger_than_the_set_is_named(small_signs, tmp_path):
    options = ("--data", "small", "--data-dir", small_signs, "--out", tmp_path / "out")
    result = program(*options, "--batch-size", 87)
    assert result.returncode == 1 and "87" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
