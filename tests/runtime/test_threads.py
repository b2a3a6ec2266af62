"""Work in threads, which changes no bit of a result."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import ThreadpoolController

from minidann.fast import fourier
from minidann.nn import Conv2D, Dense, MaxPool2D, conv, optimizers, pool
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


def alone_and_threaded(results):
    """What a function gives on one thread, and on three."""
    with ThreadpoolController().limit(limits=1, user_api="blas"):
        alone = results()
    with ThreadpoolController().limit(limits=3, user_api="blas"), threads.threads():
        threaded = results()
    return alone, threaded


@given(st.integers(0, 50), st.integers(0, 100), st.integers(1, 1000))
def test_blocks_cover_every_row_once_and_are_hardly_larger_than_asked(n, row_bytes, block_bytes):
    slices = threads.cache_blocks(n, row_bytes, block_bytes)
    assert [row for block in slices for row in range(n)[block]] == list(range(n))
    assert all(len(range(n)[block]) * row_bytes <= block_bytes + row_bytes for block in slices)
    assert len(slices) in (1, n) or len(slices) % threads.PIECES == 0


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_a_product_in_pieces_is_the_product(n, d, m, large):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((n, d)), rng.standard_normal((d, m))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "LARGE", 0 if large else 1 << 40)
        np.testing.assert_allclose(threads.matmul(a, b), a @ b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 8])
@pytest.mark.parametrize(
    "make",
    [
        lambda: Conv2D(2, 3, 5, rng=np.random.default_rng(0)),
        lambda: Conv2D(2, 3, 3, stride=2, padding="valid", rng=np.random.default_rng(0)),
        lambda: MaxPool2D(2),
        lambda: MaxPool2D(3, stride=2, padding="same"),
    ],
    ids=["same", "strided", "pool", "overlapping"],
)
def test_threads_change_no_bit(monkeypatch, make, n):
    monkeypatch.setattr(
        conv, "BLOCK_BYTES", 1
    )  # one image at a time, so that every thread has some
    monkeypatch.setattr(pool, "cache_blocks", lambda n, row_bytes: threads.slices(n, n))

    def results():
        layer, rng = make(), np.random.default_rng(1)
        y = layer.forward(rng.standard_normal((n, 9, 8, 2)).astype(np.float32).round(1), train=True)
        return [
            y,
            layer.backward(rng.standard_normal(y.shape).astype(np.float32)),
            *layer.grads.values(),
        ]

    assert all(np.array_equal(a, b) for a, b in zip(*alone_and_threaded(results)))


@pytest.mark.parametrize(
    "shape, kernel",
    [
        ((8, 14, 14, 16), 5),
        ((3, 7, 6, 4), 3),
        ((2, 9, 9, 3), 3),
        ((5, 8, 8, 7), 5),
        ((3, 12, 12, 20), 5),
    ],
)
def test_threads_change_no_bit_of_a_convolution_through_the_frequencies(monkeypatch, shape, kernel):
    monkeypatch.setattr(fourier, "pays", lambda *size: True)

    def results():
        layer, rng = (
            Conv2D(shape[3], 8, kernel, rng=np.random.default_rng(0)),
            np.random.default_rng(1),
        )
        y = layer.forward(rng.standard_normal(shape, dtype=np.float32))
        return [
            y,
            layer.backward(rng.standard_normal(y.shape, dtype=np.float32)),
            *layer.grads.values(),
        ]

    assert all(np.array_equal(a, b) for a, b in zip(*alone_and_threaded(results)))


@pytest.mark.parametrize("n, m", [(8, 50), (50, 8)])
def test_threads_change_no_bit_of_a_large_dense_layer_and_its_update(monkeypatch, n, m):
    monkeypatch.setattr(threads, "LARGE", 1)
    monkeypatch.setattr(optimizers, "BLOCK", 10)  # the weights alone are 40 blocks

    def results():
        layer, rng = Dense(m, n, rng=np.random.default_rng(0)), np.random.default_rng(1)
        optimizer = optimizers.SGD(layer, 0.1, momentum=0.9, weight_decay=0.01)
        y = layer.forward(rng.standard_normal((n, m), dtype=np.float32))
        dx = layer.backward(rng.standard_normal(y.shape, dtype=np.float32))
        optimizer.step()
        optimizer.step()
        return [y, dx, *layer.grads.values(), *layer.params.values()]

    assert all(np.array_equal(a, b) for a, b in zip(*alone_and_threaded(results)))
