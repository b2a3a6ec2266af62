"""Any two sets of digits as source and target: one shape, fixed splits, and no target labels for training.

The paper trains on one set of images and tests on another; before that both must have one size and
three channels, and each pixel its mean taken away. Target labels are the answer that adaptation
must do without, so they stay in this function: what it returns has the target's test labels, to
report accuracy, and no others, unless ``oracle_labels=True`` says otherwise.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

from minidann.runtime.errors import InputError


class Domain(NamedTuple):
    """One domain: uint8 images (N, size, size, 3) and int64 labels (N,).

    ``y_train`` and ``y_valid`` are None for a target whose labels are not to be known. ``mean``
    float32 (3,) is what training subtracts from each channel, in 0..255; None if that is each
    image's own.
    """

    x_train: np.ndarray
    y_train: np.ndarray | None
    x_valid: np.ndarray
    y_valid: np.ndarray | None
    x_test: np.ndarray
    y_test: np.ndarray
    mean: np.ndarray | None


def as_pair(
    source,
    target,
    *,
    size=28,
    fit="pad",
    mean="domain",
    validation=0.0,
    seed=0,
    oracle_labels=False,
):
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
    mean : "domain", "joint" or "image"
        Whether each domain's own mean is to be subtracted, that of both training sets together, or
        each image's own.
    validation : float
        Share of each training set that is set apart, 0 <= validation < 1; which images is a matter
        of ``seed`` alone.
    seed : int
    oracle_labels : bool
        Whether the target's training labels are returned: for training on the target, the ceiling,
        and nothing else.

    Returns
    -------
    (Domain, Domain)

    Raises
    ------
    InputError
        For other values of ``fit``, ``mean`` or ``validation``, or images that are no images.
    """
    if fit not in ("pad", "resize") or mean not in ("domain", "joint", "image"):
        raise InputError(
            f'fit is {fit!r} and mean is {mean!r}; fit must be "pad" or "resize", mean "domain", "joint" or "image"'
        )
    if not 0 <= validation < 1:
        raise InputError(
            f"the validation share is {validation}; it must be at least 0 and less than 1"
        )
    domains = []
    for digits, known in ((source, True), (target, oracle_labels)):
        x_train, x_test = (reshape_images(x, size, fit) for x in (digits.x_train, digits.x_test))
        order = np.random.default_rng(seed).permutation(len(x_train))
        valid, train = np.split(order, [int(validation * len(order))])
        labels = [digits.y_train[np.sort(rows)] if known else None for rows in (train, valid)]
        x_train, x_valid = x_train[np.sort(train)], x_train[np.sort(valid)]
        domains.append(
            Domain(
                x_train, labels[0], x_valid, labels[1], x_test, digits.y_test, channel_mean(x_train)
            )
        )
    if mean == "domain":
        return tuple(domains)
    if mean == "image":
        return tuple(domain._replace(mean=None) for domain in domains)
    counts = [len(domain.x_train) for domain in domains]
    joint = np.average([domain.mean for domain in domains], axis=0, weights=counts).astype(
        np.float32
    )
    return tuple(domain._replace(mean=joint) for domain in domains)


def channel_mean(x):
    """The mean of each channel of uint8 images (N, H, W, 3): float32 (3,)."""
    return x.mean(axis=(0, 1, 2), dtype=np.float64).astype(np.float32)


def reshape_images(x, size, fit):
    """uint8 (N, H, W) or (N, H, W, 3) -> (N, size, size, 3)."""
    if x.dtype != np.uint8 or x.ndim not in (3, 4) or x.shape[3:] not in ((), (3,)):
        raise InputError(
            f"the images are an array of {x.dtype} of shape {x.shape}; they must be uint8, (N, H, W) or (N, H, W, 3)"
        )
    if x.ndim == 3:
        x = np.repeat(x[..., None], 3, axis=3)
    height, width = x.shape[1:3]
    if (height, width) == (size, size):
        return x
    if fit == "pad" and max(height, width) <= size:
        top, left = (size - height) // 2, (size - width) // 2
        return np.pad(x, [(0, 0), (top, size - height - top), (left, size - width - left), (0, 0)])
    return np.stack(
        [
            np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))
            for image in x
        ]
    )
