"""Weights from PyTorch: kernels and flattened images lie otherwise there, and no shape tells.

Some tests write PyTorch's formulas out in NumPy, channels first; the others ask PyTorch itself,
where it is installed (the extra ``benchmark``).
"""

import re

import numpy as np
import pytest

from minidann import DANN
from minidann.nn import (
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    MaxPool2D,
    ReLU,
    Sequential,
)
from minidann.nn.torch_weights import load_torch_weights
from minidann.runtime.arrays import to_host
from minidann.runtime.errors import InputError

IMAGE = (6, 5, 3)  # three different sizes, so that none can stand for another


def rng(seed=0):
    return np.random.default_rng(seed)


def drawn(*shape, seed=0):
    return rng(seed).standard_normal(shape, dtype=np.float32)


def channels_first(x):
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def linear(out, into, seed=0):
    """The state_dict of a Linear."""
    return {"weight": drawn(out, into, seed=seed), "bias": drawn(out, seed=seed + 1)}


def named(*modules):
    """The state_dict of a Sequential, of those of its modules by their number."""
    return {f"{i}.{name}": a for i, state in modules for name, a in state.items()}


def test_a_linear_is_a_dense_the_other_way_round(place):
    dense = Sequential([Dense(3, 3, rng=rng())]).convert(place)  # square: no shape would tell
    state = linear(3, 3)
    load_torch_weights([dense], [named((0, state))], (3,))
    x = drawn(4, 3, seed=5)
    expected = x @ state["weight"].T + state["bias"]
    np.testing.assert_allclose(to_host(dense.forward(place(x))), expected, rtol=1e-5)


def test_a_kernel_has_its_channels_last():
    conv = Sequential([Conv2D(3, 3, 3, padding="valid", rng=rng())])  # (3, 3, 3, 3)
    state = {"weight": drawn(3, 3, 3, 3), "bias": drawn(3)}
    load_torch_weights([conv], [named((0, state))], IMAGE)
    x = drawn(2, *IMAGE, seed=5)
    windows = np.lib.stride_tricks.sliding_window_view(channels_first(x), (3, 3), (2, 3))
    expected = np.einsum("ncuvij,mcij->nuvm", windows, state["weight"]) + state["bias"]
    np.testing.assert_allclose(conv.forward(x), expected, rtol=1e-4, atol=1e-5)


def test_after_flatten_the_pixels_of_all_channels_change_places():
    network = Sequential([Flatten(), ReLU(), BatchNorm(90), Dense(90, 4, rng=rng())])
    norm = {
        name: abs(drawn(90, seed=i))
        for i, name in enumerate(("weight", "bias", "running_mean", "running_var"))
    }
    dense, x = linear(4, 90), drawn(2, *IMAGE, seed=5)
    load_torch_weights([network], [named((2, norm), (3, dense))], IMAGE)
    flat = np.maximum(channels_first(x).reshape(2, -1), 0)
    hidden = (flat - norm["running_mean"]) / np.sqrt(norm["running_var"] + 1e-5)
    hidden = hidden * norm["weight"] + norm["bias"]
    expected = hidden @ dense["weight"].T + dense["bias"]
    np.testing.assert_allclose(network.forward(x), expected, rtol=1e-4, atol=1e-4)


def test_the_layer_after_the_next_is_not_touched_by_flatten():
    network = Sequential([Flatten(), Dense(90, 90, rng=rng()), Dense(90, 2, rng=rng())])
    first, second, x = linear(90, 90), linear(2, 90, seed=3), drawn(2, *IMAGE, seed=5)
    load_torch_weights([network], [named((1, first), (2, second))], IMAGE)
    hidden = channels_first(x).reshape(2, -1) @ first["weight"].T + first["bias"]
    expected = hidden @ second["weight"].T + second["bias"]
    np.testing.assert_allclose(network.forward(x), expected, rtol=1e-4, atol=1e-3)


def test_both_heads_of_a_dann_see_the_image_that_its_features_flattened():
    dann = DANN(
        Sequential([Flatten()]),
        Sequential([Dense(90, 4, rng=rng())]),
        Sequential([Dense(90, 2, rng=rng())]),
    )
    label, domain, x = linear(4, 90), linear(2, 90, seed=3), drawn(7, *IMAGE, seed=5)
    load_torch_weights(dann.networks, [{}, named((0, label)), named((0, domain))], IMAGE)
    flat = channels_first(x).reshape(7, -1)
    for head, state in ((dann.label_head, label), (dann.domain_head, domain)):
        expected = flat @ state["weight"].T + state["bias"]
        np.testing.assert_allclose(head.forward(dann.transform(x)), expected, rtol=1e-4, atol=1e-4)


def test_a_linear_without_bias_has_a_bias_of_zeros():
    dense = Sequential([Dense(3, 2, rng=rng(), init=lambda rng, shape: (drawn(3, 2), drawn(2)))])
    load_torch_weights([dense], [{"0.weight": drawn(2, 3)}], (3,))
    assert not dense.layers[0].params["b"].any()


def test_precision_stays_that_of_the_network():
    dense = Sequential([Dense(3, 2, rng=rng())]).convert(np.float64)
    load_torch_weights([dense], [named((0, linear(2, 3)))], (3,))
    assert dense.layers[0].params["W"].dtype == np.float64


