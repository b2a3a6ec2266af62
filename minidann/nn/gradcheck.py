"""Gradient check: is ``backward`` really the derivative of ``forward``?

A derivative is a limit of differences, so a small difference must agree with it. For a
scalar f,

    df/dx[i] = (f(x + eps e_i) - f(x - eps e_i)) / (2 eps) + O(eps^2)

The central form loses only O(eps^2), the one-sided one O(eps). Rounding adds about
1e-16 |f| / eps, so in float64 eps = 1e-5 leaves some ten correct digits; in float32 no
eps does.

A layer's y is an array, so it is made a scalar by a *random* upstream gradient R that
stands for dL/dy:

    L = sum(y R)        then dL/dy = R        dx, dtheta = what backward(R) must return

R of ones would be blind: the outputs of a batch-norm or a softmax sum to a constant,
whose gradient is 0 however wrong backward is. The error of a gradient a against its
differences n is max|a - n| / max(|a|, |n|).

Differences mean nothing at a kink: keep the inputs of ReLU away from 0, those of
max-pooling away from ties.

    python -m minidann.nn.gradcheck                      every layer and loss
    python -m minidann.nn.gradcheck --layer Conv2D       one of them
    python -m minidann.nn.gradcheck --plant sign         put a bug in and see it caught
    python -m minidann.nn.gradcheck --plain              the lesson, not its fast twins

Source: Goodfellow et al., Deep Learning (2016), section 11.5.
"""

import argparse
import copy
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from minidann.nn import (
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GradientReversal,
    Layer,
    MaxPool2D,
    ReLU,
    Sequential,
    Sigmoid,
)
from minidann.nn.losses import (
    binary_cross_entropy,
    class_balance,
    softmax_cross_entropy,
)
from minidann.runtime.arrays import Array, array_module, to_host
from minidann.runtime.command import finite
from minidann.runtime.device import DEVICES, transfer_to
from minidann.runtime.errors import InputError
from minidann.runtime.output import while_read
from minidann.runtime.twins import plain

TOLERANCE = 1e-7


def numerical_gradient(
    f: Callable[[np.ndarray], float], x: np.ndarray, epsilon: float = 1e-5
) -> np.ndarray:
    """Central differences of a scalar function.

    Parameters
    ----------
    f : function (x) -> float
    x : array
        A float64 array is moved by ``epsilon`` one element at a time, in place, and
        put back. Of any other f gets a float64 copy, for integers cannot be moved by
        ``epsilon``, and float32 not exactly enough.
    epsilon : float
        Half the width of the difference, in the units of x.

    Returns
    -------
    float64 array, shape of x
        df/dx.
    """
    x = np.asarray(x, dtype=np.float64)
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        here = x[i]
        try:
            x[i] = here + epsilon
            above = f(x)
            x[i] = here - epsilon
            below = f(x)
        finally:
            x[i] = here
        gradient[i] = (above - below) / (2 * epsilon)
    return gradient


def relative_error(
    analytic: np.ndarray, numerical: np.ndarray, floor: float = 1e-8
) -> float:
    """max|a - n| / max(|a|, |n|), over the whole array.

    If neither is above ``floor``, both count as zero. What is not finite is infinitely
    wrong.

    Raises
    ------
    ValueError
        If the shapes differ: broadcasting would compare what does not belong together.
    """
    analytic, numerical = (np.asarray(a, np.float64) for a in (analytic, numerical))
    if analytic.shape != numerical.shape:
        raise ValueError(
            f"the gradient has the shape {analytic.shape}, but its differences "
            f"{numerical.shape}; make them equal"
        )
    with np.errstate(invalid="ignore"):
        difference = float(np.abs(analytic - numerical).max(initial=0))
    if not np.isfinite(difference):
        return float("inf")
    scale = float(
        max(np.abs(analytic).max(initial=0), np.abs(numerical).max(initial=0))
    )
    return difference / scale if scale >= floor else 0.0


