"""The camera of house numbers: brightness is kept, what is fine is lost, and JPEG leaves blocks."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from minidann.data.house_camera import (
    COLOURS,
    LUMA,
    OPPONENTS,
    cosines,
    cubic,
    grains,
    halved,
    jpeg_steps,
    optics,
    photograph,
    sensor,
)
from minidann.data.house_numbers import COLUMNS


def taken(picture, height=30.0, normal=None, **values):
    """A photograph of (3, size, size), all chance at 1/2 but for the given."""
    chance = {name: np.full((1, 1), 0.5, np.float32) for name in COLUMNS}
    chance |= {name: np.full((1, 1), value, np.float32) for name, value in values.items()}
    if normal is None:
        normal = np.zeros((1, grains(picture.shape[-1])), np.float32)
    scale = np.full((1, 1, 1), height, np.float32)
    return photograph(picture[None].astype(np.float32), chance, normal, scale)[0]


def lens(blur=0.4, sharpened=0.0):
    return np.full((1, 1), blur, np.float32), np.full((1, 1), sharpened, np.float32)


def test_luminance_and_colours_are_each_other_s_inverse():
    np.testing.assert_allclose(COLOURS @ OPPONENTS, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(LUMA @ COLOURS, [1, 0, 0], atol=1e-6)


@pytest.mark.parametrize("size", [16, 20, 32, 48])
@pytest.mark.parametrize("quality", [0.0, 1.0])
def test_an_even_wall_stays_even(size, quality):
    wall = np.ones((3, size, size)) * np.array([0.7, 0.5, 0.4])[:, None, None]
    seen = taken(wall, quality=quality)
    np.testing.assert_allclose(seen, wall, atol=0.02)
    assert np.ptp(seen, axis=(1, 2)).max() < 1e-3


@pytest.mark.parametrize("size, side", [(16, 16), (17, 32), (32, 32), (33, 48)])
def test_the_sensor_is_of_whole_blocks_in_colour_too(size, side):
    assert sensor(size) == side and grains(size) == side**2 + 2 * (side // 2) ** 2


def test_transform_is_orthonormal_in_each_block():
    transform = cosines(16)
    np.testing.assert_allclose(transform @ transform.T, np.eye(16), atol=1e-6)
    assert not transform[:8, 8:].any()
    np.testing.assert_allclose(transform[0, :8], np.sqrt(1 / 8), atol=1e-6)


def test_steps_are_those_of_the_standard():
    """Pillow has them as they are at quality 50."""
    file = BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", quality=50)
    with Image.open(file) as image:
        for table, steps in image.quantization.items():
            np.testing.assert_allclose(255 * jpeg_steps(table, 8).ravel(), steps, rtol=1e-6)
    np.testing.assert_array_equal(jpeg_steps(0, 16)[8:, :8], jpeg_steps(0, 8))


def test_cubic_passes_through_the_pixels_and_overshoots():
    np.testing.assert_allclose(cubic(np.array([0.0, 1.0, 2.0, 3.0])), [1, 0, 0, 0], atol=1e-6)
    assert cubic(np.array(1.5)) < 0
    offsets = np.arange(-2, 3)
    for part in (0.0, 0.3, 0.5):
        assert cubic(np.abs(part - offsets)).sum() == pytest.approx(1)


@pytest.mark.parametrize("offset", [0.0, 3.4])
@pytest.mark.parametrize("half", [False, True])
def test_what_is_seen_and_enlarged_lies_where_it_lay(offset, half):
    """A slope, seen and enlarged, is the same slope, but near the ends."""
    matrices = optics(np.full((1, 1), 20.0), np.full((1, 1), offset), lens(), 32, 32)
    see, enlarge = halved(*matrices) if half else matrices
    slope = np.linspace(-1, 1, 32)
    np.testing.assert_allclose((enlarge @ see)[0, 0, 6:-6] @ slope, slope[6:-6], atol=0.02)


def test_few_pixels_lose_what_is_fine():
    fine = np.broadcast_to(0.5 + 0.3 * (np.arange(32) // 2 % 2 - 0.5), (3, 32, 32))
    contrast = [taken(fine, quality=0.0, pixels=pixels).std() for pixels in (1.0, 0.0)]
    assert contrast[1] < 0.2 * contrast[0]


def test_sharpening_rims_an_edge():
    edge = np.broadcast_to(np.where(np.arange(32) < 16, 0.3, 0.7), (3, 32, 32))
    plain, sharp = (taken(edge, quality=0.0, sharpened=value) for value in (0.0, 1.0))
    assert sharp.max() > plain.max() + 0.02 and sharp.min() < plain.min() - 0.02


def test_colour_is_coarser_than_luminance():
    """A line of another colour spreads further than one of another luminance."""
    spread = []
    for row in OPPONENTS[:2]:
        line = np.full((3, 32, 32), 0.5)
        line[:, :, 15:17] += 0.2 * (COLOURS @ (row @ COLOURS))[:, None, None]
        seen = np.tensordot(row, taken(line, quality=0.0, sharpened=0.0) - 0.5, 1)[16]
        spread.append(np.abs(seen).sum() ** 2 / (seen**2).sum())
    assert spread[1] > 1.3 * spread[0]


def test_noise_is_added_to_grey_and_colour():
    wall = np.full((3, 32, 32), 0.5)
    normal = np.random.default_rng(0).standard_normal((1, grains(32))).astype(np.float32)
    seen = OPPONENTS @ taken(wall, normal=normal, noise=1.0, quality=0.0).reshape(3, -1)
    assert (seen.std(1) > 1e-3).all()


def test_coarse_steps_leave_less():
    picture = 0.5 + 0.05 * np.random.default_rng(0).standard_normal((3, 32, 32))
    assert taken(picture, quality=1.0).std() < 0.8 * taken(picture, quality=0.0).std()
