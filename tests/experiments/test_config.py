"""Settings are frozen and refuse what is unknown; recipes are changed as they say."""

import argparse
import pickle
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest

from minidann.data import random_negatives
from minidann.experiments.config import Execution, ImageSettings, Settings
from minidann.experiments.recipes import RECIPES
from minidann.experiments.runs import Task
from minidann.runtime.errors import InputError

BAD = {
    "steps": (Settings, {"steps": 0}, "steps is 0"),
    "batch size": (Settings, {"batch_size": -1}, "batch_size is -1"),
    "lambda": (Settings, {"lam": float("nan")}, "lam is nan"),
    "device": (Settings, {"device": "tpu"}, "device is 'tpu'; choose one of cpu, gpu, auto"),
    "limit": (ImageSettings, {"recipe": "best", "limit": 0}, "limit is 0"),
    "recipe": (ImageSettings, {"recipe": "worst"}, "recipe is 'worst'; choose one of tf-dann"),
    "steps of images": (ImageSettings, {"recipe": "best", "steps": 0}, "steps is 0"),
}


@pytest.mark.parametrize("what", BAD)
def test_an_unknown_value_is_one_sentence(what):
    kind, given, message = BAD[what]
    with pytest.raises(InputError, match=message) as refused:
        kind(out=Path("out"), **given)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "given, message",
    [({"jobs": 0}, "jobs is 0"), ({"jobs": 2, "cluster": "tcp://a:1"}, "--jobs 2.*tcp://a:1")],
)
def test_an_execution_that_cannot_be_is_one_sentence(given, message):
    with pytest.raises(InputError, match=message):
        Execution(**given)


def test_nobody_changes_settings(settings):
    with pytest.raises(FrozenInstanceError):
        settings.steps = 7


def test_settings_go_to_other_processes(settings):
    settings = replace(settings, models={Task("a", "b", "dann", 0): "model.npz"})
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_options_that_have_a_field_are_taken(tmp_path):
    options = argparse.Namespace(steps=3, out=tmp_path, recipe="best", jobs=4, lam=0.5)
    settings = ImageSettings.from_options(options, tested=("a",), recipe="light")
    assert (settings.steps, settings.lam, settings.tested) == (3, 0.5, ("a",))
    assert settings.recipe == "light"  # what the program says has precedence
    assert not hasattr(settings, "jobs")


def test_what_is_asked_for_takes_the_place_of_what_the_recipe_says(settings):
    recipe = replace(settings, lam=0.5, steps=None, batch_size=7).adjust(RECIPES["best"])
    assert recipe.lam(0) == recipe.lam(1) == 0.5
    assert (recipe.steps, recipe.batch_size) == (RECIPES["best"].steps, 7)
    as_it_is = replace(settings, steps=None, batch_size=None).adjust(RECIPES["best"])
    assert as_it_is == RECIPES["best"]


def test_what_is_asked_of_the_source_is_added_to_the_recipe(settings):
    light = RECIPES["light"]
    asked = replace(settings, steps=None, batch_size=None, negatives=True, balance=True)
    assert asked.adjust(light) == light._replace(source_augment=random_negatives, balanced=True)


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 5},
        {"limit": 9},
        {"lam": 0.5},
        {"batch_size": 7},
        {"recipe": "light"},
        {"negatives": True},
        {"balance": True},
    ],
    ids=str,
)
def test_a_checkpoint_of_other_options_is_of_another_run(change, settings):
    task = Task("digits", "digits-m", "dann", 0)
    assert replace(settings, **change).identity(task) != settings.identity(task)
    assert replace(settings, out=settings.out / "a").identity(task) == settings.identity(task)


def test_a_lambda_of_zero_is_a_lambda(settings):
    assert replace(settings, lam=0.0).adjust(RECIPES["best"]).lam(1) == 0


def test_other_processes_get_absolute_paths(settings, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINIDANN_DATA", "of the environment")
    here = replace(settings, out=Path("out"), data_dir="data")
    there = here.absolute()
    assert (there.out, there.data_dir) == (tmp_path / "out", str(tmp_path / "data"))
    assert replace(here, data_dir=None).absolute().data_dir == str(tmp_path / "of the environment")
    monkeypatch.delenv("MINIDANN_DATA")
    assert replace(here, data_dir=None).absolute().data_dir is None
    unchanged = {entry.name for entry in fields(here)} - {"out", "data_dir"}
    assert all(getattr(there, name) == getattr(here, name) for name in unchanged)


def test_only_the_networks_that_are_named_are_saved(tmp_path):
    settings = Settings(out=tmp_path, models={"one": "model.npz"})
    assert settings.model_file("one") == tmp_path / "model.npz"
    assert settings.model_file("other") is None
