"""The gradient check is itself checked: right gradients pass, every planted bug is caught."""

import copy

import numpy as np
import pytest
from strict_cupy import meter

from minidann.nn import BatchNorm, Dense, Dropout, Layer, ReLU, Sequential, conv, gradcheck
from minidann.nn.losses import softmax_cross_entropy
from minidann.runtime import device
from minidann.runtime.arrays import to_host

CASES = [f"{name} {case}" for name, case, _ in gradcheck.cases(np.random.default_rng(0))]
on_the_stand_in = pytest.mark.parametrize("place", ["stand-in"], indirect=True)


@pytest.fixture
def on(place, monkeypatch):
    """The options that let the program work at ``place``: as if this machine lacked no GPU."""
    monkeypatch.setattr(device, "why_no_gpu", lambda: "")
    return ["--device", "cpu" if place is to_host else "gpu"]


def test_differences_of_a_polynomial_are_its_derivative():
    x = np.random.default_rng(0).standard_normal((3, 2))
    before = x.copy()
    np.testing.assert_allclose(
        gradcheck.numerical_gradient(lambda x: float((x**3 + x).sum()), x), 3 * x**2 + 1, rtol=1e-8
    )
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.float32, list])
def test_differences_of_numbers_that_cannot_be_moved_exactly_are_right_too(kind):
    """An integer that is moved by 1e-5 stays where it was, or falls to the one below."""
    x = [3, 4] if kind is list else np.array([3, 4], kind)
    gradient = gradcheck.numerical_gradient(lambda x: float((x**2).sum()), x)
    np.testing.assert_allclose(gradient, [6, 8], rtol=1e-8)
    assert list(x) == [3, 4]


def test_an_element_is_put_back_whatever_f_raises():
    x = np.ones(2)
    with pytest.raises(ZeroDivisionError):
        gradcheck.numerical_gradient(lambda x: 1 / 0, x)
    np.testing.assert_array_equal(x, 1)


@pytest.mark.parametrize("i", range(len(CASES)), ids=CASES)
@pytest.mark.parametrize("bug", ["sign", "zero"])
def test_a_planted_bug_is_caught_in_every_gradient(place, way, i, bug):
    _, _, check = gradcheck.cases(np.random.default_rng(0), place)[i]
    assert check(None).passed()
    plant = gradcheck.plant_layer(gradcheck.PLANTS[bug][1])
    assert min(check(plant).errors.values()) > 0.9


@pytest.mark.parametrize("bug", gradcheck.PLANTS)
def test_the_program_reports_a_planted_bug(on, bug, capsys):
    assert gradcheck.main(["--plant", bug, "--layer", "Dense", *on]) == 1
    assert "WRONG" in capsys.readouterr().out


def test_the_program_passes_every_layer(on, capsys):
    assert gradcheck.main(on) == 0
    out = capsys.readouterr().out
    assert "WRONG" not in out and all(case.split()[0] in out for case in CASES)
    assert max(map(len, out.splitlines())) < 80


@pytest.mark.parametrize("arguments, plain", [([], False), (["--plain"], True)])
def test_the_program_checks_the_lesson_if_asked_to(monkeypatch, arguments, plain):
    """A bug in the lesson alone is seen by --plain alone."""
    monkeypatch.setattr(conv, "col2im", lambda columns, shape, *_: np.zeros(shape))
    assert gradcheck.main(["--layer", "Conv2D", *arguments]) == (1 if plain else 0)


def test_the_tolerance_decides(on):
    assert gradcheck.main(["--layer", "Dense", "--tolerance", "0", *on]) == 1


@pytest.mark.parametrize("tolerance", ["nan", "inf"])
def test_a_tolerance_that_passes_everything_is_refused(tolerance, capsys):
    with pytest.raises(SystemExit):
        gradcheck.main(["--layer", "Dense", "--tolerance", tolerance])
    assert f"{tolerance} is not a finite number" in capsys.readouterr().err


@on_the_stand_in
@pytest.mark.parametrize(
    "arguments, there",
    [
        ([], False),
        (["--device", "cpu"], False),
        (["--device", "gpu"], True),
        (["--device", "auto"], True),
    ],
)
def test_the_program_works_where_it_is_told_to(on, arguments, there):
    meter.reset()
    assert gradcheck.main(["--layer", "Dense", *arguments]) == 0
    assert (meter.launches > 0) is there