@dataclass
class Report:
    """The relative error of every gradient of a layer, by name.

    ``"x"`` for the input, else the parameter's name.
    """

    errors: dict[str, float]

    @property
    def largest(self) -> float:
        """The largest of the errors."""
        return max(self.errors.values())

    def passed(self, tolerance: float = TOLERANCE) -> bool:
        """Whether every error is at most ``tolerance``."""
        return self.largest <= tolerance


def check_layer(
    layer: Layer,
    x: Array,
    *,
    train: bool = True,
    seed: int = 0,
    epsilon: float = 1e-5,
    input_factor: float = 1.0,
    transfer: Callable[[Array], Array] = to_host,
) -> Report:
    """Compare every gradient of a layer with central differences, in float64.

    The check works on copies: neither ``layer`` nor ``x`` changes. Each forward pass of
    a difference starts from the same copy, so a dropout mask is the same on both sides
    of it.

    Parameters
    ----------
    layer : Layer
    x : array
        An input, away from kinks and ties. Converted to float64, as are the parameters.
    train : bool
        Which mode to check.
    seed : int
        Of the random upstream gradient.
    epsilon : float
        See :func:`numerical_gradient`.
    input_factor : float
        What dL/dx is, in units of the true one: 1, but -lam for a GradientReversal,
        whose backward is not its derivative.
    transfer : function
        ``to_device`` to let the layer work on a GPU. The differences are taken in main
        memory.

    Returns
    -------
    Report

    Raises
    ------
    ValueError
        If ``backward`` leaves out a gradient or returns one of another shape.
    """
    layer = copy.deepcopy(layer).convert(
        lambda array: to_host(array).astype(np.float64)
    )
    x = np.array(to_host(x), dtype=np.float64)

    def forward():
        """(a copy of the layer, its y), where ``transfer`` takes them."""
        worker = copy.deepcopy(layer).convert(transfer)
        return worker, worker.forward(transfer(x), train)

    worker, y = forward()
    upstream = np.random.default_rng(seed).standard_normal(y.shape)

    def loss(_):
        return float((to_host(forward()[1]) * upstream).sum())

    gradients = {"x": worker.backward(transfer(upstream))} | worker.grads
    errors = {}
    for name, array in ({"x": x} | layer.params).items():
        gradient = gradients.get(name)
        shape = getattr(gradient, "shape", None)
        if shape != array.shape:
            found = "none" if shape is None else f"one of shape {shape}"
            raise ValueError(
                f"{type(layer).__name__}.backward must set a gradient of {name} of "
                f"shape {array.shape}, but it set {found}"
            )
        factor = input_factor if name == "x" else 1.0
        numerical = factor * numerical_gradient(loss, array, epsilon)
        errors[name] = relative_error(to_host(gradient), numerical)
    return Report(errors)


def check_loss(
    loss: Callable[[Array, Array], tuple[Array, Array]],
    logits: np.ndarray,
    targets: np.ndarray,
    epsilon: float = 1e-5,
    transfer: Callable[[Array], Array] = to_host,
) -> Report:
    """Compare the gradient that a loss returns with central differences, in float64.

    The Report has one error, ``"logits"``.
    """
    logits, targets = np.array(logits, dtype=np.float64), transfer(targets)
    _, analytic = loss(transfer(logits), targets)

    def value(z):
        return float(loss(transfer(z), targets)[0])

    numerical = numerical_gradient(value, logits, epsilon)
    return Report({"logits": relative_error(to_host(analytic), numerical)})


def away_from_kinks(rng: np.random.Generator, shape: tuple) -> np.ndarray:
    """Distinct numbers in [-1, 1] in random order, none at 0.

    No two of them are closer than a difference can bridge.
    """
    size = int(np.prod(shape))
    return rng.permutation(
        (np.arange(size) + 0.5) / size * 2 - 1 + 1e-3 / size
    ).reshape(shape)


