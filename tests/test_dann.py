"""One step of DANN against finite differences of the two losses, written out here from their definitions."""

from typing import NamedTuple

import numpy as np
import pytest

from minidann import DANN
from minidann.nn import Dense, Dropout, Sequential
from minidann.nn.gradcheck import numerical_gradient

LAMS = (0.0, 0.3, 1.0, 2.5, -1.0)


class Case(NamedTuple):
    dann: DANN
    batch: tuple  # x_source, y_source, x_target
    losses: tuple  # L_y, L_d
    label: list  # dL_y of each network, a dict of name to array
    domain: list  # dL_d likewise


def make_batch(kind, seed=1):
    rng = np.random.default_rng(seed)
    n, m, shape = {"dense": (3, 5, (2,)), "conv": (4, 4, (4, 4, 2))}[kind]
    return rng.standard_normal((n, *shape)), rng.integers(0, 3, n), rng.standard_normal((m, *shape)) + 0.5


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def label_loss(dann, f, y):
    p = softmax(dann.label_head.forward(f, train=True))
    return {"mean": np.mean, "sum": np.sum}[dann.reduction](-np.log(p[np.arange(len(y)), y]))


def both_losses(dann, x_source, y_source, x_target):
    """(L_y, L_d) in training mode, by the textbook and with no reversal anywhere."""
    n, m = len(x_source), len(x_target)
    f = dann.features.forward(np.concatenate([x_source, x_target]), train=True)
    z = dann.domain_head.forward(f, train=True)
    p = softmax(z) if z.shape[1] == 2 else np.hstack([1 / (1 + np.exp(z)), 1 / (1 + np.exp(-z))])
    return label_loss(dann, f[:n], y_source), {"mean": np.mean, "sum": np.sum}[dann.reduction](-np.log(p[np.arange(n + m), [0] * n + [1] * m]))


def differences(dann, loss):
    """Central differences of a loss for every parameter of the three networks."""
    return [{name: numerical_gradient(lambda _: loss(), array) for name, array in network.params.items()} for network in dann.networks]


@pytest.fixture(scope="module", params=[(kind, units, reduction) for kind in ("dense", "conv") for units in (2, 1) for reduction in ("mean", "sum")], ids=str)
def case(request, make_dann):
    dann, batch = make_dann(*request.param), make_batch(request.param[0])
    label, domain = (differences(dann, lambda which=which: both_losses(dann, *batch)[which]) for which in (0, 1))
    return Case(dann, batch, both_losses(dann, *batch), label, domain)


def assert_gradients(network, expected):
    assert network.grads.keys() == network.params.keys() == expected.keys()
    for name, gradient in network.grads.items():
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-6, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("lam", LAMS)
def test_a_step_sets_the_papers_gradients(case, lam):
    case.dann.step(*case.batch, lam)
    assert_gradients(case.dann.features, {name: case.label[0][name] - lam * case.domain[0][name] for name in case.label[0]})
    assert_gradients(case.dann.label_head, case.label[1])
    assert_gradients(case.dann.domain_head, case.domain[2])


def test_both_losses_reach_the_features(case):
    """Else the test above could not tell one from the other, nor lam from nothing."""
    for gradients in (case.label[0], case.domain[0]):
        assert max(np.abs(gradient).max() for gradient in gradients.values()) > 1e-3


def test_a_step_returns_the_losses_by_their_definition(case):
    np.testing.assert_allclose(case.dann.step(*case.batch, 0.7), case.losses, rtol=1e-12)


@pytest.mark.parametrize("lam", LAMS)
def test_a_domain_step_sets_the_gradients_of_the_domain_loss_alone(case, lam):
    losses = case.dann.domain_step(case.batch[0], case.batch[2], lam)
    np.testing.assert_allclose(losses, (0.0, case.losses[1]), rtol=1e-12)
    assert_gradients(case.dann.features, {name: -lam * gradient for name, gradient in case.domain[0].items()})
    assert_gradients(case.dann.domain_head, case.domain[2])


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_a_label_step_sets_the_gradients_of_the_label_loss_alone(make_dann, kind, reduction):
    dann = make_dann(kind, reduction=reduction)
    x, y, _ = make_batch(kind)

    def loss():
        return label_loss(dann, dann.features.forward(x, train=True), y)

    expected = differences(dann, loss)
    np.testing.assert_allclose(dann.label_step(x, y), (loss(), 0.0), rtol=1e-12)
    assert_gradients(dann.features, expected[0])
    assert_gradients(dann.label_head, expected[1])
    assert not dann.domain_head.grads


