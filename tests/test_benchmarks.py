"""The benchmark runs and compares like with like. How long anything takes is not tested."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def benchmark(*options):
    command = [sys.executable, "-m", "benchmarks.step", *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize("network", ["mnist", "blobs"])
def test_a_turn_of_each_network_is_timed(network):
    result = benchmark("--network", network, "--turns", "1", "--threads", "1")
    assert result.returncode == 0, result.stderr
    assert f"{network}: one step, 1 turns" in result.stdout and "NumPy" in result.stdout and " 1 threads" in result.stdout


def test_a_missing_pytorch_is_said_in_one_sentence():
    result = benchmark("--against", "torch", "--turns", "1", "--network", "blobs")
    if importlib.util.find_spec("torch"):
        assert "minidann / torch" in result.stdout
    else:
        assert result.returncode == 1 and result.stderr == "error: PyTorch is not installed; pip install torch, or leave --against out\n"
