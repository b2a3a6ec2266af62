"""Records: what was asked, on what machine, and the figures of every run; their mean and spread."""

import csv
import json
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import minidann
from minidann.runtime.arrays import device_name
from minidann.runtime.device import transfer_to
from minidann.runtime.files import replacing

PACKAGES = ("numpy", "scipy", "scikit-learn", "matplotlib")


def summarize(values: Sequence[float]) -> dict[str, float]:
    """Mean, sd (of a sample, 0 for one value), minimum and number of some figures."""
    sd = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": statistics.fmean(values), "sd": sd, "min": min(values), "n": len(values)}


def spread(values: Sequence[float]) -> str:
    """``0.9420 +- 0.0200``, or the one value alone."""
    figures = summarize(values)
    return f"{figures['mean']:.4f}" + (f" +- {figures['sd']:.4f}" if figures["n"] > 1 else "")


def save_results(
    path: Path,
    program: str,
    options: Mapping[str, Any],
    machine: Mapping[str, str],
    runs: Sequence[Mapping[str, Any]],
    earlier: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write a JSON record.

    Parameters
    ----------
    path : path
    program : str
        As in ``python -m minidann.PROGRAM``.
    options : mapping
        What was asked on the command line.
    machine : mapping
        An :func:`environment`.
    runs : sequence of mappings
        The figures of each run.
    earlier : sequence of mappings
        Options and machines of earlier calls that some of the runs are of.
    """
    record = {
        "program": f"python -m minidann.{program}",
        "options": {
            name: str(value) if isinstance(value, Path) else value
            for name, value in options.items()
        },
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": machine,
        "runs": runs,
    }
    if earlier:
        record["earlier"] = earlier
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")


def save_history(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows of all runs as a CSV file with a header; what a row lacks is left empty."""
    names = dict.fromkeys(name for row in rows for name in row) or ["step"]
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(names))
        writer.writeheader()
        writer.writerows(rows)


def environment(device: str) -> dict[str, str]:
    """Versions, machine and device, for the record; the commit if this is a clone of git's."""
    found = {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "device": device_name(transfer_to(device)(np.zeros(1))),
        "minidann": minidann.__version__,
    }
    if state := commit():
        found["commit"] = state
    return found | {name: version(name) for name in PACKAGES}


@cache
def commit() -> str:
    """The git commit of this minidann, with "-dirty" if files were changed; "" if unknown."""
    root = Path(minidann.__file__).parents[1]
    if not (root / ".git").exists():  # an installed copy, which may lie in another repository
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(
            [*command, "--exclude=*"], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
