"""The variants of ``best`` differ in what they say; two optimizers are what they say."""

from dataclasses import replace

import numpy as np

from minidann.dann import DANN
from minidann.data.preprocessing import ImagePreparation
from minidann.experiments import variants
from minidann.experiments.image_sets import load_pair
from minidann.experiments.runs import Task
from minidann.experiments.variants import TARGETS, VARIANTS, TwoAdams, TwoPasses, train_and_test
from minidann.nn import BatchNorm, Dense, Sequential, Sigmoid
from minidann.nn.optimizers import Adam


def small(kind, seed=0):
    """A small smooth DANN of a kind on (N, 3), its features with batch-norm."""
    rng = np.random.default_rng(seed)
    features = [Dense(3, 6, rng=rng), BatchNorm(6, domains=2), Sigmoid()]
    return kind(
        Sequential(features),
        Sequential([Dense(6, 4, rng=rng)]),
        Sequential([Dense(6, 5, rng=rng), Sigmoid(), Dense(5, 2, rng=rng)]),
    )


def batch(n=8):
    rng = np.random.default_rng(1)
    return (
        rng.standard_normal((n, 3), dtype=np.float32),
        rng.integers(0, 4, n),
        rng.standard_normal((n, 3), dtype=np.float32) + 2,
    )


def features_after(kind, optimizer, lam, steps=5):
    dann = small(kind)
    optimizer = optimizer(dann.networks)
    optimizer.learning_rate = 0.01
    for _ in range(steps):
        dann.compute_gradients(*batch(), lam)
        optimizer.step()
    return np.concatenate([array.ravel() for array in dann.features.params.values()])


def test_the_gradients_of_two_passes_are_those_of_one_in_two_parts():
    one, two = small(DANN), small(TwoPasses)
    losses = [dann.compute_gradients(*batch(), 0.7) for dann in (one, two)]
    np.testing.assert_allclose(*losses, rtol=1e-6)
    for leaf, of_label, of_domain in zip(
        one.features.leaves(), two.features.of_label, variants.gradients(two.features)
    ):
        for name, whole in leaf.grads.items():
            np.testing.assert_allclose(
                of_label[name] + of_domain[name], whole, rtol=1e-4, atol=1e-6
            )
    for network in ("label_head", "domain_head"):
        for name, whole in getattr(one, network).grads.items():
            np.testing.assert_allclose(
                getattr(two, network).grads[name], whole, rtol=1e-5, atol=1e-7
            )


def test_a_second_adam_makes_lambda_meaningless():
    separate = [features_after(TwoPasses, TwoAdams, lam) for lam in (0.1, 10)]
    together = [features_after(DANN, Adam, lam) for lam in (0.1, 10)]
    differences = [
        np.median(np.abs(one - other)) for one, other in (separate, together)
    ]  # a gradient of next to nothing depends on Adam's epsilon
    assert differences[0] < 1e-4 < 1e-3 < differences[1]


def test_two_adams_go_on_from_their_state():
    def train(steps, dann, optimizer):
        optimizer.learning_rate = 0.01
        for _ in range(steps):
            dann.compute_gradients(*batch(), 0.5)
            optimizer.step()
        return dann, optimizer

    def fresh():
        dann = small(TwoPasses)
        return dann, TwoAdams(dann.networks)

    expected, _ = train(5, *fresh())
    half, optimizer = train(2, *fresh())
    resumed, again = fresh()
    resumed.load_state_dict(half.state_dict())
    again.load_state_dict(optimizer.state_dict())
    train(3, resumed, again)
    for network, there in zip(resumed.networks, expected.networks):
        for name, array in network.params.items():
            np.testing.assert_array_equal(array, there.params[name])


def test_every_variant_but_best_differs_from_it_in_one_thing_or_is_a_pair_of_two():
    best = VARIANTS["best"]
    for name, recipe in VARIANTS.items():
        different = [
            field for field in best._fields if getattr(recipe, field) is not getattr(best, field)
        ]
        assert bool(different) == (name != "best" and name not in TARGETS)


def test_a_run_has_the_targets_accuracy_twice_and_names_its_variant(settings):
    task = Task("digits", "digits-m", "dann", 0, "no batch-norm")
    record, history, _ = train_and_test(task, settings)
    assert record["method"] == "dann" and record["variant"] == "no batch-norm"
    assert record["target_class_own_statistics"] == record["target_class"]  # there are none
    assert history[-1]["variant"] == "no batch-norm" and history[-1]["step"] == 4
    assert (settings.out / "checkpoints/digits-digits-m-no batch-norm-0.npz").exists()


def test_the_variants_own_recipe_is_trained(settings, monkeypatch):
    trained = []
    monkeypatch.setattr(
        variants, "train_task", lambda recipe, *rest: trained.append(recipe) or stopped
    )
    stopped = None, variants.Outcome({"stopped_at": 0})
    for name in VARIANTS:
        assert train_and_test(Task("digits", "digits-m", "dann", 0, name), settings).stopped
    for recipe, expected in zip(trained, VARIANTS.values(), strict=True):
        assert recipe == expected._replace(steps=4, batch_size=8)


def test_a_variant_is_kept_as_it_was_first_tested(settings):
    """Before it is given the target's own statistics, and without its two passes."""
    task = Task("digits", "digits-m", "dann", 0, "two optimizers")
    record, _, _ = train_and_test(task, replace(settings, models={task: "model.npz"}))
    dann = DANN.load(settings.out / "model.npz")
    assert type(dann) is DANN
    target = load_pair(VARIANTS["best"], task.pair, settings)[1]
    answers = dann.predict(ImagePreparation.from_dict(dann.preparation)(target.x_test))
    assert (answers == target.y_test).mean() == record["target_class"]
