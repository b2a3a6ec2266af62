"""What the digit experiments share: which labels and means are used, which run answers which question."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from minidann import adaptation
from minidann.adaptation import Outcome, Task
from minidann.dann import DANN
from minidann.experiments.recipes import RECIPES
from minidann.nn import BatchNorm
from minidann.nn.optimizers import Adam, WeightAverage
from minidann.runtime.arrays import to_host
from minidann.train import History

PAIR = "digits", "digits-m"
FIGURES = {
    "source_class": 0.9,
    "source_domain": 0.5,
    "target_class": 0.7,
    "target_domain": 0.5,
    "seconds": 10.0,
}


@pytest.fixture
def args(tmp_path):
    """The options of a short run on scikit-learn's digits."""
    return SimpleNamespace(
        recipe="best",
        lam=None,
        steps=4,
        batch_size=8,
        limit=64,
        data_dir=None,
        device="cpu",
        out=tmp_path,
        resume=False,
        tested=PAIR[1:],
        jobs=1,
        seed=0,
    )


@pytest.mark.parametrize("recipe, same", [("tf-dann", True), ("best", False)])
def test_the_mean_of_both_training_sets_or_of_each_is_subtracted(recipe, same):
    source, target = adaptation.domains(
        RECIPES[recipe], PAIR, limit=None, data_dir=None, labelled=False
    )
    assert np.array_equal(source.mean, target.mean) == same
    centred = [adaptation.normalize(domain.x_train, domain.mean) for domain in (source, target)]
    for x in [np.concatenate(centred)] if same else centred:
        assert x.dtype == np.float32
        np.testing.assert_allclose(x.mean(axis=(0, 1, 2), dtype=np.float64), 0, atol=1e-6)
        np.testing.assert_allclose(np.ptp(x, axis=(0, 1, 2)), 1, atol=1e-6)


@pytest.mark.parametrize("method, labelled", [("dann", False), ("source", False), ("target", True)])
def test_target_labels_leave_for_the_ceiling_alone(method, labelled, args, monkeypatch):
    seen = []
    adapt = adaptation.adapt
    monkeypatch.setattr(
        adaptation,
        "adapt",
        lambda recipe, source, target, *rest, **more: (
            seen.append(target) or adapt(recipe, source, target, *rest, **more)
        ),
    )
    adaptation.run(Task(*PAIR, method, 0), args, None)
    assert [target.y_train is not None for target in seen] == [labelled]


def test_target_labels_do_not_change_what_dann_learns(args, monkeypatch):
    digits = {name: adaptation.load(name, False, args.limit, None) for name in PAIR}
    features = []
    for shift in (0, 5):
        target = digits["digits-m"]
        digits["digits-m"] = target._replace(
            y_train=np.roll(target.y_train, shift), y_test=np.roll(target.y_test, shift)
        )
        monkeypatch.setattr(adaptation, "load", lambda name, *_: digits[name])
        features.append(adaptation.run(Task(*PAIR, "dann", 0), args, None).features["digits-m"])
    np.testing.assert_array_equal(*features)


@pytest.mark.parametrize("method, parts", [("source", 1), ("target", 1), ("dann", 2)])
def test_batch_norm_sees_as_many_domains_as_a_batch_holds(method, parts, args, monkeypatch):
    built = []
    best = RECIPES["best"]
    monkeypatch.setitem(
        RECIPES,
        "best",
        best._replace(build=lambda *arguments: built.append(best.build(*arguments)) or built[-1]),
    )
    adaptation.run(Task(*PAIR, method, 0), args, None)
    (dann,) = built
    assert {leaf.domains for leaf in dann.features.leaves() if isinstance(leaf, BatchNorm)} == {
        parts
    }


def test_the_record_of_a_run(args):
    record, history, features = adaptation.run(Task(*PAIR, "source", 3), args, None)
    assert (
        record["seed"] == 3
        and record["steps"] == 4
        and history[-1]["method"] == "source"
        and history[-1]["step"] == 4
    )
    counts = np.array(record["confusion"]["digits-m"])
    assert counts.sum() == 64
    outcome = Outcome(record, history, features)
    assert adaptation.target_accuracy(outcome, "digits-m") == pytest.approx(record["target_class"])
    y_test = adaptation.load("digits-m", False, 64, None).y_test
    np.testing.assert_array_equal(
        counts.sum(axis=1), np.bincount(y_test, minlength=10)
    )  # a row a digit
    assert features["digits-m"].shape == (128, 800)


