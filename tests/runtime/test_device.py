"""Which device is chosen, and the one sentence that says why a GPU can not be."""

import ctypes
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import strict_cupy

from minidann import ablation, blobs, digits, mnistm, signs
from minidann.experiments import pair_program
from minidann.experiments.records import environment
from minidann.runtime import device
from minidann.runtime.arrays import to_device, to_host
from minidann.runtime.errors import InputError


@pytest.fixture
def gpu(monkeypatch):
    """A machine on which all is well: a driver of CUDA 13 and CuPy (the stand-in).

    A test then takes something away.
    """
    monkeypatch.setattr(device, "driver_version", lambda: (13, 0))
    monkeypatch.setitem(sys.modules, "cupy", strict_cupy)
    return monkeypatch


def raising(error):
    def function(*arguments, **keywords):
        raise error

    return function


def refusal():
    """What ``--device gpu`` says; the same lack makes ``auto`` choose the CPU."""
    assert device.transfer_to("auto") is to_host
    with pytest.raises(InputError) as refused:
        device.transfer_to("gpu")
    message = str(refused.value)
    assert "\n" not in message and message.endswith(", or run with --device cpu")
    return message


def test_with_all_there_it_is_the_gpu(gpu):
    assert device.why_no_gpu() == ""
    assert device.transfer_to("gpu") is device.transfer_to("auto") is to_device


def test_the_cpu_is_chosen_without_a_look_at_the_gpu(gpu):
    gpu.setattr(device, "why_no_gpu", raising(AssertionError("a look at the GPU")))
    assert device.transfer_to("cpu") is to_host


@pytest.mark.parametrize("name", ["cuda", "GPU", "", "gpu:0", None])
def test_other_names_are_refused(gpu, name):
    with pytest.raises(InputError, match=rf"the device is {name!r}; choose one of cpu, gpu, auto"):
        device.transfer_to(name)


def test_no_driver(gpu):
    gpu.setattr(device, "driver_version", lambda: None)
    message = refusal()
    assert (
        "no NVIDIA driver" in message and "libcuda" in message and "install the driver" in message
    )


def test_a_driver_and_no_cupy(gpu):
    gpu.setitem(sys.modules, "cupy", None)
    message = refusal()
    assert "CuPy is not installed" in message and 'pip install -e ".[cuda13]"' in message


def test_no_device_answers(gpu):
    error = strict_cupy.cuda.runtime.CUDARuntimeError(
        "cudaErrorInsufficientDriver: CUDA driver version is insufficient"
    )
    gpu.setattr(strict_cupy.cuda.runtime, "getDeviceCount", staticmethod(raising(error)))
    message = refusal()
    assert (
        "no device answers" in message
        and "cudaErrorInsufficientDriver" in message
        and "nvidia-smi" in message
        and strict_cupy.__version__ in message
    )


def test_no_device_is_visible(gpu):
    gpu.setattr(strict_cupy.cuda.runtime, "getDeviceCount", staticmethod(lambda: 0))
    message = refusal()
    assert "there is no device" in message and "CUDA_VISIBLE_DEVICES" in message


@pytest.mark.parametrize(
    "error, named",
    [
        (
            RuntimeError("libnvrtc.so.13: cannot open shared object file\nand a long explanation"),
            "RuntimeError: libnvrtc.so.13: cannot open",
        ),
        (OSError("libcublas.so.13"), "OSError: libcublas.so.13"),
        (
            ImportError("No module named 'cuda_pathfinder'"),
            "ImportError: No module named 'cuda_pathfinder'",
        ),
        (MemoryError(), "MemoryError"),
    ],
    ids=["RuntimeError", "OSError", "ImportError", "without a text"],
)
def test_a_first_kernel_that_fails(gpu, error, named):
    gpu.setattr(strict_cupy, "arange", raising(error))
    message = refusal()
    assert (
        "a first kernel failed" in message
        and named in message
        and "long explanation" not in message
    )


def test_the_first_kernel_is_really_run(gpu):
    strict_cupy.meter.reset()
    device.transfer_to("gpu")
    assert (
        strict_cupy.meter.launches and strict_cupy.meter.syncs
    )  # a failure shows only when its result is waited for


