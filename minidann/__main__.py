"""``python -m minidann``: the programs, two lines each."""

import argparse
import sys
from collections.abc import Sequence

from minidann.runtime.command import clear_errors

PROGRAMS = {
    "blobs": ("DANN on points in the plane", "10 seconds"),
    "mnistm": ("MNIST to MNIST-M; --data digits: no files", "4 to 15 minutes a run"),
    "digits": ("any of five sets of digits to any other", "4 to 12 minutes a run"),
    "signs": ("drawn traffic signs to photographed ones", "2 minutes a run"),
    "ablation": ("what each choice of the recipe best is worth", "3 minutes a run"),
    "experiments.recheck": ("whether recorded runs still come out", "as long as they took"),
    "predict": ("the classes of images, by a saved model.npz", "a second"),
    "doctor": ("what is installed, whether it works; for a bug report", "10 seconds"),
    "data": ("list, download and show the data sets", "seconds, and the downloads"),
    "nn.gradcheck": ("every gradient against finite differences", "seconds"),
}


@clear_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Print the list."""
    parser = argparse.ArgumentParser(
        prog="python -m minidann",
        allow_abbrev=False,
        description="Domain-adversarial training of neural networks in NumPy. Lists the programs.",
        epilog="Each program explains itself with --help.",
    )
    parser.parse_args(argv)
    print("Programs, and the time they take on two cores; --help explains each:\n")
    for name, (what, how_long) in PROGRAMS.items():
        print(f"python -m minidann.{name}\n    {what} ({how_long})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
