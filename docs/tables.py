"""The tables and figures of README.md and docs/, filled in from the records.

    python docs/tables.py            write what is stale, and list what changed
    python docs/tables.py --check    write nothing; exit status 1 if anything is stale

Whatever a sentence says of a figure that changed has to be read again. The places are marked by
comments, which no reader of the page sees:

    <!-- table: mnistm -->           a table, down to the line <!-- end -->
    .9669<!-- mnistm/best/dann -->   a figure: table, row, column

docs/results/tables.toml declares what is in a table, and explains its own form; figures of other
authors are in docs/results/literature.toml. All others are computed from docs/results/*.json.

A figure keeps the form in which it is written: .967 has three digits, 96.7 % is a percentage,
.9669 ± .0018 is a mean and a standard deviation over seeds. A ? is a figure not yet filled in. It
is the mean over the seeds, unless a fourth word in the comment says otherwise:

    mnistm/best/dann/min       the lowest of the seeds; max, the highest
    mnistm/best/dann/seed 3    that of one seed
    mnistm/best/dann/each      one figure for each seed: .9670, .9638 and .9684
    mnistm/best/dann/count     how many seeds there are, up to ten in a word: five
"""

import argparse
import json
import os
import re
import shlex
import sys
import textwrap
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from minidann.experiments.records import summarize
from minidann.experiments.runs import METHODS, Outcome, Task
from minidann.experiments.tables import domain_accuracy, matrix_table, target_accuracy
from minidann.runtime.command import clear_errors
from minidann.runtime.errors import InputError
from minidann.runtime.files import replacing

Where = Mapping[str, Any]

NO_EFFECT = {"out", "jobs", "resume", "cluster", "tested"}  # options that change no figure
NO_COMMIT = "before commits were recorded"
NONE = "-"  # in a cell of which there is no run
ORIGIN = ("data", "seeds", "command", "record")  # columns that say where a row is from
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


# ----------------------------------------------------------------------------------------------
# declarations


@dataclass(frozen=True)
class Row:
    """A row of a table, or the rows of one record.

    Attributes
    ----------
    key : str
        Its name in the comment of a figure.
    label : str, optional
        Its first cell; the key if there is none.
    records : list of str
        File names in docs/results. One with ``*`` may match nothing.
    pair : str, optional
        ``"mnist to usps"``: source and target.
    where : mapping, optional
        Which runs of the records count, by fields of the run or options of the record.
    data : str, optional
        What it was trained on, where the names of the two data sets do not say it.
    literature : str, optional
        Whose figures it shows instead of a record's.
    each : str, optional
        A field of the runs, such as ``variant``: there is a row for each value of it.
    leave_out : list of str, optional
        Values that get no row.
    pending : bool, optional
        There may be no record yet. The row is left out until there is one.
    """

    key: str = ""
    label: str = ""
    records: Sequence[str] = ()
    pair: str = ""
    where: Where = field(default_factory=dict)
    data: str = ""
    literature: str = ""
    each: str = ""
    leave_out: Sequence[str] = ()
    pending: bool = False

    @property
    def of_pair(self) -> Where:
        """The pair as a condition on runs."""
        return dict(zip(("source", "target"), self.pair.split(" to "))) if self.pair else {}


@dataclass(frozen=True)
class Column:
    """A column of figures: which of a row's runs, what of each, and what of all of them."""

    heading: str
    metric: str = "accuracy"
    where: Where = field(default_factory=dict)
    statistic: str = ""
    digits: int = 4


@dataclass(frozen=True)
class Table:
    """A table: rows, names of columns, and headings that differ from the columns' own.

    Instead of rows of its own it may have those of another table, ``rows_of``.
    """

    rows_of: str = ""
    rows: Sequence[Mapping[str, Any]] = ()
    columns: Sequence[str] = ()
    first: str = ""
    headings: Mapping[str, str] = field(default_factory=dict)
    kind: str = "rows"


