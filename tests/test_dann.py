"""One step of DANN against finite differences of the two losses, written out from definitions."""

from typing import NamedTuple

import numpy as np
import pytest

from minidann import DANN
from minidann.metrics import predictions
from minidann.nn import Dense, Dropout, Sequential
from minidann.nn.gradcheck import numerical_gradient
from minidann.pseudo_labels import PseudoLabelDANN
from minidann.runtime.arrays import to_host
from minidann.runtime.errors import InputError

LAMS = (0.0, 0.3, 1.0, 2.5, -1.0)


class Reference(NamedTuple):
    """What the definitions say, in main memory."""

    options: tuple  # of make_dann
    batch: tuple  # x_source, y_source, x_target
    losses: tuple  # L_y, L_d
    label: list  # dL_y of each network, a dict of name to array
    domain: list  # dL_d likewise


class Case(NamedTuple):
    """The network and the batch on the device that is tested, and the reference."""

    dann: DANN
    batch: tuple
    expected: Reference


def make_batch(kind, seed=1):
    rng = np.random.default_rng(seed)
    n, m, shape = {"dense": (3, 5, (2,)), "conv": (4, 4, (4, 4, 2))}[kind]
    return (
        rng.standard_normal((n, *shape)),
        rng.integers(0, 3, n),
        rng.standard_normal((m, *shape)) + 0.5,
    )


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
    return label_loss(dann, f[:n], y_source), {"mean": np.mean, "sum": np.sum}[dann.reduction](
        -np.log(p[np.arange(n + m), [0] * n + [1] * m])
    )


def differences(dann, loss):
    """Central differences of a loss for every parameter of the three networks."""
    return [
        {
            name: numerical_gradient(lambda _: loss(), array)
            for name, array in network.params.items()
        }
        for network in dann.networks
    ]


@pytest.fixture(
    scope="module",
    params=[
        (kind, units, reduction)
        for kind in ("dense", "conv")
        for units in (2, 1)
        for reduction in ("mean", "sum")
    ],
    ids=str,
)
def reference(request, make_dann):
    dann, batch = make_dann(*request.param), make_batch(request.param[0])
    label, domain = (
        differences(dann, lambda which=which: both_losses(dann, *batch)[which]) for which in (0, 1)
    )
    return Reference(request.param, batch, both_losses(dann, *batch), label, domain)


@pytest.fixture
def case(reference, make_dann, place):
    return Case(
        make_dann(*reference.options).convert(place), placed(place, reference.batch), reference
    )


def placed(place, batch):
    return tuple(map(place, batch))


def on_host(losses):
    return [to_host(loss) for loss in losses]


def assert_gradients(network, expected):
    assert network.grads.keys() == network.params.keys() == expected.keys()
    for name, gradient in network.grads.items():
        assert type(gradient) is type(network.params[name])
        np.testing.assert_allclose(
            to_host(gradient), expected[name], rtol=1e-6, atol=1e-8, err_msg=name
        )


@pytest.mark.parametrize("lam", LAMS)
def test_a_step_sets_the_papers_gradients(case, lam):
    label, domain = case.expected.label, case.expected.domain
    case.dann.compute_gradients(*case.batch, lam)
    assert_gradients(
        case.dann.features, {name: label[0][name] - lam * domain[0][name] for name in label[0]}
    )
    assert_gradients(case.dann.label_head, label[1])
    assert_gradients(case.dann.domain_head, domain[2])


def test_both_losses_reach_the_features(reference):
    """Else the test above could not tell one from the other, nor lam from nothing."""
    for gradients in (reference.label[0], reference.domain[0]):
        assert max(np.abs(gradient).max() for gradient in gradients.values()) > 1e-3


def test_a_step_returns_the_losses_by_their_definition(case):
    np.testing.assert_allclose(
        on_host(case.dann.compute_gradients(*case.batch, 0.7)), case.expected.losses, rtol=1e-12
    )


