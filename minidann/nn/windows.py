"""Windows that slide over an image: how many there are, and the border they need.

A window of k pixels that moves by s over an image of n pixels with p more at each end
of it fits

    (n + p_before + p_after - k) // s + 1        times.

Padding is said in one of three ways, as in TensorFlow and PyTorch:

    "valid"   p = 0: only windows that lie wholly inside
    "same"    ceil(n / s) windows; if the border is odd, the extra pixel comes after
    int p     p pixels on every side
"""

import numpy as np

from minidann.runtime.arrays import Array, array_module

Pair = tuple[int, int]  # (height, width), in pixels
Border = tuple[Pair, Pair]  # ((top, bottom), (left, right)), in pixels


def pair(value: int | Pair) -> Pair:
    """3 -> (3, 3); (3, 5) stays: one number stands for height and width alike."""
    height, width = (value, value) if isinstance(value, int | np.integer) else value
    return height, width


def shortest(value: Pair) -> int | Pair:
    """The inverse of ``pair``: (3, 3) -> 3; (3, 5) stays."""
    height, width = map(int, value)
    return height if height == width else (height, width)


def border(padding: str | int, image: Pair, window: Pair, stride: Pair) -> Border:
    """((top, bottom), (left, right)): the border pixels that ``padding`` asks for.

    ``image``, ``window`` and ``stride`` are (height, width) pairs, all in pixels.

    Raises
    ------
    ValueError
        If ``padding`` is none of "same", "valid" and an integer >= 0, or no window
        fits.
    """
    amounts: Border
    if padding == "same":
        height, width = (
            max((-(-n // s) - 1) * s + k - n, 0)
            for n, k, s in zip(image, window, stride)
        )
        amounts = (height // 2, height - height // 2), (width // 2, width - width // 2)
    elif padding == "valid":
        amounts = (0, 0), (0, 0)
    elif isinstance(padding, int | np.integer) and padding >= 0:
        amounts = (padding, padding), (padding, padding)
    else:
        raise ValueError(
            f'padding is {padding!r}; it must be "same", "valid" or an integer >= 0'
        )
    for n, k, (before, after) in zip(image, window, amounts):
        if n + before + after < k:
            raise ValueError(
                f"a window of {k} pixels does not fit an image side of {n} + "
                f"{before + after} of padding; use a smaller window"
            )
    return amounts


def count(image: Pair, window: Pair, stride: Pair) -> Pair:
    """(OH, OW): how many windows fit an image that has its border already."""
    out_h, out_w = ((n - k) // s + 1 for n, k, s in zip(image, window, stride))
    return out_h, out_w


def pixels(image: Array, window: Pair, stride: Pair) -> list:
    """Pixel (i, j) of every window at once, for each (i, j) in reading order.

    For an image (N, H, W, C) that has its border: KH KW views of it, (N, OH, OW, C).
    """
    (out_h, out_w), (s_h, s_w) = count(image.shape[1:3], window, stride), stride
    return [
        image[:, i : i + s_h * out_h : s_h, j : j + s_w * out_w : s_w]
        for i in range(window[0])
        for j in range(window[1])
    ]


def pad(x: Array, border: Border, value: float = 0) -> Array:
    """x (N, H, W, C) with a border of ``value``; x itself if there is none to add."""
    (top, bottom), (left, right) = border
    if not (top or bottom or left or right):
        return x
    n, h, w, c = x.shape
    padded = array_module(x).full(
        (n, top + h + bottom, left + w + right, c), value, dtype=x.dtype
    )
    padded[:, top : top + h, left : left + w] = x
    return padded


def crop(padded: Array, border: Border) -> Array:
    """The inverse of ``pad``, as a view."""
    (top, bottom), (left, right) = border
    return padded[:, top : padded.shape[1] - bottom, left : padded.shape[2] - right]
