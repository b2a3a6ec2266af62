"""Work in threads, which changes no bit of a result."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import ThreadpoolController

from minidann.runtime import threads


@pytest.fixture
def three_threads():
    """``threads()`` on three threads, however many cores there are; outside of it BLAS keeps to one."""
    with ThreadpoolController().limit(limits=3, user_api="blas"), threads.threads():
        yield


@given(st.integers(0, 20))
def test_parts_cover_every_row_once(n):
    with ThreadpoolController().limit(limits=3, user_api="blas"), threads.threads():
        slices = threads.thread_slices(n)
    assert len(slices) == 3
    assert [row for part in slices for row in range(n)[part]] == list(range(n))


def test_without_threads_there_is_one_part():
    assert threads.thread_slices(7) == [slice(0, 7)]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10])
def test_results_come_in_the_order_of_the_items(three_threads, n):
    assert threads.parallel_map(lambda item: item**2, list(range(n))) == [
        item**2 for item in range(n)
    ]


def test_an_error_in_a_thread_reaches_the_caller(three_threads):
    with pytest.raises(ZeroDivisionError):
        threads.parallel_map(lambda item: 1 / item, [1, 0, 2])


def test_blas_keeps_to_one_thread_inside_and_gets_its_threads_back():
    def blas():
        return [
            library.num_threads
            for library in ThreadpoolController().select(user_api="blas").lib_controllers
        ]

    with ThreadpoolController().limit(limits=3, user_api="blas"):
        before = blas()
        with pytest.raises(RuntimeError), threads.threads():
            assert set(blas()) <= {1} and len(threads.thread_slices(9)) == 3
            raise RuntimeError
        assert blas() == before and len(threads.thread_slices(9)) == 1


def test_a_context_inside_another_changes_nothing(three_threads):
    with threads.threads():
        assert len(threads.thread_slices(9)) == 3
    assert len(threads.thread_slices(9)) == 3


def test_where_blas_may_use_one_thread_there_is_one():
    with ThreadpoolController().limit(limits=1, user_api="blas"), threads.threads():
        assert len(threads.thread_slices(9)) == 1


@given(st.integers(0, 50), st.integers(0, 100), st.integers(1, 1000))
def test_blocks_cover_every_row_once_and_are_hardly_larger_than_asked(n, row_bytes, block_bytes):
    slices = threads.cache_blocks(n, row_bytes, block_bytes)
    assert [row for block in slices for row in range(n)[block]] == list(range(n))
    assert all(len(range(n)[block]) * row_bytes <= block_bytes + row_bytes for block in slices)
    assert len(slices) in (1, n) or len(slices) % threads.PIECES == 0
