"""The training loop: what it may depend on, what it records, what it refuses."""

import csv
import io
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from tqdm import tqdm

from minidann import DANN
from minidann.callbacks import AverageWeights, Callback, History, ProgressBar
from minidann.data import Batches, make_blobs_pair
from minidann.metrics import accuracy, evaluate, predictions
from minidann.nn import Dense, ReLU, Sequential
from minidann.nn.optimizers import SGD, Adam, WeightAverage
from minidann.nn.schedules import learning_rate, reversal_strength
from minidann.runtime.arrays import to_host
from minidann.runtime.errors import InputError, TrainingError
from minidann.train import fit

SOURCE, TARGET = make_blobs_pair(60)


@pytest.fixture
def make(make_dann, place):
    """``make_dann``, on the device that is tested."""
    return lambda **options: make_dann(**options).convert(place)


@pytest.fixture
def batches(place):
    """As the programs make them, of data sets that live on the device.

    There is one generator for both, and there are no target labels.
    """

    def batches(source=SOURCE, target=TARGET, size=8, seed=0):
        rng = np.random.default_rng(seed)
        return Batches(place(source.x), place(source.y), size=size, rng=rng), Batches(
            place(target.x), size=size, rng=rng
        )

    return batches


@pytest.fixture
def train(batches):
    """The history of ``fit`` on a few points, for a few steps if nothing else is said."""

    def train(
        dann,
        optimizer=None,
        source=SOURCE,
        target=TARGET,
        *,
        every=5,
        monitor=None,
        average=None,
        history=None,
        **options,
    ):
        options = {
            "steps": 12,
            "lam": reversal_strength,
            "learning_rate": lambda p: 0.01,
        } | options
        history = History(every=every, monitor=monitor) if history is None else history
        averages = [AverageWeights(average)] if average else []
        fit(
            dann,
            optimizer or Adam(dann.networks),
            *batches(source, target),
            callbacks=[*averages, history],
            **options,
        )
        return history

    return train


@pytest.fixture
def points(place):
    """Both domains on the device."""
    return tuple(type(domain)(*map(place, domain)) for domain in (SOURCE, TARGET))


def copies(*networks):
    return [to_host(array).copy() for network in networks for array in network.params.values()]


def flat(arrays):
    return np.concatenate([to_host(array).ravel() for array in arrays])


def weights(*networks):
    return flat(copies(*networks))


@pytest.mark.parametrize("objective", ["dann", "label", "domain"])
def test_two_runs_with_one_seed_are_equal_bit_for_bit(make, train, objective):
    runs = []
    for _ in range(2):
        dann = make(dtype=np.float32)
        optimizer = Adam(
            dann.networks
            if objective == "dann"
            else (dann.features, dann.label_head if objective == "label" else dann.domain_head)
        )
        runs.append((train(dann, optimizer, objective=objective), weights(*dann.networks)))
    assert runs[0][0] == runs[1][0] and np.array_equal(runs[0][1], runs[1][1])


def test_target_labels_have_no_way_in(make, train, place, points):
    """Whatever they are, and although they are monitored: the same losses, the same weights."""
    runs = []
    for y in (TARGET.y, 1 - TARGET.y):
        dann, target = make(dtype=np.float32), TARGET._replace(y=y)
        monitor = partial(evaluate, dann, points[0], points[1]._replace(y=place(y)))
        history = train(dann, target=target, average=WeightAverage(dann.networks), monitor=monitor)
        runs.append((history, weights(*dann.networks)))
    (first, first_weights), (second, second_weights) = runs
    assert [row.pop("target_class") for row in first] != [row.pop("target_class") for row in second]
    assert first == second and np.array_equal(first_weights, second_weights)


def test_target_batches_that_carry_labels_are_refused(make, batches, place):
    dann = make()
    labelled = Batches(place(TARGET.x), place(TARGET.y), size=8, rng=np.random.default_rng(0))
    with pytest.raises(ValueError):
        fit(
            dann,
            Adam(dann.networks),
            batches()[0],
            labelled,
            steps=1,
            lam=lambda p: 1.0,
            learning_rate=lambda p: 0.01,
        )


