"""Windows that slide over an image: how many there are, and the border they need.

A window of k pixels that moves by s over an image of n pixels with p more at each end
of it fits

    (n + p_before + p_after - k) // s + 1        times.

Padding is said in one of three ways, as in TensorFlow and PyTorch:

    "valid"   p = 0: only windows that lie wholly inside
    "same"    ceil(n / s) windows; an odd number of border pixels puts the extra one after
    int p     p pixels on every side
"""

from numbers import Integral

from minidann.runtime.arrays import array_module


def pair(value):
    """3 -> (3, 3); (3, 5) stays: one number stands for height and width alike."""
    return (value, value) if isinstance(value, Integral) else tuple(value)


def border(padding, image, window, stride):
    """((top, bottom), (left, right)): the border pixels that ``padding`` asks for.

    ``image``, ``window`` and ``stride`` are (height, width) pairs, all in pixels.

    Raises
    ------
    ValueError
        If ``padding`` is none of "same", "valid" and an integer >= 0, or no window
        fits.
    """
    if padding == "same":
        total = [
            max((-(-n // s) - 1) * s + k - n, 0)
            for n, k, s in zip(image, window, stride)
        ]
        amounts = tuple((t // 2, t - t // 2) for t in total)
    elif padding == "valid":
        amounts = ((0, 0), (0, 0))
    elif isinstance(padding, Integral) and padding >= 0:
        amounts = ((padding, padding), (padding, padding))
    else:
        raise ValueError(
            f'padding is {padding!r}; it must be "same", "valid" or an integer >= 0'
        )
    for n, k, (before, after) in zip(image, window, amounts):
        if n + before + after < k:
            raise ValueError(
                f"a window of {k} pixels does not fit an image side of {n} + {before + after} of padding; use a smaller window"
            )
    return amounts


def count(image, window, stride):
    """(out_h, out_w): how many windows fit an image that has its border already."""
    return tuple((n - k) // s + 1 for n, k, s in zip(image, window, stride))


def pad(x, amounts, value=0):
    """x (N, H, W, C) with a border of ``value``; a new array, unless there is nothing to add."""
    (top, bottom), (left, right) = amounts
    if not (top or bottom or left or right):
        return x
    n, h, w, c = x.shape
    padded = array_module(x).full(
        (n, h + top + bottom, w + left + right, c), value, dtype=x.dtype
    )
    padded[:, top : top + h, left : left + w] = x
    return padded


def crop(padded, amounts):
    """The inverse of ``pad``, as a view."""
    (top, bottom), (left, right) = amounts
    return padded[:, top : padded.shape[1] - bottom, left : padded.shape[2] - right]
