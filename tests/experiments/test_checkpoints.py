"""A run that is killed and resumed ends as one that was never interrupted, to the last bit."""

import errno
import io
import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
import types
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidann import DANN, mnistm
from minidann.callbacks import AverageWeights, Callback, History, Training
from minidann.data import Batches, make_blobs_pair
from minidann.experiments import checkpoints as checkpoint
from minidann.experiments import images, pair_program
from minidann.experiments.checkpoints import SAVING, Checkpoint, Saving
from minidann.experiments.config import ImageSettings
from minidann.experiments.runs import Experiment, conduct
from minidann.nn import BatchNorm, Dense, Dropout, ReLU, Sequential
from minidann.nn.optimizers import SGD, Adam, WeightAverage
from minidann.runtime.arrays import to_host
from minidann.runtime.device import driver_version
from minidann.runtime.errors import InputError, TrainingError
from minidann.runtime.files import HOST
from minidann.runtime.npz import FINGERPRINT, fingerprint, load_arrays, save_arrays
from minidann.runtime.stops import SIGNALS, Stop, caught
from minidann.train import fit

RUN = {"method": "dann", "seed": 3, "steps": 24, "lam": None}
STEPS, EVERY = 24, 5  # rows after steps 5, 10, 15, 20, 24; the average begins after step 12
ROWS = (5, 10, 15, 20, 24)
STOPS = (1, 5, 7, 10, 13, 15, 20, 23, 24)  # at rows and between them
OPTIMIZERS = {
    "SGD": lambda networks: SGD(networks, 0.05, momentum=0.9, weight_decay=0.01),
    "Adam": lambda networks: Adam(networks),
}


class Run(NamedTuple):
    """A run that is built anew, as in a new process."""

    dann: DANN
    optimizer: SGD | Adam
    source: Batches
    target: Batches | None
    average: WeightAverage | None
    history: History
    objective: str

    def fit(self, checkpoint=None, *, every=EVERY, monitor=None):
        self.history.every, self.history.monitor = every, monitor
        fit(
            self.dann,
            self.optimizer,
            self.source,
            self.target,
            steps=STEPS,
            lam=lambda p: p,
            learning_rate=lambda p: 0.05 / (1 + p),
            objective=self.objective,
            callbacks=[*self.callbacks(), *([checkpoint] if checkpoint else [])],
        )
        return self.outcome()

    def callbacks(self):
        return (*([AverageWeights(self.average)] if self.average else []), self.history)

    def training(self, step=0):
        """As ``fit`` makes it, after so many steps."""
        parts = self.dann, self.optimizer, self.source, self.target
        return Training(*parts, STEPS, self.callbacks(), step)

    def outcome(self):
        """All that the next step would depend on, in main memory and in plain numbers."""
        dann, optimizer, source, target, average, history, _ = self
        arrays = {
            f"{i}.{name}": array
            for i, network in enumerate(dann.networks)
            for name, array in (network.params | network.state).items()
        }
        arrays |= {f"optimizer.{name}": array for name, array in optimizer.state.items()}
        if average and average.k:
            arrays |= {f"average.{name}": array for name, array in average.state.items()}
        for name, batches in {"source": source, "target": target}.items():
            arrays |= (
                {f"{name} order": batches.order, f"{name} next": np.array(batches.next)}
                if batches
                else {}
            )
        generators = [batches.rng for batches in (source, target) if batches]
        generators += [
            leaf.rng
            for network in dann.networks
            for leaf in network.leaves()
            if isinstance(leaf, Dropout)
        ]
        numbers = [
            optimizer.t,
            average.k if average else None,
            [generator.bit_generator.state for generator in generators],
            list(history),
        ]
        return {name: to_host(array).copy() for name, array in arrays.items()}, numbers


def new_run(place, optimizer="SGD", objective="dann", averaged=True):
    """25 points of each domain in batches of 8: an epoch ends within a batch.

    24 steps are more than seven epochs. Batch-norm stands first: a bias in front of it would have a
    gradient of rounding errors alone, which Adam would make a step of.
    """
    rng, drops = np.random.default_rng(0), [np.random.default_rng(i) for i in (5, 6)]
    features = [BatchNorm(2, domains=2), Dense(2, 6, rng=rng), ReLU(), Dropout(0.3, rng=drops[0])]
    heads = [
        [Dense(6, 4, rng=rng), Dropout(0.2, rng=drops[1]), ReLU(), Dense(4, 2, rng=rng)]
        for _ in range(2)
    ]
    dann = DANN(*map(Sequential, (features, *heads))).convert(place)
    trained = dann.networks if objective == "dann" else dann.networks[:2]
    source, target = make_blobs_pair(25, seed=1)
    rng = np.random.default_rng(7)  # one for both, as the programs have it
    return Run(
        dann,
        OPTIMIZERS[optimizer](trained),
        Batches(place(source.x), place(source.y), size=8, rng=rng),
        Batches(place(target.x), size=8, rng=rng) if objective == "dann" else None,
        WeightAverage(trained) if averaged else None,
        History(),
        objective,
    )


