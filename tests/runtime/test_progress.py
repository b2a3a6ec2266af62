"""Progress: whole lines where there is no terminal."""

import os
import sys
from contextlib import suppress

import pytest

from minidann.runtime.progress import progress_bar

termios = pytest.importorskip("termios")  # not on Windows


def test_progress_in_a_log_file_is_whole_lines(capsys):
    for name in ("one", "other"):
        with progress_bar(50, name) as bar:
            for _ in range(50):
                bar.update()
                bar.set_postfix({"L_y": "0.300"}, refresh=False)
    *_, last = lines = capsys.readouterr().err.split("\n")[:-1]
    assert last.startswith("other: 50/50 steps,") and last.endswith("L_y=0.300")
    assert len(lines) == 4 and not any("\r" in line or "\x1b" in line for line in lines)


def test_short_work_with_a_delay_says_nothing(capsys):
    for options in ({"delay": 5}, {"disable": True}):
        with progress_bar(3, "short", **options) as bar:
            bar.update(3)
    assert capsys.readouterr().err == ""


def test_a_description_that_changes_stands_as_the_first_did(capsys):
    with progress_bar(2, "first") as bar:
        bar.set_description("second")
    assert [line.split("/")[0] for line in capsys.readouterr().err.splitlines()] == [
        "first: 0",
        "second: 0",
        "second: 0",
    ]


@pytest.mark.parametrize("shape", [(24, 80), (24, 200), (0, 0)])
def test_a_bar_fits_its_terminal_and_leaves_room_for_the_accuracy(shape, monkeypatch):
    """One that does not say how wide it is, as in some containers, is taken to have 80 columns."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, shape)
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress_bar(8600, "mnist to mnistm, trained on target, seed 0") as bar:
            bar.set_postfix({"target": "0.888", "source": "0.999", "L_y": "0.3"}, refresh=False)
            bar.update(4300)
            bar.refresh()
        os.set_blocking(ours, False)
        drawn = ""
        with suppress(BlockingIOError):
            while True:
                drawn += os.read(ours, 1000).decode()
    os.close(ours)
    width = shape[1] or 80
    lines = [line for line in drawn.replace("\r", "\n").splitlines() if line.strip()]
    assert "50%" in drawn and "target=0.888" in drawn
    assert max(map(len, lines)) < width
    assert ("4300/8600" in drawn) is (width > 100)
