"""The tables of docs/results/digits.md hold what the records beside it hold."""

import json
import re
from pathlib import Path

import pytest

from minidann.experiments.records import summarize
from minidann.experiments.runs import Outcome, Task
from minidann.experiments.tables import matrix_table, of_pair, target_accuracy
from minidann.experiments.variants import VARIANTS

RESULTS = Path(__file__).parents[1] / "docs/results"
NAMES = {"MNIST": "mnist", "MNIST-M": "mnistm", "USPS": "usps", "SYN": "synth", "SVHN": "svhn"}


COLUMNS = {
    "source only": "source",
    "DANN": "dann",
    "DANN and pseudo-labels": "dann",
    "trained on target": "target",
}


def rows():
    """(pair, cells by their column) of each row of a table that names its records.

    A row of the first table is of MNIST to MNIST-M.
    """
    found, header = [], [""]
    for line in (RESULTS / "digits.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| |") or not line.startswith("|"):
            header = cells
        if header[-1] == "records" and ".json" in cells[-1]:
            pair = cells[0].split(" to ") if " to " in cells[0] else ("MNIST", "MNIST-M")
            found.append(
                (tuple(NAMES[name] for name in pair), dict(zip(header, cells, strict=True)))
            )
    return found


def outcomes(cell):
    """The runs in the records that a cell names, all of one recipe."""
    records = [
        json.loads((RESULTS / name).read_text()) for name in re.findall(r"`([\w.-]+)`", cell)
    ]
    assert len({record["options"].get("recipe") for record in records}) == 1, cell
    runs = [run for record in records for run in record["runs"]]
    whole = [
        {"source": "mnist", "target": "mnistm"} | run for run in runs
    ]  # tf-dann's records name no pair
    names = ("source", "target", "method", "seed")
    return {Task(*(run[name] for name in names)): Outcome(run) for run in whole}


def accuracy(outcome, target):
    return (
        target_accuracy(outcome, target)
        if "confusion" in outcome.record
        else outcome.record["target_class"]
    )


def figure(values):
    """``.9669 +- .0018``, or the one value alone, as the page writes them."""
    found = summarize(values)
    text = f"{found['mean']:.4f}" + (f" +- {found['sd']:.4f}" if found["n"] > 1 else "")
    return text.replace("0.", ".")


@pytest.mark.parametrize(
    "pair, cells", rows(), ids=lambda value: "-".join(value) if isinstance(value, tuple) else ""
)
def test_a_row_holds_what_its_records_hold(pair, cells):
    mean, runs = {}, outcomes(cells["records"])
    for column in COLUMNS.keys() & cells:
        method = COLUMNS[column]
        found = [
            run
            for task, run in runs.items()
            if task.method == method and (task.source, task.target) == pair
        ]
        if all("confusion" in run.record for run in runs.values()):
            found = list(of_pair(runs, *pair, method).values())
        values = [accuracy(run, pair[1]) for run in found]
        assert cells[column] == figure(values), column
        mean[method] = sum(values) / len(values)
    assert (
        cells["share"]
        == f"{100 * (mean['dann'] - mean['source']) / (mean['target'] - mean['source']):.0f} %"
    )


def test_there_are_rows():
    assert len(rows()) == 13


def test_the_table_of_the_ablation_holds_what_its_record_holds():
    runs = json.loads((RESULTS / "ablation.json").read_text())["runs"]
    lines = (RESULTS / "digits.md").read_text(encoding="utf-8").splitlines()
    start = lines.index("| variant | source | target | domain head | own statistics |") + 2
    found = {
        cells[0]: cells[1:]
        for cells in (
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in lines[start : start + len(VARIANTS)]
        )
    }
    assert list(found) == list(VARIANTS)
    for variant, cells in found.items():
        records = [run for run in runs if run["variant"] == variant]
        domain = [(run["source_domain"] + run["target_domain"]) / 2 for run in records]
        columns = [
            [run[key] for run in records]
            for key in ("source_class", "target_class", "target_class_own_statistics")
        ]
        assert cells == [figure(values) for values in (*columns[:2], domain, columns[2])], variant


def test_tutorial_13_quotes_the_record_of_the_ablation():
    runs = json.loads((RESULTS / "ablation.json").read_text())["runs"]
    text = (RESULTS.parents[1] / "tutorials/13_what_goes_wrong.py").read_text(encoding="utf-8")
    for variant, where in (("best", "with the schedule"), ("lambda 1 throughout", "without")):
        assert (
            f"{figure([run['target_class'] for run in runs if run['variant'] == variant])} {where}"
            in text
        )


def test_the_table_of_what_is_in_pseudo_holds_what_its_records_hold():
    lines = (RESULTS / "digits.md").read_text(encoding="utf-8").splitlines()
    start = lines.index("| what is in it | SYN to MNIST | SYN to MNIST-M | seeds | record |") + 2
    for line in lines[start : lines.index("", start)]:
        _, *cells, seeds, name = [cell.strip() for cell in line.strip("|").split("|")]
        runs = outcomes(name)
        method = "source" if "source only" in line else "dann"
        found = [of_pair(runs, "synth", target, method) for target in ("mnist", "mnistm")]
        assert cells == [
            figure([accuracy(run, target) for run in of.values()]) if of else ""
            for of, target in zip(found, ("mnist", "mnistm"))
        ], line
        trained_on = [task.seed for task in found[0]]
        assert seeds == (
            f"{min(trained_on)} to {max(trained_on)}" if len(trained_on) > 1 else str(*trained_on)
        ), line


@pytest.mark.parametrize(
    "row, names",
    [
        ("`svhn`, seed 0", "`svhn-synth-source.json` `svhn-synth.json`"),
        ("`light`, three seeds", "`light-synth.json`"),
    ],
)
def test_the_row_of_the_large_network_and_of_the_light_one(row, names):
    (line,) = [
        line
        for line in (RESULTS / "digits.md").read_text(encoding="utf-8").splitlines()
        if line.startswith(f"| {row} |")
    ]
    found = [
        list(of_pair(outcomes(names), "synth", "mnist", method).values())
        for method in ("source", "dann")
    ]
    assert {outcome.record["steps"] for of in found for outcome in of} == {2000}
    minutes = [
        f"{sum(outcome.record['seconds'] for outcome in of) / len(of) / 60:.0f}" for of in found
    ]
    accuracies = [figure([accuracy(outcome, "mnist") for outcome in of]) for of in found]
    assert [cell.strip() for cell in line.strip("|").split("|")[1:]] == [
        *accuracies,
        ", ".join(minutes),
    ]


def test_the_matrix_on_the_page_is_the_programs_own():
    runs = outcomes("`matrix.json`")
    names = list(dict.fromkeys(task.source for task in runs if task.method == "source"))
    page = (RESULTS / "digits.md").read_text(encoding="utf-8")
    assert len(names) == 4 and matrix_table(runs, names) in page


def test_the_figures_of_pairs_in_the_faq_are_those_of_the_page():
    page, faq = (
        path.read_text(encoding="utf-8")
        for path in (RESULTS / "digits.md", RESULTS.parent / "faq.md")
    )
    section = faq.split("## The domains are mixed", 1)[1].split("\n## ", 1)[0]
    found = re.findall(r"\.\d{4}\b", section)
    assert len(found) > 3 and set(found) <= set(re.findall(r"\.\d{4}\b", page))
