"""The regimes of Blobs: their networks, and that they adapt or do not."""

import numpy as np
import pytest

from minidann.dann import DANN
from minidann.data import make_blobs_pair
from minidann.experiments.config import Settings
from minidann.experiments.points import (
    RECIPES,
    BlobsTask,
    build,
    train_and_test,
    train_regime,
)
from minidann.metrics import evaluate
from minidann.runtime.errors import InputError

TF_DANN = RECIPES["tf-dann"]


@pytest.fixture(scope="module")
def pair():
    return make_blobs_pair(seed=3)


def trained(regime, pair, steps=3000):
    return evaluate(train_regime(regime, *pair, steps=steps, seed=3), *pair)


def test_without_adaptation_the_target_is_at_chance(pair):
    result = trained(TF_DANN["label only"], pair)
    assert result["source_class"] > 0.98
    assert result["target_class"] < 0.7


def test_dann_adapts_and_keeps_the_source(pair):
    result = trained(RECIPES["annealed"]["DANN"], pair, steps=4000)
    assert result["target_class"] > 0.93
    assert result["source_class"] > 0.93


def test_the_domain_classifier_tells_the_domains_apart(pair):
    result = trained(TF_DANN["domain classifier"], pair)
    assert min(result["source_domain"], result["target_domain"]) > 0.97


def test_the_networks_are_those_of_tf_dann():
    shallow, deep = build((), 0), build((8,), 0)
    assert [a.shape for a in shallow.features.params.values()] == [(2, 15), (15,)]
    assert [a.shape for a in shallow.label_head.params.values()] == [(15, 2), (2,)]
    assert [a.shape for a in shallow.domain_head.params.values()] == [(15, 2), (2,)]
    assert [a.shape for a in deep.domain_head.params.values()] == [(15, 8), (8,), (8, 2), (2,)]
    assert np.abs(shallow.features.params["0.W"]).max() <= 0.2
    assert (shallow.features.params["0.b"] == np.float32(0.1)).all()


def test_target_labels_do_not_change_the_weights(pair):
    source, target = pair
    shuffled = target._replace(y=np.roll(target.y, 7))
    regime = TF_DANN["DANN deep"]
    one, other = (train_regime(regime, source, t, steps=50, seed=0) for t in (target, shuffled))
    for name, array in one.features.params.items():
        np.testing.assert_array_equal(array, other.features.params[name])


def test_a_run_is_recorded_with_its_regime_and_seed(tmp_path):
    task = BlobsTask("tf-dann", "DANN deep", 3)
    record, history, features = train_and_test(task, Settings(out=tmp_path, steps=600))
    assert (record["regime"], record["seed"], record["steps"]) == ("DANN deep", 3, 600)
    assert [(row["regime"], row["step"]) for row in history] == [
        ("DANN deep", 500),
        ("DANN deep", 600),
    ]
    assert [f.shape for f in features] == [(300, 15)] * 2


def test_settings_reach_the_training(tmp_path, pair, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "minidann.experiments.points.fit", lambda *a, **options: seen.append((a, options))
    )
    settings = Settings(out=tmp_path, steps=7, batch_size=5, lam=0.25)
    tasks = [
        BlobsTask("tf-dann", "DANN deep", 0),
        BlobsTask("annealed", "DANN", 0),
        BlobsTask("tf-dann", "domain classifier", 0),
    ]
    for task in tasks:
        train_and_test(task, settings)
    assert {options["steps"] for _, options in seen} == {7}
    assert {arguments[2].size for arguments, _ in seen} == {5}
    assert [options["lam"](0.5) for _, options in seen] == [0.25, 0.25, -1]
    assert [options["learning_rate"](1.0) for _, options in seen] == [1e-3, 0, 1e-3]
    assert [options["learning_rate"](0.0) for _, options in seen] == [1e-3, 7e-4, 1e-3]
    assert [arguments[1].beta1 for arguments, _ in seen] == [0.9, 0.5, 0.9]
    assert [options["objective"] for _, options in seen] == ["dann", "dann", "domain"]


def test_a_recipe_has_its_own_batches_and_lambda(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "minidann.experiments.points.fit", lambda *a, **options: seen.append((a, options))
    )
    for task in (BlobsTask("tf-dann", "DANN deep", 0), BlobsTask("annealed", "DANN", 0)):
        train_and_test(task, Settings(out=tmp_path))
    assert [arguments[2].size for arguments, _ in seen] == [8, 32]
    assert [options["lam"](1.0) for _, options in seen] == pytest.approx([1, 2], abs=1e-3)
    assert {options["steps"] for _, options in seen} == {10_000}


def test_an_unknown_regime_is_one_sentence():
    with pytest.raises(InputError, match="regime of annealed is 'DANN deep'; choose one of domain"):
        BlobsTask("annealed", "DANN deep", 0)
    with pytest.raises(InputError, match="recipe is 'calm'; choose one of annealed, tf-dann"):
        BlobsTask("calm", "DANN", 0)
    assert BlobsTask("tf-dann", "DANN deep", 2).title == "DANN deep, seed 2"


def test_only_the_network_that_is_kept_is_saved(tmp_path):
    tasks = [BlobsTask("tf-dann", "DANN deep", seed) for seed in (0, 1)]
    settings = Settings(out=tmp_path, steps=30, models={tasks[1]: "model.npz"})
    source, _ = make_blobs_pair(seed=1)
    _, (_, _, (f_source, _)) = (train_and_test(task, settings) for task in tasks)
    dann = DANN.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(dann.transform(source.x), f_source)
    assert dann.preparation is None and len(list(tmp_path.glob("*.npz"))) == 1
