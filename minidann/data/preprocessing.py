"""Images as they are stored, bytes, to network input, float32.

    joint or domain mean:     x -> (x - mean_c) / 255               mean_c of training images
    standard:                 x -> (x - mean_c) / sd                sd of those less mean_c
    each image's own mean:    x -> (x - mean_c) / sqrt(var + 1)     mean_c and var of that image

An :class:`ImagePreparation` says which, in a form that a file can hold, so that whoever loads a
trained network prepares new images as those that it was trained on.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from minidann.data.pairs import Domain
from minidann.runtime.arrays import Array, array_module, fused, to_device_of
from minidann.runtime.errors import InputError

LARGEST_SIZE = 1024  # pixels of a side that a network's input may have
BYTE = np.float32(255)


@fused
def normalize(x: Array, mean: Array, scale: np.float32 = BYTE) -> Array:
    """uint8 (N, H, W, 3) -> float32, minus the mean of each channel, (3,), divided by the scale."""
    return (x - mean) / scale


def standardize(x: Array) -> Array:
    """Give every image a mean of 0 in each channel and a variance of 1 over all of them.

    Brightness and contrast are then no longer a difference between two domains; "instance
    normalization" of the input in Shu et al., *A DIRT-T approach to unsupervised domain adaptation*
    (2018).

    Parameters
    ----------
    x : array (N, H, W, 3)
        0..255.

    Returns
    -------
    float32 array (N, H, W, 3)
    """
    x = x.astype(np.float32)
    x -= x.mean(axis=(1, 2), keepdims=True)
    variance = (x * x).mean(axis=(1, 2, 3), keepdims=True)
    x *= 1 / array_module(x).sqrt(variance + 1)  # + one grey level: an empty image has none
    return x


def preparation(domain: Domain, transfer: Callable[[Array], Array]) -> Callable:
    """The function that makes network input of a domain's stored images.

    Parameters
    ----------
    domain : Domain
        Its mean and its scale count.
    transfer : function
        Takes arrays to the device; see :func:`minidann.runtime.device.transfer_to`.
    """
    mean = None if domain.mean is None else transfer(domain.mean)
    return _Preparation(mean, np.float32(domain.scale), transfer)


@dataclass(frozen=True, eq=False)
class _Preparation:
    """What :func:`preparation` returns."""

    mean: Array | None
    scale: np.float32
    transfer: Callable[[Array], Array]
    repeatable: ClassVar[bool] = True  # no chance in it: predict may use it, too

    def __call__(self, images: Array) -> Array:
        x = self.transfer(images)
        return standardize(x) if self.mean is None else normalize(x, self.mean, self.scale)


@dataclass(frozen=True)
class ImagePreparation:
    """How images of any size become the input of a network.

    Attributes
    ----------
    size : int
        Height and width of the input, in pixels.
    mean : (float, float, float) or "image"
        What is subtracted from each channel, in 0..255; ``"image"`` is each image's own mean, and
        the image is divided by its own standard deviation too.
    fit : "pad" or "resize"
        Whether a smaller image keeps its scale or is enlarged; see :meth:`fit_image`.
    scale : float
        What the difference from such a mean is divided by.

    Raises
    ------
    InputError
        For other values.
    """

    size: int
    mean: tuple[float, float, float] | str
    fit: str = "pad"
    scale: float = 255.0
    repeatable: ClassVar[bool] = True  # no chance in it: predict may use it, too

    def __post_init__(self) -> None:
        if not (type(self.size) is int and 1 <= self.size <= LARGEST_SIZE):
            raise InputError(
                f"the size of images is {self.size!r}; it must be from 1 to {LARGEST_SIZE} pixels"
            )
        if self.mean != "image":
            if not is_mean(self.mean):
                raise InputError(
                    f'the mean of images is {self.mean!r}; it must be three numbers or "image"'
                )
            object.__setattr__(self, "mean", tuple(map(float, self.mean)))
        if self.fit not in ("pad", "resize"):
            raise InputError(f'fit is {self.fit!r}; it must be "pad" or "resize"')
        if not (type(self.scale) is float and math.isfinite(self.scale) and self.scale > 0):
            raise InputError(f"the scale of images is {self.scale!r}; it must be above 0")

    @classmethod
    def of(cls, domain: Domain, fit: str = "pad") -> "ImagePreparation":
        """That of a :class:`minidann.data.pairs.Domain`.

        ``fit`` is what :func:`minidann.data.as_pair` was given.
        """
        mean = "image" if domain.mean is None else tuple(domain.mean.tolist())
        return cls(domain.x_test.shape[1], mean, fit, domain.scale)

    def __call__(self, images: Array) -> Array:
        """Network input of images (N, size, size, 3) of 0..255, where they live: float32."""
        if self.mean == "image":
            return standardize(images)
        mean = to_device_of(images, np.array(self.mean, np.float32))
        return normalize(images, mean, np.float32(self.scale))

    def fit_image(self, image: np.ndarray) -> np.ndarray:
        """One uint8 image (H, W, 3) brought to uint8 (size, size, 3).

        The aspect ratio is kept. A larger image is reduced until its longer side is ``size``; a
        smaller one is enlarged likewise, unless ``fit`` is "pad". It is put in the middle, on the
        median colour of its own border pixels. An image of the right size stays as it is.
        """
        from PIL import Image  # slow to import

        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise InputError(
                f"the image is an array of {image.dtype} of shape {image.shape}; it must be uint8, "
                "(H, W, 3)"
            )
        scale = self.size / max(image.shape[:2])
        if self.fit == "pad":
            scale = min(scale, 1.0)
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        edge = [image[0], image[-1], image[:, 0], image[:, -1]]
        fitted = np.empty((self.size, self.size, 3), np.uint8)
        fitted[...] = np.median(np.concatenate(edge), axis=0)
        if (height, width) != image.shape[:2]:
            resized = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
            image = np.asarray(resized)
        top, left = (self.size - height) // 2, (self.size - width) // 2
        fitted[top : top + height, left : left + width] = image
        return fitted

    def to_dict(self) -> dict[str, Any]:
        """In values that JSON can hold, for :meth:`minidann.dann.DANN.save`."""
        mean = self.mean if self.mean == "image" else list(self.mean)
        return {"kind": "image"} | asdict(self) | {"mean": mean}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ImagePreparation":
        """The inverse of :meth:`to_dict`.

        Raises
        ------
        InputError
            If the values are not such a dictionary.
        """
        values = {"scale": 255.0, **values}  # files of 0.1 name none
        if values.keys() != {"kind", "size", "mean", "fit", "scale"} or values["kind"] != "image":
            raise InputError(f"{str(dict(values))[:80]} says of no images how they are prepared")
        mean = tuple(values["mean"]) if isinstance(values["mean"], list) else values["mean"]
        return cls(values["size"], mean, values["fit"], values["scale"])


def is_mean(mean: Any) -> bool:
    """Whether a value is three finite numbers."""
    return (
        isinstance(mean, tuple | list)
        and len(mean) == 3
        and all(isinstance(c, int | float) and math.isfinite(c) for c in mean)
    )