@pytest.mark.parametrize("lam", [0.0, 0.5, 3.0, -1.0])
def test_one_adam_follows_the_sum_of_both_gradients(make, batches, place, lam):
    """Two optimizers, one for each branch, would divide lam away.

    Each divides its gradient by the gradient's own size.
    """
    dann, twin, trajectory = make(), make(), []

    def monitor():
        trajectory.append(copies(*dann.networks))
        return {}

    monitor()
    fit(
        dann,
        Adam(dann.networks),
        *batches(),
        steps=3,
        lam=lambda p: lam,
        learning_rate=lambda p: 0.1,
        callbacks=[History(every=1, monitor=monitor)],
    )
    source, target = batches()
    m, s = 0.0, 0.0
    for t, (before, after) in enumerate(pairwise(trajectory), start=1):
        for array, value in zip(
            (array for network in twin.networks for array in network.params.values()), before
        ):
            array[...] = place(value)
        (x_source, y_source), (x_target,) = next(source), next(target)
        twin.compute_label_gradients(x_source, y_source)
        label = flat(twin.features.grads.values())
        twin.compute_domain_gradients(
            x_source, x_target, -1.0
        )  # -1: the domain loss's own gradient
        domain = flat(twin.features.grads.values())
        g = label - lam * domain
        m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g**2
        change = 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(s / (1 - 0.999**t)) + 1e-8)
        n = len(dann.features.params)
        moved = np.concatenate([(old - new).ravel() for old, new in zip(before[:n], after[:n])])
        np.testing.assert_allclose(moved, change, rtol=1e-5, atol=1e-7)


def test_progress_starts_at_zero_and_grows_with_every_step(make, batches):
    dann, history = make(), History(every=1)
    fit(
        dann,
        SGD(dann.networks, 1.0),
        *batches(),
        steps=8,
        lam=reversal_strength,
        learning_rate=learning_rate,
        callbacks=[history],
    )
    assert [row["p"] for row in history] == [step / 8 for step in range(8)]
    assert [row["lam"] for row in history] == [reversal_strength(step / 8) for step in range(8)]
    assert [row["learning_rate"] for row in history] == [
        learning_rate(step / 8) for step in range(8)
    ]
    assert history[0]["lam"] == 0


def test_rows_average_the_losses_since_the_row_before(make, train):
    every_step, in_rows = (train(make(), every=every) for every in (1, 5))
    assert [row["step"] for row in every_step] == list(range(1, 13)) and [
        row["step"] for row in in_rows
    ] == [5, 10, 12]
    for row, steps in zip(in_rows, (every_step[:5], every_step[5:10], every_step[10:])):
        for loss in ("label_loss", "domain_loss"):
            assert row[loss] == pytest.approx(np.mean([step[loss] for step in steps]), rel=1e-12)
        assert {key: row[key] for key in ("p", "lam", "learning_rate")} == {
            key: steps[-1][key] for key in ("p", "lam", "learning_rate")
        }


def test_the_history_is_saved_as_csv(make, train, tmp_path):
    history = train(make(), monitor=lambda: {"extra": 0.25})
    history.save(tmp_path / "new" / "history.csv")
    with open(tmp_path / "new" / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "step",
        "p",
        "lam",
        "learning_rate",
        "label_loss",
        "domain_loss",
        "extra",
    ]
    assert [{key: float(value) for key, value in row.items()} for row in rows] == history


def test_an_empty_history_is_saved_too(tmp_path):
    History().save(tmp_path / "history.csv")
    assert (tmp_path / "history.csv").read_text().strip() == "step"


