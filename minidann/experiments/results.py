"""The runs of an experiment as its two files have them, results.json and history.csv.

With ``--resume`` the runs of an earlier call stay in them: those that this call does not repeat,
and those that it repeats until they have ended once more.
"""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple

from minidann.experiments.records import save_history, save_results
from minidann.runtime.errors import InputError

Row = Mapping[str, Any]

# options that say which runs there are, where and how long, but not what comes of one
OF_THE_CALL = {
    "cluster",
    "data_dir",
    "device",
    "jobs",
    "matrix",
    "method",
    "out",
    "resume",
    "seed",
    "seeds",
    "source",
    "target",
    "variants",
}
UNRECORDED = {"overwrite", "checkpoint_every"}


class Run(NamedTuple):
    """The record of a run, and the rows of its history."""

    record: Row
    rows: Sequence[Row]


class Results:
    """The runs that have ended.

    Parameters
    ----------
    out : Path
    program : str
        As in ``python -m minidann.PROGRAM``.
    options : mapping
        What was asked on the command line.
    tasks : sequence of dataclasses of one type
        The runs of this call; a record holds the fields of its task.
    resume : bool
        Whether the runs of an earlier call in ``out`` stay.

    Raises
    ------
    InputError
        If the earlier results cannot be read, or are of another experiment.
    """

    def __init__(
        self,
        out: Path,
        program: str,
        options: Mapping[str, Any],
        tasks: Sequence[Any],
        *,
        resume: bool = False,
    ):
        self.out, self.program, self.tasks = out, program, tasks
        self.options = {name: options[name] for name in options if name not in UNRECORDED}
        self.others: list[Run] = []
        self.runs: dict[Any, Run] = {}
        self.earlier: list[Row] = []
        if resume and (out / "results.json").exists() and tasks:
            self._take_over()

    def add(self, task: Any, record: Row, rows: Sequence[Row]) -> None:
        """A run has ended; it replaces an earlier one of the same task."""
        self.runs[task] = Run(record, rows)

    def save(self, machine: Mapping[str, str]) -> None:
        """Write both files, unless no run has succeeded. ``machine``: an ``environment``."""
        runs = self.others + [self.runs[task] for task in self.tasks if task in self.runs]
        if all("failed" in run.record for run in runs):
            return
        records = [run.record for run in runs]
        path = self.out / "results.json"
        save_results(path, self.program, self.options, machine, records, self.earlier)
        save_history(self.out / "history.csv", [row for run in runs for row in run.rows])

    def _take_over(self) -> None:
        record = self._load(self.out / "results.json")
        names = [entry.name for entry in fields(self.tasks[0])]
        rows: dict[tuple, list[Row]] = {}
        for row in read_history(self.out / "history.csv"):
            rows.setdefault(key(row, names), []).append(row)
        of_this_call = {key(asdict(task), names): task for task in self.tasks}
        for each in record["runs"]:
            name = key(each, names)
            run = Run(each, rows.get(name, ()))
            if name in of_this_call:
                self.runs[of_this_call[name]] = run
            else:
                self.others.append(run)
        if self.others:
            self._refuse_others(record)
            said = {name: record.get(name) for name in ("options", "finished", "environment")}
            self.earlier = [*record.get("earlier", ()), said]

    def _load(self, path: Path) -> dict[str, Any]:
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            whole = isinstance(record["options"], dict) and all(
                isinstance(run, dict) for run in record["runs"]
            )
            if not whole or not isinstance(record["program"], str):
                raise ValueError("its options and runs are no tables")
        except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
            raise InputError(
                f"{path} cannot be read as the results to go on with ({error}); delete it, or "
                "leave out --resume and give --overwrite"
            ) from error
        return record

    def _refuse_others(self, record: Mapping[str, Any]) -> None:
        """Refuse runs that this call would keep beside its own, if they are of other options."""
        there = {"program": record["program"]} | record["options"]
        here = {"program": f"python -m minidann.{self.program}"} | self.options
        # a switch that an older record does not know was off
        there = {name: False for name, value in here.items() if value is True} | there
        different = ", ".join(
            f"{name} {there[name]} there, {here[name]} here"
            for name in here
            if name in there and name not in OF_THE_CALL and there[name] != here[name]
        )
        if different:
            raise InputError(
                f"{self.out / 'results.json'} holds runs of another experiment ({different}); give "
                "the same options, or name another folder with --out"
            )


def key(values: Row, names: Iterable[str]) -> tuple[str, ...]:
    """What tells a run from others, out of its task, its record or a row of its history."""
    found = (values.get(name) for name in names)
    return tuple("" if value is None else str(value) for value in found)


def read_history(path: Path) -> list[Row]:
    """The rows of a history.csv as texts, without empty fields; none if it cannot be read."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return [
                {name: text for name, text in row.items() if name and text}
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, csv.Error):
        return []
