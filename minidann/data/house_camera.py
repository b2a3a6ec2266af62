"""The camera of house numbers: few pixels, noise, a JPEG file, and enlargement to the image's size.

SVHN's digits were cut out of photographs of streets. Most were smaller than 32 pixels there, and
were enlarged. So here a picture p becomes

    y = S p T'                         seen by a sensor of few pixels through a lens that blurs
    c = q round((D y D' + noise) / q)  rounded to steps q by a JPEG file, in blocks of 8 x 8
    z = U D' c D V'                    decoded and enlarged, with the rims of a cubic kernel

p is one channel (size, size), D the discrete cosine transform of each block; S, T, U and V resample
a line of pixels, down and across. The noise is white, and so is its transform, to which it is
added. Luminance and colour are seen apart, as in a JPEG file: colour by half the pixels each way.

Everything is computed for m images at once. A value of chance is (m, 1), a picture (m, size, size).
"""

from functools import cache

import numpy as np

from minidann.data import house_measures as svhn
from minidann.data.house_numbers import Chance, pixels, quantile

BLOCK = 8  # pixels of a JPEG block along each side
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # luminance of red, green and blue
OPPONENTS = np.stack([LUMA, [0, 0, 1] - LUMA, [1, 0, 0] - LUMA]).astype(np.float32)
COLOURS = np.linalg.inv(OPPONENTS).astype(np.float32)  # red, green and blue from them
# steps that the JPEG standard suggests (ITU-T T.81, annex K), of 255: luminance, then colour
STEPS = (
    """
    16 11 10 16 24 40 51 61  12 12 14 19 26 58 60 55  14 13 16 24 40 57 69 56
    14 17 22 29 51 87 80 62  18 22 37 56 68 109 103 77  24 35 55 64 81 104 113 92
    49 64 78 87 103 121 120 101  72 92 95 98 112 100 103 99
    """,
    """
    17 18 24 47 99 99 99 99  18 21 26 66 99 99 99 99  24 26 56 99 99 99 99 99
    47 66 99 99 99 99 99 99  99 99 99 99 99 99 99 99  99 99 99 99 99 99 99 99
    99 99 99 99 99 99 99 99  99 99 99 99 99 99 99 99
    """,
)


