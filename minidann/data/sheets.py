"""Contact sheets: pictures of what is in a data set.

    python -m minidann.data show mnist svhn synth --out sheet.png

Digits, drawn at random from the training set, stand in a column for each label; with more than ten
labels the columns are shorter and stand in several rows. Photographs are shown as thumbnails,
points in the plane, reviews as a matrix of which words occur in which review.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from minidann.data.amazon_reviews import Reviews
from minidann.data.mnist import Digits
from minidann.data.store import PathLike
from minidann.data.toy import Points
from minidann.runtime.errors import InputError
from minidann.runtime.files import replacing

FORMATS = ("png", "jpg", "jpeg", "pdf", "svg", "tif", "tiff", "webp")  # no other program needed
ROWS = 8  # images in a column
WIDEST = 15  # columns that stand side by side
MARKERS, COLOURS = ("o", "^"), ("#0072b2", "#d55e00")


def show(
    names: Sequence[str], out: PathLike, data_dir: PathLike | None = None, seed: int = 0
) -> None:
    """Write a sheet of the named data sets to ``out``.

    Parameters
    ----------
    names : list of str
        Of :data:`minidann.data.registry.DATASETS`.
    out : path
        A picture; the suffix says which format.
    data_dir : path, optional
        See :mod:`minidann.data.store`.
    seed : int
        Chooses the images.

    Raises
    ------
    InputError
        If a data set is missing or damaged, or the suffix is of no picture.
    """
    from minidann.data.registry import DATASETS

    check_suffix(Path(out))

    drawn = [(DATASETS[name].title, DATASETS[name].load(data_dir)) for name in names]
    figure = Figure(figsize=(4.6 * len(drawn), 4.4), layout="constrained")
    for axis, (title, data) in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn):
        draw(axis, data, np.random.default_rng(seed))
        axis.set_title(textwrap.fill(title, 52), fontsize=10)
    with replacing(out) as temporary:
        figure.savefig(temporary, dpi=130)


def check_suffix(out: Path) -> None:
    """Refuse a file whose suffix is of no picture, before anything is read.

    Raises
    ------
    InputError
        Lists the suffixes.
    """
    if out.suffix[1:].lower() not in FORMATS:
        raise InputError(
            f"{out} does not say which kind of picture it is to be; let it end in one of "
            f"{', '.join(f'.{name}' for name in FORMATS)}"
        )


def draw(axis: Axes, data: Any, rng: np.random.Generator) -> None:
    """One data set, whatever it is."""
    if isinstance(data, Digits):
        draw_digits(axis, data.x_train, data.y_train, rng)
    elif isinstance(data, tuple) and isinstance(data[0], Points):
        draw_points(axis, data)
    elif isinstance(data, list):
        draw_photographs(axis, data, rng)
    else:
        draw_reviews(axis, data)


def draw_digits(axis: Axes, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> None:
    """A column for each label."""
    x = x if x.ndim == 4 else np.repeat(x[..., None], 3, axis=3)
    labels = max(10, int(y.max()) + 1)
    bands = -(-labels // WIDEST)
    across, down = -(-labels // bands), ROWS // bands
    columns = [column(x[y == label], down, rng) for label in range(bands * across)]
    rows = [columns[start : start + across] for start in range(0, bands * across, across)]
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    axis.imshow(sheet, interpolation="nearest")
    height, width = x.shape[1:3]
    axis.set(xticks=width * (np.arange(across) + 0.5), xticklabels=range(across), yticks=[])
    if bands > 1:  # the labels of a lower row would be nowhere
        axis.set_xticks([])
        for label in range(labels):
            row, place = divmod(label, across)
            corner = (width * (place + 0.06), height * (down * row + 0.06))
            box = {"facecolor": "white", "pad": 0.8, "linewidth": 0}
            axis.text(*corner, str(label), fontsize=5, va="top", bbox=box)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def column(x: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """n of the images x (N, H, W, 3), drawn at random, one below the other; white if N = 0."""
    if not len(x):
        return np.full((n * x.shape[1], *x.shape[2:]), 255, np.uint8)
    return np.concatenate(x[rng.choice(len(x), n, replace=len(x) < n)])


def draw_photographs(
    axis: Axes,
    photographs: Sequence[np.ndarray],
    rng: np.random.Generator,
    side: int = 5,
    pixels: int = 120,
) -> None:
    """Square thumbnails of ``pixels`` a side, in ``side`` rows and columns."""
    chosen = rng.choice(len(photographs), side * side, replace=len(photographs) < side * side)
    thumbnails = []
    for i in chosen:
        height, width = photographs[i].shape[:2]
        edge = min(height, width)
        square = Image.fromarray(photographs[i]).crop(
            ((width - edge) // 2, (height - edge) // 2, (width + edge) // 2, (height + edge) // 2)
        )
        thumbnails.append(np.asarray(square.resize((pixels, pixels))))
    rows = [thumbnails[row * side : (row + 1) * side] for row in range(side)]
    axis.imshow(np.concatenate([np.concatenate(row, axis=1) for row in rows]))
    axis.axis("off")


def draw_points(axis: Axes, domains: Sequence[Points]) -> None:
    """Source filled, target open; the class by shape and colour."""
    for domain, points in zip(("source", "target"), domains):
        for label, (marker, colour) in enumerate(zip(MARKERS, COLOURS)):
            x = points.x[points.y == label]
            axis.scatter(
                x[:, 0],
                x[:, 1],
                marker=marker,
                s=14,
                edgecolors=colour,
                facecolors=colour if domain == "source" else "none",
                label=f"{domain}, class {label}",
            )
    axis.legend(frameon=False, fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.08))
    axis.set_aspect("equal")


def draw_reviews(axis: Axes, reviews: Reviews, rows: int = 120, words: int = 300) -> None:
    """Which of the commonest words occur in which review; negative ones above, positive below."""
    order = np.argsort(reviews.y_train[:rows], kind="stable")
    x = reviews.x_train[:rows]
    x = x if isinstance(x, np.ndarray) else x.toarray()
    common = np.argsort(-(x > 0).sum(axis=0), kind="stable")[:words]
    axis.imshow(x[order][:, common] > 0, aspect="auto", cmap="Greys", interpolation="nearest")
    axis.axhline(np.sum(reviews.y_train[:rows] == 0) - 0.5, color=COLOURS[1])
    axis.set(
        xlabel=f"the {words} commonest words and pairs of words",
        ylabel=f"{rows} reviews: negative above, positive below",
        xticks=[],
        yticks=[],
    )
