"""Our own SYN NUMBERS: drawn digits that look like house numbers, a labelled source domain for SVHN.

Ganin et al. (JMLR 17(59), 2016, section 5.2.4) drew theirs "from Windows fonts by varying the text
(that includes different one-, two-, and three-digit numbers), positioning, orientation, background
and stroke colors, and the amount of blur". So do we, with the fonts that come with matplotlib. An
image is a square of a street: a number of one to three digits, cut so that the *labelled* digit is
in the middle and its neighbours reach in from the sides.

Where a digit's ink is, comes from its signed distance field d: how far a point lies inside the
outline (negative outside), in digit heights. One field per font and digit is kept; everything about
the shape is then arithmetic:

    ink        where d + weight > 0                 a bolder or finer stroke
    outline    where d + weight + width > 0         a rim around it
    pixel      clip(1/2 + pixels * d, 0, 1)         a smooth edge at any size

A pixel asks the field at the place that it shows of the number: moved, turned, sheared, in
perspective. The rest is paint, back to front: wall, plate, cast shadow, rim, ink, a stray line,
uneven light, blur, noise.
"""

from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from minidann.data.augment import hats
from minidann.data.mnist import Digits
from minidann.runtime.errors import InputError
from minidann.runtime.progress import progress_bar

LARGEST = 10_000_000  # images in one call
SIZES = 16, 128  # least and greatest side of an image, in pixels
CHUNK = 64  # images composed at once, few enough for the processor's cache

