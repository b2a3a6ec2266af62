"""The paint of house numbers: a digit never has the luminance of its ground."""

import numpy as np

from minidann.data.house_camera import LUMA
from minidann.data.house_numbers import throw
from minidann.data.house_paint import choose_colours


def test_contrast_is_never_zero():
    shades, colours = choose_colours(throw(np.random.default_rng(0), 5000))
    contrast = np.abs(shades["ink"] - shades["ground"])
    assert contrast.min() > 0.1
    assert (contrast < 0.25).mean() > 0.15 and (contrast > 0.4).mean() > 0.15
    for name, colour in colours.items():
        assert colour.min() > -1e-5 and colour.max() < 1 + 1e-5
        np.testing.assert_allclose(colour[:, :, 0, 0] @ LUMA, shades[name][:, 0], atol=1e-5)


def test_ink_is_lighter_than_dark_ground_more_often_than_than_light_ground():
    shades, _ = choose_colours(throw(np.random.default_rng(0), 5000))
    lighter, dark = shades["ink"] > shades["ground"], shades["ground"] < 0.45
    assert 0.3 < lighter.mean() < 0.5
    assert lighter[dark].mean() > lighter[~dark].mean() + 0.1


def test_dark_things_are_bluer():
    shades, colours = choose_colours(throw(np.random.default_rng(0), 5000))
    blue = {name: (colours[name][:, 2, 0] - shades[name])[:, 0] for name in ("ink", "ground")}
    darker = (shades["ink"] < shades["ground"])[:, 0]
    assert np.median((blue["ink"] - blue["ground"])[darker]) > 0.01
    assert np.median((blue["ink"] - blue["ground"])[~darker]) < -0.01
