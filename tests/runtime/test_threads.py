"""Work in threads: for any number of threads of the program, after a fork, and to the end."""

import multiprocessing
import os
import subprocess
import sys
from contextlib import ExitStack
from threading import Barrier, Event, Thread, current_thread, get_ident

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import ThreadpoolController

from minidann import DANN, get_num_threads, metrics, set_num_threads
from minidann.fast import flat, products
from minidann.nn import Dense, ReLU, Sequential
from minidann.nn.layer import Layer
from minidann.nn.optimizers import SGD, Adam
from minidann.pseudo_labels import PseudoLabelDANN
from minidann.runtime import threads
from minidann.runtime.errors import InputError
from minidann.runtime.threads import all_cores, parallel_map, slices, thread_slices


@pytest.fixture
def three_threads():
    """Three threads, however many cores there are."""
    set_num_threads(3)
    yield
    set_num_threads(None)


class Shared(Layer):
    """Does nothing to x, piece by piece, in all threads; notes which they were, and how many."""

    def __init__(self, pieces=6):
        super().__init__()
        self.pieces, self.workers, self.counts = pieces, set(), []

    def forward(self, x, train=False):
        self.counts.append(len(thread_slices(99)))
        return self._copy(x)

    def backward(self, dy):
        return self._copy(dy)

    def _copy(self, x):
        y = np.empty_like(x)

        def work(part):
            self.workers.add(get_ident())
            y[part] = x[part]

        parallel_map(work, slices(len(x), self.pieces))
        return y


def in_thread(function):
    """Run the function in a thread of its own to its end."""
    thread = Thread(target=function)
    thread.start()
    thread.join()


def small_dann(seed, width=8, cls=DANN):
    """A DANN whose forward and backward hand work over to other threads many times."""
    rng = np.random.default_rng(seed)
    features = [Dense(20, width, rng=rng), Shared(), ReLU(), Shared(), Shared()]
    heads = [[Shared(), Dense(width, 3, rng=rng)], [Dense(width, 2, rng=rng), Shared()]]
    return cls(Sequential(features), *map(Sequential, heads))


def batch(seed, n=16):
    """x_source, y_source, x_target: enough numbers that a step uses all threads."""
    rng = np.random.default_rng(seed)
    x, x_target = rng.standard_normal((2, n, 20), dtype=np.float32)
    return x, rng.integers(0, 3, n), x_target


def train(seed, steps=40):
    """The user's own loop; the weights after it."""
    dann = small_dann(seed, width=6 + seed)
    optimizer = (SGD(dann.networks, 0.1, momentum=0.9), Adam(dann.networks))[seed % 2]
    for step in range(steps):
        dann.compute_gradients(*batch(step), 0.5)
        optimizer.step()
    return np.concatenate([array.ravel() for net in dann.networks for array in net.params.values()])


# ---------------------------------------------------------------------------- one thread


@given(st.integers(0, 20))
def test_parts_cover_every_row_once(n):
    set_num_threads(3)
    try:
        with all_cores():
            parts = thread_slices(n)
    finally:
        set_num_threads(None)
    assert len(parts) == 3
    assert [row for part in parts for row in range(n)[part]] == list(range(n))


def test_outside_there_is_one_part(three_threads):
    assert thread_slices(7) == [slice(0, 7)]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10])
def test_results_come_in_the_order_of_the_items(three_threads, n):
    with all_cores():
        assert parallel_map(lambda item: item**2, list(range(n))) == [item**2 for item in range(n)]


def test_three_threads_are_three(three_threads):
    together = Barrier(3)
    with all_cores():
        parallel_map(lambda _: together.wait(timeout=60), range(3))


@pytest.mark.parametrize("wrong", [0, 5, 8])
def test_an_error_in_a_thread_reaches_the_caller(three_threads, wrong):
    def function(item):
        return 1 / (item - wrong)

    with all_cores():
        with pytest.raises(ZeroDivisionError):
            parallel_map(function, range(9))
        assert parallel_map(str, range(9)) == list("012345678")  # the next one has its own results


def test_the_caller_waits_for_the_others_even_after_an_error(three_threads):
    """Or they would go on writing into arrays that are used for something else by then."""
    failed, written = Event(), []

    def function(item):
        if item == 0:
            failed.set()
            raise KeyboardInterrupt
        failed.wait()
        written.append(item)

    with all_cores(), pytest.raises(KeyboardInterrupt):
        parallel_map(function, range(3))
    assert sorted(written) == [1, 2]


def test_an_answer_that_no_one_took_is_not_the_next_ones(three_threads):
    """As after Ctrl-C while the caller waited."""
    helper = threads._Helper()
    helper.start(str, [1])
    assert helper.start(str, [2]).get() == (["2"], None)


def test_what_the_caller_has_set_holds_in_the_other_threads(three_threads):
    def overflow(_):
        return np.float32(3e38) * np.ones(1, np.float32) * 10

    with all_cores():
        with np.errstate(over="ignore"):
            parallel_map(overflow, range(3))  # no warning, which would be an error here
        with np.errstate(over="raise"), pytest.raises(FloatingPointError):
            parallel_map(lambda item: item and overflow(item), range(3))