def assert_same(found, expected):
    assert found[0].keys() == expected[0].keys()
    for name, array in found[0].items():
        assert array.dtype == expected[0][name].dtype
        np.testing.assert_array_equal(array, expected[0][name], err_msg=name)
    assert found[1] == expected[1]


class Interrupted(Checkpoint):
    """Ctrl-C after the checkpoint of a given step."""

    def __init__(self, path, run=RUN, *, after, **options):
        super().__init__(path, run, every=0, **options)
        self.after = after

    def after_step(self, training):
        super().after_step(training)
        if training.step == self.after:
            raise KeyboardInterrupt


class Once(Checkpoint):
    """Saves after one step and no other."""

    def __init__(self, path, *, at):
        super().__init__(path, RUN)
        self.at = at

    def after_step(self, training):
        if training.step == self.at:
            self.save(training)


def interrupted(path, run, after, **options):
    """A file that a run has left when it was ended after a step."""
    with pytest.raises(KeyboardInterrupt):
        run.fit(Interrupted(path, after=after, **options))
    return path


def resumed(path, run=RUN, **options):
    return Checkpoint(path, run, resume=True, every=0, **options)


@pytest.fixture
def file(tmp_path):
    before = [signal.getsignal(number) for number in SIGNALS]
    yield tmp_path / "checkpoints" / "run.npz"  # in a folder that is yet to be made
    assert [signal.getsignal(number) for number in SIGNALS] == before


def saved_step(path):
    with np.load(path, allow_pickle=False) as saved:
        return int(saved["step"])


# --- interrupted and resumed

NETWORK = [
    (optimizer, objective, averaged)
    for optimizer in OPTIMIZERS
    for objective in ("dann", "label")
    for averaged in (True, False)
]


@pytest.mark.parametrize("optimizer, objective, averaged", NETWORK)
def test_resumed_after_any_step_it_ends_as_if_never_interrupted(
    place, file, optimizer, objective, averaged
):
    expected = new_run(place, optimizer, objective, averaged).fit()
    for step in STOPS:  # after the last one too, when there is nothing left to do
        interrupted(file, new_run(place, optimizer, objective, averaged), step)
        assert saved_step(file) == step
        assert_same(new_run(place, optimizer, objective, averaged).fit(resumed(file)), expected)
        file.unlink()


def overwrite(thing, value, *names):
    """Give the arrays of a state whose names begin so another value."""
    state = thing.state_dict()
    for name in state:
        if name.startswith(names):
            state[name][...] = value
    thing.load_state_dict(state)


def average_of(training):
    (average,) = [one for one in training.callbacks if isinstance(one, AverageWeights)]
    return average


SPOILED = {
    "momentum": lambda run: overwrite(run.optimizer, 0, "velocity"),
    "weights": lambda run: run.dann.domain_head.params["0.W"].fill(0),
    "running statistics": lambda run: run.dann.features.state["0.var"].fill(1),
    "order": lambda run: run.source.order.fill(0),
    "place in the order": lambda run: setattr(run.target, "next", 0),
    "generator of the batches": lambda run: setattr(
        run.source.rng.bit_generator, "state", np.random.default_rng(7).bit_generator.state
    ),
    "generator of the masks": lambda run: setattr(
        run.dann.features.layers[3], "rng", np.random.default_rng(5)
    ),
    "average": lambda run: overwrite(average_of(run), 0, "mean"),
    "length of the average": lambda run: overwrite(average_of(run), 1, "k"),
    "steps of the optimizer": lambda run: setattr(run.optimizer, "t", 0),
    "rows of the history": lambda run: run.history.clear(),
    "losses since the last row": lambda run: overwrite(run.history, 0, "sums"),
    "steps since the last row": lambda run: overwrite(run.history, 0, "count"),
    "steps": lambda run: setattr(run, "step", 0),
}


@pytest.mark.parametrize("part", SPOILED)
def test_every_part_of_a_checkpoint_is_needed(place, file, part):
    """A run that is resumed without one of them ends elsewhere: the tests above would see it."""

    class Forgetful(Checkpoint):
        def restore(self, training):
            super().restore(training)
            SPOILED[part](training)

    expected = new_run(place).fit()
    interrupted(file, new_run(place), 17)
    assert_same(new_run(place).fit(resumed(file)), expected)
    interrupted(file, new_run(place), 17)
    with pytest.raises(AssertionError):
        assert_same(new_run(place).fit(Forgetful(file, RUN, resume=True)), expected)


class Patience(Callback):
    """A user's own callback that remembers something from step to step."""

    name = "patience"

    def __init__(self):
        self.seen = 0

    def after_step(self, training):
        self.seen += training.step

    def state_dict(self):
        return {"seen": np.array(self.seen)}

    def load_state_dict(self, state):
        self.seen = int(state["seen"])


