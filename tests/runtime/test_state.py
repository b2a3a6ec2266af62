"""State dictionaries: copies in main memory, loaded strictly, random generators included."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidann import DANN
from minidann.callbacks import History
from minidann.data import Batches
from minidann.nn import BatchNorm, Conv2D, Dense, Dropout, Flatten, Layer, ReLU, Sequential
from minidann.nn.optimizers import SGD, Adam, WeightAverage
from minidann.runtime.state import (
    as_text,
    check_state,
    from_text,
    generator_state,
    part,
    set_generator_state,
    with_prefix,
)

KINDS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")


def generator(kind, seed):
    return np.random.Generator(getattr(np.random, kind)(seed))


def draw(rng):
    """Numbers of each kind: those of 32 bits are drawn in pairs, of which one may be left over."""
    return rng.normal(), rng.integers(0, 100, 3, dtype=np.int32).tolist(), rng.random(3).tolist()


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32), drawn=st.integers(0, 5))
def test_a_generator_goes_on_from_its_state(kind, seed, drawn):
    one, other = generator(kind, seed), generator(kind, 0)
    one.integers(0, 9, drawn, dtype=np.int32)
    text = generator_state(one)
    assert text.shape == () and text.dtype.kind == "U"
    set_generator_state(other, text)
    assert draw(one) == draw(other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["{", "[]", "3", "{}", '{"bit_generator": "dice"}', "[" * 10**5])
def test_what_is_no_state_of_a_generator_leaves_it_as_it_is(kind, text):
    one, other = generator(kind, 1), generator(kind, 1)
    with pytest.raises(ValueError, match=f"is not the state of a {kind}"):
        set_generator_state(one, np.array(text))
    assert draw(one) == draw(other)


def test_the_state_of_another_kind_of_generator_is_refused():
    with pytest.raises(ValueError, match="is not the state of a PCG64"):
        set_generator_state(np.random.default_rng(0), generator_state(generator("SFC64", 0)))


def test_text_holds_numpys_numbers_too():
    value = {"a": np.float64(0.1), "b": [np.int64(3), None], "c": np.arange(3), "d": float("nan")}
    found = from_text(as_text(value))
    assert np.isnan(found.pop("d")) and found == {"a": 0.1, "b": [3, None], "c": [0, 1, 2]}


def test_prefixes_come_and_go():
    state = with_prefix("1", {"W": np.zeros(2)}) | with_prefix("10", {"W": np.ones(3)})
    assert list(state) == ["1.W", "10.W"]
    assert list(part(state, "1")) == ["W"] and part(state, "1")["W"].shape == (2,)


@pytest.mark.parametrize(
    "state, said",
    [
        ({}, "the state lacks W"),
        ({"W": np.zeros(3), "b": np.zeros(3)}, "the state has an unknown b"),
        ({"W": np.zeros((3, 1))}, r"W is float64 of shape \(3, 1\), but must be float64 of shape"),
        ({"W": np.zeros(3, np.float32)}, "W is float32 of shape"),
        ({"W": np.zeros(3, int)}, "W is int64 of shape"),
        ({"W": np.array(["a", "b", "c"])}, "W is text of shape"),
    ],
)
def test_names_shapes_and_dtypes_must_be_those_expected(state, said):
    with pytest.raises(ValueError, match=said):
        check_state(state, {"W": np.zeros(3)})


def test_texts_may_differ_in_length():
    check_state({"rng": np.array("longer")}, {"rng": np.array("short")})


# --- of the things that have one


class Jitter(Layer):
    """A user's own layer: a parameter, a running number and a generator, under names of its own."""

    def __init__(self, seed):
        super().__init__()
        self.params["scale"] = np.full(3, 1.5, np.float32)
        self.state["seen"] = np.zeros(1, np.int64)
        self.dice = np.random.default_rng(seed)

    def forward(self, x, train=False):
        self.state["seen"] += train
        return x * self.params["scale"] + (self.dice.normal() if train else 0)

    def backward(self, dy):
        self.grads["scale"] = dy.sum(axis=0)
        return dy * self.params["scale"]


def layers(seed):
    rng = np.random.default_rng(seed)
    image = Sequential([Conv2D(2, 3, 3, rng=rng), BatchNorm(3), Flatten(), Dense(12, 3, rng=rng)])
    image.layers.append(Sequential([Jitter(seed), Dropout(0.5, rng=rng)]))
    return image


def make_dann(seed):
    rng = np.random.default_rng(seed)
    heads = Dense(3, 4, rng=rng), Dense(3, 1, rng=rng)
    return DANN(layers(seed), *(Sequential([head]) for head in heads))


def optimizer(kind, steps):
    """An optimizer of three small layers and a large one, which it lays out in another order."""
    rng = np.random.default_rng(1)
    network = Sequential(
        [Dense(3, 2, rng=rng), Dense(2, 40_000, rng=rng), Dense(40_000, 2, rng=rng)]
    )
    one = {"SGD": lambda: SGD(network, 0.1, momentum=0.9), "Adam": lambda: Adam(network)}[kind]()
    for _ in range(steps):
        network.forward(rng.normal(size=(4, 3)).astype(np.float32), train=True)
        network.backward(np.ones((4, 2), np.float32))
        one.step()
    return one


def average(seed):
    dann = make_dann(seed)
    one = WeightAverage(dann.networks)
    for _ in range(seed):
        one.update()
    return one


def batches(drawn):
    one = Batches(np.arange(7.0), np.arange(7), size=3, rng=np.random.default_rng(drawn))
    for _ in range(drawn):
        next(one)
    return one