def test_a_context_inside_another_changes_nothing(three_threads):
    with all_cores():
        with all_cores():
            assert len(thread_slices(9)) == 3
        assert len(thread_slices(9)) == 3
    assert len(thread_slices(9)) == 1


@given(st.integers(0, 50), st.integers(0, 100), st.integers(1, 1000))
def test_blocks_cover_every_row_once_and_are_hardly_larger_than_asked(n, row_bytes, block_bytes):
    blocks = threads.cache_blocks(n, row_bytes, block_bytes)
    assert [row for block in blocks for row in range(n)[block]] == list(range(n))
    assert all(len(range(n)[block]) * row_bytes <= block_bytes + row_bytes for block in blocks)
    assert len(blocks) in (1, n) or len(blocks) % threads.PIECES == 0


# ---------------------------------------------------------------------------- how many


@pytest.mark.parametrize("wrong", [0, -2, 1.5, "2", np.float64(2)])
def test_a_number_that_is_none_is_refused(wrong):
    with pytest.raises(InputError, match=r"number of threads is .*; give an integer of at least 1"):
        set_num_threads(wrong)


def test_set_num_threads_holds_for_what_begins_after_it(three_threads):
    with all_cores():
        set_num_threads(np.int64(2))
        assert get_num_threads() == 2 and len(thread_slices(9)) == 3
    with all_cores():
        assert len(thread_slices(9)) == 2


@pytest.mark.parametrize("n", [1, 3])
def test_by_default_there_are_as_many_threads_as_blas_has(n):
    """So there is one where BLAS is held to one: OPENBLAS_NUM_THREADS=1, runs side by side."""
    with ThreadpoolController().limit(limits=n, user_api="blas"):
        assert get_num_threads() == n
        with all_cores():
            assert get_num_threads() == n and len(thread_slices(9)) == n


def test_more_threads_than_blas_has_are_used_if_asked_for(three_threads):
    with ThreadpoolController().limit(limits=1, user_api="blas"), all_cores():
        assert len(thread_slices(9)) == 3


# ---------------------------------------------------------------------------- DANN

ELSEWHERE = {"convert", "domain_of", "load", "load_state_dict", "save", "state_dict", "summary"}
ELSEWHERE |= {"network_input", "parts"}  # which compute nothing of the network
COMPUTING = [
    name
    for name, of in vars(DANN).items()
    if not (name.startswith("_") or name in ELSEWHERE or isinstance(of, property))
]
X_SOURCE, Y_SOURCE, X_TARGET = batch(0)
ARGUMENTS = {
    "compute_gradients": (X_SOURCE, Y_SOURCE, X_TARGET, 0.5),
    "compute_label_gradients": (X_SOURCE, Y_SOURCE),
    "compute_domain_gradients": (X_SOURCE, X_TARGET, 0.5),
}


def assert_all_threads_worked(dann):
    layer = dann.features.layers[1]
    assert layer.counts == [3] and len(layer.workers) == 3
    assert len(thread_slices(9)) == 1


@pytest.mark.parametrize("name", COMPUTING)
def test_the_methods_of_a_dann_use_all_threads(three_threads, name):
    dann = small_dann(0)
    getattr(dann, name)(*ARGUMENTS.get(name, (X_SOURCE,)))
    assert_all_threads_worked(dann)


def test_so_does_one_whose_arguments_have_names(three_threads):
    dann = small_dann(0)
    dann.predict(x=X_SOURCE)
    assert_all_threads_worked(dann)


def test_so_do_the_predictions_of_metrics(three_threads):
    dann = small_dann(0)
    metrics.predictions(dann, X_SOURCE)
    assert_all_threads_worked(dann)


def test_so_do_those_that_learn_from_pseudo_labels(three_threads):
    dann = small_dann(0, cls=PseudoLabelDANN)
    x, y, x_target = batch(0)
    dann.pseudo_labels(x_target)
    dann.compute_gradients(x, y, (x_target, x_target), 0.5)
    assert set(dann.features.layers[1].counts) == {3}


def test_a_large_product_and_a_large_step_use_all_threads_by_themselves(monkeypatch, three_threads):
    def spy(function, items):
        counts.append(len(thread_slices(99)))
        return parallel_map(function, items)

    counts = []
    for module, name, value in (
        (products, "MEDIUM", 1),
        (products, "LARGE", 1),
        (flat, "BLOCK", 1),
    ):
        monkeypatch.setattr(module, name, value)
        monkeypatch.setattr(module, "parallel_map", spy)
    layer = Dense(20, 5, rng=np.random.default_rng(0))
    optimizer = SGD(layer, 0.1)
    layer.parameter_gradients(layer.forward(batch(0)[0]))
    assert counts == [3, 3]
    optimizer.step()
    assert counts == [3, 3, 3]  # of the weights; the biases are too few


