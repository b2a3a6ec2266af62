"""BLAS is held to one thread while any thread of the program is inside, and no longer."""

import subprocess
import sys
from itertools import chain
from threading import Event, Thread, local

import pytest
from threadpoolctl import ThreadpoolController

from minidann.runtime import blas
from minidann.runtime.threads import all_cores, parallel_map, set_num_threads


def counts():
    """The threads of every BLAS library, by another way than minidann's own."""
    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    return {library.num_threads for library in libraries}


@pytest.fixture
def three_blas_threads():
    """BLAS has three threads, however many cores there are, and threadpoolctl has no part in it."""
    before = [(library, library.get()) for library in chain(*blas.libraries())]
    for library, _ in before:
        library.set(3)
    yield
    for library, n in before:
        library.set(n)


def in_thread(function):
    """Run the function in a thread of its own to its end."""
    thread = Thread(target=function)
    thread.start()
    thread.join()


def test_blas_keeps_to_one_thread_inside_and_gets_its_threads_back(three_blas_threads):
    before = counts()
    with all_cores(), all_cores():
        assert counts() == {1}
    assert counts() == before == {3}


def test_an_error_inside_gives_blas_its_threads_back(three_blas_threads):
    with pytest.raises(RuntimeError), all_cores():
        with pytest.raises(ValueError), all_cores():
            raise ValueError
        assert counts() == {1}
        raise RuntimeError
    assert counts() == {3}


def test_blas_is_held_until_the_last_thread_leaves(three_blas_threads):
    """Here that is not the thread that came first."""
    entered, leave = Event(), Event()

    def other():
        with all_cores():
            entered.set()
            leave.wait()

    thread = Thread(target=other)
    with all_cores():
        thread.start()
        entered.wait()
    assert counts() == {1}
    leave.set()
    thread.join()
    assert counts() == {3}


def test_threadpoolctl_still_obeys_every_thread(three_blas_threads):
    """It lets one thread at a time set the limit of OpenBLAS: minidann must not stay that one."""

    def limited():
        with ThreadpoolController().limit(limits=2, user_api="blas"):
            seen.append(counts())

    seen = []
    with all_cores():
        pass
    in_thread(limited)
    assert seen == [{2}] and counts() == {3}


def test_the_threads_that_blas_has_now_are_those_it_gets_back(three_blas_threads):
    with all_cores():
        pass
    with ThreadpoolController().limit(limits=2, user_api="blas"):
        assert blas.threads() == 2
        with all_cores():
            assert blas.threads() == 2 and counts() == {1}
        assert counts() == {2}
    assert blas.threads() == 3


def test_where_each_thread_has_a_limit_of_its_own_each_sets_it(monkeypatch):
    """OpenBLAS with OpenMP."""
    limits = local()

    def get():
        return getattr(limits, "n", 3)

    def set_(n):
        limits.n = n

    monkeypatch.setattr(blas, "libraries", lambda: ([], [blas.Library(get, set_)]))
    seen = []

    def other():
        with all_cores():
            seen.append(get())
        seen.append(get())

    set_num_threads(2)
    try:
        with all_cores():
            assert get() == 1
            in_thread(other)
            assert get() == 1
            in_thread(lambda: seen.extend(helped(get)))
        assert get() == 3 and seen == [1, 3, 1, 1]
    finally:
        set_num_threads(None)


def helped(function):
    """What the function returns in a thread and in a new helper of it."""
    set_num_threads(4)  # two of the program are inside
    with all_cores():
        return parallel_map(lambda _: function(), range(2))


def test_an_import_changes_nothing():
    code = """
import numpy
from threadpoolctl import ThreadpoolController, threadpool_info
with ThreadpoolController().limit(limits=3, user_api="blas"):
    before = threadpool_info()
    import minidann, minidann.nn, minidann.fast, minidann.train
    after = threadpool_info()
    assert all(library in after for library in before), after
"""
    subprocess.run([sys.executable, "-c", code], check=True)
