"""Text tables: what is printed at the end of an experiment. Every figure is the last step's."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from minidann.experiments.points import Regime
from minidann.experiments.records import spread, summarize
from minidann.experiments.runs import METHODS, Outcome, Task

Outcomes = Mapping[Task, Outcome]
Records = Sequence[Mapping[str, Any]]


def of_pair(
    outcomes: Outcomes, source: str, target: str, method: str, variant: str | None = None
) -> dict[Task, Outcome]:
    """The outcomes that say how a method, or a variant of it, does from source to target.

    For source only, any run on the source that was tested on the target; for the ceiling, any run
    on the target.
    """

    def fits(task: Task) -> bool:
        if method == "source":
            return task.source == source
        return task.target == target if method == "target" else task.pair == (source, target)

    return {
        task: outcome
        for task, outcome in outcomes.items()
        if (task.method, task.variant) == (method, variant)
        and fits(task)
        and target in outcome.record["confusion"]
    }


def target_accuracy(outcome: Outcome, target: str) -> float:
    """The share of right answers in the confusion matrix of a target."""
    counts = np.array(outcome.record["confusion"][target])
    return float(np.trace(counts) / counts.sum())


def domain_accuracy(record: Mapping[str, Any]) -> float:
    """The mean of the domain head's accuracies on both domains."""
    return (record["source_domain"] + record["target_domain"]) / 2


def pair_table(outcomes: Outcomes, pairs: Sequence[tuple[str, str]]) -> str:
    """A line for each method of each pair, and the share of the gap that DANN closes."""
    heads = ("source accuracy", "target accuracy", "domain accuracy")
    rows = in_order(outcomes)
    width = max([36, *(len(f"{' to '.join(pair)}, {METHODS['target']}") for pair in pairs)])
    lines = [line("", heads, width) + f" {'seconds':>8}"]
    for source, target in pairs:
        means = {}
        for method, variant in rows:
            found = of_pair(outcomes, source, target, method, variant)
            if not found:
                continue
            records = [outcome.record for outcome in found.values()]
            on_target = [target_accuracy(outcome, target) for outcome in found.values()]
            means[variant or method] = sum(on_target) / len(on_target)
            of_source = all(task.source == source for task in found)
            cells = (
                spread([record["source_class"] for record in records]) if of_source else "-",
                spread(on_target),
                spread(list(map(domain_accuracy, records))) if method == "dann" else "-",
            )
            seconds = sum(record["seconds"] for record in records) / len(records)
            title = f"{source} to {target}, {variant or METHODS[method]}"
            lines.append(line(title, cells, width) + f" {seconds:>8.0f}")
        if means.keys() >= METHODS.keys() and means["target"] > means["source"]:
            share = (means["dann"] - means["source"]) / (means["target"] - means["source"])
            gap = "of the gap between source only and trained on target"
            lines.append(f"{'':<{width}} DANN closes {share:.1%} {gap}")
    return "\n".join(lines)


def in_order(tasks: Iterable[Task]) -> list[tuple[str, str | None]]:
    """(method, variant) of the tasks, as the methods stand in METHODS, each before its variants."""
    found = dict.fromkeys((task.method, task.variant) for task in tasks)
    return sorted(found, key=lambda row: (list(METHODS).index(row[0]), row[1] or ""))


def matrix_table(outcomes: Outcomes, names: Sequence[str]) -> str:
    """dann_tf2.0's table for each method: a row a set trained on, a column a set tested on.

    The diagonal is source only's own.
    """
    lines = []
    for method in ("source", "dann"):
        lines += [
            f"{METHODS[method]}: accuracy on the test images of",
            f"{'trained on':<12}" + "".join(f"{name:>18}" for name in names),
        ]
        for source in names:
            row = f"{source:<12}"
            for target in names:
                found = of_pair(outcomes, source, target, "source" if source == target else method)
                values = [target_accuracy(outcome, target) for outcome in found.values()]
                row += f"{spread(values) if values else '-':>18}"
            lines.append(row)
    return "\n".join(lines)


def variant_table(records: Records) -> str:
    """A line for each variant of the ablation."""
    heads = ("source accuracy", "target accuracy", "domain accuracy", "own statistics")
    lines = [line("", heads, 50)]
    for variant in dict.fromkeys(record["variant"] for record in records):
        runs = [record for record in records if record["variant"] == variant]
        columns = (
            [record["source_class"] for record in runs],
            [record["target_class"] for record in runs],
            [domain_accuracy(record) for record in runs],
            [record["target_class_own_statistics"] for record in runs],
        )
        lines.append(line(variant, map(spread, columns), 50))
    return "\n".join(lines)


def line(title: str, cells: Iterable[str], width: int) -> str:
    """A title on the left, cells on the right."""
    return f"{title:<{width}} " + " ".join(f"{cell:>18}" for cell in cells)


def regime_table(records: Records, regimes: Mapping[str, Regime]) -> str:
    """A line for each regime of Blobs; in parentheses what an untrained head says."""
    heads = ("source class", "target class", "source domain", "target domain")
    several = len(records) > len(regimes)
    width = 20 if several else 15
    lines = [f"{'':<24}" + "".join(f"{head:>{width}}" for head in heads)]
    for title, regime in regimes.items():
        runs = [record for record in records if record["regime"] == title]
        row = f"{title:<24}"
        for head in heads:
            cell = spread([record[head.replace(" ", "_")] for record in runs])
            untrained = regime.objective == ("domain" if "class" in head else "label")
            row += f"{f'({cell})' if untrained else cell:>{width}}"
        lines.append(row)
    if several:
        worst = [
            summarize([record["target_class"] for record in records if record["regime"] == title])
            for title in regimes
        ]
        column = [f"{'target class min':>18}", *(f"{found['min']:>18.4f}" for found in worst)]
        lines = [row + cell for row, cell in zip(lines, column, strict=True)]
    return "\n".join(lines)
