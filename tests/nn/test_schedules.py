"""The paper's schedules at values worked out by hand, and for a progress given as an integer."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidann.nn.schedules import cosine, learning_rate, reversal_strength

progress = st.floats(0, 1)


@pytest.mark.parametrize(
    "p, lam", [(0, 0.0), (0.1, 0.46211715726), (0.5, 0.98661429815), (1, 0.99990920426)]
)
def test_reversal_strength(p, lam):
    assert reversal_strength(p) == pytest.approx(lam, abs=1e-10)


@pytest.mark.parametrize(
    "p, mu",
    [
        (0, 0.01),
        (0.1, 0.00594603557),
        (0.5, math.sqrt(math.sqrt(1 / 216)) / 100),
        (1, 0.00165560026),
    ],
)
def test_learning_rate(p, mu):
    assert learning_rate(p) == pytest.approx(mu, rel=1e-7)


@pytest.mark.parametrize("p, mu", [(0, 2.0), (0.5, 1.0), (0.75, 1 - math.sqrt(0.5)), (1, 0.0)])
def test_cosine(p, mu):
    assert cosine(p, 2) == pytest.approx(mu, abs=1e-12)


@pytest.mark.parametrize(
    "p, mu", [(0, 2.0), (0.6, 2.0), (0.8, 1.0), (0.9, 1 - math.sqrt(0.5)), (1, 0.0)]
)
def test_a_late_cosine_is_constant_until_it_begins(p, mu):
    assert cosine(p, 2, start=0.6) == pytest.approx(mu, abs=1e-12)


@pytest.mark.parametrize("schedule", [reversal_strength, learning_rate, lambda p: cosine(p, 1)])
@pytest.mark.parametrize("p", [0, 1])
def test_an_integer_progress_is_a_number_like_any_other(schedule, p):
    assert schedule(p) == schedule(float(p))
    assert type(schedule(p)) is float


@given(progress, progress)
def test_lambda_never_falls_and_the_learning_rates_never_rise(a, b):
    a, b = sorted((a, b))
    assert 0 <= reversal_strength(a) <= reversal_strength(b) < 1
    assert learning_rate(a) >= learning_rate(b) > 0
    assert cosine(a, 0.1) >= cosine(b, 0.1) >= 0


def test_the_constants_of_the_formulas_can_be_chosen():
    assert reversal_strength(0.5, gamma=2.0) == pytest.approx(math.tanh(0.5))
    assert learning_rate(0.5, base=1.0, alpha=6.0, beta=0.5) == pytest.approx(0.5)
