"""The benchmark runs and compares like with like. How long anything takes is not tested."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import drawing

ROOT = Path(__file__).parents[1]


def benchmark(*options, program="step"):
    command = [sys.executable, "-m", f"benchmarks.{program}", *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize("network", ["mnist", "svhn", "blobs"])
def test_a_turn_of_each_network_is_timed(network):
    result = benchmark("--network", network, "--turns", "1", "--threads", "1")
    assert result.returncode == 0, result.stderr
    assert (
        f"{network}: one step, 1 turns" in result.stdout
        and "NumPy" in result.stdout
        and " 1 threads" in result.stdout
    )
    assert (
        "By layer" in result.stdout
        and "the whole step" in result.stdout
        and "optimizer" in result.stdout
    )


def test_an_evaluation_is_timed():
    result = benchmark("--evaluate", "--network", "blobs", "--turns", "1", "--threads", "1")
    assert (
        result.returncode == 0
        and "blobs: evaluation" in result.stdout
        and "By layer" not in result.stdout
    ), result.stderr


@pytest.mark.parametrize("recipe, parameters", [("best", "498,754"), ("light", "257,254")])
def test_a_run_of_a_recipe_is_timed_on_both_sides_with_the_same_network(recipe, parameters):
    against = ["--against", "torch"] if importlib.util.find_spec("torch") else []
    options = ["--recipe", recipe, "--steps", "2", "--turns", "1", "--threads", "1", *against]
    result = benchmark(*options, program="run")
    assert result.returncode == 0, result.stderr
    assert f"{recipe} on random images: 2 steps, 1 turns" in result.stdout
    sizes = re.findall(r"([\d,]+) parameters", result.stdout)
    assert sizes == [parameters] * (2 if against else 1)
    assert ("minidann / torch" in result.stdout) == bool(against)


def test_a_run_of_no_recipe_is_refused_by_its_name():
    result = benchmark("--recipe", "beste", program="run")
    assert result.returncode == 2 and "'beste'" in result.stderr


def test_scaling_is_measured_and_drawn(tmp_path):
    command = [sys.executable, "-m", "benchmarks.scaling", "--only", "threads", "--out", tmp_path]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    rows = json.loads((tmp_path / "scaling.json").read_text())["results"]["threads"]
    assert rows and all(seconds > 0 and memory > 1e7 for _, seconds, memory in rows)
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")


def test_a_gpu_that_is_not_there_skips_and_says_why():
    result = benchmark("--device", "gpu")
    assert result.returncode == 0 and (
        "ms" in result.stdout or result.stderr.startswith("skipped: ")
    )


def test_a_missing_pytorch_is_said_in_one_sentence():
    result = benchmark("--against", "torch", "--turns", "1", "--network", "blobs")
    if importlib.util.find_spec("torch"):
        assert "minidann / torch" in result.stdout
    else:
        remedy = 'pip install -e ".[benchmark]", or leave --against out'
        assert result.returncode == 1
        assert result.stderr == f"error: PyTorch is not installed; {remedy}\n"


def house_walls(value, seed, n=120):
    """Grey images with some noise around a value."""
    noise = np.random.default_rng(seed).normal(0, 12, (n, 32, 32, 1))
    return np.repeat(np.clip(value + noise, 0, 255), 3, axis=3).astype(np.uint8)


def test_like_images_cannot_be_told_apart_and_others_can():
    alike = drawing.told_apart(house_walls(120, 0), house_walls(120, 1)).mean()
    apart = drawing.told_apart(house_walls(120, 0), house_walls(150, 1)).mean()
    assert alike < 0.65 and apart > 0.95


def test_statistics_of_a_bar():
    """A dark bar of 6 x 20 pixels on a light wall, bluer than the wall, and nothing else."""
    images = np.full((1, 32, 32, 3), 200, np.uint8)
    images[:, 6:26, 13:19] = 60, 60, 100
    found = {name: values.item() for name, values in drawing.measure(images).items()}
    assert found["height of the digit"] == 20 and found["width of the digit"] == 6
    assert found["width to height"] == pytest.approx(0.3) and found["pieces of ink"] == 1
    assert 5 < found["width of the stroke"] < 8
    assert found["share of ink"] == pytest.approx(120 / 1024)
    assert found["centre of the digit across"] == found["centre of the digit down"] == 0
    assert found["light on dark"] == -1 and found["middle less border"] < 0
    assert found["upright edges"] > 0.5 and abs(found["slant in degrees"]) < 1
    assert found["blue on luminance"] < 0 < found["blue"]


def test_sets_are_compared_by_the_table(capsys):
    drawing.report(house_walls(120, 0), house_walls(150, 1), print)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("120 images of each set")
    row = next(line for line in lines if line.startswith("luminance "))
    assert [float(cell) for cell in row.split()[1:7]] == pytest.approx(
        [0.47] * 3 + [0.588] * 3, abs=0.01
    )
    assert lines[-1].startswith("told apart by a linear classifier: ")


def test_too_few_images_are_refused(capsys):
    assert drawing.main(["--images", "10"]) == 1
    assert "--images 10" in capsys.readouterr().err