def test_each_image_gets_its_own_mean_and_variance_taken_away(place):
    x = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), np.uint8)
    x[..., 1] //= 3
    y = to_host(adaptation.standardize(place(x)))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.mean(axis=(1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(y.var(axis=(1, 2, 3)), 1, rtol=1e-3)
    np.testing.assert_allclose(
        y.std(axis=(1, 2)) / x.std(axis=(1, 2)),
        np.repeat(1 / np.sqrt(x.var(axis=(1, 2)).mean(axis=1))[:, None], 3, axis=1),
        rtol=1e-3,
    )
    brighter, empty = 40 + x // 2, np.zeros_like(x)
    np.testing.assert_allclose(adaptation.standardize(brighter), y, atol=0.03)  # but for rounding
    assert not adaptation.standardize(empty).any()


def test_a_recipe_with_each_images_own_mean_standardizes_them(args):
    recipe = RECIPES["light"]
    source, target = adaptation.domains(recipe, PAIR, limit=64, data_dir=None, labelled=False)
    for domain in (source, target):
        np.testing.assert_array_equal(
            adaptation.preparation(domain, to_host)(domain.x_test),
            adaptation.standardize(domain.x_test),
        )


def test_the_images_of_both_domains_are_bent_in_training_and_in_no_test(args, monkeypatch):
    bent, seen = [], []
    monkeypatch.setitem(
        RECIPES,
        "light",
        RECIPES["light"]._replace(augment=lambda x, rng: bent.append(x) or 0.5 * x),
    )
    monkeypatch.setattr(
        adaptation, "standardize", lambda x: seen.append(x) or x.astype(np.float32) / 255
    )
    args.recipe = "light"
    adaptation.run(Task(*PAIR, "dann", 0), args, None)
    assert len(bent) == 1 + 2 * 4 and {len(x) for x in bent[1:]} == {
        8
    }  # fit looks at one example first
    for x, y in zip(bent, seen):
        np.testing.assert_array_equal(0.5 * x, y)
    assert {x.dtype for x in seen[len(bent) :]} == {np.dtype(np.uint8)}  # as they are stored


def test_the_target_comes_in_two_versions_where_it_is_given_pseudo_labels(args, monkeypatch):
    seen = []
    recipe = RECIPES["pseudo"]._replace(
        augment=lambda x, rng: 0.5 * x, weak_augment=lambda x, rng: 0.25 * x
    )
    source, target = adaptation.domains(recipe, PAIR, limit=64, data_dir=None, labelled=False)
    monkeypatch.setattr(
        adaptation,
        "fit",
        lambda dann, optimizer, source, target, **others: seen.append((source, target)),
    )
    for method in ("dann", "source"):
        adaptation.adapt(recipe, source, target, method, 0, device="cpu", checkpoint=None, bar=None)
        of_source, of_target = seen.pop()
        ((weak_augment, bent),) = of_target.at(slice(0, 5))
        np.testing.assert_array_equal(
            weak_augment, adaptation.standardize(0.25 * target.x_train[:5])
        )
        np.testing.assert_array_equal(bent, adaptation.standardize(0.5 * target.x_train[:5]))
        np.testing.assert_array_equal(
            of_source.at(slice(0, 5))[0], adaptation.standardize(0.5 * source.x_train[:5])
        )


@pytest.mark.parametrize(
    "recipe, method, adopted",
    [("pseudo", "dann", True), ("pseudo", "source", False), ("light", "dann", False)],
)
def test_pseudo_is_tested_with_the_targets_own_statistics(
    recipe, method, adopted, args, monkeypatch
):
    given = []
    monkeypatch.setattr(
        DANN,
        "adapt_batch_norm",
        lambda dann, x: given.append(x) or dann.label_head.convert(lambda array: 0 * array),
    )
    args.recipe = recipe
    record, _, _ = adaptation.run(Task(*PAIR, method, 0), args, None)
    target = adaptation.domains(RECIPES[recipe], PAIR, limit=64, data_dir=None, labelled=False)[1]
    assert len(given) == adopted and all(
        np.array_equal(x, adaptation.standardize(target.x_train)) for x in given
    )
    answered = np.array(record["confusion"]["digits-m"]).sum(axis=0)
    assert (
        answered[0] == 64
    ) == adopted  # a head of zeros says 0 to everything: the test came after


@pytest.mark.parametrize("recipe", ["light", "pseudo"])
def test_a_run_with_bent_images_goes_on_where_it_was_stopped(recipe, args, monkeypatch):
    monkeypatch.setattr(adaptation, "Checkpoint", partial(adaptation.Checkpoint, every=0))
    args.recipe, args.steps, args.limit = recipe, 20, 100
    task, evaluate, rows = Task(*PAIR, "dann", 0), adaptation.evaluate, []
    args.out = args.out / "whole"
    expected = adaptation.run(task, args, None)

    def ctrl_c_at_the_second_row(*arguments):
        rows.append(0)
        if len(rows) == 2:
            raise KeyboardInterrupt
        return evaluate(*arguments)

    args.out = args.out.with_name("killed")
    with monkeypatch.context() as patch:
        patch.setattr(adaptation, "evaluate", ctrl_c_at_the_second_row)
        assert adaptation.run(task, args, None).record["stopped_at"] == 10
    args.resume = True
    resumed = adaptation.run(task, args, None)
    np.testing.assert_array_equal(resumed.features["digits-m"], expected.features["digits-m"])
    assert resumed.history == expected.history


@pytest.mark.parametrize("average", [False, True])
def test_a_recipe_that_averages_is_averaged(average, args, monkeypatch):
    made = []
    monkeypatch.setattr(
        adaptation,
        "WeightAverage",
        lambda networks: made.append(WeightAverage(networks)) or made[-1],
    )
    monkeypatch.setitem(RECIPES, "best", RECIPES["best"]._replace(average=average))
    adaptation.run(Task(*PAIR, "dann", 0), args, None)
    assert [one.k for one in made] == [2] * average  # half of four steps


def test_each_domain_is_tested_with_its_own_mean(args, monkeypatch):
    means = []
    normalize = adaptation.normalize
    monkeypatch.setattr(
        adaptation, "normalize", lambda x, mean: means.append((len(x), mean)) or normalize(x, mean)
    )
    source, target = adaptation.domains(
        RECIPES["best"], PAIR, limit=None, data_dir=None, labelled=False
    )
    dann = RECIPES["best"].build(0)
    target = target._replace(x_test=target.x_test[:30], y_test=target.y_test[:30])
    adaptation.accuracies(dann, source, target, to_host)
    assert all(np.array_equal(mean, (target if n == 30 else source).mean) for n, mean in means)
    means.clear()
    adaptation.confusions(dann, target, to_host)
    adaptation.some_features(dann, target, to_host)
    assert len(means) == 2 and all(np.array_equal(mean, target.mean) for _, mean in means)


def test_options_take_the_place_of_what_the_recipe_says(args):
    args.lam, args.steps, args.batch_size = 0.5, None, 7
    recipe = adaptation.as_asked(RECIPES["best"], args)
    assert (
        recipe.lam(0) == recipe.lam(1) == 0.5
        and recipe.steps == RECIPES["best"].steps
        and recipe.batch_size == 7
    )


def matrix(right):
    """Counts of 100 images of which so many are right."""
    counts = np.zeros((10, 10), int)
    counts[0, 0], counts[0, 1] = right, 100 - right
    return counts.tolist()


def outcome(task, **right):
    return Outcome(
        task._asdict() | FIGURES | {"confusion": {name: matrix(n) for name, n in right.items()}},
        History(),
        {},
    )


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
    def found(*pair_and_method):
        return [
            adaptation.target_accuracy(outcome, pair_and_method[1])
            for outcome in adaptation.of_pair(OUTCOMES, *pair_and_method).values()
        ]

    assert found("a", "c", "source") == [0.4, 0.42] and found("a", "b", "source") == [0.5, 0.52]
    assert found("d", "c", "target") == [0.96] and found("d", "c", "source") == []
    assert found("a", "c", "dann") == [0.61] and found("d", "c", "dann") == [0.81]


def test_the_table_has_the_share_of_the_gap_that_is_closed():
    text = adaptation.table(OUTCOMES, [("a", "b"), ("d", "c")])
    rows = text.splitlines()
    assert "a to b, source only" in rows[1] and ".5100 +- 0.0141" in rows[1]
    assert "closes 50.0%" in rows[4]  # (.71 - .51) / (.91 - .51)
    assert not any("closes" in row for row in rows[5:])  # of d to c there is no source only
    ceiling = next(row for row in rows if row.startswith("d to c, trained on target"))
    assert ".9600" in ceiling and "0.9000" not in ceiling  # which was trained beside another source


@pytest.mark.parametrize("method", ["source", "target", "dann"])
def test_training_is_given_what_the_recipe_says(method, monkeypatch):
    given = {}
    monkeypatch.setattr(
        adaptation,
        "fit",
        lambda dann, optimizer, *batches, **options: given.update(
            options, optimizer=optimizer, batches=batches
        ),
    )
    source, target = adaptation.domains(
        RECIPES["best"], PAIR, limit=None, data_dir=None, labelled=True
    )
    adaptation.adapt(
        RECIPES["best"], source, target, method, 0, device="cpu", checkpoint=None, bar=None
    )
    recipe = RECIPES["best"]
    assert (given["lam"], given["learning_rate"], given["steps"]) == (
        recipe.lam,
        recipe.learning_rate,
        recipe.steps,
    )
    assert isinstance(given["optimizer"], Adam) and given["objective"] == (
        "dann" if method == "dann" else "label"
    )
    labelled, unlabelled = given["batches"]
    expected = target if method == "target" else source
    np.testing.assert_array_equal(labelled.arrays[1], expected.y_train)
    assert len(unlabelled.arrays) == 1 and labelled.size == unlabelled.size == recipe.batch_size
    for batches, domain in ((labelled, expected), (unlabelled, target)):
        (x, *_) = batches.at(slice(None))
        np.testing.assert_array_equal(x, adaptation.normalize(domain.x_train, domain.mean))


@pytest.mark.parametrize("recipe", ["best", "light"])
def test_the_figure_of_the_data_shows_what_the_recipe_does_to_the_images(recipe, args, monkeypatch):
    shown = []
    monkeypatch.setattr(
        adaptation.plots,
        "image_grid",
        lambda digits, augment: shown.append((list(digits), augment)),
    )
    args.recipe = recipe
    assert [name for name, _ in adaptation.draw({}, *PAIR, args)] == ["data"]
    assert shown == [(["source", "target"], RECIPES[recipe].augment)]
