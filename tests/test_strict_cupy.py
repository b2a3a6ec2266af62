"""The stand-in for CuPy: what it refuses and counts, and that it computes what NumPy computes."""

import copy
import operator
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import strict_cupy as cupy
from hypothesis import given
from hypothesis import strategies as st
from strict_cupy import Call, meter

from minidann.runtime.arrays import array_module, to_device

DTYPES = [
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
]


@pytest.fixture(autouse=True)
def counts_from_zero(monkeypatch):
    """Counts start from zero.

    The calls made here stay on record for test_cupy_contract.py; the fused functions do not: they
    name the stand-in.
    """
    meter.reset()
    monkeypatch.setattr(meter, "fused", set())


@pytest.fixture
def x():
    """The device's float32 array [[0, 1, 2], [3, 4, 5]], with its making not counted."""
    array = cupy.asarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    meter.reset()
    return array


def host(array):
    """The values of an array, without a count."""
    return array._data


# --- it is an array of a package called cupy


def test_the_package_takes_it_for_cupy(monkeypatch, x):
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    assert array_module(x) is cupy
    assert isinstance(to_device(np.zeros(2)), cupy.ndarray)
    assert isinstance(x, cupy.ndarray) and not isinstance(x, np.ndarray)


# --- what is refused

REFUSED = {
    "numpy + array": lambda x: np.ones((2, 3)) + x,
    "array + numpy": lambda x: x + np.ones((2, 3)),
    "array += numpy": lambda x: operator.iadd(x, np.ones((2, 3))),
    "numpy += array": lambda x: operator.iadd(np.ones((2, 3)), x),
    "numpy == array": lambda x: np.ones((2, 3)) == x,
    "numpy @ array": lambda x: np.ones((2, 2)) @ x,
    "array + list": lambda x: operator.add(x, [1, 2, 3]),
    "array + None": lambda x: x + None,
    "array == None": lambda x: x == None,  # noqa: E711
    "numpy's ufunc": lambda x: np.exp(x),
    "numpy's ufunc, out": lambda x: np.exp(np.ones((2, 3)), out=x),
    "numpy's function": lambda x: np.sum(x),
    "numpy's concatenate": lambda x: np.concatenate([x, x]),
    "numpy.asarray": lambda x: np.asarray(x),
    "numpy.array of a list of arrays": lambda x: np.array([x, x]),
    "write into numpy": lambda x: operator.setitem(np.ones((2, 3)), Ellipsis, x),
    "cupy's ufunc of numpy": lambda x: cupy.exp(np.ones(3)),
    "cupy's ufunc of a list": lambda x: cupy.exp([1.0]),
    "cupy's function of numpy": lambda x: cupy.roll(np.ones(3), 1),
    "concatenate with numpy": lambda x: cupy.concatenate([x, np.ones((2, 3))]),
    "where of numpy": lambda x: cupy.where(np.ones((2, 3), dtype=bool), x, 0.0),
    "where of one argument": lambda x: cupy.where(x > 1),
    "copyto from numpy": lambda x: cupy.copyto(x, np.ones((2, 3))),
    "matmul of a scalar": lambda x: x @ 2.0,
    "for": lambda x: list(x),
    "in": lambda x: 1.0 in x,
    "unpack": lambda x: tuple(x),
    "builtin sum": lambda x: sum(x),
    "hash": lambda x: hash(x),
    "pickle": lambda x: pickle.dumps(x),
    "shallow copy": lambda x: copy.copy(x),
    "range": lambda x: range(cupy.arange(3)[2]),  # CuPy's array has no __index__
    "sum where": lambda x: x.sum(where=x > 1),
    "sum initial": lambda x: x.sum(initial=1.0),
    "max initial": lambda x: x.max(initial=1.0),
    "max dtype": lambda x: x.max(dtype="float64"),
    "ufunc where": lambda x: cupy.exp(x, where=x > 1),
    "ufunc order": lambda x: cupy.exp(x, order="C"),
    "astype casting": lambda x: x.astype("int32", casting="unsafe"),
    "float of many": lambda x: float(x),
    "cast in place": lambda x: operator.iadd(cupy.arange(3), 0.5),
    "bitwise on floats": lambda x: x & x,
}


