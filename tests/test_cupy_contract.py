"""What the suite asked of the stand-in, checked against the CuPy that is installed.

CuPy imports without a GPU. Nothing can be run on it, but it can be asked: which functions there
are, what parameters they take, which dtype a ufunc will choose, which kernel ``fuse`` will make of
a function, and whether NVRTC compiles that kernel. These tests run last, when ``strict_cupy.meter``
has seen all other tests (tests/conftest.py sees to the order), and skip without CuPy: ``pip install
-e ".[cuda13]"``.

Whatever of CuPy's own internals is used to ask stands in the first half of this file.
"""

import importlib
import inspect
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import strict_cupy

try:
    cupy = importlib.import_module("cupy")
except ImportError:
    pytest.skip(
        'CuPy is not installed; pip install -e ".[cuda13]" to check against it',
        allow_module_level=True,
    )


def lookup(name):
    """The object of CuPy that a name such as ``"cupy.ndarray.sum"`` stands for."""
    found = cupy
    for part in name.split(".")[1:]:
        found = getattr(found, part)
    return found


def signature(function):
    """Its parameters. Cython functions have them in the first line of their documentation only."""
    if isinstance(function, cupy.ufunc):
        outs = [inspect.Parameter("out", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None)]
        ins = [
            inspect.Parameter(f"in{i}", inspect.Parameter.POSITIONAL_ONLY)
            for i in range(function.nin)
        ]
        return inspect.Signature(
            ins
            + outs
            + [
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None)
                for name in ("dtype", "casting")
            ]
        )
    try:
        return inspect.signature(function)
    except ValueError:
        first = function.__doc__.splitlines()[0]
    parameters = re.search(r"\((.*)\)", first).group(1)
    without_types = re.sub(r"\b[A-Za-z_]+ (?=\w)", "", parameters)
    namespace = {}
    exec(f"def function({without_types}): pass", namespace)
    return inspect.signature(namespace["function"])


def unbacked(dtype, shape):
    """An array of CuPy at an address with nothing behind it: only its shape and dtype are used."""
    memory = cupy.cuda.UnownedMemory(1 << 20, 1 << 30, None, 0)
    return cupy.ndarray(shape, dtype, cupy.cuda.MemoryPointer(memory, 0))


def operand(description):
    """What a record describes, for CuPy.

    ``"float32[4]"`` is an array, ``"float"`` or ``"numpy.float64"`` a scalar.
    """
    if "[" in description:
        dtype, ndim = description.rstrip("]").split("[")
        return unbacked(dtype, (2,) * int(ndim))
    value = {"float": 1.5, "int": 1, "bool": True}.get(description)
    return getattr(np, description.removeprefix("numpy."))(1) if value is None else value


def chosen_dtype(ufunc, operands):
    """The dtype of the result that CuPy's own type resolution chooses."""
    from cupy._core._scalar import CScalar

    wrapped = [x if isinstance(x, cupy.ndarray) else CScalar(x) for x in operands]
    return np.dtype(
        ufunc._ops.guess_routine(ufunc.name, {}, wrapped, None, ufunc._out_ops).out_types[0]
    )


def fused_kernel(function, operands):
    """The ElementwiseKernel that ``cupy.fuse`` makes of a function of such operands."""
    from cupy._core import _fusion_thread_local, fusion

    state = _fusion_thread_local.thread_local
    state.history = history = fusion._FusionHistory()
    state.is_old_fusing = True
    try:
        kernel, _ = history.get_fusion(function, operands, function.__name__)
    finally:
        state.history, state.is_old_fusing = None, False
    return kernel


def cuda_source(kernel, operands):
    """The CUDA source of an ElementwiseKernel, as CuPy hands it to the compiler."""
    from cupy._core import _kernel

    array, indexer, scalar = 1, 2, 3  # CuPy's kinds of kernel arguments
    ndim = max(getattr(x, "ndim", 0) for x in operands)
    given = tuple(np.dtype(getattr(x, "dtype", type(x))) for x in operands)
    ins, outs, types = _kernel._decide_params_type(kernel.in_params, kernel.out_params, given, ())

    def argument(x, dtype):
        kind = (
            (array, cupy.ndarray, dtype, ndim, False, False)
            if isinstance(x, cupy.ndarray)
            else (scalar, type(x), dtype, 0, True, True)
        )
        return _kernel._ArgInfo(*kind)

    arguments = [
        *map(argument, operands, ins),
        *(_kernel._ArgInfo(array, cupy.ndarray, dtype, ndim, False, False) for dtype in outs),
    ]
    arguments.append(_kernel._ArgInfo(indexer, object, None, ndim, False, False))
    code = _kernel._get_elementwise_kernel_code(
        tuple(arguments), types, kernel.params, kernel.operation, kernel.name, kernel.preamble
    )
    return (
        "".join(f"#include <cupy/{header}.cuh>\n" for header in ("complex", "carray", "atomics"))
        + code
    )


