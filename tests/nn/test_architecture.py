"""What layers and networks say of themselves, and networks made of what was said."""

import json
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidann import nn
from minidann.nn import (
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GradientReversal,
    Layer,
    MaxPool2D,
    ReLU,
    Sequential,
    Sigmoid,
)
from minidann.nn.architecture import LAYERS, build, describe, table
from minidann.runtime.arrays import to_host

RNG = np.random.default_rng(0)
# what each layer says of itself, and the layer
SAID = {
    "Dense(2, 15)": Dense(2, 15, rng=RNG),
    'Conv2D(3, 64, 5, padding="valid")': Conv2D(3, 64, 5, padding="valid", rng=RNG),
    "Conv2D(3, 2, (3, 5), stride=2)": Conv2D(3, 2, (3, 5), stride=2, rng=RNG),
    "Conv2D(1, 1, 1, stride=(1, 2), padding=0)": Conv2D(
        1, 1, (1, 1), stride=(1, 2), padding=0, rng=RNG
    ),
    "BatchNorm(64)": BatchNorm(64),
    "BatchNorm(64, domains=2)": BatchNorm(64, domains=2),
    "BatchNorm(3, momentum=0.99, epsilon=0.001)": BatchNorm(3, momentum=0.99, epsilon=1e-3),
    "Dropout(0.5)": Dropout(0.5, rng=RNG),
    "Dropout(0.5, channels=True)": Dropout(0.5, channels=True, rng=RNG),
    "MaxPool2D(2)": MaxPool2D(2, stride=(2, 2)),
    'MaxPool2D(3, stride=2, padding="same")': MaxPool2D(3, stride=2, padding="same"),
    "MaxPool2D((2, 3), padding=1)": MaxPool2D((2, 3), padding=1),
    "ReLU()": ReLU(),
    "Sigmoid()": Sigmoid(),
    "Flatten()": Flatten(),
    "GradientReversal()": GradientReversal(),
    "GradientReversal(lam=0.25)": GradientReversal(0.25),
}
# the layers by their names, with the generator that an expression leaves out
NAMES = {
    name: partial(cls, rng=np.random.default_rng(1))
    if name in ("Dense", "Conv2D", "Dropout")
    else cls
    for name, cls in LAYERS.items()
}


@pytest.mark.parametrize("said", SAID)
def test_a_layer_says_what_makes_it(said):
    layer = SAID[said]
    assert repr(layer) == said
    again = eval(said, dict(NAMES))
    assert type(again) is type(layer)
    assert again.config() == layer.config() and repr(again) == said


def test_every_layer_of_minidann_is_tried():
    assert {type(layer).__name__ for layer in SAID.values()} | {"Sequential"} == LAYERS.keys()
    assert {
        cls for cls in vars(nn).values() if isinstance(cls, type) and issubclass(cls, Layer)
    } == {
        *LAYERS.values(),
        Layer,
    }


@pytest.mark.parametrize("said", SAID)
def test_a_config_is_all_that_the_constructor_takes_and_json_can_hold(said):
    config = SAID[said].config()
    assert json.loads(json.dumps(config)) == {
        name: list(value) if isinstance(value, tuple) else value for name, value in config.items()
    }
    again = NAMES[type(SAID[said]).__name__](**config)
    assert again.config() == config


