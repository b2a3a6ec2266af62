"""Signals that ask a program to end: they wait where something is to be saved first."""

import signal
import threading

import pytest

from minidann.runtime.stops import SIGNALS, Held, Stop, asked, caught


@pytest.fixture(autouse=True)
def handlers():
    """The tests leave the handlers of this process as they were."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    assert before == {number: signal.getsignal(number) for number in SIGNALS}


@pytest.mark.parametrize("number", SIGNALS)
def test_a_program_is_stopped_by_each_of_the_signals(number):
    with caught():
        assert asked() is None
        with pytest.raises(Stop):
            signal.raise_signal(number)
        assert asked() == number


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_waits_until_it_is_released(number):
    signals, done = Held(), []
    with caught():
        signals.hold()
        signal.raise_signal(number)
        done.append("the step")
        assert signals.number == number and asked() is None
        with pytest.raises(Stop):
            signals.release()
        assert done == ["the step"] and asked() == number


def test_without_a_signal_a_release_does_nothing():
    signals = Held()
    with caught():
        signals.hold()
        signals.release()
        signals.release()
        with pytest.raises(Stop):
            signal.raise_signal(signal.SIGTERM)


def test_a_second_ctrl_c_does_not_wait_but_a_second_sigterm_does():
    """A scheduler may send its signal to a process and to the group that it is in."""
    with caught():
        for number in (signal.SIGTERM, signal.SIGHUP):
            signals = Held()
            signals.hold()
            for _ in range(3):
                signal.raise_signal(number)
            with pytest.raises(Stop):
                signals.release()
        signals.hold()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Stop):
            signal.raise_signal(signal.SIGINT)


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        signals = Held()
        with caught():
            signal.raise_signal(signal.SIGHUP)
            signals.hold()
            signal.raise_signal(signal.SIGHUP)
            assert signals.number is None
            signals.release()
        assert asked() is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_may_train_too():
    """There, no handler can be set: a signal is the main thread's."""
    failed = []

    def work():
        try:
            signals = Held()
            with caught():
                signals.hold()
                signals.release()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failed