@pytest.mark.parametrize("use", REFUSED.values(), ids=REFUSED)
def test_refused_with_a_type_error_and_nothing_written(x, use):
    with pytest.raises(TypeError):
        use(x)
    np.testing.assert_array_equal(host(x), np.arange(6).reshape(2, 3))


@pytest.mark.parametrize(
    "index",
    [
        [0, 1],
        np.array([0, 1]),
        (0, [0, 1]),
        (slice(None), np.array([True, False, True])),
        True,
        0.5,
    ],
    ids=repr,
)
def test_an_index_is_of_the_device(x, index):
    with pytest.raises((TypeError, IndexError)):
        x[index]
    with pytest.raises((TypeError, IndexError)):
        x[index] = 0.0


def test_an_array_of_floats_is_no_index(x):
    with pytest.raises(IndexError):
        x[x]


@pytest.mark.parametrize("value", [np.zeros(3), [0.0, 0.0, 0.0], np.zeros(()), None, "0"], ids=repr)
def test_a_value_written_is_a_scalar_or_of_the_device(x, value):
    with pytest.raises(TypeError):
        x[0] = value


def test_bool_of_many_is_refused_as_by_numpy(x):
    with pytest.raises(ValueError):
        bool(x)


@pytest.mark.parametrize("name", ["at", "reduce", "accumulate", "outer"])
def test_a_ufunc_has_no_methods(name):
    assert not hasattr(cupy.add, name)


def test_there_is_no_more_than_what_is_written_down(x):
    assert not hasattr(cupy, "random") and not hasattr(cupy, "nditer")
    with pytest.raises(AttributeError):
        x.extra = 1


# --- what is offered

ROOT = Path(__file__).parents[1]
OWN = ("tests/strict_cupy/", "tests/test_strict_cupy.py", "tests/test_cupy_contract.py")
# operators call these, so nothing needs to call them by name
BEHIND_OPERATORS = {"absolute", "add", "bitwise_and", "bitwise_xor", "divide", "equal", "greater"}
BEHIND_OPERATORS |= {"less", "matmul", "multiply", "negative", "not_equal", "power", "subtract"}


def users():
    """All code that may run on the stand-in, but for its own tests, as one text."""
    paths = [
        path
        for room in ("minidann", "benchmarks", "tutorials", "tests")
        for path in sorted((ROOT / room).rglob("*.py"))
        if not path.relative_to(ROOT).as_posix().startswith(OWN)
    ]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def test_nothing_is_offered_that_nothing_calls():
    text = users()
    functions = {name for name, value in vars(cupy).items() if hasattr(value, "__wrapped__")}
    methods = {name for name, value in vars(cupy.ndarray).items() if hasattr(value, "__wrapped__")}
    idle = {name for name in functions if not re.search(rf"(xp|cupy|[)])[.]{name}\b", text)}
    idle |= {
        name
        for name in methods
        if not name.startswith("__") and not re.search(rf"[.]{name}[(]", text)
    }
    assert idle - BEHIND_OPERATORS == set()


def test_out_must_have_the_shape_of_the_result(x):
    row = x[0]
    with pytest.raises(ValueError):
        cupy.add(row, 1, out=x)  # numpy would broadcast
    with pytest.raises(ValueError):
        x.sum(axis=0, out=x)


def test_writing_twice_to_one_place_is_refused(x):
    rows = cupy.asarray([0, 0])
    with pytest.raises(ValueError):
        x[rows] = cupy.zeros((2, 3))
    with pytest.raises(ValueError):
        x[rows] += 1.0
    x[rows] = 7.0  # one value, whoever comes first
    assert host(x)[0].tolist() == [7.0, 7.0, 7.0]


def test_copying_between_overlapping_parts_is_refused(x):
    flat = x.ravel()
    with pytest.raises(ValueError):
        flat[1:] = flat[:-1]
    with pytest.raises(ValueError):
        cupy.copyto(flat[1:], flat[:-1])
    square = cupy.zeros((2, 2))
    with pytest.raises(ValueError):
        cupy.matmul(square, square, out=square)


# --- what stays on the device


