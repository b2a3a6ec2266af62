"""Files that are written whole or not at all, and read only if they are files."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from minidann.runtime import files
from minidann.runtime.errors import InputError
from minidann.runtime.files import open_regular, read_bytes, replacing, sweep, writable


def test_a_file_is_replaced_when_all_went_well(tmp_path):
    path = tmp_path / "new" / "results.json"
    for text in ("first", "second"):
        with replacing(path) as temporary:
            temporary.write_text(text)
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_on_an_error_the_old_file_is_intact_and_nothing_else_is_left(tmp_path, error):
    path = tmp_path / "results.json"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_on_an_error_before_anything_is_written_nothing_is_left(tmp_path):
    with pytest.raises(ValueError), replacing(tmp_path / "results.json"):
        raise ValueError
    assert list(tmp_path.iterdir()) == []


def test_the_temporary_file_stands_beside_its_goal_and_keeps_the_suffix(tmp_path):
    with replacing(tmp_path / "figure.png") as temporary:
        assert (
            temporary.parent == tmp_path
            and temporary.suffix == ".png"
            and temporary.name != "figure.png"
        )
        temporary.write_bytes(b"")


def test_bytes_are_on_the_disk_before_the_name_is_and_both_in_the_end(tmp_path, monkeypatch):
    done, path = [], tmp_path / "results.json"

    def fsync(handle, fsync=os.fsync):
        fsync(handle)
        done.append(os.readlink(f"/proc/self/fd/{handle}") if os.path.exists("/proc") else "?")

    def replace(source, goal, replace=os.replace):
        replace(source, goal)
        done.append("renamed")

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    with replacing(path) as temporary:
        temporary.write_text("whole")
    assert len(done) == 3 and done[1] == "renamed"
    if os.path.exists("/proc"):
        assert done[::2] == [str(temporary), str(tmp_path)]


def test_a_disk_that_fails_is_told_and_one_that_cannot_say_is_not(tmp_path, monkeypatch):
    def fsync(handle, number):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", lambda handle: fsync(handle, errno.EINVAL))
    with replacing(tmp_path / "a") as temporary:
        temporary.write_text("whole")
    monkeypatch.setattr(os, "fsync", lambda handle: fsync(handle, errno.EIO))
    with pytest.raises(OSError, match="Input/output"), replacing(tmp_path / "b") as temporary:
        temporary.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_writable_makes_the_folder_and_leaves_no_trace(tmp_path):
    assert writable(tmp_path / "a/b") == tmp_path / "a/b"
    assert not list((tmp_path / "a/b").iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--out"):
        writable(tmp_path / "file")


def test_two_who_write_one_file_at_once_do_not_share_a_temporary_one(tmp_path):
    """Threads have one process number, and so may processes on two machines of a cluster."""
    path = tmp_path / "results.json"
    with replacing(path) as first, replacing(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first" and list(tmp_path.iterdir()) == [path]


# --- what killed processes leave behind

SAVING = """
import sys, time
from minidann.runtime.files import replacing
with replacing(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print("begun", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_was_writing_is_removed_and_what_a_live_one_writes_is_not(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SAVING, tmp_path / name], stdout=subprocess.PIPE, text=True
        )
        for name in ("killed.npz", "alive.npz")
    ]
    try:
        for process in processes:
            assert process.stdout.readline() == "begun\n"
        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait()
        assert len(list(tmp_path.iterdir())) == 2
        sweep(tmp_path)
        (left,) = tmp_path.iterdir()
        assert left.name.startswith(".alive.") and left.suffix == ".npz"
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def temporary_name(host=files.HOST, process=None, stem="x"):
    return f".{stem}.{host}-{process or os.getpid()}-{'0a' * 4}.npz"


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_is_swept(tmp_path):
    dead = dead_process()
    swept = {
        "of a dead process": temporary_name(process=dead),
        "of an earlier process of our number": temporary_name(),
        "long forgotten, of another machine": temporary_name("elsewhere", dead, "old"),
    }
    kept = {
        "of another machine": temporary_name("elsewhere", dead),
        "of a process that lives": temporary_name(process=os.getppid(), stem="alive"),
        "a user's own": ".x.npz",
        "a checkpoint": "x.npz",
    }
    for name in (*swept.values(), *kept.values()):
        (tmp_path / name).touch()
    long_ago = time.time() - files.FORGOTTEN - 60
    os.utime(tmp_path / swept["long forgotten, of another machine"], (long_ago, long_ago))
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(kept.values())


@pytest.mark.parametrize("start", [writable, lambda folder: replacing(folder / "y").__enter__()])
def test_whoever_starts_to_write_sweeps(tmp_path, start):
    left = tmp_path / temporary_name(process=dead_process())
    left.touch()
    started = start(tmp_path)
    assert started and not left.exists()


def test_a_folder_that_is_not_there_is_swept_without_a_word(tmp_path):
    sweep(tmp_path / "nowhere")


# --- regular files only


def test_regular_files_are_read_up_to_a_size(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"bytes")
    with open_regular(path) as file:
        assert file.read() == b"bytes"
    assert read_bytes(path, 5) == b"bytes"
    with pytest.raises(ValueError, match="more than 4 bytes"):
        read_bytes(path, 4)


def test_what_has_no_end_is_refused_at_once(tmp_path):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to("/dev/zero")
    for path in (pipe, link, "/dev/zero", "/dev/null"):
        with pytest.raises(OSError, match="it is not a regular file"):
            open_regular(path)
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nothing")
