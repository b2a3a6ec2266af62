"""The figures of an experiment on pairs of images: which runs they show, and their files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from minidann.experiments.config import ImageSettings
from minidann.experiments.image_sets import class_names, load_digits
from minidann.experiments.images import EMBEDDED
from minidann.experiments.recipes import RECIPES
from minidann.experiments.tables import Outcomes, in_order, of_pair
from minidann.runtime.files import replacing
from minidann.runtime.progress import progress_bar

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure whole or not at all."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)


def save_figures(
    outcomes: Outcomes, pairs: Sequence[tuple[str, str]], settings: ImageSettings
) -> list[str]:
    """Draw and save the figures of all pairs.

    Returns
    -------
    list of str
        The names of the files; they begin with the pair's where there are several.
    """
    names = []
    with progress_bar(len(pairs), "figures", unit="pair") as bar:
        for source, target in pairs:
            prefix = f"{source}-{target}-" if len(pairs) > 1 else ""
            for name, figure in pair_figures(outcomes, source, target, settings):
                names.append(f"{prefix}{name}.png")
                save_figure(figure, settings.out / names[-1])
            bar.update()
    return names


def pair_figures(
    outcomes: Outcomes, source: str, target: str, settings: ImageSettings
) -> Iterator[tuple[str, "Figure"]]:
    """The figures of a pair: (name, Figure).

    Curves are those of all runs; images, embeddings and confusions those of the first seed.
    """
    from minidann.experiments import plots  # matplotlib and scikit-learn take long to import

    recipe = settings.adjust(RECIPES[settings.recipe])
    digits = [load_digits(name, recipe, settings) for name in (source, target)]
    changes = {"source": recipe.of_source(), "target": recipe.augment}
    yield "data", plots.image_grid(dict(zip(changes, digits)), augment=changes)
    of_this = [outcome for task, outcome in outcomes.items() if task.pair == (source, target)]
    if rows := [row for outcome in of_this for row in outcome.history]:
        yield "curves", plots.curves(rows)
    seed = min((task.seed for task in outcomes), default=0)
    first = {
        variant or method: outcome
        for method, variant in in_order(outcomes)
        for task, outcome in of_pair(outcomes, source, target, method, variant).items()
        if task.seed == seed
    }
    embedded = {
        method: outcome.features[target]
        for method, outcome in first.items()
        if method != "target" or len(first) == 1
    }
    if embedded:
        labels = [part.y_test[:EMBEDDED] for part in digits]
        yield "embedding", plots.embedding(embedded, *labels)
        matrices = {
            method: outcome.record["confusion"][target] for method, outcome in first.items()
        }
        names = class_names(target)
        if len(names) > plots.MOST_CLASSES:
            yield "confusion", plots.confused_pairs(matrices, names)
        else:
            yield "confusion", plots.confusion(matrices)
