"""A matrix product in pieces is the product."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidann.fast import products


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_a_product_in_pieces_is_the_product(n, d, m, large):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((n, d)), rng.standard_normal((d, m))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "LARGE", 0 if large else 1 << 40)
        np.testing.assert_allclose(products.matmul(a, b), a @ b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n, m", [(40, 30), (30, 40)])
@pytest.mark.parametrize("dtypes", [("f4", "f8"), ("f8", "f4"), ("f4", "f4")])
def test_the_pieces_have_the_precision_of_the_product(monkeypatch, n, m, dtypes):
    monkeypatch.setattr(products, "LARGE", 0)
    a, b = np.ones((n, 5), dtypes[0]), np.ones((5, m), dtypes[1])
    assert products.matmul(a, b).dtype == (a @ b).dtype
