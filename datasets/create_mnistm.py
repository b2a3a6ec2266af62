"""Build MNIST-M from MNIST and the photographs of BSDS500, and write it as one .npz file.

    python datasets/create_mnistm.py                         -> datasets/mnistm.npz

Arrays in the file, read with ``numpy.load`` (no pickle): x_train (60000, 28, 28, 3), y_train
(60000,), x_test (10000, 28, 28, 3), y_test (10000,). The images are those that ``python -m
minidann.mnistm`` trains on.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from minidann.data import load_backgrounds, load_mnist, mnistm_pair
from minidann.runtime.command import clear_errors, seed_number, user_path
from minidann.runtime.files import replacing, writable


@clear_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Read, blend, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    here = Path(__file__).parent
    parser.add_argument(
        "--out",
        type=user_path,
        default=here / "mnistm.npz",
        metavar="FILE",
        help="the .npz file to write (default: mnistm.npz beside this script)",
    )
    parser.add_argument(
        "--data-dir",
        type=os.path.expanduser,
        metavar="DIR",
        help="folder that holds mnist/ and bsds500/ "
        "(default: $MINIDANN_DATA, datasets/, ~/.cache/minidann)",
    )
    parser.add_argument(
        "--seed", type=seed_number, default=0, help="seed of the patches (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    if args.out.suffix != ".npz":
        parser.error(f"--out is {args.out}; its name must end in .npz")
    writable(args.out.parent)
    with tqdm(total=4, desc="reading MNIST", unit="part") as bar:
        mnist = load_mnist(args.data_dir)
        bar.update()
        bar.set_description("reading photographs")
        backgrounds = load_backgrounds(args.data_dir)
        bar.update()
        bar.set_description("blending")
        _, mnistm = mnistm_pair(mnist, backgrounds, seed=args.seed)
        bar.update()
        bar.set_description("writing")
        with replacing(args.out) as temporary:
            np.savez(temporary, **mnistm._asdict())
        bar.update()
    print(
        f"Written: {args.out}, {len(mnistm.x_train):,} training and {len(mnistm.x_test):,} test "
        f"images, {args.out.stat().st_size / 1e6:.0f} MB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
