"""The recipes of minidann in PyTorch as its users would write them: modules, autograd, optimizers.

Each network is made of minidann's own by naming the PyTorch module of every layer, so both sides
have the same layers in the same order. Images have their channels first, as PyTorch wants them.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    grid_sample,
    interpolate,
)

from minidann.data.augment import KNOTS
from minidann.data.pairs import Domain
from minidann.experiments.recipes import Recipe
from minidann.nn import (
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool2D,
    ReLU,
    Sequential,
)
from minidann.nn.optimizers import SGD, Adam


def network(sequential: Sequential) -> nn.Sequential:
    """The PyTorch module of each layer, one after another."""
    images = any(isinstance(layer, Conv2D) for layer in sequential.layers)
    return nn.Sequential(*(module(layer, images) for layer in sequential.layers))


def module(layer: Layer, images: bool) -> nn.Module:
    """The PyTorch module of one layer, with weights of its own."""
    if isinstance(layer, Dense):
        return nn.Linear(*layer.params["W"].shape)
    if isinstance(layer, Conv2D):
        in_channels, out_channels = layer.params["W"].shape[2:]
        padding = tuple(k // 2 for k in layer.kernel) if layer.padding == "same" else 0
        return nn.Conv2d(in_channels, out_channels, layer.kernel, layer.stride, padding)
    if isinstance(layer, MaxPool2D):
        padding = tuple((k - 1) // 2 for k in layer.window) if layer.padding == "same" else 0
        return nn.MaxPool2d(layer.window, layer.stride, padding)
    if isinstance(layer, BatchNorm):
        norm = nn.BatchNorm2d if images else nn.BatchNorm1d
        return norm(len(layer.params["gamma"]), eps=layer.epsilon, momentum=1 - layer.momentum)
    if isinstance(layer, Dropout):
        return nn.Dropout2d(layer.rate) if layer.channels else nn.Dropout(layer.rate)
    return {ReLU: nn.ReLU, Flatten: nn.Flatten}[type(layer)]()


class Reversal(torch.autograd.Function):
    """Identity forward, -lam times the gradient backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, lam: float) -> Tensor:
        ctx.lam = lam
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None]:
        return -ctx.lam * dy, None


def same_optimizer(
    optimizer: SGD | Adam, parameters: Iterable[nn.Parameter]
) -> torch.optim.Optimizer:
    """PyTorch's SGD or Adam with the settings of minidann's."""
    decay, mu = optimizer._weight_decay, optimizer.learning_rate
    if isinstance(optimizer, Adam):
        return torch.optim.Adam(parameters, mu, weight_decay=decay)
    return torch.optim.SGD(parameters, mu, momentum=optimizer.momentum, weight_decay=decay)


def batches(*arrays: Tensor, size: int) -> Iterator[tuple[Tensor, ...]]:
    """Endless shuffled batches of tensors in memory: faster than a DataLoader, item by item."""
    while True:
        for rows in torch.randperm(len(arrays[0])).split(size):
            if len(rows) == size:
                yield tuple(array[rows] for array in arrays)


def warp(x: Tensor, *, shift: float, affine: float, elastic: float) -> Tensor:
    """:func:`minidann.data.random_warp` for float images (N, C, H, W)."""
    n, _, height, width = x.shape
    middle = torch.tensor([(width - 1) / 2, (height - 1) / 2])  # in pixels, (x, y)
    matrix = torch.eye(2) + affine * torch.randn(n, 2, 2)
    t = shift * (2 * torch.rand(n, 2) - 1)
    u = interpolate(
        elastic * torch.randn(n, 2, KNOTS, KNOTS),
        (height, width),
        mode="bilinear",
        align_corners=True,
    )
    down, right = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    at = torch.stack([right, down], dim=2).reshape(1, -1, 2) - middle  # (1, H W, 2)
    moved = at @ matrix.transpose(1, 2) + t[:, None] + u.flatten(2).transpose(1, 2)
    grid = (moved / middle).view(n, height, width, 2)  # grid_sample counts from -1 to 1
    return grid_sample(x, grid, padding_mode="border", align_corners=True)