def declared(kind: type, content: Mapping[str, Any], where: str) -> Any:
    """One of the classes above from its entry in tables.toml."""
    try:
        return kind(**content)
    except TypeError as error:
        reason = str(error).partition(" ")[2]
        raise InputError(f"{where} of tables.toml {reason}; see the top of the file") from None


# ----------------------------------------------------------------------------------------------
# records


class Run(NamedTuple):
    """The figures of one run, and the file and the options of its record."""

    values: Mapping[str, Any]
    file: str
    options: Mapping[str, Any]

    def get(self, name: str) -> Any:
        """A field of the run, or an option of its record."""
        return self.values.get(name, self.options.get(name))

    def fits(self, where: Where) -> bool:
        """Whether the run answers a question.

        Trained on a source, it answers for each target that it was tested on; trained on a target,
        for every source.
        """

        def answers(name: str, wanted: Any) -> bool:
            if name == "target" and self.get("method") == "source":
                return wanted in self.tested
            if name == "source" and self.get("method") == "target":
                return True
            return self.get(name) == wanted

        return all(answers(name, wanted) for name, wanted in where.items())

    @property
    def tested(self) -> Iterable[str]:
        """The targets that it was tested on."""
        return self.values.get("confusion") or (self.values.get("target"),)

    def figure(self, metric: str, target: str | None) -> float:
        """What is measured: a field of the run, or something computed from its fields."""
        if metric == "minutes":
            return self.values["seconds"] / 60
        if metric == "domain":
            return domain_accuracy(self.values)
        if metric != "accuracy":
            return self.values[metric]
        if target in self.values.get("confusion", ()):
            return target_accuracy(Outcome(dict(self.values)), target)
        return self.values["target_class"]


def runs_of(file: str, record: Mapping[str, Any]) -> list[Run]:
    """The runs of a record. The first records of MNIST to MNIST-M named no pair."""
    options = record.get("options", {})
    pair = {}
    if record.get("program") == "python -m minidann.mnistm" and options.get("data") == "mnistm":
        pair = {"source": "mnist", "target": "mnistm"}
    found = [Run(pair | run, file, options) for run in record.get("runs", ())]
    for run in found:
        if "stopped_at" in run.values:
            raise InputError(
                f"seed {run.get('seed')} of {file} was stopped at step {run.get('stopped_at')}; "
                "finish it with --resume and copy the record again"
            )
    return found


class _Parser(Exception):
    """Carries a program's parser out of the program."""


@cache
def defaults(program: str) -> Mapping[str, Any]:
    """What a program takes for the options that are not given."""

    def instead(parser: argparse.ArgumentParser, *_: Any) -> None:
        raise _Parser(parser)

    with patch.object(argparse.ArgumentParser, "parse_args", instead):
        try:
            import_module(program).parse([])
        except _Parser as found:
            return {action.dest: action.default for action in found.args[0]._actions}
    return {}


def command(record: Mapping[str, Any]) -> str:
    """The command that gives the figures of a record, without options that change none."""
    usual = defaults(record["program"].split()[-1])
    words = [record["program"]]
    for name, value in record["options"].items():
        if name in NO_EFFECT or value is None or value is False or value == usual.get(name):
            continue
        if name == "recipe" and name not in usual:  # of a program that has but one
            continue
        if name == "data_dir":  # where it lies is the user's business
            value = Path(value).name
        values = value if isinstance(value, list) else [] if value is True else [value]
        words += [f"--{name.replace('_', '-')}", *map(quoted, values)]
    return " ".join(words)


def quoted(value: Any) -> str:
    """A value as it is written on the command line."""
    word = str(value)
    return word if shlex.quote(word) == word else f'"{word}"'


def together(commands: Iterable[str]) -> list[str]:
    """The commands; three that differ in ``--method`` alone as the one that runs every method."""
    methods: dict[str, dict[str, str]] = {}
    for each in commands:
        program, _, rest = each.partition(" --method ")
        method, _, rest = rest.partition(" ")
        methods.setdefault(f"{program} {rest}".strip(), {})[method] = each
    found = ([every] if set(METHODS) <= set(of) else of.values() for every, of in methods.items())
    return [each for some in found for each in some]


