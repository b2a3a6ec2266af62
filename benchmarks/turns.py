"""Two sides take turns on one machine, each turn in a process of its own.

A machine that slows down slows both, so the ratio is taken turn by turn. The threads of one side
would disturb the other, and the peak memory of a process belongs to one side: hence the processes.
"""

import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from threadpoolctl import threadpool_info
from tqdm import tqdm

# kernels chosen for old builds of BLAS; they are not imposed on either side
BLAS_OVERRIDES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
CORES = len(os.sched_getaffinity(0))
NO_TORCH = 'error: PyTorch is not installed; pip install -e ".[benchmark]", or leave --against out'


class Turn(NamedTuple):
    """What one process reports: its time, the most memory it held, and what it ran on."""

    seconds: float
    memory: int  # bytes
    ran_on: str


def apart(module: str, *options: object) -> Any:
    """What ``python -m module *options`` prints as JSON on its last line."""
    environment = {name: value for name, value in os.environ.items() if name not in BLAS_OVERRIDES}
    command = [sys.executable, "-m", module, *map(str, options)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f"error: {' '.join(command)} failed:\n{result.stderr}")
    return json.loads(result.stdout.splitlines()[-1])


def alternate(
    module: str, sides: Sequence[str], turns: int, *options: object
) -> dict[str, list[Turn]]:
    """Run ``module --turn side *options`` for each side, ``turns`` times in alternation."""
    taken: dict[str, list[Turn]] = {side: [] for side in sides}
    for _ in tqdm(range(turns), unit="turn"):
        for side in sides:
            taken[side].append(Turn(*apart(module, "--turn", side, *options)))
    return taken


def summary(taken: dict[str, list[Turn]], unit: str) -> str:
    """A line for each side and one for their ratio; ``unit`` is "ms" or "s"."""
    scale = {"ms": 1e3, "s": 1}[unit]
    lines = []
    for side, turns in taken.items():
        seconds = [scale * turn.seconds for turn in turns]
        memory = max(turn.memory for turn in turns) / 2**20
        lines.append(
            f"{side:<10} {statistics.median(seconds):9.3f} {unit:<2}   "
            f"({min(seconds):.3f} to {max(seconds):.3f})   {memory:6.0f} MiB   {turns[-1].ran_on}"
        )
    if len(taken) == 2:
        (name, ours), (other, theirs) = taken.items()
        ratios = [a.seconds / b.seconds for a, b in zip(ours, theirs)]
        lines.append(
            f"{'ratio':<10} {statistics.median(ratios):9.2f}      "
            f"({min(ratios):.2f} to {max(ratios):.2f})   {name} / {other}, turn by turn"
        )
    return "\n".join(lines)


def machine() -> str:
    """``x86_64, 2 cores``"""
    return f"{platform.machine()}, {os.cpu_count()} cores"


def has_torch() -> bool:
    """Whether PyTorch is installed."""
    return importlib.util.find_spec("torch") is not None


def blas_name() -> str:
    """The BLAS that NumPy uses, and its kernels."""
    blas = next(library for library in threadpool_info() if library["user_api"] == "blas")
    return f"{blas['internal_api']} {blas.get('architecture', '')}"