# matplotlib's fonts whose digits are fit: the others have none, other symbols in their places, or
# old-style ones
FONTS = (
    *(f"DejaVuSans{style}.ttf" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{style}.ttf" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{style}.ttf" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{style}.ttf" for style in ("", "Bol", "Italic", "BolIta")),
    *("cmb10.ttf", "cmr10.ttf", "cmss10.ttf", "cmtt10.ttf"),
)

HOLES = {0: 1, 1: 0, 2: 0, 3: 0, 5: 0, 6: 1, 7: 0, 8: 2, 9: 1}  # a 4 may be open or closed
TALL = 40  # samples of a distance field along a digit's height
CELL = 64  # samples of a distance field along each side: the digit and room around it
FINE = 4  # pixels that a glyph is drawn in, for a sample of its distance field

NEIGHBOURS = (
    2  # digits on each side: a number has at most three, and any of them may be in the middle
)
COARSE = 6, 14  # grids of the two layers of texture
MIN_CONTRAST = 0.16  # luminance between stroke and plate, of 0..1
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

# an image's row in the table of chance, each uniform in 0..1
COLUMNS = (
    *(
        "label",
        "font",
        "neighbour0",
        "neighbour1",
        "neighbour2",
        "neighbour3",
        "length",
        "place",
        "gap",
        "weight",
        "rise0",
        "rise1",
        "rise2",
        "rise3",
    ),
    *("left", "top", "angle", "shear", "keystone_x", "keystone_y", "height", "aspect"),
    *("ground", "ground_too", "polarity", "contrast", "wall", "line_shade", "rim_shade", "vivid"),
    *(
        "hue",
        "hue_ground",
        "hue_ink",
        "hue_wall",
        "hue_rim",
        "colour_ground",
        "colour_ink",
        "colour_wall",
        "colour_rim",
    ),
    *(
        "texture_wide",
        "texture_narrow",
        "stripes",
        "stripe_way",
        "stripe_tilt",
        "stripe_period",
        "stripe_phase",
        "stripe_depth",
        "stripe_edge",
    ),
    *("plate", "plate_height", "plate_left", "plate_right", "frame", "frame_width"),
    *("shadow", "shadow_x", "shadow_y", "shadow_depth", "rim", "rim_width", "bevel", "bevel_depth"),
    *(
        "line",
        "line_way",
        "line_tilt",
        "line_place",
        "line_width",
        "slope",
        "slope_way",
        "shade",
        "shade_way",
        "shade_place",
        "shade_depth",
    ),
    *("blur", "blur_sideways", "noise", "noise_fine"),
)


def make_synth_digits(n=100_000, *, seed=0, size=32, fonts=None, progress=True):
    """Draw house numbers.

    Parameters
    ----------
    n : int
        Images, 1 to 10 million. The first n of N images are those of n alone.
    seed : int
    size : int
        Side of an image in pixels, 16 to 128.
    fonts : list of paths, or "system", optional
        Font files to draw with. By default those of matplotlib, which are the same on every
        machine; "system" adds every fit font of this one.
    progress : bool
        Whether to show a bar when it takes longer than two seconds.

    Returns
    -------
    images : uint8 array (n, size, size, 3)
    labels : int64 array (n,)
        The digit in the centre of each, 0..9, each as likely as any other.

    Raises
    ------
    InputError
        If n or size is out of range, or a font can not be used.

    Notes ----- The same seed gives the same images on the same machine. Elsewhere another version
    of FreeType or NumPy may change a pixel's last bit; the labels and what is drawn stay.
    """
    return draw(n, np.random.SeedSequence(seed), size, fonts, progress)


def load_synth_digits(n_train=100_000, n_test=10_000, *, seed=0):
    """A data set of house numbers: the first n_train of :func:`make_synth_digits`, and n_test from another random stream.

    Returns
    -------
    Digits
        uint8 images (n_train, 32, 32, 3) and (n_test, 32, 32, 3), int64 labels.

    Raises
    ------
    InputError
        If a number of images is out of range.
    """
    check(n_test, 32)  # before the training images take their time
    test_seed = np.random.SeedSequence(seed, spawn_key=(2,))  # draw() itself takes the keys 0 and 1
    return Digits(*draw(n_train, np.random.SeedSequence(seed)), *draw(n_test, test_seed))


def draw(n, seed, size=32, fonts=None, progress=True, chunk=CHUNK):
    """As :func:`make_synth_digits`, from a SeedSequence, in steps of ``chunk`` images, which make no difference."""
    check(n, size)
    glyphs = load_glyphs(font_paths(fonts))
    # every image takes as many numbers of each stream as any other, in its turn: so chunks make no
    # difference
    keys = [
        np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, key)) for key in (0, 1)
    ]
    table, noise = (np.random.default_rng(key) for key in keys)
    images, labels = np.empty((n, size, size, 3), np.uint8), np.empty(n, np.int64)
    with progress_bar(
        n, "house numbers", unit="image", unit_scale=True, delay=2, disable=not progress
    ) as bar:
        for start in range(0, n, chunk):
            rows = slice(start, min(start + chunk, n))
            images[rows], labels[rows] = paint(throw(table, rows.stop - start), noise, glyphs, size)
            bar.update(rows.stop - start)
    return images, labels


def throw(table, m):
    """The next m rows of the table of chance: a dict of float32 (m, 1) in 0..1, without 1."""
    return dict(zip(COLUMNS, table.random((m, len(COLUMNS)), np.float32).T[..., None], strict=True))


def check(n, size):
    """Raise InputError if that many images of that size are not to be drawn."""
    if not 1 <= n <= LARGEST:
        raise InputError(f"{n} is not a number of images that can be drawn; give 1 to {LARGEST:,}")
    if not SIZES[0] <= size <= SIZES[1]:
        raise InputError(
            f"images of {size}x{size} pixels can not be drawn; give a size of {SIZES[0]} to {SIZES[1]}"
        )


# ---- fonts