def commit(record: Mapping[str, Any]) -> str:
    """At which commit a record was made, in short."""
    full, _, dirty = record.get("environment", {}).get("commit", "").partition("-")
    return f"at {full[:7]}{'-dirty' if dirty else ''}" if full else NO_COMMIT


# ----------------------------------------------------------------------------------------------
# figures as text


def number(value: float, digits: int = 4) -> str:
    """``.9669``, without the zero."""
    text = f"{value:.{digits}f}"
    return re.sub(r"^(-?)0\.", r"\1.", text)


def with_spread(values: Sequence[float], digits: int = 4) -> str:
    """``.9669 ± .0018``, or the one value alone."""
    found = summarize(values)
    mean = number(found["mean"], digits)
    return f"{mean} ± {number(found['sd'], digits)}" if found["n"] > 1 else mean


def in_form(text: str, value: float) -> str:
    """A value in the form of the figure that stands there."""
    figure, percent = re.fullmatch(r"(.+?)( ?%)?", text).groups(default="")
    digits = len(figure.partition(".")[2])
    if percent:
        return number(100 * value, digits) + percent
    return number(value, 4 if figure == "?" else digits)


def listed(items: Iterable[str]) -> str:
    """``a, b and c``"""
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last


def seed_range(seeds: Iterable[int]) -> str:
    """``0 to 4``, ``0 and 1``, or a list."""
    found = sorted(seeds)
    if len(found) > 2 and found == list(range(found[0], found[-1] + 1)):
        return f"{found[0]} to {found[-1]}"
    return listed(map(str, found))


# ----------------------------------------------------------------------------------------------
# tables


