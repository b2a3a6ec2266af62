"""Accuracies of what is known, of examples prepared as in training."""

import numpy as np
import pytest

from minidann import DANN
from minidann.data import Batches, make_blobs_pair
from minidann.data.pairs import Domain
from minidann.data.preprocessing import ImagePreparation, preparation
from minidann.metrics import evaluate, predictions
from minidann.nn import Dense, Flatten, Sequential
from minidann.nn.optimizers import SGD
from minidann.runtime.arrays import to_host
from minidann.runtime.errors import InputError
from minidann.train import fit

SOURCE, TARGET = make_blobs_pair(60)
OF_SOURCE, OF_TARGET = ImagePreparation(4, (90, 100, 110)), ImagePreparation(4, (150, 140, 130))


@pytest.mark.parametrize("unknown", [None, np.full(60, -1)])
def test_the_accuracy_on_labels_that_are_not_known_is_absent(make_dann, place, unknown):
    dann = make_dann().convert(place)
    labels = unknown if unknown is None else place(unknown)
    source, x = tuple(map(place, SOURCE)), place(TARGET.x)
    expected = evaluate(dann, source, (x, dann.predict(x)))
    assert expected.pop("target_class") == 1
    assert evaluate(dann, source, (x, labels)) == expected


def test_examples_without_a_label_do_not_count(make_dann, place):
    dann = make_dann().convert(place)
    x = place(TARGET.x)
    answers = to_host(dann.predict(x))
    labels = np.where(np.arange(60) % 3 == 0, answers, -1)
    labels[0] = (answers[0] + 1) % 3  # 19 right and one wrong, whatever the other 40 are
    assert evaluate(dann, (x, place(labels)), (x, None))["source_class"] == 0.95


@pytest.mark.parametrize("labels", [1 + np.arange(60) % 3, np.arange(60) % 3 - 2])
def test_labels_that_no_unit_stands_for_are_not_just_wrong(make_dann, labels):
    dann = make_dann()
    assert dann.classes == 3
    with pytest.raises(InputError, match=r"the labels run from .* units for 0 to 2; number the"):
        evaluate(dann, SOURCE, (TARGET.x, labels))
    assert "target_class" in evaluate(dann, SOURCE, (TARGET.x, np.arange(60) % 3))


def test_labels_of_minus_and_plus_one_are_not_half_unknown(make_dann):
    with pytest.raises(InputError, match=r"the labels are -1 and 1.*\(y > 0\)"):
        evaluate(make_dann(), SOURCE, (TARGET.x, 2 * TARGET.y - 1))


@pytest.mark.parametrize("shape", [(59,), (60, 1), (), (60, 3)])
def test_labels_are_one_for_each_example(make_dann, shape):
    with pytest.raises(InputError, match="target has 60 examples, but its labels are an array"):
        evaluate(make_dann(), SOURCE, (TARGET.x, np.full(shape, -1)))


# --- stored examples are prepared as in training


