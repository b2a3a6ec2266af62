"""Where a training step spends its time: by layer, beside what the machine itself can do."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import networks
from minidann import DANN
from minidann.data import Batches
from minidann.data.preprocessing import normalize
from minidann.fast.products import matmul
from minidann.nn import Conv2D, Dense, Layer
from minidann.nn.optimizers import Optimizer
from minidann.runtime.arrays import to_host
from minidann.runtime.threads import all_cores, parallel_map, thread_slices

METHODS = ("forward", "backward", "parameter_gradients")


def machine_limits(size: int = 2048, repeat: int = 5) -> tuple[float, float]:
    """FLOP/s of a large product of matrices and bytes/s of a large copy, read and written."""
    a = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)
    wide = np.empty(1 << 25, np.float32)  # 128 MiB: far more than the cache
    target = np.empty_like(wide)

    def best(function: Callable[[], Any]) -> float:
        seconds = []
        for _ in range(repeat):
            started = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - started)
        return min(seconds)

    flops = 2 * size**3 / best(lambda: matmul(a, a))
    with all_cores():
        parts = thread_slices(wide.size)
        seconds = best(
            lambda: parallel_map(lambda part: np.copyto(target[part], wide[part]), parts)
        )
    return flops, 2 * wide.nbytes / seconds


def multiplications(layer: Layer, x: Any, y: Any) -> int:
    """Multiplications of the forward pass by its definition, whatever algorithm the layer uses."""
    if isinstance(layer, Dense):
        return x.shape[0] * layer.params["W"].size
    if isinstance(layer, Conv2D):
        return y[..., 0].size * layer.params["W"].size
    return 0


class Watch:
    """Times every call of the layers of a DANN and of its optimizer.

    Attributes
    ----------
    seconds : dict of (name, method) to list of float
    work : dict of name to (multiplications, bytes)
        Of forward by its definition: bytes of input, weights and output.
    """

    def __init__(self, dann: DANN, optimizer: Optimizer) -> None:
        self.seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
        weights = sum(
            array.nbytes for network in dann.networks for array in network.params.values()
        )
        vectors = len(optimizer.memory)
        # each weight and what the optimizer remembers of it: read and written; its gradient: read
        self.work = {"optimizer": (0, (2 + 2 * vectors + 1) * weights)}
        for part, network in zip(("features", "label head", "domain head"), dann.networks):
            for i, layer in enumerate(network.layers):
                name = f"{part} {i} {type(layer).__name__}"
                for method in METHODS:
                    setattr(layer, method, self.watched(name, method, layer))
        optimizer.step = self.watched("optimizer", "step", optimizer)

    def watched(self, name: str, method: str, owner: Any) -> Callable[..., Any]:
        """The method, with a note of each call."""
        function = getattr(owner, method)
        key = name, method.replace("parameter_gradients", "dW")

        def call(*arguments: Any) -> Any:
            started = time.perf_counter()
            result = function(*arguments)
            self.seconds[key].append(time.perf_counter() - started)
            if method == "forward":
                x, y = arguments[0], result
                moved = x.nbytes + y.nbytes + sum(a.nbytes for a in owner.params.values())
                self.work[name] = multiplications(owner, x, y), moved
            return result

        return call


def seconds_of_a_batch(network: str, repeat: int = 50) -> float:
    """Median time to draw source and target examples and make network input of their bytes."""
    size, shape, classes, _, _ = networks.SIZES[network]
    rng = np.random.default_rng(0)
    if len(shape) == 3:
        examples, prepare = (
            rng.integers(0, 256, (6000, *shape), dtype=np.uint8),
            lambda x: normalize(x, np.full(3, 128, np.float32)),
        )
    else:
        examples, prepare = rng.standard_normal((6000, *shape), dtype=np.float32), None
    source = Batches(examples, rng.integers(0, classes, 6000), size=size, rng=rng, prepare=prepare)
    target = Batches(examples, size=size, rng=rng, prepare=prepare)
    seconds = []
    for _ in range(repeat):
        started = time.perf_counter()
        next(source), next(target)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def table(network: str, count: int) -> str:
    """The table as text."""
    with threadpool_limits(count):
        flops, copied = machine_limits()
        dann, optimizer = networks.minidann_network(network, to_host)
        batch = networks.batch(network)
        _, _, _, warm_up, steps = networks.SIZES[network]
        watch, whole = Watch(dann, optimizer), []
        for _ in range(warm_up + steps):
            started = time.perf_counter()
            dann.compute_gradients(*batch, networks.LAM)
            optimizer.step()
            whole.append(time.perf_counter() - started)
        drawing = seconds_of_a_batch(network)
    total = statistics.median(whole[warm_up:])
    lines = [
        f"By layer, {count} threads. This machine: {flops / 1e9:.0f} GFLOP/s in a product of "
        f"2048 x 2048, {copied / 1e9:.1f} GB/s read and written in a copy.",
        "GFLOP are those of the definition: an algorithm that needs fewer may come out above the",
        "machine. MB: input, weights and output, read or written once.",
        "limit: the time that this work would take at the machine's own speed, the longer of both.",
        f"{'':<24} {'':<9} {'ms':>8} {'share':>6} {'GFLOP':>7} {'GFLOP/s':>8} {'MB':>7} "
        f"{'limit ms':>9}",
    ]
    listed = 0.0
    rows = []
    for (name, method), seconds in watch.seconds.items():
        spent = statistics.median(seconds[warm_up:])
        multiplied, moved = watch.work.get(name, (0, 0))
        if (
            method == "backward" and (name, "dW") in watch.seconds
        ):  # it called that, which is listed by itself
            spent -= statistics.median(watch.seconds[name, "dW"][warm_up:])
            method = "dx"
        elif (
            method == "backward" and multiplied
        ):  # both gradients at once: the work of two forward passes
            multiplied, moved = 2 * multiplied, 2 * moved
        rows.append((spent, name, method, 2 * multiplied, moved))
        listed += spent
    for spent, name, method, flop, moved in sorted(rows, reverse=True):
        if spent < 0.005 * total:
            continue
        limit = max(flop / flops, moved / copied)
        speed = f"{flop / spent / 1e9:8.0f}" if flop else f"{'':>8}"
        lines.append(
            f"{name:<24} {method:<9} {1e3 * spent:8.3f} {spent / total:6.1%} "
            f"{flop / 1e9:7.3f} {speed} {moved / 1e6:7.1f} {1e3 * limit:9.3f}"
        )
    lines.append(f"{'all of these':<24} {'':<9} {1e3 * listed:8.3f} {listed / total:6.1%}")
    lines.append(f"{'the whole step':<24} {'':<9} {1e3 * total:8.3f}")
    lines.append(
        f"{'beside it, the batch':<24} {'':<9} {1e3 * drawing:8.3f} {drawing / total:6.1%}"
    )
    return "\n".join(lines)
