"""Mistakes in putting networks together: refused at once, by a sentence that names the layer."""

import copy
import pickle

import numpy as np
import pytest

from minidann import DANN
from minidann.data import Batches
from minidann.nn import (
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GradientReversal,
    MaxPool2D,
    ReLU,
    Sequential,
    Sigmoid,
)
from minidann.nn.optimizers import SGD, Adam
from minidann.pseudo_labels import PseudoLabelDANN
from minidann.runtime.errors import InputError
from minidann.train import fit

RNG = np.random.default_rng(0)
X = RNG.standard_normal((16, 2)).astype(np.float32)
Y = np.arange(16) % 3


def dense(inputs, outputs):
    return Dense(inputs, outputs, rng=np.random.default_rng(0))


def make(*domain_head, features=(), label_head=(), **options):
    """A DANN of 2 inputs and 3 classes, with these layers more."""
    return DANN(
        Sequential([dense(2, 8), *features, ReLU()]),
        Sequential([dense(8, 3), *label_head]),
        Sequential(domain_head or [dense(8, 2)]),
        **options,
    )


def by_domain():
    return make(features=[BatchNorm(8, domains=2)])


TWICE = dense(8, 8)
MISWIRED = {
    "the same layer twice in a network": (
        lambda: make(features=[TWICE, TWICE]),
        r"the same Dense\(8, 8\) stands twice",
    ),
    "the same layer in two networks": (
        lambda: make(TWICE, dense(8, 2), features=[TWICE]),
        r"the same Dense\(8, 8\) stands twice",
    ),
    "the same layer without parameters": (
        lambda: Sequential([relu := ReLU(), dense(8, 8), relu]),
        r"the same ReLU\(\) stands twice",
    ),
    "a reversal in the domain head": (
        lambda: make(GradientReversal(), dense(8, 2)),
        r"domain_head holds a GradientReversal\(\).*leave yours out",
    ),
    "a reversal in the features": (
        lambda: make(features=[GradientReversal(0.5)]),
        r"features holds a GradientReversal\(lam=0.5\)",
    ),
    "a domain head that ends in a Sigmoid": (
        lambda: make(dense(8, 1), Sigmoid()),
        r"domain_head ends in Sigmoid\(\), but its output must be logits",
    ),
    "a label head that ends in a ReLU": (
        lambda: make(label_head=[ReLU()]),
        r"label_head ends in ReLU\(\), but its output must be logits",
    ),
    "three domain units": (lambda: make(dense(8, 3)), "the domain head has 3 units; give two"),
    "three domain units, normalised": (lambda: make(dense(8, 3), BatchNorm(3)), "has 3 units"),
    "three domains": (
        lambda: make(features=[BatchNorm(8, domains=3)]),
        r"BatchNorm\(8, domains=3\), but a batch of DANN has two",
    ),
    "a class for a layer": (lambda: Sequential([dense(2, 2), ReLU]), "ReLU.* is no layer"),
    "a list for a network": (
        lambda: DANN([dense(2, 2)], Sequential([dense(2, 2)]), Sequential([dense(2, 2)])),
        "features is .*; give it as a Sequential",
    ),
    "an unknown reduction": (lambda: make(reduction="avg"), "reduction is 'avg'"),
    "a threshold in percent": (
        lambda: PseudoLabelDANN(*make().networks, threshold=95),
        "the threshold is 95; give a probability",
    ),
    "a network twice in an optimizer": (
        lambda: Adam([*(networks := make().networks), networks[0]]),
        r"the same Dense\(2, 8\) stands twice",
    ),
}


@pytest.mark.parametrize("mistake", MISWIRED)
def test_a_mistake_in_wiring_is_refused_when_it_is_made(mistake):
    build, message = MISWIRED[mistake]
    with pytest.raises(ValueError, match=message) as refused:
        build()
    assert "\n" not in str(refused.value)


def test_parameters_that_are_one_array_are_refused():
    """The flat optimizer would give each a copy, and they would part."""
    one, other = dense(8, 8), dense(8, 8)
    other.params["W"] = one.params["W"]
    with pytest.raises(ValueError, match="two parameters are the same array"):
        SGD(Sequential([one, other]), 0.1)


def test_three_units_that_cannot_be_foreseen_are_refused_when_they_come():
    dann = make(dense(8, 3), Flatten())
    with pytest.raises(ValueError, match="the domain head has 3 units"):
        dann.compute_gradients(X, Y, X, 1.0)
    with pytest.raises(ValueError, match="the domain head has 3 units"):
        dann.predict_domain(X)


