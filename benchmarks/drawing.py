"""How near the drawn house numbers are to SVHN's photographs, measured without a label.

    python -m benchmarks.drawing --data-dir DIR       a table, and how well a line tells them apart

A row of the table is a statistic of an image: its quartiles over the images of either set, and how
far they are apart, in standard deviations of SVHN's (the mean difference of sorted values). Below
stands the accuracy, cross-validated, of a linear classifier that is to tell the sets apart, by
these statistics and by the main components of the pixels and of their edges: 0.5 where it can only
guess. Of SVHN only training images are used, and no labels.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from scipy import ndimage
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minidann.data import load_svhn, make_synth_digits
from minidann.data.house_camera import LUMA
from minidann.runtime.command import clear_errors
from minidann.runtime.errors import InputError

CHUNKS = 5  # of the cross-validation; SVHN's digits of one house lie side by side, in one chunk
LEAST = 100  # images of each set, more than there are components
COMPONENTS = 60  # of the pixels, and of their edges
BANDS = (0, 1.5, 3, 5, 8, 12, 23)  # waves in an image: octaves, more or less
MIDDLE = slice(8, 24)  # the labelled digit's rows and columns


def measure(x: np.ndarray) -> dict[str, np.ndarray]:
    """Statistics of images uint8 (n, 32, 32, 3), each (n,), by name."""
    rgb = x.astype(np.float32) / 255
    grey = rgb @ LUMA
    blue, red = (rgb[..., channel] - grey for channel in (2, 0))
    spread = grey.std((1, 2)) + 0.01
    chroma = np.hypot(blue, red)
    flat = grey.reshape(len(grey), -1)
    dark, light = np.quantile(flat, (0.05, 0.95), axis=1)
    central = grey[:, MIDDLE, MIDDLE]
    found = {
        "luminance": grey.mean((1, 2)),
        "luminance of the darkest pixels": dark,
        "luminance of the lightest pixels": light,
        "contrast": spread,
        "contrast of the middle": central.std((1, 2)),
        "light on dark": np.sign(skew(central)),
        "skewness": skew(grey),
        "colour": chroma.mean((1, 2)),
        "spread of colour": chroma.std((1, 2)),
        "blue": blue.mean((1, 2)),
        "red": red.mean((1, 2)),
        "spread of blue": blue.std((1, 2)),
        "spread of red": red.std((1, 2)),
        "blue on luminance": slope(grey, blue),
        "red on luminance": slope(grey, red),
        "red on blue": slope(blue, red),
        "middle less border": (central.mean((1, 2)) - border(grey).mean(1)) / spread,
        "contrast of the border": border(grey).std(1) / spread,
    }
    return found | edges(grey, spread) | waves(grey, spread, chroma) | strokes(grey)


def slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How much y rises for each of x within an image, (n,), by least squares."""
    x = x - x.mean((1, 2), keepdims=True)
    return (x * y).mean((1, 2)) / ((x**2).mean((1, 2)) + 1e-5)


def skew(grey: np.ndarray) -> np.ndarray:
    """Third moment of pictures, (n,): positive for a few light pixels on a dark ground."""
    flat = grey.reshape(len(grey), -1)
    flat = flat - flat.mean(1, keepdims=True)
    return (flat**3).mean(1) / ((flat**2).mean(1) + 1e-4) ** 1.5


def border(grey: np.ndarray) -> np.ndarray:
    """The outermost two rows of (n, 32, 32), above and below, as (n, 128)."""
    return grey[:, [0, 1, -2, -1]].reshape(len(grey), -1)


