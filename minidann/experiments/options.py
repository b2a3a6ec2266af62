"""The options that programs share, in the words of ``--help``."""

import argparse
import os
from pathlib import Path

from minidann.experiments.config import Execution
from minidann.experiments.runs import METHODS
from minidann.runtime.command import (
    LARGEST_SEED,
    finite,
    positive,
    seconds,
    seed_count,
    seed_number,
    user_path,
)
from minidann.runtime.device import DEVICES
from minidann.runtime.errors import InputError


def add_options(
    parser: argparse.ArgumentParser,
    *,
    out: str,
    steps: int | None = None,
    batch_size: int | None = None,
) -> None:
    """Add the options of every experiment. Steps and batch size default to the recipe's."""
    parser.add_argument(
        "--steps",
        type=positive,
        default=steps,
        metavar="N",
        help=f"training steps of each run (default: {steps or 'those of the recipe'})",
    )
    parser.add_argument(
        "--batch-size",
        type=positive,
        default=batch_size,
        metavar="N",
        help=f"examples of each domain in a batch (default: {batch_size or 'that of the recipe'})",
    )
    parser.add_argument(
        "--seed",
        type=seed_number,
        default=0,
        help="seed of the first run (default: %(default)s); the same seed gives the same result",
    )
    parser.add_argument(
        "--seeds",
        type=seed_count,
        default=1,
        metavar="N",
        help="run N seeds, from --seed upwards, and report mean and spread (default: %(default)s)",
    )
    add_jobs_option(parser)
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="run on the workers of the Dask scheduler at ADDRESS, such as tcp://scheduler:8786, "
        "which see the data and --out under the same paths (docs/cluster.md)",
    )
    parser.add_argument(
        "--device",
        choices=DEVICES,
        default="cpu",
        help="where to train: cpu, gpu (an NVIDIA GPU through CuPy; docs/gpu.md), or auto, "
        "the GPU if there is one that works (default: %(default)s)",
    )
    parser.add_argument(
        "--lam",
        type=finite,
        metavar="X",
        help="a constant lambda instead of the schedule, the paper's 2/(1+exp(-10p))-1",
    )
    parser.add_argument(
        "--out",
        type=user_path,
        default=Path(out),
        metavar="DIR",
        help="folder for results, figures and model.npz (default: %(default)s)",
    )
    earlier = parser.add_mutually_exclusive_group()
    earlier.add_argument(
        "--resume",
        action="store_true",
        help="go on with what is in --out: runs of the same options that were stopped continue, "
        "those of other seeds or methods stay in results.json",
    )
    earlier.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the results, networks and checkpoints in --out; without one of the two, "
        "a folder that holds any is refused",
    )
    parser.add_argument(
        "--checkpoint-every",
        type=seconds,
        default=120.0,
        metavar="SECONDS",
        help="save runs so often, for --resume (default: %(default)g); Ctrl-C, SIGTERM and SIGHUP "
        "save them too",
    )


def add_image_options(
    parser: argparse.ArgumentParser, *, out: str, steps: int | None = None
) -> None:
    """Add the options of every experiment with a recipe for images."""
    add_options(parser, out=out, steps=steps)
    parser.add_argument(
        "--limit",
        type=positive,
        metavar="N",
        help="use only the first N training and N test images of each set",
    )
    add_data_dir_option(parser)


def add_jobs_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--jobs``."""
    parser.add_argument(
        "--jobs",
        type=positive,
        default=1,
        metavar="N",
        help="runs side by side, one core each (default: 1, which uses all cores)",
    )


def add_data_dir_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--data-dir``."""
    parser.add_argument(
        "--data-dir",
        type=os.path.expanduser,
        metavar="DIR",
        help="folder that is searched first for data sets, which holds mnist/, bsds500/ ...",
    )


def add_method_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--method``, one of the three or all of them."""
    parser.add_argument(
        "--method",
        choices=(*METHODS, "all"),
        default="all",
        help="train on source labels (source), target labels (target), source labels with "
        "adaptation (dann), or each of them in turn (default: %(default)s)",
    )


def methods(options: argparse.Namespace) -> tuple[str, ...]:
    """The methods that the options ask for."""
    return tuple(METHODS) if options.method == "all" else (options.method,)


def execution(options: argparse.Namespace) -> Execution:
    """Where the options want the tasks to be executed."""
    return Execution(jobs=options.jobs, cluster=options.cluster)


def seeds(options: argparse.Namespace) -> range:
    """The seeds that the options ask for.

    Raises
    ------
    InputError
        If the last one is larger than a seed can be.
    """
    if options.seed + options.seeds - 1 > LARGEST_SEED:
        raise InputError(
            f"--seed {options.seed} --seeds {options.seeds} goes beyond {LARGEST_SEED}; begin with "
            "a smaller seed"
        )
    return range(options.seed, options.seed + options.seeds)
