"""All twins of minidann.fast against the lesson: the same but for rounding, in its precision."""

import importlib
import inspect
import pkgutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidann import fast, nn, plain
from minidann.fast import flat, fourier, normalization, pooling, products, windowed
from minidann.nn import BatchNorm, Conv2D, Dense, MaxPool2D, Sequential
from minidann.nn.optimizers import SGD, Adam
from minidann.runtime.arrays import to_host
from minidann.runtime.threads import slices
from minidann.runtime.twins import CHOOSING, FOLLOWING, twin_of

seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from([np.float32, np.float64])
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
paddings = st.sampled_from(["same", "valid", 0, 1, 2])


@st.composite
def sides(draw, window, padding):
    """(height, width) of an image that at least one window fits."""
    border = {"same": 10, "valid": 0}.get(padding, padding)
    least = [max(1, k - 2 * border) for k in window]
    return tuple(draw(st.integers(n, n + 6)) for n in least)


@st.composite
def convolutions(draw):
    """(layer, shape of its input)."""
    kernel, stride = draw(st.tuples(st.integers(1, 5), st.integers(1, 4))), draw(pairs)
    padding, channels = draw(paddings), draw(st.integers(1, 3))
    layer = Conv2D(
        channels,
        draw(st.integers(1, 3)),
        kernel,
        stride=draw(st.sampled_from([stride, 1])),
        padding=padding,
        rng=np.random.default_rng(draw(seeds)),
    )
    return layer, (draw(st.integers(1, 5)), *draw(sides(kernel, padding)), channels)


@st.composite
def poolings(draw):
    window = draw(pairs)
    padding = draw(st.sampled_from(["same", "valid", *range(min(window))]))
    layer = MaxPool2D(window, stride=draw(st.one_of(st.none(), pairs)), padding=padding)
    return layer, (draw(st.integers(1, 5)), *draw(sides(window, padding)), draw(st.integers(1, 3)))


@st.composite
def normalizations(draw):
    domains, tail = (
        draw(st.integers(1, 2)),
        draw(st.sampled_from([(1,), (3,), (2, 3, 2), (1, 1, 3)])),
    )
    layer = BatchNorm(tail[-1], domains=domains, momentum=draw(st.floats(0, 1)))
    return layer, (domains * draw(st.integers(5, 9)), *tail)


@st.composite
def products_of_dense(draw):
    d, m = draw(pairs)
    layer = Dense(d, m, rng=np.random.default_rng(draw(seeds)))
    return layer, (draw(st.integers(1, 9)), d)