@pytest.mark.parametrize(
    "states, sentence",
    [
        ([], "there are 1 networks but 0 state_dicts"),
        ([named((0, linear(4, 3)))], "the state_dict ends before the weights of Dense(4, 2)"),
        ([named((0, linear(4, 3)), (1, linear(2, 4)), (7, linear(1, 2)))], "of '7', for which no"),
        (
            [named((0, linear(3, 4)), (1, linear(2, 4)))],
            "Dense(3, 4) needs a weight of shape (4, 3), but '0' of the state_dict has one of "
            "shape (3, 4)",
        ),
        ([named((0, {"bias": drawn(4)}), (1, linear(2, 4)))], "'0' of the state_dict has none"),
        ([named((0, linear(4, 3) | {"weight_g": drawn(4)}), (1, linear(2, 4)))], "has weight_g"),
        ([{"epoch": 3, "model": named((0, linear(4, 3)))}], "epoch is not an array of float"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence_and_changes_nothing(states, sentence):
    network = Sequential([Dense(3, 4, rng=rng()), Dense(4, 2, rng=rng())])
    before = network.state_dict()
    with pytest.raises(InputError, match=re.escape(sentence)):
        load_torch_weights([network], states, (3,))
    assert all((before[name] == array).all() for name, array in network.params.items())


def test_an_input_that_does_not_fit_is_said_with_the_layer():
    network = Sequential([Flatten(), Dense(90, 4, rng=rng())])
    with pytest.raises(InputError, match=r"Dense\(90, 4\) cannot take an input of shape \(30,\)"):
        load_torch_weights([network], [named((1, linear(4, 90)))], (6, 5, 1))


def torch_twin(torch):
    """(a DANN with every kind of layer, the same in PyTorch with other weights)."""
    nn = torch.nn
    conv = {"rng": rng()}
    features = [
        Conv2D(3, 4, (3, 5), rng=rng()),
        BatchNorm(4),
        ReLU(),
        MaxPool2D(3, stride=2, padding=1),
        Dropout(0.5, rng=rng()),
        Conv2D(4, 6, 3, stride=2, padding=1, rng=rng()),
        ReLU(),
        Flatten(),
    ]
    label_head = [BatchNorm(36), Dense(36, 36, **conv), ReLU(), Dense(36, 4, **conv)]
    domain_head = [Dense(36, 8, **conv), ReLU(), Dense(8, 1, **conv)]
    torch.manual_seed(0)
    twins = (
        nn.Sequential(
            nn.Conv2d(3, 4, (3, 5), padding=(1, 2)),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
            nn.Dropout(0.5),
            nn.Conv2d(4, 6, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
        ),
        nn.Sequential(nn.BatchNorm1d(36), nn.Linear(36, 36), nn.ReLU(), nn.Linear(36, 4)),
        nn.Sequential(nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 1)),
    )
    for part in twins:
        for module in part:
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
                for name, array in module.state_dict().items():
                    if name != "num_batches_tracked":
                        array.copy_(torch.rand(array.shape) + 0.5)
        part.double().eval()
    dann = DANN(*map(Sequential, (features, label_head, domain_head))).convert(np.float64)
    return dann, twins


def test_pytorch_itself_gives_the_same_logits_and_gradients():
    torch = pytest.importorskip("torch", exc_type=ImportError)
    dann, twins = torch_twin(torch)
    load_torch_weights(dann.networks, [twin.state_dict() for twin in twins], (11, 7, 3))
    x = rng(5).standard_normal((8, 11, 7, 3))
    f, f_twin = dann.transform(x), twins[0](torch.from_numpy(channels_first(x)))
    assert f.shape == (8, 36) and not np.allclose(f, f_twin.detach())  # the second trap
    for head, twin in zip(dann.networks[1:], twins[1:]):
        np.testing.assert_allclose(
            head.forward(f), twin(f_twin).detach().numpy(), rtol=1e-10, atol=1e-12
        )
    y = rng(6).integers(0, 4, 8)
    logits = twins[1](f_twin)
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(y)).backward()
    dlogits = np.exp(logits.detach().numpy())
    dlogits /= dlogits.sum(axis=1, keepdims=True)
    dlogits[np.arange(8), y] -= 1
    dann.label_head.forward(dann.features.forward(x))  # both in evaluation, as in PyTorch
    dann.features.backward(dann.label_head.backward(dlogits / 8))
    dW = twins[0][0].weight.grad.numpy().transpose(2, 3, 1, 0)
    np.testing.assert_allclose(dann.features.layers[0].grads["W"], dW, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", ["mnist", "blobs"])
def test_the_two_networks_that_the_benchmark_times_are_one_function(name):
    torch = pytest.importorskip("torch", exc_type=ImportError)
    from benchmarks import networks

    dann, _ = networks.minidann_network(name, to_host)
    *twins, _ = networks.torch_network(name, "cpu")
    shape = networks.SIZES[name].shape
    load_torch_weights(dann.networks, [twin.state_dict() for twin in twins], shape)
    (x, _, _), (x_twin, _, _) = networks.batch(name), networks.torch_batch(name, "cpu")
    with torch.inference_mode():
        expected = twins[1](twins[0](x_twin)).numpy()
    logits = dann.label_head.forward(dann.features.forward(x))
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)


def test_a_tensor_that_is_no_array_yet_is_refused_with_the_remedy():
    torch = pytest.importorskip("torch", exc_type=ImportError)
    dense = Sequential([Dense(3, 2, rng=rng())])
    state = torch.nn.Linear(3, 2).to(torch.bfloat16).state_dict()
    with pytest.raises(InputError, match=r"weight is not .*tensor\.detach\(\)\.cpu\(\)\.float\(\)"):
        load_torch_weights([dense], [state], (3,))
    load_torch_weights([dense], [{k: v.float() for k, v in state.items()}], (3,))
