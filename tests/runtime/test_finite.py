"""NaN and infinity are named where they are."""

import numpy as np
import pytest

from minidann.runtime.errors import InputError
from minidann.runtime.finite import require_finite


def holed(shape, *holes, number=np.nan):
    x = np.ones(shape, np.float32)
    for hole in holes:
        x[hole] = number
    return x


@pytest.mark.parametrize(
    "x, said",
    [
        (holed((9, 4), (7, 2)), "column 2 of x holds NaN or infinity in 1 of 9 rows, row 7 first"),
        (
            holed((9, 4), (7, 2), (5, 0), (5, 2)),
            "columns 0, 2 of x hold NaN or infinity in 2 of 9 rows, row 5 first",
        ),
        (holed((2, 9), 1), "columns 0, 1, 2, 3, 4 and 4 more of x hold NaN or infinity in 1 of"),
        (holed((9, 4), (7, 2), number=-np.inf), "column 2 of x holds"),
        (holed((5, 2, 2, 3), 3), "example 3 of x holds NaN or infinity; fill in numbers"),
        (holed(6, 1, 4), "examples 1, 4 of x hold NaN or infinity; "),
    ],
)
def test_the_columns_of_a_table_and_the_examples_of_anything_else_are_named(place, x, said):
    with pytest.raises(InputError) as caught:
        require_finite(place(x))
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    "x",
    [
        np.full((9, 4), 3e38, np.float32),  # whose sum is infinite
        np.full((9, 4), 6e4, np.float16),
        np.arange(6, dtype=np.uint8),
        np.array([[True]]),
        np.zeros((0, 3)),
    ],
)
def test_all_other_numbers_pass(place, x):
    require_finite(place(x))
