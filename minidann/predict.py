"""What a trained network says of images: the class, and how probable it is.

    python -m minidann.predict runs/mnistm/model.npz seven.png             the most probable class
    python -m minidann.predict runs/mnistm/model.npz *.jpg --top 3         the three most probable

The model is a file of :meth:`minidann.dann.DANN.save`, which the programs for images write beside
their results. It says how its images were prepared; new ones are prepared likewise, whatever their
size.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minidann.dann import DANN
from minidann.data.photographs import LARGEST_PHOTOGRAPH, as_shown, decode
from minidann.data.preprocessing import ImagePreparation
from minidann.data.store import read
from minidann.runtime.command import clear_errors, positive, user_path
from minidann.runtime.errors import InputError


def load_classifier(path: Path) -> tuple[DANN, ImagePreparation, list[str]]:
    """A network for images out of a file, how its images are prepared, and its classes' names.

    Raises
    ------
    InputError
        If the file is no saved network, or one that does not take images.
    """
    dann = DANN.load(path)
    if dann.preparation is None:
        raise InputError(
            f"{path} does not say how images are prepared for it, so it is for something else; "
            "name a model of a program for images, such as that of python -m minidann.mnistm"
        )
    preparation = ImagePreparation.from_dict(dann.preparation)
    blank = np.zeros((1, preparation.size, preparation.size, 3), np.uint8)
    try:
        classes = dann.predict_proba(preparation(blank)).shape[1]
    except (ValueError, IndexError) as error:
        raise InputError(
            f"{path} is a network that cannot take the images of {preparation.size} pixels that it "
            f"says it takes ({error})"
        ) from error
    names = dann.class_names or [str(number) for number in range(classes)]
    if len(names) != classes:
        raise InputError(f"{path} has {len(names)} class names for {classes} classes")
    return dann, preparation, names


def read_image(path: Path) -> np.ndarray:
    """A PNG or JPEG file as viewers show it: uint8 (H, W, 3).

    Turned upright as the camera was held, and over white where it is transparent.

    Raises
    ------
    InputError
        If it cannot be read, is damaged, of another format or larger than 50 million pixels.
    """
    content = read(path, LARGEST_PHOTOGRAPH, "give another image")
    return decode(content, path, convert=as_shown)


def most_probable(
    dann: DANN, preparation: ImagePreparation, names: Sequence[str], image: np.ndarray, top: int = 1
) -> list[tuple[str, float]]:
    """(class, probability) of the ``top`` most probable classes of an image, uint8 (H, W, 3)."""
    (probabilities,) = dann.predict_proba(preparation(preparation.fit_image(image)[None]))
    order = np.argsort(-probabilities, kind="stable")[:top]
    return [(names[k], float(probabilities[k])) for k in order]


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m minidann.predict",
        allow_abbrev=False,
        description="Print what a trained network says of images: file, class, probability.",
        epilog="Each image is turned upright as the camera was held, put on white where it is "
        "transparent, reduced to the size that the network was trained on (28 pixels for MNIST), "
        "its aspect ratio kept, put in the middle of a square of its own border's colour, and then "
        "centred and scaled by the numbers that the model was saved with. The probability is what "
        "the network believes, not how often it is right: far from its training images it may be "
        "sure and wrong. A file that cannot be read is named, the others are predicted, and the "
        "exit status is 1.",
    )
    parser.add_argument(
        "model", type=user_path, help="a model.npz that a program has written, or DANN.save"
    )
    parser.add_argument(
        "images", type=user_path, nargs="+", metavar="image", help="PNG or JPEG files of any size"
    )
    parser.add_argument(
        "--top",
        type=positive,
        default=1,
        metavar="K",
        help="the K most probable classes of each image, a line each (default: %(default)s)",
    )
    return parser.parse_args(argv)


@clear_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Print the most probable classes of each image."""
    args = parse(argv)
    dann, preparation, names = load_classifier(args.model)
    widths = [max(len(str(text)) for text in texts) for texts in (args.images, names)]
    failed = False
    for path in args.images:
        try:
            answers = most_probable(dann, preparation, names, read_image(path), args.top)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            failed = True
            continue
        for name, probability in answers:
            print(f"{path!s:<{widths[0]}}  {name:<{widths[1]}}  {probability:.3f}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