RESULTS = {
    "sum": lambda x: x.sum(),
    "mean": lambda x: x.mean(),
    "argmax": lambda x: x.argmax(),
    "max": lambda x: x.max(),
    "element": lambda x: x[0, 0],
    "scalar + element": lambda x: np.float32(1) + x[0, 0],
    "exp of a scalar": lambda x: cupy.exp(1.0),
    "dot": lambda x: x[0] @ x[0],
    "where": lambda x: cupy.where(x[0, 0] > 1, x[0, 0], 0.0),
    "indexed by an array": lambda x: x[cupy.asarray(0), cupy.asarray(1)],
}


@pytest.mark.parametrize("make", RESULTS.values(), ids=RESULTS)
def test_one_element_is_an_array_on_the_device_and_nothing_is_fetched(x, make):
    result = make(x)
    assert type(result) is cupy.ndarray and result.shape == ()
    assert type(host(result)) is np.ndarray
    assert meter.syncs == 0 and meter.down == []


# --- transfers and waits


def test_uploads_count_their_bytes_and_no_launch():
    cupy.asarray(np.zeros((2, 3), dtype=np.float32))
    cupy.asarray([1.0, 2.0])
    cupy.asarray(3, dtype="int8")
    assert meter.up == [24, 16, 1]
    assert (meter.down, meter.syncs, meter.launches) == ([], 0, 0)


def test_uploads_copy():
    data = np.zeros(3)
    array = cupy.asarray(data)
    data[:] = 1
    assert host(array).tolist() == [0, 0, 0]


def test_asarray_leaves_what_is_there(x):
    assert cupy.asarray(x) is x and cupy.asarray(x, dtype="float32") is x
    assert cupy.asarray(x, dtype="float64").dtype == "float64"
    assert meter.up == []


@pytest.mark.parametrize("data", [np.array(["a"]), np.array([None]), "text"], ids=repr)
def test_only_numbers_can_be_uploaded(data):
    with pytest.raises(ValueError):
        cupy.asarray(data)


LOOKS = [float, int, cupy.ndarray.get]


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.__name__)
def test_every_look_at_a_value_waits_and_transfers(x, look):
    assert look(x[1, 1]) == 4
    assert (meter.syncs, meter.down, meter.up) == (1, [4], [])


def test_get_transfers_all_and_copies(x):
    values = x.get()
    assert type(values) is np.ndarray and meter.down == [24]
    values[:] = 9
    assert host(x)[0, 0] == 0


def test_a_condition_waits(x):
    assert bool(x[0, 0] == 0) is True and bool(x[0, 0] == 1) is False
    assert (meter.syncs, meter.down) == (2, [1, 1])


def test_one_element_written_into_a_numpy_array_is_fetched(x):
    np.ones(3)[0] = x[0, 0]  # numpy asks for its float, and CuPy gives it
    assert (meter.syncs, meter.down) == (1, [4])


def test_what_is_known_without_the_device_waits_for_nothing(x):
    known = (
        x.shape,
        x.ndim,
        x.size,
        x.dtype,
        x.itemsize,
        x.nbytes,
        x.strides,
        len(x),
    )
    assert known == ((2, 3), 2, 6, np.float32, 4, 24, (12, 4), 2)
    assert "float32" in repr(x) and cupy.result_type(x, np.int8) == "float32"
    assert (meter.syncs, meter.down, meter.launches) == (0, [], 0)


def test_a_mask_waits_for_the_number_of_its_elements(x):
    mask = x > 2
    assert host(x[mask]).tolist() == [3, 4, 5] and meter.syncs == 1
    x[mask] = 0.0
    assert host(x).max() == 2 and meter.syncs == 2


def test_indices_do_not_wait(x):
    rows, columns = cupy.asarray([0, 1]), cupy.asarray([2, 0])
    meter.reset()
    x[rows, columns] -= 1
    assert host(x).tolist() == [[0, 1, 1], [2, 4, 5]]
    assert (meter.syncs, meter.up, meter.launches) == (0, [], 3)
    x[rows] = 0.0
    assert meter.up == [4]  # CuPy makes an array of the scalar


# --- launches