def font_paths(fonts=None):
    """The font files to draw with: a tuple of paths.

    Raises
    ------
    InputError
        If a given font is unfit, or there is none.
    """
    import matplotlib  # here, for it takes long to import and only the fonts are wanted
    from matplotlib.font_manager import findSystemFonts

    shipped = [Path(matplotlib.get_data_path(), "fonts", "ttf", name) for name in FONTS]
    if fonts is None:
        return tuple(map(str, shipped))
    if isinstance(fonts, (str, Path)):
        if fonts != "system":
            raise InputError(
                f'fonts="{fonts}" is not understood; give a list of font files, "system" or None'
            )
        names = {path.name for path in shipped}
        found = [
            path
            for path in sorted(map(Path, findSystemFonts()))
            if path.name not in names and not flaw(str(path))
        ]
        return tuple(map(str, [*shipped, *found]))
    fonts = tuple(map(str, fonts))
    if not fonts:
        raise InputError("there is no font to draw digits with; give at least one font file")
    for path in fonts:
        if flaw(path):
            raise InputError(f"{path} can not be drawn with: {flaw(path)}; give another font file")
    return fonts


@cache
def flaw(path):
    """What makes a font unfit for digits, in words, or "" for a fit one."""
    try:
        masks = render(path)
    except OSError as error:
        return f"it can not be read ({error})"
    except ValueError as error:
        return str(error)
    if len({mask.tobytes() for mask in masks}) < 10:
        return "it has one shape for two digits"
    rows = [np.flatnonzero(mask.any(1)) for mask in masks]
    if (
        max(np.ptp([row[0] for row in rows]), np.ptp([row[-1] for row in rows]))
        > 0.12 * TALL * FINE
    ):
        return "its digits do not stand on one line at one height"
    if any(count_holes(masks[digit]) != holes for digit, holes in HOLES.items()):
        return "its digits do not have the holes that digits have"
    return ""


@cache
def render(path):
    """The ten digits of a font, side by side centred and on one line: bool (10, FINE * CELL, FINE * CELL), FINE * TALL pixels tall.

    Raises
    ------
    OSError
        If it is not a font.
    ValueError
        If its digits have no ink or are wider than the room for them.
    """
    side, tall = FINE * CELL, FINE * TALL
    face = ImageFont.truetype(path, 100)
    boxes = [face.getbbox(str(digit), anchor="ls") for digit in range(10)]
    height = max(box[3] for box in boxes) - min(box[1] for box in boxes)
    if height <= 0:
        raise ValueError("its digits are empty")
    face = ImageFont.truetype(path, 100 * tall / height)
    boxes = [face.getbbox(str(digit), anchor="ls") for digit in range(10)]
    baseline = side / 2 - (max(box[3] for box in boxes) + min(box[1] for box in boxes)) / 2
    masks = np.zeros((10, side, side), bool)
    for digit in range(10):
        canvas = Image.new("L", (3 * side, side))
        ImageDraw.Draw(canvas).text((side, baseline), str(digit), 255, face, anchor="ls")
        ink = largest_part(np.asarray(canvas) >= 128)
        columns = np.flatnonzero(
            ink.any(0)
        )  # the boxes are no guide to these: Pillow's reach on to where the next letter starts
        if len(columns) == 0 or np.ptp(columns) >= side - 2 * FINE:
            raise ValueError("its digits are empty or wider than tall")
        middle = (columns[0] + columns[-1] + 1) // 2
        masks[digit] = ink[:, middle - side // 2 : middle + side // 2]
    return masks


def count_holes(mask):
    """The holes in the ink of a bool (H, W), but for specks smaller than a sample of the distance field."""
    from scipy import ndimage  # slow to import

    sizes = np.bincount(ndimage.label(~mask)[0].ravel())[1:]
    return int((sizes > FINE**2).sum()) - 1  # the ground around is none


def largest_part(mask):
    """The largest connected part of a bool (H, W): a zero without the dot that some fonts put in it."""
    from scipy import ndimage  # slow to import

    parts, count = ndimage.label(mask, np.ones((3, 3)))
    return parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]) if count > 1 else mask


