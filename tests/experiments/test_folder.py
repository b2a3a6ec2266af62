"""The folder of an experiment: no results are lost in it without a word, one run at a time."""

import os
import signal
import subprocess
import sys

import pytest

from minidann.experiments.config import Settings
from minidann.experiments.folder import KEPT, claimed, clear, locked, results_in
from minidann.runtime.errors import InputError

FILES = ("results.json", "history.csv", "model.npz", "a-b-model.npz", "checkpoints/a-b-dann-0.npz")


def put(folder, name):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("hours of work")
    return path


@pytest.mark.parametrize("name", FILES)
def test_a_folder_with_results_is_refused_and_left_as_it_is(name, tmp_path):
    path = put(tmp_path, name)
    with pytest.raises(InputError) as refused, claimed(Settings(out=tmp_path)):
        raise AssertionError("it has begun")
    for part in (str(tmp_path), name, "--resume", "--overwrite", "--out"):
        assert part in str(refused.value)
    assert path.read_text() == "hours of work"
    for settings in (
        Settings(out=tmp_path, resume=True),
        Settings(out=tmp_path, overwrite=True),
    ):
        with claimed(settings):
            pass
    assert path.read_text() == "hours of work"  # nothing is replaced before training begins


def test_files_of_the_users_own_are_neither_refused_nor_cleared(tmp_path):
    own = [put(tmp_path, name) for name in ("notes.txt", "data.csv", "weights.npz", "plot.png")]
    with claimed(Settings(out=tmp_path)):
        pass
    for name in FILES:
        put(tmp_path, name)
    clear(tmp_path)
    assert results_in(tmp_path) == [] and all(path.exists() for path in own)
    assert len(KEPT) == 4


def test_two_runs_in_one_folder_lock_each_other_out(tmp_path):
    with locked(tmp_path):
        used = f"in use by .*process {os.getpid()} on .*--out"
        with pytest.raises(InputError, match=used), locked(tmp_path):
            raise AssertionError("two at once")
    with locked(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_lock_ends_with_its_process_however_that_ends(tmp_path):
    code = (
        "import os, sys, signal, pathlib\n"
        "from minidann.experiments.folder import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, tmp_path])
    assert killed.returncode == -signal.SIGKILL and (tmp_path / ".lock").exists()
    with locked(tmp_path):
        pass


def test_a_lock_that_its_owner_has_just_deleted_is_nobodys(tmp_path, monkeypatch):
    """Between opening the file and locking it, another process may give it up."""
    from minidann.experiments import folder

    lock, real = tmp_path / ".lock", folder.fcntl.flock
    deleted = []

    def flock(file, how):
        if not deleted:
            lock.unlink()
            deleted.append(lock)
        return real(file, how)

    monkeypatch.setattr(folder.fcntl, "flock", flock)
    with locked(tmp_path):
        assert lock.exists()
        with pytest.raises(InputError), locked(tmp_path):
            pass


def test_without_locks_there_is_none(tmp_path, monkeypatch):
    from minidann.experiments import folder

    def flock(file, how):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(folder.fcntl, "flock", flock)
    with locked(tmp_path):
        pass
    monkeypatch.setattr(folder, "fcntl", None)
    with locked(tmp_path), locked(tmp_path):
        pass