LAUNCHES = {
    "ufunc": (1, lambda x: cupy.exp(x)),
    "ufunc, out": (1, lambda x: cupy.exp(x, out=x)),
    "operator": (1, lambda x: 1 - x),
    "two operators": (2, lambda x: x * x + 1),
    "in place": (1, lambda x: operator.iadd(x, 1)),
    "in place, in a part": (
        1,
        lambda x: operator.setitem(x, 0, operator.iadd(x[0], 1)),
    ),  # what x[0] += 1 does
    "reduction": (1, lambda x: x.mean(axis=0)),
    "matmul": (1, lambda x: x @ x.T),
    "concatenate": (2, lambda x: cupy.concatenate([x, x])),
    "stack": (2, lambda x: cupy.stack([x, x])),
    "power": (1, lambda x: x**2),
    "concatenate nine": (1, lambda x: cupy.concatenate([x] * 9)),
    "copy": (1, lambda x: x.copy()),
    "deepcopy": (1, lambda x: copy.deepcopy(x)),
    "copyto": (1, lambda x: cupy.copyto(x, 1.0)),
    "astype": (1, lambda x: x.astype("float64")),
    "astype, nothing to do": (0, lambda x: x.astype("float32", copy=False)),
    "fill": (1, lambda x: x.fill(1)),
    "write": (1, lambda x: operator.setitem(x, 0, 1.0)),
    "zeros": (1, lambda x: cupy.zeros(3)),
    "empty": (0, lambda x: cupy.empty(3)),
    "reshape": (0, lambda x: x.reshape(3, 2)),
    "reshape that copies": (1, lambda x: x.T.reshape(6)),
    "ravel that copies": (1, lambda x: x.T.ravel()),
    "slice": (0, lambda x: x[:, 1:]),
    "transpose": (0, lambda x: x.transpose((1, 0))),
    "as_strided": (0, lambda x: cupy.lib.stride_tricks.as_strided(x, (2, 2), (12, 4))),
}


@pytest.mark.parametrize("launches, use", LAUNCHES.values(), ids=LAUNCHES)
def test_kernels_are_counted(x, launches, use):
    use(x)
    assert meter.launches == launches
    assert meter.syncs == 0


# --- memory

VIEWS = {
    "slice": lambda x: x[:, 1:],
    "row": lambda x: x[1],
    "element": lambda x: x[1, 1],
    "new axis": lambda x: x[None],
    "T": lambda x: x.T,
    "transpose": lambda x: x.transpose(1, 0),
    "reshape": lambda x: x.reshape(6),
    "reshape, tuple": lambda x: x.reshape((3, 2)),
    "ravel": lambda x: x.ravel(),
    "view of a view": lambda x: x[1:][:, 1:].T,
    "reversed": lambda x: x[::-1, ::-1],
    "as_strided": lambda x: cupy.lib.stride_tricks.as_strided(x, (2, 3), (12, 4)),
}


@pytest.mark.parametrize("make", VIEWS.values(), ids=VIEWS)
def test_views_share_memory(x, make):
    view = make(x)
    assert view.base is x and x.base is None
    view[...] = -1.0
    assert -1.0 in host(x)
    view += 3.0
    assert 2.0 in host(x) and -1.0 not in host(x)
    x.fill(5)
    assert np.all(host(view) == 5)


def test_windows_see_what_is_written_later(x):
    windows = cupy.lib.stride_tricks.as_strided(x, (2, 2, 2), (12, 4, 4))
    x[0, 1] = 9.0
    assert windows.shape == (2, 2, 2) and windows.base is x
    assert host(windows)[0].tolist() == [[0, 9], [9, 2]]


def test_indexing_with_arrays_copies(x):
    copied = x[cupy.asarray([0])]
    copied[...] = 9.0
    assert copied.base is None and host(x)[0, 0] == 0


def test_an_operator_in_place_keeps_the_array(x):
    before, view = x, x[0]
    x += 1
    x *= np.float32(2)
    x /= x
    assert x is before and host(view).tolist() == [1, 1, 1]


def test_results_are_written_into_out(x):
    out = cupy.empty((2, 2), dtype="float32")
    assert cupy.matmul(x, x.T, out=out) is out
    assert host(out).tolist() == [[5, 14], [14, 50]]
    rows = cupy.empty(2, dtype="float32")
    assert x.sum(axis=1, out=rows) is rows and host(rows).tolist() == [3, 12]
    assert cupy.exp(rows, rows) is rows  # out by its place, as in a fused function


