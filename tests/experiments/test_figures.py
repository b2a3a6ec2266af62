"""The figures of a pair show the runs that are about it."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from minidann.data import random_negatives
from minidann.data.registry import DATASETS
from minidann.experiments import figures, plots
from minidann.experiments.figures import pair_figures, save_figures
from minidann.experiments.recipes import RECIPES
from minidann.experiments.runs import Outcome, Task

PAIR = "digits", "digits-m"


@pytest.fixture
def drawn(monkeypatch):
    """What each plot is given, by the plot's name; nothing is drawn."""
    given = {}

    def keep(name):
        def plot(*arguments, **options):
            given[name] = (*arguments, *options.values())
            return Figure()

        return plot

    for name in ("image_grid", "curves", "embedding", "confusion", "confused_pairs"):
        monkeypatch.setattr(plots, name, keep(name))
    return given


def outcome(task, *targets):
    features = {target: np.full((4, 2), task.seed) for target in targets}
    record = task.record() | {"confusion": {target: [[task.seed]] for target in targets}}
    return Outcome(record, [task.record() | {"step": 1}], features)


@pytest.mark.parametrize("recipe", ["tf-dann", "best", "light"])
def test_the_figure_of_the_data_shows_what_the_recipe_does_to_the_images(recipe, settings, drawn):
    settings = replace(settings, recipe=recipe)
    assert [name for name, _ in pair_figures({}, *PAIR, settings)] == ["data"]
    digits, augment = drawn["image_grid"]
    assert list(digits) == list(augment) == ["source", "target"]
    assert augment["target"] is RECIPES[recipe].augment
    assert (augment["source"] is None) == (recipe == "tf-dann")


def test_the_figure_of_the_data_shows_the_negatives_that_were_asked_for(settings, drawn):
    list(pair_figures({}, *PAIR, replace(settings, recipe="best", negatives=True)))
    assert drawn["image_grid"][1] == {"source": random_negatives, "target": None}


def test_curves_are_of_all_runs_of_the_pair_and_the_rest_of_the_first_seed(settings, drawn):
    tasks = [
        Task(*PAIR, method, seed) for method in ("source", "target", "dann") for seed in (3, 4)
    ]
    outcomes = {task: outcome(task, "digits-m") for task in tasks}
    other = Task("digits", "usps", "dann", 3)
    names = [name for name, _ in pair_figures(outcomes | {other: outcome(other)}, *PAIR, settings)]
    assert names == ["data", "curves", "embedding", "confusion"]
    (rows,) = drawn["curves"]
    assert [(row["method"], row["seed"]) for row in rows] == [
        (task.method, task.seed) for task in tasks
    ]
    features, y_source, _ = drawn["embedding"]
    assert list(features) == ["source", "dann"]  # the ceiling is no way to adapt
    assert all((f == 3).all() for f in features.values()) and len(y_source) == 64
    (matrices,) = drawn["confusion"]
    assert matrices == {"source": [[3]], "target": [[3]], "dann": [[3]]}


def test_more_than_ten_classes_have_their_mistakes_listed_variants_too(
    settings, drawn, monkeypatch
):
    names = tuple("abcdefghijk")
    monkeypatch.setitem(DATASETS, "digits-m", DATASETS["digits-m"]._replace(classes=names))
    tasks = Task(*PAIR, "dann", 0, "other"), Task(*PAIR, "source", 0), Task(*PAIR, "dann", 0)
    list(pair_figures({task: outcome(task, "digits-m") for task in tasks}, *PAIR, settings))
    matrices, given = drawn["confused_pairs"]
    assert list(matrices) == list(drawn["embedding"][0]) == ["source", "dann", "other"]
    assert given == list(names) and "confusion" not in drawn


def test_source_only_of_another_pair_is_shown_if_it_was_tested_on_the_target(settings, drawn):
    task = Task("digits", "usps", "source", 0)
    outcomes = {task: outcome(task, "usps", "digits-m")}
    names = [name for name, _ in pair_figures(outcomes, *PAIR, settings)]
    assert names == ["data", "embedding", "confusion"]  # its curves are of the other pair


def test_the_files_of_several_pairs_begin_with_the_pair(settings, monkeypatch):
    monkeypatch.setattr(figures, "pair_figures", lambda *_: [("data", Figure())])
    assert save_figures({}, [PAIR], settings) == ["data.png"]
    names = save_figures({}, [PAIR, PAIR[::-1]], settings)
    assert names == ["digits-digits-m-data.png", "digits-m-digits-data.png"]
    for name in names:
        assert (settings.out / name).read_bytes().startswith(b"\x89PNG")
