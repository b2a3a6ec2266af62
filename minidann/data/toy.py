"""Two-dimensional toy domains."""

from typing import NamedTuple

import numpy as np


class Points(NamedTuple):
    """``x`` float32 (N, 2), ``y`` int64 (N,)."""

    x: np.ndarray
    y: np.ndarray


def make_blobs_pair(
    n: int = 300, *, seed: int = 0, cluster_std: float = 0.2
) -> tuple[Points, Points]:
    """(source, target) of tf-dann's Blobs: two classes each, the target moved down and right.

        source    class 0 around (0, 0), class 1 around (0, 1)
        target    class 0 around (1, -1), class 1 around (1, 0)

    In the source y > 1/2 separates the classes, and so, a little less sharply, does a x + y > 1/2
    for any small a. On the target only a = 1 separates them, for x + y is the one such direction in
    which the two domains coincide.

    Parameters
    ----------
    n : int
        Points in each domain.
    seed : int
    cluster_std : float
        Standard deviation of a blob in each direction.

    Returns
    -------
    (Points, Points)
    """
    from sklearn.datasets import make_blobs  # takes most of a second to import

    rng = np.random.RandomState(seed)  # make_blobs takes no Generator
    source, target = (
        make_blobs(n, centers=centers, cluster_std=cluster_std, random_state=rng)
        for centers in ([[0, 0], [0, 1]], [[1, -1], [1, 0]])
    )
    return points(*source), points(*target)


def make_moons_pair(
    n: int = 300, *, seed: int = 0, degrees: float = 35.0, noise: float = 0.05
) -> tuple[Points, Points]:
    """(source, target) of the paper's inter-twinning moons, two half circles that interlock.

    The source is centred and doubled; the target is another draw of it, turned counter-clockwise
    around the origin.

    Parameters
    ----------
    n : int
        Points in each domain, half of them in each moon; the paper has 150 in each moon.
    seed : int
    degrees : float
        The paper turns by 35.
    noise : float
        Standard deviation of a point's place in each direction, before doubling.

    Returns
    -------
    (Points, Points)
    """
    from sklearn.datasets import make_moons  # takes most of a second to import

    rng = np.random.RandomState(seed)  # make_moons takes no Generator
    (x_source, y_source), (x_target, y_target) = (
        make_moons(n, noise=noise, random_state=rng) for _ in range(2)
    )
    centre = np.array([0.5, 0.25])  # of the moons without noise
    angle = np.deg2rad(degrees)
    turn = np.array(  # for points that are rows
        [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    )
    source = points(2 * (x_source - centre), y_source)
    return source, points(2 * (x_target - centre) @ turn, y_target)


def points(x: np.ndarray, y: np.ndarray) -> Points:
    """Points in the types that training takes."""
    return Points(x.astype(np.float32), y.astype(np.int64))
