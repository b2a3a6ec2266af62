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
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from minidann import DANN, adaptation, mnistm
from minidann.data import Batches, make_blobs_pair
from minidann.experiments import checkpoints as checkpoint
from minidann.experiments.checkpoints import Checkpoint, Training
from minidann.nn import BatchNorm, Dense, Dropout, ReLU, Sequential
from minidann.nn.optimizers import SGD, Adam, WeightAverage
from minidann.runtime.arrays import to_host
from minidann.runtime.device import driver_version
from minidann.runtime.errors import InputError
from minidann.train import History, fit

RUN = {"method": "dann", "seed": 3, "steps": 24, "lam": None}
STEPS, EVERY = 24, 5  # rows after steps 5, 10, 15, 20, 24; the average begins after step 12
ROWS = (5, 10, 15, 20, 24)
OPTIMIZERS = {
    "SGD": lambda networks: SGD(networks, 0.05, momentum=0.9, weight_decay=0.01),
    "Adam": lambda networks: Adam(networks),
}


class Run(NamedTuple):
    """A run that is built anew, as in a new process."""

    training: Training
    method: str

    def fit(self, checkpoint=None, **options):
        dann, optimizer, source, target, average, history = self.training
        options = {"steps": STEPS, "every": EVERY} | options
        schedules = {"lam": lambda p: p, "learning_rate": lambda p: 0.05 / (1 + p)}
        fit(
            dann,
            optimizer,
            source,
            target,
            method=self.method,
            average=average,
            history=history,
            checkpoint=checkpoint,
            **schedules,
            **options,
        )
        return self.outcome()

    def outcome(self):
        """All that the next step would depend on, in main memory and in plain numbers."""
        dann, optimizer, source, target, average, history = self.training
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


