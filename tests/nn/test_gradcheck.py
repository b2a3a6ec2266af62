"""The gradient check is itself checked: right gradients pass, every planted bug is caught."""

import numpy as np
import pytest

from minidann.nn import BatchNorm, Dense, Dropout, ReLU, Sequential, gradcheck
from minidann.nn.losses import softmax_cross_entropy

CASES = gradcheck.cases(np.random.default_rng(0))


def test_differences_of_a_polynomial_are_its_derivative():
    x = np.random.default_rng(0).standard_normal((3, 2))
    before = x.copy()
    np.testing.assert_allclose(gradcheck.numerical_gradient(lambda x: float((x**3 + x).sum()), x), 3 * x**2 + 1, rtol=1e-8)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("check", [check for _, _, check in CASES], ids=[f"{name} {case}" for name, case, _ in CASES])
@pytest.mark.parametrize("bug", ["sign", "zero"])
def test_a_planted_bug_is_caught_in_every_gradient(check, bug):
    assert check(None).passed()
    plant = gradcheck.plant_layer(gradcheck.PLANTS[bug][1])
    assert min(check(plant).errors.values()) > 0.9


@pytest.mark.parametrize("bug", gradcheck.PLANTS)
def test_the_program_reports_a_planted_bug(bug, capsys):
    assert gradcheck.main(["--plant", bug, "--layer", "Dense"]) == 1
    assert "WRONG" in capsys.readouterr().out


def test_the_program_passes_every_layer(capsys):
    assert gradcheck.main([]) == 0
    out = capsys.readouterr().out
    assert "WRONG" not in out and all(name in out for name, _, _ in CASES)


def test_the_tolerance_decides():
    assert gradcheck.main(["--layer", "Dense", "--tolerance", "0"]) == 1


def test_the_check_changes_neither_layer_nor_input():
    layer = Sequential([Dense(3, 4, rng=np.random.default_rng(0)), ReLU(), BatchNorm(4), Dropout(0.5, rng=np.random.default_rng(1))])
    x = np.random.default_rng(2).standard_normal((5, 3)).astype(np.float32)
    before = {name: array.copy() for name, array in (layer.params | layer.state).items()} | {"x": x.copy()}
    gradcheck.check_layer(layer, x)
    after = layer.params | layer.state | {"x": x}
    assert all(after[name].dtype == np.float32 and np.array_equal(after[name], array) for name, array in before.items())
    assert layer.grads == {}
    assert layer.layers[3].rng.bit_generator.state == np.random.default_rng(1).bit_generator.state


def test_upstream_gradients_of_ones_would_be_blind_to_a_wrong_batch_norm():
    """Why the check draws a random one: ones see no difference between 0 and the truth."""
    layer = BatchNorm(3).convert(lambda array: array.astype(np.float64))
    layer.forward(np.random.default_rng(0).standard_normal((6, 3)), train=True)
    np.testing.assert_allclose(layer.backward(np.ones((6, 3))), 0, atol=1e-12)


def test_a_gradient_that_is_not_finite_fails():
    for bad in (np.nan, np.inf):
        with np.errstate(invalid="ignore"):
            assert gradcheck.relative_error(np.array([1.0, bad]), np.ones(2)) == np.inf


def test_the_error_is_relative_to_the_larger_of_the_two():
    assert gradcheck.relative_error(np.array([2.0, 0]), np.array([1.0, 0])) == 0.5
    assert gradcheck.relative_error(np.array([1.0]), np.array([2.0])) == 0.5
    assert gradcheck.relative_error(np.zeros(2), np.zeros(2)) == 0


@pytest.mark.parametrize("shape", [(1,), (2, 3), (5, 4, 3, 2)])
def test_inputs_away_from_kinks_are_distinct_and_never_zero(shape):
    x = gradcheck.away_from_kinks(np.random.default_rng(0), shape)
    gaps = np.diff(np.sort(np.append(x.ravel(), 0)))
    assert x.shape == shape and np.abs(x).max() <= 1 and gaps.min() > 1e-5


def test_a_wrong_loss_is_caught():
    z, labels = np.random.default_rng(0).standard_normal((4, 3)), np.array([0, 1, 2, 0])
    assert gradcheck.check_loss(softmax_cross_entropy, z, labels).passed()
    assert not gradcheck.check_loss(lambda z, t: (softmax_cross_entropy(z, t)[0], softmax_cross_entropy(z, t, "sum")[1]), z, labels).passed()
