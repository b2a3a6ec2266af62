"""The benchmark runs and compares like with like. How long anything takes is not tested."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("recipe", ["best", "light"])
def test_a_run_of_a_recipe_is_timed_on_both_sides_with_the_same_network(recipe):
    against = ["--against", "torch"] if importlib.util.find_spec("torch") else []
    options = ["--recipe", recipe, "--steps", "2", "--turns", "1", "--threads", "1", *against]
    result = benchmark(*options, program="run")
    assert result.returncode == 0, result.stderr
    assert f"{recipe} on random images: 2 steps, 1 turns" in result.stdout
    sizes = re.findall(r"([\d,]+) parameters", result.stdout)
    assert sizes == ["257,254"] * (2 if against else 1)
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
