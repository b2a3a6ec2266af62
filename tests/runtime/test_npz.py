"""Arrays in a file: the same ones come back, and any change is noticed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minidann.runtime.npz import FINGERPRINT, fingerprint, load_arrays, read_npz, save_arrays

DTYPES = st.sampled_from(["?", "i1", "u1", "i4", "i8", "f2", "f4", "f8", "U1", "U7"])
ARRAYS = st.dictionaries(
    st.text("abcW.01", min_size=1, max_size=8),
    hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)),
    max_size=4,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("arrays") / "arrays.npz"


@given(arrays=ARRAYS)
def test_arrays_come_back_as_they_were(path, arrays):
    save_arrays(path, arrays)
    found = load_arrays(path)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)


@given(arrays=ARRAYS)
def test_numpy_reads_the_file_too(path, arrays):
    save_arrays(path, arrays)
    with np.load(path, allow_pickle=False) as found:
        assert set(found.files) == arrays.keys() | {FINGERPRINT}
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)


def test_columns_first_and_views_come_back_too(path):
    x = np.arange(24.0).reshape(2, 3, 4)
    for array in (x.T, np.asfortranarray(x), x[:, ::2, 1:], np.broadcast_to(x[0], (2, 3, 4))):
        save_arrays(path, {"x": array})
        np.testing.assert_array_equal(load_arrays(path)["x"], array)


X = {"a": np.arange(4, dtype=np.float32), "b": np.ones(4, np.float32)}


@pytest.mark.parametrize(
    "other",
    [
        {"a": X["b"], "b": X["a"]},  # exchanged
        {"a": X["a"].view(np.int32), "b": X["b"]},  # the same bytes, read as another dtype
        {"a": X["a"].view(">f4"), "b": X["b"]},
        {"a": X["a"].reshape(2, 2), "b": X["b"]},
        {"a": X["a"]},
        X | {"c": X["b"][:0]},
        {"a": X["a"], "c": X["b"]},
        {"a": np.concatenate([X["a"], X["b"]]), "b": X["b"][:0]},
    ],
)
def test_the_fingerprint_is_of_names_dtypes_shapes_and_numbers(path, other):
    assert fingerprint(other) != fingerprint(X)
    seal = {FINGERPRINT: np.array(fingerprint(X))}
    np.savez(path, **other, **seal)
    with pytest.raises(ValueError, match="changed since it was written"):
        load_arrays(path)
    np.savez(path, **X, **seal)
    assert load_arrays(path).keys() == X.keys()


def test_the_fingerprint_is_not_of_the_order(path):
    assert fingerprint(X) == fingerprint(dict(reversed(X.items())))


@pytest.mark.parametrize(
    "array",
    [np.array([None]), np.array([b"bytes"]), np.zeros(2, complex), np.zeros(2, "f4,i4")],
    ids=["objects", "bytes", "complex", "records"],
)
def test_what_is_neither_number_nor_text_is_not_written(tmp_path, array):
    with pytest.raises(ValueError, match=r"x is an array of .*, which is neither number nor text"):
        save_arrays(tmp_path / "arrays.npz", {"x": array})
    assert not list(tmp_path.iterdir())


def test_what_others_have_compressed_is_read_up_to_a_size(tmp_path):
    path, size = tmp_path / "arrays.npz", 4 * 1000 + 128
    np.savez_compressed(path, x=np.zeros(1000, np.float32))
    np.testing.assert_array_equal(read_npz(path, unpacked=size)["x"], np.zeros(1000))
    with pytest.raises(ValueError, match=f"claims to hold {size} bytes, more than {size - 1}"):
        read_npz(path, unpacked=size - 1)
    with pytest.raises(ValueError, match="more than its own size"):
        read_npz(path)