@pytest.mark.parametrize("lam", LAMS)
def test_a_compute_domain_gradients_sets_the_gradients_of_the_domain_loss_alone(case, lam):
    losses = case.dann.compute_domain_gradients(case.batch[0], case.batch[2], lam)
    np.testing.assert_allclose(on_host(losses), (0.0, case.expected.losses[1]), rtol=1e-12)
    assert_gradients(
        case.dann.features,
        {name: -lam * gradient for name, gradient in case.expected.domain[0].items()},
    )
    assert_gradients(case.dann.domain_head, case.expected.domain[2])


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_a_compute_label_gradients_sets_the_gradients_of_the_label_loss_alone(
    make_dann, place, kind, reduction
):
    reference, dann = (
        make_dann(kind, reduction=reduction),
        make_dann(kind, reduction=reduction).convert(place),
    )
    x, y, _ = make_batch(kind)

    def loss():
        return label_loss(reference, reference.features.forward(x, train=True), y)

    expected = differences(reference, loss)
    np.testing.assert_allclose(
        on_host(dann.compute_label_gradients(place(x), place(y))), (loss(), 0.0), rtol=1e-12
    )
    assert_gradients(dann.features, expected[0])
    assert_gradients(dann.label_head, expected[1])
    assert not dann.domain_head.grads


@pytest.mark.parametrize("units", [1, 2])
def test_lam_never_reaches_the_heads_own_gradients(make_dann, place, units):
    dann, batch = make_dann(units=units).convert(place), placed(place, make_batch("dense"))
    seen = []
    for lam in LAMS:
        dann.compute_gradients(*batch, lam)
        seen.append(
            np.concatenate(
                [
                    to_host(gradient).ravel()
                    for head in dann.networks[1:]
                    for gradient in head.grads.values()
                ]
            )
        )
    assert all(np.array_equal(gradients, seen[0]) for gradients in seen)


def test_a_step_leaves_its_batch_alone(make_dann, place):
    batch = placed(place, make_batch("conv"))
    make_dann("conv").convert(place).compute_gradients(*batch, 1.0)
    assert all(
        np.array_equal(to_host(array), before) for array, before in zip(batch, make_batch("conv"))
    )


def test_a_step_changes_no_weight(make_dann, place):
    dann = make_dann("conv").convert(place)
    before = [
        to_host(array).copy() for network in dann.networks for array in network.params.values()
    ]
    dann.compute_gradients(*placed(place, make_batch("conv")), 1.0)
    assert all(
        np.array_equal(a, to_host(b))
        for a, b in zip(
            before, (array for network in dann.networks for array in network.params.values())
        )
    )


@pytest.mark.parametrize("lam", [float("nan"), float("inf"), -float("inf")])
def test_lam_must_be_finite(make_dann, place, lam):
    x_source, y_source, x_target = placed(place, make_batch("dense"))
    with pytest.raises(ValueError, match="lam is"):
        make_dann().convert(place).compute_gradients(x_source, y_source, x_target, lam)
    with pytest.raises(ValueError, match="lam is"):
        make_dann().convert(place).compute_domain_gradients(x_source, x_target, lam)


def test_every_source_example_needs_its_label(make_dann, place):
    x_source, y_source, x_target = placed(place, make_batch("dense"))
    with pytest.raises(ValueError, match="3 rows of logits but 2 labels"):
        make_dann().convert(place).compute_gradients(x_source, y_source[:-1], x_target, 1.0)


