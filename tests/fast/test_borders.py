"""Copying numbers side by side as one thing is copying."""

import numpy as np
import pytest

from minidann.fast.borders import copy_runs


@pytest.mark.parametrize("dtype", [np.float32, np.float64, bool])
@pytest.mark.parametrize(
    "part",
    [
        np.s_[:, ::2],  # every second row: the last axis lies side by side
        np.s_[:, :, 1:3],
        np.s_[:, :, ::2],  # the last axis does not
        np.s_[:, :0],  # nothing
        np.s_[::-1],
    ],
)
def test_runs_are_copied_wherever_they_lie(part, dtype):
    x = (np.random.default_rng(0).standard_normal((3, 4, 5)) > 0).astype(dtype)
    out = np.full_like(x, 7)
    copy_runs(x[part], out[part])
    expected = np.full_like(x, 7)
    expected[part] = x[part]
    np.testing.assert_array_equal(out, expected)


def test_runs_of_another_precision_are_converted():
    x, out = np.arange(6.0).reshape(2, 3), np.empty((2, 3), np.float32)
    copy_runs(x, out)
    np.testing.assert_array_equal(out, x)