def edges(grey: np.ndarray, spread: np.ndarray) -> dict[str, np.ndarray]:
    """Where the light changes, by how much, and which way."""
    down, right = np.gradient(grey, axis=(1, 2))
    length = np.hypot(down, right)
    angle = 0.5 * np.arctan2(
        -2 * (down * right).sum((1, 2)), (right**2 - down**2).sum((1, 2))
    )  # of the upright strokes, by the structure tensor
    place = np.arange(32, dtype=np.float32) - 15.5
    slopes = [
        np.abs((grey * p).mean((1, 2))) / (place**2).mean() * 32 for p in (place, place[:, None])
    ]
    columns, rows = (length**2).sum(1), (length**2).sum(2)
    return {
        "steepness of edges": length.mean((1, 2)) / spread,
        "the steepest edge": length.max((1, 2)) / spread,
        "concentration of edges": length.std((1, 2)) / (length.mean((1, 2)) + 1e-3),
        "upright edges": (right**2).sum((1, 2)) / ((length**2).sum((1, 2)) + 1e-4),
        "slant in degrees": np.rad2deg(angle),
        "steepness of slant": np.abs(np.rad2deg(angle)),
        "edges in the middle columns": columns[:, 8:24].sum(1) / (columns.sum(1) + 1e-4),
        "edges in the middle rows": rows[:, 6:26].sum(1) / (rows.sum(1) + 1e-4),
        "edges at the left and right": columns[:, [0, 1, 2, -3, -2, -1]].sum(1)
        / (columns.sum(1) + 1e-4),
        "edges at the top and bottom": rows[:, [0, 1, 2, -3, -2, -1]].sum(1) / (rows.sum(1) + 1e-4),
        "slope from left to right": slopes[0],
        "slope from top to bottom": slopes[1],
    }


def waves(grey: np.ndarray, spread: np.ndarray, chroma: np.ndarray) -> dict[str, np.ndarray]:
    """How much of the light's and colour's power lies where: coarse shapes, strokes, grain."""
    window = np.hanning(34)[1:-1]
    window = np.sqrt(np.outer(window, window)).astype(np.float32)
    frequency = np.fft.fftfreq(32, 1 / 32)
    radius = np.hypot(frequency, frequency[:, None])
    found = {}
    for name, picture in {"light": grey, "colour": chroma}.items():
        centred = picture - picture.mean((1, 2), keepdims=True)
        power = np.abs(np.fft.fft2(centred * window)) ** 2
        total = power.sum((1, 2)) + 1e-3
        for low, high in pairwise(BANDS):
            share = power[:, (radius >= low) & (radius < high)].sum(1) / total
            found[f"log10 of {name}, {low} to {high} waves"] = np.log10(share + 1e-5)
    fine = grey[:, 1:, 1:] - grey[:, :-1, 1:] - grey[:, 1:, :-1] + grey[:, :-1, :-1]
    noise = np.median(np.abs(fine.reshape(len(fine), -1)), axis=1)
    found["log10 of noise"] = np.log10(noise + 1e-4)
    for lag in (4, 8, 12):
        centred = grey - grey.mean((1, 2), keepdims=True)
        for name, a, b in (
            ("across", centred[:, :, lag:], centred[:, :, :-lag]),
            ("down", centred[:, lag:], centred[:, :-lag]),
        ):
            found[f"likeness {lag} pixels {name}"] = (a * b).mean((1, 2)) / spread**2
    return found


def strokes(grey: np.ndarray) -> dict[str, np.ndarray]:
    """The connected piece of ink nearest to the middle: how large, how thick, how far in."""
    rows = np.array([piece(image) for image in grey])
    names = (
        "height of the digit", "width of the digit", "width to height", "width of the stroke",
        "share of ink", "pieces of ink", "centre of the digit across", "centre of the digit down",
    )  # fmt: skip
    return dict(zip(names, rows.T, strict=True))


