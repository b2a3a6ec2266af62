"""Data sets by their names: options reach their loaders, and what is unknown is refused."""

import numpy as np
import pytest

from minidann.data import load_digits_pair, load_mnist, registry
from minidann.data.registry import DATASETS, find_dataset, load_dataset
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
    expected = load_digits_pair(binarize=binarize is not False)
    for digits, name in zip(expected, ("digits", "digits-m"), strict=True):
        assert same(load_dataset(name, binarize=binarize), digits)


def test_mnist_gets_three_channels_where_binarize_is_said(small_data):
    grey = load_mnist(small_data)
    assert same(load_dataset("mnist", data_dir=small_data), grey)
    in_colour = load_dataset("mnist", binarize=False, data_dir=small_data)
    assert same(in_colour.x_train[..., 1][None], grey.x_train[None])
    binary = load_dataset("mnist", binarize=True, data_dir=small_data)
    assert same(binary.x_test[..., 2][None], np.where(grey.x_test > 0, 255, 0)[None])


def test_mnistm_is_made_of_digits_as_asked(small_data):
    binary, grey, usual = (
        load_dataset("mnistm", binarize=how, data_dir=small_data) for how in (True, False, None)
    )
    assert same(binary, usual) and not same(binary[:1], grey[:1])


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
