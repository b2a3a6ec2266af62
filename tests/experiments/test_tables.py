"""Tables: which run answers which question, and what is in the cells."""

import numpy as np
import pytest

from minidann.experiments.points import RECIPES
from minidann.experiments.runs import METHODS, Outcome, Task
from minidann.experiments.tables import (
    matrix_table,
    of_pair,
    pair_table,
    regime_table,
    target_accuracy,
    variant_table,
)
from minidann.experiments.variants import VARIANTS

FIGURES = {
    "source_class": 0.9,
    "source_domain": 0.5,
    "target_class": 0.7,
    "target_domain": 0.5,
    "seconds": 10.0,
}


TF_DANN = RECIPES["tf-dann"]


def matrix(right):
    """Counts of 100 images of which so many are right."""
    counts = np.zeros((10, 10), int)
    counts[0, 0], counts[0, 1] = right, 100 - right
    return counts.tolist()


def outcome(task, **right):
    confusion = {name: matrix(n) for name, n in right.items()}
    return Outcome(task.record() | FIGURES | {"confusion": confusion})


OUTCOMES = {
    task: outcome(task, **right)
    for task, right in (
        (Task("a", "b", "source", 0), {"b": 50, "c": 40}),  # trained once, tested on both
        (Task("a", "b", "source", 1), {"b": 52, "c": 42}),
        (Task("a", "b", "target", 0), {"b": 91}),
        (Task("a", "c", "target", 0), {"c": 96}),
        (Task("a", "b", "dann", 0), {"b": 71}),
        (Task("a", "c", "dann", 0), {"c": 61}),
        (Task("d", "c", "dann", 0), {"c": 81}),
    )
}


def test_a_network_trained_on_the_source_serves_all_its_targets_and_the_ceiling_all_its_sources():
    def found(source, target, method):
        outcomes = of_pair(OUTCOMES, source, target, method).values()
        return [target_accuracy(outcome, target) for outcome in outcomes]

    assert found("a", "c", "source") == [0.4, 0.42] and found("a", "b", "source") == [0.5, 0.52]
    assert found("d", "c", "target") == [0.96] and found("d", "c", "source") == []
    assert found("a", "c", "dann") == [0.61] and found("d", "c", "dann") == [0.81]


def test_the_table_has_the_share_of_the_gap_that_is_closed():
    rows = pair_table(OUTCOMES, [("a", "b"), ("d", "c")]).splitlines()
    assert rows[1].startswith("a to b, source only") and rows[1].split()[-4:-2] == [
        "0.9000",
        "0.5100",
    ]
    assert rows[2].split() == ["+-", "0.0000", "0.0141"]
    assert "closes 50.0%" in rows[5]  # (.71 - .51) / (.91 - .51)
    assert not any("closes" in row for row in rows[6:])  # of d to c there is no source only
    ceiling = next(row for row in rows if row.startswith("d to c, trained on target"))
    assert ".9600" in ceiling and "0.9000" not in ceiling  # which was trained beside another source


def test_only_dann_has_a_domain_accuracy():
    rows = pair_table(OUTCOMES, [("a", "b")]).splitlines()
    assert rows[0].split()[-1] == "seconds"
    source, _, target, dann = (row.split() for row in rows[1:5])
    assert source[-2:] == target[-2:] == ["-", "10"] and dann[-2:] == ["0.5000", "10"]


def test_a_variant_of_a_method_has_a_row_of_its_own_below_it():
    variant = Task("a", "b", "dann", 0, "other")
    rows = pair_table({variant: outcome(variant, b=88)} | OUTCOMES, [("a", "b")]).splitlines()
    titles = [row.split("  ")[0] for row in (rows[1], *rows[3:6])]
    assert titles == [f"a to b, {name}" for name in ("source only", "trained on target")] + [
        "a to b, DANN",
        "a to b, other",
    ]
    assert "0.8800" in rows[5] and "closes 50.0%" in rows[6]  # of DANN, as without the variant


def test_where_there_is_no_gap_no_share_of_it_is_closed():
    tasks = {"source": 96, "target": 95, "dann": 97}
    found = {Task("a", "b", name, 0): right for name, right in tasks.items()}
    table = pair_table({task: outcome(task, b=n) for task, n in found.items()}, [("a", "b")])
    assert "closes" not in table and len(table.splitlines()) == 4


def test_long_names_leave_the_columns_in_place():
    task = Task("a" * 20, "b" * 20, "dann", 0)
    found = pair_table({task: outcome(task, **{task.target: 3})}, [task.pair])
    head, title, row = found.splitlines()
    assert len(head) == len(row) and title == f"{'a' * 20} to {'b' * 20}, DANN"


