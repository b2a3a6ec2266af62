"""What all tests share: one Hypothesis profile, the devices, and small networks with a fixed seed."""

import sys

import numpy as np
import pytest
import strict_cupy
from hypothesis import HealthCheck, settings

from minidann import DANN
from minidann.backend import to_device, to_host
from minidann.device import why_no_gpu
from minidann.nn import BatchNorm, Conv2D, Dense, Flatten, MaxPool2D, Sequential, Sigmoid

# ``place`` is a fixture of each test function that holds for all examples of it, as it should
settings.register_profile("minidann", deadline=None, derandomize=True, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.load_profile("minidann")


def pytest_configure(config):
    config.addinivalue_line("markers", "gpu: runs on a real GPU through CuPy; chosen by -m gpu only")


def pytest_collection_modifyitems(config, items):
    """Tests on a GPU run only if asked for; the contract with CuPy is checked last, when all calls are on record."""
    if "gpu" not in config.option.markexpr:
        left_out = [item for item in items if item.get_closest_marker("gpu")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: item.path.name == "test_cupy_contract.py")


@pytest.fixture(params=["cpu", "stand-in", pytest.param("gpu", marks=pytest.mark.gpu)])
def place(request, monkeypatch):
    """Takes an array to the device that a test runs on: main memory, the strict stand-in for CuPy, a GPU (-m gpu)."""
    if request.param == "cpu":
        return to_host
    if request.param == "stand-in":
        monkeypatch.setitem(sys.modules, "cupy", strict_cupy)
    elif missing := why_no_gpu():
        pytest.skip(missing)
    return to_device


@pytest.fixture(autouse=True)
def unverified(monkeypatch):
    """Small made-up files pass for the published ones, here and in the programs that tests start; tests of verification delete the variable."""
    monkeypatch.setenv("MINIDANN_VERIFY", "0")


def _dense(rng, units):
    features = [Dense(2, 5, rng=rng), Sigmoid(), Dense(5, 4, rng=rng), Sigmoid()]
    return features, [Dense(4, 3, rng=rng)], [Dense(4, 5, rng=rng), Sigmoid(), Dense(5, units, rng=rng)]


def _conv(rng, units):
    features = [Conv2D(2, 3, 3, rng=rng), BatchNorm(3, parts=2), Sigmoid(), MaxPool2D(2), Flatten()]
    return features, [Dense(12, 3, rng=rng)], [Dense(12, 4, rng=rng), BatchNorm(4, parts=2), Sigmoid(), Dense(4, units, rng=rng)]


@pytest.fixture(scope="session")
def make_dann():
    """``make_dann(kind="dense" | "conv")``: a smooth DANN of 3 classes, on (N, 2) points or on (N, 4, 4, 2) images."""

    def make(kind="dense", units=2, reduction="mean", seed=0, dtype=np.float64):
        parts = {"dense": _dense, "conv": _conv}[kind](np.random.default_rng(seed), units)
        dann = DANN(*(Sequential(part) for part in parts), reduction=reduction)
        for network in dann.networks:
            network.convert(lambda array: array.astype(dtype))
        return dann

    return make


@pytest.fixture
def no_data(monkeypatch, tmp_path):
    """No data folder but the one that a test names: neither the environment's nor the user's is searched."""
    monkeypatch.delenv("MINIDANN_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
