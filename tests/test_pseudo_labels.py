"""A step with pseudo-labels against finite differences of its losses, written out here."""

import numpy as np
import pytest
from test_dann import (
    assert_gradients,
    both_losses,
    differences,
    make_batch,
    on_host,
    placed,
    softmax,
)

from minidann.pseudo_labels import PseudoLabelDANN
from minidann.runtime.arrays import to_host


def make_target(kind):
    """A batch whose target examples come in two versions."""
    x_source, y_source, x_target = make_batch(kind)
    return (
        x_source,
        y_source,
        (x_target, x_target + 0.3 * np.random.default_rng(2).standard_normal(x_target.shape)),
    )


@pytest.fixture(params=["dense", "conv"])
def kind(request):
    return request.param


@pytest.fixture
def make(make_dann, kind):
    """``make(threshold, dtype=, balance=)``: as ``make_dann``, with pseudo-labels.

    Its answers differ from example to example.
    """
    x = make_target(kind)[2][0]

    def make(threshold=0.45, dtype=np.float64, balance=1.0):
        networks = make_dann(kind).networks
        f, (head,) = networks[0].forward(x), networks[1].layers
        head.params["W"] *= 10
        head.params["b"] -= f.mean(axis=0) @ head.params["W"]
        return PseudoLabelDANN(*networks, threshold=threshold, balance=balance).convert(
            lambda array: array.astype(dtype)
        )

    return make


def answers(dann, x):
    """The label head's probabilities in evaluation."""
    return softmax(dann.label_head.forward(dann.features.forward(x)))


def in_between(q):
    """A threshold that some answers are above and some below."""
    low, high = np.sort(q.max(axis=1))[1:3]
    return (low + high) / 2


def label_losses(dann, x_source, y_source, x_bent, guesses, sure, balance=1.0):
    """L_y + L_u + balance L_b in training mode."""
    n = len(x_source)
    p = softmax(
        dann.label_head.forward(
            dann.features.forward(np.concatenate([x_source, x_bent]), train=True), train=True
        )
    )
    of_source, of_target = p[:n][np.arange(n), y_source], p[n:][np.arange(len(x_bent)), guesses]
    return (
        -np.log(of_source).mean()
        - (sure * np.log(of_target)).mean()
        - balance * np.log(p.shape[1] * p[n:].mean(axis=0)).mean()
    )


@pytest.mark.parametrize("lam, balance", [(0.0, 1.0), (0.3, 1.0), (2.5, 1.0), (0.3, 0), (0.3, 0.4)])
def test_a_step_sets_the_gradients_of_all_four_losses(make, place, kind, lam, balance):
    x_source, y_source, (x, x_bent) = batch = make_target(kind)
    reference = make()
    q = answers(reference, x)
    threshold = in_between(q)
    sure = q.max(axis=1) > threshold
    assert 0 < sure.sum() < len(sure)
    label = differences(
        reference,
        lambda: label_losses(
            reference, x_source, y_source, x_bent, q.argmax(axis=1), sure, balance
        ),
    )
    domain = differences(reference, lambda: both_losses(reference, x_source, y_source, x_bent)[1])
    dann = make(threshold, balance=balance).convert(place)
    losses = dann.compute_gradients(*placed(place, batch[:2]), placed(place, batch[2]), lam)
    assert_gradients(
        dann.features, {name: label[0][name] - lam * domain[0][name] for name in label[0]}
    )
    assert_gradients(dann.label_head, label[1])
    assert_gradients(dann.domain_head, domain[2])
    np.testing.assert_allclose(
        on_host(losses), both_losses(reference, x_source, y_source, x_bent), rtol=1e-12
    )


def test_the_losses_of_the_target_reach_the_features(make, kind):
    """Else the test above could not tell whether they are there."""
    x_source, y_source, (x, x_bent) = make_target(kind)
    dann, nothing = make(), np.zeros(len(x), int)
    without = differences(
        dann, lambda: label_losses(dann, x_source, y_source, x_bent, nothing, nothing)
    )[0]
    guessed = differences(
        dann,
        lambda: label_losses(
            dann, x_source, y_source, x_bent, answers(dann, x).argmax(axis=1), nothing + 1
        ),
    )[0]
    plain = differences(dann, lambda: both_losses(dann, x_source, y_source, x_bent)[0])[0]
    for one, other in ((plain, without), (without, guessed)):
        assert max(np.abs(one[name] - other[name]).max() for name in one) > 1e-3


def test_pseudo_labels_are_the_sure_answers_of_the_network_in_evaluation(make, place, kind):
    x = make_target(kind)[2][0]
    q = answers(make(), x)
    for threshold in (0.0, in_between(q), 1.0):
        dann = make(threshold).convert(place)
        before = [
            to_host(array).copy() for network in dann.networks for array in network.state.values()
        ]
        labels, sure = map(to_host, dann.pseudo_labels(place(x)))
        np.testing.assert_array_equal(labels, q.argmax(axis=1))
        np.testing.assert_array_equal(sure, q.max(axis=1) > threshold)
        assert all(
            map(
                np.array_equal,
                before,
                (to_host(array) for network in dann.networks for array in network.state.values()),
            )
        )


def test_labels_come_from_the_one_version_and_gradients_from_the_other(make, place, kind):
    x_source, y_source, (x, x_bent) = make_target(kind)
    versions = x, -x, 2 * x
    guesses = [tuple(answers(make(), version).argmax(axis=1)) for version in versions]
    assert len(set(guesses)) > 1
    gradients = {}
    for version, guess in zip(versions, guesses):
        dann = make(0.0).convert(place)
        dann.compute_gradients(
            place(x_source), place(y_source), (place(version), place(x_bent)), 0.5
        )
        gradient = np.concatenate(
            [
                to_host(gradient).ravel()
                for network in dann.networks
                for gradient in network.grads.values()
            ]
        )
        assert all(
            np.array_equal(gradient, other) == (guess == same) for same, other in gradients.items()
        )
        gradients[guess] = gradient


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_stays_in_the_networks_precision(make, place, kind, dtype):
    x_source, y_source, x_target = make_target(kind)
    dann = make(dtype=dtype).convert(place)
    dann.compute_gradients(
        place(x_source.astype(dtype)),
        place(y_source),
        tuple(place(x.astype(dtype)) for x in x_target),
        0.5,
    )
    assert {gradient.dtype for network in dann.networks for gradient in network.grads.values()} == {
        np.dtype(dtype)
    }