def test_the_matrix_reads_sources_down_and_targets_across():
    outcomes = {
        task: outcome(task, **right)
        for task, right in (
            (Task("mnist", "usps", "source", 0), {"mnist": 99, "usps": 80}),
            (Task("usps", "mnist", "source", 0), {"mnist": 60, "usps": 97}),
            (Task("mnist", "usps", "dann", 0), {"usps": 90}),
            (Task("usps", "mnist", "dann", 0), {"mnist": 70}),
        )
    }
    rows = [line.split() for line in matrix_table(outcomes, ["mnist", "usps"]).splitlines()]
    assert rows[2] == ["mnist", "0.9900", "0.8000"] and rows[3] == ["usps", "0.6000", "0.9700"]
    assert rows[6] == ["mnist", "0.9900", "0.9000"] and rows[7] == ["usps", "0.7000", "0.9700"]


def test_the_matrix_has_no_figure_where_there_was_no_run():
    rows = matrix_table(OUTCOMES, ["a", "d"]).splitlines()
    assert [row.split() for row in rows[2:4]] == [["a", "-", "-"], ["d", "-", "-"]]


def test_a_variant_has_a_line_with_the_means_of_its_seeds():
    def record(variant, seed, target):
        adapted = {"target_class": target, "target_class_own_statistics": target + 0.1}
        task = Task("a", "b", "dann", seed, variant)
        return task.record() | FIGURES | adapted | {"source_domain": 0.3}

    records = [record("one", 0, 0.6), record("one", 1, 0.8), record("the other", 0, 0.5)]
    _, head, one, deviations, other = variant_table(records).splitlines()
    assert head.split()[-4:] == ["source", "target", "domain", "adapted"]
    assert one.split() == ["one", "0.9000", "0.7000", "0.4000", "0.8000"]
    assert deviations.split() == ["+-", "0.0000", "0.1414", "0.0000", "0.1414"]
    assert other.split() == ["the", "other", "0.9000", "0.5000", "0.4000", "0.6000"]


def regime_record(regime, seed, target):
    return {"regime": regime, "seed": seed} | FIGURES | {"target_class": target}


def test_what_an_untrained_head_says_stands_in_parentheses():
    rows = regime_table([regime_record(name, 0, 0.7) for name in TF_DANN], TF_DANN).splitlines()
    cells = {title: row[20:].split() for title, row in zip(TF_DANN, rows[1:], strict=True)}
    assert cells["label only"] == ["0.9000", "0.7000", "(0.5000)", "(0.5000)"]
    assert cells["domain classifier"] == ["(0.9000)", "(0.7000)", "0.5000", "0.5000"]
    assert cells["DANN deep"] == ["0.9000", "0.7000", "0.5000", "0.5000"]
    assert "min" not in rows[0]


@pytest.mark.parametrize("regimes", RECIPES.values(), ids=RECIPES)
def test_several_seeds_have_a_mean_and_a_worst(regimes):
    records = [
        regime_record(name, seed, target)
        for seed, target in enumerate((0.7, 0.5, 0.9))
        for name in regimes
    ]
    rows = regime_table(records, regimes).splitlines()
    assert len(rows) == 1 + 3 * len(regimes)
    for title, *found in zip(regimes, rows[1::3], rows[2::3], rows[3::3]):
        means, deviations, least = (row.removeprefix(title).split() for row in found)
        assert means[1].strip("()") == "0.7000" and deviations[2] == "0.2000"
        assert least == ["min", "0.5000"]


@pytest.mark.parametrize("seeds", [1, 3])
def test_every_table_fits_80_columns(seeds):
    """A terminal of that width would wrap each of its lines."""
    names = ["mnist", "mnistm", "mnistm-release", "svhn", "synth"]
    pair = ("synsigns-small", "gtsrb-small")
    tasks = {Task(*pair, method, seed) for method in METHODS for seed in range(seeds)}
    own = {"target_class_own_statistics": 1.0}
    regimes = [regime_record(name, seed, 1) for name in TF_DANN for seed in range(seeds)]
    for text in (
        pair_table({task: outcome(task, **{pair[1]: 99}) for task in tasks}, [pair]),
        matrix_table(
            {
                task: outcome(task, **dict.fromkeys(names, 99))
                for seed in range(seeds)
                for name in names
                for task in [Task(name, "usps", "source", seed)]
            },
            names,
        ),
        variant_table(
            [
                Task("a", "b", "dann", seed, variant).record() | FIGURES | own
                for variant in VARIANTS
                for seed in range(seeds)
            ]
        ),
        regime_table(regimes, TF_DANN),
    ):
        assert max(map(len, text.splitlines())) < 80, text
