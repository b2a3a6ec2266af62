"""What is no array of numbers, no labels and no input of a layer: refused in one sentence."""

import numpy as np
import pytest
from scipy import sparse

from minidann.data import Batches
from minidann.metrics import accuracy, predictions
from minidann.nn.losses import (
    binary_cross_entropy,
    class_balance,
    softmax,
    softmax_cross_entropy,
)
from minidann.pseudo_labels import PseudoLabelDANN
from minidann.runtime.arrays import array_module, check_array, to_host
from minidann.runtime.errors import InputError

X = np.random.default_rng(0).standard_normal((9, 2)).astype(np.float32)
Y = np.arange(9) % 3


class Series:
    """As that of pandas: its index is a shuffled one, and ``series[rows]`` goes by it."""

    __module__ = "pandas.core.series"

    def __init__(self, values):
        self.values, self.index = values, np.random.default_rng(0).permutation(len(values))
        self.shape, self.ndim, self.dtype, self.size = (
            values.shape,
            values.ndim,
            values.dtype,
            values.size,
        )

    def __len__(self):
        return len(self.values)

    def __getitem__(self, rows):
        return self.values[np.argsort(self.index)[rows]]

    def get(self, key):
        return self.values[self.index == key]

    def to_numpy(self):
        return self.values


NO_ARRAYS = {
    "Series of pandas": (Series, r"\.to_numpy\(\)"),
    "list": (np.ndarray.tolist, r"np\.asarray"),
    "tuple": (tuple, r"np\.asarray"),
    "csr_matrix of scipy": (lambda a: sparse.csr_matrix(np.atleast_2d(a)), r"\.toarray\(\)"),
    "matrix of numpy": (np.asmatrix, r"np\.asarray"),
    "MaskedArray of numpy": (np.ma.masked_array, r"\.filled\(value\)"),
}
each_no_array = pytest.mark.parametrize("what", NO_ARRAYS)


def refused(what):
    """pytest.raises for the sentence about such a thing."""
    return pytest.raises(InputError, match=rf"not a {what}; .*{NO_ARRAYS[what][1]}$")


@each_no_array
def test_what_is_no_array_is_named_with_the_remedy_wherever_examples_go(make_dann, what):
    dann, x = make_dann(), NO_ARRAYS[what][0](X)
    uses = [
        lambda: dann.compute_gradients(x, Y, X, 1.0),
        lambda: dann.compute_gradients(X, Y, x, 1.0),
        lambda: dann.compute_label_gradients(x, Y),
        lambda: dann.compute_domain_gradients(X, x, 1.0),
        lambda: dann.predict(x),
        lambda: dann.predict_proba(x),
        lambda: dann.predict_domain(x),
        lambda: dann.transform(x),
        lambda: dann.adapt_batch_norm(x),
        lambda: PseudoLabelDANN(*dann.networks).compute_gradients(X, Y, (x, X), 1.0),
        lambda: PseudoLabelDANN(*dann.networks).compute_gradients(X, Y, (X, x), 1.0),
        lambda: predictions(dann, x),
        lambda: dann.features.forward(x),
        lambda: Batches(x, Y, size=3, rng=np.random.default_rng(0)),
        lambda: softmax_cross_entropy(x, Y % 2),
        lambda: class_balance(x),
        lambda: softmax(x),
    ]
    for use in uses:
        with refused(what):
            use()


@each_no_array
def test_what_is_no_array_is_named_with_the_remedy_wherever_labels_go(make_dann, what):
    dann, y = make_dann(), NO_ARRAYS[what][0](Y)
    uses = [
        lambda: dann.compute_gradients(X, y, X, 1.0),
        lambda: dann.compute_label_gradients(X, y),
        lambda: Batches(X, y, size=3, rng=np.random.default_rng(0)),
        lambda: softmax_cross_entropy(np.zeros((9, 3)), y),
        lambda: binary_cross_entropy(np.zeros(9), y),
        lambda: accuracy(Y, y),
        lambda: accuracy(y, Y),
    ]
    for use in uses:
        with refused(what):
            use()


def test_a_table_is_not_fetched_from_a_device():
    """Its ``get`` is another than that of an array of CuPy."""
    with refused("Series of pandas"):
        to_host(Series(Y))


def test_what_is_an_array_passes(place, tmp_path):
    on_disk = np.memmap(tmp_path / "x", np.float32, "w+", shape=(9, 2))
    for x in (place(X), place(Y), place(Y > 1), place(np.zeros((), np.float32)), on_disk):
        check_array(x, "x")
    assert array_module(np.float32(1)) is np  # a 0-d result


@pytest.mark.parametrize("dtype", [object, str, complex])
def test_an_array_of_other_things_than_numbers_is_refused(make_dann, dtype):
    """A table with a column of text gives one of objects, with which everything is slow."""
    for use in (make_dann().predict, lambda x: check_array(x, "x")):
        with pytest.raises(InputError, match="x must be an array of numbers, not of"):
            use(X.astype(dtype))


