"""The paint of house numbers: wall, plate, shadow, rim, ink, a stray line, light, blur and noise.

Everything is computed for m images at once. A value of chance is (m, 1), a picture (m, size, size),
a colour (m, 3, 1, 1).
"""

import numpy as np

from minidann.data.augment import hats
from minidann.data.fonts import Glyphs
from minidann.data.house_numbers import (
    Chance,
    coverage,
    look_up,
    pixels,
    see,
    spell,
    uniform,
)

COARSE = 6, 14  # grids of the two layers of texture
MIN_CONTRAST = 0.16  # luminance between stroke and plate, of 0..1
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


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

    count = sum(side**2 for side in COARSE) + 4 * size**2
    textures, grain = split(noise.standard_normal((len(x), count), np.float32), size)
    plain = textured(chance, textures, contrast) + striped(chance, x, y, contrast)
    picture = colours["ground"] + plain[:, None]
    picture = put_on_wall(picture, chance, number, colours, x, y, scale, plain)
    picture = cast_shadow(picture, chance, glyphs, number, x, y, scale)
    width = pixels(uniform(chance["rim_width"], 0.03, 0.09))
    rim = coverage(distance + width, scale) * pixels(chance["rim"] < 0.2)
    picture += rim[:, None] * (colours["rim"] - picture)
    bevel = pixels((chance["bevel"] < 0.4) * uniform(chance["bevel_depth"], -0.35, 0.35) * contrast)
    depth = bevel * np.clip(distance / 0.06 - 0.5, -0.5, 1)
    picture += covered[:, None] * (colours["ink"] + depth[:, None] - picture)
    picture = stray_line(picture, chance, size)
    picture *= light(chance, size)[:, None]
    stroke = 2 * (glyphs.strokes[number["font"]] + number["weight"]) * scale[:, :, 0]
    picture = sense(picture, chance, grain, contrast, stroke, size)
    images = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), number["label"]


def choose_colours(chance: Chance) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Luminances (m, 1) and colours (m, 3, 1, 1) of ground, ink, rim and wall, all in 0..1.

    Ink and ground differ in luminance by at least MIN_CONTRAST, often by little more; their hues
    are free.
    """
    ground = uniform((chance["ground"] + chance["ground_too"]) / 2, 0.05, 0.87)
    contrast = uniform(chance["contrast"] ** 1.5, MIN_CONTRAST, 0.75)
    sign = np.where(chance["polarity"] < 0.5, -1, 1)
    sign = np.where(room_to(ground, sign) < MIN_CONTRAST, -sign, sign)
    ink = ground + sign * np.minimum(contrast, room_to(ground, sign))
    rim = np.clip(ground + uniform(chance["rim_shade"], -0.6, 0.45) * (ink - ground), 0.02, 0.98)
    shades = {"ground": ground, "ink": ink, "rim": rim, "wall": uniform(chance["wall"], 0.08, 0.85)}
    vivid = np.where(chance["vivid"] < 0.88, 0.12, 0.35)  # most streets are grey, brown and blue
    colours = {}
    for name, shade in shades.items():
        own = chance[f"hue_{name}"] < 0.3  # the others share a cast
        hue = np.where(own, chance[f"hue_{name}"] / 0.3, common_hue(chance["hue"]))
        colours[name] = tint(shade, hue, vivid * chance[f"colour_{name}"])
    return shades, colours


def room_to(shade: np.ndarray, sign: np.ndarray) -> np.ndarray:
    """How far a luminance can go up (+1) or down (-1)."""
    return np.where(sign > 0, 0.97 - shade, shade - 0.03)


def common_hue(chance: np.ndarray) -> np.ndarray:
    """From uniform in 0..1 to hues, in turns from red.

    Most are those of brick and wood (0.08) or of sky and slate (0.6).
    """
    return np.where(
        chance < 0.45,
        0.02 + 0.25 * chance,
        np.where(chance < 0.75, 0.55 + 0.3 * (chance - 0.45), 4 * (chance - 0.75)),
    )


def tint(shade: np.ndarray, hue: np.ndarray, saturation: np.ndarray) -> np.ndarray:
    """A colour (m, 3, 1, 1) of that luminance: grey plus as much of the hue as fits into 0..1."""
    chroma = np.cos(2 * np.pi * (hue - np.array([0, 1 / 3, 2 / 3], np.float32)))
    chroma -= chroma @ LUMA[:, None]
    room = np.where(chroma > 0, 1 - shade, shade) / np.maximum(np.abs(chroma), 1e-6)
    return (shade + np.minimum(saturation, room.min(1, keepdims=True)) * chroma)[:, :, None, None]


def split(normal: np.ndarray, size: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Normal numbers (m, .), divided and interpolated.

    Returns
    -------
    layers : two arrays (m, size, size)
        Coarse noise.
    grain : array (m, 4, size, size)
        Fine noise, one grey and three colours.
    """
    layers, start = [], 0
    for side in COARSE:
        grid = normal[:, start : start + side**2].reshape(-1, side, side)
        spread = hats(side, size)
        layers.append(spread @ grid @ spread.T)
        start += side**2
    return layers, normal[:, start:].reshape(-1, 4, size, size)


