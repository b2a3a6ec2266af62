"""The paint of house numbers: wall, plate, shadow, rim, ink, a stray line and light.

Everything is computed for m images at once. A value of chance is (m, 1), a picture (m, size, size),
a colour (m, 3, 1, 1).
"""

import numpy as np

from minidann.data import house_measures as svhn
from minidann.data.augment import hats
from minidann.data.fonts import Glyphs
from minidann.data.house_camera import COLOURS, grains, photograph
from minidann.data.house_numbers import (
    Chance,
    coverage,
    look_up,
    pixels,
    quantile,
    see,
    spell,
    uniform,
)

COARSE = 6, 14, 6, 6  # grids of two layers of texture, and of blotches of blue and of red


def paint(
    chance: Chance, noise: np.random.Generator, glyphs: Glyphs, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (m, size, size, 3) and labels (m,), back to front."""
    number = spell(chance, glyphs)
    x, y, scale = see(chance, size)
    distance = look_up(glyphs, number, x, y) + pixels(number["weight"])
    shades, colours = choose_colours(chance)
    contrast = np.abs(shades["ink"] - shades["ground"])
    covered = coverage(distance, scale)

    count = sum(side**2 for side in COARSE) + grains(size)
    textures, grain = split(noise.standard_normal((len(x), count), np.float32), size)
    plain = textured(chance, textures, contrast) + striped(chance, x, y, contrast)
    picture = colours["ground"] + plain[:, None]
    picture = put_on_wall(picture, chance, number, colours, x, y, scale, plain)
    picture = cast_shadow(picture, chance, glyphs, number, x, y, scale)
    width = pixels(uniform(chance["rim_width"], 0.03, 0.09))
    rim = coverage(distance + width, scale) * pixels(chance["rim"] < svhn.RIMS)
    picture += rim[:, None] * (colours["rim"] - picture)
    bevel = pixels((chance["bevel"] < 0.4) * uniform(chance["bevel_depth"], -0.35, 0.35) * contrast)
    depth = bevel * np.clip(distance / 0.06 - 0.5, -0.5, 1)
    picture += covered[:, None] * (colours["ink"] + depth[:, None] - picture)
    picture = stray_line(picture, chance, size)
    picture *= light(chance, size)[:, None]
    picture += blotched(chance, textures[2:])
    picture = photograph(np.clip(picture, 0, 1), chance, grain, scale)
    images = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), number["label"]


def choose_colours(chance: Chance) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Luminances (m, 1) and colours (m, 3, 1, 1) of ground, ink, rim and wall, all in 0..1.

    All have the cast of the light, and are the bluer the darker; a hue of their own is mostly
    faint.
    """
    ground = quantile(chance["ground"], svhn.GROUND)
    contrast = (svhn.DIMMED + ground) * quantile(chance["contrast"], svhn.CONTRAST)
    sign = np.where(chance["polarity"] < uniform(ground, *svhn.LIGHT_INK), 1, -1)
    sign = np.where(room_to(ground, sign) < svhn.CONTRAST[0], -sign, sign)
    ink = ground + sign * np.minimum(contrast, room_to(ground, sign))
    rim = np.clip(ground + uniform(chance["rim_shade"], -0.6, 0.45) * (ink - ground), 0.02, 0.98)
    shades = {"ground": ground, "ink": ink, "rim": rim, "wall": uniform(chance["wall"], 0.08, 0.85)}
    blue, red = tint(chance, "all", svhn.SATURATION)
    blue += quantile(chance["blue"], svhn.BLUE_CAST)
    red += quantile(chance["red"], svhn.RED_CAST) + svhn.RED_OF_BLUE * blue
    blue_tone = quantile(chance["blue_tone"], svhn.BLUE_TONE)
    red_tone = quantile(chance["red_tone"], svhn.RED_TONE)
    colours = {}
    for name, shade in shades.items():
        own_blue, own_red = tint(chance, name, svhn.OWN_SATURATION)
        colours[name] = colour(
            shade,
            blue + blue_tone * (shade - ground) + own_blue,
            red + red_tone * (shade - ground) + own_red,
        )
    return shades, colours


def room_to(shade: np.ndarray, sign: np.ndarray) -> np.ndarray:
    """How far a luminance can go up (+1) or down (-1)."""
    return np.where(sign > 0, svhn.LIGHTEST - shade, shade - svhn.DARKEST)


def tint(
    chance: Chance, name: str, saturations: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """What blue and red have more than the luminance, (m, 1) each, in a hue of SVHN's."""
    half, way = np.divmod(2 * chance[f"hue_{name}"], 1)
    turn = 2 * np.pi * (quantile(way, svhn.HUE) + half / 2)
    saturation = quantile(chance[f"colour_{name}"], saturations)
    return saturation * np.sin(turn), saturation * np.cos(turn)


def colour(shade: np.ndarray, blue: np.ndarray, red: np.ndarray) -> np.ndarray:
    """A colour (m, 3, 1, 1) of a luminance, with as much of blue and red as fits into 0..1.

    ``blue`` and ``red`` are what those channels are to have more than the luminance.
    """
    chroma = np.hstack([blue, red]) @ COLOURS[:, 1:].T
    room = np.where(chroma > 0, 1 - shade, shade) / np.maximum(np.abs(chroma), 1e-6)
    return (shade + np.minimum(1, room.min(1, keepdims=True)) * chroma)[:, :, None, None]


def split(normal: np.ndarray, size: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Normal numbers (m, .), divided and interpolated.

    Returns
    -------
    layers : four arrays (m, size, size)
        Coarse noise.
    grain : array (m, .)
        The rest, for the camera.
    """
    layers, start = [], 0
    for side in COARSE:
        grid = normal[:, start : start + side**2].reshape(-1, side, side)
        spread = hats(side, size)
        layers.append(spread @ grid @ spread.T)
        start += side**2
    return layers, normal[:, start:]


def textured(chance: Chance, layers: list[np.ndarray], contrast: np.ndarray) -> np.ndarray:
    """Blotches of plaster and brick, (m, size, size), faint beside the contrast of the digit."""
    wide, narrow = (
        svhn.TEXTURE * contrast * chance[name] ** 2 for name in ("texture_wide", "texture_narrow")
    )
    return pixels(wide) * layers[0] + pixels(narrow) * layers[1]


def blotched(chance: Chance, layers: list[np.ndarray]) -> np.ndarray:
    """Blotches of colour without luminance, (m, 3, size, size)."""
    blue, red = (layer.reshape(len(layer), 1, -1) for layer in layers)
    chroma = COLOURS[:, 1:] @ np.concatenate([blue, svhn.RED_BLOTCHES * red], axis=1)
    strength = pixels(quantile(chance["blotches"], svhn.BLOTCHES))
    return (strength * chroma).reshape(-1, 3, *layers[0].shape[1:])


def striped(chance: Chance, x: np.ndarray, y: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    """Boards, bricks or louvres behind some numbers, (m, size, size); aligned with it or askew."""
    way = chance["stripe_way"]
    tilt = np.select([way < 0.45, way < 0.8], [0, np.pi / 2], np.pi * chance["stripe_tilt"])
    along = x * pixels(np.sin(tilt)) + y * pixels(np.cos(tilt))
    period = pixels(uniform(chance["stripe_period"], 0.2, 0.8))
    wave = np.sin(2 * np.pi * (along / period + pixels(chance["stripe_phase"])))
    wave = np.clip(wave * pixels(uniform(chance["stripe_edge"], 0.8, 4)), -1, 1)
    return (
        pixels((chance["stripes"] < svhn.STRIPES) * 0.28 * contrast * chance["stripe_depth"]) * wave
    )


def put_on_wall(
    picture: np.ndarray,
    chance: Chance,
    number: dict[str, np.ndarray],
    colours: dict[str, np.ndarray],
    x: np.ndarray,
    y: np.ndarray,
    scale: np.ndarray,
    plain: np.ndarray,
) -> np.ndarray:
    """In some images cut the ground to a plate on a wall; some plates get a frame of ink colour."""
    present, centre = number["there"], number["centre"]
    left, right = (np.where(present, centre, far) for far in (np.inf, -np.inf))
    left = left.min(1, keepdims=True) - uniform(chance["plate_left"], 0.45, 1.0)
    right = right.max(1, keepdims=True) + uniform(chance["plate_right"], 0.45, 1.0)
    half = uniform(chance["plate_height"], 0.58, 1.0)
    inside = np.minimum(pixels(half) - np.abs(y), np.minimum(x - pixels(left), pixels(right) - x))
    has_plate = pixels(chance["plate"] < svhn.PLATES)
    plate = np.where(has_plate, coverage(inside, scale), 1)[:, None]
    wall = colours["wall"] + 2 * plain[:, None]
    picture = wall + plate * (picture - wall)
    width = pixels(uniform(chance["frame_width"], 0.01, 0.05))
    has_frame = has_plate & pixels(chance["frame"] < svhn.FRAMES)
    frame = coverage(width - np.abs(inside - 0.06), scale) * has_frame
    return picture + frame[:, None] * (colours["ink"] - picture)


def cast_shadow(
    picture: np.ndarray,
    chance: Chance,
    glyphs: Glyphs,
    number: dict[str, np.ndarray],
    x: np.ndarray,
    y: np.ndarray,
    scale: np.ndarray,
) -> np.ndarray:
    """In some images darken the ground beside the digits, as if they stood off the wall."""
    rows = np.flatnonzero(chance["shadow"][:, 0] < svhn.SHADOWS)
    if len(rows):
        some = {name: values[rows] for name, values in number.items()}
        aside, below = (
            pixels(uniform(chance[name][rows], -0.1, 0.1)) for name in ("shadow_x", "shadow_y")
        )
        distance = look_up(glyphs, some, x[rows] - aside, y[rows] - below) + pixels(some["weight"])
        depth = pixels(uniform(chance["shadow_depth"][rows], 0.1, 0.4))
        picture[rows] *= 1 - (depth * coverage(distance, scale[rows] / 3))[:, None]
    return picture


def across(turns: np.ndarray, size: int) -> np.ndarray:
    """How far each pixel lies along a direction of that angle, (m, size, size).

    It is measured from the middle of the image, whose side is 1.
    """
    place = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    angle = 2 * np.pi * pixels(turns)
    return place * np.cos(angle) + place[:, None] * np.sin(angle)


def stray_line(picture: np.ndarray, chance: Chance, size: int) -> np.ndarray:
    """In some images a door frame, a wire or a gutter along a side."""
    way = np.floor(4 * chance["line_way"]) / 4 + 0.1 * (chance["line_tilt"] - 0.5)
    off = np.abs(across(way, size) - pixels(uniform(chance["line_place"], 0.36, 0.5)))
    width = pixels(uniform(chance["line_width"], 0.01, 0.08))
    line = coverage(width - off, size) * pixels(chance["line"] < svhn.LINES)
    shade = pixels(uniform(chance["line_shade"], 0.05, 0.95))[:, None]
    return picture + line[:, None] * (shade - picture)


def light(chance: Chance, size: int) -> np.ndarray:
    """Brightness (m, size, size): a slope in every image, the edge of a shadow across some."""
    way = chance["slope_way"]
    way = np.where(chance["slope_along"] < svhn.SIDEWAYS, np.round(2 * way) / 2, way)
    slope = 1 + pixels(svhn.SLOPE * chance["slope"] ** 2) * across(way, size)
    edge = pixels(uniform(chance["shade_place"], -0.3, 0.4))
    beyond = coverage(across(chance["shade_way"], size) - edge, size / 3)
    depth = (chance["shade"] < 0.12) * uniform(chance["shade_depth"], 0.15, 0.45)
    return slope * (1 - pixels(depth) * beyond)