WRONG = {  # labels, what is said of them
    "a column": (Y[:, None], r"int64 of shape \(9, 1\).*: labels\.ravel\(\)$"),
    "a row": (Y[None], r"int64 of shape \(1, 9\).*: labels\.ravel\(\)$"),
    "one-hot": (np.eye(3, dtype=int)[Y], r"int64 of shape \(9, 3\).*: labels\.argmax\(axis=1\)$"),
    "floats": (Y.astype(float), r"float64 of shape \(9,\).*: labels\.astype\(int\)$"),
    "text": (Y.astype(str), r": np\.unique\(labels, return_inverse=True\)\[1\]$"),
    "too few": (Y[:4], "there are 9 .* but 4 labels"),
    "one": (Y[:1], "there are 9 .* but 1 labels"),
}
OUT_OF_RANGE = {
    "-1 and 1": (2 * (Y > 0) - 1, "from -1 to 1, but there are units for 0 to 2; number"),
    "from 1": (Y + 1, "from 1 to 3, but there are units for 0 to 2; number"),
    "a mask": (Y > 0, r"bool of shape \(9,\).*: labels\.astype\(int\)$"),
}


def label_uses(dann):
    """By name: the functions of labels for nine examples of three classes."""
    other = PseudoLabelDANN(*dann.networks)
    return {
        "DANN": lambda y: dann.compute_gradients(X, y, X, 1.0),
        "label loss": lambda y: dann.compute_label_gradients(X, y),
        "pseudo-labels": lambda y: other.compute_gradients(X, y, (X, X), 1.0),
        "softmax": lambda y: softmax_cross_entropy(np.zeros((9, 3)), y),
        "accuracy": lambda y: accuracy(Y, y),
    }


@pytest.mark.parametrize("use", ["DANN", "label loss", "pseudo-labels", "softmax", "accuracy"])
@pytest.mark.parametrize("labels", WRONG | OUT_OF_RANGE)
def test_labels_are_one_integer_of_a_class_for_each_example(make_dann, use, labels):
    if use == "accuracy" and labels in OUT_OF_RANGE:
        return  # it does not know the classes, and compares what is true with what is true
    y, message = (WRONG | OUT_OF_RANGE)[labels]
    with pytest.raises(InputError, match=message):
        label_uses(make_dann())[use](y)


def test_one_hot_rows_as_many_as_classes_are_no_labels(make_dann):
    with pytest.raises(InputError, match=r"labels\.argmax\(axis=1\)"):
        make_dann().compute_gradients(X[:3], np.eye(3, dtype=int), X[:3], 1.0)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.uint64])
def test_labels_of_any_integer_kind_are_right(dtype):
    z = np.random.default_rng(0).standard_normal((9, 3))
    assert softmax_cross_entropy(z, Y.astype(dtype))[0] == softmax_cross_entropy(z, Y)[0]


def test_no_examples_have_no_mean():
    for use in (
        lambda: softmax_cross_entropy(np.zeros((0, 3)), np.zeros(0, int)),
        lambda: binary_cross_entropy(np.zeros(0), np.zeros(0)),
        lambda: accuracy(np.zeros(0, int), np.zeros(0, int)),
        lambda: accuracy(np.zeros(0, int), 1),
    ):
        with pytest.raises(InputError, match="give at least one"):
            use()


def test_the_accuracy_of_a_column_is_not_that_of_all_pairs():
    with pytest.raises(InputError, match=r"shape \(9, 1\)"):
        accuracy(Y, Y[:, None])
    assert accuracy(Y, Y) == 1.0 and accuracy(Y > 0, Y > 0) == 1.0
    assert accuracy(Y, 1) == accuracy(Y, np.int64(1)) == pytest.approx(1 / 3)


@pytest.mark.parametrize("targets", [np.full(9, 2.0), 2 * (Y > 0) - 1, np.full(9, np.nan)])
def test_targets_of_yes_or_no_are_from_0_to_1(targets):
    with pytest.raises(ValueError, match=r"the targets run from .*; they must be from 0 to 1"):
        binary_cross_entropy(np.zeros((9, 1)), targets)


@pytest.mark.parametrize(
    "use, message",
    [
        (lambda: binary_cross_entropy(np.zeros((9, 2)), np.zeros(18)), r"logits .*\(9, 2\)"),
        (lambda: binary_cross_entropy(np.zeros(9), np.zeros((9, 9))), r"targets .*\(9, 9\)"),
        (lambda: softmax_cross_entropy(np.zeros(9), Y), r"logits .*\(9,\)"),
        (lambda: softmax(np.zeros(3)), r"logits .*\(3,\)"),
        (lambda: softmax(np.zeros((3, 1))), "one unit"),
        (lambda: class_balance(np.zeros((3, 1))), "one unit"),
        (
            lambda: softmax_cross_entropy(np.zeros((9, 3)), Y, weights=np.ones((9, 1))),
            r"weights .*\(9, 1\); give \(9,\)",
        ),
    ],
)
def test_shapes_that_would_broadcast_are_refused(use, message):
    with pytest.raises(ValueError, match=message):
        use()


def test_a_shuffled_series_given_by_its_numbers_trains_on_the_right_rows():
    x, y = np.arange(9.0)[:, None], Y
    batches = Batches(x, Series(y).to_numpy(), size=9, rng=np.random.default_rng(0))
    (x_batch, y_batch) = next(batches)
    np.testing.assert_array_equal(y_batch, x_batch[:, 0].astype(int) % 3)
