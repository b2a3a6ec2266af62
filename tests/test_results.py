"""The tables of docs/results/digits.md hold what the records beside it hold."""

import json
import re
from pathlib import Path

import pytest

from minidann import ablation
from minidann.adaptation import Outcome, Task, of_pair, target_accuracy
from minidann.experiment import summarize

RESULTS = Path(__file__).parents[1] / "docs/results"
NAMES = {"MNIST": "mnist", "MNIST-M": "mnistm", "USPS": "usps", "SYN": "synth", "SVHN": "svhn"}


def rows():
    """(pair, cells) of each row of a table that names its records: a row of the first table is of MNIST to MNIST-M."""
    found = []
    for line in (RESULTS / "digits.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[-1].endswith("`") and ".json" in cells[-1]:
            pair = cells[0].split(" to ") if " to " in cells[0] else ("MNIST", "MNIST-M")
            found.append((tuple(NAMES[name] for name in pair), cells))
    return found


def outcomes(cell):
    """The runs in the records that a cell names."""
    records = [record for name in re.findall(r"`([\w.-]+)`", cell) for record in json.loads((RESULTS / name).read_text())["runs"]]
    whole = [{"source": "mnist", "target": "mnistm"} | record for record in records]  # tf-dann's records name no pair
    return {Task(*(record[name] for name in Task._fields)): Outcome(record, []) for record in whole}


def accuracy(outcome, target):
    return target_accuracy(outcome, target) if "confusion" in outcome.record else outcome.record["target_class"]


def figure(values):
    """``.9669 +- .0018``, or the one value alone, as the page writes them."""
    found = summarize(values)
    text = f"{found['mean']:.4f}" + (f" +- {found['sd']:.4f}" if found["n"] > 1 else "")
    return text.replace("0.", ".")


@pytest.mark.parametrize("pair, cells", rows(), ids=lambda value: value[0] if isinstance(value, list) else "")
def test_a_row_holds_what_its_records_hold(pair, cells):
    runs, means = outcomes(cells[-1]), {}
    for method, cell in zip(("source", "dann", "target"), cells[1:4], strict=True):
        found = [run for task, run in runs.items() if task.method == method and (task.source, task.target) == pair]
        if all("confusion" in run.record for run in runs.values()):
            found = list(of_pair(runs, *pair, method).values())
        values = [accuracy(run, pair[1]) for run in found]
        assert cell == (figure(values) if values else "")
        means[method] = sum(values) / len(values) if values else None
    if all(means.values()):
        share = (means["dann"] - means["source"]) / (means["target"] - means["source"])
        assert cells[4] == f"{100 * share:.0f} %"


def test_there_are_rows():
    assert len(rows()) >= 4


def test_the_table_of_the_ablation_holds_what_its_record_holds():
    runs = json.loads((RESULTS / "ablation.json").read_text())["runs"]
    lines = (RESULTS / "digits.md").read_text(encoding="utf-8").splitlines()
    start = lines.index("| variant | source | target | domain head | own statistics |") + 2
    found = {cells[0]: cells[1:] for cells in ([cell.strip() for cell in line.strip("|").split("|")] for line in lines[start : start + len(ablation.VARIANTS)])}
    assert list(found) == list(ablation.VARIANTS)
    for variant, cells in found.items():
        records = [run for run in runs if run["method"] == variant]
        domain = [(run["source_domain"] + run["target_domain"]) / 2 for run in records]
        columns = [[run[key] for run in records] for key in ("source_class", "target_class", "target_class_own_statistics")]
        assert cells == [figure(values) for values in (*columns[:2], domain, columns[2])], variant
