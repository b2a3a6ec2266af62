"""Digits of one kind to digits of another: MNIST, MNIST-M, SVHN, SYN NUMBERS, USPS, any of them to any other.

    python -m minidann.digits --source svhn --target mnist --recipe svhn      the paper's SVHN to MNIST
    python -m minidann.digits --source mnist usps --target mnist usps         both ways, with the lighter network
    python -m minidann.digits --matrix                                        every pair of the sets that are here

For each pair: source only, DANN, and trained on target; see ``python -m minidann.mnistm --help``
for the methods. A network that is trained on a source alone is trained once, however many targets
it is tested on.

Recipes: ``light``, the network of ``best`` for fewer steps on images bent at random, at 28x28;
``pseudo``, the same with pseudo-labels on the target, which goes beyond DANN; ``svhn``, the paper's
large network, at 32x32. See :mod:`minidann.experiments.recipes`. Every image gets three channels;
with ``light`` and ``pseudo`` its own mean is subtracted, with ``svhn`` its domain's.
"""

import argparse
import sys
from itertools import product

from minidann.adaptation import (
    METHODS,
    Task,
    adapt_options,
    begin,
    conduct,
    load,
    of_pair,
    report,
    table,
    target_accuracy,
)
from minidann.experiment import spread
from minidann.experiments import plots
from minidann.experiments.recipes import RECIPES
from minidann.runtime.command import clear_errors
from minidann.runtime.errors import InputError

NAMES = ("mnist", "mnistm", "svhn", "synth", "usps")


def parse(argv):
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m minidann.digits",
        description="Train on one set of digits, test on another: without adaptation, with DANN, and (the ceiling) on the other's own labels.",
        epilog="mnist, mnistm (made of MNIST and BSDS500), svhn and usps are files, found as python -m minidann.data says; synth is drawn here. "
        "One DANN run of the recipe light takes some four minutes on one core, of pseudo twelve; of svhn, some hours on two cores: rather for a GPU.",
    )
    parser.add_argument(
        "--source",
        nargs="+",
        choices=NAMES,
        metavar="NAME",
        help=f"what to train on, one or more of {', '.join(NAMES)}",
    )
    parser.add_argument(
        "--target",
        nargs="+",
        choices=NAMES,
        metavar="NAME",
        help="what to adapt to, one or more of the same; each source to each target",
    )
    parser.add_argument(
        "--matrix",
        action="store_true",
        help="all pairs of the sets that are here, source only and DANN, as a table of sources and targets",
    )
    recipes = "light, a small network; pseudo, the same with pseudo-labels beside DANN; or svhn, the paper's large one (default: %(default)s)"
    parser.add_argument(
        "--recipe",
        choices=("light", "pseudo", "svhn"),
        default="light",
        help=f"network and training protocol: {recipes}",
    )
    parser.add_argument(
        "--method",
        choices=(*METHODS, "all"),
        default="all",
        help="what to train on (default: %(default)s)",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="folder that holds mnist/, usps/ ...")
    adapt_options(parser, out="runs/digits")
    args = parser.parse_args(argv)
    if args.matrix == bool(args.source or args.target):
        parser.error("give either --matrix or --source and --target")
    if args.matrix and args.method == "target":
        parser.error(
            "--matrix has no --method target: trained on target is source only, on the diagonal"
        )
    if not args.matrix and not (args.source and args.target):
        parser.error("give both --source and --target")
    if not args.matrix and not pairs(args, NAMES):
        parser.error(f"--source and --target are both {args.source[0]}; choose two different sets")
    return args


def pairs(args, names):
    """Every source with every target; with ``--matrix`` each of the names is both."""
    sources, targets = (names, names) if args.matrix else (args.source, args.target)
    return [pair for pair in product(sources, targets) if pair[0] != pair[1]]


def plan(args, pairs):
    """The tasks: source only once for each source, DANN for each pair, trained on target once for each target."""
    runs = {"source": first_of_each(pairs, 0), "target": first_of_each(pairs, 1), "dann": pairs}
    if args.matrix:
        del runs["target"]  # which is source only, on the diagonal
    wanted = runs if args.method == "all" else [args.method]
    return [
        Task(*pair, method, seed)
        for method in wanted
        for pair in runs[method]
        for seed in range(args.seed, args.seed + args.seeds)
    ]


def first_of_each(pairs, i):
    """The first pair of each source (i = 0) or target (i = 1)."""
    return [
        pair
        for at, pair in enumerate(pairs)
        if pair[i] not in [earlier[i] for earlier in pairs[:at]]
    ]


def available(args):
    """The sets that can be loaded; says which can not."""
    names = []
    for name in NAMES:
        try:
            load(name, RECIPES[args.recipe].binarize, args.limit, args.data_dir)
            names.append(name)
        except InputError as error:
            print(f"Without {name}: {error}", file=sys.stderr)
    return names


def matrix(outcomes, names):
    """dann_tf2.0's table for each method: a row for each set trained on, a column for each tested on; the diagonal is source only's own."""
    lines = []
    for method in ("source", "dann"):
        lines += [
            f"{plots.METHODS[method]}: accuracy on the test images of",
            f"{'trained on':<12}" + "".join(f"{name:>18}" for name in names),
        ]
        for source in names:
            cells = []
            for target in names:
                found = of_pair(outcomes, source, target, "source" if source == target else method)
                cells.append(
                    spread([target_accuracy(outcome, target) for outcome in found.values()])
                    if found
                    else "-"
                )
            lines.append(f"{source:<12}" + "".join(f"{cell:>18}" for cell in cells))
    return "\n".join(lines)


@clear_errors
def main(argv=None):
    """Run the methods on the pairs, write ``results.json``, ``history.csv`` and the figures, print the table."""
    args = parse(argv)
    begin(args, () if args.matrix else (*args.source, *args.target))
    names = available(args) if args.matrix else list(dict.fromkeys(args.source + args.target))
    args.tested = names if args.matrix else args.target
    chosen = pairs(args, names)
    outcomes = conduct("digits", plan(args, chosen), args)
    print(matrix(outcomes, names) if args.matrix else table(outcomes, chosen))
    report(outcomes, chosen, args)
    return 0


if __name__ == "__main__":
    from minidann import digits  # by its real name, under which worker processes find it

    sys.exit(digits.main())