def new_run(place, optimizer="SGD", method="dann", averaged=True):
    """25 points of each domain in batches of 8: an epoch ends within a batch; 24 steps are more than seven epochs."""
    rng, drops = np.random.default_rng(0), [np.random.default_rng(i) for i in (5, 6)]
    features = [Dense(2, 6, rng=rng), BatchNorm(6, domains=2), ReLU(), Dropout(0.3, rng=drops[0])]
    heads = [
        [Dense(6, 4, rng=rng), Dropout(0.2, rng=drops[1]), ReLU(), Dense(4, 2, rng=rng)]
        for _ in range(2)
    ]
    dann = DANN(*map(Sequential, (features, *heads))).convert(place)
    trained = dann.networks if method == "dann" else dann.networks[:2]
    source, target = make_blobs_pair(25, seed=1)
    rng = np.random.default_rng(7)  # one for both, as the programs have it
    batches = (
        Batches(place(source.x), place(source.y), size=8, rng=rng),
        Batches(place(target.x), size=8, rng=rng) if method == "dann" else None,
    )
    return Run(
        Training(
            dann,
            OPTIMIZERS[optimizer](trained),
            *batches,
            WeightAverage(trained) if averaged else None,
            History(),
        ),
        method,
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

    def save(self, training, step, last=False):
        super().save(training, step, last)
        if step == self.after:
            raise KeyboardInterrupt


def interrupted(path, run, after, **options):
    """A file that a run has left when it was ended after a step."""
    with pytest.raises(KeyboardInterrupt):
        run.fit(Interrupted(path, after=after, **options))
    return path


def resumed(path, run=RUN, **options):
    return Checkpoint(path, run, resume=True, every=0, **options)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "checkpoints" / "run.npz"  # in a folder that is yet to be made


def saved_step(path):
    with np.load(path, allow_pickle=False) as saved:
        return json.loads(str(saved[checkpoint.NOTES]))["step"]


# --- interrupted and resumed

NETWORK = [
    (optimizer, method, averaged)
    for optimizer in OPTIMIZERS
    for method in ("dann", "label")
    for averaged in (True, False)
]


@pytest.mark.parametrize("optimizer, method, averaged", NETWORK)
def test_resumed_after_any_row_it_ends_as_if_never_interrupted(
    place, file, optimizer, method, averaged
):
    expected = new_run(place, optimizer, method, averaged).fit()
    for row in ROWS:  # after the last one too, when there is nothing left to do
        interrupted(file, new_run(place, optimizer, method, averaged), row)
        assert_same(new_run(place, optimizer, method, averaged).fit(resumed(file)), expected)
        file.unlink()


SPOILED = {
    "momentum": lambda run: run.optimizer.state["velocity.0"].fill(0),
    "weights": lambda run: run.dann.domain_head.params["0.W"].fill(0),
    "running statistics": lambda run: run.dann.features.state["1.var"].fill(1),
    "order": lambda run: run.source.order.fill(0),
    "place in the order": lambda run: setattr(run.target, "next", 0),
    "generator of the batches": lambda run: setattr(
        run.source.rng.bit_generator, "state", np.random.default_rng(7).bit_generator.state
    ),
    "generator of the masks": lambda run: setattr(
        run.dann.features.layers[3], "rng", np.random.default_rng(5)
    ),
    "average": lambda run: run.average.state["mean.0"].fill(0),
    "length of the average": lambda run: setattr(run.average, "k", 1),
    "steps of the optimizer": lambda run: setattr(run.optimizer, "t", 0),
    "history": lambda run: run.history.clear(),
}


@pytest.mark.parametrize("part", SPOILED)
def test_every_part_of_a_checkpoint_is_needed(place, file, part):
    """A run that is resumed without one of them ends elsewhere: the tests above would have seen it."""

    class Forgetful(Checkpoint):
        def restore(self, training):
            step = super().restore(training)
            SPOILED[part](training)
            return step

    expected = new_run(place).fit()
    interrupted(file, new_run(place), 15)
    with pytest.raises(AssertionError):
        assert_same(new_run(place).fit(Forgetful(file, RUN, resume=True)), expected)


def test_interrupted_again_and_again(place, file):
    expected = new_run(place).fit()
    for row in ROWS[:-1]:
        interrupted(file, new_run(place), row, resume=True)
    run = new_run(place)
    assert_same(run.fit(resumed(file)), expected)
    assert [row["step"] for row in run.training.history] == list(ROWS)


def test_steps_after_the_last_checkpoint_are_taken_again(place, file):
    """Killed between two rows, or during a row's evaluation: as from the row before."""
    expected = new_run(place, "Adam").fit(monitor=lambda: {"extra": 1})
    run = new_run(place, "Adam")

    def monitor():
        if len(run.training.history) == 3:
            raise KeyboardInterrupt
        return {"extra": 1}

    with pytest.raises(KeyboardInterrupt):
        run.fit(Checkpoint(file, RUN, every=0), monitor=monitor)
    assert saved_step(file) == 15
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
        return run._replace(training=run.training._replace(source=batches[0], target=batches[1]))

    expected = host_run().fit()
    assert_same(host_run().fit(resumed(interrupted(file, host_run(), 10))), expected)
    assert_same(new_run(place).fit(resumed(file)), expected)  # also where it now fits on the device


@pytest.mark.parametrize("row", [5, 15, 24])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("up", [True, False], ids=["to the device", "to main memory"])
def test_a_run_moves_from_one_device_to_another(place, file, optimizer, row, up):
    """The state is the same to the last bit; from then on the two devices add in different orders."""
    begun, ended = (to_host, place) if up else (place, to_host)
    run = new_run(begun, optimizer)
    interrupted(file, run, row)
    there = new_run(ended, optimizer)
    assert resumed(file).restore(there.training) == row
    assert_same(there.outcome(), run.outcome())
    assert {
        type(array) for network in there.training.dann.networks for array in network.params.values()
    } == {type(ended(np.zeros(1)))}
    assert type(there.training.source.order) is type(ended(np.zeros(1)))
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
    assert saved_step(file) == 10 if how == "while saving" else 2 <= saved_step(file) < STEPS
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
    assert (
        run.training.optimizer.t == 0
        and run.training.source.next == 0
        and run.training.history == []
    )


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
        resumed(file, RUN | {"seed": 4, "steps": 30}).restore(new_run(to_host).training)
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
    """The file with some arrays replaced, or without those that are None."""
    return npz(
        {name: array for name, array in (arrays_of(data) | replaced).items() if array is not None}
    )


def notes(data, **replaced):
    kept = json.loads(str(arrays_of(data)[checkpoint.NOTES])) | replaced
    return changed(
        data,
        notes=np.array(
            json.dumps({key: value for key, value in kept.items() if value is not None})
        ),
    )


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


DIRECTORY = b"PK\x01\x02"  # where the first entry of a zip's directory begins; 8 bytes on are its flags, 10 on its compression
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
    "a bit of the notes": lambda data: flipped(data, data.index("history".encode("utf-32-le"))),
    "an entry's flags": lambda data: flipped(data, data.index(DIRECTORY) + 8),
    "an entry's compression": lambda data: flipped(data, data.index(DIRECTORY) + 10),
    "a single array": lambda data: npy(np.zeros(3)),
    "other arrays": lambda data: npz({"x": np.zeros(3)}),
    "notes that are no JSON": lambda data: changed(data, notes=np.array("{")),
    "notes that are a list": lambda data: changed(data, notes=np.array("[]")),
    "notes without the run": lambda data: notes(data, run=None),
    "notes without the step": lambda data: notes(data, step=None),
    "notes without generators": lambda data: notes(data, generators=None),
    "a generator less": lambda data: notes(
        data, generators=json.loads(str(arrays_of(data)["notes"]))["generators"][:-1]
    ),
    "no momentum": lambda data: changed(data, **{"optimizer.velocity.0": None}),
    "no weights": lambda data: changed(data, **{"label_head.0.W": None}),
    "no running statistics": lambda data: changed(data, **{"features.1.mean": None}),
    "no order": lambda data: changed(data, **{"target.order": None}),
    "no place in the order": lambda data: changed(data, **{"target.next": None}),
    "no average": lambda data: changed(data, **{"average.mean.0": None}),
    "other weights": lambda data: changed(data, **{"label_head.0.W": np.zeros((6, 5))}),
    "weights that would broadcast": lambda data: changed(data, **{"label_head.0.W": np.zeros(4)}),
    "an order of more examples": lambda data: changed(data, **{"source.order": np.arange(26)}),
    "another average": lambda data: changed(data, **{"average.mean.0": np.zeros(3)}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named_before_training(file, damage):
    interrupted(file, new_run(to_host), 20)
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    run = new_run(to_host)
    with pytest.raises(InputError) as refused:
        run.fit(resumed(file))
    assert str(file) in str(refused.value) and "start anew" in str(refused.value)
    assert_not_begun(run)


def test_the_damages_are_made_on_a_file_that_is_else_whole(file):
    interrupted(file, new_run(to_host), 20)
    data = file.read_bytes()
    file.write_bytes(notes(changed(data)))
    assert_same(new_run(to_host).fit(resumed(file)), new_run(to_host).fit())


def test_a_file_that_lacks_an_array_changes_nothing(file):
    interrupted(file, new_run(to_host), 20)
    file.write_bytes(changed(file.read_bytes(), **{"target.order": None}))
    run = new_run(to_host)
    with pytest.raises(InputError):
        run.fit(resumed(file))
    assert_same(run.outcome(), new_run(to_host).outcome())


class Trace:
    """Unpickling it would leave a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    "where", ["features.0.W", "notes", "average", "a new name", "the whole file"]
)
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
    with pytest.raises(InputError, match="can not be read as a checkpoint"):
        run.fit(resumed(file))
    assert not trace.exists()
    assert_not_begun(run)


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
        Checkpoint(file, RUN, every=0).save(run.training, 15)
    assert full.value.errno == errno.EFBIG
    assert file.read_bytes() == before and list(file.parent.iterdir()) == [file]


def test_a_folder_that_can_not_be_written_to_stops_the_training(file):
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
        run, saving = new_run(to_host), resumed(file)
        saving.restore(run.training)
        clock.now += lived
        expected += lived
        assert saving.seconds() == expected
        saving.save(run.training, 5)


def test_a_run_that_starts_anew_has_no_seconds(file, clock):
    saving = Checkpoint(file, RUN, every=0)
    clock.now += 30
    saving.save(new_run(to_host).training, 5)
    fresh = Checkpoint(file, RUN)
    assert fresh.restore(new_run(to_host).training) == 0 and fresh.seconds() == 0


def test_it_saves_at_the_first_row_after_so_many_seconds(file, clock):
    saving, training = Checkpoint(file, RUN, every=10), new_run(to_host).training
    steps = []
    for step, wait in enumerate((4, 4, 4, 4, 4, 10, 9), start=1):
        clock.now += wait
        saving.save(training, step)
        steps.append(saved_step(file) if file.exists() else None)
    assert steps == [None, None, 3, 3, 3, 6, 6]
    saving.save(training, 8, last=True)
    assert saved_step(file) == 8


def test_after_a_long_time_only_the_last_step_is_saved(place, file):
    run, seen = new_run(place), []
    run.fit(Checkpoint(file, RUN, every=1e9), monitor=lambda: seen.append(file.exists()) or {})
    assert seen == [False] * 5 and saved_step(file) == STEPS


def test_what_is_saved_after_the_last_step_is_the_average(place, file):
    expected = new_run(place).fit(Checkpoint(file, RUN, every=1e9))
    run = new_run(place)
    assert_same(run.fit(resumed(file)), expected)
    weights = [
        array for network in run.training.dann.networks for array in network.params.values()
    ]
    for theta, mean in zip(weights, run.training.average.state.values(), strict=True):
        np.testing.assert_array_equal(to_host(theta), to_host(mean))


# --- the program


@pytest.fixture
def program(monkeypatch, tmp_path, place):
    """``program(*options)``: mnistm in this process, on the device, with a checkpoint at every row and no figures; its record of the run."""
    monkeypatch.setattr(
        adaptation,
        "Checkpoint",
        lambda *arguments, **options: Checkpoint(*arguments, **options, every=0),
    )
    monkeypatch.setattr(adaptation, "draw", lambda *_: [])
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
        evaluate, calls = adaptation.evaluate, []

        def ctrl_c_at_the_third_row(*arguments):
            calls.append(0)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return evaluate(*arguments)

        patch.setattr(adaptation, "evaluate", ctrl_c_at_the_third_row)
        (stopped,), _ = program("killed", returns=130)
        assert stopped["stopped_at"] == 20
    file = tmp_path / "killed/checkpoints/digits-digits-m-dann-0.npz"
    assert saved_step(file) == 20
    capsys.readouterr()
    for option, value, said in (
        ("--batch-size", "16", "batch_size 8 there, 16 here"),
        ("--lam", "1", "lam None there, 1.0 here"),
    ):
        program("killed", "--resume", option, value, returns=1)
        error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
        assert len(error) == 1 and said in error[0] and str(file) in error[0]
    assert saved_step(file) == 20
    assert program("killed", "--resume") == expected
    assert (
        program("killed", "--resume") == expected
    )  # nothing is left to do, and the record is the same
    file.write_bytes(file.read_bytes()[:500])
    capsys.readouterr()
    program("killed", "--resume", returns=1)
    error = capsys.readouterr().err
    assert str(file) in error and "Traceback" not in error
