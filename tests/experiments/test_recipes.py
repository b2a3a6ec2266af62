"""The networks are those that their recipes name, and are trained as they say."""

import numpy as np
import pytest

from minidann.experiments import recipes
from minidann.nn import BatchNorm, Dropout
from minidann.nn.schedules import learning_rate


def weights(network):
    return [array.shape for name, array in network.params.items() if name.endswith("W")]


def parts(network):
    return [leaf.domains for leaf in network.leaves() if isinstance(leaf, BatchNorm)]


SHAPES = {
    "tf-dann": (
        [(5, 5, 3, 32), (5, 5, 32, 48)],
        [(2352, 100), (100, 100), (100, 10)],
        [(2352, 100), (100, 2)],
    ),
    "paper": (
        [(5, 5, 3, 32), (5, 5, 32, 48)],
        [(768, 100), (100, 100), (100, 10)],
        [(768, 100), (100, 1)],
    ),
    "best": (
        [(5, 5, 3, 64), (5, 5, 64, 50)],
        [(800, 100), (100, 100), (100, 10)],
        [(800, 400), (400, 2)],
    ),
    "light": (
        [(5, 5, 3, 64), (5, 5, 64, 50)],
        [(800, 100), (100, 100), (100, 10)],
        [(800, 100), (100, 2)],
    ),
    "pseudo": (
        [(5, 5, 3, 64), (5, 5, 64, 50)],
        [(800, 100), (100, 100), (100, 10)],
        [(800, 100), (100, 2)],
    ),
    "svhn": (
        [(5, 5, 3, 64), (5, 5, 64, 64), (5, 5, 64, 128)],
        [(8192, 3072), (3072, 2048), (2048, 10)],
        [(8192, 1024), (1024, 1024), (1024, 2)],
    ),
    "signs": (
        [(5, 5, 3, 96), (3, 3, 96, 144), (5, 5, 144, 256)],
        [(1024, 512), (512, 43)],
        [(1024, 1024), (1024, 1024), (1024, 1)],
    ),
}
SHAPES["signs-pseudo"] = SHAPES["signs"]


def test_every_recipe_is_listed_here():
    assert SHAPES.keys() == recipes.RECIPES.keys()


@pytest.mark.parametrize("name", SHAPES)
def test_the_network_is_the_one_that_is_named_and_takes_images_of_its_size(name):
    recipe = recipes.RECIPES[name]
    dann = recipe.build(0)
    assert tuple(weights(network) for network in dann.networks) == SHAPES[name]
    x = np.zeros((2, recipe.size, recipe.size, 3), np.float32)
    losses = dann.compute_gradients(x, np.array([1, 2]), (x, x) if recipe.weak_augment else x, 0.5)
    assert np.isfinite(losses).all()
    assert all(
        array.dtype == np.float32 for network in dann.networks for array in network.grads.values()
    )


@pytest.mark.parametrize(
    "build, dropouts", [(recipes.best, 1), (recipes.svhn, 0), (recipes.signs, 0)]
)
def test_each_domain_is_normalised_by_itself_where_a_batch_holds_two(build, dropouts):
    dann = build(0)
    assert set(parts(dann.features)) == set(parts(dann.domain_head)) == {2}
    assert set(parts(dann.label_head)) == {1}  # the source alone comes here
    alone = build(0, 1)
    assert set(parts(alone.features) + parts(alone.domain_head)) == {1}
    channels = [leaf.channels for leaf in dann.features.leaves() if isinstance(leaf, Dropout)]
    assert channels == [True] * dropouts


def test_the_label_head_of_pseudo_meets_two_domains():
    assert set(parts(recipes.pseudo(0).label_head)) == {2} and set(
        parts(recipes.pseudo(0, 1).label_head)
    ) == {1}
    assert recipes.pseudo(0).threshold == 0.9
    for one, other in zip(
        recipes.pseudo(3).networks, recipes.RECIPES["light"].build(3).networks
    ):  # and is light's else
        assert all(np.array_equal(array, other.params[name]) for name, array in one.params.items())


def test_the_pseudo_labels_of_signs_assume_no_equal_classes():
    assert set(parts(recipes.signs_pseudo(0).label_head)) == {2}
    assert recipes.signs_pseudo(0).threshold == 0.9
    assert recipes.signs_pseudo(0).balance == 0 and recipes.pseudo(0).balance == 1
    for one, other in zip(recipes.signs_pseudo(3).networks, recipes.signs(3).networks):
        assert all(np.array_equal(array, other.params[name]) for name, array in one.params.items())


