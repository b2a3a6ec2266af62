"""How the cost of a training step grows: with the batch, the image, the channels and the threads.

    python -m benchmarks.scaling                  a table, runs/scaling/scaling.json and scaling.png

The network is that of tf-dann (two 5x5 convolutions with pooling, a label and a domain head) with
one size changed at a time, from 32 + 32 images of 28 x 28 and 32 kernels in the first convolution.
Each point runs in a process of its own, whose peak memory is noted.
"""

import argparse
import json
import statistics
import sys
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from benchmarks import turns
from benchmarks.networks import LAM, Size, batch
from benchmarks.step import clock
from minidann import DANN
from minidann.experiments.figures import save_figure
from minidann.nn import Conv2D, Dense, Flatten, MaxPool2D, ReLU, Sequential
from minidann.nn.optimizers import SGD
from minidann.runtime.arrays import peak_memory
from minidann.runtime.files import replacing

BASE = {"batch": 32, "image": 28, "channels": 32, "threads": turns.CORES}
POINTS = {
    "batch": (16, 32, 64, 128, 256, 512, 1024),
    "image": (16, 28, 32, 64, 96, 128),
    "channels": (8, 16, 32, 64, 128),
    "threads": tuple(range(1, BASE["threads"] + 1)),
}
GROWTH = {
    "batch": (1, "in proportion"),
    "image": (2, "as the side squared"),
    "threads": (-1, "1 / threads"),
}
LABELS = {
    "batch": "images of each domain",
    "image": "side of an image (pixels)",
    "channels": "kernels of the first convolution",
    "threads": "threads",
}


def build(image: int, channels: int) -> DANN:
    """The network for images of that side."""
    rng = np.random.default_rng(0)
    conv, dense = partial(Conv2D, rng=rng), partial(Dense, rng=rng)
    features = [
        conv(3, channels, 5),
        MaxPool2D(2),
        ReLU(),
        conv(channels, channels * 3 // 2, 5),
        MaxPool2D(2),
        ReLU(),
        Flatten(),
    ]
    f = (image // 4) ** 2 * (channels * 3 // 2)
    return DANN(
        Sequential(features),
        Sequential([dense(f, 100), ReLU(), dense(100, 10)]),
        Sequential([dense(f, 100), ReLU(), dense(100, 2)]),
    )


def measure(point: dict[str, int], steps: int = 5) -> tuple[float, int]:
    """(seconds of the median step, bytes of memory) of one point, in this process."""
    dann = build(point["image"], point["channels"])
    optimizer = SGD(dann.networks, 0.001, momentum=0.9)
    x_source, y_source, x_target = batch(
        "mnist", Size(point["batch"], (point["image"], point["image"], 3), 10, 0, 0)
    )

    def step():
        dann.compute_gradients(x_source, y_source, x_target, LAM)
        optimizer.step()

    with threadpool_limits(point["threads"]):
        seconds = [clock(step) for _ in range(2 + steps)][2:]
    return statistics.median(seconds), peak_memory(x_source)


def draw(results: dict[str, list]) -> Figure:
    """Time and memory against each size; grey, what growth in proportion to the work would be."""
    figure, axes = plt.subplots(
        2,
        len(results),
        figsize=(3.4 * len(results), 6),
        squeeze=False,
        sharey="row",
        layout="constrained",
    )
    for (name, rows), (time_axis, memory_axis) in zip(results.items(), axes.T):
        sizes, seconds, memory = (np.array(column) for column in zip(*rows))
        if name in GROWTH:
            power, label = GROWTH[name]
            time_axis.plot(
                sizes, 1e3 * seconds[-1] * (sizes / sizes[-1]) ** power, color="0.7", label=label
            )
            time_axis.legend(frameon=False, fontsize=8)
        time_axis.plot(sizes, 1e3 * seconds, "o-", color="#0072b2")
        memory_axis.plot(sizes, memory / 2**20, "s-", color="#d55e00")
        for axis in (time_axis, memory_axis):
            axis.set(xscale="log", yscale="log", xticks=sizes, xticklabels=sizes)
            axis.xaxis.minorticks_off()
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.minorticks_off()
            axis.grid(color="0.92")
            axis.tick_params(axis="x", labelsize=8)
        memory_axis.set_xlabel(LABELS[name])
    axes[0, 0].set_ylabel("a step (ms)")
    axes[1, 0].set_ylabel("peak memory of the process (MiB)")
    return figure


def main(argv: list[str] | None = None) -> int:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling",
        allow_abbrev=False,
        description=__doc__.splitlines()[0],
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/scaling"),
        metavar="DIR",
        help="folder for scaling.json and scaling.png (default: %(default)s)",
    )
    parser.add_argument("--only", choices=POINTS, help="vary this size alone")
    parser.add_argument("--point", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.point:
        print(json.dumps(measure(args.point)))
        return 0
    varied = {args.only: POINTS[args.only]} if args.only else POINTS
    results: dict[str, list] = {name: [] for name in varied}
    for name, size in tqdm(
        [(name, size) for name, sizes in varied.items() for size in sizes], unit="point"
    ):
        results[name].append(
            [size, *turns.apart("benchmarks.scaling", "--point", json.dumps(BASE | {name: size}))]
        )
    for name, rows in results.items():
        print(f"\n{LABELS[name]:<34} {'ms a step':>10} {'MiB':>7}")
        for size, seconds, memory in rows:
            print(f"{size:<34} {1e3 * seconds:>10.1f} {memory / 2**20:>7.0f}")
    with replacing(args.out / "scaling.json") as temporary:
        temporary.write_text(json.dumps({"base": BASE, "results": results}, indent=1) + "\n")
    save_figure(draw(results), args.out / "scaling.png")
    print(f"\nWritten to {args.out}: scaling.json, scaling.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
