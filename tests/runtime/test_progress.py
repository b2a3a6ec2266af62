"""Progress: whole lines where there is no terminal."""

import io
import os
import subprocess
import sys
from contextlib import suppress

import pytest

from minidann.runtime.progress import progress_bar, tell

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


class Gone(io.StringIO):
    """A terminal or a file that cannot be written to any more."""

    def __init__(self, terminal, error):
        super().__init__()
        self.terminal, self.error = terminal, error

    def isatty(self):
        return self.terminal

    def write(self, text):
        raise self.error

    def flush(self):
        raise self.error


ERRORS = [OSError(28, "No space left"), OSError(5, "I/O error"), BrokenPipeError(), ValueError("x")]


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("error", [*ERRORS, None], ids=str)
def test_progress_that_nobody_can_read_ends_no_work(terminal, error, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Gone(terminal, error) if error else None)
    steps = 0
    with progress_bar(30, "steps", **({"mininterval": 0} if terminal and error else {})) as bar:
        for _ in range(30):
            steps += 1
            bar.update()
            bar.set_postfix({"L_y": "0.300"})
    tell("done")
    assert steps == 30


@pytest.mark.parametrize("stderr", [">&-", ">/dev/full"])
def test_a_program_without_a_standard_error_ends_well(stderr, tmp_path):
    command = f'"{sys.executable}" -m minidann.blobs --steps 20 --out "{tmp_path}" 2{stderr}'
    result = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert result.returncode == 0 and "Written to" in result.stdout
    assert (tmp_path / "blobs.png").exists()
