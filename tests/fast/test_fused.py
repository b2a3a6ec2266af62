"""Every fused function, of the lesson and of the fast twins, is one kernel on a device."""

import importlib
import inspect
import pkgutil

import numpy as np
import pytest
from strict_cupy import meter

from minidann import fast, nn
from minidann.fast import flat, normalization
from minidann.nn import BatchNorm, Dense, Sigmoid, activations, optimizers
from minidann.nn.losses import binary_cross_entropy

on_the_stand_in = pytest.mark.parametrize("place", ["stand-in"], indirect=True)


def back_and_forth(make, shape):
    """A use: forward and backward in training, in float32."""

    def use(place):
        layer = make().convert(place)
        y = layer.forward(place(np.ones(shape, np.float32)), train=True)
        layer.backward(place(np.ones(y.shape, np.float32)))

    return use


def step(make):
    """A use: one step of the optimizer."""

    def use(place):
        dense = Dense(2, 3, rng=np.random.default_rng(0)).convert(place)
        dense.grads.update(
            {name: place(np.ones(array.shape, np.float32)) for name, array in dense.params.items()}
        )
        make(dense).step()

    return use


def cross_entropy(place):
    binary_cross_entropy(place(np.ones(3, np.float32)), place(np.ones(3, np.float32)))


USES = {
    "BatchNorm": (
        back_and_forth(lambda: BatchNorm(3), (4, 3)),
        {
            normalization.scale_and_shift,
            normalization.input_gradient,
        },
    ),
    "Sigmoid": (back_and_forth(Sigmoid, (4, 3)), {activations.sigmoid}),
    "binary_cross_entropy": (cross_entropy, {activations.sigmoid}),
    "SGD": (
        step(lambda network: optimizers.SGD(network, 0.1, momentum=0.9)),
        {flat.momentum_update},
    ),
    "Adam": (step(optimizers.Adam), {flat.adam_update}),
}


def is_fused(function):
    """Whether ``fused`` decorates it: these rooms decorate functions by nothing else."""
    made_here = function.__module__.startswith((nn.__name__, fast.__name__))
    return made_here and hasattr(function, "__wrapped__")


@pytest.fixture
def record(monkeypatch):
    """The record of fused functions, empty at first; the session's own record takes it in."""
    session = meter.fused
    monkeypatch.setattr(meter, "fused", set())
    yield meter.fused
    session |= meter.fused


@on_the_stand_in
@pytest.mark.parametrize("use, functions", USES.values(), ids=USES)
def test_what_is_fused_runs_as_one_kernel(place, record, use, functions):
    """Undecorated, or called around the decoration, it would be the same, many times slower."""
    use(place)
    assert {function for function, _ in record} == {
        inspect.unwrap(function) for function in functions
    }


def test_every_fused_function_has_a_use_here():
    modules = [
        importlib.import_module(f"{room.__name__}.{found.name}")
        for room in (nn, fast)
        for found in pkgutil.iter_modules(room.__path__)
    ]
    functions = {
        f
        for module in modules
        for f in vars(module).values()
        if inspect.isfunction(f) and is_fused(f)
    }
    assert functions == set().union(*(functions for _, functions in USES.values()))