@pytest.mark.parametrize(
    "driver, extra",
    [((12, 0), "cuda12"), ((12, 9), "cuda12"), ((13, 0), "cuda13"), ((13, 2), "cuda13")],
)
@pytest.mark.parametrize("lack", ["CuPy", "a device", "a kernel"])
def test_the_install_line_matches_the_driver(gpu, driver, extra, lack):
    gpu.setattr(device, "driver_version", lambda: driver)
    if lack == "CuPy":
        gpu.setitem(sys.modules, "cupy", None)
    elif lack == "a device":
        gpu.setattr(
            strict_cupy.cuda.runtime,
            "getDeviceCount",
            staticmethod(raising(strict_cupy.cuda.runtime.CUDARuntimeError("none"))),
        )
    else:
        gpu.setattr(strict_cupy, "arange", raising(RuntimeError("libnvrtc")))
    assert (
        f'pip install -e ".[{extra}]", which is for the CUDA {driver[0]}.{driver[1]} of this driver'
        in refusal()
    )


def test_a_driver_too_old_for_every_cupy_is_what_is_missing(gpu):
    gpu.setattr(device, "driver_version", lambda: (11, 8))
    gpu.setitem(sys.modules, "cupy", None)
    message = refusal()
    assert (
        "CUDA 11.8" in message and "update the driver" in message and "pip install" not in message
    )


@pytest.mark.parametrize("library", ["libcuda.so.1", "nvcuda.dll"])
def test_the_driver_is_asked_for_its_cuda(monkeypatch, library):
    def get_version(pointer):
        pointer._obj.value = 12040
        return 0

    def load(name):
        if name != library:
            raise OSError(f"{name}: cannot open shared object file")
        return SimpleNamespace(cuDriverGetVersion=get_version)

    monkeypatch.setattr(ctypes, "CDLL", load)
    assert device.driver_version() == (12, 4)


def test_without_a_driver_there_is_no_version(monkeypatch):
    monkeypatch.setattr(
        ctypes, "CDLL", raising(OSError("libcuda.so.1: cannot open shared object file"))
    )
    assert device.driver_version() is None


# --- data sets


@pytest.fixture
def free(monkeypatch):
    """``free(n)``: n bytes of the device's memory are free, of many."""
    monkeypatch.setitem(sys.modules, "cupy", strict_cupy)
    return lambda n: monkeypatch.setattr(
        strict_cupy.cuda, "Device", lambda: SimpleNamespace(mem_info=(n, 1 << 40))
    )


def data():
    return np.arange(200, dtype=np.uint8).reshape(25, 8), np.arange(
        25
    )  # 200 bytes and as many again


def test_a_data_set_that_fits_lives_on_the_device(free):
    free(801)
    there = device.resident(to_device, *data())
    assert all(isinstance(array, strict_cupy.ndarray) for array in there)
    assert all(
        np.array_equal(to_host(array), expected)
        for array, expected in zip(there, data(), strict=True)
    )


@pytest.mark.parametrize("n", [0, 399, 401, 799])
def test_a_data_set_that_does_not_fit_stays_as_it_is(free, n):
    free(n)
    given = data()
    strict_cupy.meter.reset()
    here = device.resident(to_device, *given)
    assert len(here) == 2 and all(array is kept for array, kept in zip(here, given))
    assert not strict_cupy.meter.up


def test_on_the_cpu_a_data_set_stays_as_it_is(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # and no one asks for CuPy
    given = data()
    here = device.resident(to_host, *given)
    assert len(here) == 2 and all(array is kept for array, kept in zip(here, given))


# --- the programs


@pytest.mark.parametrize(
    "program, trains, options",
    [
        (blobs, blobs, []),
        (mnistm, pair_program, []),
        (signs, pair_program, []),
        (ablation, ablation, []),
        (digits, digits, ["--matrix"]),
    ],
)
def test_a_program_without_its_gpu_ends_before_anything_is_done(
    program, trains, options, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(device, "why_no_gpu", lambda: "the GPU is on holiday")
    monkeypatch.setattr(trains, "conduct", raising(AssertionError("training has begun")))
    assert (
        program.main([*options, "--device", "gpu", "--steps", "2", "--out", str(tmp_path / "out")])
        == 1
    )
    output = capsys.readouterr()
    assert (
        output.err == "error: the GPU is on holiday, or run with --device cpu\n"
        and output.out == ""
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("program", [blobs, mnistm, signs, ablation, digits])
def test_a_program_refuses_a_device_it_does_not_know(program, tmp_path, capsys):
    with pytest.raises(SystemExit) as refused:
        program.main(["--device", "tpu", "--out", str(tmp_path / "out")])
    assert (
        refused.value.code == 2
        and "'tpu'" in capsys.readouterr().err
        and not list(tmp_path.iterdir())
    )


@pytest.mark.parametrize(
    "asked, named", [("gpu", "Stand-in"), ("auto", "Stand-in"), ("cpu", "CPU")]
)
def test_the_record_names_the_device(gpu, asked, named):
    assert named in environment(asked)["device"]
