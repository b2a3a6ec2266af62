"""What every experiment does beside its own recipe: options, seeds side by side, records, clear errors."""

import json
import os
import platform
import signal
import statistics
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from threading import Thread

import numpy as np
from joblib import Parallel, delayed, parallel_config

from minidann.runtime.arrays import device_name
from minidann.runtime.command import finite, positive
from minidann.runtime.device import DEVICES, transfer_to
from minidann.runtime.files import replacing
from minidann.runtime.progress import progress_bar

PACKAGES = ("numpy", "scipy", "scikit-learn", "matplotlib")


def add_options(parser, *, out):
    """The options that all experiments share."""
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="seed of the first run (default: %(default)s); two runs with one seed are equal",
    )
    parser.add_argument(
        "--seeds",
        type=positive,
        default=1,
        metavar="N",
        help="run N seeds, from --seed upwards, and report mean and spread (default: 1)",
    )
    parser.add_argument(
        "--jobs",
        type=positive,
        default=1,
        metavar="N",
        help="runs side by side, each on one core (default: 1, on all cores)",
    )
    devices = "where to train: cpu, gpu (an NVIDIA GPU through CuPy; docs/gpu.md), or auto, the GPU if there is one that works (default: %(default)s)"
    parser.add_argument("--device", choices=DEVICES, default="cpu", help=devices)
    parser.add_argument(
        "--lam",
        type=finite,
        metavar="X",
        help="a constant lambda instead of the paper's schedule 2/(1+exp(-10p))-1",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(out),
        metavar="DIR",
        help="folder for results and figures (default: %(default)s)",
    )


def run_all(run, tasks, jobs):
    """``run(*task, row)`` for every task; yields the results as they come, with a bar that counts them.

    With one job the tasks run here, one after another, on all cores; with several, in as many
    processes of one BLAS thread each. ``row`` is the line of the terminal for the task's own
    progress bar: None, the only one, if there is one task.
    """
    if len(tasks) == 1:
        yield run(*tasks[0], None)
        return
    if jobs == 1:
        results = (run(*task, 1) for task in tasks)
    else:
        with parallel_config(backend="loky", inner_max_num_threads=1):
            pool = Parallel(n_jobs=jobs, return_as="generator_unordered")
        results = pool(delayed(in_worker)(run, *task, 1 + i % jobs) for i, task in enumerate(tasks))
    with progress_bar(len(tasks), "runs", unit="run") as bar:
        for result in results:
            bar.update()
            yield result


def in_worker(run, *task):
    """``run(*task)`` in a process that leaves Ctrl-C to the one that started it, and does not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    return run(*task)


def end_with(parent):
    """End this process soon after its parent was killed: nobody would take its result."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def summarize(values):
    """Mean, sd (of a sample, 0 for one value), minimum and number of some figures."""
    sd = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": statistics.fmean(values), "sd": sd, "min": min(values), "n": len(values)}


def spread(values):
    """``.942 +- .020``, or the one value alone."""
    figures = summarize(values)
    return f"{figures['mean']:.4f}" + (f" +- {figures['sd']:.4f}" if figures["n"] > 1 else "")


def save_results(path, program, args, runs):
    """Write a JSON record: what was asked, on what, and every run's figures."""
    record = {
        "program": f"python -m minidann.{program}",
        "options": {
            name: str(value) if isinstance(value, Path) else value
            for name, value in vars(args).items()
        },
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment(args.device),
        "runs": runs,
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")


def save_figure(figure, path):
    """Write a figure whole or not at all."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)


def environment(device):
    """Versions, machine and device, for the record."""
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "device": device_name(transfer_to(device)(np.zeros(1))),
        **{name: version(name) for name in PACKAGES},
    }