def test_copyto_casts_as_told_and_where_told(x):
    cupy.copyto(x, 7.0, where=x > 3)
    assert host(x).tolist() == [[0, 1, 2], [3, 7, 7]]
    whole = cupy.zeros((2, 3), dtype="int32")
    with pytest.raises(TypeError):
        cupy.copyto(whole, x)
    cupy.copyto(whole, x, casting="unsafe")
    assert host(whole).tolist() == host(x).tolist()


def test_a_deep_copy_is_another_array_of_the_device(x):
    twin = copy.deepcopy({"a": [x]})["a"][0]
    x += 1
    assert type(twin) is cupy.ndarray and host(twin)[0, 0] == 0
    assert (meter.syncs, meter.down, meter.up) == (0, [], [])


@pytest.mark.parametrize("dtype", DTYPES)
def test_fresh_memory_is_garbage(dtype):
    array = cupy.empty((2, 2), dtype)
    assert array.dtype == dtype
    garbage = (
        np.isnan(host(array))
        if array.dtype.kind == "f"
        else host(array) == (True if dtype == "bool" else np.iinfo(dtype).max)
    )
    assert garbage.all()


# --- fused functions


def test_a_fused_function_is_one_launch(x):
    @cupy.fuse
    def inner(a, b):
        return a * b

    @cupy.fuse
    def step(w, g, rate):
        w -= rate * cupy.exp(inner(g, g))
        return w + 1, -w

    view = x[0]
    first, second = step(x, cupy.zeros_like(x), 0.5)
    assert meter.launches == 2  # zeros_like is the other one
    assert host(view).tolist() == [-0.5, 0.5, 1.5]
    assert host(first)[0].tolist() == [0.5, 1.5, 2.5] and first.dtype == "float32"
    np.testing.assert_array_equal(host(second), -host(x))
    assert (step.__wrapped__, ("float32[2]", "float32[2]", "float")) in meter.fused
    first + second  # they are ordinary arrays again


def test_a_fused_function_of_no_array_is_the_function():
    @cupy.fuse
    def half(a):
        return a.sum() / 2 if isinstance(a, np.ndarray) else a / 2

    assert half(3) == 1.5 and half(np.ones(4)) == 2 and meter.launches == 0


def test_a_fused_function_returns_new_arrays_of_the_whole_shape(x):
    @cupy.fuse
    def both(a, b):
        return a, b + 1

    a, b = both(x, x[0])
    assert b.shape == (2, 3)
    a += 1
    assert host(x)[0, 0] == 0


elsewhere = cupy.zeros(3)

UNFUSABLE = {
    "method": lambda x, s: x.sum(),
    "reduction": lambda x, s: x.max(axis=1),
    "index": lambda x, s: x[0],
    "write": lambda x, s: operator.setitem(x, 0, 1.0),
    "reshape": lambda x, s: x.reshape(6),
    "T": lambda x, s: x.T,
    "shape": lambda x, s: x * x.shape[0],
    "len": lambda x, s: x * len(x),
    "matmul": lambda x, s: x @ x,
    "abs": lambda x, s: abs(x),
    "zeros": lambda x, s: cupy.zeros(3) + x,
    "float": lambda x, s: float(x),
    "if": lambda x, s: x if x else s,
    "another array": lambda x, s: x + elsewhere,
    "array made before": lambda x, s: cupy.add(x, 1, out=elsewhere),
    "if of a scalar": lambda x, s: x if s else x + 1,
    "scalar == 0": lambda x, s: x if s == 0 else x + 1,
    "scalar > 0": lambda x, s: x if s > 0 else x + 1,
    "scalars alone": lambda x, s: (1 - s) * x,
    "ufunc of a scalar": lambda x, s: cupy.exp(s) * x,
    "returns a number": lambda x, s: 1.0,
    "returns a list": lambda x, s: [x + 1],
}