@pytest.mark.parametrize("network", ["features", "label_head", "domain_head"])
def test_a_network_is_not_exchanged_under_an_optimizer(network):
    with pytest.raises(ValueError, match=rf"{network} cannot be exchanged.*a new optimizer"):
        setattr(make(), network, Sequential([dense(8, 2)]))


@pytest.mark.parametrize("optimizer", [SGD, Adam])
@pytest.mark.usefixtures("way")
def test_a_layer_that_is_exchanged_under_an_optimizer_is_refused(optimizer):
    dann = make()
    optimizer = optimizer(dann.networks, 0.1)
    dann.compute_gradients(X, Y, X, 1.0)
    optimizer.step()
    dann.features.layers.append(Dropout(0.5, rng=np.random.default_rng(0)))
    dann.compute_gradients(X, Y, X, 1.0)
    optimizer.step()  # it has no parameters
    dann.label_head.layers[0] = dense(8, 5)
    dann.compute_gradients(X, Y, X, 1.0)
    with pytest.raises(ValueError, match=r"Dense\(8, 5\) was exchanged after the optimizer"):
        optimizer.step()


def batches(*arrays):
    return Batches(*arrays, size=8, rng=np.random.default_rng(0))


def test_fit_refuses_the_optimizer_of_other_networks():
    other = Adam(make().networks)
    for networks, optimizer in ((make(), other), (make(), Adam(make().networks[:2]))):
        with pytest.raises(ValueError, match=r"the optimizer holds Dense\(2, 8\), which is no"):
            fit(networks, optimizer, batches(X, Y), batches(X), **ONE_STEP)
    dann = make()
    before = dann.features.params["0.W"].copy()
    fit(dann, Adam(dann.label_head), batches(X, Y), None, objective="label", **ONE_STEP)
    np.testing.assert_array_equal(dann.features.params["0.W"], before)  # frozen by intention


ONE_STEP = {"steps": 1, "lam": lambda p: 1.0, "learning_rate": lambda p: 0.1}


@pytest.mark.parametrize(
    "source, target, message",
    [
        ((X, Y), (X, Y), "a batch of the target holds 2 arrays; give x alone"),
        ((X, Y), None, "the target is None; give its batches"),
        ((X,), (X,), "the source's batches hold 1 arrays; give two"),
        ((X, Y[:, None]), (X,), r"shape \(16, 1\)"),
        ((X, Y + 1), (X,), "the labels run from 1 to 3"),
    ],
)
def test_fit_refuses_other_batches_than_those_of_the_objective(source, target, message):
    dann = make()
    with pytest.raises(InputError, match=message):
        fit(
            dann,
            Adam(dann.networks),
            batches(*source),
            target and batches(*target),
            **ONE_STEP,
        )


@pytest.mark.parametrize("n, m", [(10, 6), (6, 10), (10, 5)])
def test_unequal_domains_are_refused_where_batch_norm_would_cut_elsewhere(n, m):
    x_source, x_target = X[:n], X[:m]
    head = make(dense(8, 8), BatchNorm(8, domains=2), ReLU(), dense(8, 2))
    for dann in (by_domain(), head):
        uses = (
            lambda: dann.compute_gradients(x_source, Y[:n], x_target, 1.0),  # noqa: B023
            lambda: dann.compute_domain_gradients(x_source, x_target, 1.0),  # noqa: B023
        )
        for use in uses:
            with pytest.raises(ValueError, match=rf"domains=2\) .* {n} source and {m} target"):
                use()


def test_unequal_domains_of_pseudo_labels_are_refused_for_the_label_head_too():
    networks = make(label_head=[BatchNorm(3, domains=2)]).networks
    x_target = X[:6], X[:6]
    with pytest.raises(ValueError, match=r"BatchNorm\(3, domains=2\).* 10 source and 6 target"):
        PseudoLabelDANN(*networks).compute_gradients(X[:10], Y[:10], x_target, 1.0)


def test_unequal_domains_pass_where_no_layer_cuts_them():
    for dann in (make(), make(features=[BatchNorm(8)])):
        dann.compute_gradients(X[:10], Y[:10], X[:6], 1.0)
    by_domain().compute_gradients(X[:8], Y[:8], X[8:], 1.0)


