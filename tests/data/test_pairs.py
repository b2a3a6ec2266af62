"""Two sets of digits as source and target: their form, their splits, and which labels leave."""

import numpy as np
import pytest

from minidann.data.mnist import Digits
from minidann.data.pairs import as_pair, balanced
from minidann.runtime.errors import InputError


def digits(n, shape, seed=0, low=0):
    rng = np.random.default_rng(seed)
    x_train, x_test = (rng.integers(low, 256, (count, *shape), dtype=np.uint8) for count in (n, 7))
    return Digits(x_train, rng.integers(0, 10, n), x_test, np.arange(7))


SOURCE, TARGET = digits(40, (16, 16)), digits(60, (32, 32, 3), seed=1, low=100)


@pytest.mark.parametrize("size", [28, 32])
@pytest.mark.parametrize("fit", ["pad", "resize"])
def test_both_come_to_one_shape(size, fit):
    for domain, n in zip(as_pair(SOURCE, TARGET, size=size, fit=fit), (40, 60)):
        assert domain.x_train.shape == (n, size, size, 3) and domain.x_test.shape == (
            7,
            size,
            size,
            3,
        )
        assert domain.x_train.dtype == np.uint8 and domain.mean.dtype == np.float32


def test_padding_adds_zeros_around_and_changes_no_pixel():
    source, _ = as_pair(SOURCE, TARGET, size=28)
    for channel in range(3):
        np.testing.assert_array_equal(source.x_train[:, 6:22, 6:22, channel], SOURCE.x_train)
    assert source.x_train.astype(int).sum() == 3 * SOURCE.x_train.astype(int).sum()


def test_resizing_fills_the_image():
    source, _ = as_pair(digits(5, (16, 16), low=200), TARGET, fit="resize")
    assert source.x_train[:, 0].min() > 150


def test_a_larger_image_is_reduced_and_one_of_the_right_size_is_left_alone():
    _, target = as_pair(SOURCE, TARGET, size=28)
    assert abs(target.x_train.mean() - TARGET.x_train.mean()) < 2
    _, target = as_pair(SOURCE, TARGET, size=32)
    np.testing.assert_array_equal(target.x_train, TARGET.x_train)


def test_the_targets_training_labels_do_not_leave():
    source, target = as_pair(SOURCE, TARGET, validation=0.25)
    assert target.y_train is None and target.y_valid is None
    np.testing.assert_array_equal(target.y_test, TARGET.y_test)  # to report accuracy
    assert not any(
        isinstance(part, np.ndarray) and part.shape in ((60,), (45,), (15,)) for part in target
    )
    assert len(source.y_train) == 30 and len(source.y_valid) == 10


def test_unless_they_are_asked_for_by_name():
    _, target = as_pair(SOURCE, TARGET, oracle_labels=True)
    np.testing.assert_array_equal(target.y_train, TARGET.y_train)


@pytest.mark.parametrize("validation", [0.0, 0.1, 0.5])
def test_the_split_is_whole_and_its_labels_stay_with_their_images(validation):
    marked = SOURCE._replace(
        x_train=np.repeat(np.arange(40, dtype=np.uint8), 256).reshape(40, 16, 16),
        y_train=np.arange(40),
    )
    source, _ = as_pair(marked, TARGET, validation=validation, fit="pad")
    assert len(source.x_valid) == int(validation * 40)
    assert sorted([*source.y_train, *source.y_valid]) == list(range(40))
    for x, y in ((source.x_train, source.y_train), (source.x_valid, source.y_valid)):
        np.testing.assert_array_equal(x[:, 14, 14, 0], y)


def test_the_seed_fixes_the_split_and_nothing_else_does():
    splits = [
        as_pair(SOURCE, TARGET, validation=0.5, seed=seed, mean=mean)[0].y_valid.tolist()
        for seed, mean in ((3, "domain"), (3, "joint"), (4, "domain"))
    ]
    assert splits[0] == splits[1] != splits[2]


def test_means_by_domain_or_jointly():
    source, target = as_pair(SOURCE, TARGET, size=32)
    np.testing.assert_allclose(source.mean, source.x_train.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(target.mean, target.x_train.mean(axis=(0, 1, 2)), rtol=1e-6)
    joint = as_pair(SOURCE, TARGET, size=32, mean="joint")
    np.testing.assert_array_equal(joint[0].mean, joint[1].mean)
    np.testing.assert_allclose(
        joint[0].mean,
        np.concatenate([source.x_train, target.x_train]).mean(axis=(0, 1, 2)),
        rtol=1e-6,
    )
    assert [domain.mean for domain in as_pair(SOURCE, TARGET, mean="image")] == [None, None]


def test_means_are_of_training_images_alone():
    source, _ = as_pair(SOURCE._replace(x_test=np.full((7, 16, 16), 255, np.uint8)), TARGET)
    np.testing.assert_array_equal(source.mean, as_pair(SOURCE, TARGET)[0].mean)


@pytest.mark.parametrize(
    "options", [{"fit": "crop"}, {"mean": "none"}, {"validation": 1.0}, {"validation": -0.1}]
)
def test_options_that_make_no_sense_are_named(options):
    with pytest.raises(InputError, match=str(*options.values())):
        as_pair(SOURCE, TARGET, **options)


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((4, 16, 16), np.float32),
        np.zeros((4, 256), np.uint8),
        np.zeros((4, 16, 16, 4), np.uint8),
    ],
)
def test_what_is_no_image_is_named(x):
    with pytest.raises(InputError, match="must be uint8"):
        as_pair(SOURCE._replace(x_train=x), TARGET)


def test_balanced_repeats_the_rarer_classes_until_all_are_equally_frequent():
    source, target = as_pair(SOURCE, TARGET)
    with pytest.raises(ValueError, match="without training labels"):
        balanced(target)
    counts = np.bincount(source.y_train, minlength=10)
    even = balanced(source)
    expected = np.where(counts, counts.max(), 0)  # a class that has no example gets none
    np.testing.assert_array_equal(np.bincount(even.y_train, minlength=10), expected)
    of_one = {x.tobytes(): y for x, y in zip(source.x_train, source.y_train)}
    times = dict.fromkeys(of_one, 0)
    for x, y in zip(even.x_train, even.y_train):
        assert of_one[x.tobytes()] == y
        times[x.tobytes()] += 1
    for x, n in times.items():  # every image, and all of a class equally often, give or take one
        assert n in (counts.max() // counts[of_one[x]], -(-counts.max() // counts[of_one[x]]))
