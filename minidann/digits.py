"""Digits of one kind to digits of another: MNIST, MNIST-M, SVHN, SYN NUMBERS, USPS, any to any.

    python -m minidann.digits --source svhn --target mnist --recipe svhn   the paper's pair
    python -m minidann.digits --source mnist usps --target mnist usps      both ways, light network
    python -m minidann.digits --matrix                                     every pair that is here

For each pair: source only, DANN, and trained on target; see ``python -m minidann.mnistm --help``
for the methods. A network that is trained on a source alone is trained once, however many targets
it is tested on.

Recipes: ``light``, the network of ``best`` for fewer steps on images warped at random, at 28x28;
``pseudo``, the same with pseudo-labels on the target, which goes beyond DANN; ``svhn``, the paper's
large network, at 32x32. See :mod:`minidann.experiments.recipes`. Every image gets three channels,
and its own mean is subtracted.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from minidann.experiments.config import ImageSettings
from minidann.experiments.figures import save_figures
from minidann.experiments.image_sets import available, load_sets
from minidann.experiments.images import train_and_test
from minidann.experiments.options import (
    add_image_options,
    add_method_option,
    execution,
    methods,
    seeds,
)
from minidann.experiments.plans import name_models, pair_up, plan
from minidann.experiments.runs import Experiment, begun, conduct, exit_status
from minidann.experiments.tables import matrix_table, pair_table
from minidann.runtime.command import clear_errors

MATRIX = ("mnist", "mnistm", "svhn", "synth", "usps")
NAMES = (*MATRIX, "mnistm-release")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m minidann.digits",
        allow_abbrev=False,
        description="Train on one set of digits, test on another: without adaptation, with DANN, "
        "and (the ceiling) on the other's own labels.",
        epilog="mnist, mnistm (made of MNIST and BSDS500), mnistm-release (MNIST-M as its authors "
        "published it, the middle 28x28 pixels), svhn and usps are files, found as "
        "python -m minidann.data says; synth is drawn here. One DANN run of the recipe light takes "
        "some four minutes on one core, of pseudo twelve; of svhn, some hours on two cores: rather "
        "for a GPU. model.npz (SOURCE-TARGET-model.npz if there are several pairs) is the network "
        "of the first seed, trained with DANN or by --method.",
    )
    sets: dict[str, Any] = {"nargs": "+", "choices": NAMES, "metavar": "NAME"}
    parser.add_argument(
        "--source", help=f"what to train on, one or more of {', '.join(NAMES)}", **sets
    )
    parser.add_argument(
        "--target",
        help="what to adapt to, one or more of the same; each source to each target",
        **sets,
    )
    parser.add_argument(
        "--matrix",
        action="store_true",
        help=f"all pairs of {', '.join(MATRIX)}, as far as they are here, source only and DANN, "
        "as a table of sources and targets",
    )
    parser.add_argument(
        "--recipe",
        choices=("light", "pseudo", "svhn"),
        default="light",
        help="network and training protocol: light, a small network; pseudo, the same with "
        "pseudo-labels beside DANN; or svhn, the paper's large one (default: %(default)s)",
    )
    add_method_option(parser)
    parser.add_argument(
        "--negatives",
        action="store_true",
        help="in training, turn half of the source's images into negatives, for a source whose "
        "digits are dark on light or light on dark by chance",
    )
    parser.add_argument(
        "--balance",
        action="store_true",
        help="in training, show all digits of the source equally often, for a source whose digits "
        "are not as frequent as the target's may be taken to be; in SVHN every fifth is a 1",
    )
    add_image_options(parser, out="runs/digits")
    options = parser.parse_args(argv)
    if options.matrix == bool(options.source or options.target):
        parser.error("give either --matrix or --source and --target")
    if options.matrix and options.method == "target":
        parser.error(
            "--matrix has no --method target: trained on target is source only, on the diagonal"
        )
    if not options.matrix and not (options.source and options.target):
        parser.error("give both --source and --target")
    return options


@clear_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Run the methods on the pairs, write records, models and figures, print the table."""
    options = parse(argv)
    settings = ImageSettings.from_options(options)
    with begun(settings, execution(options)):
        if options.matrix:
            sources = targets = available(MATRIX, settings)
            pairs = pair_up(sources, targets)
        else:
            sources, targets = options.source, options.target
            pairs = pair_up(sources, targets)
            load_sets(dict.fromkeys((*sources, *targets)), settings)
        chosen = [one for one in methods(options) if not (options.matrix and one == "target")]
        tasks = plan(pairs, chosen, seeds(options))
        settings = replace(settings, tested=tuple(targets), models=name_models(tasks))
        experiment = Experiment(
            "digits", train_and_test, tasks, settings, execution(options), vars(options)
        )
        outcomes = conduct(experiment)
        figures = save_figures(outcomes, pairs, settings)
    print(matrix_table(outcomes, sources) if options.matrix else pair_table(outcomes, pairs))
    names = [*settings.models.values(), *figures]
    print(f"Written to {settings.out}: results.json, history.csv, {', '.join(names)}")
    return exit_status(experiment, outcomes)


if __name__ == "__main__":
    from minidann import digits  # by its real name, under which worker processes find it

    sys.exit(digits.main())
