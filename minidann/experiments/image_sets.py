"""The image sets of an experiment: loaded once a process, in the form that its recipe works on."""

from collections.abc import Iterable
from functools import cache

from minidann.data import Digits, as_pair
from minidann.data.pairs import Domain
from minidann.data.registry import find_dataset, load_dataset, require_files
from minidann.experiments.config import ImageSettings
from minidann.experiments.recipes import RECIPES, Recipe
from minidann.runtime.errors import InputError
from minidann.runtime.progress import tell

load = cache(load_dataset)  # the tasks of one process share their sets


def load_digits(name: str, recipe: Recipe, settings: ImageSettings) -> Digits:
    """A set of digits by its name, as the recipe wants it; loaded once."""
    return load(name, binarize=recipe.binarize, limit=settings.limit, data_dir=settings.data_dir)


def class_names(name: str) -> list[str]:
    """What the classes of a set are called, in the order of its labels."""
    return list(find_dataset(name).classes)


def load_sets(names: Iterable[str], settings: ImageSettings, otherwise: str = "") -> None:
    """Meet a file that is not there now, not after an hour of training.

    Raises
    ------
    InputError
        If a set is missing or damaged; ``otherwise`` is what can be done without missing ones.
    """
    names = list(names)
    require_files(names, settings.data_dir, otherwise)
    for name in names:
        load_digits(name, RECIPES[settings.recipe], settings)


def available(names: Iterable[str], settings: ImageSettings) -> list[str]:
    """The sets that can be loaded; says on the terminal why others cannot."""
    found = []
    for name in names:
        try:
            load_sets([name], settings)
            found.append(name)
        except InputError as error:
            tell(f"Without {name}: {error}")
    return found


def load_pair(
    recipe: Recipe, names: tuple[str, str], settings: ImageSettings, *, oracle_labels: bool = False
) -> tuple[Domain, Domain]:
    """Two sets of digits in the form that the recipe works on.

    ``oracle_labels`` says whether the target's training labels are wanted.
    """
    source, target = (load_digits(name, recipe, settings) for name in names)
    return as_pair(
        source,
        target,
        size=recipe.size,
        fit=recipe.fit,
        mean=recipe.mean,
        oracle_labels=oracle_labels,
    )
