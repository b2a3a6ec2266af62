"""How images become network input: by the numbers that a network was trained with, at any size."""

import json
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidann.data import as_pair, load_digits_pair
from minidann.data.mnist import Digits
from minidann.data.pairs import Domain
from minidann.data.preprocessing import (
    ImagePreparation,
    normalize,
    preparation,
    standardize,
)
from minidann.runtime.arrays import to_host
from minidann.runtime.errors import InputError

MEAN = (12.5, 100.25, 1 / 3)


def images(n=4, height=6, width=6, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), np.uint8)


def coloured():
    """Images with less green than red and blue."""
    x = images(6, 5, 4)
    x[..., 1] //= 3
    return x


@pytest.mark.parametrize("mean", ["joint", "domain"])
def test_the_mean_of_both_training_sets_or_of_each_is_subtracted(mean):
    source, target = as_pair(*load_digits_pair(), mean=mean)
    same = mean == "joint"
    assert np.array_equal(source.mean, target.mean) == same
    centred = [normalize(domain.x_train, domain.mean) for domain in (source, target)]
    for x in [np.concatenate(centred)] if same else centred:
        assert x.dtype == np.float32
        np.testing.assert_allclose(x.mean(axis=(0, 1, 2), dtype=np.float64), 0, atol=1e-6)
        np.testing.assert_allclose(np.ptp(x, axis=(0, 1, 2)), 1, atol=1e-6)


def test_each_image_gets_its_own_mean_and_variance_taken_away(place):
    x = coloured()
    y = to_host(standardize(place(x)))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.mean(axis=(1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(y.var(axis=(1, 2, 3)), 1, rtol=1e-3)
    np.testing.assert_allclose(
        y.std(axis=(1, 2)) / x.std(axis=(1, 2)),
        np.repeat(1 / np.sqrt(x.var(axis=(1, 2)).mean(axis=1))[:, None], 3, axis=1),
        rtol=1e-3,
    )
    brighter, empty = 40 + x // 2, np.zeros_like(x)
    np.testing.assert_allclose(standardize(brighter), y, atol=0.03)  # but for rounding
    assert not standardize(empty).any()


def test_a_standard_input_has_a_variance_of_one_in_each_domain():
    for domain in as_pair(*load_digits_pair(), mean="standard"):
        x = preparation(domain, to_host)(domain.x_train)
        assert x.dtype == np.float32
        np.testing.assert_allclose(x.mean(axis=(0, 1, 2), dtype=np.float64), 0, atol=1e-5)
        assert x.var(dtype=np.float64) == pytest.approx(1, rel=1e-5)


def domain_of(x, mean, scale=255.0):
    return Domain(x, None, x[:0], None, x, np.arange(len(x)), mean, scale)


def test_images_without_a_mean_are_prepared_by_their_own(place):
    x, mean = coloured(), np.array([100.0, 50.0, 20.0], np.float32)
    np.testing.assert_array_equal(
        to_host(preparation(domain_of(x, mean), place)(x)),
        to_host(normalize(place(x), place(mean))),
    )
    np.testing.assert_array_equal(
        to_host(preparation(domain_of(x, None), place)(x)), to_host(standardize(place(x)))
    )


# --- as an object


def test_the_mean_is_subtracted_and_255_is_one(place):
    x = images()
    y = to_host(ImagePreparation(6, MEAN)(place(x)))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, (x - np.array(MEAN)) / 255, atol=1e-6)


@pytest.mark.parametrize("kind", ["mean", "standard", "image"])
def test_an_object_prepares_as_the_function_that_training_used(place, kind):
    """To the last bit, and after a trip through a file."""
    x, mean = images(), None if kind == "image" else np.array(MEAN, np.float32)
    domain = domain_of(x, mean, 70.25 if kind == "standard" else 255.0)
    expected = preparation(domain, place)(x)
    made = ImagePreparation.of(domain)
    again = ImagePreparation.from_dict(json.loads(json.dumps(made.to_dict())))
    assert again == made
    np.testing.assert_array_equal(to_host(again(place(x))), to_host(expected))
    direct = standardize(x) if mean is None else normalize(x, mean, np.float32(domain.scale))
    np.testing.assert_array_equal(made(x), direct)


def test_a_preparation_of_a_file_that_names_no_scale_divides_by_255():
    values = ImagePreparation(28, MEAN).to_dict()
    assert values.pop("scale") == 255
    assert ImagePreparation.from_dict(values) == ImagePreparation(28, MEAN)


@pytest.mark.parametrize("mean", ["domain", "standard", "image"])
def test_the_preparation_of_a_domain_is_that_of_its_images(mean):
    digits = Digits(images(30), np.arange(30) % 10, images(9, seed=1), np.arange(9))
    for domain in as_pair(digits, digits, size=8, mean=mean, fit="resize"):
        made = ImagePreparation.of(domain, "resize")
        assert made.size == 8 and made.fit == "resize"
        expected = preparation(domain, to_host)(domain.x_test)
        np.testing.assert_array_equal(made(domain.x_test), expected)


@pytest.mark.parametrize(
    "arguments, said",
    [
        ((0, MEAN), "size of images is 0"),
        ((-3, MEAN), "size of images is -3"),
        ((10**6, MEAN), "size of images is 1000000"),
        ((28.0, MEAN), "size of images is 28.0"),
        ((True, MEAN), "size of images is True"),
        (("28", MEAN), "size of images is '28'"),
        ((28, "domain"), "mean of images is 'domain'"),
        ((28, (1, 2)), "mean of images is"),
        ((28, (1, 2, "3")), "mean of images is"),
        ((28, (1, 2, float("nan"))), "mean of images is"),
        ((28, None), "mean of images is None"),
        ((28, MEAN, "crop"), "fit is 'crop'"),
        ((28, MEAN, "pad", 0.0), "scale of images is 0.0"),
        ((28, MEAN, "pad", "255"), "scale of images is '255'"),
        ((28, MEAN, "pad", float("inf")), "scale of images is inf"),
    ],
)
def test_a_preparation_that_makes_no_sense_is_named(arguments, said):
    with pytest.raises(InputError, match=said):
        ImagePreparation(*arguments)


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values.pop("mean"),
        lambda values: values.update(kind="text"),
        lambda values: values.update(size="28"),
        lambda values: values.update(more=1),
        lambda values: values.update(mean=[1, 2]),
        lambda values: values.update(mean={"r": 1}),
        lambda values: values.update(fit=None),
    ],
)
def test_values_that_are_no_preparation_are_refused(change):
    values = ImagePreparation(28, MEAN).to_dict()
    change(values)
    with pytest.raises(InputError) as refused:
        ImagePreparation.from_dict(values)
    assert "\n" not in str(refused.value)