class Results:
    """The records of a folder, and the tables that are declared there.

    Parameters
    ----------
    folder : path
        docs/results.

    Raises
    ------
    InputError
        From every method: one sentence about a record that is missing or does not fit, or about a
        mistake in tables.toml.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        content = read_toml(folder / "tables.toml")
        self.literature = read_toml(folder / "literature.toml")
        self.sets, self.older = content.get("sets", {}), content.get("older", {})
        self.notes = content.get("records", {})
        self.columns = {
            name: declared(Column, column, f"column {name}")
            for name, column in content["columns"].items()
        }
        self.tables = {
            name: declared(Table, table, f"table {name}")
            for name, table in content["tables"].items()
        }
        self.records = {path.name: read_json(path) for path in sorted(folder.glob("*.json"))}

    def table(self, name: str) -> Table:
        """The table of that name."""
        if name not in self.tables:
            raise InputError(f"tables.toml has no table {name!r}; it has {listed(self.tables)}")
        table = self.tables[name]
        return replace(table, rows=self.table(table.rows_of).rows) if table.rows_of else table

    def files(self, row: Row, of: str) -> list[str]:
        """The records of a row that are there."""
        found = []
        for pattern in row.records:
            matches = [name for name in self.records if Path(name).match(pattern)]
            if not (matches or "*" in pattern or row.pending):
                raise InputError(
                    f"{of} needs the record docs/results/{pattern}, which is not there; "
                    "copy it there, or take the row out of tables.toml"
                )
            found += matches
        if not (found or row.pending):
            raise InputError(
                f"{of} needs a record like docs/results/{' or '.join(row.records)}, and there is "
                "none; copy one there, or take the row out of tables.toml"
            )
        return list(dict.fromkeys(found))

    def rows(self, name: str) -> dict[str, Row]:
        """The rows of a table that there are records or literature for, by their keys."""
        found = {}
        for content in self.table(name).rows:
            row = declared(Row, content, f"a row of table {name}")
            for each in self.expanded(row, f"row {row.key or row.each} of table {name}"):
                if each.literature or (
                    self.files(each, f"row {each.key} of table {name}")
                    and (not each.pending or any(self.used(name, each).values()))
                ):
                    found[each.key] = each
        return found

    def expanded(self, row: Row, of: str) -> Iterator[Row]:
        """The row itself, or one for each value of a field."""
        if not row.each:
            yield row
            return
        runs = [run for file in self.files(row, of) for run in runs_of(file, self.records[file])]
        for value in dict.fromkeys(run.get(row.each) for run in runs if run.fits(row.where)):
            if value is not None and value not in row.leave_out:
                yield replace(row, key=value, each="", where={**row.where, row.each: value})

    def column(self, name: str) -> Column:
        """The column of figures of that name."""
        if name not in self.columns:
            raise InputError(f"tables.toml has no column {name!r}; it has {listed(self.columns)}")
        return self.columns[name]

    def runs(self, name: str, row: Row, column: str) -> dict[int, Run]:
        """The runs of a cell by their seeds."""
        where = {**row.of_pair, **row.where, **self.column(column).where}
        found: dict[int, Run] = {}
        for file in self.files(row, f"row {row.key} of table {name}"):
            for run in runs_of(file, self.records[file]):
                if not run.fits(where):
                    continue
                seed = run.get("seed")
                if seed in found:
                    raise InputError(
                        f"seed {seed} of row {row.key}, column {column} of table {name} is both in "
                        f"{found[seed].file} and in {file}; remove one, or narrow the row's where"
                    )
                found[seed] = run
        return dict(sorted(found.items()))

    def values(self, name: str, row: Row, column: str) -> dict[Any, float]:
        """The figures of a cell by their seeds. What is not a figure of runs has the key None."""
        if column == "share":
            return self.share(name, row)
        if row.literature:
            figures = self.literature[row.literature].get(row.pair, {})
            return {None: figures[column]} if column in figures else {}
        found = self.column(column)
        target = {**row.of_pair, **row.where, **found.where}.get("target")
        runs = self.runs(name, row, column)
        try:
            return {seed: run.figure(found.metric, target) for seed, run in runs.items()}
        except KeyError as error:
            raise InputError(
                f"row {row.key} of table {name} needs {error} of every run, which its record has "
                "not; record it again, or take the column out of tables.toml"
            ) from None

    def share(self, name: str, row: Row) -> dict[None, float]:
        """The share of the gap between source only and trained on target that DANN closes."""
        found = [list(self.values(name, row, m).values()) for m in ("source", "dann", "target")]
        if not all(found):
            return {}
        source, dann, target = (summarize(values)["mean"] for values in found)
        return {None: (dann - source) / (target - source)}

    def used(self, name: str, row: Row) -> dict[str, dict[int, Run]]:
        """The runs of each column of figures of a row. Literature has none."""
        if row.literature:
            return {}
        columns = [column for column in self.table(name).columns if column in self.columns]
        return {column: self.runs(name, row, column) for column in columns}

    def alike(self, name: str, row: Row) -> None:
        """Refuse a row whose runs are of different recipes or lengths."""
        for field_name in ("recipe", "steps"):
            found = {
                run.get(field_name)
                for runs in self.used(name, row).values()
                for run in runs.values()
            }
            if len(found) > 1:
                raise InputError(
                    f"row {row.key} of table {name} mixes runs whose {field_name} is "
                    f"{listed(sorted(map(str, found)))}; give it records or a where of one"
                )

    # ------------------------------------------------------------------------------------------
    # cells

    def cell(self, name: str, row: Row, column: str, page: Path) -> str:
        """The text of a cell."""
        if column in ORIGIN:
            return getattr(self, f"{column}_cell")(name, row, page)
        values = list(self.values(name, row, column).values())
        if not values:
            return NONE
        if column == "share":
            return f"{100 * values[0]:.0f} %"
        found = self.column(column)
        if found.statistic:
            return number(summarize(values)[found.statistic], found.digits)
        return with_spread(values, found.digits)

    def data_cell(self, name: str, row: Row, page: Path) -> str:
        """What the data sets of a row are; both of what one was, if its records differ."""
        if row.data:
            return row.data
        found = [commit(self.records[file]) == NO_COMMIT for file in self.records_of(name, row)]

        def called(data: str) -> str:
            names = (self.older.get(data) if old else None for old in dict.fromkeys(found))
            names = (each or self.sets.get(data, data) for each in names)
            return " and ".join(dict.fromkeys(names)) or self.sets.get(data, data)

        sets = list(row.of_pair.values())
        for column, runs in self.used(name, row).items():
            if runs and "target" in self.columns[column].where:
                sets.append(self.columns[column].where["target"])
            if not row.pair:
                sets += [run.get(end) for run in runs.values() for end in ("source", "target")]
        return "; ".join(map(called, dict.fromkeys(sets)))

    def seeds_cell(self, name: str, row: Row, page: Path) -> str:
        """The seeds, column by column where they differ."""
        if row.literature:
            return NONE
        texts = {
            self.heading(name, column): seed_range(runs)
            for column, runs in self.used(name, row).items()
            if runs
        }
        if len(set(texts.values())) == 1:
            return next(iter(texts.values()))
        return "; ".join(f"{heading} {seeds}" for heading, seeds in texts.items())

    def records_of(self, name: str, row: Row) -> list[str]:
        """The files that a row's runs are in, in the order of its declaration."""
        used = {run.file for runs in self.used(name, row).values() for run in runs.values()}
        return [file for file in self.files(row, row.key) if file in used]

    def command_cell(self, name: str, row: Row, page: Path) -> str:
        """The commands that gave the records."""
        if row.literature:
            return NONE
        commands = together(command(self.records[file]) for file in self.records_of(name, row))
        return "<br>".join(f"`{each}`" for each in commands)

    def record_cell(self, name: str, row: Row, page: Path) -> str:
        """Links to the records, with the commit of each."""
        if row.literature:
            return self.literature[row.literature]["cite"]
        by_commit: dict[str, list[str]] = {}
        for file in self.records_of(name, row):
            by_commit.setdefault(commit(self.records[file]), []).append(self.link(file, page))
        return "; ".join(f"{listed(files)}, {at}" for at, files in by_commit.items())

    def link(self, file: str, page: Path) -> str:
        """A link from a page to a file beside the records."""
        return f"[{file}]({Path(os.path.relpath(self.folder / file, page.parent)).as_posix()})"

    def heading(self, name: str, column: str) -> str:
        """What stands over a column."""
        own = self.columns[column].heading if column in self.columns else column
        return self.table(name).headings.get(column, own)

    # ------------------------------------------------------------------------------------------
    # whole tables

    def text(self, name: str, page: Path) -> str:
        """A table as Markdown, for a page."""
        kinds = {"rows": self.row_table, "matrix": self.matrix, "records": self.record_table}
        return kinds[self.table(name).kind](name, page)

    def row_table(self, name: str, page: Path) -> str:
        """A line for each row. What all rows have in common stands below."""
        columns, rows = self.table(name).columns, list(self.rows(name).values())
        for row in rows:
            self.alike(name, row)
        cells = {column: [self.cell(name, row, column, page) for row in rows] for column in columns}
        common = {
            column: found[0]
            for column, found in cells.items()
            if column in ORIGIN and len(found) > 1 and len(set(found)) == 1
        }
        shown = [column for column in columns if column not in common]
        head = [self.table(name).first, *(self.heading(name, column) for column in shown)]
        labels = [row.label or row.key for row in rows]
        text = as_markdown([head, *zip(labels, *(cells[column] for column in shown))])
        if not common:
            return text
        below = "; ".join(f"{column} {cell}" for column, cell in common.items())
        return f"{text}\n{wrapped(f'In every row: {below}.')}\n"

    def matrix(self, name: str, page: Path) -> str:
        """dann_tf2.0's table, as the program prints it."""
        (row,) = self.rows(name).values()
        runs = [run for file in self.files(row, name) for run in runs_of(file, self.records[file])]
        fields = ("source", "target", "method", "seed")
        outcomes = {
            Task(*(run.get(each) for each in fields)): Outcome(dict(run.values)) for run in runs
        }
        names = dict.fromkeys(run.get("source") for run in runs if run.get("method") == "source")
        return f"```\n{matrix_table(outcomes, list(names))}\n```\n"

    def record_table(self, name: str, page: Path) -> str:
        """A line for each record of the folder."""
        lines = [["record", "command", "seeds", "made", "note"]]
        for file, record in self.records.items():
            note = self.notes.get(file, {})
            history = file.replace(".json", "-history.csv")
            files = [self.link(file, page)]
            if (self.folder / history).exists():
                files.append(f"[history]({history})")
            seeds = {run.get("seed") for run in runs_of(file, record)}
            figures = f"Figures: `{note['figures']}`." if "figures" in note else ""
            lines.append(
                [
                    ", ".join(files),
                    f"`{command(record) if 'program' in record else note['command']}`",
                    seed_range(seeds) if seeds else NONE,
                    commit(record),
                    " ".join(filter(None, (note.get("note", ""), figures))),
                ]
            )
        return as_markdown(lines)

    # ------------------------------------------------------------------------------------------
    # figures

    def figure(self, path: str, text: str) -> str:
        """The figure that a comment names, in the form of the text that stands before it."""
        name, key, column, statistic = [*path.split("/"), "", ""][:4]
        rows = self.rows(name)
        if key not in rows:
            raise InputError(f"table {name} has no row {key!r}; it has {listed(rows) or 'none'}")
        values = self.values(name, rows[key], column)
        if not values:
            raise InputError(f"row {key} of table {name} has no figure in column {column!r}")
        figures = list(values.values())
        if statistic.startswith("seed "):
            seed = int(statistic.removeprefix("seed "))
            if seed not in values:
                raise InputError(f"row {key} of table {name} has no seed {seed} in {column!r}")
            return in_form(text, values[seed])
        if statistic == "count":
            return WORDS[len(figures)] if len(figures) < len(WORDS) else str(len(figures))
        if statistic == "each":
            first = re.match(NUMBER, text)[0]
            return listed(in_form(first, value) for value in figures)
        if statistic in ("min", "max"):
            return in_form(text, min(figures) if statistic == "min" else max(figures))
        if statistic:
            raise InputError(f"{path!r} ends in no statistic; choose min, max, each, seed N, count")
        mean, plus_minus, spread = text.partition("±")
        found = summarize(figures)
        if not plus_minus:
            return in_form(text, found["mean"])
        return f"{in_form(mean.strip(), found['mean'])} ± {in_form(spread.strip(), found['sd'])}"


