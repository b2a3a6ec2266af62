"""The digits of fonts, as distance fields: the shapes of the house numbers that are drawn here.

A signed distance field d says how far a point lies inside the outline of a digit (negative
outside), in digit heights. One field per font and digit is kept.
"""

import os
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minidann.data.store import PathLike
from minidann.runtime.errors import InputError


class Face(NamedTuple):
    """Where the ten digits of a font are: a file, the character of its zero, and how often."""

    path: str
    zero: str = "0"
    share: float = 1.0


SANS, BOLD_SANS = "\U0001d7e2", "\U0001d7ec"  # the zeros of mathematics, in other fonts of a file

# matplotlib's fonts that look like those of house numbers, by what share of SVHN has the like: by
# eye, on sheets of unlabelled images. The ones of the first two have no foot.
FONTS = (
    Face("STIXGeneral.ttf", BOLD_SANS, 0.24),
    Face("STIXGeneral.ttf", SANS, 0.18),
    Face("DejaVuSans-Bold.ttf", share=0.12),
    Face("DejaVuSans.ttf", share=0.04),
    Face("DejaVuSansMono-Bold.ttf", share=0.05),
    Face("cmss10.ttf", share=0.05),
    Face("cmtt10.ttf", share=0.04),
    Face("STIXGeneralBol.ttf", share=0.09),
    Face("STIXGeneral.ttf", share=0.06),
    Face("STIXGeneralBolIta.ttf", share=0.03),
    Face("DejaVuSerif-Bold.ttf", share=0.04),
    Face("cmb10.ttf", share=0.04),
    Face("cmr10.ttf", share=0.02),
)

HOLES = {0: 1, 1: 0, 2: 0, 3: 0, 5: 0, 6: 1, 7: 0, 8: 2, 9: 1}  # a 4 may be open or closed
TALL = 40  # samples of a distance field along a digit's height
CELL = 64  # samples of a distance field along each side: the digit and room around it
FINE = 4  # pixels of a drawn glyph for each sample of its distance field, along an axis


def find_faces(fonts: Sequence[PathLike] | PathLike | None = None) -> tuple[Face, ...]:
    """The font files to draw with; ``fonts`` as in :func:`~minidann.data.make_synth_digits`.

    Raises
    ------
    InputError
        If a given font is unfit, or there is none.
    """
    import matplotlib  # here, because it takes long to import
    from matplotlib.font_manager import findSystemFonts

    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    shipped = [face._replace(path=str(folder / face.path)) for face in FONTS]
    if fonts is None:
        return tuple(shipped)
    if isinstance(fonts, str | os.PathLike):
        if fonts != "system":
            raise InputError(
                f'fonts="{fonts}" is not understood; give a list of font files, "system" or None'
            )
        names = {face.path for face in FONTS}
        found = [Face(path) for path in sorted(findSystemFonts()) if Path(path).name not in names]
        fit = [face for face in found if not flaw(face)]
        return (*shipped, *(face._replace(share=1 / len(fit)) for face in fit))
    faces = tuple(Face(str(path)) for path in fonts)
    if not faces:
        raise InputError("there is no font to draw digits with; give at least one font file")
    for face in faces:
        if flaw(face):
            raise InputError(
                f"{face.path} cannot be drawn with: {flaw(face)}; give another font file"
            )
    return faces


@cache
def flaw(face: Face) -> str:
    """What makes a font unfit for digits, in words, or "" for a fit one."""
    try:
        masks = render(face)
    except OSError as error:
        return f"it cannot be read ({error})"
    except ValueError as error:
        return str(error)
    if len({mask.tobytes() for mask in masks}) < 10:
        return "it has one shape for two digits"
    rows = [np.flatnonzero(mask.any(1)) for mask in masks]
    tops, bottoms = [row[0] for row in rows], [row[-1] for row in rows]
    if max(np.ptp(tops), np.ptp(bottoms)) > 0.12 * TALL * FINE:
        return "its digits do not stand on one line at one height"
    if any(count_holes(masks[digit]) != holes for digit, holes in HOLES.items()):
        return "its digits do not have the holes that digits have"
    return ""


