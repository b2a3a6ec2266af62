"""Data sets by their names: options reach their loaders, and what is unknown is refused."""

import numpy as np
import pytest

from minidann.data import (
    load_backgrounds,
    load_digits_pair,
    load_mnist,
    make_mnistm,
    mnistm_pair,
    registry,
)
from minidann.data.registry import DATASETS, find_dataset, load_dataset, require_files
from minidann.runtime.errors import InputError


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_an_unknown_data_set_is_refused_with_the_names_there_are():
    with pytest.raises(InputError, match=r"no data set 'mnst'.*mnist, bsds500") as refused:
        load_dataset("mnst")
    assert str(refused.value).count("\n") == 0
    with pytest.raises(InputError, match="mnst"):
        find_dataset("mnst")


@pytest.mark.parametrize("binarize", [None, True, False])
def test_digits_are_black_and_white_if_asked_and_as_usual_if_not(binarize):
    expected = load_digits_pair(binarize=bool(binarize))
    for digits, name in zip(expected, ("digits", "digits-m"), strict=True):
        assert same(load_dataset(name, binarize=binarize), digits)


def test_mnist_gets_three_channels_where_binarize_is_said(small_data):
    grey = load_mnist(small_data)
    assert same(load_dataset("mnist", data_dir=small_data), grey)
    in_colour = load_dataset("mnist", binarize=False, data_dir=small_data)
    assert same(in_colour.x_train[..., 1][None], grey.x_train[None])
    binary = load_dataset("mnist", binarize=True, data_dir=small_data)
    assert same(binary.x_test[..., 2][None], np.where(grey.x_test > 0, 255, 0)[None])


@pytest.mark.parametrize("binarize", [None, True, False])
def test_mnistm_is_the_authors_kind_whatever_the_source_is(binarize, small_data):
    pair = mnistm_pair(load_mnist(small_data), load_backgrounds(small_data))
    assert same(load_dataset("mnistm", binarize=binarize, data_dir=small_data), pair[1])


def test_grey_digits_over_the_same_patches_have_a_name_of_their_own(small_data):
    digits, backgrounds = load_mnist(small_data), load_backgrounds(small_data)
    grey = load_dataset("mnistm-grey", data_dir=small_data)
    for split, name in enumerate(("x_train", "x_test")):
        x = getattr(digits, name)
        expected = make_mnistm(x, backgrounds, seed=(0, split), binarize=False)
        np.testing.assert_array_equal(getattr(grey, name), expected)
    assert np.array_equal(grey.y_train, digits.y_train)


def test_a_limit_reads_only_so_much_of_the_release(small_data, monkeypatch):
    asked = []
    read = registry.mnistm_release.read_release
    monkeypatch.setattr(
        registry.mnistm_release, "read_release", lambda *args: asked.append(args[2]) or read(*args)
    )
    assert len(load_dataset("mnistm-release", limit=5, data_dir=small_data).x_test) == 5
    assert asked == [5, 5]


def test_the_limit_keeps_the_first_images_of_both_splits(small_data):
    whole = load_dataset("usps", data_dir=small_data)
    assert same(load_dataset("usps", limit=7, data_dir=small_data), [array[:7] for array in whole])


def test_only_so_many_house_numbers_are_drawn(monkeypatch):
    asked = []
    draw = registry.synth_digits.load_synth_digits

    def spy(*counts):
        asked.append(counts)
        return draw(3, 3)

    monkeypatch.setattr(registry.synth_digits, "load_synth_digits", spy)
    assert len(load_dataset("synth", limit=3).x_train) == 3
    load_dataset("synth")
    DATASETS["synth"].load()  # what a contact sheet shows
    assert asked == [(3, 3), (), (2000, 2000)]


def test_a_limit_for_what_has_no_images_is_refused():
    with pytest.raises(InputError, match=r"'blobs' has no images to limit to 5"):
        load_dataset("blobs", limit=5)


def test_images_of_signs_have_the_names_of_signs_and_others_of_digits():
    signs = {name for name, dataset in DATASETS.items() if len(dataset.classes) == 43}
    assert signs == {"synsigns", "gtsrb", "synsigns-small", "gtsrb-small"}
    assert DATASETS["gtsrb"].classes[14] == "stop"
    assert "".join(DATASETS["mnist"].classes) == "0123456789"


def test_all_files_that_are_missing_are_named_at_once(no_data, small_data, tmp_path):
    """Else who has none is sent for the second after the first was downloaded."""
    with pytest.raises(InputError) as error:
        require_files(["mnist", "mnistm", "usps", "blobs"], tmp_path, "do without")
    said = str(error.value)
    assert "mnist/train-images-idx3-ubyte.gz and 3 more, bsds500/BSR_bsds500.tgz, usps/" in said
    assert "fetch mnist bsds500 usps downloads them" in said and str(tmp_path) in said
    assert said.endswith("or do without")
    assert "by hand" not in said
    require_files(["mnist", "mnistm", "usps", "blobs"], small_data)
    with pytest.raises(InputError, match="fetch mnist bsds500 downloads"):
        load_dataset("mnistm", data_dir=tmp_path)


def test_what_cannot_be_downloaded_is_named_beside_what_can(no_data, tmp_path):
    with pytest.raises(InputError, match=r"fetch gtsrb downloads them; synsigns has no address"):
        require_files(["synsigns", "gtsrb"], tmp_path)
    require_files(["synsigns-small", "mnistm-release"], tmp_path)  # their loaders know better