@pytest.mark.parametrize("function", UNFUSABLE.values(), ids=UNFUSABLE)
def test_only_ufuncs_of_parameters_can_be_fused(x, function):
    with pytest.raises(TypeError):
        cupy.fuse(function)(x, 0.5)
    x.sum()  # and after the error all is allowed again


@pytest.mark.parametrize("argument", [np.ones(3), [1.0], "1", None], ids=repr)
def test_parameters_of_a_fused_function_are_arrays_and_scalars(x, argument):
    with pytest.raises(TypeError):
        cupy.fuse(lambda a, b: a + 1)(x, argument)


def test_no_keywords_for_a_fused_function(x):
    with pytest.raises(TypeError):
        cupy.fuse(lambda a: a + 1)(a=x)


def test_the_refusal_names_the_operation(x):
    with pytest.raises(TypeError, match=r"cupy\.ndarray\.sum"):
        cupy.fuse(lambda a: a.sum())(x)


def test_a_smaller_parameter_cannot_be_written_in_a_fused_function(x):
    @cupy.fuse
    def step(a, b):
        a += 1
        return a + b

    with pytest.raises(ValueError):
        step(x[0], x)


def test_what_is_made_within_stays_within(x):
    kept = []
    cupy.fuse(lambda a: kept.append(a + 1))(x)
    with pytest.raises(TypeError):
        kept[0] + 1


# --- values and types as numpy's

UNARY = ("negative", "absolute", "exp", "log", "log1p", "tanh", "sqrt")
BINARY = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "equal", "less")
OPERATORS = ("add", "sub", "mul", "truediv", "eq", "ne", "lt", "gt", "and_", "xor")
arrays = st.builds(
    lambda dtype, values: np.array(values).astype(dtype),
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 5), min_size=3, max_size=3),
)
numbers = st.one_of(st.integers(0, 5), st.booleans(), st.floats(0, 5, width=16))
scalars = numbers | st.builds(
    lambda dtype, number: np.dtype(dtype).type(number), st.sampled_from(DTYPES), numbers
)


def same(compute_here, compute_there):
    """The same values of the same type, or both an error (numpy refuses ``-`` of bools, say)."""
    with np.errstate(all="ignore"):
        try:
            expected = compute_here()
        except TypeError:
            with pytest.raises(TypeError):
                compute_there()
            return
    result = compute_there()
    assert result.dtype == np.asarray(expected).dtype
    np.testing.assert_array_equal(host(result), expected)


@given(arrays, st.one_of(arrays, scalars), st.sampled_from(BINARY))
def test_ufuncs_of_two_compute_and_promote_as_numpys(a, b, name):
    there = cupy.asarray(b) if isinstance(b, np.ndarray) else b
    same(lambda: getattr(np, name)(a, b), lambda: getattr(cupy, name)(cupy.asarray(a), there))


@given(arrays, st.one_of(arrays, scalars), st.sampled_from(OPERATORS), st.booleans())
def test_operators_compute_and_promote_as_numpys(a, b, name, reflected):
    apply = getattr(operator, name)
    there = cupy.asarray(b) if isinstance(b, np.ndarray) else b
    x = cupy.asarray(a)
    if reflected:
        same(lambda: apply(b, a), lambda: apply(there, x))
    else:
        same(lambda: apply(a, b), lambda: apply(x, there))


@given(arrays, st.sampled_from(UNARY))
def test_ufuncs_of_one_compute_as_numpys(a, name):
    same(lambda: getattr(np, name)(a), lambda: getattr(cupy, name)(cupy.asarray(a)))


@given(arrays, st.sampled_from(["sum", "mean", "max", "min", "argmax"]), st.booleans())
def test_reductions_compute_as_numpys(a, name, keepdims):
    there = cupy.asarray(a)
    same(
        lambda: getattr(np, name)(a, axis=0, keepdims=keepdims),
        lambda: getattr(there, name)(axis=0, keepdims=keepdims),
    )


