"""Which device to work on: ``--device cpu``, ``gpu`` or ``auto``.

transfer = transfer_to("auto")       to_device if there is a GPU that works, else to_host
network.convert(transfer)            the parameters go there; from then on the arrays decide
"""

import ctypes
from collections.abc import Callable

from minidann.runtime.arrays import Array, to_device, to_host
from minidann.runtime.errors import InputError

DEVICES = ("cpu", "gpu", "auto")
Transfer = Callable[[Array], Array]


def transfer_to(device: str) -> Transfer:
    """The function that takes an array to the device.

    Parameters
    ----------
    device : "cpu", "gpu" or "auto"
        ``"auto"`` is the GPU if CuPy imports and a device answers, else the CPU.

    Raises
    ------
    InputError
        For ``"gpu"`` without one; it says what is missing and how to get it.
    """
    if device not in DEVICES:
        raise InputError(f"the device is {device!r}; choose one of {', '.join(DEVICES)}")
    if device == "cpu":
        return to_host
    missing = why_no_gpu()
    if missing and device == "gpu":
        raise InputError(f"{missing}, or run with --device cpu")
    return to_host if missing else to_device


def why_no_gpu() -> str:
    """What is missing for work on a GPU, and the remedy; empty if nothing is."""
    driver = driver_version()
    if driver is None:
        return (
            "there is no NVIDIA driver on this machine (libcuda was not found): install the driver "
            'of its GPU and then CuPy, pip install -e ".[cuda13]"'
        )
    cuda = f"CUDA {driver[0]}.{driver[1]}"
    if driver < (12, 0):
        return (
            f"the NVIDIA driver of this machine is for {cuda}, and CuPy needs one for 12 or later: "
            "update the driver"
        )
    extra = "cuda13" if driver >= (13, 0) else "cuda12"
    install = f'pip install -e ".[{extra}]", which is for the {cuda} of this driver'
    try:
        import cupy
    except ImportError as error:
        return f"CuPy is not installed ({error}): {install}"
    try:
        devices = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return (
            f"CuPy {cupy.__version__} and the driver are there, but no device answers ({error}): "
            f"look at nvidia-smi; if CuPy is for another CUDA, {install}"
        )
    if devices == 0:
        return (
            "CuPy and the driver are there, but there is no device: look at nvidia-smi and at "
            "CUDA_VISIBLE_DEVICES"
        )
    try:
        cupy.arange(2).sum().get()  # compiles a kernel and runs it
    except Exception as error:  # a missing library of CUDA comes in many types
        reason = str(error).partition("\n")[0]
        return (
            f"the GPU is there, but a first kernel failed ({type(error).__name__}: {reason}): "
            f"CUDA's libraries come with {install}"
        )
    return ""


def driver_version() -> tuple[int, int] | None:
    """The CUDA version that the NVIDIA driver supports, such as (13, 0); None without a driver."""
    for name in ("libcuda.so.1", "nvcuda.dll"):
        try:
            version = ctypes.c_int()
            ctypes.CDLL(name).cuDriverGetVersion(ctypes.byref(version))
            return version.value // 1000, version.value % 1000 // 10
        except OSError:
            continue
    return None


def resident(transfer: Transfer, *arrays: Array) -> tuple[Array, ...]:
    """The arrays where ``transfer`` takes them, if all of them fit into half of its free memory.

    Else they stay as they are, and go up batch by batch: give ``Batches`` the same ``transfer``.
    """
    if transfer is to_host:
        return arrays
    import cupy

    free, _ = cupy.cuda.Device().mem_info
    if 2 * sum(array.nbytes for array in arrays) >= free:
        return arrays
    return tuple(transfer(array) for array in arrays)
