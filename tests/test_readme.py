"""What the README claims is what the records hold, and its Python runs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from minidann.experiments.records import summarize

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def runs(name):
    return json.loads((ROOT / "docs/results" / name).read_text())["runs"]


def row(title):
    """The cells of the README's table row that starts with ``title``."""
    lines = [line.replace("**", "") for line in README.splitlines()]
    (line,) = [line for line in lines if line.startswith(f"| {title} |")]
    return [cell.strip() for cell in line.strip("|").split("|")[1:]]


def figures(values):
    summary = summarize(values)
    return (
        f"{summary['mean']:.4f}" + (f" +- {summary['sd']:.4f}" if len(values) > 1 else "")
    ).replace("0.", ".")


RECORDS = {
    "minidann, recipe tf-dann": ("mnistm.json", "mnistm-dann-seeds-2-3.json"),
    "minidann, recipe paper": (
        "mnistm-paper.json",
        "mnistm-paper-seeds-1-2.json",
        "mnistm-paper-source.json",
        "mnistm-paper-target.json",
    ),
    "minidann, recipe best": (
        "mnistm-best.json",
        "mnistm-best-source.json",
        "mnistm-best-target.json",
    ),
}


@pytest.mark.parametrize("title", RECORDS)
def test_the_mnistm_table_is_that_of_the_records(title):
    records = [record for name in RECORDS[title] for record in runs(name)]
    assert len({record["steps"] for record in records}) == 1
    for cell, method in zip(row(title), ("source", "dann", "target"), strict=True):
        values = [record["target_class"] for record in records if record["method"] == method]
        assert cell == (figures(values) if values else "")


@pytest.mark.parametrize(
    "title",
    ["label only", "DANN shallow", "DANN deep", "DANN deep, annealed", "DANN wide, annealed"],
)
def test_the_blobs_table_is_that_of_the_record(title):
    records = [r for r in runs("blobs.json") if r["regime"] == title]
    assert sorted(r["seed"] for r in records) == list(range(20)) and {
        r["steps"] for r in records
    } == {10_000}
    target = [r["target_class"] for r in records]
    assert row(title)[:3] == [
        figures([r["source_class"] for r in records]),
        figures(target),
        f"{min(target):.4f}"[1:],
    ]


def test_the_python_of_the_readme_runs():
    (code,) = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("[") == 1


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#h][^)]*)\)", README))))
def test_the_files_that_the_readme_links_to_exist(target):
    assert (ROOT / target).exists()