THINGS = {  # made with a number that says how far it has come
    "layers": layers,
    "DANN": make_dann,
    "SGD": lambda n: optimizer("SGD", n),
    "Adam": lambda n: optimizer("Adam", n),
    "average": average,
    "batches": batches,
    "history": lambda n: History({"step": i} for i in range(n)),
}


def same(one, other):
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and np.array_equal(one[name], other[name])
        for name in one
    )


@pytest.mark.parametrize("thing", THINGS)
def test_a_state_that_is_loaded_is_the_state_that_is_found(thing):
    one, other = (THINGS[thing](n) for n in (4, 2))
    state = one.state_dict()
    assert all(type(array) is np.ndarray for array in state.values())
    assert not same(state, other.state_dict())
    other.load_state_dict(state)
    assert same(state, other.state_dict()) and same(state, one.state_dict())


@pytest.mark.parametrize("thing", THINGS)
def test_a_state_is_a_copy(thing):
    one = THINGS[thing](3)
    state = one.state_dict()
    for array in state.values():
        if array.dtype.kind != "U":
            array += array.dtype.type(1)
    assert not same(state, one.state_dict())


@pytest.mark.parametrize("thing", THINGS)
def test_a_state_with_an_array_more_less_or_other_is_refused(thing):
    one = THINGS[thing](3)
    state = one.state_dict()
    for name, array in state.items():
        other = np.array(0) if array.dtype.kind == "U" else array.astype(np.complex64)
        wrong = [state | {name: other}, {n: a for n, a in state.items() if n != name}]
        for bad in (*wrong, state | {"more": array}, state | {name: np.stack([array, array])}):
            with pytest.raises(ValueError) as refused:
                one.load_state_dict(bad)
            assert "\n" not in str(refused.value)
            assert same(one.state_dict(), state)


@pytest.mark.parametrize("thing", ["layers", "DANN", "average"])
def test_a_state_goes_to_where_the_arrays_live(thing, place, monkeypatch):
    one, other = THINGS[thing](4), make_dann(2).convert(place)
    owner = {"layers": other.features, "DANN": other}.get(thing) or WeightAverage(other.networks)
    owner.load_state_dict(one.state_dict())
    assert same(owner.state_dict(), one.state_dict())
    arrays = owner.state.values() if thing == "average" else other.features.params.values()
    assert {type(array) for array in arrays} == {type(place(np.zeros(1)))}


def test_the_names_of_a_state():
    dann = make_dann(0)
    assert list(dann.state_dict())[:4] == [f"features.0.{name}" for name in "Wb"] + [
        f"features.1.{name}" for name in ("gamma", "beta")
    ]
    assert {"features.4.0.scale", "features.4.0.seen", "features.4.0.dice", "features.4.1.rng"} < (
        dann.state_dict().keys()
    )
    names = list(optimizer("Adam", 0).state_dict())
    assert names == ["t", *(f"mean.{i}" for i in range(6)), *(f"square.{i}" for i in range(6))]
    assert list(average(0).state_dict()) == ["k", *(f"mean.{i}" for i in range(11))]
    assert list(batches(0).state_dict()) == ["order", "next", "rng"]
    assert list(History().state_dict()) == ["rows", "sums", "count"]


def test_the_vectors_of_an_optimizer_have_the_shapes_of_the_parameters():
    one = optimizer("SGD", 1)
    shapes = [array.shape for array in one.state_dict().values()][1:]
    assert shapes == [(3, 2), (2,), (2, 40_000), (40_000,), (40_000, 2), (2,)]


def test_a_state_follows_the_parameters_to_another_precision():
    """Converted after the last step: the optimizer has not looked at the network since."""
    rng = np.random.default_rng(0)
    network = Sequential([Dense(3, 2, rng=rng)])
    one = SGD(network, 0.1, momentum=0.9)
    network.convert(lambda array: array.astype(np.float64))
    state = one.state_dict()
    assert {array.dtype for name, array in state.items() if name != "t"} == {np.dtype(np.float64)}
    one.load_state_dict(state)


def test_a_layer_with_two_arrays_of_one_name_says_so():
    """One of them would be lost."""
    layer = Jitter(0)
    layer.state["scale"] = np.zeros(3)
    with pytest.raises(ValueError, match="two arrays of Jitter have the same name"):
        layer.state_dict()
    layer = Jitter(0)
    layer.params["dice"] = np.zeros(3)
    with pytest.raises(ValueError, match="two arrays of Jitter have the same name"):
        layer.state_dict()


def test_layers_without_arrays_have_an_empty_state():
    assert ReLU().state_dict() == {}
    ReLU().load_state_dict({})
    with pytest.raises(ValueError, match="unknown W"):
        ReLU().load_state_dict({"W": np.zeros(1)})


def test_loading_keeps_the_arrays_that_an_optimizer_holds_views_of():
    dann = make_dann(0)
    optimizer = SGD(dann.label_head, 1.0)
    before = dann.label_head.params["0.W"]
    dann.load_state_dict(make_dann(3).state_dict())
    assert dann.label_head.params["0.W"] is before
    expected = before - 1
    for leaf in dann.label_head.leaves():
        leaf.grads = {name: np.ones_like(array) for name, array in leaf.params.items()}
    optimizer.step()
    np.testing.assert_array_equal(dann.label_head.params["0.W"], expected)


@pytest.mark.parametrize("kind, name", [("MT19937", "key"), ("Philox", "counter")])
def test_a_state_that_is_half_right_leaves_the_generator_as_it_is(kind, name):
    """NumPy would take the first numbers over before it misses the others."""
    one, other = generator(kind, 1), generator(kind, 1)
    state = from_text(generator_state(generator(kind, 2)))
    state["state"][name].pop()
    with pytest.raises(ValueError, match=f"is not the state of a {kind}"):
        set_generator_state(one, as_text(state))
    assert draw(one) == draw(other)
