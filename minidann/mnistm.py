"""MNIST to MNIST-M: learn the digits of MNIST, read those that are blended over photographs.

    python -m minidann.mnistm                                  source only, DANN and train-on-target
    python -m minidann.mnistm --recipe best --method dann      the best accuracy
    python -m minidann.mnistm --steps 50 --limit 2000          a quick look
    python -m minidann.mnistm --data digits                    with no files, on scikit-learn's own digits

Recipes: ``tf-dann``, that project's; ``paper``, the paper's as far as it is written; ``best``,
ours. See :mod:`minidann.experiments.recipes`.

Methods: ``source`` and ``target`` train on the labels of one domain alone, ``dann`` on source
labels and unlabelled target images. Accuracies are those of the last step on all test images.
"""

import argparse
import sys

from minidann.adaptation import METHODS, Task, adapt_options, begin, conduct, report, table
from minidann.runtime.command import clear_errors

PAIRS = {"mnistm": ("mnist", "mnistm"), "digits": ("digits", "digits-m")}
STEPS_ON_DIGITS = 1500


def parse(argv):
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m minidann.mnistm",
        description="Train on MNIST, test on MNIST-M: without adaptation, with DANN, and (the ceiling) on MNIST-M's own labels.",
        epilog="MNIST and BSDS500 are looked for in --data-dir, $MINIDANN_DATA, datasets/ and ~/.cache/minidann; datasets/README.md says where to get them. "
        "One DANN run of the recipe tf-dann takes some four minutes on two cores, six beside another run; one of best, a quarter of an hour. "
        "Ctrl-C keeps the finished runs and the curves so far; --resume goes on.",
    )
    recipes = ("tf-dann", "paper", "best")
    parser.add_argument(
        "--recipe",
        choices=recipes,
        default="tf-dann",
        help="network and training protocol (default: %(default)s)",
    )
    trained_on = "source labels, target labels, source labels with adaptation, or each of them in turn (default: %(default)s)"
    parser.add_argument(
        "--method", choices=(*METHODS, "all"), default="all", help=f"what to train on: {trained_on}"
    )
    data_sets = "MNIST and MNIST-M, or scikit-learn's own digits and photographs, which need no files (default: %(default)s)"
    parser.add_argument("--data", choices=tuple(PAIRS), default="mnistm", help=data_sets)
    parser.add_argument("--data-dir", metavar="DIR", help="folder that holds mnist/ and bsds500/")
    adapt_options(parser, out="runs/mnistm")
    args = parser.parse_args(argv)
    if args.data == "digits":
        args.steps = args.steps or STEPS_ON_DIGITS
    args.tested = PAIRS[args.data][1:]
    return args


@clear_errors
def main(argv=None):
    """Run the methods, write ``results.json``, ``history.csv`` and the figures, print the table."""
    args = parse(argv)
    pair = PAIRS[args.data]
    begin(args, pair)
    methods = METHODS if args.method == "all" else (args.method,)
    tasks = [
        Task(*pair, method, seed)
        for method in methods
        for seed in range(args.seed, args.seed + args.seeds)
    ]
    outcomes = conduct("mnistm", tasks, args)
    print(table(outcomes, [pair]))
    report(outcomes, [pair], args)
    return 0


if __name__ == "__main__":
    from minidann import mnistm  # by its real name, under which worker processes find it

    sys.exit(mnistm.main())