def piece(image: np.ndarray) -> tuple[float, ...]:
    """Of one image (32, 32): the statistics of :func:`strokes`."""
    ink = image > otsu(image)
    rim = np.concatenate([ink[0], ink[-1], ink[4:28, 0], ink[4:28, -1]])
    if rim.mean() > 0.5:
        ink = ~ink
    labels, count = ndimage.label(ink, np.ones((3, 3)))
    if not count:
        return (0.0,) * 8
    down, across = np.indices((32, 32)) - 15.5
    inside = np.exp(-(down**2 + across**2) / 60) * ink
    middle = labels == 1 + np.argmax(ndimage.sum_labels(inside, labels, np.arange(1, count + 1)))
    rows, columns = (np.flatnonzero(middle.any(axis)) for axis in (1, 0))
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    depth = ndimage.distance_transform_edt(np.pad(middle, 1))[1:-1, 1:-1]
    thick = 4 * depth[middle].mean()  # of a bar, the mean distance to its edge is a quarter
    pieces = (np.bincount(labels.ravel())[1:] > 12).sum()
    centre = (columns[-1] + columns[0]) / 2 - 15.5, (rows[-1] + rows[0]) / 2 - 15.5
    return height, width, width / height, thick, ink.mean(), pieces, *centre


def otsu(image: np.ndarray) -> float:
    """The threshold that parts the values (32, 32) best, by Otsu's method."""
    values = np.sort(image.ravel())
    below = np.arange(1, values.size)
    total = np.cumsum(values)
    means = total[:-1] / below, (total[-1] - total[:-1]) / (values.size - below)
    best = np.argmax(below * (values.size - below) * (means[1] - means[0]) ** 2)
    return (values[best] + values[best + 1]) / 2


def components(pictures: np.ndarray) -> np.ndarray:
    """(n, COMPONENTS), the main components of pictures (n, 32, 32), each brought to one scale."""
    flat = pictures.reshape(len(pictures), -1)
    flat = flat - flat.mean(1, keepdims=True)
    flat /= flat.std(1, keepdims=True) + 0.02
    return PCA(COMPONENTS, random_state=0).fit_transform(flat)


def told_apart(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Accuracies (CHUNKS,) of a linear classifier on images it was not fitted to."""
    n = min(len(first), len(second))
    x = np.empty((2 * n, 32, 32, 3), np.uint8)
    x[::2], x[1::2] = first[:n], second[:n]  # alternating, so that each chunk has as many of both
    grey = x @ LUMA / 255
    edge = np.hypot(*np.gradient(grey, axis=(1, 2)))
    features = np.column_stack([*measure(x).values(), components(grey), components(edge)])
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    return cross_val_score(classifier, features, np.arange(2 * n) % 2, cv=KFold(CHUNKS))


@clear_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Print the table and the accuracy."""
    args = parse(argv)
    if args.images < LEAST:
        raise InputError(f"--images {args.images} are too few to compare; give at least {LEAST}")
    photographs = load_svhn(args.data_dir).x_train[: args.images]
    drawn, _ = make_synth_digits(len(photographs), seed=args.seed, progress=False)
    report(photographs, drawn, print)
    return 0


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.drawing",
        allow_abbrev=False,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data-dir", metavar="DIR", help="folder that is searched first for SVHN")
    parser.add_argument(
        "--images", type=int, default=4000, help="of each set (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the drawing (default: %(default)s)")
    return parser.parse_args(argv)


def report(photographs: np.ndarray, drawn: np.ndarray, say: Callable[[str], None]) -> None:
    """Say what the sets have in common."""
    one, other = measure(photographs), measure(drawn)
    say(f"{len(photographs):,} images of each set; quartiles\n")
    say(f"{'':<34}{'SVHN':>26}{'drawn':>26}   apart")
    for name in one:
        quartiles = [np.quantile(values[name], (0.25, 0.5, 0.75)) for values in (one, other)]
        cells = ["".join(f"{value:8.3f}" for value in three) for three in quartiles]
        scale = one[name].std() + 1e-6
        apart = np.abs(np.sort(one[name]) - np.sort(other[name])).mean() / scale
        say(f"{name:<34}{cells[0]:>26}{cells[1]:>26}{apart:8.2f}")
    accuracies = told_apart(photographs, drawn)
    say(f"\ntold apart by a linear classifier: {accuracies.mean():.3f} +- {accuracies.std():.3f}")


if __name__ == "__main__":
    sys.exit(main())
