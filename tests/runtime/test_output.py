"""Programs print to readers who may leave early."""

import io
import os
import subprocess
import sys

import pytest

from minidann.runtime.output import WhileRead, while_read

PROGRAM = """
import sys
from minidann.runtime.command import clear_errors

@clear_errors
def main(argv=None):
    print("first", flush=True)
    sys.stdin.readline()  # until the reader has left
    print("more" * 100_000)
    print("the work went on", file=sys.stderr)
    return 3

sys.exit(main())
"""


@pytest.mark.parametrize("unbuffered", [[], ["-u"]])
def test_a_program_whose_reader_leaves_goes_on_without_a_word(unbuffered):
    pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
    command = [sys.executable, *unbuffered, "-c", PROGRAM]
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdout.readline() == "first\n"
        process.stdout.close()
        _, said = process.communicate("go on\n")
    assert said == "the work went on\n" and process.returncode == 3


@pytest.mark.parametrize("program", ["minidann", "minidann.nn.gradcheck", "minidann.data"])
def test_each_kind_of_program_may_be_cut_off(program):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", program]
    command += ["--layer", "Dense"] if program.endswith("gradcheck") else []
    result = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert result.stderr == "" and result.returncode == 0


def test_what_is_printed_is_printed():
    stream = io.StringIO()
    assert WhileRead(stream).write("seen") == 4 and stream.getvalue() == "seen"


def test_a_full_disk_is_an_error_still(monkeypatch):
    class Full(io.StringIO):
        def flush(self):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(OSError, match="No space left"), while_read():
        print("lost")
    assert type(sys.stdout) is Full
