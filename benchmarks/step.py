"""Time and memory of one training step, beside PyTorch on the same machine in the same minutes.

    python -m benchmarks.step --network mnist                      minidann alone, and a table by layer
    python -m benchmarks.step --network svhn --against torch       and PyTorch's eager step of the same network
    python -m benchmarks.step --network blobs --threads 1
    python -m benchmarks.step --evaluate --against torch           classify 10,000 test images instead
    python -m benchmarks.step --device gpu --against torch         both on the GPU, timed there by CUDA events

A step is what training repeats: forward of the joined batch, both heads, backward, optimizer. Each
side runs in a process of its own, for its threads would disturb the other's; the two take turns, so
that a machine that slows down slows both. Printed is the median over the steps of every turn, the
spread of these medians, their ratio turn by turn, and the most memory that either process held.

On a GPU both sides compute in float32: PyTorch's convolutions are kept from TF32, which CuPy's
products do not use either. PyTorch is no dependency of minidann: ``pip install -e ".[benchmark]"``
to compare with it.
"""

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from functools import partial

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits
from tqdm import tqdm

from benchmarks import layers, networks
from minidann.runtime.arrays import device_name, peak_memory
from minidann.runtime.device import transfer_to, why_no_gpu
from minidann.runtime.threads import threads


def clock(step):
    """Seconds of one step on the CPU."""
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def gpu_clock(step, start, end, elapsed):
    """Seconds of one step on a GPU, between two CUDA events: it works on while Python is ahead of it."""
    start.record()
    step()
    end.record()
    end.synchronize()
    return elapsed(start, end) / 1e3


def prepare_torch(network, count, device, evaluate):
    """(step, clock, what it runs on) of PyTorch."""
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


def prepare_minidann(network, count, device, evaluate):
    """(step, clock, what it runs on) of minidann."""
    transfer = transfer_to(device)
    step = (networks.minidann_evaluation if evaluate else networks.minidann_step)(network, transfer)
    if device == "cpu":
        blas = next(library for library in threadpool_info() if library["user_api"] == "blas")
        return (
            step,
            clock,
            f"NumPy {np.__version__}, {blas['internal_api']} {blas.get('architecture', '')}, {count} threads",
        )
    import cupy

    timer = partial(
        gpu_clock,
        start=cupy.cuda.Event(),
        end=cupy.cuda.Event(),
        elapsed=cupy.cuda.get_elapsed_time,
    )
    return step, timer, f"CuPy {cupy.__version__}, {device_name(transfer(np.zeros(1)))}"


def turn(side, network, count, device, evaluate):
    """Time one side in this process: (seconds of the median step, bytes of memory, what it ran on)."""
    step, timer, ran_on = {"minidann": prepare_minidann, "torch": prepare_torch}[side](
        network, count, device, evaluate
    )
    warm_up, steps = (1, 3) if evaluate else networks.SIZES[network][-2:]
    with threadpool_limits(count), threads():
        seconds = [timer(step) for _ in range(warm_up + steps)][warm_up:]
    return statistics.median(seconds), peak_memory(np.zeros(1)), ran_on


def turn_apart(side, args):
    """``turn`` in a fresh process. Kernels chosen for old BLAS builds (OPENBLAS_CORETYPE) are not imposed on it."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
    }
    options = [
        "--network",
        args.network,
        "--threads",
        str(args.threads),
        "--device",
        args.device,
        *(["--evaluate"] if args.evaluate else []),
    ]
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.step", "--turn", side, *options],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(result.stdout.splitlines()[-1])


def parse(argv):
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.step", description=__doc__.splitlines()[0]
    )
    which = "tf-dann's for MNIST-M or Blobs, or the paper's for SVHN (default: %(default)s)"
    parser.add_argument("--network", choices=networks.SIZES, default="mnist", help=which)
    parser.add_argument("--against", choices=["torch"], help="what to time beside it")
    parser.add_argument(
        "--evaluate",
        action="store_true",
        help="time the classification of 10,000 test examples (svhn: 1,000) instead of a training step",
    )
    parser.add_argument(
        "--turns",
        type=int,
        default=5,
        metavar="N",
        help="turns of each side (default: %(default)s)",
    )
    cores = len(os.sched_getaffinity(0))
    parser.add_argument(
        "--threads",
        type=int,
        default=cores,
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


def main(argv=None):
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
    if args.against and not importlib.util.find_spec("torch"):
        print(
            'error: PyTorch is not installed; pip install -e ".[benchmark]", or leave --against out',
            file=sys.stderr,
        )
        return 1
    sides = ["minidann", *([args.against] if args.against else [])]
    times, memory, ran_on = {side: [] for side in sides}, {}, {}
    for _ in tqdm(range(args.turns), unit="turn"):
        for side in sides:
            seconds, memory[side], ran_on[side] = turn_apart(side, args)
            times[side].append(seconds)
    what = "evaluation" if args.evaluate else "one step"
    print(
        f"{args.network}: {what}, {args.turns} turns, {platform.machine()}, {os.cpu_count()} cores"
    )
    for side in sides:
        median, low, high = (1e3 * f(times[side]) for f in (statistics.median, min, max))
        print(
            f"{side:<10} {median:9.3f} ms   ({low:.3f} to {high:.3f})   {memory[side] / 2**20:6.0f} MiB   {ran_on[side]}"
        )
    if args.against:
        ratios = [a / b for a, b in zip(times["minidann"], times[args.against])]
        print(
            f"{'ratio':<10} {statistics.median(ratios):9.2f}      ({min(ratios):.2f} to {max(ratios):.2f})   minidann / {args.against}, turn by turn"
        )
    if args.device == "cpu" and not args.evaluate:
        print("\n" + turn_apart("layers", args))
    return 0


if __name__ == "__main__":
    sys.exit(main())
