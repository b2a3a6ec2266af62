"""Time of one training step, beside PyTorch on the same machine in the same minutes.

    python -m benchmarks.step --network mnist                      minidann alone
    python -m benchmarks.step --network mnist --against torch      and PyTorch's eager step of the same network
    python -m benchmarks.step --network blobs --threads 1
    python -m benchmarks.step --network mnist --device gpu --against torch      both on the GPU, timed there by CUDA events

A step is what training repeats: forward of the joined batch, both heads, backward, optimizer. Each side runs in a process
of its own, for its threads would disturb the other's; the two take turns, so that a machine that slows down slows both.
Printed is the median over the steps of every turn, the spread of these medians, and their ratio turn by turn.

On a GPU both sides compute in float32: PyTorch's convolutions are kept from TF32, which CuPy's products do not use either.
PyTorch is no dependency of minidann: ``pip install torch`` to compare with it.
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
from itertools import pairwise

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits
from tqdm import tqdm

from minidann import blobs, mnistm
from minidann.backend import device_name
from minidann.device import choose, why_no_gpu
from minidann.nn.optimizers import SGD, Adam
from minidann.threads import threads

# batch of each domain, shape of an example, classes, warm-up steps and timed steps of a turn
NETWORKS = {"mnist": (32, (28, 28, 3), 10, 5, 30), "blobs": (8, (2,), 2, 300, 3000)}
LAM = 0.5


def batch(network):
    """(x_source, y_source, x_target) of random numbers: time does not depend on what the images show."""
    size, shape, classes, _, _ = NETWORKS[network]
    rng = np.random.default_rng(0)
    x_source, x_target = (rng.standard_normal((size, *shape), dtype=np.float32) for _ in range(2))
    return x_source, rng.integers(0, classes, size), x_target


def minidann_step(network, place):
    """A function that makes one step, on the device that ``place`` takes arrays to."""
    dann = (mnistm.build(0) if network == "mnist" else blobs.build((8,), 0)).convert(place)
    optimizer = SGD(dann.networks, 0.01, momentum=0.9) if network == "mnist" else Adam(dann.networks)
    x_source, y_source, x_target = map(place, batch(network))

    def step():
        dann.step(x_source, y_source, x_target, LAM)
        optimizer.step()

    return step


def torch_step(network, device):
    """The same network, losses and optimizer in PyTorch, written as its users would."""
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    class Reversal(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.view_as(x)

        @staticmethod
        def backward(ctx, dy):
            return -LAM * dy

    def dense(*sizes):
        layers = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())]
        return nn.Sequential(*layers[:-1])

    if network == "mnist":
        convolutions = [nn.Conv2d(3, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 48, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
        features, label_head, domain_head = nn.Sequential(*convolutions, nn.Flatten()), dense(2352, 100, 100, 10), dense(2352, 100, 2)
    else:
        features, label_head, domain_head = nn.Sequential(nn.Linear(2, 15), nn.ReLU()), dense(15, 2), dense(15, 8, 2)
    torch.backends.cudnn.allow_tf32 = False
    parameters = [p for part in (features, label_head, domain_head) for p in part.to(device).parameters()]
    optimizer = torch.optim.SGD(parameters, 0.01, momentum=0.9) if network == "mnist" else torch.optim.Adam(parameters, 1e-3)
    x_source, y_source, x_target = (torch.from_numpy(array).to(device) for array in batch(network))
    if network == "mnist":
        x_source, x_target = (x.permute(0, 3, 1, 2).contiguous() for x in (x_source, x_target))
    domain = torch.cat([torch.zeros(len(x_source)), torch.ones(len(x_target))]).long().to(device)
    reduction = "mean" if network == "mnist" else "sum"

    def step():
        f = features(torch.cat([x_source, x_target]))
        label_loss = cross_entropy(label_head(f[: len(x_source)]), y_source, reduction=reduction)
        domain_loss = cross_entropy(domain_head(Reversal.apply(f)), domain, reduction=reduction)
        optimizer.zero_grad()
        (label_loss + domain_loss).backward()
        optimizer.step()

    return step


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


def prepare_torch(network, count, device):
    """(step, clock, what it runs on) of PyTorch."""
    import torch

    torch.set_num_threads(count)
    if device == "cpu":
        return torch_step(network, "cpu"), clock, f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads"
    events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
    timer = partial(gpu_clock, start=events[0], end=events[1], elapsed=lambda start, end: start.elapsed_time(end))
    return torch_step(network, "cuda"), timer, f"PyTorch {torch.__version__}, {torch.cuda.get_device_name()}"


def prepare_minidann(network, count, device):
    """(step, clock, what it runs on) of minidann."""
    place = choose(device)
    if device == "cpu":
        blas = next(library for library in threadpool_info() if library["user_api"] == "blas")
        return minidann_step(network, place), clock, f"NumPy {np.__version__}, {blas['internal_api']} {blas.get('architecture', '')}, {count} threads"
    import cupy

    timer = partial(gpu_clock, start=cupy.cuda.Event(), end=cupy.cuda.Event(), elapsed=cupy.cuda.get_elapsed_time)
    return minidann_step(network, place), timer, f"CuPy {cupy.__version__}, {device_name(place(np.zeros(1)))}"


def turn(side, network, count, device):
    """Time one side in this process: (seconds of the median step, what it ran on)."""
    step, timer, ran_on = {"minidann": prepare_minidann, "torch": prepare_torch}[side](network, count, device)
    _, _, _, warm_up, steps = NETWORKS[network]
    with threadpool_limits(count), threads():
        seconds = [timer(step) for _ in range(warm_up + steps)][warm_up:]
    return statistics.median(seconds), ran_on


def turn_apart(side, network, count, device):
    """``turn`` in a fresh process. Kernels chosen for old BLAS builds (OPENBLAS_CORETYPE) are not imposed on it."""
    environment = {name: value for name, value in os.environ.items() if name not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    command = [sys.executable, "-m", "benchmarks.step", "--turn", side, "--network", network, "--threads", str(count), "--device", device]
    result = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(result.stdout.splitlines()[-1])


def main(argv=None):
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step", description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=NETWORKS, default="mnist", help="tf-dann's network for MNIST-M or for Blobs (default: %(default)s)")
    parser.add_argument("--against", choices=["torch"], help="what to time beside it")
    parser.add_argument("--turns", type=int, default=5, metavar="N", help="turns of each side (default: %(default)s)")
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", type=int, default=cores, metavar="N", help="threads of each side (default: one a core, %(default)s)")
    parser.add_argument("--turn", choices=["minidann", "torch"], help=argparse.SUPPRESS)
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu", help="where both sides run (default: %(default)s)")
    args = parser.parse_args(argv)
    if args.turn:
        print(json.dumps(turn(args.turn, args.network, args.threads, args.device)))
        return 0
    if args.device == "gpu" and why_no_gpu():
        print(f"skipped: {why_no_gpu()}", file=sys.stderr)
        return 0
    if args.against and not importlib.util.find_spec("torch"):
        print("error: PyTorch is not installed; pip install torch, or leave --against out", file=sys.stderr)
        return 1
    sides = ["minidann", *([args.against] if args.against else [])]
    times, ran_on = {side: [] for side in sides}, {}
    for _ in tqdm(range(args.turns), unit="turn"):
        for side in sides:
            seconds, ran_on[side] = turn_apart(side, args.network, args.threads, args.device)
            times[side].append(seconds)
    print(f"{args.network}: one step, {args.turns} turns, {platform.machine()}, {os.cpu_count()} cores")
    for side in sides:
        median, low, high = (1e3 * f(times[side]) for f in (statistics.median, min, max))
        print(f"{side:<10} {median:9.3f} ms   ({low:.3f} to {high:.3f})   {ran_on[side]}")
    if args.against:
        ratios = [a / b for a, b in zip(times["minidann"], times[args.against])]
        print(f"{'ratio':<10} {statistics.median(ratios):9.2f}      ({min(ratios):.2f} to {max(ratios):.2f})   minidann / {args.against}, turn by turn")
    return 0


if __name__ == "__main__":
    sys.exit(main())
