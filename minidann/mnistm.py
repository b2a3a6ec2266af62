"""MNIST to MNIST-M: learn the digits of MNIST, read those that are blended over photographs.

    python -m minidann.mnistm                                source only, DANN, trained on target
    python -m minidann.mnistm --recipe best --method dann    the best accuracy
    python -m minidann.mnistm --steps 50 --limit 2000        a quick look
    python -m minidann.mnistm --data release                 on the authors' own MNIST-M
    python -m minidann.mnistm --data digits                  with no files, on scikit-learn's digits

Recipes: ``tf-dann``, that project's; ``paper``, the paper's as far as it is written; ``best``,
ours. See :mod:`minidann.experiments.recipes`.

Methods: ``source`` and ``target`` train on the labels of one domain alone, ``dann`` on source
labels and unlabelled target images. Accuracies are those of the last step on all test images.
"""

import argparse
import sys
from collections.abc import Sequence

from minidann.experiments.config import ImageSettings
from minidann.experiments.options import add_image_options, add_method_option, methods, seeds
from minidann.experiments.pair_program import run_pair
from minidann.experiments.plans import name_models, plan
from minidann.runtime.command import clear_errors

PAIRS = {
    "mnistm": ("mnist", "mnistm"),
    "release": ("mnist", "mnistm-release"),
    "digits": ("digits", "digits-m"),
}
STEPS_ON_DIGITS = 1500


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m minidann.mnistm",
        allow_abbrev=False,
        description="Train on MNIST, test on MNIST-M: without adaptation, with DANN, and (the "
        "ceiling) on MNIST-M's own labels.",
        epilog="MNIST and BSDS500 are looked for in --data-dir, $MINIDANN_DATA, datasets/ and "
        "~/.cache/minidann; datasets/README.md says where to get them. One DANN run of the recipe "
        "tf-dann takes some four minutes on two cores, six beside another run; one of best, a "
        "quarter of an hour. Ctrl-C keeps the runs as far as they have come and says how to go on. "
        "model.npz is the network of the first seed, trained with DANN or by --method.",
    )
    parser.add_argument(
        "--recipe",
        choices=("tf-dann", "paper", "best"),
        default="tf-dann",
        help="network and training protocol (default: %(default)s)",
    )
    add_method_option(parser)
    parser.add_argument(
        "--data",
        choices=tuple(PAIRS),
        default="mnistm",
        help="MNIST and, as the target, mnistm: MNIST-M, made here of MNIST and BSDS500; or "
        "release: MNIST-M as its authors published it, mnist_m/ of a data folder, the middle 28x28 "
        "pixels; or digits: scikit-learn's own digits and photographs instead, which need no files "
        f"and are trained on for {STEPS_ON_DIGITS:,} steps (default: %(default)s)",
    )
    add_image_options(parser, out="runs/mnistm")
    return parser.parse_args(argv)


@clear_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Run the methods, write records, model and figures, print the table."""
    options = parse(argv)
    pair = PAIRS[options.data]
    tasks = plan([pair], methods(options), seeds(options))
    steps = options.steps or (STEPS_ON_DIGITS if options.data == "digits" else None)
    settings = ImageSettings.from_options(
        options, steps=steps, tested=pair[1:], models=name_models(tasks)
    )
    otherwise = "run with --data digits, which needs no files"
    return run_pair("mnistm", tasks, settings, options, otherwise)


if __name__ == "__main__":
    from minidann import mnistm  # by its real name, under which worker processes find it

    sys.exit(mnistm.main())