@pytest.mark.parametrize("units", [1, 2])
def test_lam_never_reaches_the_heads_own_gradients(make_dann, units):
    dann, batch = make_dann(units=units), make_batch("dense")
    seen = []
    for lam in LAMS:
        dann.step(*batch, lam)
        seen.append(np.concatenate([gradient.ravel() for head in dann.networks[1:] for gradient in head.grads.values()]))
    assert all(np.array_equal(gradients, seen[0]) for gradients in seen)


def test_a_step_leaves_its_batch_alone(make_dann):
    x_source, y_source, x_target = make_batch("conv")
    for array in (x_source, y_source, x_target):
        array.flags.writeable = False
    make_dann("conv").step(x_source, y_source, x_target, 1.0)


def test_a_step_changes_no_weight(make_dann):
    dann = make_dann("conv")
    before = [array.copy() for network in dann.networks for array in network.params.values()]
    dann.step(*make_batch("conv"), 1.0)
    assert all(np.array_equal(a, b) for a, b in zip(before, (array for network in dann.networks for array in network.params.values())))


@pytest.mark.parametrize("lam", [float("nan"), float("inf"), -float("inf")])
def test_lam_must_be_finite(make_dann, lam):
    x_source, y_source, x_target = make_batch("dense")
    with pytest.raises(ValueError, match="lam is"):
        make_dann().step(x_source, y_source, x_target, lam)
    with pytest.raises(ValueError, match="lam is"):
        make_dann().domain_step(x_source, x_target, lam)


def test_every_source_example_needs_its_label(make_dann):
    x_source, y_source, x_target = make_batch("dense")
    with pytest.raises(ValueError, match="3 rows of logits but 2 labels"):
        make_dann().step(x_source, y_source[:-1], x_target, 1.0)


@pytest.mark.parametrize("kind", ["dense", "conv"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_stays_in_the_networks_precision(make_dann, kind, dtype):
    dann = make_dann(kind, dtype=dtype)
    x_source, y_source, x_target = make_batch(kind)
    dann.step(x_source.astype(dtype), y_source, x_target.astype(dtype), 0.5)
    assert {gradient.dtype for network in dann.networks for gradient in network.grads.values()} == {np.dtype(dtype)}


@pytest.mark.parametrize("units", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 3, 7, 500])
def test_predictions_are_those_of_the_networks_in_evaluation(make_dann, units, batch_size):
    dann = make_dann("conv", units)
    dann.step(*make_batch("conv"), 1.0)  # running statistics that are not the first ones
    x = np.random.default_rng(3).standard_normal((7, 4, 4, 2))
    f = dann.features.forward(x)
    z = dann.domain_head.forward(f)
    domains = (1 / (1 + np.exp(-z[:, 0])) > 0.5) if units == 1 else z[:, 1] > z[:, 0]
    np.testing.assert_allclose(dann.transform(x, batch_size), f, rtol=1e-12)
    np.testing.assert_array_equal(dann.predict(x, batch_size), dann.label_head.forward(f).argmax(axis=1))
    np.testing.assert_array_equal(dann.predict_domain(x, batch_size), domains.astype(int))


def test_predictions_neither_drop_units_nor_move_running_statistics(make_dann):
    dann = make_dann("conv")
    dann.features.layers.append(Dropout(0.5, rng=np.random.default_rng(0)))
    x = make_batch("conv")[0]
    state = {name: array.copy() for name, array in dann.features.state.items()}
    np.testing.assert_array_equal(dann.transform(x), dann.transform(x))
    dann.predict(x), dann.predict_domain(x)
    assert all(np.array_equal(state[name], array) for name, array in dann.features.state.items())


def test_a_domain_head_of_one_unit_sees_only_the_last_domain_above_zero():
    dann = DANN(*(Sequential([Dense(1, 1, rng=np.random.default_rng(0), init=lambda rng, shape: (np.ones(shape), np.zeros(1)))]) for _ in range(3)))
    np.testing.assert_array_equal(dann.predict_domain(np.array([[-2.0], [3.0], [-0.1], [0.1]])), [0, 1, 0, 1])