def cases(
    rng: np.random.Generator, transfer: Callable[[Array], Array] = to_host
) -> list[tuple[str, str, Callable[[Callable | None], Report]]]:
    """(name, case, check) of every layer and loss in small.

    ``check(plant)`` runs it, through ``plant`` if one is given.
    """

    def layer(instance, shape, **options):
        x = away_from_kinks(rng, shape)
        return lambda plant: check_layer(
            plant(instance) if plant else instance, x, transfer=transfer, **options
        )

    def loss(function, logits, targets):
        return lambda plant: check_loss(
            plant_loss(function, plant) if plant else function,
            logits,
            targets,
            transfer=transfer,
        )

    image = (4, 6, 5, 2)
    labels = rng.integers(0, 4, 5)
    return [
        ("Dense", "4 -> 3", layer(Dense(4, 3, rng=rng), (5, 4))),
        ("Conv2D", '3x3, "same"', layer(Conv2D(2, 3, 3, rng=rng), image)),
        (
            "Conv2D",
            '3x2, stride 2, "valid"',
            layer(Conv2D(2, 3, (3, 2), stride=2, padding="valid", rng=rng), image),
        ),
        (
            "Conv2D",
            "3x3, stride 1x2, padding 2",
            layer(Conv2D(2, 3, 3, stride=(1, 2), padding=2, rng=rng), image),
        ),
        ("MaxPool2D", "2x2", layer(MaxPool2D(2), image)),
        (
            "MaxPool2D",
            '3x3, stride 2, "same"',
            layer(MaxPool2D(3, stride=2, padding="same"), image),
        ),
        ("ReLU", "", layer(ReLU(), (5, 4))),
        ("Sigmoid", "", layer(Sigmoid(), (5, 4))),
        ("Flatten", "", layer(Flatten(), image)),
        ("BatchNorm", "(N, C)", layer(BatchNorm(4), (6, 4))),
        ("BatchNorm", "(N, H, W, C)", layer(BatchNorm(2), image)),
        ("BatchNorm", "two domains", layer(BatchNorm(2, domains=2), image)),
        ("BatchNorm", "evaluation", layer(BatchNorm(4), (6, 4), train=False)),
        ("Dropout", "", layer(Dropout(0.4, rng=rng), (5, 4))),
        ("Dropout", "channels", layer(Dropout(0.4, channels=True, rng=rng), image)),
        (
            "GradientReversal",
            "times -lam",
            layer(GradientReversal(0.7), (5, 4), input_factor=-0.7),
        ),
        (
            "Sequential",
            "Dense, Sigmoid, BatchNorm, Dense",
            layer(
                Sequential(
                    [
                        Dense(4, 6, rng=rng),
                        Sigmoid(),
                        BatchNorm(6),
                        Dense(6, 3, rng=rng),
                    ]
                ),
                (5, 4),
            ),
        ),
        (
            "softmax_cross_entropy",
            "4 classes",
            loss(softmax_cross_entropy, rng.standard_normal((5, 4)), labels),
        ),
        (
            "binary_cross_entropy",
            "",
            loss(
                binary_cross_entropy, rng.standard_normal((5, 1)), rng.integers(0, 2, 5)
            ),
        ),
        (
            "class_balance",
            "4 classes",
            loss(lambda z, _: class_balance(z), rng.standard_normal((5, 4)), labels),
        ),
    ]


# The classic mistakes. Each takes the right gradient g of a batch of N and returns the
# wrong one.
PLANTS = {
    "sign": ("a minus sign forgotten", lambda g, upstream: -g),
    "scale": (
        "divided by the batch size once too often",
        lambda g, upstream: g / len(upstream),
    ),
    "transpose": (
        "a matrix taken the wrong way round",
        lambda g, upstream: g.T.reshape(g.shape),
    ),
    "zero": ("a gradient that was never filled in", lambda g, upstream: 0 * g),
    "shift": ("an index off by one", lambda g, upstream: array_module(g).roll(g, 1)),
}