def test_a_pair_for_an_array_and_an_array_for_a_pair():
    with pytest.raises(InputError, match=r"x_target must be an array .*, not a tuple"):
        make().compute_gradients(X, Y, (X, X), 1.0)
    for x_target in (X, X[:2]):  # two examples would unpack
        with pytest.raises(InputError, match="x_target is one ndarray; give a pair"):
            PseudoLabelDANN(*make().networks).compute_gradients(X, Y, x_target, 1.0)


def test_domains_of_other_shapes_are_named():
    with pytest.raises(ValueError, match=r"source example is of shape \(2,\), a target .* \(3,\)"):
        make().compute_gradients(X, Y, np.zeros((4, 3), np.float32), 1.0)


CONV = Conv2D(3, 4, 3, rng=RNG)
SHAPES = {  # layer, shape that it got, shape that it takes
    "Dense, units": (dense(3, 4), (2, 4), r"\(N, 3\), not \(2, 4\)"),
    "Dense, images": (dense(3, 4), (2, 5, 5, 3), r"\(N, 3\), not \(2, 5, 5, 3\)"),
    "Dense, one example": (dense(3, 4), (3,), r"\(N, 3\), not \(3,\)"),
    "Conv2D, NCHW": (CONV, (2, 3, 9, 9), r"\(N, H, W, 3\), not \(2, 3, 9, 9\); put the channels"),
    "Conv2D, one image": (CONV, (9, 9, 3), r"\(N, H, W, 3\), not \(9, 9, 3\)"),
    "Conv2D, grey": (CONV, (2, 9, 9, 1), r"\(N, H, W, 3\), not \(2, 9, 9, 1\)"),
    "MaxPool2D, rows": (MaxPool2D(2), (2, 3), r"\(N, H, W, C\), not \(2, 3\)"),
    "BatchNorm(1)": (BatchNorm(1), (4, 8), r"\(N, ..., 1\), not \(4, 8\)"),
    "BatchNorm, NCHW": (BatchNorm(3), (4, 3, 9, 9), r"\(N, ..., 3\), not .*put the channels last"),
    "BatchNorm, one example": (BatchNorm(3), (3,), r"\(N, ..., 3\), not \(3,\)"),
    "Flatten, one example": (Flatten(), (4,), r"\(N, ...\), not \(4,\)"),
}


@pytest.mark.parametrize("case", SHAPES)
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.usefixtures("way")
def test_every_layer_names_itself_and_both_shapes(case, train):
    layer, shape, message = SHAPES[case]
    name = type(layer).__name__
    with pytest.raises(ValueError, match=rf"^{name}\(.*\) takes an input of shape {message}"):
        layer.forward(np.zeros(shape, np.float32), train)


