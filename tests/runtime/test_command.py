"""What programs do with options and errors."""

import argparse

import pytest

from minidann.runtime.command import Stopped, clear_errors, finite, positive, user_path
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


def test_option_types():
    assert positive("3") == 3 and finite("-1.5") == -1.5
    for kind, text in ((positive, "0"), (positive, "-2"), (finite, "nan"), (finite, "-inf")):
        with pytest.raises(argparse.ArgumentTypeError, match=text):
            kind(text)


def test_a_tilde_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/runs") == tmp_path / "runs" and str(user_path("runs")) == "runs"
