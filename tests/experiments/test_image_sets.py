"""Image sets of an experiment: as its recipe wants them, loaded once, named if missing."""

from dataclasses import replace

import numpy as np
import pytest

from minidann.data import load_backgrounds, load_digits_pair, load_mnist, mnistm_pair
from minidann.experiments import image_sets
from minidann.experiments.image_sets import available, load_digits, load_pair, load_sets
from minidann.experiments.recipes import RECIPES
from minidann.runtime.errors import InputError

PAIR = "digits", "digits-m"


@pytest.mark.parametrize("recipe, binarize", [("tf-dann", True), ("best", False)])
def test_digits_are_binarised_where_the_recipe_says_so(recipe, binarize, settings):
    for name, expected in zip(PAIR, load_digits_pair(binarize=binarize)):
        found = load_digits(name, RECIPES[recipe], settings)
        np.testing.assert_array_equal(found.x_train, expected.x_train[: settings.limit])


@pytest.mark.parametrize("recipe", RECIPES)
def test_mnistm_is_the_authors_kind_by_every_recipe(recipe, settings, small_data):
    """Beside MNIST in black and white by tf-dann's, grey by every other."""
    settings = replace(settings, data_dir=small_data)
    digits, photographs = load_mnist(small_data), load_backgrounds(small_data)
    pair = mnistm_pair(digits, photographs, binarize=recipe == "tf-dann")
    for name, expected in zip(("mnist", "mnistm"), pair):
        found = load_digits(name, RECIPES[recipe], settings)
        np.testing.assert_array_equal(found.x_train, expected.x_train[: settings.limit])
        np.testing.assert_array_equal(found.x_test, expected.x_test[: settings.limit])


def test_a_set_is_loaded_once(settings, monkeypatch):
    loaded = []
    monkeypatch.setattr(
        image_sets, "load", image_sets.cache(lambda name, **options: loaded.append(name) or name)
    )
    for _ in range(2):
        load_sets(PAIR, settings)
    assert loaded == list(PAIR)


@pytest.mark.parametrize("asked", [False, True])
def test_a_pair_has_the_recipes_form_and_target_labels_only_if_asked(asked, settings):
    recipe = RECIPES["svhn"]
    source, target = load_pair(recipe, PAIR, settings, oracle_labels=asked)
    assert source.x_train.shape == target.x_test.shape == (64, 32, 32, 3)
    assert source.y_train is not None and (target.y_train is not None) == asked
    assert load_pair(RECIPES["light"], PAIR, settings)[0].mean is None  # each image has its own


def test_sets_that_are_not_there_are_named_and_left_out(settings, no_data, capsys):
    settings = replace(settings, limit=3)  # which no other test has loaded
    assert available(["digits", "usps", "digits-m"], settings) == ["digits", "digits-m"]
    said = capsys.readouterr().err
    assert (
        said.startswith("Without usps: usps/zip.train.gz and 1 more are") and said.count("\n") == 1
    )
    with pytest.raises(InputError, match=r"zip\.train\.gz"):
        load_sets(["digits", "usps"], settings)
