"""A trained DANN in a file: its architecture, its arrays, and what prediction needs.

The file is an .npz of plain arrays (see ``minidann.runtime.npz``):
``"architecture"`` is a text, the others are the ``state_dict`` of the DANN, such as
``"features.0.W"``. Nothing in it is unpickled or evaluated.
"""

import json
import math
from collections.abc import Mapping
from os import PathLike
from typing import Any

from minidann.nn.architecture import build, describe
from minidann.nn.layer import Layer
from minidann.runtime.errors import InputError
from minidann.runtime.npz import load_arrays, save_arrays
from minidann.runtime.state import State, as_text, from_text, part

TEXT = "architecture"
FORMAT = 1  # to be raised when older files can no longer be read
OPTIONS = (
    "reduction",
    "domain_weight",
    "preparation",
    "class_names",
)  # beside the networks


def write_model(
    path: str | PathLike,
    networks: Mapping[str, Layer],
    arrays: State,
    options: Mapping[str, Any],
) -> None:
    """Save networks by name, their arrays and other values that JSON can hold.

    Raises
    ------
    InputError
        If a layer is not one of minidann's own, or an option is nothing that JSON can
        hold.
    """
    try:
        check_options(options)
        described = {name: describe(network) for name, network in networks.items()}
        text = as_text({"format": FORMAT, "networks": described, **options})
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path} was not written: {error}") from error
    save_arrays(path, {TEXT: text} | arrays)


def read_model(
    path: str | PathLike, names: tuple[str, ...]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The networks of these names in a file of :func:`write_model`, and the options.

    Raises
    ------
    InputError
        If the file is missing, damaged or not such a file.
    """
    try:
        arrays = load_arrays(path)
        if TEXT not in arrays:
            raise ValueError(f"it has no {TEXT}")
        options = from_text(arrays.pop(TEXT))
        if options.pop("format") != FORMAT:
            raise ValueError("it is of another version of minidann")
        described = options.pop("networks")
        networks = {name: build(described[name], part(arrays, name)) for name in names}
        if any(name.partition(".")[0] not in names for name in arrays):
            raise ValueError("it holds arrays of no network")
        check_options(options)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error})"
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = (
            error if isinstance(error, ValueError) else "its architecture is damaged"
        )
        raise InputError(
            f"{path} is not a saved DANN that can be read ({reason})"
        ) from error
    return networks, options


def check_options(options: Mapping[str, Any]) -> None:
    """Raise a ValueError unless the options of a DANN are what they must be."""
    if sorted(options) != sorted(OPTIONS):
        raise ValueError(f"its options are {', '.join(sorted(options))[:80]}")
    if options["reduction"] not in ("mean", "sum"):
        raise ValueError(
            f'the reduction is {options["reduction"]!r}, not "mean" or "sum"'
        )
    if not math.isfinite(options["domain_weight"]):
        raise ValueError(f"the domain weight is {options['domain_weight']}")
    preparation, class_names = options["preparation"], options["class_names"]
    if not isinstance(preparation, dict | None):
        raise ValueError("the preparation is not a dictionary")
    if json.loads(json.dumps(preparation)) != preparation:
        raise ValueError(
            "the preparation would not be the same after a trip through JSON"
        )
    if class_names is not None and not (
        isinstance(class_names, list)
        and all(isinstance(name, str) for name in class_names)
    ):
        raise ValueError("the class names are not a list of texts")
