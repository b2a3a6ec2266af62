"""What tests of experiments share: settings of a short run that needs no files, and a cluster."""

import dask
import pytest
from distributed import LocalCluster

from minidann.experiments.config import ImageSettings


@pytest.fixture
def settings(tmp_path):
    """A few steps on the first of scikit-learn's digits."""
    return ImageSettings(
        recipe="best", steps=4, batch_size=8, limit=64, out=tmp_path, tested=("digits-m",)
    )


@pytest.fixture(scope="session")
def cluster():
    """A Dask cluster of two processes on this machine, which may use two BLAS threads each."""
    with (
        dask.config.set(
            {
                "distributed.nanny.pre-spawn-environ.OPENBLAS_NUM_THREADS": 2,
                "distributed.scheduler.allowed-failures": 1,
            }
        ),
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs="CRITICAL"
        ) as cluster,
    ):
        yield cluster
