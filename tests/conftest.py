"""What all tests share: one Hypothesis profile, the devices, small networks with a fixed seed."""

import gzip
import io
import struct
import sys
import tarfile

import numpy as np
import pytest
import strict_cupy
from hypothesis import HealthCheck, settings
from PIL import Image
from scipy.io import savemat

from minidann import DANN, plain
from minidann.data.photographs import TRAIN_FOLDER, TRAIN_PHOTOGRAPHS
from minidann.nn import BatchNorm, Conv2D, Dense, Flatten, MaxPool2D, Sequential, Sigmoid
from minidann.runtime.arrays import to_device, to_host
from minidann.runtime.device import why_no_gpu

# ``place`` is a fixture of each test function that holds for all examples of it, as it should
settings.register_profile(
    "minidann",
    deadline=None,
    derandomize=True,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("minidann")


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "gpu: runs on a real GPU through CuPy; chosen by -m gpu only"
    )


def pytest_collection_modifyitems(config, items):
    """Tests on a GPU run only if asked for; the contract with CuPy, which needs all calls, last."""
    if "gpu" not in config.option.markexpr:
        left_out = [item for item in items if item.get_closest_marker("gpu")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: item.path.name == "test_cupy_contract.py")


@pytest.fixture(params=["cpu", "stand-in", pytest.param("gpu", marks=pytest.mark.gpu)])
def place(request, monkeypatch):
    """Takes an array to the device that a test runs on.

    The devices are main memory, the strict stand-in for CuPy, and with -m gpu a GPU.
    """
    if request.param == "cpu":
        return to_host
    if request.param == "stand-in":
        monkeypatch.setitem(sys.modules, "cupy", strict_cupy)
    elif missing := why_no_gpu():
        pytest.skip(missing)
    return to_device


@pytest.fixture(params=["fast", "plain"])
def way(request):
    """A test runs twice: with the fast twins, as usual, and with the lesson of ``nn`` alone."""
    if request.param == "fast":
        yield request.param
        return
    with plain():
        yield request.param


@pytest.fixture(autouse=True)
def unverified(monkeypatch):
    """Small made-up files pass for the published ones, also in the programs that tests start.

    Tests of verification delete the variable.
    """
    monkeypatch.setenv("MINIDANN_VERIFY", "0")


def _dense(rng, units):
    features = [Dense(2, 5, rng=rng), Sigmoid(), Dense(5, 4, rng=rng), Sigmoid()]
    return (
        features,
        [Dense(4, 3, rng=rng)],
        [Dense(4, 5, rng=rng), Sigmoid(), Dense(5, units, rng=rng)],
    )


def _conv(rng, units):
    features = [
        Conv2D(2, 3, 3, rng=rng),
        BatchNorm(3, domains=2),
        Sigmoid(),
        MaxPool2D(2),
        Flatten(),
    ]
    return (
        features,
        [Dense(12, 3, rng=rng)],
        [Dense(12, 4, rng=rng), BatchNorm(4, domains=2), Sigmoid(), Dense(4, units, rng=rng)],
    )


@pytest.fixture(scope="session")
def make_dann():
    """``make_dann(kind="dense" | "conv")``: a smooth DANN of 3 classes.

    It takes (N, 2) points or (N, 4, 4, 2) images.
    """

    def make(kind="dense", units=2, reduction="mean", seed=0, dtype=np.float64):
        parts = {"dense": _dense, "conv": _conv}[kind](np.random.default_rng(seed), units)
        dann = DANN(*(Sequential(part) for part in parts), reduction=reduction)
        for network in dann.networks:
            network.convert(lambda array: array.astype(dtype))
        return dann

    return make


def write_idx(path, array):
    """A file of MNIST's format."""
    header = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


@pytest.fixture(scope="session")
def small_data(tmp_path_factory):
    """Small MNIST, BSDS500, USPS, SVHN and the release of MNIST-M in their real formats.

    96 + 48 digits each of random pixels, 200 tiny photographs.
    """
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for name in ("mnist", "bsds500", "usps", "svhn"):
        (folder / name).mkdir()
    for split, other, n in (("train", "train", 96), ("t10k", "test", 48)):
        y = np.arange(n) % 10
        write_idx(
            folder / f"mnist/{split}-images-idx3-ubyte.gz",
            rng.integers(0, 256, (n, 28, 28)) * (rng.random((n, 28, 28)) < 0.2),
        )
        write_idx(folder / f"mnist/{split}-labels-idx1-ubyte.gz", y)
        lines = [
            f"{label}.0000 {' '.join(f'{pixel:.3f}' for pixel in rng.uniform(-1, 1, 256))}\n"
            for label in y
        ]
        (folder / f"usps/zip.{other}.gz").write_bytes(gzip.compress("".join(lines).encode()))
        savemat(
            folder / f"svhn/{other}_32x32.mat",
            {
                "X": rng.integers(0, 256, (32, 32, 3, n), np.uint8),
                "y": np.where(y, y, 10)[:, None].astype(np.uint8),
            },
        )
        images = folder / f"mnist_m/mnist_m_{other}"
        images.mkdir(parents=True)
        names = [f"{i:08}.png" for i in range(n)]
        for name in names:
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(images / name)
        (folder / f"mnist_m/mnist_m_{other}_labels.txt").write_text(
            "".join(f"{name} {label}\n" for name, label in zip(names, y))
        )
    with tarfile.open(folder / "bsds500/BSR_bsds500.tgz", "w:gz") as archive:
        for i in range(TRAIN_PHOTOGRAPHS):
            jpeg = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (30, 34, 3), dtype=np.uint8)).save(jpeg, "JPEG")
            member = tarfile.TarInfo(f"{TRAIN_FOLDER}{i:06}.jpg")
            member.size = len(jpeg.getvalue())
            archive.addfile(member, io.BytesIO(jpeg.getvalue()))
    return folder


@pytest.fixture
def no_data(monkeypatch, tmp_path):
    """No data folder but the one that a test names, neither the environment's nor the user's."""
    monkeypatch.delenv("MINIDANN_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