def test_a_callback_with_a_name_is_saved_too(file):
    def run(checkpoint):
        patience, one = Patience(), new_run(to_host)
        trained = one.dann, one.optimizer, one.source, one.target
        schedules = {"lam": lambda p: p, "learning_rate": lambda p: 0.05}
        fit(*trained, steps=STEPS, callbacks=[patience, checkpoint], **schedules)
        return patience.seen

    with pytest.raises(KeyboardInterrupt):
        run(Interrupted(file, after=10))
    assert run(resumed(file)) == sum(range(1, STEPS + 1))


def test_a_layer_of_ones_own_that_draws_is_saved_without_a_word(file):
    """Nothing names its generator: a layer with one has it in its state."""

    class Noise(ReLU):
        def __init__(self, generator):
            super().__init__()
            self.generator = generator

        def forward(self, x, train=False):
            noise = self.generator.normal(0, 0.1, x.shape).astype(x.dtype) if train else 0
            return super().forward(x + noise, train)

    def run():
        one = new_run(to_host)
        one.dann.features.layers[2] = Noise(np.random.Generator(np.random.MT19937(3)))
        return one

    expected = run().fit()
    interrupted(file, run(), 13)
    with np.load(file, allow_pickle=False) as saved:
        assert "MT19937" in str(saved["dann.features.2.generator"])
    assert_same(run().fit(resumed(file)), expected)


def test_interrupted_again_and_again(place, file):
    expected = new_run(place).fit()
    for step in STOPS[:-1]:
        interrupted(file, new_run(place), step, resume=True)
    run = new_run(place)
    assert_same(run.fit(resumed(file)), expected)
    assert [row["step"] for row in run.history] == list(ROWS)


def test_steps_after_the_last_checkpoint_are_taken_again(place, file):
    """Killed long after it, or during a row's evaluation."""
    expected = new_run(place, "Adam").fit(monitor=lambda: {"extra": 1})
    run = new_run(place, "Adam")

    def monitor():
        if len(run.history) == 3:
            raise KeyboardInterrupt
        return {"extra": 1}

    with pytest.raises(KeyboardInterrupt):
        run.fit(Once(file, at=13), monitor=monitor)
    assert saved_step(file) == 13
    assert_same(new_run(place, "Adam").fit(resumed(file), monitor=lambda: {"extra": 1}), expected)


def test_data_that_goes_up_batch_by_batch_is_resumed_too(place, file):
    def host_run():
        run = new_run(place)
        source, target = make_blobs_pair(25, seed=1)
        rng = np.random.default_rng(7)
        batches = [
            Batches(*arrays, size=8, rng=rng, transfer=place, prepare=place)
            for arrays in ((source.x, source.y), (target.x,))
        ]
        return run._replace(source=batches[0], target=batches[1])

    expected = host_run().fit()
    assert_same(host_run().fit(resumed(interrupted(file, host_run(), 10))), expected)
    assert_same(new_run(place).fit(resumed(file)), expected)  # also where it now fits on the device


@pytest.mark.parametrize("step", [5, 13, 24])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("up", [True, False], ids=["to the device", "to main memory"])
def test_a_run_moves_from_one_device_to_another(place, file, optimizer, step, up):
    """The state is the same to the last bit; from then on the devices add in different orders."""
    begun, ended = (to_host, place) if up else (place, to_host)
    run = new_run(begun, optimizer)
    interrupted(file, run, step)
    there = new_run(ended, optimizer)
    training = there.training()
    resumed(file).restore(training)
    assert training.step == step
    assert_same(there.outcome(), run.outcome())
    assert {
        type(array) for network in there.dann.networks for array in network.params.values()
    } == {type(ended(np.zeros(1)))}
    assert type(there.source.order) is type(ended(np.zeros(1)))
    arrays, numbers = new_run(ended, optimizer).fit(resumed(file))
    expected, expected_numbers = new_run(ended, optimizer).fit()
    assert numbers[:3] == expected_numbers[:3] and [row["step"] for row in numbers[3]] == list(ROWS)
    for name, array in arrays.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-3, atol=1e-5, err_msg=name)


# --- killed


def child(path, how):
    """What the process that is killed does."""
    run = new_run(to_host)
    if how == "while saving":
        savez, calls = np.savez, []

        def savez_and_die(file, **arrays):
            calls.append(0)
            if len(calls) < 3:
                return savez(file, **arrays)
            whole = io.BytesIO()
            savez(whole, **arrays)
            file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)

        np.savez = savez_and_die
        run.fit(Checkpoint(path, RUN, every=0))
    else:
        run.fit(Checkpoint(path, RUN, every=0), every=1, monitor=lambda: time.sleep(0.2) or {})


@pytest.mark.parametrize("how", ["in the middle of it", "while saving"])
def test_a_process_that_was_killed(file, how):
    options = {} if how == "while saving" else {"every": 1, "monitor": dict}
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import test_checkpoints; test_checkpoints.child({str(file)!r}, {how!r})",
        ],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while (
            not (file.exists() and saved_step(file) >= 2)
            and process.poll() is None
            and time.monotonic() < deadline
        ):
            time.sleep(0.01)
        if how == "while saving":
            process.wait(timeout=60)
    finally:
        process.kill()
    _, error = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, error
    assert saved_step(file) == 2 if how == "while saving" else 2 <= saved_step(file) < STEPS
    run = new_run(to_host)
    assert_same(run.fit(resumed(file), **options), new_run(to_host).fit(**options))
    assert saved_step(file) == STEPS


