"""Synthetic Signs to GTSRB: learn drawn traffic signs of 43 kinds, read photographs of real ones.

    python -m minidann.signs                        source only, DANN, with pseudo-labels, ceiling
    python -m minidann.signs --data small --seeds 3    on a small part: 1,982 + 2,000 signs
    python -m minidann.signs --method pseudo        one of the methods

Methods: ``source`` and ``target`` train on the labels of one domain alone, ``dann`` on source
labels and unlabelled target images, ``pseudo`` also on its own confident answers on the target,
which goes beyond DANN. Recipes: ``signs`` and, for ``pseudo``, ``signs-pseudo``; see
:mod:`minidann.experiments.recipes`. Accuracies are those of the last step on all test images.
"""

import argparse
import sys
from collections.abc import Sequence

from minidann.experiments.config import ImageSettings
from minidann.experiments.options import add_image_options, seeds
from minidann.experiments.pair_program import run_pair
from minidann.experiments.runs import Task
from minidann.runtime.command import clear_errors

PAIRS = {"release": ("synsigns", "gtsrb"), "small": ("synsigns-small", "gtsrb-small")}
METHODS = {  # (method, variant) of a task
    "source": ("source", None),
    "target": ("target", None),
    "dann": ("dann", None),
    "pseudo": ("dann", "signs-pseudo"),
}


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m minidann.signs",
        allow_abbrev=False,
        description="Train on drawn traffic signs (Synthetic Signs), test on photographs (GTSRB): "
        "without adaptation, with DANN, with pseudo-labels too, and (the ceiling) on GTSRB's own "
        "labels.",
        epilog="Both sets are looked for in --data-dir, $MINIDANN_DATA, datasets/ and "
        "~/.cache/minidann; python -m minidann.data says where to get them. One DANN run takes "
        "some two minutes on one core; its 500 steps are for the small part, the releases deserve "
        "more. model.npz is the network of the first seed, trained by the last method of the "
        "table.",
    )
    parser.add_argument(
        "--method",
        choices=(*METHODS, "all"),
        default="all",
        help="train on source labels (source), target labels (target), source labels with "
        "adaptation (dann), the same with pseudo-labels (pseudo), or each of them in turn "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--data",
        choices=tuple(PAIRS),
        default="release",
        help="the releases, or a small part of them, which is not distributed "
        "(default: %(default)s)",
    )
    add_image_options(parser, out="runs/signs")
    return parser.parse_args(argv)


@clear_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Run the methods, write records, model and figures, print the table."""
    options = parse(argv)
    pair = PAIRS[options.data]
    chosen = METHODS if options.method == "all" else (options.method,)
    tasks = tuple(
        Task(*pair, method, seed, variant)
        for method, variant in map(METHODS.__getitem__, chosen)
        for seed in seeds(options)
    )
    kept = {tasks[-options.seeds]: "model.npz"}
    settings = ImageSettings.from_options(options, recipe="signs", tested=pair[1:], models=kept)
    return run_pair("signs", tasks, settings, options)


if __name__ == "__main__":
    from minidann import signs  # by its real name, under which worker processes find it

    sys.exit(signs.main())