@pytest.mark.parametrize("kind", ["dense", "conv"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_stays_in_the_networks_precision(make_dann, place, kind, dtype):
    dann = make_dann(kind, dtype=dtype).convert(place)
    x_source, y_source, x_target = placed(place, make_batch(kind))
    dann.compute_gradients(x_source.astype(dtype), y_source, x_target.astype(dtype), 0.5)
    assert {gradient.dtype for network in dann.networks for gradient in network.grads.values()} == {
        np.dtype(dtype)
    }


@pytest.mark.parametrize("units", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 3, 7, 500])
def test_predictions_are_those_of_the_networks_in_evaluation(make_dann, place, units, batch_size):
    dann, x = (
        make_dann("conv", units).convert(place),
        place(np.random.default_rng(3).standard_normal((7, 4, 4, 2))),
    )
    dann.compute_gradients(
        *placed(place, make_batch("conv")), 1.0
    )  # running statistics that are not the first ones
    f, z = (
        to_host(array)
        for array in (dann.features.forward(x), dann.domain_head.forward(dann.features.forward(x)))
    )
    classes = to_host(dann.label_head.forward(place(f))).argmax(axis=1)
    domains = (1 / (1 + np.exp(-z[:, 0])) > 0.5) if units == 1 else z[:, 1] > z[:, 0]
    np.testing.assert_allclose(to_host(dann.transform(x, batch_size)), f, rtol=1e-12)
    np.testing.assert_array_equal(to_host(dann.predict(x, batch_size)), classes)
    np.testing.assert_array_equal(to_host(dann.predict_domain(x, batch_size)), domains.astype(int))


def test_predictions_neither_drop_units_nor_move_running_statistics(make_dann, place):
    dann = make_dann("conv").convert(place)
    dann.features.layers.append(Dropout(0.5, rng=np.random.default_rng(0)))
    x = place(make_batch("conv")[0])
    state = {name: to_host(array).copy() for name, array in dann.features.state.items()}
    np.testing.assert_array_equal(*(to_host(dann.transform(x)) for _ in range(2)))
    dann.predict(x), dann.predict_domain(x)
    assert all(
        np.array_equal(state[name], to_host(array)) for name, array in dann.features.state.items()
    )


def test_a_domain_head_of_one_unit_sees_only_the_last_domain_above_zero(place):
    dense = [
        Dense(
            1,
            1,
            rng=np.random.default_rng(0),
            init=lambda rng, shape: (np.ones(shape), np.zeros(1)),
        )
        for _ in range(3)
    ]
    dann = DANN(*(Sequential([layer]) for layer in dense)).convert(place)
    np.testing.assert_array_equal(
        to_host(dann.predict_domain(place(np.array([[-2.0], [3.0], [-0.1], [0.1]])))), [0, 1, 0, 1]
    )


def test_convert_takes_every_array_of_the_three_networks_and_returns_the_dann(make_dann, place):
    dann, seen = make_dann("conv"), []
    assert dann.convert(lambda array: seen.append(array) or place(array)) is dann
    assert len(seen) == sum(len(network.params | network.state) for network in dann.networks) == 16
    device = type(place(np.zeros(1)))
    assert all(
        type(array) is device
        for network in dann.networks
        for array in (network.params | network.state).values()
    )


def test_adopted_statistics_reach_all_three_networks(make_dann):
    dann = make_dann("conv")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 4, 4, 2)) + 3
    before = [
        {name: array.copy() for name, array in network.state.items()} for network in dann.networks
    ]
    dann.adapt_batch_norm(x)
    changed = [
        [name for name, array in network.state.items() if not np.array_equal(array, old[name])]
        for network, old in zip(dann.networks, before)
    ]
    assert changed == [["1.mean", "1.var"], [], ["1.mean", "1.var"]]
    _, norm, *_ = dann.domain_head.layers
    f = dann.transform(x)
    np.testing.assert_allclose(
        norm.state["mean"], dann.domain_head.layers[0].forward(f).mean(axis=0), rtol=1e-6
    )


