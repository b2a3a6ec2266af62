"""Time and memory of one training step, beside PyTorch on the same machine in the same minutes.

    python -m benchmarks.step --network mnist                  minidann alone, a table by layer
    python -m benchmarks.step --network svhn --against torch   and PyTorch's eager step
    python -m benchmarks.step --network blobs --threads 1
    python -m benchmarks.step --evaluate --against torch       classify 10,000 test images instead
    python -m benchmarks.step --device gpu --against torch     both on the GPU, timed by its events

A step is what a user's own loop repeats: ``dann.compute_gradients(...)``, ``optimizer.step()``.
Both sides take turns, each in a process of its own. Printed is the median over the steps of every
turn, the spread of these medians, their ratio turn by turn, and the most memory that either process
held.

On a GPU both sides compute in float32: PyTorch's convolutions are kept from TF32, which CuPy's
products do not use either. PyTorch is no dependency of minidann: ``pip install -e ".[benchmark]"``
to compare with it.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import layers, networks, turns
from minidann.runtime.arrays import device_name, peak_memory
from minidann.runtime.device import transfer_to, why_no_gpu

Step = Callable[[], object]
Prepared = tuple[Step, Callable[[Step], float], str]  # step, clock, what it runs on


def clock(step: Step) -> float:
    """Seconds of one step on the CPU."""
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def gpu_clock(step: Step, start: Any, end: Any, elapsed: Callable[[Any, Any], float]) -> float:
    """Seconds of one step between two CUDA events: the GPU works on while Python is ahead of it."""
    start.record()
    step()
    end.record()
    end.synchronize()
    return elapsed(start, end) / 1e3


def prepare_torch(network: str, count: int, device: str, evaluate: bool) -> Prepared:
    """PyTorch's step."""
    import torch

    torch.set_num_threads(count)
    make = networks.torch_evaluation if evaluate else networks.torch_step
    if device == "cpu":
        return (
            make(network, "cpu"),
            clock,
            f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads",
        )
    events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
    timer = partial(
        gpu_clock,
        start=events[0],
        end=events[1],
        elapsed=lambda start, end: start.elapsed_time(end),
    )
    return (
        make(network, "cuda"),
        timer,
        f"PyTorch {torch.__version__}, {torch.cuda.get_device_name()}",
    )


def prepare_minidann(network: str, count: int, device: str, evaluate: bool) -> Prepared:
    """minidann's step."""
    transfer = transfer_to(device)
    step = (networks.minidann_evaluation if evaluate else networks.minidann_step)(network, transfer)
    if device == "cpu":
        return step, clock, f"NumPy {np.__version__}, {turns.blas_name()}, {count} threads"
    import cupy

    timer = partial(
        gpu_clock,
        start=cupy.cuda.Event(),
        end=cupy.cuda.Event(),
        elapsed=cupy.cuda.get_elapsed_time,
    )
    return step, timer, f"CuPy {cupy.__version__}, {device_name(transfer(np.zeros(1)))}"


def turn(side: str, network: str, count: int, device: str, evaluate: bool) -> turns.Turn:
    """Time one side in this process: the median step."""
    prepare = {"minidann": prepare_minidann, "torch": prepare_torch}[side]
    step, timer, ran_on = prepare(network, count, device, evaluate)
    warm_up, steps = (1, 3) if evaluate else networks.SIZES[network][-2:]
    with threadpool_limits(count):
        seconds = [timer(step) for _ in range(warm_up + steps)][warm_up:]
    return turns.Turn(statistics.median(seconds), peak_memory(np.zeros(1)), ran_on)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.step",
        allow_abbrev=False,
        description=__doc__.splitlines()[0],
    )
    which = "tf-dann's for MNIST-M or Blobs, or the paper's for SVHN (default: %(default)s)"
    parser.add_argument("--network", choices=networks.SIZES, default="mnist", help=which)
    parser.add_argument("--against", choices=["torch"], help="what to time beside it")
    parser.add_argument(
        "--evaluate",
        action="store_true",
        help="time the classification of 10,000 examples (svhn: 1,000) instead of a training step",
    )
    parser.add_argument(
        "--turns",
        type=int,
        default=5,
        metavar="N",
        help="turns of each side (default: %(default)s)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=turns.CORES,
        metavar="N",
        help="threads of each side (default: one a core, %(default)s)",
    )
    parser.add_argument(
        "--device",
        choices=["cpu", "gpu"],
        default="cpu",
        help="where both sides run (default: %(default)s)",
    )
    parser.add_argument("--turn", choices=["minidann", "torch", "layers"], help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Print the tables."""
    args = parse(argv)
    if args.turn == "layers":
        print(json.dumps(layers.table(args.network, args.threads)))
        return 0
    if args.turn:
        print(json.dumps(turn(args.turn, args.network, args.threads, args.device, args.evaluate)))
        return 0
    if args.device == "gpu" and why_no_gpu():
        print(f"skipped: {why_no_gpu()}", file=sys.stderr)
        return 0
    if args.against and not turns.has_torch():
        print(turns.NO_TORCH, file=sys.stderr)
        return 1
    options = [f"--{name}={getattr(args, name)}" for name in ("network", "threads", "device")]
    options += ["--evaluate"] if args.evaluate else []
    sides = ["minidann", *([args.against] if args.against else [])]
    taken = turns.alternate("benchmarks.step", sides, args.turns, *options)
    what = "evaluation" if args.evaluate else "one step"
    print(f"{args.network}: {what}, {args.turns} turns, {turns.machine()}")
    print(turns.summary(taken, "ms"))
    if args.device == "cpu" and not args.evaluate:
        print("\n" + turns.apart("benchmarks.step", "--turn", "layers", *options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
