"""Where arrays live, and what can be asked of the device they live on."""

import os
import platform
import sys
import types

import numpy as np
import pytest
import strict_cupy

from minidann.runtime import arrays


def package(array):
    return type(array).__module__


def test_numpy_arrays_belong_to_numpy():
    assert arrays.array_module(np.zeros(2)) is np


def test_any_other_array_belongs_to_the_package_that_made_it(monkeypatch):
    package = types.ModuleType("elsewhere")
    array = type("ndarray", (), {"__module__": "elsewhere.core"})()
    monkeypatch.setitem(sys.modules, "elsewhere", package)
    assert arrays.array_module(array) is package


def test_to_host_fetches_what_is_elsewhere_and_leaves_what_is_here():
    here = np.arange(3)
    assert arrays.to_host(here) is here
    elsewhere = types.SimpleNamespace(get=lambda: here)
    assert arrays.to_host(elsewhere) is here


def test_to_host_makes_an_array_of_a_number():
    assert package(arrays.to_host(0.5)) == "numpy" and arrays.to_host(0.5) == 0.5


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64", "bool"])
@pytest.mark.parametrize("shape", [(), (0, 3), (4,), (2, 3, 4)], ids=str)
def test_there_and_back_nothing_changes(place, shape, dtype):
    array = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    there = place(array)
    assert package(there) == ("cupy" if place is arrays.to_device else "numpy")
    back = arrays.to_host(there)
    assert type(back) is np.ndarray and back.dtype == array.dtype and back.shape == array.shape
    np.testing.assert_array_equal(back, array)


def test_what_is_on_the_device_stays_there_as_it_is(place):
    there = place(np.arange(3.0))
    assert place(there) is there
    assert (package(there) == "cupy") == (place is arrays.to_device)


def test_beside_takes_a_numpy_array_to_where_another_lives(place):
    x, array = place(np.zeros(2)), np.arange(5)
    to_device_of = arrays.to_device_of(x, array)
    assert type(to_device_of) is type(x) and to_device_of.dtype == array.dtype
    assert (to_device_of is array) == (place is arrays.to_host)
    np.testing.assert_array_equal(arrays.to_host(to_device_of), array)


def test_synchronize_waits_for_a_device_once_and_for_nothing_in_main_memory(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", strict_cupy)
    there = arrays.to_device(np.zeros(2))
    strict_cupy.meter.reset()
    arrays.synchronize(np.zeros(2))
    assert strict_cupy.meter.syncs == 0
    arrays.synchronize(there)
    assert (
        strict_cupy.meter.syncs == 1
        and not strict_cupy.meter.down
        and not strict_cupy.meter.launches
    )


def test_synchronize_works_on_every_device(place):
    assert arrays.synchronize(place(np.zeros(2))) is None


def test_the_device_has_a_name(place):
    name = arrays.device_name(place(np.zeros(2)))
    if place is arrays.to_host:
        assert name == f"CPU ({platform.machine()})"
    else:
        assert isinstance(name, str) and name and "CPU" not in name


def test_the_name_of_a_gpu_is_the_present_devices(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", strict_cupy)
    names = {0: b"The first", 1: b"The second"}
    monkeypatch.setattr(
        strict_cupy.cuda.runtime,
        "getDeviceProperties",
        staticmethod(lambda device: {"name": names[device]}),
    )
    monkeypatch.setattr(strict_cupy.cuda, "Device", lambda: types.SimpleNamespace(id=1))
    assert arrays.device_name(arrays.to_device(np.zeros(2))) == "The second"


def test_peak_memory_is_in_bytes_and_holds_what_lives(place, monkeypatch):
    monkeypatch.setattr(strict_cupy._MemoryPool, "total_bytes", lambda self: 100 << 20)
    live = place(np.ones(8 << 20))  # 64 MiB, written to
    assert live.nbytes < arrays.peak_memory(live)
    if place is arrays.to_host:
        assert arrays.peak_memory(live) < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_peak_memory_of_a_device_is_what_its_pool_holds(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", strict_cupy)
    monkeypatch.setattr(strict_cupy._MemoryPool, "total_bytes", lambda self: 123 << 20)
    monkeypatch.setattr(
        strict_cupy._MemoryPool, "used_bytes", lambda self: 1 << 20
    )  # at this moment, not the most there was
    assert arrays.peak_memory(arrays.to_device(np.zeros(2))) == 123 << 20


def test_a_fused_function_computes_and_changes_what_it_is_given(place):
    @arrays.fused
    def accumulate(total, x, factor):
        """Its documentation."""
        total += factor * x
        return total - x

    total, x = place(np.array([1.0, 2.0, 3.0])), place(np.array([1.0, 0.0, -1.0]))
    for _ in range(2):
        left = accumulate(total, x, 2.0)
    np.testing.assert_array_equal(arrays.to_host(total), [5, 2, -1])
    np.testing.assert_array_equal(arrays.to_host(left), [4, 2, 0])
    assert accumulate.__name__ == "accumulate" and accumulate.__doc__ == "Its documentation."


def test_on_numpy_a_fused_function_is_called_as_it_is():
    given, result = [], object()

    @arrays.fused
    def function(*arguments):
        given.append(arguments)
        return result

    x = np.zeros(2)
    assert function(x, 0.5) is result
    assert given[0][0] is x and given[0][1] == 0.5 and len(given) == 1


def test_on_a_device_a_fused_function_is_one_kernel_made_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", strict_cupy)
    made, fuse = [], strict_cupy.fuse
    monkeypatch.setattr(
        strict_cupy, "fuse", lambda function: made.append(function) or fuse(function)
    )

    @arrays.fused
    def average(x, y):
        return (x + y) / 2

    x, y = (arrays.to_device(np.arange(3.0)) for _ in range(2))
    strict_cupy.meter.reset()
    for calls in (1, 2, 3):
        average(x, y)
        assert strict_cupy.meter.launches == calls
    assert len(made) == 1
    np.testing.assert_array_equal(
        average(np.arange(3.0), np.ones(3)), [0.5, 1, 1.5]
    )  # and on numpy still, as it is
    assert (
        strict_cupy.meter.launches == 3 and not strict_cupy.meter.up and not strict_cupy.meter.down
    )