class Glyphs:
    """Distance fields of the digits of some fonts.

    Attributes
    ----------
    fields : float32 array (10 * fonts + 1, CELL, CELL)
        Digit heights inside the outline, negative outside: ten of each font, then one of no digit.
    widths : float32 array (10 * fonts + 1,)
        Of the ink, in digit heights.
    strokes : float32 array (fonts,)
        Half the thickness of the font's stroke, in digit heights.
    """

    def __init__(self, paths):
        from scipy import ndimage  # slow to import

        masks = np.concatenate([render(path) for path in paths])
        self.fields = np.full((len(masks) + 1, CELL, CELL), -1, np.float32)
        for field, mask in zip(self.fields, masks, strict=False):
            distance = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
            distance -= np.copysign(
                0.5, distance
            )  # to the edge between two pixels, not to a pixel across it
            field[:] = distance.reshape(CELL, FINE, CELL, FINE).mean((1, 3)) / (TALL * FINE)
        self.widths = np.append(masks.any(1).sum(1) / (TALL * FINE), 0.3).astype(np.float32)
        self.strokes = self.fields[:-1].max((1, 2)).reshape(-1, 10).mean(1)


load_glyphs = lru_cache(maxsize=4)(Glyphs)


# ---- one chunk of images: every value of chance is (m, 1), every picture (m, size, size), colours
# (m, 3, 1, 1)


def between(chance, low, high):
    """Uniform in low..high."""
    return low + (high - low) * chance