@pytest.mark.parametrize("units", [1, 2])
def test_a_domain_weight_of_two_makes_the_mean_of_both_domains_the_sum_of_their_means(
    make_dann, units
):
    rng = np.random.default_rng(0)
    x_source, y, x_target = (
        rng.standard_normal((6, 2)),
        rng.integers(0, 3, 6),
        rng.standard_normal((6, 2)),
    )
    one, two = make_dann(units=units), make_dann(units=units)
    two.domain_weight = 2.0
    f = [one.domain_head.forward(one.features.forward(x)) for x in (x_source, x_target)]
    logits = [z[:, 0] if units == 1 else z[:, 1] - z[:, 0] for z in f]  # of "target"
    means = [np.log1p(np.exp(z)).mean() for z in (logits[0], -logits[1])]
    (label, domain), (label_two, domain_two) = (
        dann.compute_gradients(x_source, y, x_target, 0.3) for dann in (one, two)
    )
    assert (
        domain_two == pytest.approx(sum(means))
        and domain == pytest.approx(sum(means) / 2)
        and label == label_two
    )
    for name, grad in two.domain_head.grads.items():
        np.testing.assert_allclose(grad, 2 * one.domain_head.grads[name])
    twice_lambda = make_dann(units=units)
    twice_lambda.compute_gradients(x_source, y, x_target, 0.6)
    for name, grad in two.features.grads.items():
        np.testing.assert_allclose(grad, twice_lambda.features.grads[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("batch_size", [1, 3, 500])
def test_probabilities_are_the_softmax_of_the_label_head(make_dann, place, batch_size):
    dann = make_dann("conv").convert(place)
    x = place(np.random.default_rng(3).standard_normal((7, 4, 4, 2)))
    p = to_host(dann.predict_proba(x, batch_size))
    logits = to_host(dann.label_head.forward(dann.features.forward(x)))
    np.testing.assert_allclose(p, softmax(logits), rtol=1e-12)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(p.argmax(axis=1), to_host(dann.predict(x)))


def test_probabilities_of_huge_logits_are_finite(make_dann):
    dann = make_dann()
    dann.label_head.convert(lambda array: 1e5 * array)
    p = dann.predict_proba(make_batch("dense")[0])
    assert np.isfinite(p).all() and (p.max(axis=1) > 0.99).all()


DENSE = """\
DANN(
    features=Sequential([
        Dense(2, 5),
        Sigmoid(),
        Dense(5, 4),
        Sigmoid(),
    ]),
    label_head=Sequential([
        Dense(4, 3),
    ]),
    domain_head=Sequential([
        Dense(4, 5),
        Sigmoid(),
        Dense(5, 2),
    ]),
)"""


def test_a_dann_says_what_it_is_made_of(make_dann):
    dann = make_dann()
    assert repr(dann) == DENSE
    dann.reduction, dann.domain_weight = "sum", 2.0
    end = '    ]),\n    reduction="sum",\n    domain_weight=2.0,\n)'
    assert repr(dann).endswith(end)
    other = PseudoLabelDANN(*dann.networks, threshold=0.9)
    assert repr(other).startswith("PseudoLabelDANN(\n    features=Sequential([")
    assert repr(other).endswith("    ]),\n    threshold=0.9,\n)")


def test_the_summary_of_a_dann_shows_three_networks_and_counts_all_parameters(make_dann, place):
    dann = make_dann("conv").convert(place)
    lines = dann.summary((4, 4, 2)).splitlines()
    assert [line for line in lines if line and line[0] != " "] == [
        next(line for line in lines if line.startswith(start))
        for start in ("input", "features", "label_head", "domain_head", "all parameters")
    ]
    counts = [sum(a.size for a in network.params.values()) for network in dann.networks]
    shown = [line.split()[-1] for line in lines if line.startswith("  parameters")]
    assert shown == [f"{count:,}" for count in counts]
    assert lines[-1].split()[-1] == f"{sum(counts):,}"


def test_the_summary_of_an_input_that_does_not_fit_names_the_layer(make_dann):
    with pytest.raises(InputError, match=r"^Dense\(2, 5\) cannot take an input of shape \(3,\)"):
        make_dann().summary((3,))


def test_a_state_of_other_networks_changes_nothing(make_dann):
    dann, other = make_dann(), make_dann(units=1, seed=1)
    before = dann.state_dict()
    with pytest.raises(ValueError, match=r"domain_head\.2\.W is float64 of shape \(5, 1\)"):
        dann.load_state_dict(other.state_dict())
    after = dann.state_dict()
    assert all(np.array_equal(array, after[name]) for name, array in before.items())
    dann.load_state_dict(make_dann(seed=1).state_dict())
    x = make_batch("dense")[0]
    np.testing.assert_array_equal(dann.predict_proba(x), make_dann(seed=1).predict_proba(x))


NOT_A_NUMBER = {
    "predict": lambda dann, x: dann.predict(x),
    "predict_proba": lambda dann, x: dann.predict_proba(x),
    "predict_domain": lambda dann, x: dann.predict_domain(x),
    "transform": lambda dann, x: dann.transform(x),
    "adapt_batch_norm": lambda dann, x: dann.adapt_batch_norm(x),
    "predictions": predictions,
}


@pytest.mark.parametrize("ask", NOT_A_NUMBER.values(), ids=NOT_A_NUMBER)
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_what_is_not_a_number_is_not_class_0(make_dann, place, ask, number):
    dann, (x, _, _) = make_dann("conv").convert(place), make_batch("conv")
    x = x.copy()
    x[-1, 0, 0, 0] = number
    with pytest.raises(InputError, match=f"example {len(x) - 1} of x holds NaN or infinity"):
        ask(dann, place(x))


def test_no_examples_have_no_answers(make_dann, place):
    with pytest.raises(InputError, match="there are no examples"):
        make_dann("conv").convert(place).predict(place(make_batch("conv")[0][:0]))
