"""Blobs: the smallest place where domain adaptation can be seen to work.

    python -m minidann.blobs                        three regimes, a table and a figure, in seconds
    python -m minidann.blobs --seeds 20 --jobs 2    mean, spread and worst of 20 draws of the data
    python -m minidann.blobs --recipe tf-dann       that project's four regimes, partly chance

Two domains in the plane, two classes each; the target is the source moved by (1, -1):

    source    class 0 around (0, 0), class 1 around (0, 1)
    target    class 0 around (1, -1), class 1 around (1, 0)         standard deviation 0.2

The source alone says "class 1 is above y = 1/2", which is true of half of the target. x + y is what
the two domains have in common; class 1 where x + y > 1/2 is right for

    Phi(0.5 / (0.2 sqrt 2)) = 96.15 %         of both domains: the ceiling of what they share

in the long run; on a draw of 300 points it is right for some more or some fewer of them, with a
standard deviation of a hundredth. The recipes, and how ours was chosen, are in
:mod:`minidann.experiments.points`.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minidann.data import make_blobs_pair
from minidann.experiments.config import Settings
from minidann.experiments.figures import save_figure
from minidann.experiments.options import add_options, execution, seeds
from minidann.experiments.points import RECIPES, BlobsTask, on_record, train_and_test
from minidann.experiments.runs import Experiment, Outcome, begun, conduct, exit_status
from minidann.experiments.tables import regime_table
from minidann.runtime.command import clear_errors

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m minidann.blobs",
        allow_abbrev=False,
        description="Train on one pair of blobs in the plane, test on the other: three or four "
        "ways of training, their accuracies and their features.",
        epilog="Accuracies are those of the last step on the 300 + 300 points trained on; target "
        "labels serve for nothing else. In parentheses: a head that is not trained. x + y, which "
        "the two domains share, tells the classes apart in .9615 of the cases. model.npz is the "
        "network of DANN (of tf-dann: DANN deep), first seed.",
    )
    parser.add_argument(
        "--recipe",
        choices=tuple(RECIPES),
        default="annealed",
        help="annealed, which ends in the same place from any seed, or tf-dann, that project's "
        "constant learning rate, whose last step is partly chance (default: %(default)s)",
    )
    add_options(parser, out="runs/blobs")
    return parser.parse_args(argv)


@clear_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Run the regimes, write records, model and figure, print the table."""
    options = parse(argv)
    regimes = RECIPES[options.recipe]
    tasks = tuple(
        BlobsTask(options.recipe, regime, seed) for seed in seeds(options) for regime in regimes
    )
    kept = tasks[len(regimes) - 1]  # the last regime of a recipe is its DANN
    settings = Settings.from_options(options, models={kept: "model.npz"})
    experiment = Experiment(
        "blobs", train_and_test, tasks, settings, execution(options), vars(options)
    )
    with begun(settings, experiment.execution):
        outcomes = conduct(experiment)
        save_figure(draw(outcomes, options.seed), settings.out / "blobs.png")
    print(regime_table([outcome.record for outcome in outcomes.values()], regimes))
    if options.seeds == 1 and options.recipe == "tf-dann":
        print(on_record())
    print(f"Written to {settings.out}: results.json, history.csv, model.npz, blobs.png")
    return exit_status(experiment, outcomes)


def draw(outcomes: Mapping[BlobsTask, Outcome], seed: int) -> "Figure":
    """The figure: the points of a seed, and what each regime makes of them."""
    from minidann.experiments import plots  # matplotlib and scikit-learn take long to import

    shown = {
        caption(outcome.record): outcome.features
        for task, outcome in outcomes.items()
        if task.seed == seed
    }
    return plots.blobs(*make_blobs_pair(seed=seed), shown)


def caption(record: Mapping[str, Any]) -> str:
    """The regime, with the target's accuracy in the classes if it was trained on classes."""
    title = record["regime"]
    if RECIPES[record["recipe"]][title].objective == "domain":
        return title
    return f"{title}: target {100 * record['target_class']:.1f} % right"


if __name__ == "__main__":
    from minidann import blobs  # by its real name, under which worker processes find it

    sys.exit(blobs.main())
