"""The paint of house numbers: a digit never has the luminance of its ground."""

import numpy as np

from minidann.data.house_numbers import throw
from minidann.data.house_paint import LUMA, MIN_CONTRAST, choose_colours


def test_contrast_is_never_zero():
    shades, colours = choose_colours(throw(np.random.default_rng(0), 5000))
    contrast = np.abs(shades["ink"] - shades["ground"])
    assert contrast.min() > MIN_CONTRAST - 1e-5
    assert (contrast < 0.25).mean() > 0.15 and (contrast > 0.4).mean() > 0.15
    assert 0.4 < (shades["ink"] > shades["ground"]).mean() < 0.6
    for name, colour in colours.items():
        assert colour.min() > -1e-5 and colour.max() < 1 + 1e-5
        np.testing.assert_allclose(colour[:, :, 0, 0] @ LUMA, shades[name][:, 0], atol=1e-5)
