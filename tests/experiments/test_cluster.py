"""Whole programs on a Dask cluster of two processes give what they give in this process."""

import json
import os
import signal
import threading
import time

import pytest

from minidann import blobs, mnistm


def record(folder):
    """What results.json says but for times, and for where it was written and executed."""
    found = json.loads((folder / "results.json").read_text())
    del found["finished"]
    for name in ("out", "cluster"):
        del found["options"][name]
    for run in found["runs"]:
        del run["seconds"]
    return found


@pytest.fixture
def both(cluster, tmp_path, monkeypatch):
    """``both(program, *options)``: the folders of a program's runs here and on the cluster."""
    monkeypatch.chdir(tmp_path)

    def run(program, *options):
        here, there = tmp_path / "here", tmp_path / "there"
        assert program.main([*options, "--out", "here"]) == 0
        options = (*options, "--cluster", cluster.scheduler_address)
        assert program.main([*options, "--out", "there"]) == 0
        return here, there

    return run


def test_blobs_on_a_cluster(both):
    here, there = both(blobs, "--steps", "40", "--seeds", "2")
    assert record(here) == record(there) and len(record(there)["runs"]) == 6
    assert (here / "history.csv").read_bytes() == (there / "history.csv").read_bytes()


def test_networks_for_images_on_a_cluster(both):
    here, there = both(mnistm, "--data", "digits", "--steps", "3", "--limit", "64")
    assert record(here) == record(there) and len(record(there)["runs"]) == 3
    files = [{path.relative_to(out) for path in out.rglob("*")} for out in (here, there)]
    assert files[0] == files[1] and len(list(there.glob("checkpoints/*.npz"))) == 3


def test_a_worker_that_is_killed_in_the_middle_changes_nothing(both, cluster, tmp_path):
    killed = []

    def kill():
        deadline = time.monotonic() + 60
        while not (tmp_path / "there/results.json").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        killed.append(next(iter(cluster.workers.values())).pid)
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    here, there = both(blobs, "--steps", "1000", "--seeds", "2")
    killer.join()
    assert killed[0] not in {worker.pid for worker in cluster.workers.values()}
    assert record(here) == record(there) and len(record(there)["runs"]) == 6