def recolour(x: Tensor) -> Tensor:
    """:func:`minidann.data.random_colours` for float images (N, C, H, W)."""
    a, b = (255 * torch.rand(len(x), x.shape[1], 1, 1) for _ in range(2))
    return torch.lerp(a, b, x / 255)


def preparation(
    recipe: Recipe, domain: Domain, *, colours: bool = False
) -> Callable[[Tensor], Tensor]:
    """What makes network input of a domain's uint8 images (N, C, H, W), augmentation included.

    ``colours`` says whether they get random ones.
    """
    warped = partial(warp, **recipe.augment.keywords) if recipe.augment else lambda x: x

    def augment(x: Tensor) -> Tensor:
        return warped(recolour(x.float()) if colours else x.float())

    if domain.mean is not None:
        centre = torch.from_numpy(domain.mean).view(1, -1, 1, 1)
        return lambda x: (augment(x) - centre) / domain.scale

    def standardize(x: Tensor) -> Tensor:
        x = augment(x)
        x = x - x.mean(dim=(2, 3), keepdim=True)
        return x / ((x * x).mean(dim=(1, 2, 3), keepdim=True) + 1).sqrt()

    return standardize


class TorchRun:
    """One training run of a recipe on a pair of domains."""

    def __init__(self, recipe: Recipe, source: Domain, target: Domain) -> None:
        dann = recipe.build(0)
        self.recipe, self.domain_weight = recipe, dann.domain_weight
        self.networks = [network(part) for part in dann.networks]
        self.parameters = [p for part in self.networks for p in part.parameters()]
        self.optimizer = same_optimizer(recipe.optimizer(dann.networks), self.parameters)
        x, y = channels_first(source.x_train), torch.from_numpy(source.y_train)
        self.source = batches(x, y, size=recipe.batch_size)
        self.target = batches(channels_first(target.x_train), size=recipe.batch_size)
        colours = recipe.source_augment is not None
        self.prepare_source = preparation(recipe, source, colours=colours)
        self.prepare_target = preparation(recipe, target)
        # two domains that batch-norm treats each on its own pass through the network one by one
        self.separate = any(
            isinstance(layer, BatchNorm) and layer.domains == 2 for layer in dann.features.layers
        )

    def train(self, steps: int) -> None:
        """Train for some steps."""
        for part in self.networks:
            part.train()
        for step in range(steps):
            p = step / steps
            for group in self.optimizer.param_groups:
                group["lr"] = self.recipe.learning_rate(p)
            self.step(self.recipe.lam(p))

    def step(self, lam: float) -> None:
        """One batch, its gradients, one step of the optimizer."""
        features, label_head, domain_head = self.networks
        x_source, y_source = next(self.source)
        (x_target,) = next(self.target)
        x = self.prepare_source(x_source), self.prepare_target(x_target)
        if self.separate:
            f_source, f_target = (features(part) for part in x)
            reversed_f = [Reversal.apply(f, lam) for f in (f_source, f_target)]
            domain_logits = torch.cat([domain_head(f) for f in reversed_f])
        else:
            f = features(torch.cat(x))
            f_source = f[: len(x_source)]
            domain_logits = domain_head(Reversal.apply(f, lam))
        label_loss = cross_entropy(label_head(f_source), y_source)
        domain = torch.cat([torch.zeros(len(x_source)), torch.ones(len(x_target))])
        if domain_logits.shape[1] == 1:
            domain_loss = binary_cross_entropy_with_logits(domain_logits[:, 0], domain)
        else:
            domain_loss = cross_entropy(domain_logits, domain.long())
        self.optimizer.zero_grad()
        (label_loss + self.domain_weight * domain_loss).backward()
        self.optimizer.step()


def channels_first(x: np.ndarray) -> Tensor:
    """Images (N, H, W, C) as a tensor (N, C, H, W)."""
    return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()