def paint(chance, noise, glyphs, size):
    """Images uint8 (m, size, size, 3) and labels (m,)."""
    number = spell(chance, glyphs)
    x, y, scale = see(chance, size)
    distance = look_up(glyphs, number, x, y) + pixels(number["weight"])
    shades, colours = choose_colours(chance)
    contrast = np.abs(shades["ink"] - shades["ground"])
    covered = coverage(distance, scale)

    textures, grain = split(
        noise.standard_normal((len(x), sum(side**2 for side in COARSE) + 4 * size**2), np.float32),
        size,
    )
    plain = textured(chance, textures, contrast) + striped(chance, x, y, contrast)
    picture = colours["ground"] + plain[:, None]
    picture = put_on_wall(picture, chance, number, colours, x, y, scale, plain)
    picture = cast_shadow(picture, chance, glyphs, number, x, y, scale)
    rim = coverage(distance + pixels(between(chance["rim_width"], 0.03, 0.09)), scale) * pixels(
        chance["rim"] < 0.2
    )
    picture += rim[:, None] * (colours["rim"] - picture)
    bevel = pixels((chance["bevel"] < 0.4) * between(chance["bevel_depth"], -0.35, 0.35) * contrast)
    depth = bevel * np.clip(distance / 0.06 - 0.5, -0.5, 1)
    picture += covered[:, None] * (colours["ink"] + depth[:, None] - picture)
    picture = stray_line(picture, chance, size)
    picture *= light(chance, size)[:, None]
    stroke = 2 * (glyphs.strokes[number["font"]] + number["weight"]) * scale[:, :, 0]
    picture = sense(picture, chance, grain, contrast, stroke, size)
    return np.ascontiguousarray(
        (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(0, 2, 3, 1)
    ), number["label"]


def pixels(values):
    """(m, 1) as (m, 1, 1), to go with pictures."""
    return values[:, :, None]


def coverage(distance, scale):
    """How much of a pixel lies inside, 0..1, where its centre lies ``distance`` digit heights of ``scale`` pixels inside."""
    return np.clip(distance * scale + 0.5, 0, 1)


def spell(chance, glyphs):
    """The numbers: which digit, from which font, stands where.

    Returns
    -------
    dict
        ``label`` (m,); ``font`` (m, 1); ``there`` (m, 5), which slots hold a digit, from left to
        right, the labelled one third; ``glyph`` (m, 5), rows of ``glyphs.fields``; ``centre`` (m,
        5), ``rise`` (m, 5) and ``edge`` (m, 4), where the digits stand and where one's field gives
        way to the next's; ``weight`` (m, 1); all in digit heights from the labelled digit's centre.
    """
    label = (chance["label"][:, 0] * 10).astype(np.int64)
    fonts = len(glyphs.strokes)
    font = (chance["font"] * fonts).astype(np.int64)
    others = np.hstack([chance[f"neighbour{k}"] for k in range(2 * NEIGHBOURS)])
    digits = np.insert((others * 10).astype(np.int64), NEIGHBOURS, label, axis=1)
    length = 1 + (chance["length"] > 0.15) + (chance["length"] > 0.5)
    first = -(chance["place"] * length).astype(np.int64)
    slot = np.arange(-NEIGHBOURS, NEIGHBOURS + 1)
    there = (slot >= first) & (slot < first + length)
    glyph = np.where(there, font * 10 + digits, 10 * fonts)

    width = glyphs.widths[glyph]
    gap = between(chance["gap"] ** 1.5, 0.07, 0.32)
    centre = np.cumsum((width[:, 1:] + width[:, :-1]) / 2 + gap, axis=1)
    centre = np.insert(centre, 0, 0, axis=1)
    centre -= centre[:, NEIGHBOURS, None]
    edge = centre[:, :-1] + (width[:, :-1] + gap) / 2
    rise = np.hstack([between(chance[f"rise{k}"], -0.06, 0.06) for k in range(2 * NEIGHBOURS)])
    stroke = glyphs.strokes[font]
    weight = between(chance["weight"], -0.12 * stroke, np.maximum(0.12 - stroke, 0.012))
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


def see(chance, size):
    """Where on the number each pixel looks: x, y (m, size, size) in digit heights, and pixels (m, 1, 1) in a digit height."""
    transfer = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    x = transfer - pixels(between(chance["left"], -0.05, 0.05))
    y = transfer[:, None] - pixels(between(chance["top"], -0.05, 0.05))
    near = (
        1
        + pixels(between(chance["keystone_x"], -0.2, 0.2)) * x
        + pixels(between(chance["keystone_y"], -0.2, 0.2)) * y
    )
    angle = np.deg2rad(15) * pixels(triangle(chance["angle"]))
    shear = 0.25 * pixels(triangle(chance["shear"]))
    height = pixels(between(chance["height"] ** 0.7, 0.55, 0.95))
    aspect = pixels(between(chance["aspect"], 0.72, 1.12))
    cos, sin = np.cos(angle) / height, np.sin(angle) / height
    down = (y * cos - x * sin) / near
    return ((x * cos + y * sin) / near - shear * down) / aspect, down, height * size


def triangle(chance):
    """From uniform in 0..1 to a triangle over -1..1: often near 0."""
    return np.where(chance < 0.5, np.sqrt(2 * chance) - 1, 1 - np.sqrt(2 * (1 - chance)))


def look_up(glyphs, number, x, y):
    """The distance field of the number at the places (x, y), (m, size, size), in digit heights, bilinear between samples."""
    slot = sum(
        (x > pixels(number["edge"][:, k, None])).astype(np.int64) for k in range(2 * NEIGHBOURS)
    )
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


def choose_colours(chance):
    """Luminances (m, 1) and colours (m, 3, 1, 1) of ground, ink, rim and wall, all in 0..1.

    Ink and ground differ in luminance by at least MIN_CONTRAST, often by little more; their hues
    are free.
    """
    ground = between((chance["ground"] + chance["ground_too"]) / 2, 0.05, 0.87)
    contrast = between(chance["contrast"] ** 1.5, MIN_CONTRAST, 0.75)
    sign = np.where(chance["polarity"] < 0.5, -1, 1)
    sign = np.where(room_to(ground, sign) < MIN_CONTRAST, -sign, sign)
    ink = ground + sign * np.minimum(contrast, room_to(ground, sign))
    rim = np.clip(ground + between(chance["rim_shade"], -0.6, 0.45) * (ink - ground), 0.02, 0.98)
    shades = {"ground": ground, "ink": ink, "rim": rim, "wall": between(chance["wall"], 0.08, 0.85)}
    vivid = np.where(chance["vivid"] < 0.88, 0.12, 0.35)  # most streets are grey, brown and blue
    colours = {}
    for name, shade in shades.items():
        own = chance[f"hue_{name}"] < 0.3  # the others share a cast
        hue = np.where(own, chance[f"hue_{name}"] / 0.3, common_hue(chance["hue"]))
        colours[name] = tint(shade, hue, vivid * chance[f"colour_{name}"])
    return shades, colours


def room_to(shade, sign):
    """How far a luminance can go up (+1) or down (-1)."""
    return np.where(sign > 0, 0.97 - shade, shade - 0.03)


def common_hue(chance):
    """From uniform to hues, in turns from red, that are mostly those of brick and wood (0.08) or sky and slate (0.6)."""
    return np.where(
        chance < 0.45,
        0.02 + 0.25 * chance,
        np.where(chance < 0.75, 0.55 + 0.3 * (chance - 0.45), 4 * (chance - 0.75)),
    )


def tint(shade, hue, saturation):
    """A colour (m, 3, 1, 1) of that luminance: grey plus as much of the hue as 0..1 has room for."""
    chroma = np.cos(2 * np.pi * (hue - np.array([0, 1 / 3, 2 / 3], np.float32)))
    chroma -= chroma @ LUMA[:, None]
    room = np.where(chroma > 0, 1 - shade, shade) / np.maximum(np.abs(chroma), 1e-6)
    return (shade + np.minimum(saturation, room.min(1, keepdims=True)) * chroma)[:, :, None, None]


def split(normal, size):
    """Normal numbers (m, .) as two layers of coarse noise (m, size, size), and (m, 4, size, size) of one grey and three colours."""
    layers, start = [], 0
    for side in COARSE:
        grid = normal[:, start : start + side**2].reshape(-1, side, side)
        spread = hats(side, size)
        layers.append(spread @ grid @ spread.T)
        start += side**2
    return layers, normal[:, start:].reshape(-1, 4, size, size)


def textured(chance, layers, contrast):
    """Blotches of plaster and brick, (m, size, size), faint against the contrast of the digit."""
    wide, narrow = (
        0.16 * contrast * chance[name] ** 2 for name in ("texture_wide", "texture_narrow")
    )
    return pixels(wide) * layers[0] + pixels(narrow) * layers[1]


def striped(chance, x, y, contrast):
    """Boards, bricks or louvres behind some numbers, (m, size, size); straight with the number or askew."""
    way = chance["stripe_way"]
    tilt = np.select([way < 0.45, way < 0.8], [0, np.pi / 2], np.pi * chance["stripe_tilt"])
    along = x * pixels(np.sin(tilt)) + y * pixels(np.cos(tilt))
    wave = np.sin(
        2
        * np.pi
        * (
            along / pixels(between(chance["stripe_period"], 0.2, 0.8))
            + pixels(chance["stripe_phase"])
        )
    )
    wave = np.clip(wave * pixels(between(chance["stripe_edge"], 0.8, 4)), -1, 1)
    return pixels((chance["stripes"] < 0.25) * 0.28 * contrast * chance["stripe_depth"]) * wave


def put_on_wall(picture, chance, number, colours, x, y, scale, plain):
    """Cut the ground to a plate on a wall, in some images, with a frame of the ink's colour on some of the plates."""
    present, centre = number["there"], number["centre"]
    left = np.where(present, centre, np.inf).min(1, keepdims=True) - between(
        chance["plate_left"], 0.45, 1.0
    )
    right = np.where(present, centre, -np.inf).max(1, keepdims=True) + between(
        chance["plate_right"], 0.45, 1.0
    )
    half = between(chance["plate_height"], 0.58, 1.0)
    inside = np.minimum(pixels(half) - np.abs(y), np.minimum(x - pixels(left), pixels(right) - x))
    has_plate = pixels(chance["plate"] < 0.4)
    plate = np.where(has_plate, coverage(inside, scale), 1)[:, None]
    wall = colours["wall"] + 2 * plain[:, None]
    picture = wall + plate * (picture - wall)
    frame = coverage(
        pixels(between(chance["frame_width"], 0.01, 0.05)) - np.abs(inside - 0.06), scale
    ) * (has_plate & pixels(chance["frame"] < 0.3))
    return picture + frame[:, None] * (colours["ink"] - picture)


def cast_shadow(picture, chance, glyphs, number, x, y, scale):
    """Darken the ground beside the digits, in some images, as if they stood off the wall."""
    rows = np.flatnonzero(chance["shadow"][:, 0] < 0.25)
    if len(rows):
        some = {name: values[rows] for name, values in number.items()}
        aside, below = (
            pixels(between(chance[name][rows], -0.1, 0.1)) for name in ("shadow_x", "shadow_y")
        )
        distance = look_up(glyphs, some, x[rows] - aside, y[rows] - below) + pixels(some["weight"])
        depth = pixels(between(chance["shadow_depth"][rows], 0.1, 0.4))
        picture[rows] *= 1 - (depth * coverage(distance, scale[rows] / 3))[:, None]
    return picture


def across(chance, size):
    """How far each pixel lies along a direction of that angle (in turns), (m, size, size), in images from the middle."""
    transfer = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    angle = 2 * np.pi * pixels(chance)
    return transfer * np.cos(angle) + transfer[:, None] * np.sin(angle)


def stray_line(picture, chance, size):
    """A door frame, a wire or a gutter along a side, in some images."""
    way = np.floor(4 * chance["line_way"]) / 4 + 0.1 * (chance["line_tilt"] - 0.5)
    off = np.abs(across(way, size) - pixels(between(chance["line_place"], 0.36, 0.5)))
    line = coverage(pixels(between(chance["line_width"], 0.01, 0.08)) - off, size) * pixels(
        chance["line"] < 0.2
    )
    return picture + line[:, None] * (
        pixels(between(chance["line_shade"], 0.05, 0.95))[:, None] - picture
    )


def light(chance, size):
    """Brightness (m, size, size): a slope in every image, and the edge of a shadow across some."""
    slope = 1 + pixels(0.6 * chance["slope"] ** 2) * across(chance["slope_way"], size)
    beyond = coverage(
        across(chance["shade_way"], size) - pixels(between(chance["shade_place"], -0.3, 0.4)),
        size / 3,
    )
    return slope * (
        1 - pixels((chance["shade"] < 0.12) * between(chance["shade_depth"], 0.15, 0.45)) * beyond
    )


def sense(picture, chance, grain, contrast, stroke, size):
    """What a camera makes of it: grain, blur that leaves the strokes apart, and finer grain."""
    strength = pixels(between(chance["noise"] ** 2, 0.02, 0.25) * np.minimum(contrast, 0.3))[
        :, None
    ]
    most = np.minimum(0.5 * stroke, size / 20)
    sigma = 0.3 + chance["blur"] * np.maximum(most - 0.3, 0)
    sideways = sigma * between(chance["blur_sideways"], 0.7, 1.3)
    picture = picture + strength * grain[:, :1]
    picture = (
        blurring(sigma, size)[:, None]
        @ picture
        @ blurring(sideways, size)[:, None].transpose(0, 1, 3, 2)
    )
    return (
        picture
        + strength * pixels(between(chance["noise_fine"], 0.05, 0.3))[:, None] * grain[:, 1:]
    )


def blurring(sigma, size):
    """The matrices (m, size, size) that blur a line of pixels by a Gaussian of sigma (m, 1) pixels, alike up to the ends."""
    apart = np.arange(size)[:, None] - np.arange(size)
    weight = np.exp(-0.5 * (apart / pixels(sigma)) ** 2).astype(np.float32)
    return weight / weight.sum(2, keepdims=True)