@given(
    kernel=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.sampled_from(["same", "valid", 0, 1]),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_any_convolution_is_made_again_of_what_it_says(kernel, stride, padding, channels):
    layer = Conv2D(*channels, kernel, stride=stride, padding=padding, rng=RNG)
    again = eval(repr(layer), dict(NAMES))
    assert again.config() == layer.config()
    assert again.kernel == kernel and again.stride == stride and again.padding == padding
    assert again.params["W"].shape == layer.params["W"].shape


def test_numbers_of_numpy_are_shown_as_numbers():
    shape = np.int64(3), np.int64(3)
    assert repr(Conv2D(np.int64(1), np.int64(2), shape, rng=RNG)) == "Conv2D(1, 2, 3)"
    assert repr(MaxPool2D(np.int64(2))) == "MaxPool2D(2)"


class Scale(Layer):
    """A user's own layer, which says nothing of itself."""

    def __init__(self, factor, offset=0.0, *, mode="both"):
        super().__init__()
        self.factor, self.offset, self.mode = factor, offset, mode
        self.params["gain"] = np.ones(3, np.float32)

    def forward(self, x, train=False):
        return x * self.factor * self.params["gain"] + self.offset

    def backward(self, dy):
        return dy * self.factor * self.params["gain"]


class Secret(Layer):
    """It keeps its first argument under another name, and something that is no number."""

    def __init__(self, hidden, shown, table, **others):
        super().__init__()
        self._hidden, self.shown, self.table = hidden, shown, np.zeros(table)

    def forward(self, x, train=False):
        return x

    def backward(self, dy):
        return dy


@pytest.mark.parametrize(
    "layer, said",
    [
        (Scale(2), "Scale(2)"),
        (Scale(2, 0.5), "Scale(2, offset=0.5)"),
        (Scale((1, 2), mode="one"), 'Scale((1, 2), mode="one")'),
        (Secret(1, 2, 3, extra=4), "Secret(shown=2)"),
    ],
)
def test_a_layer_of_ones_own_says_what_it_can(layer, said):
    assert repr(layer) == said


def test_a_stack_says_its_layers_a_line_each():
    inner = Sequential([Dense(2, 3, rng=RNG), ReLU()])
    assert repr(Sequential([inner, Dropout(0.1, rng=RNG)])) == (
        "Sequential([\n"
        "    Sequential([\n"
        "        Dense(2, 3),\n"
        "        ReLU(),\n"
        "    ]),\n"
        "    Dropout(0.1),\n"
        "])"
    )
    assert repr(Sequential([])) == "Sequential([])"


def image_network(seed=0):
    """One with every kind of layer, nested."""
    rng = np.random.default_rng(seed)
    first = [Conv2D(2, 3, 3, padding="valid", rng=rng), BatchNorm(3, domains=2), ReLU()]
    last = [Dense(12, 4, rng=rng), Sigmoid(), GradientReversal(0.5), Dense(4, 2, rng=rng)]
    drop = Dropout(0.5, channels=True, rng=np.random.Generator(np.random.Philox(seed)))
    network = Sequential([Sequential([*first, drop]), MaxPool2D(2), Flatten(), *last])
    network.forward(rng.normal(size=(4, 6, 6, 2)).astype(np.float32), train=True)
    return network


def test_a_described_stack_says_the_same_and_evaluates_to_the_same():
    network = image_network()
    again = eval(repr(network), dict(NAMES))
    assert repr(again) == repr(network) and describe(again) == describe(network)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_network_is_built_again_of_its_description_and_its_arrays(dtype):
    network = image_network().convert(lambda array: array.astype(dtype))
    description = json.loads(json.dumps(describe(network)))
    again = build(description, network.state_dict())
    assert repr(again) == repr(network)
    for one, other in zip(network.leaves(), again.leaves()):
        assert type(one) is type(other)
    x = np.random.default_rng(1).normal(size=(6, 6, 6, 2)).astype(dtype)
    for train in (False, True, True):  # twice: the masks go on as they were
        np.testing.assert_array_equal(network.forward(x, train), again.forward(x, train))
    assert again.forward(x).dtype == dtype


def test_a_network_that_is_built_owns_its_arrays():
    arrays = image_network().state_dict()
    again = build(describe(image_network()), arrays)
    for name, array in arrays.items():
        if array.dtype.kind == "f":
            assert not np.shares_memory(array, (again.params | again.state)[name])
    assert all(array.flags.writeable for array in again.params.values())


@pytest.mark.parametrize("layer", [Scale(2), type("Dense", (Dense,), {})(2, 3, rng=RNG)])
def test_a_layer_of_ones_own_is_not_described(layer):
    """Not even one that calls itself Dense."""
    with pytest.raises(ValueError, match=r"is not one of the layers of minidann\.nn"):
        describe(Sequential([layer]))


def dense(**changed):
    return {"layer": "Dense", "config": {"in_features": 2, "out_features": 3} | changed}


ARRAYS = {"W": np.zeros((2, 3), np.float32), "b": np.zeros(3, np.float32)}
REFUSED = {
    "a class that is no layer": ({"layer": "Generator", "config": {}}, ARRAYS),
    "the base class": ({"layer": "Layer", "config": {}}, {}),
    "an expression": ({"layer": "__import__('os')", "config": {}}, {}),
    "a number instead of a name": ({"layer": 3, "config": {}}, {}),
    "other arrays": (dense(), {"W": np.zeros((3, 2), np.float32), "b": ARRAYS["b"]}),
    "no weights": (dense(), {"b": ARRAYS["b"]}),
    "an array more": (dense(), ARRAYS | {"c": ARRAYS["b"]}),
    "whole numbers": (dense(), {"W": np.zeros((2, 3), int), "b": ARRAYS["b"]}),
    "text": (dense(), {"W": np.array("W"), "b": ARRAYS["b"]}),
    "a size that no memory has": (dense(out_features=10**12), ARRAYS),
    "a size of none": (dense(in_features=0), ARRAYS),
    "a size below none": (dense(in_features=-2), ARRAYS),
    "a generator that is text": (
        {"layer": "Dropout", "config": {"rate": 0.5, "channels": False}},
        {"rng": np.array("dice")},
    ),
    "a generator of no kind": (
        {"layer": "Dropout", "config": {"rate": 0.5, "channels": False}},
        {"rng": np.array('{"bit_generator": "RandomState"}')},
    ),
    "a list in a list": (dense(out_features=[[3]]), ARRAYS),
    "a dictionary": ({"layer": "MaxPool2D", "config": {"pool_size": {"2": 2}}}, {}),
    "a rate that is none": (
        {"layer": "Dropout", "config": {"rate": 1.5, "channels": False}},
        Dropout(0.5, rng=RNG).state_dict(),
    ),
    "channels that no memory has": (
        {"layer": "BatchNorm", "config": {"channels": 10**10}},
        BatchNorm(3).state_dict(),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_network_is_refused(case):
    with pytest.raises(ValueError) as refused:
        build(*REFUSED[case])
    assert "\n" not in str(refused.value)


def test_no_memory_is_taken_for_weights_that_are_not_there():
    """Each size alone could be one; the weights of both would take 4 TB."""
    with pytest.raises(ValueError, match=r"not of shape \(1000000, 1000000\)"):
        build(dense(in_features=10**6, out_features=10**6), ARRAYS)


# --- the table


TABLE = """\
                                    output     parameters
input                               (6, 6, 3)

features
  Conv2D(3, 4, 3, padding="valid")  (4, 4, 4)         112
  ReLU()                            (4, 4, 4)
  Flatten()                         (64,)
  parameters                                          112

head
  Dense(64, 1000)                   (1000,)        65,000
  Dense(1000, 2)                    (2,)            2,002
  parameters                                       67,002

all parameters                                     67,114"""


def test_the_table_of_a_network(place):
    rng = np.random.default_rng(0)
    features = Sequential(
        [Conv2D(3, 4, 3, padding="valid", rng=rng), Sequential([ReLU(), Flatten()])]
    )
    head = Sequential([Dense(64, 1000, rng=rng), Dense(1000, 2, rng=rng)])
    for network in (features, head):
        network.convert(place)
    assert table({"features": features, "head": head}, (6, 6, 3)) == TABLE


def test_the_table_counts_all_parameters_and_shows_the_shapes_of_a_forward_pass(make_dann):
    dann, x = make_dann("conv"), np.zeros((1, 4, 4, 2))
    text = table(dict(zip("abc", dann.networks)), (4, 4, 2))
    count = sum(array.size for network in dann.networks for array in network.params.values())
    assert text.splitlines()[-1].split() == ["all", "parameters", f"{count:,}"]
    y = dann.features.forward(x)
    shapes = [dann.label_head.forward(y).shape[1:], dann.domain_head.forward(y).shape[1:]]
    for i, shape in enumerate(shapes, start=1):
        last_layer = text.split("\n\n")[1 + i].splitlines()[-2]
        assert str(shape) in last_layer


def test_a_table_changes_no_running_statistics_and_draws_nothing():
    network = image_network()
    before = network.state_dict()
    table({"network": network}, (6, 6, 2))
    after = network.state_dict()
    assert all(np.array_equal(array, after[name]) for name, array in before.items())


def test_a_composite_layer_of_ones_own_is_one_line():
    class Residual(Sequential):
        def forward(self, x, train=False):
            return x + super().forward(x, train)

    network = Sequential([Residual([Dense(3, 3, rng=RNG), ReLU()]), Scale(2)])
    lines = table({"features": network}, (3,)).splitlines()
    assert [line.split()[0] for line in lines if "(3,)" in line] == [
        "input",
        "Residual([",
        "Scale(2)",
    ]
    assert lines[-1].split()[-1] == "15"


@pytest.mark.parametrize("shape", [(6, 6), (6,), (), (6, 6, 3), (2, 2, 2)])
def test_an_input_that_does_not_fit_is_said_with_its_layer(shape):
    with pytest.raises(ValueError, match=r'^Conv2D\(2, 3, 3, padding="valid"\) cannot take'):
        table({"network": image_network()}, shape)


def test_the_arrays_of_a_network_stay_where_they_are(place):
    network = Sequential([Dense(2, 3, rng=np.random.default_rng(0))]).convert(place)
    table({"network": network}, (2,))
    assert type(network.params["0.W"]) is type(place(np.zeros(1)))
    assert to_host(network.params["0.W"]).shape == (2, 3)
