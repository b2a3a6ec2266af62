"""Where a training step spends its time: a table by layer, beside what the machine itself can do."""

import statistics
import time
from collections import defaultdict

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import networks
from minidann.data import Batches
from minidann.data.preprocessing import normalize
from minidann.fast.products import matmul
from minidann.nn import Conv2D, Dense
from minidann.runtime.arrays import to_host
from minidann.runtime.threads import parallel_map, thread_slices, threads

METHODS = ("forward", "backward", "parameter_gradients")


def machine_limits(size=2048, repeat=5):
    """(FLOP/s of a large product of matrices, bytes/s of a large copy, read and written), within ``threads()``."""
    a = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)
    wide = np.empty(1 << 25, np.float32)  # 128 MiB: far more than the cache
    target = np.empty_like(wide)

    def best(function):
        seconds = []
        for _ in range(repeat):
            started = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - started)
        return min(seconds)

    flops = 2 * size**3 / best(lambda: matmul(a, a))
    copied = (
        2
        * wide.nbytes
        / best(
            lambda: parallel_map(
                lambda part: np.copyto(target[part], wide[part]), thread_slices(wide.size)
            )
        )
    )
    return flops, copied


def multiplications(layer, x, y):
    """Multiplications of the forward pass by its definition, whatever algorithm the layer uses."""
    if isinstance(layer, Dense):
        return x.shape[0] * layer.params["W"].size
    if isinstance(layer, Conv2D):
        return y[..., 0].size * layer.params["W"].size
    return 0


class Watch:
    """Times every call of the layers of a DANN and of its optimizer."""

    def __init__(self, dann, optimizer):
        self.seconds, self.work, self.bytes = defaultdict(list), {}, {}
        for part, network in zip(("features", "label head", "domain head"), dann.networks):
            for i, layer in enumerate(network.layers):
                for method in METHODS:
                    setattr(
                        layer,
                        method,
                        self.watched(f"{part} {i}", layer, method, getattr(layer, method)),
                    )
        optimizer.step = self.watched("optimizer", None, "step", optimizer.step)

    def watched(self, name, layer, method, function):
        """The function, with a note of each call."""
        name = (
            f"{name} {type(layer).__name__ if layer else ''}".strip(),
            method.replace("parameter_gradients", "dW"),
        )

        def call(*arguments):
            started = time.perf_counter()
            result = function(*arguments)
            self.seconds[name].append(time.perf_counter() - started)
            if layer and method == "forward":
                x, y = arguments[0], result
                self.work[name[0]] = multiplications(layer, x, y), x.nbytes + y.nbytes
            return result

        return call


def seconds_of_a_batch(network, repeat=50):
    """Median time to draw source and target examples, images as bytes, and to make network input of them."""
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


def table(network, count):
    """The table as text."""
    with threadpool_limits(count), threads():
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
        f"By layer, {count} threads. This machine: {flops / 1e9:.0f} GFLOP/s in a product of 2048 x 2048, {copied / 1e9:.1f} GB/s read and written in a copy.",
        "GFLOP are those of the definition: an algorithm that needs fewer may come out above the machine. MB: what must be read and written.",
        "limit: the time that this work would take at the machine's own speed, whichever of the two is longer.",
        f"{'':<24} {'':<9} {'ms':>8} {'share':>6} {'GFLOP':>7} {'GFLOP/s':>8} {'MB':>7} {'limit ms':>9}",
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
            f"{name:<24} {method:<9} {1e3 * spent:8.3f} {spent / total:6.1%} {flop / 1e9:7.3f} {speed} {moved / 1e6:7.1f} {1e3 * limit:9.3f}"
        )
    lines.append(f"{'all of these':<24} {'':<9} {1e3 * listed:8.3f} {listed / total:6.1%}")
    lines.append(f"{'the whole step':<24} {'':<9} {1e3 * total:8.3f}")
    lines.append(
        f"{'beside it, the batch':<24} {'':<9} {1e3 * drawing:8.3f} {drawing / total:6.1%}"
    )
    return "\n".join(lines)
