"""What training costs a GPU besides its arithmetic: copies, waits, and launches of kernels.

Counted on the stand-in for CuPy: between two rows of the history nothing but the next batch may go
up, nothing comes down and Python never waits. And what is computed there is what is computed in
main memory.
"""

import sys
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
import strict_cupy
from tqdm import tqdm

from minidann import DANN
from minidann.callbacks import AverageWeights, History, ProgressBar
from minidann.data import Batches, make_blobs_pair
from minidann.data.preprocessing import normalize
from minidann.experiments import points, recipes
from minidann.metrics import evaluate, predictions
from minidann.nn import BatchNorm, Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU, Sequential
from minidann.nn.optimizers import SGD, Adam, WeightAverage
from minidann.runtime.arrays import to_device, to_host
from minidann.train import fit

IMAGE = 28 * 28 * 3  # bytes
LABEL = 8  # int64
MEAN = np.array([40.0, 50.0, 60.0], np.float32)


@pytest.fixture(autouse=True)
def meter(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", strict_cupy)
    strict_cupy.meter.reset()
    return strict_cupy.meter


class Counts(NamedTuple):
    """What was counted between two looks at the meter."""

    up: list
    down: list
    syncs: int
    launches: int


class Probe:
    """A learning-rate schedule: ``fit`` calls it as a step begins, and it reads the meter then."""

    def __init__(self):
        self.steps = []

    def __call__(self, p):
        meter = strict_cupy.meter
        self.steps.append(Counts(meter.up, meter.down, meter.syncs, meter.launches))
        meter.reset()
        return 0.001

    def between(self):
        """The counts of every step but the last; the first belongs to what came before training."""
        return self.steps[1:]


def image_pair(n, seed=0):
    """(x_source, y_source, x_target): random uint8 images of 28x28x3 and labels."""
    rng = np.random.default_rng(seed)
    return (
        rng.integers(0, 256, (n, 28, 28, 3), dtype=np.uint8),
        rng.integers(0, 10, n),
        rng.integers(0, 256, (n, 28, 28, 3), dtype=np.uint8),
    )


def image_batches(place, size, n, resident=True):
    """As the programs make them, of data that live on the device or go there batch by batch."""
    mean, rng = place(MEAN), np.random.default_rng(5)
    x_source, y_source, x_target = map(place, image_pair(n)) if resident else image_pair(n)
    make = partial(
        Batches,
        size=size,
        rng=rng,
        prepare=lambda x: normalize(place(x), mean),
        transfer=place,
    )
    return make(x_source, y_source), make(x_target)


def point_batches(place, size, n, resident=True):
    rng = np.random.default_rng(5)
    source, target = make_blobs_pair(n)
    arrays = (source.x, source.y), (target.x,)
    return [
        Batches(
            *(map(place, domain) if resident else domain),
            size=size,
            rng=rng,
            prepare=place,
            transfer=place,
        )
        for domain in arrays
    ]


def momentum(networks):
    return SGD(networks, 0.01, momentum=0.9)


def small_conv():
    """A network in small with all that mnistm's has."""
    rng = np.random.default_rng(1)
    features = [
        Conv2D(3, 2, 5, stride=3, rng=rng),
        ReLU(),
        MaxPool2D(2),
        Conv2D(2, 2, 3, rng=rng),
        MaxPool2D(2),
        Flatten(),
    ]
    return DANN(
        Sequential(features),
        Sequential([Dense(8, 10, rng=rng)]),
        Sequential([Dense(8, 2, rng=rng)]),
    )


NETWORKS = {
    "blobs": (lambda: points.build((8,), 0), Adam, point_batches),
    "convolutions": (small_conv, momentum, image_batches),
}


def count(
    kind,
    *,
    size=4,
    n=100,
    steps=12,
    every=100,
    objective="dann",
    averaged=False,
    resident=True,
    change=None,
):
    """The counts of each step of a run (but the last one), between two rows of the history."""
    build, optimizer, batches = NETWORKS[kind]
    dann = build()
    if change:
        change(dann)
    dann.convert(to_device)
    trained = dann.networks if objective == "dann" else dann.networks[:2]
    probe, batches = Probe(), batches(to_device, size, n, resident)
    averages = [AverageWeights(WeightAverage(trained))] if averaged else []
    fit(
        dann,
        optimizer(trained),
        *batches,
        steps=steps,
        lam=lambda p: p,
        learning_rate=probe,
        objective=objective,
        callbacks=[*averages, History(every=every), ProgressBar(tqdm(disable=True))],
    )
    return probe.between()


# --- within a step


@pytest.mark.parametrize("objective, averaged", [("dann", False), ("dann", True), ("label", False)])
@pytest.mark.parametrize("kind", NETWORKS)
def test_with_the_data_on_the_device_a_step_moves_nothing_and_waits_for_nothing(
    kind, objective, averaged
):
    steps = count(kind, steps=20, objective=objective, averaged=averaged)
    assert len(steps) == 19
    assert all((step.up, step.down, step.syncs) == ([], [], 0) for step in steps)


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_order_of_a_new_epoch_goes_up_once(kind):
    steps = count(kind, size=4, n=20, steps=14)  # an epoch ends with every fifth step
    order = 20 * 8
    assert [step.up for step in steps] == 2 * ([[]] * 4 + [[order, order]]) + [[]] * 3
    assert all((step.down, step.syncs) == ([], 0) for step in steps)


@pytest.mark.parametrize("kind, example", [("blobs", 2 * 4), ("convolutions", IMAGE)])
@pytest.mark.parametrize("size", [4, 6])
def test_data_that_stays_in_main_memory_goes_up_batch_by_batch_as_it_is(kind, example, size):
    steps = count(kind, size=size, resident=False)
    assert all(step.up == [size * example, size * LABEL, size * example] for step in steps)
    assert all((step.down, step.syncs) == ([], 0) for step in steps)


def test_a_dropout_mask_goes_up_as_one_byte_a_unit():
    def drop(dann):
        dann.features.layers.append(
            Dropout(0.5, rng=np.random.default_rng(0))
        )  # 15 features, of source and target
        dann.label_head.layers.insert(0, Dropout(0.5, rng=np.random.default_rng(0)))

    steps = count("blobs", size=6, change=drop)
    assert all(step.up == [2 * 6 * 15, 6 * 15] for step in steps)
    assert all((step.down, step.syncs) == ([], 0) for step in steps)


def test_batch_norm_moves_nothing():
    steps = count(
        "blobs", change=lambda dann: dann.features.layers.insert(1, BatchNorm(15, domains=2))
    )
    assert all((step.up, step.down, step.syncs) == ([], [], 0) for step in steps)


# --- at a row of the history


@pytest.mark.parametrize("objective, losses", [("dann", 2), ("label", 1)])
@pytest.mark.parametrize("every", [1, 3, 5])
def test_three_numbers_come_down_at_a_row_however_many_steps_it_sums_up(objective, losses, every):
    """The two losses, float32, and a sum of all weights, which is finite if they are."""
    steps = count("blobs", steps=16, every=every, objective=objective, averaged=True)
    for done, step in enumerate(steps, start=1):
        at_row = done % every == 0
        assert step.down == ([4] * (losses + 1) if at_row else [])
        assert step.syncs == len(step.down) and step.up == []


def test_the_last_step_costs_what_a_row_costs(meter):
    count("blobs", averaged=True)
    assert (
        meter.down == [4, 4, 4] and meter.syncs == 3 and not meter.up
    )  # since the last look of the probe


# --- launches


def one_step(dann, optimizer, batch):
    for _ in range(2):  # the first one makes the velocity
        strict_cupy.meter.reset()
        dann.compute_gradients(*map(to_device, batch), 0.5)
        optimizer.step()
    return strict_cupy.meter.launches


def test_launches_of_a_step_of_mnistms_network():
    """Each launch takes the host some 5 to 10 microseconds: few of them keep the GPU busy."""
    dann, rng = recipes.tf_dann(0).convert(to_device), np.random.default_rng(0)
    x_source, x_target = (rng.standard_normal((4, 28, 28, 3), dtype=np.float32) for _ in range(2))
    launches = one_step(dann, momentum(dann.networks), (x_source, rng.integers(0, 10, 4), x_target))
    assert 60 < launches <= 163  # 148 when this was written


def test_launches_of_a_step_of_blobs_network():
    dann, rng = points.build((8,), 0).convert(to_device), np.random.default_rng(0)
    x_source, x_target = (rng.standard_normal((8, 2), dtype=np.float32) for _ in range(2))
    launches = one_step(dann, Adam(dann.networks), (x_source, rng.integers(0, 2, 8), x_target))
    assert 30 < launches <= 73  # 66 when this was written


@pytest.mark.parametrize("kind", NETWORKS)
def test_launches_do_not_grow_with_the_batch(kind):
    small, large = (count(kind, size=size, steps=5, n=200) for size in (2, 32))
    assert [step.launches for step in small] == [step.launches for step in large]


def test_an_optimizer_step_is_one_launch_and_a_copy_of_each_gradient(meter):
    dann = points.build((8,), 0).convert(to_device)
    dann.compute_gradients(
        *map(
            to_device, (np.zeros((4, 2), np.float32), np.zeros(4, int), np.ones((4, 2), np.float32))
        ),
        0.5,
    )
    for make in (momentum, Adam):
        optimizer = make(dann.networks)
        meter.reset()
        optimizer.step()
        assert meter.launches == 1 + 8 and not meter.up and not meter.down


# --- evaluation


@pytest.mark.parametrize("n", [7, 500, 1203])
def test_evaluation_brings_down_the_predictions_alone(meter, n):
    dann = points.build((8,), 0).convert(to_device)
    source, target = make_blobs_pair(n)
    meter.reset()
    evaluate(dann, source, target, prepare=to_device)
    parts = [500] * (n // 500) + ([n % 500] if n % 500 else [])
    assert meter.up == 2 * [rows * 2 * 4 for rows in parts]
    assert meter.down == [n * 8] * 4 and meter.syncs == 4  # classes and domains of either data set


def test_evaluation_of_data_on_the_device_brings_down_its_sum_and_labels_too(meter):
    """The sum is finite if all examples are."""
    dann = points.build((8,), 0).convert(to_device)
    domains = [tuple(map(to_device, domain)) for domain in make_blobs_pair(600)]
    meter.reset()
    evaluate(dann, *domains)
    assert meter.up == [] and meter.down == [4, *[600 * 8] * 3] * 2 and meter.syncs == 8


@pytest.mark.parametrize("batch_size", [10, 64, 1000])
def test_predictions_come_down_together_whatever_the_parts(meter, batch_size):
    dann, x = points.build((), 0).convert(to_device), to_device(make_blobs_pair(200)[0].x)
    meter.reset()
    predictions(dann, x, batch_size=batch_size)
    assert meter.down == [4, 200 * 8, 200 * 8] and meter.syncs == 3  # the sum, then both answers
    assert sum(meter.up) == (
        4 * 8 * 20 if batch_size == 10 else 0
    )  # of more than eight parts CuPy sends addresses and sizes up


# --- main memory and the device agree


def with_noise():
    """Dropout of units and of channels, and batch normalisation of the two domains apart."""
    rng, drops = np.random.default_rng(1), np.random.default_rng(2)
    features = [
        Conv2D(3, 4, 5, stride=3, rng=rng),
        BatchNorm(4, domains=2),
        ReLU(),
        Dropout(0.2, channels=True, rng=drops),
        MaxPool2D(2),
        Flatten(),
    ]
    label_head = [Dense(100, 20, rng=rng), ReLU(), Dropout(0.5, rng=drops), Dense(20, 10, rng=rng)]
    domain_head = [Dense(100, 20, rng=rng), BatchNorm(20, domains=2), ReLU(), Dense(20, 2, rng=rng)]
    return DANN(*map(Sequential, (features, label_head, domain_head)))


def trained(place, build, steps):
    """(losses of every step, batches it saw, the network) of a run."""
    dann, batches = build().convert(place), image_batches(place, 8, 30)
    seen = []

    class Watched(Batches):
        def __next__(self):
            arrays = super().__next__()
            seen.append([to_host(array).copy() for array in arrays])
            return arrays

    for stream in batches:
        stream.__class__ = Watched
    history = fit(
        dann,
        momentum(dann.networks),
        *batches,
        steps=steps,
        lam=lambda p: p,
        learning_rate=lambda p: 0.01,
        callbacks=[History(every=1)],
    ).history
    return [(row["label_loss"], row["domain_loss"]) for row in history], seen, dann


@pytest.mark.parametrize(
    "build", [partial(recipes.tf_dann, 0), with_noise], ids=["tf-dann", "dropout and batch-norm"]
)
def test_main_memory_and_the_device_take_the_same_steps(build):
    here, there = (trained(place, build, steps=20) for place in (to_host, to_device))
    np.testing.assert_allclose(there[0], here[0], rtol=1e-4)
    assert len(here[1]) == len(there[1]) == 40
    for one, other in zip(here[1], there[1]):
        for array, twin in zip(one, other, strict=True):
            assert array.dtype == twin.dtype and np.array_equal(array, twin)
    assert np.ptp([loss for loss, _ in here[0]]) > 0.1  # they are losses of a network that moves
    x = image_pair(20, seed=9)[0]
    expected = predictions(here[2], x, lambda x: normalize(x, MEAN))
    np.testing.assert_array_equal(
        predictions(there[2], x, lambda x: normalize(to_device(x), to_device(MEAN))),
        expected,
    )