@cache
def render(face: Face) -> np.ndarray:
    """The ten digits of a font: bool (10, FINE * CELL, FINE * CELL).

    Each is centred and FINE * TALL pixels tall; all stand on one line.

    Raises
    ------
    OSError
        If it is not a font.
    ValueError
        If its digits have no ink or are wider than the room for them.
    """
    from PIL import Image, ImageDraw, ImageFont  # slow to import

    side, tall = FINE * CELL, FINE * TALL
    font = ImageFont.truetype(face.path, 100)
    digits = [chr(ord(face.zero) + digit) for digit in range(10)]
    boxes = [font.getbbox(digit, anchor="ls") for digit in digits]
    height = max(box[3] for box in boxes) - min(box[1] for box in boxes)
    if height <= 0:
        raise ValueError("its digits are empty")
    font = ImageFont.truetype(face.path, 100 * tall / height)
    boxes = [font.getbbox(digit, anchor="ls") for digit in digits]
    baseline = side / 2 - (max(box[3] for box in boxes) + min(box[1] for box in boxes)) / 2
    masks = np.zeros((10, side, side), bool)
    for mask, digit in zip(masks, digits, strict=True):
        canvas = Image.new("L", (3 * side, side))
        ImageDraw.Draw(canvas).text((side, baseline), digit, 255, font, anchor="ls")
        ink = largest_part(np.asarray(canvas) >= 128)
        # Pillow's boxes do not help here: they extend to where the next letter starts
        columns = np.flatnonzero(ink.any(0))
        if len(columns) == 0 or np.ptp(columns) >= side - 2 * FINE:
            raise ValueError("its digits are empty or wider than tall")
        middle = (columns[0] + columns[-1] + 1) // 2
        mask[:] = ink[:, middle - side // 2 : middle + side // 2]
    return masks


def count_holes(mask: np.ndarray) -> int:
    """The holes in the ink of a bool (H, W), but for specks smaller than a sample of the field."""
    from scipy import ndimage  # slow to import

    sizes = np.bincount(ndimage.label(~mask)[0].ravel())[1:]
    return int((sizes > FINE**2).sum()) - 1  # the ground around is none


def largest_part(mask: np.ndarray) -> np.ndarray:
    """The largest connected part of a bool (H, W): a zero without the dot of some fonts."""
    from scipy import ndimage  # slow to import

    parts, count = ndimage.label(mask, np.ones((3, 3)))
    return parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]) if count > 1 else mask


class Glyphs:
    """Distance fields of the digits of some fonts.

    Attributes
    ----------
    fields : float32 array (10 * fonts + 1, CELL, CELL)
        Digit heights inside the outline, negative outside: ten of each font, then an empty one.
    widths : float32 array (10 * fonts + 1,)
        Of the ink, in digit heights.
    strokes : float32 array (fonts,)
        Half the thickness of the font's stroke, in digit heights.
    shares : array (fonts,)
        How many of all digits are of this font or one before it, of 0..1.
    """

    def __init__(self, faces: Sequence[Face]):
        from scipy import ndimage  # slow to import

        masks = np.concatenate([render(face) for face in faces])
        self.fields = np.full((len(masks) + 1, CELL, CELL), -1, np.float32)
        for field, mask in zip(self.fields, masks, strict=False):
            distance = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
            # to the edge between two pixels, not to the pixel on its other side
            distance -= np.copysign(0.5, distance)
            field[:] = distance.reshape(CELL, FINE, CELL, FINE).mean((1, 3)) / (TALL * FINE)
        self.widths = np.append(masks.any(1).sum(1) / (TALL * FINE), 0.3).astype(np.float32)
        self.strokes = self.fields[:-1].max((1, 2)).reshape(-1, 10).mean(1)
        shares = np.cumsum([face.share for face in faces])
        self.shares = shares / shares[-1]


@lru_cache(maxsize=4)
def load_glyphs(faces: tuple[Face, ...]) -> Glyphs:
    """The distance fields of the digits of these fonts."""
    return Glyphs(faces)
