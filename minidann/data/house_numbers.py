"""The shape of house numbers: which digits there are, and where each pixel of an image looks.

With the distance field d of a digit (``minidann.data.fonts``) all of the shape is arithmetic:

    ink        where d + weight > 0                 a bolder or finer stroke
    outline    where d + weight + width > 0         a rim around it
    pixel      clip(1/2 + pixels * d, 0, 1)         a smooth edge at any size

A pixel looks up the field at the place of the number that it shows: moved, rotated, sheared, in
perspective.

Everything is computed for m images at once. A value of chance is (m, 1), a picture (m, size, size).
"""

from collections.abc import Sequence

import numpy as np

from minidann.data import house_measures as svhn
from minidann.data.fonts import CELL, TALL, Glyphs

Chance = dict[str, np.ndarray]
Value = float | np.ndarray

NEIGHBOURS = 2  # digits on each side: the labelled one may be anywhere in a number of three

# the numbers that an image takes from the table of chance, each uniform in 0..1
COLUMNS = tuple(
    """
    label font neighbour0 neighbour1 neighbour2 neighbour3 length place gap weight rise0
    rise1 rise2 rise3
    left top angle shear keystone_x keystone_y height aspect
    ground polarity contrast wall line_shade rim_shade
    blue red blue_tone red_tone
    hue_all hue_ground hue_ink hue_wall hue_rim
    colour_all colour_ground colour_ink colour_wall colour_rim
    texture_wide texture_narrow stripes stripe_way stripe_tilt stripe_period stripe_phase
    stripe_depth stripe_edge
    plate plate_height plate_left plate_right frame frame_width
    shadow shadow_x shadow_y shadow_depth rim rim_width bevel bevel_depth
    line line_way line_tilt line_place line_width slope slope_along slope_way shade shade_way
    shade_place shade_depth
    pixels block_across block_down blur sharpened noise blotches quality
    """.split()  # noqa: SIM905, a table
)


def throw(table: np.random.Generator, m: int) -> Chance:
    """The next m rows of the table of chance: float32 (m, 1) by name, in 0..1 without 1."""
    return dict(zip(COLUMNS, table.random((m, len(COLUMNS)), np.float32).T[..., None], strict=True))


def uniform(chance: np.ndarray, low: Value, high: Value) -> np.ndarray:
    """Uniform in low..high."""
    return low + (high - low) * chance


def quantile(chance: np.ndarray, table: Sequence[float]) -> np.ndarray:
    """From uniform in 0..1 to the distribution with these quantiles, evenly spaced."""
    return np.interp(chance, np.linspace(0, 1, len(table)), table).astype(np.float32)


def pixels(values: np.ndarray) -> np.ndarray:
    """(m, 1) as (m, 1, 1), to go with pictures."""
    return values[:, :, None]


def coverage(distance: np.ndarray, scale: Value) -> np.ndarray:
    """How much of a pixel lies inside, 0..1.

    Its centre lies ``distance`` digit heights inside, and a digit height is ``scale`` pixels.
    """
    return np.clip(distance * scale + 0.5, 0, 1)