def textured(chance: Chance, layers: list[np.ndarray], contrast: np.ndarray) -> np.ndarray:
    """Blotches of plaster and brick, (m, size, size), faint beside the contrast of the digit."""
    wide, narrow = (
        0.16 * contrast * chance[name] ** 2 for name in ("texture_wide", "texture_narrow")
    )
    return pixels(wide) * layers[0] + pixels(narrow) * layers[1]


def striped(chance: Chance, x: np.ndarray, y: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    """Boards, bricks or louvres behind some numbers, (m, size, size); aligned with it or askew."""
    way = chance["stripe_way"]
    tilt = np.select([way < 0.45, way < 0.8], [0, np.pi / 2], np.pi * chance["stripe_tilt"])
    along = x * pixels(np.sin(tilt)) + y * pixels(np.cos(tilt))
    period = pixels(uniform(chance["stripe_period"], 0.2, 0.8))
    wave = np.sin(2 * np.pi * (along / period + pixels(chance["stripe_phase"])))
    wave = np.clip(wave * pixels(uniform(chance["stripe_edge"], 0.8, 4)), -1, 1)
    return pixels((chance["stripes"] < 0.25) * 0.28 * contrast * chance["stripe_depth"]) * wave


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
    has_plate = pixels(chance["plate"] < 0.4)
    plate = np.where(has_plate, coverage(inside, scale), 1)[:, None]
    wall = colours["wall"] + 2 * plain[:, None]
    picture = wall + plate * (picture - wall)
    width = pixels(uniform(chance["frame_width"], 0.01, 0.05))
    has_frame = has_plate & pixels(chance["frame"] < 0.3)
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
    rows = np.flatnonzero(chance["shadow"][:, 0] < 0.25)
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
    line = coverage(width - off, size) * pixels(chance["line"] < 0.2)
    shade = pixels(uniform(chance["line_shade"], 0.05, 0.95))[:, None]
    return picture + line[:, None] * (shade - picture)


def light(chance: Chance, size: int) -> np.ndarray:
    """Brightness (m, size, size): a slope in every image, the edge of a shadow across some."""
    slope = 1 + pixels(0.6 * chance["slope"] ** 2) * across(chance["slope_way"], size)
    edge = pixels(uniform(chance["shade_place"], -0.3, 0.4))
    beyond = coverage(across(chance["shade_way"], size) - edge, size / 3)
    depth = (chance["shade"] < 0.12) * uniform(chance["shade_depth"], 0.15, 0.45)
    return slope * (1 - pixels(depth) * beyond)


def sense(
    picture: np.ndarray,
    chance: Chance,
    grain: np.ndarray,
    contrast: np.ndarray,
    stroke: np.ndarray,
    size: int,
) -> np.ndarray:
    """What a camera makes of it: grain, blur that keeps the strokes apart, and finer grain."""
    strength = uniform(chance["noise"] ** 2, 0.02, 0.25) * np.minimum(contrast, 0.3)
    strength = pixels(strength)[:, None]
    most = np.minimum(0.5 * stroke, size / 20)
    sigma = 0.3 + chance["blur"] * np.maximum(most - 0.3, 0)
    sideways = sigma * uniform(chance["blur_sideways"], 0.7, 1.3)
    down, across = blurring(sigma, size)[:, None], blurring(sideways, size)[:, None]
    picture = down @ (picture + strength * grain[:, :1]) @ across.transpose(0, 1, 3, 2)
    fine = pixels(uniform(chance["noise_fine"], 0.05, 0.3))[:, None]
    return picture + strength * fine * grain[:, 1:]


def blurring(sigma: np.ndarray, size: int) -> np.ndarray:
    """The matrices (m, size, size) that blur a line of pixels by a Gaussian of sigma (m, 1) pixels.

    The weights of each pixel add up to 1, also near the ends.
    """
    apart = np.arange(size)[:, None] - np.arange(size)
    weight = np.exp(-0.5 * (apart / pixels(sigma)) ** 2).astype(np.float32)
    return weight / weight.sum(2, keepdims=True)
