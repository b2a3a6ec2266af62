"""What all tests share: one Hypothesis profile, and small networks with a fixed seed."""

import numpy as np
import pytest
from hypothesis import settings

from minidann import DANN
from minidann.nn import BatchNorm, Conv2D, Dense, Flatten, MaxPool2D, Sequential, Sigmoid

settings.register_profile("minidann", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("minidann")


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
