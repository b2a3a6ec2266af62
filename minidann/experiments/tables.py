"""Text tables: what is printed at the end of an experiment. Every figure is the last step's.

They fit a terminal of 80 columns: where there are several seeds, the standard deviation of a figure
stands below it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from minidann.experiments.points import Regime
from minidann.experiments.records import summarize
from minidann.experiments.runs import METHODS, Outcome, Task

Outcomes = Mapping[Task, Outcome]
Records = Sequence[Mapping[str, Any]]
WIDTH = 43  # columns of a title, which leave 36 for four figures


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
    rows = in_order(outcomes)
    lines = [line("accuracy on:", ("source", "target", "domain", "seconds"))]
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
            columns = (
                [record["source_class"] for record in records if of_source],
                on_target,
                [domain_accuracy(record) for record in records if method == "dann"],
            )
            seconds = sum(record["seconds"] for record in records) / len(records)
            title = f"{source} to {target}, {variant or METHODS[method]}"
            lines += figures(title, columns, last=f"{seconds:.0f}")
        if means.keys() >= METHODS.keys() and means["target"] > means["source"]:
            share = (means["dann"] - means["source"]) / (means["target"] - means["source"])
            gap = f"the gap between {METHODS['source']} and {METHODS['target']}"
            lines.append(f"DANN closes {share:.1%} of {gap}.")
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
            line("trained on", names, 16),
        ]
        for source in names:
            columns = []
            for target in names:
                found = of_pair(outcomes, source, target, "source" if source == target else method)
                columns.append([target_accuracy(outcome, target) for outcome in found.values()])
            lines += figures(source, columns, 16)
    return "\n".join(lines)


def variant_table(records: Records) -> str:
    """A line for each variant of the ablation."""
    lines = [
        "adapted: the target, with batch-norm statistics of its own",
        line("accuracy on:", ("source", "target", "domain", "adapted")),
    ]
    for variant in dict.fromkeys(record["variant"] for record in records):
        runs = [record for record in records if record["variant"] == variant]
        columns = (
            [record["source_class"] for record in runs],
            [record["target_class"] for record in runs],
            [domain_accuracy(record) for record in runs],
            [record["target_class_own_statistics"] for record in runs],
        )
        lines += figures(variant, columns)
    return "\n".join(lines)


def line(title: str, cells: Iterable[str], width: int = WIDTH) -> str:
    """A title on the left, cells on the right."""
    return f"{title:<{width}}" + "".join(f"{cell:>9}" for cell in cells)


def figures(
    title: str, columns: Sequence[Sequence[float]], width: int = WIDTH, last: str = ""
) -> list[str]:
    """The lines of a row: means, and below them the standard deviations if there are several seeds.

    A column without values has a dash. A title that is too long stands above; ``last`` is one more
    cell.
    """
    found = [summarize(values) if values else None for values in columns]
    above, title = ([title], "") if len(title) > width else ([], title)
    means = line(title, [*(f"{one['mean']:.4f}" if one else "-" for one in found), last], width)
    lines = [*above, means.rstrip()]
    if any(one and one["n"] > 1 for one in found):
        below = [f"{one['sd']:.4f}" if one and one["n"] > 1 else "" for one in found]
        lines.append(line(f"{'+-':>{width}}", below, width).rstrip())
    return lines


def regime_table(records: Records, regimes: Mapping[str, Regime]) -> str:
    """A line for each regime of Blobs; in parentheses what an untrained head says.

    With several seeds there are two more below it: the standard deviations, and the least of the
    target's accuracies.
    """
    heads = ("source class", "target class", "source domain", "target domain")
    lines = [wide("", heads)]
    for title, regime in regimes.items():
        runs = [record for record in records if record["regime"] == title]
        found = {head: summarize([run[head.replace(" ", "_")] for run in runs]) for head in heads}
        untrained = "domain" if regime.objective == "label" else "class"
        cells = [f"{one['mean']:.4f}" for one in found.values()]
        if regime.objective != "dann":
            cells = [f"({cell})" if untrained in head else cell for head, cell in zip(heads, cells)]
        lines.append(wide(title, cells))
        if len(runs) > 1:
            lines.append(wide("               +-", [f"{one['sd']:.4f}" for one in found.values()]))
            lines.append(wide("              min", ["", f"{found['target class']['min']:.4f}"]))
    return "\n".join(lines)


def wide(title: str, cells: Iterable[str]) -> str:
    """As :func:`line`, for regimes."""
    return f"{title:<20}" + "".join(f"{cell:>14}" for cell in cells)