def test_the_label_objective_sees_neither_target_nor_domain_head(make, batches):
    dann = make()
    before, others = weights(dann.domain_head), weights(dann.features, dann.label_head)
    history = fit(
        dann,
        Adam(dann.networks[:2]),
        batches()[0],
        None,
        steps=5,
        lam=reversal_strength,
        learning_rate=lambda p: 0.1,
        objective="label",
    ).history
    assert np.array_equal(weights(dann.domain_head), before) and not dann.domain_head.grads
    assert not np.isclose(weights(dann.features, dann.label_head), others).all()
    assert history[-1]["domain_loss"] == history[-1]["lam"] == 0


def test_the_domain_objective_trains_no_label_head(make, train):
    dann = make()
    before = weights(dann.label_head)
    history = train(
        dann,
        Adam((dann.features, dann.domain_head)),
        objective="domain",
        lam=lambda p: -1.0,
        steps=60,
        learning_rate=lambda p: 0.05,
    )
    assert np.array_equal(weights(dann.label_head), before)
    assert (
        history[-1]["label_loss"] == 0
        and history[-1]["domain_loss"] < 0.7 * history[0]["domain_loss"]
    )


@pytest.mark.parametrize("steps", [1, 2, 8])
def test_the_average_is_the_mean_weight_of_the_second_half(make, train, steps):
    dann, trajectory = make(), []
    train(
        dann, steps=steps, every=1, monitor=lambda: trajectory.append(weights(*dann.networks)) or {}
    )
    averaged = make()
    train(averaged, steps=steps, average=WeightAverage(averaged.networks))
    np.testing.assert_allclose(
        weights(*averaged.networks), np.mean(trajectory[steps // 2 :], axis=0), rtol=1e-10
    )


def test_ctrl_c_leaves_the_rows_so_far(make, train):
    def monitor():
        if len(history) == 2:
            raise KeyboardInterrupt
        return {}

    history = History(every=5, monitor=monitor)
    with pytest.raises(KeyboardInterrupt):
        train(make(), steps=50, history=history)
    assert [row["step"] for row in history] == [5, 10]


class Told(Callback):
    """Writes down what it is told."""

    def __init__(self, log, title=""):
        self.log, self.title = log, title

    def begin(self, training):
        self.log.append(f"{self.title}begin {training.step}")

    def after_step(self, training):
        self.log.append(f"{self.title}{training.step}")

    def end(self, training):
        self.log.append(f"{self.title}end {training.step}")


def run(dann, batches, callbacks, **options):
    """A few steps with these callbacks: the Training."""
    options = {"steps": 4, "lam": lambda p: p / 2, "learning_rate": lambda p: 1 - p} | options
    return fit(dann, SGD(dann.networks, 1.0), *batches, callbacks=callbacks, **options)


def test_callbacks_are_told_in_their_order(make, batches):
    log = []
    run(make(), batches(), [Told(log, "a "), Told(log, "b ")], steps=2)
    told = ["a begin 0", "b begin 0", "a 1", "b 1", "a 2", "b 2"]
    assert log == [*told, "b end 2", "a end 2"]


def test_a_callback_sees_the_training_as_it_is_after_the_step(make, batches):
    seen = []

    class Seen(Callback):
        def after_step(self, training):
            seen.append((training.step, training.p, training.lam, training.learning_rate))
            assert all(np.isfinite(float(to_host(loss))) for loss in training.losses)

    training = run(make(), batches(), [Seen()])
    assert seen == [
        (1, 0.0, 0.0, 1.0),
        (2, 0.25, 0.125, 0.75),
        (3, 0.5, 0.25, 0.5),
        (4, 0.75, 0.375, 0.25),
    ]
    assert training.step == training.steps == 4


def test_callbacks_that_have_begun_are_told_of_the_end_however_it_comes(make, batches):
    log = []

    class Broken(Told):
        def after_step(self, training):
            raise KeyboardInterrupt

    class NotEvenBegun(Told):
        def begin(self, training):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(make(), batches(), [Told(log, "a "), Broken(log, "b ")])
    assert log == ["a begin 0", "b begin 0", "a 1", "b end 1", "a end 1"]
    log.clear()
    with pytest.raises(KeyboardInterrupt):
        run(make(), batches(), [Told(log, "a "), NotEvenBegun(log, "b "), Told(log, "c ")])
    assert log == ["a begin 0", "b end 0", "a end 0"]


def test_a_callback_may_begin_later(make, batches):
    """As a checkpoint does: the steps before are not taken, and not shown as taken now."""

    class Later(Callback):
        def begin(self, training):
            training.step = 3

    log, bar = [], tqdm(disable=True)
    run(make(), batches(), [Later(), Told(log)])
    assert log == ["begin 3", "4", "end 4"]
    advanced = []
    bar.update = lambda n=1: advanced.append(n)
    run(make(), batches(), [Later(), ProgressBar(bar)])
    assert advanced == [3, 1]


def test_without_a_history_there_is_one_which_notices_divergence(make, batches):
    class Spoil(Callback):
        def after_step(self, training):
            if training.step == 150:
                training.dann.domain_head.params["0.W"][0, 0] = float("nan")

    training = run(make(), batches(), [], steps=201)
    assert [row["step"] for row in training.history] == [100, 200, 201]
    with pytest.raises(TrainingError, match=r"in step 150|by step 200"):  # the latter on a GPU
        run(make(), batches(), [Spoil()], steps=201)


def test_a_history_that_is_given_is_the_one(make, batches):
    history = History(every=3)
    assert run(make(), batches(), [history]).history is history
    assert [row["step"] for row in history] == [3, 4]


def test_rows_may_not_be_less_than_a_step_apart():
    with pytest.raises(InputError, match="steps between rows is 0; it must be at least 1"):
        History(every=0)


def test_the_history_records_the_averaged_weights(make, batches):
    """The average is given before the history, which monitors after it."""
    dann, seen = make(), []
    history = History(every=9, monitor=lambda: seen.append(weights(*dann.networks)) or {})
    run(dann, batches(), [AverageWeights(WeightAverage(dann.networks)), history])
    np.testing.assert_array_equal(seen[-1], weights(*dann.networks))


def test_a_bar_of_ones_own_is_closed_and_a_given_one_goes_on(make, batches, monkeypatch):
    made = []
    monkeypatch.setattr(
        "minidann.callbacks.progress_bar",
        lambda total: made.append(tqdm(total=total, file=io.StringIO())) or made[-1],
    )
    run(make(), batches(), [ProgressBar()])
    assert [bar.n for bar in made] == [4] and made[0].disable  # a closed bar of tqdm is disabled
    given = tqdm(total=8, file=io.StringIO())
    for _ in range(2):
        run(make(), batches(), [History(every=2), ProgressBar(given)])
    assert given.n == 8 and not given.disable and "L_y=" in given.postfix
    given.close()


@pytest.mark.parametrize("every, step", [(5, 7), (5, 10), (100, 13)])
def test_the_state_of_a_history_is_its_rows_and_what_follows_the_last(make, batches, every, step):
    def watch(history, **options):
        dann = make(dtype=np.float32)
        return run(dann, batches(), [history], steps=20, **options)

    class Stopped(History):
        def after_step(self, training):
            super().after_step(training)
            if training.step == step:
                copied.load_state_dict(self.state_dict())

    copied = History(every=every)
    whole = watch(Stopped(every=every)).history
    kept = copied.state_dict()
    assert [row["step"] for row in copied] == [row["step"] for row in whole if row["step"] <= step]
    assert kept["count"] == step % every and (kept["sums"] != 0).all() == bool(step % every)


@pytest.mark.parametrize("objective", ["dann", "label"])
@pytest.mark.parametrize("label", [3, -1])
def test_labels_that_the_head_has_no_unit_for_are_refused(make, train, objective, label):
    y = SOURCE.y.copy()
    y[17] = label
    dann = make()
    before = weights(*dann.networks)
    with pytest.raises(InputError, match=rf"the labels run from .*{label}.* units for 0 to 2"):
        train(dann, source=SOURCE._replace(y=y), objective=objective)
    assert np.array_equal(weights(*dann.networks), before)


def test_the_label_head_is_looked_at_where_the_batches_go(make, place):
    """An example of main memory does not go through a network on a device."""
    dann, rng = make(), np.random.default_rng(0)
    source, target = (
        Batches(*arrays, size=8, rng=rng, transfer=place) for arrays in (SOURCE, (TARGET.x,))
    )
    assert fit(
        dann,
        Adam(dann.networks),
        source,
        target,
        steps=1,
        lam=reversal_strength,
        learning_rate=learning_rate,
    )


@pytest.mark.parametrize(
    "options, message",
    [
        ({"steps": 0}, "number of steps is 0"),
        ({"steps": -3}, "number of steps is -3"),
        ({"lam": lambda p: float("nan")}, "lam is nan at p = 0"),
        ({"lam": lambda p: float("inf")}, "lam is inf"),
        ({"learning_rate": lambda p: float("nan")}, "learning rate is nan"),
        ({"objective": "cdan"}, "'cdan'; choose one of dann, label, domain"),
    ],
    ids=["no steps", "negative steps", "nan lam", "infinite lam", "nan learning rate", "objective"],
)
def test_options_that_make_no_sense_are_named(make, train, options, message):
    with pytest.raises(InputError, match=message):
        train(make(), **options)


@pytest.mark.parametrize(
    "cause, message",
    [
        ({"learning_rate": lambda p: 1e30}, "learning rate 1e\\+30"),
        ({"lam": lambda p: 1e30}, "lam 1e\\+30"),
    ],
)
def test_a_loss_that_is_no_longer_finite_stops_the_training_at_a_named_step(
    train, place, cause, message
):
    rng = np.random.default_rng(0)
    dann = DANN(
        Sequential([Dense(2, 4, rng=rng), ReLU()]),
        Sequential([Dense(4, 2, rng=rng)]),
        Sequential([Dense(4, 2, rng=rng)]),
    ).convert(place)
    with (
        np.errstate(all="ignore"),
        pytest.raises(TrainingError, match=rf"(in|by) step \d+: .*{message}"),
    ):
        train(dann, SGD(dann.networks, 1.0), steps=40, **cause)


class Losses(Callback):
    """Those of each step that was taken."""

    def __init__(self):
        self.seen = []

    def after_step(self, training):
        self.seen.append(float(training.losses.label + training.losses.domain))


def diverging(batches, callbacks, **options):
    """The sentence in which 200 steps of a network with two hidden layers end."""
    rng = np.random.default_rng(0)
    dann = DANN(
        Sequential([Dense(2, 4, rng=rng), ReLU(), Dense(4, 4, rng=rng)]),
        Sequential([Dense(4, 2, rng=rng)]),
        Sequential([Dense(4, 2, rng=rng)]),
    )
    options = {"steps": 200, "lam": lambda p: 1.0, "learning_rate": lambda p: 0.1} | options
    with pytest.raises(TrainingError) as error:
        fit(dann, SGD(dann.networks, 1.0), *batches, callbacks=callbacks, **options)
    return str(error.value), dann


def drawn(scale=1, prepare=None):
    """Batches in main memory."""
    rng, x = np.random.default_rng(0), (scale * SOURCE.x).astype(np.float32)
    return Batches(x, SOURCE.y, size=8, rng=rng, prepare=prepare), Batches(
        TARGET.x, size=8, rng=rng
    )


def test_divergence_names_the_step_and_the_layer_and_spares_the_weights():
    """The forward pass of that step overflows, from weights that are large but finite."""
    losses = Losses()
    said, dann = diverging(drawn(), [losses], learning_rate=lambda p: 1e30 if p >= 0.1 else 0.1)
    assert len(losses.seen) == 21 and np.isfinite(losses.seen).all()
    assert said.startswith(
        "training diverged in step 22: the output of features.2, Dense(4, 4), holds NaN or "
        "infinity; label loss nan"
    )
    assert said.endswith("learning rate 1e+30, lam 1; lower one of the last two")
    assert np.isfinite(weights(*dann.networks)).all()


def test_without_lam_it_is_the_learning_rate_that_is_to_be_lowered():
    options = {"lam": lambda p: 0.0, "learning_rate": lambda p: 1e30}
    said, _ = diverging(drawn(), [], **options)
    assert said.endswith("lam 0; lower the learning rate")


def test_divergence_in_the_weights_names_the_step_that_left_them():
    class Spoil(Callback):
        def after_step(self, training):
            if training.step == 150:
                for i in 0, 2:  # as a gradient that is not finite would, from the losses down
                    training.dann.features.params[f"{i}.W"][0, 0] = float("inf")

    said, _ = diverging(drawn(), [Spoil()])
    assert said.startswith(
        "training diverged in step 150: it left NaN or infinity in W of features.2, Dense(4, 4); "
    )


def test_nan_out_of_the_preparation_is_no_matter_of_the_learning_rate():
    """Batches refuse data that hold it from the start."""
    said, _ = diverging(drawn(prepare=lambda x: np.float32("nan") * x), [])
    assert "in step 1: the input of features.0, Dense(2, 4), holds NaN or infinity" in said
    assert said.endswith("look at the data and at their preparation")


def test_the_first_step_is_no_matter_of_the_learning_rate():
    said, _ = diverging(drawn(scale=3e38 / abs(SOURCE.x).max()), [])
    assert "in step 1: the output of " in said
    assert said.endswith("make the input or the first weights smaller")


@pytest.mark.parametrize("what", ["nan", "inf"])
def test_a_weight_that_is_no_longer_finite_stops_the_training(make, train, what):
    """The losses need not show it.

    They are those before the step, and the label objective never looks at the domain head.
    """
    dann = make()

    def spoil(p):
        dann.domain_head.params["0.W"][0, 0] = float(what)
        return 0.01

    with pytest.raises(TrainingError, match="by step 5"):
        train(dann, Adam(dann.networks[:2]), objective="label", learning_rate=spoil)


@pytest.mark.parametrize(
    "y, message",
    [
        (SOURCE.y.astype(float), "an array of float64 of shape"),
        (SOURCE.y[:, None], r"of shape \(60, 1\)"),
    ],
)
def test_labels_are_one_integer_for_each_example(make, train, y, message):
    with pytest.raises(InputError, match=message):
        train(make(), source=SOURCE._replace(y=y))


def test_training_learns_the_source(make, train, points):
    dann = make()
    train(
        dann,
        objective="label",
        steps=150,
        learning_rate=lambda p: 0.05,
        optimizer=Adam(dann.networks[:2]),
    )
    assert evaluate(dann, *points)["source_class"] > 0.95


def test_the_four_accuracies(make, points):
    dann, (source, target) = make(), points
    result = evaluate(dann, source, target)
    assert all(type(value) is float for value in result.values())
    assert result["target_class"] == (to_host(dann.predict(target.x)) == TARGET.y).mean()
    assert result["source_class"] == (to_host(dann.predict(source.x)) == SOURCE.y).mean()
    assert result["source_domain"] == (to_host(dann.predict_domain(source.x)) == 0).mean()
    assert result["target_domain"] == (to_host(dann.predict_domain(target.x)) == 1).mean()


def test_examples_that_prepare_takes_to_the_device_are_evaluated_like_those_that_live_there(
    make, place, points
):
    dann = make()
    assert evaluate(dann, SOURCE, TARGET, prepare=place) == evaluate(dann, *points)


def test_predictions_prepare_each_part_and_do_not_depend_on_its_size(make, points):
    dann, x = make(), points[1].x
    expected = to_host(dann.predict(2 * x)), to_host(dann.predict_domain(2 * x))
    for size in (1, 7, 500):
        found = predictions(dann, x, prepare=lambda x: 2 * x, batch_size=size)
        assert all(type(array) is np.ndarray for array in found)
        np.testing.assert_array_equal(found, expected)


def test_accuracy_is_the_share_of_equals(place):
    assert accuracy(place(np.array([1, 2, 3, 4])), place(np.array([1, 2, 0, 4]))) == 0.75