# --- which file is resumed


def test_without_resume_a_file_is_not_read_and_is_replaced(place, file):
    interrupted(file, new_run(place), 10)
    run = new_run(place)
    assert_same(
        run.fit(Checkpoint(file, RUN | {"seed": 4}, resume=False, every=0)), new_run(place).fit()
    )
    assert saved_step(file) == STEPS
    file.write_bytes(b"not a checkpoint")
    new_run(place).fit(Checkpoint(file, RUN, every=0))
    assert saved_step(file) == STEPS


def test_with_nothing_to_resume_training_starts_anew(place, file):
    assert_same(new_run(place).fit(resumed(file)), new_run(place).fit())
    assert saved_step(file) == STEPS


def assert_not_begun(run):
    assert run.optimizer.t == 0 and run.source.next == 0 and run.history == []


@pytest.mark.parametrize(
    "here, said",
    [
        (RUN | {"seed": 4}, "(seed 3 there, 4 here)"),
        (RUN | {"lam": 0.5}, "(lam None there, 0.5 here)"),
        (RUN | {"batch_size": 16}, "(batch_size None there, 16 here)"),
        (
            {key: value for key, value in RUN.items() if key != "method"},
            "(method dann there, None here)",
        ),
    ],
    ids=["another value", "given here", "new here", "missing here"],
)
def test_the_file_of_another_run_is_refused_by_its_option(file, here, said):
    interrupted(file, new_run(to_host), 10)
    before, run = file.read_bytes(), new_run(to_host)
    with pytest.raises(InputError) as refused:
        run.fit(resumed(file, here))
    assert (
        said in str(refused.value)
        and str(file) in str(refused.value)
        and "\n" not in str(refused.value)
    )
    assert_not_begun(run)
    assert_same(run.outcome(), new_run(to_host).outcome())
    assert file.read_bytes() == before


def test_every_option_that_differs_is_named(file):
    interrupted(file, new_run(to_host), 10)
    with pytest.raises(InputError) as refused:
        resumed(file, RUN | {"seed": 4, "steps": 30}).restore(new_run(to_host).training())
    assert (
        "seed 3 there, 4 here" in str(refused.value)
        and "steps 24 there, 30 here" in str(refused.value)
        and "method" not in str(refused.value)
    )


# --- damaged files


def arrays_of(data):
    with np.load(io.BytesIO(data), allow_pickle=False) as saved:
        return dict(saved)