def test_the_number_of_classes_is_that_of_the_last_layer():
    assert weights(recipes.signs(0, classes=7).label_head) == [(1024, 512), (512, 7)]


@pytest.mark.parametrize(
    "normalization, expected", [("separate", [2, 2]), ("mixed", [1, 1]), ("none", [])]
)
def test_the_variants_of_best(normalization, expected):
    assert parts(recipes.best(0, normalization=normalization).features) == expected
    without = recipes.best(0, dropout=0.0, domain_width=7)
    assert not any(
        isinstance(leaf, Dropout) for network in without.networks for leaf in network.leaves()
    )
    assert weights(without.domain_head) == [(800, 7), (7, 2)]


def test_one_seed_gives_one_network_and_another_another():
    one, same, other = (recipes.best(seed).features.params["0.W"] for seed in (0, 0, 1))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def test_the_schedules():
    for name in ("tf-dann", "paper"):
        assert recipes.RECIPES[name].learning_rate is learning_rate and learning_rate(0) == 0.01
    for name in ("best", "light", "pseudo", "svhn", "signs", "signs-pseudo"):
        assert (
            recipes.RECIPES[name].learning_rate(0) == 1e-3
            and recipes.RECIPES[name].learning_rate(1) == 0
        )
    for name, recipe in recipes.RECIPES.items():
        largest = {"light": 0.1, "svhn": 0.1, "best": 2}.get(name, 1)
        assert recipe.lam(0) == 0 and recipe.lam(1) == pytest.approx(largest, rel=1e-4)
    best = recipes.RECIPES["best"].learning_rate
    assert best(0.7) == 1e-3 and best(0.85) == pytest.approx(5e-4)


def test_only_paper_sums_the_two_domains_means():
    assert {
        name
        for name, recipe in recipes.RECIPES.items()
        if name != "svhn" and recipe.build(0).domain_weight == 2
    } == {"paper"}


def test_light_and_what_is_made_of_it_bend_their_images_and_take_each_ones_own_mean():
    for name in ("light", "pseudo"):
        for network in recipes.RECIPES[name].build(0).networks:
            assert not any(isinstance(leaf, Dropout) for leaf in network.leaves())
    assert [name for name, recipe in recipes.RECIPES.items() if recipe.augment] == [
        "light",
        "pseudo",
        "svhn",
        "signs",
        "signs-pseudo",
    ]
    assert [name for name, recipe in recipes.RECIPES.items() if recipe.source_augment] == ["best"]
    means = {
        name: recipe.mean for name, recipe in recipes.RECIPES.items() if recipe.mean != "domain"
    }
    own = dict.fromkeys(("light", "pseudo", "svhn", "signs", "signs-pseudo"), "image")
    assert means == own | {"tf-dann": "joint", "paper": "standard"}
    assert [name for name, recipe in recipes.RECIPES.items() if recipe.weak_augment] == [
        "pseudo",
        "signs-pseudo",
    ]


def test_pseudo_covers_a_part_of_what_it_has_bent():
    x = np.full((50, 28, 28, 3), 7, np.uint8)  # which no bending changes
    light, pseudo = (
        recipes.RECIPES[name].augment(x, np.random.default_rng(0)) for name in ("light", "pseudo")
    )
    assert set(np.unique(light)) == {7} and set(np.unique(pseudo)) == {7, 127.5}
    ramp = np.broadcast_to(np.arange(28, dtype=np.float32)[:, None, None], x.shape)
    light, pseudo = (
        recipes.RECIPES[name].augment(ramp, np.random.default_rng(0))
        for name in ("light", "pseudo")
    )
    np.testing.assert_array_equal(pseudo[pseudo != 127.5], light[pseudo != 127.5])
    moved = (recipes.RECIPES["pseudo"].weak_augment(ramp, np.random.default_rng(0)) - ramp)[
        :, 3:-3
    ]  # rows that the border leaves alone
    np.testing.assert_allclose(
        moved, np.broadcast_to(moved[:, :1, :1, :1], moved.shape), atol=1e-4
    )  # as a whole
    assert 1.5 < abs(moved).max() <= 2.0001
