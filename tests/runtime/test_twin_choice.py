"""Who runs, the lesson or its twin: in subclasses, contexts, threads, without minidann.fast."""

import subprocess
import sys
import threading

import numpy as np
import pytest

import minidann
from minidann import fast, plain
from minidann.nn import BatchNorm, Conv2D, Dense, MaxPool2D, ReLU
from minidann.nn.optimizers import SGD, Adam, Optimizer
from minidann.runtime import twins


def dense():
    return Dense(2, 3, rng=np.random.default_rng(0))


X, DY = np.ones((4, 2), np.float32), np.ones((4, 3), np.float32)


def ran(layer):
    """The twin that ran, None for the lesson."""
    layer.forward(X)
    return layer._twin


def test_the_twin_runs_by_default_and_plain_turns_it_off():
    layer = dense()
    assert ran(layer) is fast.Dense
    with plain():
        assert ran(layer) is None
    assert ran(layer) is fast.Dense
    assert minidann.plain is plain


def test_plain_within_plain_ends_with_the_outer_one():
    layer = dense()
    with plain():
        with plain():
            assert ran(layer) is None
        assert ran(layer) is None
    assert ran(layer) is fast.Dense


def test_plain_ends_when_an_error_leaves_it():
    with pytest.raises(RuntimeError), plain():
        raise RuntimeError
    assert ran(dense()) is fast.Dense


def test_plain_holds_in_its_own_thread_only():
    """Two users at once: the lesson of one does not slow the other down, nor vice versa."""
    seen, inside, done = [], threading.Event(), threading.Event()

    def other():
        inside.wait()
        seen.append(ran(dense()))
        with plain():
            done.set()
            seen.append(ran(dense()))

    thread = threading.Thread(target=other)
    thread.start()
    with plain():
        inside.set()
        done.wait()
        assert ran(dense()) is None
    assert ran(dense()) is fast.Dense
    thread.join()
    assert seen == [fast.Dense, None]


def test_backward_and_parameter_gradients_follow_the_last_forward():
    layer = dense()
    for inside, expected in ((True, None), (False, fast.Dense), (True, None)):
        if inside:
            with plain():
                layer.forward(X)
        else:
            layer.forward(X)
        for method in (layer.backward, layer.parameter_gradients):
            method(DY)
            assert layer._twin is expected
            with plain():
                method(DY)
            assert layer._twin is expected


def test_methods_keep_their_names_and_their_words():
    assert Dense.forward.__name__ == "forward" and Dense.__doc__.startswith("y = x W + b")
    assert SGD.step.__doc__ == Optimizer.step.__doc__
    assert not hasattr(Optimizer.step, "__wrapped__")  # only the decorated class has a twin


def test_arguments_by_name_reach_the_twin():
    layer = BatchNorm(2)
    layer.forward(x=X, train=True)
    assert layer._twin is fast.BatchNorm and np.any(layer.state["mean"] != 0)


class Doubled(Dense):
    """Overrides forward altogether; backward is the lesson's, on what its own forward kept."""

    def forward(self, x, train=False):
        self._x = 2 * x
        return self._x @ self.params["W"]


class Shifted(Dense):
    """Adds to what its parent does."""

    def forward(self, x, train=False):
        return super().forward(x, train) + 1

    def backward(self, dy):
        return super().backward(dy) + 1


class Sevenfold(Dense):
    """Overrides a method that the twin's backward calls."""

    def parameter_gradients(self, dy):
        super().parameter_gradients(dy)
        self.grads["W"] = 7 * self.grads["W"]


class Remembers(BatchNorm):
    """Overrides an inner method, which the lesson calls."""

    def _track(self, mu, var):
        self.seen = mu


class Sign(SGD):
    """An optimizer of the user's own, made of SGD, whose update looks at a parameter as a whole."""

    def _update(self, theta, g, velocity):
        theta -= self.learning_rate * g / np.abs(g).max()