def compile_with_nvrtc(source):
    """Compile to PTX for a GPU of 2020 or later; an error shows NVRTC's log.

    Skips where NVRTC is not installed.
    """
    from cupy.cuda import nvrtc

    try:
        nvrtc.getVersion()
    except Exception as error:
        pytest.skip(
            f"NVRTC is not installed ({error}); pip install nvidia-cuda-nvrtc nvidia-cuda-runtime"
        )
    headers = Path(cupy.__file__).parent / "_core" / "include"
    cuda = Path(importlib.util.find_spec("nvidia").submodule_search_locations[0])
    folders = [headers, *(headers / "cupy" / "_cccl").iterdir(), *cuda.glob("*/include")]
    program = nvrtc.createProgram(source, "kernel.cu", (), ())
    try:
        nvrtc.compileProgram(
            program,
            ("--gpu-architecture=compute_80", "-std=c++17", *(f"-I{folder}" for folder in folders)),
        )
    except nvrtc.NVRTCError as error:
        raise AssertionError(f"{error}\n{nvrtc.getProgramLog(program)}") from error
    return nvrtc.getPTX(program)


@pytest.fixture(scope="module")
def calls():
    calls = sorted(strict_cupy.meter.calls, key=str)
    assert len({call.name for call in calls}) > 20, (
        "nothing was called on the stand-in: run these tests together with the others"
    )
    return calls


def test_cupy_has_every_function_that_was_called(calls):
    missing = []
    for name in sorted({call.name for call in calls}):
        try:
            lookup(name)
        except AttributeError:
            missing.append(name)
    assert not missing


def test_cupy_takes_every_argument_that_was_given(calls):
    refused = []
    for call in calls:
        function = lookup(call.name)
        given = ((None,) if inspect.ismethoddescriptor(function) else ()) + call.arguments
        try:
            signature(function).bind(*given, **dict(call.keywords))
        except TypeError as error:
            refused.append(f"{call.name}{call.arguments} {call.keywords}: {error}")
    assert not refused


def test_cupy_chooses_the_dtypes_that_the_stand_in_chose(calls):
    different, checked = [], 0
    for call in calls:
        ufunc = lookup(call.name)
        if not isinstance(ufunc, cupy.ufunc) or not all(
            "[" in a or a in ("float", "int", "bool") or a.startswith("numpy.")
            for a in call.arguments
        ):
            continue
        operands = [operand(description) for description in call.arguments[: ufunc.nin]]
        chosen, had = chosen_dtype(ufunc, operands), np.dtype(call.result.split("[")[0])
        same = (
            np.can_cast(chosen, had, "same_kind") if "out" in dict(call.keywords) else chosen == had
        )
        checked += 1
        if not same:
            different.append(f"{call.name}{call.arguments}: CuPy {chosen}, the stand-in {had}")
    assert checked > 20 and not different


def test_nothing_is_indexed_by_what_cupy_does_not_take(calls):
    taken = re.compile(
        r"int|slice|ellipsis|None|NoneType|tuple|bool\[\d+\]|u?int\d+\[\d+\]|numpy\.u?int\d+"
    )
    for call in calls:
        if call.name.endswith(("__getitem__", "__setitem__")):
            assert taken.fullmatch(call.arguments[0]), call


def test_every_fused_function_becomes_a_kernel_that_compiles():
    assert strict_cupy.meter.fused
    for function, descriptions in sorted(strict_cupy.meter.fused, key=str):
        operands = tuple(operand(description) for description in descriptions)
        kernel = fused_kernel(function, operands)
        assert b"ld.global" in compile_with_nvrtc(cuda_source(kernel, operands))


def test_a_fused_function_computes_in_float32_and_writes_in_place():
    """Scalars must not widen the arithmetic; what it changes must be an output of the kernel."""
    from minidann.fast.flat import momentum_update

    kernel = fused_kernel(
        momentum_update.__wrapped__, (*[unbacked(np.float32, (4,)) for _ in range(3)], 0.1, 0.9)
    )
    assert [parameter.is_const for parameter in kernel.in_params] == [
        False,
        False,
        True,
        True,
        True,
    ]
    assert "double" not in kernel.operation


def test_the_module_of_a_cupy_array_is_cupy(monkeypatch):
    from minidann.runtime.arrays import array_module

    monkeypatch.setitem(sys.modules, "cupy", cupy)
    assert array_module(unbacked(np.float32, (2,))) is cupy


def test_views_of_cupy_arrays_have_the_shapes_and_strides_of_numpys():
    """Slices with steps, transposes and reshapes: what im2col, pooling and the borders stand on."""
    ours, theirs = np.empty((2, 7, 6, 3), np.float32), unbacked(np.float32, (2, 7, 6, 3))
    for view in (
        lambda x: x[:, ::2, 1::2],
        lambda x: x[:, 1:-1, 2:],
        lambda x: x[::-1, ::-1].transpose(0, 1, 3, 2),
        lambda x: x.reshape(2, -1, 3),
        lambda x: x[:, 0, 0][..., None].T,
        lambda x: x.ravel()[5:17].reshape(3, 4),
        lambda x: (
            x.ravel()[:60].reshape(10, 6)[:, :4].reshape(2, 5, 2, 2)
        ),  # windows beside their column of ones
    ):
        assert (view(theirs).shape, view(theirs).strides) == (view(ours).shape, view(ours).strides)
