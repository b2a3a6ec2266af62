"""The networks that are timed: minidann's, and the same in PyTorch as users would write them."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from minidann import DANN
from minidann.experiments import points, recipes
from minidann.nn import Conv2D, Dense, Flatten, MaxPool2D, ReLU, Sequential
from minidann.nn.optimizers import SGD, Adam, Optimizer

LAM = 0.5
Transfer = Callable[[Any], Any]  # takes an array to a device


class Size(NamedTuple):
    """What one side is given, and how often."""

    batch: int  # examples of each domain
    shape: tuple[int, ...]  # of an example
    classes: int
    warm_up: int
    steps: int  # timed in one turn


SIZES = {
    "mnist": Size(32, (28, 28, 3), 10, 5, 30),
    "svhn": Size(64, (32, 32, 3), 10, 2, 5),
    "blobs": Size(8, (2,), 2, 300, 3000),
}


def batch(network: str, size: Size | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random x_source, y_source, x_target: time does not depend on what the images show."""
    n, shape, classes, _, _ = size or SIZES[network]
    rng = np.random.default_rng(0)
    x_source, x_target = (rng.standard_normal((n, *shape), dtype=np.float32) for _ in range(2))
    return x_source, rng.integers(0, classes, n), x_target


def svhn(seed: int) -> DANN:
    """The paper's network for SVHN and SYN NUMBERS, without batch-norm and dropout.

    Convolutions of 64, 64 and 128 kernels, and wide heads.
    """
    rng = np.random.default_rng(seed)
    conv, dense = partial(Conv2D, rng=rng), partial(Dense, rng=rng)
    pool = partial(MaxPool2D, 3, stride=2, padding="same")
    features = [
        conv(3, 64, 5),
        pool(),
        ReLU(),
        conv(64, 64, 5),
        pool(),
        ReLU(),
        conv(64, 128, 5),
        ReLU(),
        Flatten(),
    ]
    label_head = [dense(8192, 3072), ReLU(), dense(3072, 2048), ReLU(), dense(2048, 10)]
    domain_head = [dense(8192, 1024), ReLU(), dense(1024, 1024), ReLU(), dense(1024, 2)]
    return DANN(Sequential(features), Sequential(label_head), Sequential(domain_head))


def minidann_network(network: str, transfer: Transfer) -> tuple[DANN, Optimizer]:
    """(dann, optimizer), on the device that ``transfer`` takes arrays to."""
    build = {"mnist": recipes.tf_dann, "svhn": svhn, "blobs": partial(points.build, (8,))}[network]
    dann = build(seed=0).convert(transfer)
    return dann, Adam(dann.networks) if network == "blobs" else SGD(
        dann.networks, 0.01, momentum=0.9
    )


def torch_network(network: str, device: str) -> tuple[Any, ...]:
    """(features, label head, domain head, optimizer) in PyTorch."""
    import torch
    from torch import nn

    def dense(*sizes):
        layers = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())]
        return nn.Sequential(*layers[:-1])

    def conv(*channels):
        return nn.Conv2d(*channels, 5, padding=2)

    if network == "mnist":
        features = nn.Sequential(
            conv(3, 32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            conv(32, 48),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        heads = dense(2352, 100, 100, 10), dense(2352, 100, 2)
    elif network == "svhn":
        pool = partial(nn.MaxPool2d, 3, stride=2, padding=1)
        features = nn.Sequential(
            conv(3, 64),
            nn.ReLU(),
            pool(),
            conv(64, 64),
            nn.ReLU(),
            pool(),
            conv(64, 128),
            nn.ReLU(),
            nn.Flatten(),
        )
        heads = dense(8192, 3072, 2048, 10), dense(8192, 1024, 1024, 2)
    else:
        features, heads = (
            nn.Sequential(nn.Linear(2, 15), nn.ReLU()),
            (dense(15, 2), dense(15, 8, 2)),
        )
    parts = [part.to(device) for part in (features, *heads)]
    parameters = [p for part in parts for p in part.parameters()]
    return *parts, torch.optim.Adam(parameters, 1e-3) if network == "blobs" else torch.optim.SGD(
        parameters, 0.01, momentum=0.9
    )


def torch_batch(network: str, device: str) -> list[Any]:
    """The same numbers as tensors, images with their channels first."""
    import torch

    x_source, y_source, x_target = (torch.from_numpy(array) for array in batch(network))
    if x_source.ndim == 4:
        x_source, x_target = (x.permute(0, 3, 1, 2).contiguous() for x in (x_source, x_target))
    return [x.to(device) for x in (x_source, y_source, x_target)]


def torch_step(network: str, device: str) -> Callable[[], None]:
    """A function that makes one training step in PyTorch."""
    import torch
    from torch.nn.functional import cross_entropy

    class Reversal(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.view_as(x)

        @staticmethod
        def backward(ctx, dy):
            return -LAM * dy

    torch.backends.cudnn.allow_tf32 = False
    features, label_head, domain_head, optimizer = torch_network(network, device)
    x_source, y_source, x_target = torch_batch(network, device)
    domain = torch.cat([torch.zeros(len(x_source)), torch.ones(len(x_target))]).long().to(device)
    reduction = "sum" if network == "blobs" else "mean"

    def step():
        f = features(torch.cat([x_source, x_target]))
        label_loss = cross_entropy(label_head(f[: len(x_source)]), y_source, reduction=reduction)
        domain_loss = cross_entropy(domain_head(Reversal.apply(f)), domain, reduction=reduction)
        optimizer.zero_grad()
        (label_loss + domain_loss).backward()
        optimizer.step()

    return step


def minidann_step(network: str, transfer: Transfer) -> Callable[[], None]:
    """A function that makes one training step."""
    dann, optimizer = minidann_network(network, transfer)
    x_source, y_source, x_target = map(transfer, batch(network))

    def step():
        dann.compute_gradients(x_source, y_source, x_target, LAM)
        optimizer.step()

    return step


def images(network: str) -> np.ndarray:
    """Random test examples: 10,000 of them, or 1,000 of the large network's, channels last."""
    n = 1000 if network == "svhn" else 10_000
    return np.random.default_rng(1).standard_normal((n, *SIZES[network].shape), dtype=np.float32)


def minidann_evaluation(network: str, transfer: Transfer) -> Callable[[], Any]:
    """A function that classifies the test examples, 500 at a time."""
    dann, _ = minidann_network(network, transfer)
    x = transfer(images(network))
    return lambda: dann.predict(x)


def torch_evaluation(network: str, device: str) -> Callable[[], Any]:
    """The same in PyTorch."""
    import torch

    features, label_head, _, _ = torch_network(network, device)
    x = torch.from_numpy(images(network))
    x = (x.permute(0, 3, 1, 2).contiguous() if x.ndim == 4 else x).to(device)

    def evaluate():
        with torch.inference_mode():
            return torch.cat([label_head(features(part)).argmax(1) for part in x.split(500)])

    return evaluate