def test_without_a_gpu_the_program_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(device, "why_no_gpu", lambda: "no GPU grows here")
    assert gradcheck.main(["--device", "gpu"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err == "error: no GPU grows here, or run with --device cpu\n"
    assert gradcheck.main(["--device", "auto", "--layer", "Dense"]) == 0


def wrong_on_the_device(gradient):
    """The gradient in main memory, and its negative anywhere else."""
    return gradient if isinstance(gradient, np.ndarray) else -gradient


def test_a_mistake_that_only_the_device_makes_is_caught(place):
    """The check would be blind to it if it let the layer, or the loss, work in main memory."""

    class Wrong(ReLU):
        def backward(self, dy):
            return wrong_on_the_device(super().backward(dy))

    def wrong(z, t):
        loss, dz = softmax_cross_entropy(z, t)
        return loss, wrong_on_the_device(dz)

    rng = np.random.default_rng(0)
    x, z, labels = (
        gradcheck.away_from_kinks(rng, (3, 4)),
        rng.standard_normal((4, 3)),
        np.array([0, 1, 2, 0]),
    )
    for report in (
        gradcheck.check_layer(Wrong(), x, transfer=place),
        gradcheck.check_loss(wrong, z, labels, transfer=place),
    ):
        assert report.passed() is (place is to_host)


def test_the_check_changes_neither_layer_nor_input(place):
    layer = Sequential(
        [
            Dense(3, 4, rng=np.random.default_rng(0)),
            ReLU(),
            BatchNorm(4),
            Dropout(0.5, rng=np.random.default_rng(1)),
        ]
    ).convert(place)
    x = np.random.default_rng(2).standard_normal((5, 3)).astype(np.float32)
    held, before = layer.params | layer.state, copy.deepcopy(layer.params | layer.state | {"x": x})
    gradcheck.check_layer(layer, x, transfer=place)
    after = layer.params | layer.state | {"x": x}
    assert all(after[name] is array for name, array in held.items())
    assert all(
        after[name].dtype == np.float32 and np.array_equal(to_host(after[name]), to_host(array))
        for name, array in before.items()
    )
    assert layer.grads == {}
    assert layer.layers[3].rng.bit_generator.state == np.random.default_rng(1).bit_generator.state


def test_upstream_gradients_of_ones_would_be_blind_to_a_wrong_batch_norm(place):
    """Why the check draws a random one: ones see no difference between 0 and the truth."""
    layer = BatchNorm(3).convert(lambda array: place(array.astype(np.float64)))
    layer.forward(place(np.random.default_rng(0).standard_normal((6, 3))), train=True)
    np.testing.assert_allclose(to_host(layer.backward(place(np.ones((6, 3))))), 0, atol=1e-12)


def test_a_gradient_that_is_not_finite_fails():
    for bad in (np.nan, np.inf):
        with np.errstate(invalid="ignore"):
            assert gradcheck.relative_error(np.array([1.0, bad]), np.ones(2)) == np.inf


@pytest.mark.parametrize("shapes", [((1, 3), (5, 3)), ((3,), (5, 3)), ((), (2,)), ((4,), (4, 1))])
def test_gradients_of_two_shapes_are_not_broadcast(shapes):
    with pytest.raises(ValueError, match="the gradient has the shape"):
        gradcheck.relative_error(*map(np.ones, shapes))


def test_the_error_of_bytes_does_not_wrap_around():
    assert gradcheck.relative_error(np.array([0], np.uint8), np.array([255], np.uint8)) == 1


class Scale(Layer):
    """y = W x, with a backward that each test gives."""

    def __init__(self, backward):
        super().__init__()
        self.params = {"W": np.full(3, 2.0)}
        self.backward_of = backward

    def forward(self, x, train=False):
        self.x = x
        return self.params["W"] * x

    def backward(self, dy):
        return self.backward_of(self, dy)


def without_grads(self, dy):
    return self.params["W"] * dy


def summed_to_a_number(self, dy):
    self.grads["W"] = (dy * self.x).sum()
    return self.params["W"] * dy


def without_a_return(self, dy):
    self.grads["W"] = (dy * self.x).sum(axis=0)


@pytest.mark.parametrize(
    "backward, said",
    [
        (without_grads, r"gradient of W of shape \(3,\), but it set none"),
        (summed_to_a_number, r"gradient of W of shape \(3,\), but it set one of shape \(\)"),
        (without_a_return, r"gradient of x of shape \(5, 3\), but it set none"),
    ],
)
def test_a_backward_that_leaves_out_a_gradient_is_named(backward, said):
    with pytest.raises(ValueError, match=rf"Scale\.backward must set a {said}"):
        gradcheck.check_layer(Scale(backward), np.ones((5, 3)))


def test_the_error_is_relative_to_the_larger_of_the_two():
    assert gradcheck.relative_error(np.array([2.0, 0]), np.array([1.0, 0])) == 0.5
    assert gradcheck.relative_error(np.array([1.0]), np.array([2.0])) == 0.5
    assert gradcheck.relative_error(np.zeros(2), np.zeros(2)) == 0
    assert gradcheck.relative_error(np.zeros(1), np.full(1, np.nan)) == np.inf


def test_a_gradient_that_is_zero_is_not_judged_by_the_rounding_of_its_differences():
    rng = np.random.default_rng(0)
    before_batchnorm = Sequential(
        [Dense(4, 3, rng=rng), BatchNorm(3)]
    )  # which takes the bias away again
    report = gradcheck.check_layer(before_batchnorm, rng.standard_normal((6, 4)))
    assert report.errors["0.b"] == 0 and 0 < report.largest < gradcheck.TOLERANCE


@pytest.mark.parametrize("shape", [(1,), (2, 3), (5, 4, 3, 2)])
def test_inputs_away_from_kinks_are_distinct_and_never_zero(shape):
    x = gradcheck.away_from_kinks(np.random.default_rng(0), shape)
    gaps = np.diff(np.sort(np.append(x.ravel(), 0)))
    assert x.shape == shape and np.abs(x).max() <= 1 and gaps.min() > 1e-5


def test_a_wrong_loss_is_caught(place):
    z, labels = np.random.default_rng(0).standard_normal((4, 3)), np.array([0, 1, 2, 0])
    assert gradcheck.check_loss(softmax_cross_entropy, z, labels, transfer=place).passed()
    wrong = gradcheck.check_loss(
        lambda z, t: (softmax_cross_entropy(z, t)[0], softmax_cross_entropy(z, t, "sum")[1]),
        z,
        labels,
        transfer=place,
    )
    assert not wrong.passed()
