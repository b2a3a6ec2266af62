"""What programs do with options and errors."""

import argparse
import io
import os
import signal
import sys

import pytest

from minidann.runtime.command import (
    LARGEST_SEED,
    MOST_SEEDS,
    Stopped,
    clear_errors,
    command_to_resume,
    finite,
    positive,
    seconds,
    seed_count,
    seed_number,
    user_path,
)
from minidann.runtime.errors import InputError, TrainingError


@pytest.mark.parametrize(
    "error",
    [
        InputError("bad file"),
        TrainingError("nan"),
        OSError(28, "No space left on device", "results.json"),
    ],
)
def test_a_foreseen_error_is_one_sentence_and_status_1(error, capsys):
    def main(argv=None):
        raise error

    assert clear_errors(main)([]) == 1
    assert capsys.readouterr().err == f"error: {error}\n"


def test_an_unforeseen_error_keeps_its_traceback():
    def main(argv=None):
        raise KeyError("a bug of ours")

    with pytest.raises(KeyError):
        clear_errors(main)([])


@pytest.mark.parametrize("stop, said", [(Stopped, ""), (KeyboardInterrupt, "Stopped before")])
def test_ctrl_c_is_status_130_and_said_once(stop, said, capsys):
    def main(argv=None):
        raise stop

    assert clear_errors(main)([]) == 130
    assert capsys.readouterr().err.strip().startswith(said)


@pytest.mark.parametrize("name, status", [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_the_status_says_which_signal_ended_a_program(name, status, capsys):
    number = getattr(signal, name)

    def main(argv=None):
        signal.raise_signal(number)
        raise AssertionError("it should have ended")

    before = signal.getsignal(number)
    assert clear_errors(main)([]) == status
    assert signal.getsignal(number) is before
    assert capsys.readouterr().err.strip().startswith("Stopped before")


def test_a_signal_that_is_ignored_stays_ignored():
    """As after nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert clear_errors(lambda argv: signal.raise_signal(signal.SIGHUP))([]) is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_command_that_goes_on_is_named(capsys):
    def main(argv=None):
        raise Stopped(resumable=True)

    main.__module__ = "minidann.blobs"
    assert clear_errors(main)(["--overwrite", "--out", "a folder"]) == 130
    said = capsys.readouterr().err
    assert said == "To go on: python -m minidann.blobs --out 'a folder' --resume\n"
    assert command_to_resume("minidann.blobs", ["--resume"]).count("--resume") == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_letter_that_a_terminal_lacks_is_spelt(encoding, monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", terminal)
    assert clear_errors(lambda argv: print("\u00fcn\u03b1"))([]) is None
    terminal.flush()
    written = terminal.buffer.getvalue().decode(encoding)
    assert written == ("\\xfcn\\u03b1\n" if encoding == "ascii" else "\u00fcn\\u03b1\n")


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", None])
def test_a_backend_of_a_notebook_is_not_asked_for(backend, monkeypatch):
    monkeypatch.delenv("MPLBACKEND", raising=False)
    if backend:
        monkeypatch.setenv("MPLBACKEND", backend)
    assert clear_errors(lambda argv: os.environ["MPLBACKEND"])([]) == "agg"
    assert os.environ.get("MPLBACKEND") == backend


def test_what_else_is_known_of_an_error_is_said_after_it(capsys):
    def main(argv=None):
        error = OSError("full")
        error.add_note("Kept: something.")
        raise error

    assert clear_errors(main)([]) == 1
    assert capsys.readouterr().err == "error: full\nKept: something.\n"


def test_option_types():
    assert positive("3") == 3 and finite("-1.5") == -1.5
    assert seed_number("0") == 0 and seed_number(str(LARGEST_SEED)) == LARGEST_SEED
    assert seconds("0.5") == 0.5 and seed_count(str(MOST_SEEDS)) == MOST_SEEDS
    for kind, text in (
        (positive, "0"),
        (positive, "-2"),
        (finite, "nan"),
        (finite, "-inf"),
        (seconds, "-1"),
        (seconds, "nan"),
        (seed_number, "-1"),
        (seed_number, str(LARGEST_SEED + 1)),
        (seed_count, "0"),
        (seed_count, str(MOST_SEEDS + 1)),
    ):
        with pytest.raises(argparse.ArgumentTypeError, match=text):
            kind(text)


def test_a_tilde_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/runs") == tmp_path / "runs" and str(user_path("runs")) == "runs"