def wrapped(text: str) -> str:
    """A paragraph of lines of at most 100 characters."""
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)


def as_markdown(lines: Sequence[Sequence[str]]) -> str:
    """A head and rows of cells as a table."""
    head, *rows = (f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in lines)
    return "\n".join([head, "|" + " --- |" * len(lines[0]), *rows]) + "\n"


def read_json(path: Path) -> Mapping[str, Any]:
    """A record."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is no record ({error}); copy it again") from error


def read_toml(path: Path) -> dict[str, Any]:
    """Declarations."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} cannot be read ({error}); mend it") from error


# ----------------------------------------------------------------------------------------------
# pages

SEGMENT = re.compile(
    r"(?P<open>^<!-- table: (?P<name>[\w-]+) -->\n)(?P<table>.*?)(?P<close>^<!-- end -->$)"
    r"|^```.*?^```$",
    re.MULTILINE | re.DOTALL,
)
COMMENT = re.compile(r"<!--\s([^<>/]+/[^<>]+?)\s-->")
NUMBER = r"(?:\?|(?<![\w.])-?\d*\.?\d+(?: ?%)?)"
FORMS = {  # what may stand before the comment, by its statistic
    "each": re.compile(rf"{NUMBER}(?:(?:,|\sand)\s{NUMBER})*\Z"),
    "count": re.compile(r"[\w?]+\Z"),
    "": re.compile(rf"{NUMBER}(?:\s±\s{NUMBER})?\Z"),
}
LONGEST = 400  # characters of a list of figures


