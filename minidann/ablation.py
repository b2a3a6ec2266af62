"""What each choice of the recipe ``best`` is worth: one changed at a time, MNIST to MNIST-M.

    python -m minidann.ablation --seeds 3 --jobs 2                      all of the rows
    python -m minidann.ablation --variants best "lambda 2 throughout"   some of them
    python -m minidann.ablation --data release                          on the authors' own MNIST-M

Each row is a variant, trained with DANN for fewer steps; its accuracies are those of the last step
on all test images. The last column is the target's accuracy once more, with the target's own
batch-norm statistics; see :mod:`minidann.experiments.variants`.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from minidann.experiments.config import ImageSettings
from minidann.experiments.figures import save_figure
from minidann.experiments.image_sets import load_sets
from minidann.experiments.options import add_image_options, execution, seeds
from minidann.experiments.runs import Experiment, Task, begun, conduct, exit_status
from minidann.experiments.tables import Outcomes, variant_table
from minidann.experiments.variants import TARGETS, VARIANTS, train_and_test
from minidann.runtime.command import clear_errors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DATA = {"mnistm": "mnistm", "release": "mnistm-release"}
STEPS = 2000


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m minidann.ablation",
        allow_abbrev=False,
        description="MNIST to MNIST-M by the recipe best with one choice changed at a time, over "
        "fewer steps: what each choice is worth.",
        epilog="A run of 2,000 steps takes some three minutes. Target labels serve to report what "
        "each variant reaches; no variant is trained on them. model.npz is the network of the "
        "first variant and seed.",
    )
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=tuple(VARIANTS),
        default=list(VARIANTS),
        metavar="NAME",
        help=f"which of the rows (default: all): {'; '.join(VARIANTS)}",
    )
    parser.add_argument(
        "--data",
        choices=tuple(DATA),
        default="mnistm",
        help="mnistm: MNIST-M, made here of MNIST and BSDS500; or release: as its authors "
        "published it, mnist_m/ of a data folder, the middle 28x28 pixels (default: %(default)s); "
        "grey digits are blended here either way",
    )
    add_image_options(parser, out="runs/ablation", steps=STEPS)
    return parser.parse_args(argv)


@clear_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Run the variants, write records, model and figure, print the table."""
    options = parse(argv)
    tasks = tuple(
        Task("mnist", TARGETS.get(variant, DATA[options.data]), "dann", seed, variant)
        for variant in options.variants
        for seed in seeds(options)
    )
    settings = ImageSettings.from_options(options, recipe="best", models={tasks[0]: "model.npz"})
    experiment = Experiment(
        "ablation", train_and_test, tasks, settings, execution(options), vars(options)
    )
    with begun(settings, experiment.execution):
        load_sets(dict.fromkeys(name for task in tasks for name in task.pair), settings)
        outcomes = conduct(experiment)
        save_figure(dots(outcomes), settings.out / "ablation.png")
    print(variant_table([outcome.record for outcome in outcomes.values()]))
    print(f"Written to {settings.out}: results.json, history.csv, model.npz, ablation.png")
    return exit_status(experiment, outcomes)


def dots(outcomes: Outcomes) -> "Figure":
    """The figure: the target's accuracy of each run, a row a variant."""
    from minidann.experiments import plots  # matplotlib and scikit-learn take long to import

    accuracies: dict[str, list[float]] = {}
    for task, outcome in outcomes.items():
        accuracies.setdefault(task.variant or "best", []).append(outcome.record["target_class"])
    return plots.dots(accuracies)


if __name__ == "__main__":
    from minidann import ablation  # by its real name, under which worker processes find it

    sys.exit(ablation.main())
