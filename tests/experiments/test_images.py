"""A network for images: which labels, means and statistics are used, and what is recorded."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from minidann.callbacks import AverageWeights, Callback, History
from minidann.dann import DANN
from minidann.data import preprocessing
from minidann.data.preprocessing import ImagePreparation, normalize, preparation, standardize
from minidann.data.registry import DATASETS
from minidann.experiments import image_sets, images
from minidann.experiments.image_sets import load_digits, load_pair
from minidann.experiments.images import train_and_test, train_recipe
from minidann.experiments.recipes import RECIPES
from minidann.experiments.runs import Outcome, Task
from minidann.experiments.tables import target_accuracy
from minidann.nn import BatchNorm
from minidann.nn.optimizers import Adam, WeightAverage
from minidann.runtime.arrays import to_host

PAIR = "digits", "digits-m"
STOPPED = Outcome({"stopped_at": 0})


def change(monkeypatch, name, **fields):
    """Change a recipe for one test."""
    monkeypatch.setitem(RECIPES, name, RECIPES[name]._replace(**fields))


@pytest.mark.parametrize("method, labelled", [("dann", False), ("source", False), ("target", True)])
def test_target_labels_leave_for_the_ceiling_alone(method, labelled, settings, monkeypatch):
    seen = []

    def spy(recipe, source, target, *rest, **more):
        seen.append(target)
        return train_recipe(recipe, source, target, *rest, **more)

    monkeypatch.setattr(images, "train_recipe", spy)
    train_and_test(Task(*PAIR, method, 0), settings)
    assert [target.y_train is not None for target in seen] == [labelled]


def test_target_labels_do_not_change_what_dann_learns(settings, monkeypatch):
    digits = {name: load_digits(name, RECIPES["best"], settings) for name in PAIR}
    features = []
    for shift in (0, 5):
        target = digits["digits-m"]
        digits["digits-m"] = target._replace(
            y_train=np.roll(target.y_train, shift), y_test=np.roll(target.y_test, shift)
        )
        monkeypatch.setattr(image_sets, "load", lambda name, **_: digits[name])
        features.append(train_and_test(Task(*PAIR, "dann", 0), settings).features["digits-m"])
    np.testing.assert_array_equal(*features)


@pytest.mark.parametrize("method, domains", [("source", 1), ("target", 1), ("dann", 2)])
def test_batch_norm_sees_as_many_domains_as_a_batch_holds(method, domains, settings, monkeypatch):
    built = []
    build = RECIPES["best"].build
    change(monkeypatch, "best", build=lambda *given: built.append(build(*given)) or built[-1])
    train_and_test(Task(*PAIR, method, 0), settings)
    (dann,) = built
    norms = [leaf for leaf in dann.features.leaves() if isinstance(leaf, BatchNorm)]
    assert {norm.domains for norm in norms} == {domains}


def test_the_record_of_a_run(settings):
    outcome = train_and_test(Task(*PAIR, "source", 3), settings)
    record, history, features = outcome
    assert (record["seed"], record["steps"], record["method"]) == (3, 4, "source")
    assert "variant" not in record and record["seconds"] >= 0
    assert record["recipe"] == "best"
    assert record["images"] == {"digits": [64, 64], "digits-m": [64, 64]}
    assert (history[-1]["method"], history[-1]["step"]) == ("source", 4)
    counts = np.array(record["confusion"]["digits-m"])
    assert counts.sum() == 64
    assert target_accuracy(outcome, "digits-m") == pytest.approx(record["target_class"])
    y_test = load_digits("digits-m", RECIPES["best"], settings).y_test
    np.testing.assert_array_equal(
        counts.sum(axis=1), np.bincount(y_test, minlength=10)
    )  # a row a digit
    assert features["digits-m"].shape == (128, 800)


def test_a_variant_is_another_recipe(settings, monkeypatch):
    taken = []
    monkeypatch.setattr(
        images, "train_task", lambda recipe, *_: taken.append(recipe) or (None, STOPPED)
    )
    train_and_test(Task(*PAIR, "dann", 0, "light"), settings)
    train_and_test(Task(*PAIR, "dann", 0), settings)
    assert [recipe.build for recipe in taken] == [RECIPES[name].build for name in ("light", "best")]


def test_a_saved_network_knows_the_names_of_its_classes_and_how_its_images_were_fitted(
    settings, monkeypatch
):
    change(monkeypatch, "best", fit="resize")
    names = tuple("abcdefghij")
    monkeypatch.setitem(DATASETS, "digits-m", DATASETS["digits-m"]._replace(classes=names))
    task = Task(*PAIR, "dann", 0)
    train_and_test(task, replace(settings, models={task: "model.npz"}))
    dann = DANN.load(settings.out / "model.npz")
    assert dann.class_names == list(names) and dann.preparation["fit"] == "resize"


def test_the_confusion_matrix_has_a_row_for_each_class(settings):
    target = load_pair(RECIPES["signs"], PAIR, settings)[1]
    dann = RECIPES["signs"].build(0, 1)
    counts = images.confusion_matrix(dann, target, 43, to_host)
    answers = dann.predict(standardize(target.x_test))
    assert counts.shape == (43, 43)
    np.testing.assert_array_equal(counts.sum(axis=1), np.bincount(target.y_test, minlength=43))
    np.testing.assert_array_equal(counts.sum(axis=0), np.bincount(answers, minlength=43))


def test_a_recipe_with_each_images_own_mean_standardizes_them(settings):
    for domain in load_pair(RECIPES["light"], PAIR, settings):
        np.testing.assert_array_equal(
            preparation(domain, to_host)(domain.x_test), standardize(domain.x_test)
        )


def test_the_images_of_both_domains_are_augmented_in_training_and_in_no_test(settings, monkeypatch):
    augmented, seen = [], []
    change(monkeypatch, "light", augment=lambda x, rng: augmented.append(x) or 0.5 * x)
    monkeypatch.setattr(
        preprocessing, "standardize", lambda x: seen.append(x) or x.astype(np.float32) / 255
    )
    train_and_test(Task(*PAIR, "dann", 0), replace(settings, recipe="light"))
    assert len(augmented) == 1 + 2 * 4  # fit looks at one example first
    assert {len(x) for x in augmented[1:]} == {8}
    for x, y in zip(augmented, seen):
        np.testing.assert_array_equal(0.5 * x, y)
    assert {x.dtype for x in seen[len(augmented) :]} == {np.dtype(np.uint8)}  # as they are stored


def test_only_the_sources_images_are_changed_by_what_is_for_the_source(settings, monkeypatch):
    seen = []
    recipe = RECIPES["light"]._replace(
        source_augment=lambda x, rng: 255 - x, augment=lambda x, rng: 0.5 * x
    )
    source, target = load_pair(recipe, PAIR, settings, oracle_labels=True)
    monkeypatch.setattr(
        images, "fit", lambda dann, optimizer, *batches, **others: seen.append(batches)
    )
    for method, first in (
        ("dann", 0.5 * (255.0 - source.x_train)),
        ("target", 0.5 * target.x_train),
    ):
        train_recipe(recipe, source, target, method, 0)
        labelled, unlabelled = (batches.at(slice(0, 5))[0] for batches in seen.pop())
        np.testing.assert_array_equal(labelled, standardize(first[:5]))
        np.testing.assert_array_equal(unlabelled, standardize(0.5 * target.x_train[:5]))


def test_the_target_comes_in_two_versions_where_it_is_given_pseudo_labels(settings, monkeypatch):
    seen = []
    recipe = RECIPES["pseudo"]._replace(
        augment=lambda x, rng: 0.5 * x, weak_augment=lambda x, rng: 0.25 * x
    )
    source, target = load_pair(recipe, PAIR, settings)
    monkeypatch.setattr(
        images, "fit", lambda dann, optimizer, *batches, **others: seen.append(batches)
    )
    for method in ("dann", "source"):
        train_recipe(recipe, source, target, method, 0)
        of_source, of_target = seen.pop()
        ((weak, strong),) = of_target.at(slice(0, 5))
        np.testing.assert_array_equal(weak, standardize(0.25 * target.x_train[:5]))
        np.testing.assert_array_equal(strong, standardize(0.5 * target.x_train[:5]))
        np.testing.assert_array_equal(
            of_source.at(slice(0, 5))[0], standardize(0.5 * source.x_train[:5])
        )


@pytest.mark.parametrize(
    "recipe, method, adopted",
    [
        ("best", "dann", True),
        ("pseudo", "dann", True),
        ("pseudo", "source", False),
        ("light", "dann", False),
    ],
)
def test_dann_is_tested_with_the_targets_own_statistics(
    recipe, method, adopted, settings, monkeypatch
):
    given = []
    monkeypatch.setattr(
        DANN,
        "adapt_batch_norm",
        lambda dann, x: given.append(x) or dann.label_head.convert(lambda array: 0 * array),
    )
    record, _, _ = train_and_test(Task(*PAIR, method, 0), replace(settings, recipe=recipe))
    target = load_pair(RECIPES[recipe], PAIR, settings)[1]
    assert len(given) == adopted
    prepare = preparation(target, to_host)
    assert all(np.array_equal(x, prepare(target.x_train)) for x in given)
    answers = np.array(record["confusion"]["digits-m"]).sum(axis=0)
    assert (answers[0] == 64) == adopted  # a head of zeros says 0 to everything: tested afterwards


@pytest.mark.parametrize("recipe", ["light", "pseudo"])
def test_a_run_with_augmented_images_goes_on_where_it_was_stopped(recipe, settings, monkeypatch):
    monkeypatch.setattr(images, "Checkpoint", partial(images.Checkpoint, every=0))
    task, evaluate, rows = Task(*PAIR, "dann", 0), images.evaluate, []
    settings = replace(settings, recipe=recipe, steps=20, limit=100)
    expected = train_and_test(task, replace(settings, out=settings.out / "whole"))

    def ctrl_c_at_the_second_row(*arguments):
        rows.append(0)
        if len(rows) == 2:
            raise KeyboardInterrupt
        return evaluate(*arguments)

    killed = replace(settings, out=settings.out / "killed")
    with monkeypatch.context() as patch:
        patch.setattr(images, "evaluate", ctrl_c_at_the_second_row)
        stopped = train_and_test(task, killed)
    assert stopped.stopped and stopped.record["stopped_at"] == 10
    resumed = train_and_test(task, replace(killed, resume=True))
    np.testing.assert_array_equal(resumed.features["digits-m"], expected.features["digits-m"])
    assert resumed.history == expected.history


@pytest.mark.parametrize("average", [False, True])
def test_a_recipe_that_averages_is_averaged(average, settings, monkeypatch):
    made = []
    monkeypatch.setattr(
        images, "WeightAverage", lambda networks: made.append(WeightAverage(networks)) or made[-1]
    )
    change(monkeypatch, "best", average=average)
    train_and_test(Task(*PAIR, "dann", 0), settings)
    assert [one.k for one in made] == [2] * average  # half of four steps


def test_each_domain_is_tested_with_its_own_mean(settings, monkeypatch):
    means = []
    monkeypatch.setattr(
        preprocessing,
        "normalize",
        lambda x, mean, scale: means.append((len(x), mean)) or normalize(x, mean, scale),
    )
    source, target = load_pair(RECIPES["best"], PAIR, settings)
    dann = RECIPES["best"].build(0)
    target = target._replace(x_test=target.x_test[:30], y_test=target.y_test[:30])
    images.accuracies(dann, source, target, to_host)
    assert all(np.array_equal(mean, (target if n == 30 else source).mean) for n, mean in means)
    assert {n for n, _ in means} == {30, 64}
    means.clear()
    images.confusion_matrix(dann, target, 10, to_host)
    images.embed(dann, target, to_host)
    assert len(means) == 2 and all(np.array_equal(mean, target.mean) for _, mean in means)


@pytest.mark.parametrize("method", ["source", "target", "dann"])
def test_training_is_given_what_the_recipe_says(method, settings, monkeypatch):
    given = {}

    def keep(dann, optimizer, *batches, **options):
        given.update(options, optimizer=optimizer, batches=batches)

    monkeypatch.setattr(images, "fit", keep)
    recipe = RECIPES["best"]._replace(average=True, source_augment=None)
    source, target = load_pair(recipe, PAIR, settings, oracle_labels=True)
    other = Callback()
    train_recipe(recipe, source, target, method, 0, callbacks=[other])
    assert (given["lam"], given["learning_rate"], given["steps"]) == (
        recipe.lam,
        recipe.learning_rate,
        recipe.steps,
    )
    assert isinstance(given["optimizer"], Adam)
    assert given["objective"] == ("dann" if method == "dann" else "label")
    average, history, last = given["callbacks"]  # the order matters: the average is recorded
    assert isinstance(average, AverageWeights) and isinstance(history, History) and last is other
    labelled, unlabelled = given["batches"]
    expected = target if method == "target" else source
    np.testing.assert_array_equal(labelled.arrays[1], expected.y_train)
    assert len(unlabelled.arrays) == 1 and labelled.size == unlabelled.size == recipe.batch_size
    for batches, domain in ((labelled, expected), (unlabelled, target)):
        (x, *_) = batches.at(slice(None))
        np.testing.assert_array_equal(x, normalize(domain.x_train, domain.mean))


@pytest.mark.parametrize("method", ["source", "target", "dann"])
def test_a_balanced_source_shows_its_classes_equally_often(method, settings, monkeypatch):
    """And nothing is done to the target, not even where it is trained on."""
    given = {}
    monkeypatch.setattr(images, "fit", lambda *a, **k: given.update(batches=a[2:]))
    recipe = RECIPES["light"]._replace(balanced=True)
    source, target = load_pair(recipe, PAIR, settings, oracle_labels=True)
    train_recipe(recipe, source, target, method, 0)
    labelled, unlabelled = given["batches"]
    counts = np.bincount(labelled.arrays[1])
    unequal = np.bincount(target.y_train if method == "target" else source.y_train)
    expected = unequal if method == "target" else np.full(10, unequal.max())
    np.testing.assert_array_equal(counts, expected)
    assert len(unlabelled.arrays[0]) == len(target.x_train)


@pytest.mark.parametrize("recipe", ["best", "pseudo"])
def test_a_network_that_is_kept_answers_from_its_file_as_it_did_when_it_was_tested(
    recipe, settings
):
    """With the target's statistics and the preparation of the target's images."""
    kept, other = Task(*PAIR, "dann", 0), Task(*PAIR, "dann", 1)
    settings = replace(settings, recipe=recipe, models={kept: "model.npz"})
    confusion = train_and_test(kept, settings).record["confusion"]["digits-m"]
    dann = DANN.load(settings.out / "model.npz")
    prepare = ImagePreparation.from_dict(dann.preparation)
    target = load_pair(RECIPES[recipe], PAIR, settings)[1]
    answers = dann.predict(prepare(target.x_test))
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (target.y_test, answers), 1)
    assert counts.tolist() == confusion
    assert dann.class_names == list("0123456789")
    before = (settings.out / "model.npz").read_bytes()
    train_and_test(other, settings)
    assert (settings.out / "model.npz").read_bytes() == before
    assert len(list(settings.out.glob("*.npz"))) == 1