def images(seed, low):
    """(x, y): 40 bytes of images that differ in brightness, whose left or right half is darker."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(low, low + 60, (40, 4, 4, 3), dtype=np.uint8), rng.integers(0, 2, 40)
    x[np.arange(40), :, 2 * y[:, None]] -= 30
    return x, y


def trained(place, prepare_source, prepare_target, with_target=True):
    """A network that was trained for some steps on images that were prepared like that."""
    rng = np.random.default_rng(0)
    widths = [[(48, 8)], [(8, 2)], [(8, 1)]]
    networks = [Sequential([Dense(*width, rng=rng) for width in ws]) for ws in widths]
    networks[0].layers.insert(0, Flatten())
    dann = DANN(*networks).convert(place)
    (x, y), (x_target, _) = images(1, 80), images(2, 130)
    fit(
        dann,
        SGD(dann.networks if with_target else dann.networks[:2], 0.05),
        Batches(place(x), place(y), size=8, rng=rng, prepare=prepare_source),
        Batches(place(x_target), size=8, rng=rng, prepare=prepare_target) if with_target else None,
        steps=5,
        lam=lambda p: 1.0,
        learning_rate=lambda p: 0.05,
        objective="dann" if with_target else "label",
    )
    return dann


def as_the_programs(place):
    domains = [Domain(*6 * [None], np.array(of.mean, np.float32)) for of in (OF_SOURCE, OF_TARGET)]
    return tuple(preparation(domain, place) for domain in domains)


KINDS = {"ImagePreparation": lambda place: (OF_SOURCE, OF_TARGET), "function": as_the_programs}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_bytes_are_prepared_as_the_target_was_in_training(place, kind):
    prepares = kind(place)
    dann, x = trained(place, *prepares), place(images(3, 130)[0])
    ready = prepares[1](x)
    assert not np.array_equal(to_host(dann.transform(ready)), to_host(dann.transform(ready + 1)))
    for ask in (dann.predict, dann.predict_proba, dann.predict_domain, dann.transform):
        np.testing.assert_array_equal(to_host(ask(x)), to_host(ask(ready)))
    np.testing.assert_array_equal(predictions(dann, x), predictions(dann, ready))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_each_domain_is_evaluated_as_it_was_prepared(place, kind):
    prepares = kind(place)
    dann = trained(place, *prepares)
    domains = [tuple(map(place, images(seed, low))) for seed, low in ((1, 80), (2, 130))]
    assert evaluate(dann, *domains) == evaluate(dann, *domains, *prepares)


def test_without_a_target_bytes_are_prepared_as_the_source_was():
    dann, (x, _) = trained(to_host, OF_SOURCE, None, with_target=False), images(3, 80)
    np.testing.assert_array_equal(dann.transform(x), dann.transform(OF_SOURCE(x)))
    assert dann.preparation == OF_SOURCE.to_dict()


def test_a_saved_network_keeps_the_preparation_of_the_target(tmp_path):
    dann = trained(to_host, OF_SOURCE, OF_TARGET)
    dann.save(tmp_path / "model.npz")
    again, (x, _) = DANN.load(tmp_path / "model.npz"), images(3, 130)
    prepare = ImagePreparation.from_dict(again.preparation)
    assert prepare == OF_TARGET
    np.testing.assert_array_equal(again.predict(prepare(x)), dann.predict(x))
    with pytest.raises(InputError, match=r"uint8, as they are stored.*ImagePreparation.from_dict"):
        again.predict(x)


def test_a_preparation_that_may_be_random_is_not_repeated():
    dann = trained(to_host, *2 * [lambda x: OF_TARGET(x)])
    (x, y), ready = images(3, 130), OF_TARGET(images(3, 130)[0])
    for ask in (dann.predict, dann.adapt_batch_norm, lambda x: evaluate(dann, (x, y), (x, y))):
        with pytest.raises(
            InputError, match=r"are uint8, as they are stored.*prepare them likewise"
        ):
            ask(x)
        ask(ready)


def test_integers_that_training_took_as_they_are_go_in_as_they_are():
    dann, (x, _) = trained(to_host, None, None), images(3, 130)
    np.testing.assert_array_equal(dann.predict(x), dann.predict(x.astype(np.float32)))


def test_training_on_prepared_examples_forgets_no_preparation():
    dann, (x, y) = trained(to_host, OF_SOURCE, OF_TARGET), images(1, 80)
    before, rng = dann.prepare, np.random.default_rng(0)
    batches = [Batches(OF_TARGET(x), *rest, size=8, rng=rng) for rest in ([y], [])]
    schedules = {"lam": lambda p: 1.0, "learning_rate": lambda p: 0.01}
    fit(dann, SGD(dann.networks, 0.01), *batches, steps=1, **schedules)
    assert dann.prepare == before == (OF_SOURCE, OF_TARGET)


def test_bytes_are_refused_after_training_on_images_that_were_prepared_before():
    (x, y), rng = images(1, 80), np.random.default_rng(0)
    dann = trained(to_host, None, None)
    dann.prepare = None  # as of a new network
    batches = [Batches(OF_TARGET(x), *rest, size=8, rng=rng) for rest in ([y], [])]
    schedules = {"lam": lambda p: 1.0, "learning_rate": lambda p: 0.01}
    fit(dann, SGD(dann.networks, 0.01), *batches, steps=1, **schedules)
    with pytest.raises(InputError, match="uint8, as images are stored, but training took numbers"):
        dann.predict(x)
    np.testing.assert_array_equal(dann.predict(x.astype(int)), dann.predict(x.astype(float)))
