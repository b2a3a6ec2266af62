"""Any two sets of digits as source and target: same shape, fixed splits, no target labels.

The paper trains on one set of images and tests on another. Before that, both need one size and
three channels, and each pixel its mean subtracted. Target labels are the answer that adaptation
must do without, so they stay in this function: it returns the target's test labels, to report
accuracy, and no other target labels unless ``oracle_labels=True`` says so.
"""

from typing import NamedTuple

import numpy as np

from minidann.data.mnist import Digits
from minidann.runtime.errors import InputError


class Domain(NamedTuple):
    """One domain: uint8 images (N, size, size, 3) and int64 labels (N,).

    ``y_train`` and ``y_valid`` are None for a target whose labels are not to be known. ``mean``
    float32 (3,) is what training subtracts from each channel, in 0..255; it is None if each image's
    own mean is subtracted. The difference is divided by ``scale``.
    """

    x_train: np.ndarray
    y_train: np.ndarray | None
    x_valid: np.ndarray
    y_valid: np.ndarray | None
    x_test: np.ndarray
    y_test: np.ndarray
    mean: np.ndarray | None
    scale: float = 255.0


def as_pair(
    source: Digits,
    target: Digits,
    *,
    size: int = 28,
    fit: str = "pad",
    mean: str = "domain",
    validation: float = 0.0,
    seed: int = 0,
    oracle_labels: bool = False,
) -> tuple[Domain, Domain]:
    """Bring two sets of digits to one form.

    Parameters
    ----------
    source, target : Digits
        uint8 images (N, H, W) or (N, H, W, 3) and labels.
    size : int
        Height and width of the result, in pixels.
    fit : "pad" or "resize"
        A smaller image gets a border of zeros (as in dann_tf2.0), or is enlarged by bicubic
        interpolation. A larger one is always reduced.
    mean : "domain", "standard", "joint" or "image"
        Which mean is to be subtracted: each domain's own, that of both training sets together, or
        each image's own. "standard" is "domain", and the difference is divided not by 255 but by
        its standard deviation over all training images of the domain, which gives the input a
        variance of 1.
    validation : float
        Share of each training set that is set apart, 0 <= validation < 1; ``seed`` alone decides
        which images.
    seed : int
    oracle_labels : bool
        Whether the target's training labels are returned: for training on the target, the upper
        bound, and nothing else.

    Returns
    -------
    (Domain, Domain)

    Raises
    ------
    InputError
        For other values of ``fit``, ``mean`` or ``validation``, or arrays that are not images.
    """
    if fit not in ("pad", "resize") or mean not in ("domain", "standard", "joint", "image"):
        raise InputError(
            f'fit is {fit!r} and mean is {mean!r}; fit must be "pad" or "resize", '
            'mean "domain", "standard", "joint" or "image"'
        )
    if not 0 <= validation < 1:
        raise InputError(
            f"the validation share is {validation}; it must be at least 0 and less than 1"
        )
    domains = (
        split(source, size, fit, validation, seed, known=True),
        split(target, size, fit, validation, seed, known=oracle_labels),
    )
    if mean == "domain":
        return domains
    if mean == "standard":
        first, second = (domain._replace(scale=deviation(domain.x_train)) for domain in domains)
        return first, second
    common = joint_mean(*domains) if mean == "joint" else None
    return domains[0]._replace(mean=common), domains[1]._replace(mean=common)


def split(digits: Digits, size: int, fit: str, validation: float, seed: int, known: bool) -> Domain:
    """One domain of :func:`as_pair`; without the training labels unless they are ``known``."""
    x_train, x_test = (reshape_images(x, size, fit) for x in (digits.x_train, digits.x_test))
    order = np.random.default_rng(seed).permutation(len(x_train))
    valid, train = (np.sort(rows) for rows in np.split(order, [int(validation * len(order))]))
    y_train, y_valid = (digits.y_train[rows] if known else None for rows in (train, valid))
    x_train, x_valid = x_train[train], x_train[valid]
    mean = channel_mean(x_train)
    return Domain(x_train, y_train, x_valid, y_valid, x_test, digits.y_test, mean)


def balanced(domain: Domain) -> Domain:
    """The domain with images of rarer classes repeated: every class as often as the commonest.

    Batches then show all classes equally often. A domain head could otherwise tell two domains
    apart by which classes are frequent in each, and features that hide that from it mix up classes
    (Zhao et al., *On learning invariant representations for domain adaptation*, 2019).

    Raises
    ------
    ValueError
        If the domain has no training labels.
    """
    x, y = domain.x_train, domain.y_train
    if y is None:
        raise ValueError("a domain without training labels cannot be balanced")
    classes, counts = np.unique(y, return_counts=True)
    rows = np.concatenate([np.resize(np.flatnonzero(y == k), counts.max()) for k in classes])
    return domain._replace(x_train=x[rows], y_train=y[rows])


def channel_mean(x: np.ndarray) -> np.ndarray:
    """The mean of each channel of uint8 images (N, H, W, 3): float32 (3,)."""
    return x.mean(axis=(0, 1, 2), dtype=np.float64).astype(np.float32)


def deviation(x: np.ndarray) -> float:
    """The standard deviation of uint8 images (N, H, W, 3) about the mean of each channel."""
    counts = np.stack([np.bincount(x[..., c].ravel(), minlength=256) for c in range(3)])  # (3, 256)
    squares = (np.arange(256) - channel_mean(x)[:, None]) ** 2  # of each value a pixel can have
    return float(np.sqrt(np.average(squares, weights=counts)))


def joint_mean(source: Domain, target: Domain) -> np.ndarray:
    """The mean of each channel over both training sets: float32 (3,)."""
    counts = [len(source.x_train), len(target.x_train)]
    return np.average([source.mean, target.mean], axis=0, weights=counts).astype(np.float32)


def reshape_images(x: np.ndarray, size: int, fit: str) -> np.ndarray:
    """uint8 (N, H, W) or (N, H, W, 3) -> (N, size, size, 3)."""
    if x.dtype != np.uint8 or x.ndim not in (3, 4) or x.shape[3:] not in ((), (3,)):
        raise InputError(
            f"the images are an array of {x.dtype} of shape {x.shape}; "
            "they must be uint8, (N, H, W) or (N, H, W, 3)"
        )
    if x.ndim == 3:
        x = np.repeat(x[..., None], 3, axis=3)
    height, width = x.shape[1:3]
    if (height, width) == (size, size):
        return x
    if fit == "pad" and max(height, width) <= size:
        top, left = (size - height) // 2, (size - width) // 2
        return np.pad(x, [(0, 0), (top, size - height - top), (left, size - width - left), (0, 0)])
    return np.stack([resized(image, size) for image in x])


def resized(image: np.ndarray, size: int) -> np.ndarray:
    """uint8 (H, W, 3) -> (size, size, 3), by bicubic interpolation."""
    from PIL import Image  # slow to import

    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))
