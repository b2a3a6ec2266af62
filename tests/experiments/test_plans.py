"""Which tasks there are, and whose networks are kept."""

import pytest

from minidann.experiments.plans import name_models, pair_up, plan
from minidann.experiments.runs import METHODS, Task
from minidann.runtime.errors import InputError

NAMES = ("mnist", "mnistm", "svhn", "synth", "usps")


def test_each_source_goes_to_each_target_and_is_trained_alone_only_once():
    pairs = pair_up(["mnist", "usps"], ["usps", "mnistm"])
    assert plan(pairs, METHODS, range(2)) == tuple(
        Task(*task)
        for task in (
            *(("mnist", "usps", "source", seed) for seed in (0, 1)),
            *(("usps", "mnistm", "source", seed) for seed in (0, 1)),
            *(("mnist", "usps", "target", seed) for seed in (0, 1)),
            *(("mnist", "mnistm", "target", seed) for seed in (0, 1)),
            *(("mnist", "usps", "dann", seed) for seed in (0, 1)),
            *(("mnist", "mnistm", "dann", seed) for seed in (0, 1)),
            *(("usps", "mnistm", "dann", seed) for seed in (0, 1)),
        )
    )


def test_a_matrix_has_every_pair_and_trains_each_source_once():
    planned = plan(pair_up(NAMES, NAMES), ("source", "dann"), [0])
    assert sum(task.method == "dann" for task in planned) == 5 * 4
    assert [task.source for task in planned if task.method == "source"] == list(NAMES)
    assert not any(task.method == "target" for task in planned)


def test_a_pair_that_is_named_twice_is_one_pair():
    assert pair_up(["a", "a"], ["b", "b", "a"]) == [("a", "b")]


def test_one_set_makes_no_pair():
    with pytest.raises(InputError, match=r"^mnist makes no pair"):
        pair_up(["mnist"], ["mnist"])


def test_the_network_of_the_first_seeds_dann_is_the_model():
    tasks = plan([("a", "b")], METHODS, [3, 4])
    assert name_models(tasks) == {Task("a", "b", "dann", 3): "model.npz"}
    alone = plan([("a", "b")], ["source"], [3, 4])
    assert name_models(alone) == {Task("a", "b", "source", 3): "model.npz"}


def test_models_of_several_pairs_have_their_names():
    assert name_models(plan(pair_up(["a", "b"], ["a", "b"]), METHODS, [0])) == {
        Task("a", "b", "dann", 0): "a-b-model.npz",
        Task("b", "a", "dann", 0): "b-a-model.npz",
    }