LAYERS = {  # a layer, an input; y of the latter is not of this shape
    "Dense": (lambda: dense(3, 4), (6, 3), (6, 1)),
    "Conv2D": (lambda: Conv2D(2, 3, 3, rng=RNG), (4, 4, 4, 2), (4, 4, 4, 1)),
    "MaxPool2D": (lambda: MaxPool2D(2), (4, 4, 4, 2), (4, 2, 2, 1)),
    "ReLU": (ReLU, (6, 3), (6, 1)),
    "Sigmoid": (Sigmoid, (6, 3), (3,)),
    "Flatten": (Flatten, (4, 2, 3), (6, 4)),
    "BatchNorm": (lambda: BatchNorm(3), (6, 3), (3, 6)),
    "Dropout": (lambda: Dropout(0.5, rng=RNG), (6, 3), (6, 1)),
    "Sequential": (lambda: Sequential([dense(3, 4), ReLU()]), (6, 3), (6, 1)),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.usefixtures("way")
def test_backward_follows_forward_and_takes_the_shape_of_y(name, train):
    build, shape, wrong = LAYERS[name]
    layer = build()
    for backward in (layer.backward, layer.parameter_gradients):
        with pytest.raises(ValueError, match=r"^backward of \w+\(.*\) follows forward"):
            backward(np.zeros(wrong, np.float32))
    y = layer.forward(np.ones(shape, np.float32), train)
    for backward in (layer.backward, layer.parameter_gradients):
        with pytest.raises(ValueError, match=r"^backward of \w+\(.*\) takes dy of the shape of y"):
            backward(np.zeros(wrong, np.float32))
    assert layer.backward(np.zeros_like(y)).shape == shape


def stack():
    return Sequential([dense(2, 3), Sequential([BatchNorm(3), ReLU()])])


def test_an_array_of_a_stack_can_be_set():
    network, W = stack(), np.ones((2, 3), np.float32)
    network.params["0.W"] = W
    network.params.update({"1.0.gamma": np.full(3, 2, np.float32)})
    network.state["1.0.mean"] = np.full(3, 3, np.float32)
    assert network.layers[0].params["W"] is W is network.params["0.W"]
    inner = network.layers[1].layers[0]
    assert inner.params["gamma"][0] == 2 and inner.state["mean"][0] == 3
    network.forward(X, train=True)
    network.backward(np.ones((16, 3), np.float32))
    for name, g in network.grads.items():  # as one clips gradients
        network.grads[name] = np.clip(g, -0.1, 0.1)
    assert np.abs(network.layers[0].grads["W"]).max() <= np.float32(0.1)
    parameters = network.params
    parameters |= {"0.b": np.ones(3, np.float32)}
    assert network.layers[0].params["b"][0] == 1


@pytest.mark.usefixtures("way")
def test_an_optimizer_goes_on_from_the_array_that_was_set():
    network, W = stack(), np.ones((2, 3), np.float32)
    optimizer = SGD(network, 0.5)
    network.params["0.W"] = W.copy()
    network.forward(X, train=True)
    network.parameter_gradients(np.arange(48, dtype=np.float32).reshape(16, 3))
    optimizer.step()
    expected = W - np.float32(0.5) * network.grads["0.W"]
    np.testing.assert_allclose(network.layers[0].params["W"], expected)


@pytest.mark.parametrize(
    "name, array, message",
    [
        ("0.W", np.ones((3, 2), np.float32), r"float32 of shape \(3, 2\), but must be"),
        ("0.W", np.ones((2, 3)), "float64 .* but must be float32"),
        ("0.W", [[1.0] * 3] * 2, "0.W must be an array of NumPy or CuPy, not a list"),
        ("W", np.ones((2, 3), np.float32), "there is no W here; there are 0.W, 0.b"),
        ("2.W", np.ones((2, 3), np.float32), "there is no 2.W"),
    ],
)
def test_an_array_that_does_not_fit_the_stack_is_refused(name, array, message):
    network = stack()
    before = network.state_dict()
    for change in (
        lambda: network.params.__setitem__(name, array),
        lambda: network.params.update({name: array}),
    ):
        with pytest.raises(ValueError, match=message):
            change()
    after = network.state_dict()
    assert all(np.array_equal(before[key], after[key]) for key in before)


def test_no_array_of_a_stack_is_taken_away_in_a_copy_alone():
    network = stack()
    for change in (
        lambda: network.params.pop("0.W"),
        lambda: network.params.__delitem__("0.W"),
        lambda: network.params.clear(),
        lambda: network.params.setdefault("9.W", X),
    ):
        with pytest.raises(TypeError, match="names cannot be added"):
            change()
    for copied in (copy.deepcopy(network.params), pickle.loads(pickle.dumps(network.params))):
        assert type(copied) is dict and copied.keys() == network.params.keys()


def test_a_saved_network_that_would_be_miswired_is_an_input_error(tmp_path):
    dann = make()
    dann.domain_head.layers.append(Sigmoid())  # after it was checked
    dann.save(tmp_path / "model.npz")
    with pytest.raises(InputError, match=r"model\.npz .*domain_head ends in Sigmoid"):
        DANN.load(tmp_path / "model.npz")


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("stopped", [0, 1, 2])
def test_ctrl_c_in_adapting_changes_nothing(monkeypatch, stopped):
    """Neither momentum nor domains, nor the statistics of some layers without the others."""
    head = [dense(8, 8), BatchNorm(8, domains=2), dense(8, 2)]
    dann = make(*head, features=[BatchNorm(8, domains=2), dense(8, 8), BatchNorm(8)])
    before, track, calls = dann.state_dict(), BatchNorm._track, []

    def interrupted(layer, mu, var):
        track(layer, mu, var)
        calls.append(layer)
        if len(calls) > stopped:
            raise KeyboardInterrupt

    monkeypatch.setattr(BatchNorm, "_track", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dann.adapt_batch_norm(X)
    norms = [leaf for n in dann.networks for leaf in n.leaves() if isinstance(leaf, BatchNorm)]
    assert [(norm.momentum, norm.domains) for norm in norms] == [(0.9, 2), (0.9, 1), (0.9, 2)]
    after = dann.state_dict()
    assert all(np.array_equal(before[key], after[key]) for key in before)