def plant_layer(bug: Callable) -> Callable[[Layer], Layer]:
    """A function that puts the bug into a copy of a layer.

    Every gradient that the copy computes goes through ``bug``.
    """

    def plant(layer):
        layer = copy.deepcopy(layer)
        right = type(layer).backward

        def backward(self, dy):
            dx = right(self, dy)
            for leaf in self.leaves():
                leaf.grads.update({name: bug(g, dy) for name, g in leaf.grads.items()})
            return bug(dx, dy)

        layer.__class__ = type(
            type(layer).__name__, (type(layer),), {"backward": backward}
        )
        return layer

    plant.bug = bug  # type: ignore[attr-defined]
    return plant


def plant_loss(loss: Callable, plant: Callable) -> Callable:
    """The loss with the bug in its gradient."""

    def planted(logits, targets):
        value, dlogits = loss(logits, targets)
        return value, plant.bug(dlogits, logits)  # type: ignore[attr-defined]

    return planted


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    names = list(dict.fromkeys(name for name, _, _ in cases(np.random.default_rng(0))))
    bugs = "; ".join(f"{name}: {what}" for name, (what, _) in PLANTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m minidann.nn.gradcheck",
        allow_abbrev=False,
        description="Compare every hand-written gradient with central differences in "
        "float64, against a random upstream gradient.",
        epilog="Exit status: 0 if every relative error is within the tolerance, else 1 "
        "(so always 1 when a planted bug is caught).",
    )
    parser.add_argument(
        "--layer",
        choices=names,
        metavar="NAME",
        help=f"check only this one of: {', '.join(names)}",
    )
    parser.add_argument(
        "--plant",
        choices=PLANTS,
        metavar="BUG",
        help=f"put a known bug into every backward and see it caught ({bugs})",
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="check the plain layers of the lesson instead of their fast twins",
    )
    parser.add_argument(
        "--tolerance",
        type=finite,
        default=TOLERANCE,
        help="largest relative error that passes (default: %(default)s)",
    )
    parser.add_argument(
        "--device",
        choices=DEVICES,
        default="cpu",
        help="where the layers work: cpu, gpu, or auto (default: %(default)s)",
    )
    return parser.parse_args(argv)


def print_table(checks: list, plant: Callable | None, tolerance: float) -> int:
    """Print a line for each gradient; how many are wrong."""
    failures = 0
    print(f"{'layer or loss':<21} {'case':<32} {'of':<7} {'error':>7}")
    for name, case, check in checks:
        for of, error in check(plant).errors.items():
            wrong = not error <= tolerance  # nan is wrong, too
            failures += wrong
            verdict = "WRONG" if wrong else "ok"
            print(f"{name:<21} {case:<32} {of:<7} {error:>7.1e}  {verdict}")
    return failures


def main(argv: list[str] | None = None) -> int:
    """Print the table; exit status 1 if a gradient is wrong."""
    args = parse(argv)
    try:
        checks = cases(np.random.default_rng(0), transfer_to(args.device))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    checks = [check for check in checks if args.layer in (None, check[0])]
    plant = plant_layer(PLANTS[args.plant][1]) if args.plant else None
    with while_read(), plain() if args.plain else nullcontext():
        failures = print_table(checks, plant, args.tolerance)
        print(f"\n{verdict(failures, args)}")
    return 1 if failures else 0


def verdict(failures: int, args: argparse.Namespace) -> str:
    """What the table comes to."""
    if args.plant:
        caught = f"caught it in {failures} gradients" if failures else "did not notice"
        return f"Planted: {PLANTS[args.plant][0]}. The check {caught}."
    if failures:
        return f"{failures} wrong gradients."
    return f"Every gradient agrees with its differences to {args.tolerance:g}."


if __name__ == "__main__":
    sys.exit(main())