LAYERS = {
    "Conv2D": convolutions(),
    "MaxPool2D": poolings(),
    "BatchNorm": normalizations(),
    "Dense": products_of_dense(),
}
OPTIMIZERS = {
    "SGD": lambda network, decay: SGD(network, 0.1, momentum=0.9, weight_decay=decay),
    "Adam": lambda network, decay: Adam(network, 0.01, weight_decay=decay),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def cut_small(monkeypatch):
    """Let the twins work on blocks of a single image or row, or of a few numbers."""
    for module in (windowed, fourier, pooling, normalization):
        monkeypatch.setattr(module, "cache_blocks", lambda n, *_: slices(n, n))
    monkeypatch.setattr(products, "LARGE", 0)
    monkeypatch.setattr(products, "SMALL", 50)
    monkeypatch.setattr(normalization, "SMALL", 0)
    monkeypatch.setattr(flat, "BLOCK", 4)
    monkeypatch.setattr(flat, "FEW_BLOCKS", 2)


@pytest.fixture(params=["usual", "small"])
def blocks(request, monkeypatch):
    """With blocks of the usual size, which hold all of these small arrays, and with tiny ones."""
    if request.param == "small":
        cut_small(monkeypatch)


@pytest.fixture(params=["windows", "frequencies"])
def algorithm(request, monkeypatch):
    """Every convolution of stride 1 over windows, or through the frequencies."""
    monkeypatch.setattr(fourier, "pays", lambda *size: request.param == "frequencies")


def twins():
    """The classes that minidann.fast exports."""
    return {cls.__name__: cls for cls in vars(fast).values() if inspect.isclass(cls)}


def test_every_twin_is_compared_here():
    assert twins().keys() == LAYERS.keys() | OPTIMIZERS.keys() == set(fast.__all__)


def test_every_decorated_class_has_a_twin_that_replaces_methods_of_it():
    modules = [
        importlib.import_module(f"{nn.__name__}.{found.name}")
        for found in pkgutil.iter_modules(nn.__path__)
    ]
    decorated = {
        cls
        for module in modules
        for cls in vars(module).values()
        if inspect.isclass(cls) and "_twin" in vars(cls)
    }
    assert {cls.__name__ for cls in decorated} == twins().keys()
    for cls in decorated:
        methods = {name for name, value in vars(twin_of(cls)).items() if inspect.isfunction(value)}
        assert methods and methods <= {*CHOOSING, *FOLLOWING}
        for name in methods:
            lesson, replaced = getattr(cls, name), getattr(twin_of(cls), name)
            # annotations may differ: a twin does not know the classes of nn
            assert [*inspect.signature(lesson).parameters] == [
                *inspect.signature(replaced).parameters
            ]


def numbers(rng, shape):
    """Random numbers, a quarter of which have equals: ties are what pooling must get right."""
    ties = rng.integers(-1, 2, shape).astype(float)
    return np.where(rng.random(shape) < 0.25, ties, rng.standard_normal(shape))


def everything(layer, x, dy, train):
    """What a layer returns and sets, in main memory, by name."""
    y = layer.forward(x, train)
    dx = layer.backward(dy)
    found = {"y": y, "dx": dx} | {f"d{name}": array for name, array in layer.grads.items()}
    found |= layer.state
    layer.grads.clear()
    layer.parameter_gradients(dy)
    found |= {f"d{name} alone": array for name, array in layer.grads.items()}
    return {name: to_host(array).copy() for name, array in found.items()}


def assert_same(found, expected, tolerance):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        scale = max(1, np.abs(array).max(initial=0))
        np.testing.assert_allclose(
            found[name], array, rtol=0, atol=tolerance * scale, err_msg=name, strict=True
        )


def converted(layer, place, dtype, seed):
    """A copy of the layer, of another precision, whose arrays have no special values."""
    rng = np.random.default_rng(seed)
    layer = type(layer).__new__(type(layer)), vars(layer)
    copy, attributes = layer
    vars(copy).update(attributes, params=dict(attributes["params"]))
    copy.grads, copy.state = {}, dict(attributes["state"])
    return copy.convert(lambda array: place((array + 0.3 * rng.random(array.shape)).astype(dtype)))


@every_layer
@given(st.data(), st.tuples(dtypes, dtypes, dtypes), st.booleans(), seeds)
def test_a_layer_and_its_twin_agree(place, blocks, algorithm, name, data, precisions, train, seed):
    """Of any mixture of precisions: of the input, the parameters, and the gradient from above."""
    made, shape = data.draw(LAYERS[name])
    rng, (of_x, of_params, of_dy) = np.random.default_rng(seed), precisions
    x = place(numbers(rng, shape).astype(of_x))
    with plain():
        y_shape = converted(made, place, of_params, seed).forward(x, train).shape
        dy = place(rng.standard_normal(y_shape).astype(of_dy))
        expected = everything(converted(made, place, of_params, seed), x, dy, train)
    layer = converted(made, place, of_params, seed)
    found = everything(layer, x, dy, train)
    assert layer._twin is twins()[name]
    assert_same(found, expected, 2e-4 if np.float32 in precisions else 1e-9)


@every_layer
@given(st.data(), st.booleans(), st.booleans(), seeds)
def test_backward_follows_forward(place, name, data, fast_forward, train, seed):
    """``forward`` decides: where ``plain`` begins or ends in between means nothing."""
    made, shape = data.draw(LAYERS[name])
    x = place(np.random.default_rng(seed).standard_normal(shape))
    layer, other = (converted(made, place, np.float64, seed) for _ in range(2))
    with plain():
        y = other.forward(x, train)
        dy = place(np.random.default_rng(seed).standard_normal(y.shape))
        expected = to_host(other.backward(dy))
        if not fast_forward:
            layer.forward(x, train)
            kept = layer._twin
    if fast_forward:
        layer.forward(x, train)
        kept = layer._twin
        with plain():
            dx = layer.backward(dy)
    else:
        dx = layer.backward(dy)
    assert kept is layer._twin is (twins()[name] if fast_forward else None)
    np.testing.assert_allclose(to_host(dx), expected, rtol=1e-9, atol=1e-9)
    assert {key: array.shape for key, array in layer.grads.items()} == {
        key: array.shape for key, array in other.grads.items()
    }


def small_network(place, dtype):
    """Parameters on both sides of the size where a small one ends, if that is 4."""
    rng = np.random.default_rng(0)
    return Sequential(
        [Dense(2, 3, rng=rng), BatchNorm(3), Dense(3, 1, rng=rng), Dense(1, 7, rng=rng)]
    ).convert(lambda array: place((array + rng.standard_normal(array.shape)).astype(dtype)))


def set_gradients(network, place, dtype, step):
    rng = np.random.default_rng(step)
    for leaf in network.leaves():
        for name, theta in leaf.params.items():
            leaf.grads[name] = place(rng.standard_normal(theta.shape).astype(dtype))


@pytest.mark.parametrize("name", OPTIMIZERS)
@given(
    st.lists(st.booleans(), min_size=1, max_size=6),
    st.tuples(dtypes, dtypes),
    st.sampled_from([0.0, 0.1]),
    st.booleans(),
)
def test_an_optimizer_and_its_twin_agree(
    place, blocks, name, fast_steps, precisions, decay, made_plain
):
    """Step by step, whichever is used for each: parameters, and memory under the same names."""
    (of_params, of_gradients), results = precisions, []
    for way in (fast_steps, [False] * len(fast_steps)):
        network = small_network(place, of_params)
        if made_plain:
            with plain():
                optimizer = OPTIMIZERS[name](network, decay)
        else:
            optimizer = OPTIMIZERS[name](network, decay)
        for step, is_fast in enumerate(way):
            set_gradients(network, place, of_gradients, step)
            if is_fast:
                optimizer.step()
            else:
                with plain():
                    optimizer.step()
            assert optimizer._twin is (twins()[name] if is_fast else None)
            assert optimizer.t == step + 1
        arrays = network.params | {f"memory {key}": a for key, a in optimizer.state.items()}
        results.append({key: to_host(array).copy() for key, array in arrays.items()})
    assert_same(*results, 1e-4 if np.float32 in precisions else 1e-12)