# --- images of any size


@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    size=st.integers(1, 40),
    fit=st.sampled_from(["pad", "resize"]),
)
def test_any_image_is_brought_to_the_size_in_the_middle(height, width, size, fit):
    """A plain image on its own colour: nothing but that colour may come out."""
    plain = np.full((height, width, 3), (10, 200, 90), np.uint8)
    y = ImagePreparation(size, "image", fit).fit_image(plain)
    assert y.shape == (size, size, 3) and y.dtype == np.uint8
    assert (y == (10, 200, 90)).all()


@given(height=st.integers(4, 80), width=st.integers(4, 80), fit=st.sampled_from(["pad", "resize"]))
def test_the_aspect_ratio_is_kept(height, width, fit):
    """The inner part is bright, the border dark; how far the bright part reaches is its size."""
    image = np.zeros((height, width, 3), np.uint8)
    image[1:-1, 1:-1] = 255
    size = 24
    bright = ImagePreparation(size, "image", fit).fit_image(image)[..., 0] > 127
    scale = size / max(height, width)
    if fit == "pad":
        scale = min(scale, 1)
    rows, columns = bright.any(axis=1).sum(), bright.any(axis=0).sum()
    assert abs(rows - scale * (height - 2)) <= 2 and abs(columns - scale * (width - 2)) <= 2


def test_an_image_of_the_right_size_stays_as_it_is():
    for image in images(5, 7, 7):
        np.testing.assert_array_equal(ImagePreparation(7, MEAN).fit_image(image), image)


def test_a_smaller_image_keeps_its_pixels_or_is_enlarged():
    image = images(1, 4, 2)[0]
    image[0], image[-1], image[:, 0], image[:, -1] = 9, 9, 9, 9
    padded = ImagePreparation(8, MEAN).fit_image(image)
    np.testing.assert_array_equal(padded[2:6, 3:5], image)
    outside = np.ones((8, 8), bool)
    outside[2:6, 3:5] = False
    assert (padded[outside] == 9).all()
    assert (ImagePreparation(8, MEAN, "resize").fit_image(image) == 9).all()


def test_the_border_is_the_median_of_the_edge():
    """A stroke that touches the edge does not colour the border."""
    image = np.zeros((10, 4, 3), np.uint8)
    image[:, 1] = 255
    fitted = ImagePreparation(10, MEAN).fit_image(image)
    assert not fitted[:, :3].any() and not fitted[:, 7:].any() and (fitted[:, 4] == 255).all()


@pytest.mark.parametrize(
    "image",
    [
        images(1)[0].astype(np.float32),
        images(1)[0][..., 0],
        images(1)[0][..., :2],
        np.zeros((0, 5, 3), np.uint8),
    ],
)
def test_what_is_no_image_is_refused(image):
    with pytest.raises(InputError, match=r"it must be uint8, \(H, W, 3\)"):
        partial(ImagePreparation(6, MEAN).fit_image)(image)
