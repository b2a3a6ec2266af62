"""Tasks in processes: how many, what becomes of errors and of a process that is lost, signals."""

import multiprocessing
import os
import signal
import time

import pytest

from minidann.experiments import processes
from minidann.experiments.processes import in_processes
from minidann.runtime.errors import InputError
from minidann.runtime.stops import Held, caught


def who(task, row):
    return os.getpid(), row


def lose(task, row):
    os.kill(os.getpid(), signal.SIGKILL)


def fail(task, row):
    raise task


class Awkward(Exception):
    """It can be pickled, but not unpickled."""

    def __init__(self, one, other):
        super().__init__(f"{one} {other}")


def fail_awkwardly(task, row):
    raise Awkward("of a", "kind")


def no_pickle(task, row):
    return lambda: None


def train(folder, task, row):
    """A training that is saved when a signal comes, and ends then; tasks 0 and 1 go on for long."""
    signals = Held()
    signals.hold()
    (folder / f"{task} began").touch()
    deadline = time.monotonic() + 60
    while signals.number is None and time.monotonic() < deadline:
        time.sleep(0.01)
    (folder / f"{task} saved").touch()
    try:
        signals.release()
    except KeyboardInterrupt:
        return "saved"
    return "ended"


@pytest.fixture(autouse=True)
def none_left():
    before = multiprocessing.active_children()  # those of a cluster that other tests have started
    yield
    assert set(multiprocessing.active_children()) <= set(before)


def test_there_are_no_more_processes_than_tasks():
    found = dict(in_processes(who, range(2), 24))
    assert {row for _, row in found.values()} == {1, 2}
    assert len({process for process, _ in found.values()} - {os.getpid()}) == 2


def test_a_process_takes_one_task_after_another():
    found = [result for _, result in in_processes(who, range(5), 2)]
    assert len(found) == 5 and len(set(found)) <= 2


def test_no_shared_memory_is_needed(monkeypatch):
    """As in a container whose /dev/shm is read-only: every semaphore is refused."""

    def refused(*arguments, **options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", refused)
    with pytest.raises(OSError):
        multiprocessing.Lock()
    assert len(dict(in_processes(who, range(2), 2))) == 2


@pytest.mark.parametrize(
    "error, kind",
    [
        (InputError("bad file"), InputError),
        (OSError(28, "No space left on device"), OSError),
        (KeyError("a bug"), KeyError),
    ],
)
def test_an_error_is_raised_as_it_was_and_only_a_bug_shows_its_traceback(error, kind):
    with pytest.raises(kind) as raised:
        list(in_processes(fail, [error, error], 2))
    assert raised.value.args == error.args
    assert bool(getattr(raised.value, "__notes__", [])) == (kind is KeyError)


@pytest.mark.parametrize("function, said", [(fail_awkwardly, "of a kind"), (no_pickle, "pickle")])
def test_what_cannot_be_sent_is_an_error_too(function, said):
    with pytest.raises(Exception, match=said):
        list(in_processes(function, range(2), 2))


def test_a_process_that_is_lost_is_one_sentence():
    with pytest.raises(InputError, match=r"process of 0 ended by signal 9.*memory.*--jobs"):
        list(in_processes(lose, [0], 2))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_after_a_signal_what_goes_on_is_saved_and_nothing_is_begun(number, tmp_path):
    from functools import partial
    from threading import Thread

    def send():
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("* began"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    sender, found = Thread(target=send), {}
    with caught(), pytest.raises(KeyboardInterrupt):
        sender.start()
        for task, result in in_processes(partial(train, tmp_path), range(4), 2):
            found[task] = result
    sender.join()
    assert found == {0: "saved", 1: "saved"}
    assert len(list(tmp_path.glob("* saved"))) == len(list(tmp_path.glob("* began"))) == 2


def test_an_error_of_the_caller_lets_the_others_save_themselves(tmp_path):
    """A full disk, say, where the results of the first are written."""
    from functools import partial

    results = in_processes(partial(train_all_but_one, tmp_path), range(2), 2)
    next(results)
    results.close()
    assert [path.name for path in tmp_path.glob("* saved")] == ["0 saved"]


def train_all_but_one(folder, task, row):
    deadline = time.monotonic() + 60
    while task == 1 and not (folder / "0 began").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return train(folder, task, row) if task == 0 else "done"


def test_a_process_that_does_not_end_is_killed(monkeypatch):
    monkeypatch.setattr(processes, "GRACE", 0.1)
    results = in_processes(stubborn, range(2), 2)
    next(results)
    results.close()


def stubborn(task, row):
    if task == 0:
        return "done"
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            continue