class FromScratch(Optimizer):
    """An optimizer without a twin."""

    memory = ("steps",)

    def __init__(self, networks):
        super().__init__(networks, 1.0, 0.0)

    def _update(self, theta, g, steps):
        steps += 1
        theta -= g / steps


@pytest.mark.parametrize("inside", [False, True])
def test_a_subclass_runs_its_own_methods(inside):
    def results(cls):
        layer = cls(2, 3, rng=np.random.default_rng(0))
        if inside:
            with plain():
                return layer.forward(X), layer.backward(DY), layer.grads["W"], layer._twin
        return layer.forward(X), layer.backward(DY), layer.grads["W"], layer._twin

    y, dx, dW, twin = results(Dense)
    assert twin is (None if inside else fast.Dense)
    for cls, y_is, dx_is, dW_is, is_twin in (
        (Doubled, 2 * y, dx, 2 * dW, None),
        (Shifted, y + 1, dx + 1, dW, twin),
        (Sevenfold, y, dx, 7 * dW, twin),
    ):
        found = results(cls)
        for array, expected in zip(found, (y_is, dx_is, dW_is)):
            np.testing.assert_allclose(array, expected, rtol=1e-6)
        assert found[3] is is_twin


def test_an_inner_method_that_is_overridden_is_called():
    """The twin would not call it as the lesson does, so the lesson runs."""
    layer = Remembers(2)
    layer.forward(X, train=True)
    assert layer._twin is None
    np.testing.assert_array_equal(layer.seen.ravel(), [1, 1])


def test_an_optimizer_of_the_users_own_runs_its_own_update():
    for make, steps in ((lambda layer: Sign(layer, 1.0), 1), (FromScratch, 2)):
        layer = dense()
        layer.grads = {"W": np.full((2, 3), 4, np.float32), "b": np.full(3, 2, np.float32)}
        before = {name: array.copy() for name, array in layer.params.items()}
        optimizer = make(layer)
        for _ in range(steps):
            optimizer.step()
        moved = {name: before[name] - array for name, array in layer.params.items()}
        expected = {"W": 1, "b": 1} if steps == 1 else {"W": 6, "b": 3}  # g + g / 2
        for name, array in moved.items():
            np.testing.assert_allclose(array, expected[name], rtol=1e-5)


def test_an_error_within_minidann_fast_is_not_taken_for_its_absence(monkeypatch):
    def broken(name):
        raise ModuleNotFoundError("No module named 'scipy'", name="scipy")

    monkeypatch.setattr(twins, "import_module", broken)
    twins._fast.cache_clear()
    try:
        with pytest.raises(ModuleNotFoundError, match="scipy"):
            twins.twin_of(Dense)
    finally:
        twins._fast.cache_clear()


WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[2].startswith("fast"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import numpy as np
from minidann import DANN
from minidann.nn import BatchNorm, Conv2D, Dense, Flatten, MaxPool2D, ReLU, Sequential
from minidann.nn.optimizers import SGD, Adam

rng = np.random.default_rng(0)
features = [Conv2D(1, 2, 3, rng=rng), BatchNorm(2, domains=2), ReLU(), MaxPool2D(2), Flatten()]
dann = DANN(*map(Sequential, (features, [Dense(8, 2, rng=rng)], [Dense(8, 2, rng=rng)])))
for make in (lambda networks: SGD(networks, 0.1), Adam):
    optimizer, x = make(dann.networks), rng.standard_normal((4, 4, 4, 1), dtype=np.float32)
    dann.compute_gradients(x, np.array([0, 1, 0, 1]), x, 0.5)
    optimizer.step()
assert dann.predict(x).shape == (4,)
assert "minidann.fast" not in sys.modules
"""


def test_the_lesson_runs_without_minidann_fast():
    result = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_layers_without_a_twin_are_as_they_were():
    assert not hasattr(ReLU, "_twin") and twins.twin_of(ReLU) is None
    assert {twins.twin_of(cls) for cls in (Conv2D, MaxPool2D, Adam)} == {
        fast.Conv2D,
        fast.MaxPool2D,
        fast.Adam,
    }
