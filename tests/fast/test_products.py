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


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 4), st.integers(1, 200))
def test_a_product_by_rows_is_the_product_whatever_is_left_over(n, k, m, small):
    rng = np.random.default_rng(0)
    a, b, c = (rng.standard_normal(shape) for shape in ((n, k), (k, m), (n, m)))
    out = np.full((n, m), np.nan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "SMALL", small)
        count, covered = products.row_runs(n, k, m)
        assert 0 <= n - covered < count and covered % count == 0
        assert covered // count * k * m <= max(small, k * m)
        products.matmul_by_rows(a, b, out=out)
        np.testing.assert_allclose(out, a @ b, rtol=1e-12, atol=1e-12)
        transposed = products.transposed_matmul_by_rows(a, c)
        np.testing.assert_allclose(transposed, a.T @ c, rtol=1e-12, atol=1e-12)
        runs = products.small_or_whole(n, k, m)
        assert [row for run in runs for row in range(n)[run]] == [*range(n)]
        assert len(runs) == 1 or small < n * k * m <= 2 * small


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_a_product_with_the_transposed_is_the_product(n, d, m, large):
    rng = np.random.default_rng(0)
    dy, W = rng.standard_normal((n, m)), rng.standard_normal((d, m))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "LARGE", 0 if large else 1 << 40)
        dx = products.times_transposed(dy, W)
    np.testing.assert_allclose(dx, dy @ W.T, rtol=1e-12, atol=1e-12)
    assert dx.shape == (n, d) and dx.flags.c_contiguous == (dy @ W.T).flags.c_contiguous