def test_blas_keeps_to_one_thread_for_a_product_that_it_would_split(monkeypatch, three_threads):
    class Spy(np.ndarray):
        def __matmul__(self, other):
            counts.append(len(thread_slices(99)))
            return super().__matmul__(other)

    counts = []
    products.matmul(np.ones((64, 15)).view(Spy), np.ones((15, 8)))  # 15 / 16 of MEDIUM
    products.matmul(np.ones((64, 16)).view(Spy), np.ones((16, 8)))
    assert counts == [1, 3]


def test_a_few_points_are_not_worth_it(three_threads):
    dann = small_dann(0)
    dann.compute_gradients(*batch(0, n=4), 0.5)
    assert dann.features.layers[1].counts == [1]


# ---------------------------------------------------------------------------- several threads


def test_four_threads_that_train_at_once_get_what_they_get_alone():
    alone = [train(seed) for seed in range(4)]
    set_num_threads(8)  # at least two for each
    try:
        for _ in range(5):
            together, begin = {}, Barrier(4)

            def run(seed, results=together, begin=begin):
                begin.wait()
                results[seed] = train(seed)

            users = [Thread(target=run, args=(seed,)) for seed in range(4)]
            for user in users:
                user.start()
            for user in users:
                user.join()
            assert sorted(together) == [0, 1, 2, 3]  # none ended with an error
            for seed, weights in enumerate(alone):
                np.testing.assert_array_equal(together[seed], weights)
    finally:
        set_num_threads(None)


def test_threads_that_work_at_once_share_the_cores(three_threads):
    seen = []

    def other():
        with all_cores():
            seen.append(len(thread_slices(9)))

    set_num_threads(4)
    with all_cores():
        in_thread(other)
        assert seen == [2] and len(thread_slices(9)) == 4


def test_helpers_end_with_the_thread_that_they_help(three_threads):
    helpers = []

    def user():
        with all_cores():
            helpers.extend(set(parallel_map(lambda _: current_thread(), range(3))))

    in_thread(user)
    assert len(helpers) == 3
    for helper in helpers:
        helper.join(timeout=60)
        assert not helper.is_alive()


def test_work_goes_on_when_the_main_thread_has_come_to_its_end():
    code = """
import threading
from minidann.runtime.threads import all_cores, parallel_map, set_num_threads

def work():
    main.join()
    with all_cores():
        print(parallel_map(abs, [-1, -2]))

main = threading.current_thread()
set_num_threads(2)
threading.Thread(target=work).start()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("[1, 2]\n", "")


# ---------------------------------------------------------------------------- after a fork

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def train_in_child(connection):
    """In the thread that forked, whose helpers are not there, and in one that is new."""
    weights = [train(1)]
    in_thread(lambda: weights.append(train(1)))
    connection.send((get_num_threads(), weights))
    connection.close()


def fork_and_train():
    """(number of threads, weights of two trainings) in a child process; fails if it hangs."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=train_in_child, args=(theirs,))
    child.start()
    theirs.close()
    try:
        assert ours.poll(timeout=120), "the child hangs"
        result = ours.recv()
        child.join(timeout=60)
        assert child.exitcode == 0
        return result
    finally:
        child.kill()
        child.join()


@forks
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_of_a_fork_in_the_middle_of_training_trains(three_threads):
    """Another thread of the parent is within a step; it does not exist in the child."""
    expected, stop = train(1), Event()

    def go_on():
        while not stop.is_set():
            train(2, steps=5)

    trainers = [Thread(target=go_on) for _ in range(2)]
    for trainer in trainers:
        trainer.start()
    try:
        for _ in range(5):
            count, weights = fork_and_train()
            assert count == 3
            np.testing.assert_array_equal(weights, [expected, expected])
    finally:
        stop.set()
        for trainer in trainers:
            trainer.join()


@forks
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_of_a_fork_from_within_trains(three_threads):
    """As from a callback of ``fit``: the thread that forks has helpers, the child has none."""
    expected = train(1)
    with all_cores():
        parallel_map(abs, range(3))
        count, weights = fork_and_train()
        assert parallel_map(abs, range(3)) == [0, 1, 2]
    assert count == 3
    np.testing.assert_array_equal(weights, [expected, expected])


def in_child(check):
    """Whether ``check`` is true in a child process."""
    if (child := os.fork()) == 0:
        status = 1
        try:
            status = 0 if check() else 1
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def blas_threads():
    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    return {library.num_threads for library in libraries}


@forks
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_in_a_child_no_one_else_holds_blas():
    entered, leave = Event(), Event()

    def other():
        with all_cores():
            entered.set()
            leave.wait()

    with ThreadpoolController().limit(limits=3, user_api="blas"):
        thread = Thread(target=other)
        thread.start()
        entered.wait()
        try:
            assert blas_threads() == {1}
            assert in_child(lambda: blas_threads() == {3})
        finally:
            leave.set()
            thread.join()


@forks
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_of_a_fork_from_within_leaves_and_enters_as_ever():
    def check():
        held = [blas_threads()]
        context.close()
        held.append(blas_threads())
        with all_cores():
            held.append(blas_threads())
        return held == [{1}, {3}, {1}]

    with ThreadpoolController().limit(limits=3, user_api="blas"), ExitStack() as context:
        context.enter_context(all_cores())
        assert in_child(check)