def npz(arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def changed(data, **replaced):
    """The file with some arrays replaced, or without those that are None; sealed anew."""
    return sealed(
        {name: array for name, array in (arrays_of(data) | replaced).items() if array is not None}
    )


def sealed(arrays):
    del arrays[FINGERPRINT]
    return npz(arrays | {FINGERPRINT: np.array(fingerprint(arrays))})


def rewritten(data, name, change, compression=zipfile.ZIP_STORED):
    """The file with the bytes of one array changed, and every checksum of the zip right."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", compression) as new:
        for member in old.namelist():
            content = old.read(member)
            new.writestr(member, change(content) if member == f"{name}.npy" else content)
    return out.getvalue()


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


DIRECTORY = b"PK\x01\x02"  # an entry of a zip's directory; 8 bytes on its flags, 10 its compression
W = "dann.features.1.W"
DAMAGES = {
    "empty": lambda data: b"",
    "one byte": lambda data: data[:1],
    "the first array's header": lambda data: data[:60],
    "half": lambda data: data[: len(data) // 2],
    "without its directory": lambda data: data[: data.index(DIRECTORY)],
    "without its last byte": lambda data: data[:-1],
    "garbage": lambda data: np.random.default_rng(0).bytes(5000),
    "zeros": lambda data: bytes(len(data)),
    "text": lambda data: b"step,p,lam\n1,2,3\n",
    "a bit of an array": lambda data: flipped(data, 300),
    "a bit of the history": lambda data: flipped(
        data, data.index("label_loss".encode("utf-32-le"))
    ),
    "an entry's flags": lambda data: flipped(data, data.index(DIRECTORY) + 8),
    "an entry's compression": lambda data: flipped(data, data.index(DIRECTORY) + 10),
    "a single array": lambda data: npy(np.zeros(3)),
    "other arrays": lambda data: npz({"x": np.zeros(3)}),
    "a dtype, by one byte": lambda data: rewritten(
        data, W, lambda content: content.replace(b"<f4", b"<f2")
    ),
    "an order that counts from the end": lambda data: rewritten(
        data, "source.order", lambda content: content.replace(b"<i8", b">i8")
    ),
    "a header that claims more": lambda data: rewritten(
        data, W, lambda content: content.replace(b"(2, 6)", b"(2,9999999999)")
    ),
    "a header that is not one": lambda data: rewritten(
        data, W, lambda content: content.replace(b"descr", b"decsr")
    ),
    "a header that NumPy finds too long": lambda data: rewritten(
        data, W, lambda content: b"\x93NUMPY\x02\0\0\0\1\0" + b" " * (1 << 16)
    ),
    "a number, sealed as before": lambda data: npz(arrays_of(data) | {"step": np.array(21)}),
    "no seal": lambda data: npz({k: v for k, v in arrays_of(data).items() if k != FINGERPRINT}),
    "compressed": lambda data: rewritten(data, W, bytes, zipfile.ZIP_DEFLATED),
    "a bomb": lambda data: rewritten(data, W, lambda _: bytes(1 << 24), zipfile.ZIP_DEFLATED),
    "a run that is no JSON": lambda data: changed(data, run=np.array("{")),
    "a run that is nested": lambda data: changed(data, run=np.array("[" * 100_000)),
    "a run that is a list": lambda data: changed(data, run=np.array("[]")),
    "a run that is a number": lambda data: changed(data, run=np.array(3)),
    "no run": lambda data: changed(data, run=None),
    "no step": lambda data: changed(data, step=None),
    "a step before the first": lambda data: changed(data, step=np.array(-1)),
    "a step after the last": lambda data: changed(data, step=np.array(STEPS + 1)),
    "a step that is no integer": lambda data: changed(data, step=np.array(20.0)),
    "no seconds": lambda data: changed(data, seconds=None),
    "seconds that are no number": lambda data: changed(data, seconds=np.array(np.nan)),
    "no generator of the batches": lambda data: changed(data, **{"source.rng": None}),
    "no generator of the masks": lambda data: changed(data, **{"dann.features.3.rng": None}),
    "a generator of another kind": lambda data: changed(
        data, **{"source.rng": np.array('{"bit_generator": "MT19937", "state": {}}')}
    ),
    "a generator that is text": lambda data: changed(data, **{"source.rng": np.array("dice")}),
    "no momentum": lambda data: changed(data, **{"optimizer.velocity.2": None}),
    "a step less than none of the optimizer": lambda data: changed(
        data, **{"optimizer.t": np.array(-1)}
    ),
    "no weights": lambda data: changed(data, **{"dann.label_head.0.W": None}),
    "no running statistics": lambda data: changed(data, **{"dann.features.0.mean": None}),
    "no order": lambda data: changed(data, **{"target.order": None}),
    "no place in the order": lambda data: changed(data, **{"target.next": None}),
    "no average": lambda data: changed(data, **{"average.mean.0": None}),
    "an average over less than none": lambda data: changed(data, **{"average.k": np.array(-1)}),
    "other weights": lambda data: changed(data, **{"dann.label_head.0.W": np.zeros((6, 5))}),
    "weights that would broadcast": lambda data: changed(
        data, **{"dann.label_head.0.W": np.zeros(4, np.float32)}
    ),
    "weights of another precision": lambda data: changed(
        data, **{W: arrays_of(data)[W].astype(np.float64)}
    ),
    "weights that are complex": lambda data: changed(data, **{W: arrays_of(data)[W] + 1j}),
    "an array more": lambda data: changed(data, more=np.zeros(3)),
    "an order of more examples": lambda data: changed(data, **{"source.order": np.arange(26)}),
    "an order of other examples": lambda data: changed(data, **{"source.order": np.arange(25) + 1}),
    "an order with one example twice": lambda data: changed(
        data, **{"source.order": np.maximum(np.arange(25), 1)}
    ),
    "a place before the order": lambda data: changed(data, **{"source.next": np.array(-1)}),
    "a place after the order": lambda data: changed(data, **{"source.next": np.array(25)}),
    "a place far after the order": lambda data: changed(data, **{"source.next": np.array(1 << 62)}),
    "another average": lambda data: changed(data, **{"average.mean.0": np.zeros(3, np.float32)}),
    "a history that is no JSON": lambda data: changed(data, **{"history.rows": np.array("[")}),
    "a history of a number": lambda data: changed(data, **{"history.rows": np.array("[1.5]")}),
    "a history that is a row": lambda data: changed(
        data, **{"history.rows": np.array('{"step": 5}')}
    ),
    "rows without a step": lambda data: changed(data, **{"history.rows": np.array('[{"p": 5}]')}),
    "less than no steps since a row": lambda data: changed(data, **{"history.count": np.array(-1)}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named_before_training(file, damage):
    interrupted(file, new_run(to_host), 20)
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    run = new_run(to_host)
    with pytest.raises(InputError) as refused:
        run.fit(resumed(file))
    said = str(refused.value)
    assert str(file) in said and "start anew" in said
    assert "\n" not in said and "pickle" not in said and len(said) < 600
    assert_not_begun(run)
    assert_same(run.outcome(), new_run(to_host).outcome())


def test_the_damages_are_made_on_a_file_that_is_else_whole(file):
    interrupted(file, new_run(to_host), 20)
    for same in (changed, lambda data: rewritten(data, W, bytes)):
        file.write_bytes(same(file.read_bytes()))
        assert_same(new_run(to_host).fit(resumed(file)), new_run(to_host).fit())
        interrupted(file, new_run(to_host), 20)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a checkpoint, and the state that it holds."""
    file = tmp_path_factory.mktemp("whole") / "run.npz"
    run = new_run(to_host)
    interrupted(file, run, 17)
    return file.read_bytes(), run.training(17).state_dict()


@settings(max_examples=300)
@given(data=st.data())
def test_no_byte_of_a_checkpoint_can_be_changed_unnoticed(whole, tmp_path_factory, data):
    """Refused, or a byte that means nothing, such as the date of an entry."""
    content, state = whole
    content = bytearray(content[: data.draw(st.sampled_from([len(content), *range(9, 4000, 97)]))])
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    file, training = tmp_path_factory.getbasetemp() / "changed.npz", new_run(to_host).training()
    file.write_bytes(content)
    try:
        resumed(file).restore(training)
    except InputError as error:
        assert str(file) in str(error) and "pickle" not in str(error)
    else:
        found = training.state_dict()
        assert found.keys() == state.keys()
        assert all(np.array_equal(array, state[name]) for name, array in found.items())


class Trace:
    """Unpickling it would leave a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("where", [W, "run", "average.mean.0", "a new name", "the whole file"])
def test_nothing_is_ever_unpickled(file, tmp_path, where):
    trace = tmp_path / "trace"
    pickle.loads(pickle.dumps(Trace(trace)))
    trace.rmdir()  # it would have been seen
    interrupted(file, new_run(to_host), 20)
    hidden = np.array([Trace(trace)], dtype=object)
    data = (
        pickle.dumps(Trace(trace))
        if where == "the whole file"
        else npz(arrays_of(file.read_bytes()) | {where: hidden})
    )
    file.write_bytes(data)
    run = new_run(to_host)
    with pytest.raises(InputError, match="cannot be read as a checkpoint"):
        run.fit(resumed(file))
    assert not trace.exists()
    assert_not_begun(run)


# --- before training


def test_what_a_killed_save_has_left_is_swept_when_training_begins_again(file):
    expected = new_run(to_host).fit()
    interrupted(file, new_run(to_host), STEPS)  # nothing is left to do, so nothing to save
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = file.with_name(f".run.{HOST}-{dead.pid}-0123abcd.npz")
    left.touch()
    assert_same(new_run(to_host).fit(resumed(file)), expected)
    assert list(file.parent.iterdir()) == [file]


def test_a_pipe_in_place_of_a_checkpoint_is_refused(file):
    file.parent.mkdir()
    os.mkfifo(file)
    with pytest.raises(InputError, match=r"run\.npz .*it is not a regular file.* start anew"):
        new_run(to_host).fit(resumed(file))


def test_a_file_larger_than_the_training_is_not_read(file, monkeypatch):
    monkeypatch.setattr(checkpoint, "ROOM", -20_000)
    interrupted(file, new_run(to_host), 10)
    with pytest.raises(InputError, match=r"it has \d+ bytes, more than"):
        new_run(to_host).fit(resumed(file))


class Stub(NamedTuple):
    """A task as far as settings look at it."""

    name: str
    variant: str | None = None

    def record(self):
        return {"seed": self.name}


SWEEP = tuple(map(Stub, "abc"))


def sweep_of(tmp_path, **options):
    """An experiment of three tasks, none of which may begin."""
    settings = ImageSettings(
        **{"out": tmp_path, "recipe": "light", "steps": 9, "resume": True} | options
    )
    return Experiment("digits", lambda *_: pytest.fail("it was begun"), SWEEP, settings)


@pytest.mark.parametrize("wrong", ["damaged", "of another run", "a pipe"])
def test_all_checkpoints_of_a_sweep_are_read_before_the_first_task_begins(tmp_path, wrong):
    experiment = sweep_of(tmp_path)
    for task in SWEEP[1:]:
        path = experiment.settings.checkpoint_file(task.name)
        save_arrays(path, checkpoint._notes(experiment.settings.identity(task), 1.0))
        assert checkpoint.read_checkpoint(path, experiment.settings.identity(task)) == ({}, 1.0)
    if wrong == "damaged":
        path.write_bytes(path.read_bytes()[:-30])
    elif wrong == "of another run":
        experiment = sweep_of(tmp_path, steps=10)
    else:
        path.unlink()
        os.mkfifo(path)
    with pytest.raises(
        InputError, match=r"\.npz (cannot be read|is the checkpoint of another run)"
    ):
        conduct(experiment)


# --- saving that fails


@contextmanager
def small_files():
    """No file grows beyond 1,000 bytes: a longer write fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_checkpoint_before_it_whole(file):
    run = new_run(to_host)
    interrupted(file, run, 10)
    before = file.read_bytes()
    with small_files(), pytest.raises(OSError) as full:
        Checkpoint(file, RUN).save(run.training(15))
    assert full.value.errno == errno.EFBIG
    assert file.read_bytes() == before and list(file.parent.iterdir()) == [file]


def test_a_folder_that_cannot_be_written_to_stops_the_training(file):
    file.parent.write_text("a file in its place")
    with pytest.raises(OSError):
        new_run(to_host).fit(Checkpoint(file, RUN, every=0))
    assert file.parent.read_text() == "a file in its place"


# --- when it saves, and the seconds


@pytest.fixture
def clock(monkeypatch):
    """``clock.now`` is the time in seconds."""
    clock = types.SimpleNamespace(now=1000.0)
    monkeypatch.setattr(checkpoint, "time", types.SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_seconds_add_up_over_processes(file, clock):
    expected = 0.0
    for lived, idle in ((30, 500), (7, 10_000), (2, 0)):
        clock.now += idle
        saving, training = resumed(file), new_run(to_host).training()
        saving.begin(training)
        clock.now += lived
        expected += lived
        assert saving.seconds() == expected
        saving.save(training)
        saving.end(training)


def test_a_run_that_starts_anew_has_no_seconds(file, clock):
    saving = Checkpoint(file, RUN)
    clock.now += 30
    saving.save(new_run(to_host).training(5))
    fresh, training = Checkpoint(file, RUN), new_run(to_host).training()
    fresh.begin(training)
    fresh.end(training)
    assert training.step == 0 and fresh.seconds() == 0


def test_it_saves_after_the_first_step_after_so_many_seconds(file, clock):
    saving, training = Checkpoint(file, RUN, every=10), new_run(to_host).training()
    steps = []
    for training.step, wait in enumerate((4, 4, 4, 4, 4, 10, 9), start=1):
        clock.now += wait
        saving.after_step(training)
        steps.append(saved_step(file) if file.exists() else None)
    assert steps == [None, None, 3, 3, 3, 6, 6]
    training.step = STEPS
    saving.after_step(training)
    assert saved_step(file) == STEPS


# --- signals


class Signals(Callback):
    """Gets signals while a step is taken."""

    def __init__(self, at, *numbers):
        self.at, self.numbers = at, numbers

    def after_step(self, training):
        if training.step == self.at:
            for number in self.numbers:
                signal.raise_signal(number)


def fit_with(run, *callbacks):
    trained = run.dann, run.optimizer, run.source, run.target
    schedules = {"lam": lambda p: p, "learning_rate": lambda p: 0.05 / (1 + p)}
    fit(*trained, steps=STEPS, callbacks=[*run.callbacks(), *callbacks], **schedules)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_saves_the_step_that_it_came_in_and_ends_the_training_then(place, file, number):
    expected = new_run(place).fit()
    before = signal.getsignal(number)
    for step in (1, 7, 10, 23):
        run = new_run(place)
        run.history.every = EVERY
        with caught(), pytest.raises(Stop) as stopped:
            fit_with(run, Signals(step, number), Checkpoint(file, RUN, every=1e9))
        assert stopped.value.args == (number,) and run.optimizer.t == saved_step(file) == step
        assert signal.getsignal(number) is before
        assert_same(new_run(place).fit(resumed(file)), expected)


def test_a_signal_in_the_last_step_comes_when_training_has_ended(file):
    run = new_run(to_host)
    with caught(), pytest.raises(Stop):
        fit_with(run, Signals(STEPS, signal.SIGTERM), Checkpoint(file, RUN))
    assert run.history[-1]["step"] == saved_step(file) == STEPS


def test_two_sigterms_save_too_but_a_second_ctrl_c_waits_for_nothing(file):
    with caught(), pytest.raises(Stop):
        fit_with(new_run(to_host), Signals(5, *[signal.SIGTERM] * 3), Checkpoint(file, RUN))
    assert saved_step(file) == 5
    with caught(), pytest.raises(Stop):
        fit_with(new_run(to_host), Signals(9, *[signal.SIGINT] * 2), Checkpoint(file, RUN))
    assert saved_step(file) == 5


def test_a_signal_is_not_lost_where_nothing_can_be_saved(file):
    file.parent.write_text("a file in its place")
    with caught(), pytest.raises(Stop):
        fit_with(new_run(to_host), Signals(5, signal.SIGTERM), Checkpoint(file, RUN))


def test_a_task_says_how_often_and_learns_how_far(file):
    saving = Saving(every=0)
    token = SAVING.set(saving)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit_with(new_run(to_host), Checkpoint(file, RUN), Signals(11, signal.SIGINT))
    finally:
        SAVING.reset(token)
    assert saving.step == saved_step(file) == 12  # the signal came after the save of step 11
    saving = Saving()
    token = SAVING.set(saving)
    try:
        Checkpoint(file, RUN, resume=True).restore(new_run(to_host).training())
    finally:
        SAVING.reset(token)
    assert saving.step == 12


@pytest.mark.parametrize("spoil", ["a loss", "a weight"])
def test_a_run_that_has_diverged_is_not_saved(place, file, spoil):
    run = new_run(place)
    training = run.training(5)
    if spoil == "a loss":
        training.losses = training.losses._replace(domain=float("nan"))
    else:
        run.dann.label_head.params["0.W"][0, 0] = float("inf")
    with pytest.raises(TrainingError, match="diverged by step 5"):
        Checkpoint(file, RUN).save(training)
    assert not file.exists()


def diverging(file, **options):
    """The sentence in which a run ends whose learning rate is absurd from its seventh step on."""
    run = new_run(to_host)
    with pytest.raises(TrainingError) as error:
        fit(
            *(run.dann, run.optimizer, run.source, run.target),
            steps=STEPS,
            lam=lambda p: p,
            learning_rate=lambda p: 0.01 if p * STEPS < 6 else 1e30,
            callbacks=[run.history, Checkpoint(file, RUN, **options)],
        )
    return str(error.value)


def test_divergence_names_the_last_good_checkpoint_which_can_be_resumed(file):
    said = diverging(file, every=0)
    last = saved_step(file)
    assert last >= 6 and f"in step {last + 1}: " in said
    assert said.endswith(f"; {file} is whole and holds step {last}")
    saved = load_arrays(file).values()
    assert all(np.isfinite(array).all() for array in saved if array.dtype.kind == "f")
    # a run that goes on from it and diverges before it is saved again has the same one
    assert diverging(file, every=1e9, resume=True).endswith(f"holds step {last}")


def test_divergence_does_not_name_the_checkpoint_of_another_training(file):
    new_run(to_host).fit(Checkpoint(file, RUN, every=0))
    assert str(file) not in diverging(file, every=1e9)


def test_after_a_long_time_only_the_last_step_is_saved(place, file):
    run, seen = new_run(place), []
    run.fit(Checkpoint(file, RUN, every=1e9), monitor=lambda: seen.append(file.exists()) or {})
    assert seen == [False] * 5 and saved_step(file) == STEPS


def test_what_is_saved_after_the_last_step_is_the_average(place, file):
    expected = new_run(place).fit(Checkpoint(file, RUN, every=1e9))
    run = new_run(place)
    assert_same(run.fit(resumed(file)), expected)
    weights = [array for network in run.dann.networks for array in network.params.values()]
    for array, mean in zip(weights, run.average.state.values(), strict=True):
        np.testing.assert_array_equal(to_host(array), to_host(mean))


# --- the program


@pytest.fixture
def program(monkeypatch, tmp_path, place):
    """``program(*options)``: mnistm in this process, on the device; its record of the run.

    With a checkpoint at every step and no figures.
    """
    monkeypatch.setattr(
        images,
        "Checkpoint",
        lambda *arguments, **options: Checkpoint(*arguments, **options, every=0),
    )
    monkeypatch.setattr(pair_program, "save_figures", lambda *_: [])
    if place is not to_host and driver_version() is None:  # a stand-in needs no driver
        monkeypatch.setattr("minidann.runtime.device.driver_version", lambda: (13, 0))
    device = "cpu" if place is to_host else "gpu"
    base = (
        "--data",
        "digits",
        "--method",
        "dann",
        "--steps",
        "30",
        "--limit",
        "100",
        "--batch-size",
        "8",
        "--device",
        device,
    )

    def run(out, *options, returns=0):
        assert mnistm.main([*base, "--out", str(tmp_path / out), *options]) == returns
        record = json.loads((tmp_path / out / "results.json").read_text())["runs"]
        return [{key: value for key, value in run.items() if key != "seconds"} for run in record], (
            tmp_path / out / "history.csv"
        ).read_text()

    return run


def test_the_program_resumes_a_run_that_was_interrupted(program, monkeypatch, tmp_path, capsys):
    expected = program("whole")
    with monkeypatch.context() as patch:
        evaluate, calls = images.evaluate, []

        def ctrl_c_at_the_third_row(*arguments):
            calls.append(0)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return evaluate(*arguments)

        patch.setattr(images, "evaluate", ctrl_c_at_the_third_row)
        (stopped,), _ = program("killed", returns=130)
        assert stopped["stopped_at"] == 29  # where it goes on, not the last row
    file = tmp_path / "killed/checkpoints/digits-digits-m-dann-0.npz"
    assert saved_step(file) == 29
    capsys.readouterr()
    for option, value, said in (
        ("--batch-size", "16", "batch_size 8 there, 16 here"),
        ("--lam", "1", "lam None there, 1.0 here"),
    ):
        program("killed", "--resume", option, value, returns=1)
        error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
        assert len(error) == 1 and said in error[0] and str(file) in error[0]
    assert saved_step(file) == 29
    assert program("killed", "--resume") == expected
    assert (
        program("killed", "--resume") == expected
    )  # nothing is left to do, and the record is the same
    file.write_bytes(file.read_bytes()[:500])
    capsys.readouterr()
    program("killed", "--resume", returns=1)
    error = capsys.readouterr().err
    assert str(file) in error and "Traceback" not in error