def spell(chance: Chance, glyphs: Glyphs) -> dict[str, np.ndarray]:
    """The numbers: which digit, from which font, stands where.

    Returns
    -------
    dict
        ``label`` (m,); ``font`` (m, 1); ``there`` (m, 5), which of the five slots hold a digit,
        from left to right, the labelled one in the middle; ``glyph`` (m, 5), rows of
        ``glyphs.fields``; ``centre`` (m, 5) and ``rise`` (m, 5), where the digits stand; ``edge``
        (m, 4), where one digit's field ends and the next one's begins; ``weight`` (m, 1), how much
        bolder the strokes are. Lengths are in digit heights, from the labelled digit's centre.
    """
    label = (chance["label"][:, 0] * 10).astype(np.int64)
    fonts = len(glyphs.strokes)
    font = np.searchsorted(glyphs.shares, chance["font"], side="right")
    others = np.hstack([chance[f"neighbour{k}"] for k in range(2 * NEIGHBOURS)])
    digits = np.insert((others * 10).astype(np.int64), NEIGHBOURS, label, axis=1)
    length = 1 + sum(chance["length"] > share for share in svhn.LENGTHS)
    first = -(chance["place"] * length).astype(np.int64)
    slot = np.arange(-NEIGHBOURS, NEIGHBOURS + 1)
    there = (slot >= first) & (slot < first + length)
    glyph = np.where(there, font * 10 + digits, 10 * fonts)

    width = glyphs.widths[glyph]
    gap = quantile(chance["gap"], svhn.GAP)
    centre = np.cumsum((width[:, 1:] + width[:, :-1]) / 2 + gap, axis=1)
    centre = np.insert(centre, 0, 0, axis=1)
    centre -= centre[:, NEIGHBOURS, None]
    edge = centre[:, :-1] + (width[:, :-1] + gap) / 2
    rise = np.hstack([chance[f"rise{k}"] for k in range(2 * NEIGHBOURS)])
    rise = uniform(rise, -svhn.RISE, svhn.RISE)
    stroke = glyphs.strokes[font]
    weight = uniform(chance["weight"], -0.12 * stroke, np.maximum(svhn.BOLDEST - stroke, 0.012))
    rise = np.insert(rise, NEIGHBOURS, 0, axis=1)
    return {
        "label": label,
        "font": font,
        "there": there,
        "glyph": glyph,
        "centre": centre,
        "rise": rise,
        "edge": edge,
        "weight": weight,
    }


def see(chance: Chance, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which place of the number each pixel shows.

    Returns
    -------
    x, y : arrays (m, size, size)
        The place, in digit heights.
    scale : array (m, 1, 1)
        Pixels in a digit height.
    """
    place = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    x = place - pixels(quantile(chance["left"], svhn.LEFT))
    y = place[:, None] - pixels(quantile(chance["top"], svhn.TOP))
    near = (
        1
        + pixels(uniform(chance["keystone_x"], -svhn.KEYSTONE, svhn.KEYSTONE)) * x
        + pixels(uniform(chance["keystone_y"], -svhn.KEYSTONE, svhn.KEYSTONE)) * y
    )
    angle = np.deg2rad(pixels(quantile(chance["angle"], svhn.ANGLE)))
    shear = pixels(quantile(chance["shear"], svhn.SHEAR))
    height = pixels(quantile(chance["height"], svhn.HEIGHT))
    aspect = pixels(quantile(chance["aspect"], svhn.ASPECT))
    cos, sin = np.cos(angle) / height, np.sin(angle) / height
    down = (y * cos - x * sin) / near
    return ((x * cos + y * sin) / near - shear * down) / aspect, down, height * size


def look_up(
    glyphs: Glyphs, number: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """The distance field of the number at the places (x, y), (m, size, size).

    It is in digit heights, and bilinear between the samples.
    """
    slot = np.zeros(x.shape, np.int64)
    for k in range(2 * NEIGHBOURS):
        slot += x > pixels(number["edge"][:, k, None])
    slot += 5 * np.arange(len(x))[:, None, None]
    x = np.clip((x - number["centre"].ravel()[slot]) * TALL + (CELL - 1) / 2, 0, CELL - 1.001)
    y = np.clip((y - number["rise"].ravel()[slot]) * TALL + (CELL - 1) / 2, 0, CELL - 1.001)
    left, top = x.astype(np.int32), y.astype(np.int32)
    x -= left
    y -= top
    at = (number["glyph"].ravel()[slot] * CELL + top) * CELL + left
    fields = glyphs.fields.ravel()
    upper, lower = fields[at], fields[at + CELL]
    upper += x * (fields[at + 1] - upper)
    lower += x * (fields[at + CELL + 1] - lower)
    return upper + y * (lower - upper)
