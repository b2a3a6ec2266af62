"""Time and memory of a whole training run, beside the same run in PyTorch.

    python -m benchmarks.run --recipe best                     minidann alone, 200 steps
    python -m benchmarks.run --recipe light --against torch    and PyTorch, written as its users do
    python -m benchmarks.run --recipe best --data mnistm       MNIST to MNIST-M, $MINIDANN_DATA

A step of ``benchmarks.step`` starts from a batch that is there. A run draws its batches, turns
bytes into network input, augments, trains with batch-norm and dropout, and follows its schedules,
like ``python -m minidann.mnistm`` and ``minidann.digits``; evaluation is left out. Images are
random bytes by default, since time does not depend on what they show.

Both sides hold the data in memory and draw batches by index. Where batch-norm treats the domains
separately, PyTorch's features see them one after the other, the usual way to write it. PyTorch is
no dependency of minidann: ``pip install -e ".[benchmark]"`` to compare with it.
"""

import argparse
import json
import math
import sys
import time
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import turns
from minidann.data import Batches, as_pair, load_backgrounds, load_mnist, mnistm_pair
from minidann.data.pairs import Domain
from minidann.data.preprocessing import preparation
from minidann.experiments.recipes import RECIPES, Recipe
from minidann.runtime.arrays import peak_memory, to_host
from minidann.runtime.command import clear_errors, positive
from minidann.train import fit

NAMES = [name for name, recipe in RECIPES.items() if recipe.weak_augment is None]
WARM_UP = 3  # steps: both sides make their buffers and choose their kernels


def random_domain(recipe: Recipe, rng: np.random.Generator, n: int = 10_000) -> Domain:
    """Images of random bytes and random labels."""
    x = rng.integers(0, 256, (n, recipe.size, recipe.size, 3), dtype=np.uint8)
    y = rng.integers(0, 10, n)
    mean = None if recipe.mean == "image" else np.full(3, 127.5, np.float32)
    return Domain(x, y, x[:0], y[:0], x[:0], y[:0], mean)


def load(recipe: Recipe, data: str) -> tuple[Domain, Domain]:
    """Source and target: random, or MNIST and MNIST-M."""
    if data == "random":
        rng = np.random.default_rng(0)
        return random_domain(recipe, rng), random_domain(recipe, rng)
    pair = mnistm_pair(load_mnist(), load_backgrounds(), binarize=recipe.binarize)
    return as_pair(*pair, size=recipe.size, mean=recipe.mean)


class NumpyRun:
    """One training run of a recipe on a pair of domains, by minidann's own ``fit``."""

    def __init__(self, recipe: Recipe, source: Domain, target: Domain) -> None:
        self.recipe, self.dann = recipe, recipe.build(0)
        self.optimizer = recipe.optimizer(self.dann.networks)
        self.parameters = [
            array for network in self.dann.networks for array in network.params.values()
        ]
        rng = np.random.default_rng(1)

        def batches(domain: Domain, *arrays: Any) -> Batches:
            change = recipe.of_source() if domain is source else recipe.augment
            augment = change or (lambda x, rng: x)
            prepare = preparation(domain, to_host)
            return Batches(
                *arrays,
                size=recipe.batch_size,
                rng=rng,
                prepare=lambda x: prepare(augment(x, rng)),
            )

        self.source = batches(source, source.x_train, source.y_train)
        self.target = batches(target, target.x_train)

    def train(self, steps: int) -> None:
        """Train for some steps."""
        fit(
            self.dann,
            self.optimizer,
            self.source,
            self.target,
            steps=steps,
            lam=self.recipe.lam,
            learning_rate=self.recipe.learning_rate,
        )


def turn(side: str, recipe: Recipe, data: str, steps: int, count: int) -> turns.Turn:
    """One run in this process, ``count`` threads."""
    source, target = load(recipe, data)
    run: Any
    if side == "torch":
        import torch

        from benchmarks.torch_run import TorchRun

        torch.set_num_threads(count)
        run, name = TorchRun(recipe, source, target), f"PyTorch {torch.__version__}"
    else:
        run, name = NumpyRun(recipe, source, target), f"NumPy {np.__version__}, {turns.blas_name()}"
    size = sum(math.prod(array.shape) for array in run.parameters)
    with threadpool_limits(count):
        run.train(WARM_UP)
        started = time.perf_counter()
        run.train(steps)
        seconds = time.perf_counter() - started
    ran_on = f"{name}, {count} threads, {size:,} parameters"
    return turns.Turn(seconds, peak_memory(np.zeros(1)), ran_on)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        allow_abbrev=False,
        description=__doc__.splitlines()[0],
    )
    parser.add_argument(
        "--recipe",
        choices=NAMES,
        default="best",
        help="network and protocol (default: %(default)s)",
    )
    parser.add_argument("--against", choices=["torch"], help="what to time beside it")
    parser.add_argument(
        "--data",
        choices=["random", "mnistm"],
        default="random",
        help="random images, or MNIST and MNIST-M from $MINIDANN_DATA (default: %(default)s)",
    )
    counts = {
        "--steps": (200, "training steps in a run"),
        "--turns": (5, "turns of each side"),
        "--threads": (turns.CORES, "threads of each side"),
    }
    for option, (default, help_) in counts.items():
        parser.add_argument(
            option,
            type=positive,
            default=default,
            metavar="N",
            help=f"{help_} (default: {default})",
        )
    parser.add_argument("--turn", choices=["minidann", "torch"], help=argparse.SUPPRESS)
    return parser.parse_args(argv)


@clear_errors
def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    args = parse(argv)
    if args.turn:
        recipe = RECIPES[args.recipe]
        print(json.dumps(turn(args.turn, recipe, args.data, args.steps, args.threads)))
        return 0
    if args.against and not turns.has_torch():
        print(turns.NO_TORCH, file=sys.stderr)
        return 1
    options = [f"--{name}={getattr(args, name)}" for name in ("recipe", "data", "steps", "threads")]
    sides = ["minidann", *([args.against] if args.against else [])]
    taken = turns.alternate("benchmarks.run", sides, args.turns, *options)
    print(
        f"{args.recipe} on {args.data} images: {args.steps} steps, {args.turns} turns, "
        f"{turns.machine()}"
    )
    print(turns.summary(taken, "s"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