def test_other_functions_compute_as_numpys(x):
    a = host(x)
    index = cupy.asarray([1, 0])
    pairs = [
        (cupy.where(x > 2, x, 0.0), np.where(a > 2, a, 0.0)),
        (cupy.roll(x, 1, axis=1), np.roll(a, 1, axis=1)),
        (x.take(index, axis=0), a[[1, 0]]),
        (x.take(1, axis=1), a[:, 1]),
        (cupy.stack([x, x], axis=1), np.stack([a, a], axis=1)),
        (cupy.concatenate((x, x), axis=1), np.concatenate([a, a], axis=1)),
        (x**2, a**2),
        (cupy.arange(3), np.arange(3)),
        (cupy.arange(1, 7, 2, dtype="float32"), np.arange(1, 7, 2, dtype=np.float32)),
        (cupy.full(2, 7, dtype="uint8"), np.full(2, 7, dtype=np.uint8)),
        (cupy.zeros_like(x), np.zeros_like(a)),
        (x.reshape((3, -1)), a.reshape(3, -1)),
        (x @ x.T, a @ a.T),
        (x[:, None, ::-1], a[:, None, ::-1]),
        (x[index, 1:], a[[1, 0], 1:]),
    ]
    for result, expected in pairs:
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(host(result), expected)


def test_a_gpu_gives_no_warnings(recwarn):
    x = cupy.zeros(2)
    x /= x
    (x.mean() / 0).astype("int32")
    cupy.log(cupy.zeros(1))
    assert not recwarn.list


# --- the record


def test_every_kind_of_call_is_recorded_and_kept(x, monkeypatch):
    monkeypatch.setattr(meter, "calls", set())
    x += 1
    x.sum(axis=(0, 1), keepdims=True)
    x @ x.T
    cupy.exp(np.float64(2))
    cupy.lib.stride_tricks.as_strided(x, (1, 2, 2, 2), (24, 12, 4, 4))
    x[0, 1:] = 1
    float(x[0, 0])
    cupy.copyto(x, x[:1] * 2)
    cupy.fuse(lambda a, b: (a * b, a))(x, 0.5)
    meter.reset()
    assert {
        Call("cupy.add", ("float32[2]", "int"), (("out", "float32[2]"),), "float32[2]"),
        Call("cupy.ndarray.sum", (), (("axis", "tuple"), ("keepdims", "bool")), "float32[2]"),
        Call("cupy.matmul", ("float32[2]", "float32[2]"), (), "float32[2]"),
        Call("cupy.exp", ("numpy.float64",), (), "float64[0]"),
        Call(
            "cupy.lib.stride_tricks.as_strided", ("float32[2]", "tuple", "tuple"), (), "float32[4]"
        ),
        Call("cupy.ndarray.__setitem__", ("tuple", "int"), (), "None"),
        Call("cupy.ndarray.__getitem__", ("tuple",), (), "float32[0]"),
        Call("cupy.ndarray.__float__", (), (), "float"),
        Call("cupy.copyto", ("float32[2]", "float32[2]"), (), "None"),
        Call("cupy.multiply", ("float32[2]", "float"), (), "float32[2]"),
    } <= meter.calls


def test_a_refused_call_is_not_recorded(x, monkeypatch):
    monkeypatch.setattr(meter, "calls", set())
    with pytest.raises(TypeError):
        cupy.exp(np.ones(3))
    with pytest.raises(TypeError):
        cupy.fuse(lambda a: 1.0)(x)
    assert not meter.calls and not meter.fused


# --- the device


def test_waiting_for_the_device_is_counted():
    cupy.cuda.get_current_stream().synchronize()
    cupy.cuda.Event().synchronize()
    assert meter.syncs == 2 and meter.down == []


def test_an_event_has_a_time_once_it_was_waited_for():
    start, end = cupy.cuda.Event(), cupy.cuda.Event()
    start.record()
    end.record()
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError):
        cupy.cuda.get_elapsed_time(start, end)
    end.synchronize()
    assert 0 <= cupy.cuda.get_elapsed_time(start, end) < 1000


def test_there_is_one_device():
    assert cupy.cuda.runtime.getDeviceCount() == 1
    properties = cupy.cuda.runtime.getDeviceProperties(0)
    free, total = cupy.cuda.Device().mem_info
    assert properties["name"] == b"Stand-in" and free <= total == properties["totalGlobalMem"]
    assert cupy.cuda.Device().id == 0
    pool = cupy.get_default_memory_pool()
    assert pool.used_bytes() <= pool.total_bytes()
    assert meter.syncs == 0