def photograph(
    picture: np.ndarray, chance: Chance, normal: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    """What a camera makes of pictures (m, 3, size, size) in red, green and blue; as many again.

    ``normal`` (m, :func:`grains`) are normal numbers, the noise; ``scale`` (m, 1, 1) are pixels in
    a digit's height.
    """
    m, _, size, _ = picture.shape
    side = sensor(size)
    count = np.minimum(quantile(chance["pixels"], svhn.PIXELS) / scale[:, 0], 1) * size
    lens = quantile(chance["blur"], svhn.BLUR), quantile(chance["sharpened"], svhn.SHARPENED)
    spare = np.minimum(BLOCK, side - count)
    across, down = (
        optics(count, chance[name] * spare, lens, size, side)
        for name in ("block_across", "block_down")
    )
    noise = pixels(quantile(chance["noise"], svhn.NOISE))[..., None]
    step = pixels(quantile(chance["quality"], svhn.QUALITY))[..., None]
    parts = (OPPONENTS @ picture.reshape(m, 3, -1)).reshape(picture.shape)
    grain = normal[:, : side**2].reshape(m, 1, side, side)
    light = developed(parts[:, :1], across, down, noise * grain, step * jpeg_steps(0, side))
    side //= 2
    across, down = halved(*across), halved(*down)
    grain = svhn.COLOUR_NOISE * normal[:, 4 * side**2 :].reshape(m, 2, side, side)
    step = svhn.COLOUR_QUALITY * step
    colour = developed(parts[:, 1:], across, down, noise * grain, step * jpeg_steps(1, side))
    seen = np.concatenate([light, colour], axis=1)
    return (COLOURS @ seen.reshape(m, 3, -1)).reshape(picture.shape)


def developed(
    scene: np.ndarray,
    across: tuple[np.ndarray, np.ndarray],
    down: tuple[np.ndarray, np.ndarray],
    noise: np.ndarray,
    steps: np.ndarray,
) -> np.ndarray:
    """Channels (m, c, size, size) seen, rounded to ``steps`` and enlarged.

    ``across`` and ``down`` are what :func:`optics` gives, ``noise`` is (m, c, side, side), and so
    are ``steps`` but for axes of length 1.
    """
    transform = cosines(noise.shape[-1])
    see_across, see_down = (transform @ see for see, _ in (across, down))
    back_across, back_down = (enlarge @ transform.T for _, enlarge in (across, down))
    wave = see_down @ scene @ see_across.swapaxes(2, 3) + noise
    return back_down @ (np.rint(wave / steps) * steps) @ back_across.swapaxes(2, 3)


def sensor(size: int) -> int:
    """Side of the sensor for images of that size: whole blocks of JPEG, of colour too."""
    return -(-size // (2 * BLOCK)) * 2 * BLOCK


def grains(size: int) -> int:
    """How many normal numbers the noise of an image takes."""
    return sensor(size) ** 2 * 3 // 2


def optics(
    count: np.ndarray,
    offset: np.ndarray,
    lens: tuple[np.ndarray, np.ndarray],
    size: int,
    side: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The matrices S (m, 1, side, size) and U (m, 1, size, side) of a line of pixels.

    Parameters
    ----------
    count : array (m, 1)
        Pixels of the sensor that see the picture.
    offset : array (m, 1)
        Pixels of the sensor before the picture begins; they see its edge.
    lens : two arrays (m, 1)
        The blur in pixels of the sensor, and how much is sharpened.
    size, side : int
        Pixels of the picture, and of the sensor.
    """
    blur, sharpened = lens
    step = pixels(size / count)
    centre = (np.arange(side, dtype=np.float32)[:, None] + 0.5 - pixels(offset)) * step
    centre = np.clip(centre, 0.5, size - 0.5)
    apart = (centre - np.arange(size, dtype=np.float32) - 0.5) / step
    sharp = gaussian(apart, np.sqrt(pixels(blur) ** 2 + 1 / 12))
    soft = gaussian(apart, pixels(blur) + 0.8)
    see = sharp + pixels(sharpened) * (sharp - soft)
    centre = (np.arange(size, dtype=np.float32)[:, None] + 0.5) / step + pixels(offset)
    enlarge = cubic(np.abs(centre - np.arange(side, dtype=np.float32) - 0.5))
    enlarge /= enlarge.sum(2, keepdims=True)
    return see[:, None], enlarge[:, None]


def halved(see: np.ndarray, enlarge: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The matrices of a sensor with half the pixels: the mean of two, interpolated linearly."""
    side = see.shape[2]
    pairs = np.kron(np.eye(side // 2), np.ones(2)).astype(np.float32)
    apart = (np.arange(side)[:, None] - 0.5) / 2 - np.arange(side // 2)
    near = np.maximum(0, 1 - np.abs(apart)).astype(np.float32)
    near /= near.sum(1, keepdims=True)
    return pairs / 2 @ see, enlarge @ near


def gaussian(apart: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Weights that add up to 1 along the last axis."""
    weight = np.exp(-0.5 * (apart / sigma) ** 2)
    return weight / weight.sum(-1, keepdims=True)


def cubic(apart: np.ndarray) -> np.ndarray:
    """Keys's cubic kernel (1981, a = -1/2) at distances >= 0."""
    near = (1.5 * apart - 2.5) * apart**2 + 1
    far = ((2.5 - 0.5 * apart) * apart - 4) * apart + 2
    return np.where(apart < 1, near, np.where(apart < 2, far, 0))


@cache
def cosines(side: int) -> np.ndarray:
    """The orthonormal discrete cosine transform of each block of a line: (side, side)."""
    k = np.arange(BLOCK)
    block = np.cos(np.pi * (k + 0.5) * k[:, None] / BLOCK) * np.sqrt(2 / BLOCK)
    block[0] /= np.sqrt(2)
    return np.kron(np.eye(side // BLOCK), block).astype(np.float32)


@cache
def jpeg_steps(table: int, side: int) -> np.ndarray:
    """A table of steps for every block: (side, side), of light 0..1."""
    steps = np.array(STEPS[table].split(), np.float32).reshape(BLOCK, BLOCK) / 255
    return np.tile(steps, (side // BLOCK, side // BLOCK))