class Change(NamedTuple):
    """A place that is stale: where, what stands there and what should."""

    page: str
    line: int
    what: str
    old: str
    new: str

    def __str__(self) -> str:
        place = f"{self.page}:{self.line}"
        if self.what.startswith("table"):
            return f"{place}: {self.what}"
        return f"{place}: {self.old} -> {self.new} ({self.what})"


def place_of(text: str, comment: re.Match) -> re.Match | None:
    """The figure before a comment."""
    form = FORMS.get(comment[1].rpartition("/")[2], FORMS[""])
    return form.search(text, max(0, comment.start() - LONGEST), comment.start())


def fill(text: str, page: Path, results: Results) -> tuple[str, list[Change]]:
    """A page with its tables and figures as the records give them, and what has changed."""
    name = page.relative_to(ROOT).as_posix()
    changes: list[Change] = []

    def line(position: int) -> int:
        return text.count("\n", 0, position) + 1

    def change(start: int, what: str, old: str, new: str) -> str:
        if " ".join(old.split()) == " ".join(new.split()):
            return old  # however its lines are broken
        changes.append(Change(name, line(start), what, " ".join(old.split()), new))
        return new

    def prose(start: int, end: int) -> str:
        parts = []
        for comment in COMMENT.finditer(text, start, end):
            path = " ".join(comment[1].split())
            attached = not text[comment.start() - 1].isspace()
            if not attached and path.split("/")[0] not in results.tables:
                continue  # a comment like any other
            figure = place_of(text, comment)
            if figure is None:
                raise InputError(
                    f"no figure stands right before <!-- {path} --> in line "
                    f"{line(comment.start())} of {name}; write one there, or a ?"
                )
            try:
                new = results.figure(path, " ".join(figure[0].split()))
            except InputError as error:
                raise InputError(f"line {line(figure.start())} of {name}: {error}") from None
            parts += [text[start : figure.start()], change(figure.start(), path, figure[0], new)]
            start = figure.end()
        rest = text[start:end]
        if unclosed := re.search(r"^<!-- (table:.*|end) -->$", rest, re.MULTILINE):
            raise InputError(
                f"{unclosed[0]} in line {line(start + unclosed.start())} of {name} is alone; a "
                "table stands between <!-- table: NAME --> and <!-- end -->, each on its own line"
            )
        return "".join([*parts, rest])

    filled, position = [], 0
    for segment in SEGMENT.finditer(text):
        filled.append(prose(position, segment.start()))
        position = segment.end()
        if segment["name"] is None:  # a block of code
            filled.append(segment[0])
            continue
        table = results.text(segment["name"], page)
        new = change(segment.start(), f"table {segment['name']}", segment["table"], table)
        filled.append(segment["open"] + new + segment["close"])
    return "".join([*filled, prose(position, len(text))]), changes


def pages() -> list[Path]:
    """The pages that may hold figures."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python docs/tables.py",
        allow_abbrev=False,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; exit status 1 if anything is stale",
    )
    return parser.parse_args(argv)


@clear_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Fill all pages, or say what is stale."""
    check = parse(argv).check
    results = Results(ROOT / "docs/results")
    changes = []
    for page in pages():
        text, found = fill(page.read_text(encoding="utf-8"), page, results)
        changes += found
        if found and not check:
            with replacing(page) as temporary:
                temporary.write_text(text, encoding="utf-8")
    print("\n".join(map(str, changes)) or "Every table and figure is what the records give.")
    return 1 if check and changes else 0


if __name__ == "__main__":
    sys.exit(main())
