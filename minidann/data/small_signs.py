"""A small part of Synthetic Signs and of GTSRB: 1,982 + 2,000 signs in two .npz files.

    signs/synsigns_1982_40x40.npz       x uint8 (1982, 40, 40, 3)
                                        y uint8 (1982,)           0..42
                                        names (1982,)             "train/10023.png"
    signs/gtsrb_2000_roi40x40.npz       the same for 2,000 photographs, of which the signs are cut
                                        out; names "00000/00004_00001.ppm"

They are not distributed with minidann; the releases are read by
:mod:`minidann.data.traffic_signs`. All photographs are of GTSRB's training set, 46 or 47 of each
class, which is the choice of whoever made the file: in the release some classes are ten times as
frequent as others.

Up to 30 photographs are of one sign, a track, and the file's names say which: class, track, place.
A test image beside its neighbours in training would be no test, so that whole tracks go to one side
or the other: every third of a class to the test, those numbered 2, 5, 8 and so on. Of the drawn
signs, each of which was drawn on its own, every tenth is a test image.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from minidann.data.mnist import Digits
from minidann.data.store import File, PathLike, digest, find, verifying
from minidann.data.traffic_signs import CLASSES, SIZE, every_tenth
from minidann.runtime.errors import InputError
from minidann.runtime.npz import read_npz

SYNSIGNS_SMALL = File(
    "signs/synsigns_1982_40x40.npz",
    (),
    # of x, then y
    "443b817e676e202c77e21f9f9d9a8e215c4ec35c0fd731e97c10c33d52a889fb",
)
GTSRB_SMALL = File(
    "signs/gtsrb_2000_roi40x40.npz",
    (),
    "781c10184f64e51af349e2d5a20afd344e3484a42d9b202e402cf5c89be59588",
)
LARGEST = 1 << 28  # bytes of all arrays of a file; the larger one holds 10 million
TRACK = re.compile(r"\d{5}/(\d{5})_\d{5}\.ppm", re.ASCII)
REMEDY = "replace it, or use the releases, synsigns and gtsrb, which need no such file"


def load_synsigns_small(data_dir: PathLike | None = None) -> Digits:
    """1,784 + 198 of Synthetic Signs, from ``signs/synsigns_1982_40x40.npz`` of a data folder.

    Parameters
    ----------
    data_dir : path, optional
        Searched before the folders of :mod:`minidann.data.store`.

    Returns
    -------
    Digits
        uint8 images (N, 40, 40, 3), int64 labels 0..42.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    arrays = read_small(SYNSIGNS_SMALL, data_dir)
    return split(arrays, every_tenth(len(arrays["y"])))


def load_gtsrb_small(data_dir: PathLike | None = None) -> Digits:
    """1,369 + 631 of GTSRB's photographs, from ``signs/gtsrb_2000_roi40x40.npz`` of a data folder.

    Parameters
    ----------
    data_dir : path, optional
        Searched before the folders of :mod:`minidann.data.store`.

    Returns
    -------
    Digits
        uint8 images (N, 40, 40, 3), int64 labels 0..42. No sign has photographs on both sides.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    arrays = read_small(GTSRB_SMALL, data_dir)
    tracks = [TRACK.fullmatch(name) for name in arrays["names"].tolist()]
    if not all(tracks):
        wrong = arrays["names"][tracks.index(None)]
        raise InputError(
            f"{GTSRB_SMALL.name} names {str(wrong)[:80]!r}, not a photograph of a track such as "
            f"'00000/00004_00001.ppm'; {REMEDY}"
        )
    return split(arrays, np.array([int(track[1]) % 3 == 2 for track in tracks if track]))


def split(arrays: Mapping[str, np.ndarray], test: np.ndarray) -> Digits:
    """The two sides, each in an order that was drawn once: the file is in that of the classes."""
    sides = []
    for rows in map(np.flatnonzero, (~test, test)):
        order = np.random.default_rng(0).permutation(rows)
        sides += [arrays["x"][order], arrays["y"][order].astype(np.int64)]
    return Digits(*sides)


def read_small(file: File, data_dir: PathLike | None = None) -> Mapping[str, np.ndarray]:
    """The verified arrays x, y and names of a file.

    Raises
    ------
    InputError
        If the file is missing, damaged, larger than expected, or holds other arrays.
    """
    path = find(
        file,
        data_dir,
        remedy="it is not distributed: name the folder that holds it with --data-dir or "
        "MINIDANN_DATA, or use the releases, synsigns and gtsrb",
    )
    try:
        arrays = read_npz(path, LARGEST, unpacked=LARGEST)
    except (ValueError, OSError) as error:
        raise InputError(f"{path} cannot be read ({error}); {REMEDY}") from error
    check_arrays(path, arrays)
    content = digest(arrays["x"], arrays["y"])
    if content != file.sha256 and verifying():
        raise InputError(
            f"{path} can be read, but does not hold the signs of the records: its content has "
            "another hash; replace it, or set MINIDANN_VERIFY=0 if these are data of your own in "
            "the same format"
        )
    return arrays


def check_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse arrays that are not images, labels and names, as many of each."""
    if not {"x", "y", "names"} <= arrays.keys():
        raise InputError(f"{path} does not hold the arrays x, y and names; {REMEDY}")
    x, y, names = (arrays[name] for name in ("x", "y", "names"))
    n = len(x) if x.ndim else 0
    if x.dtype != np.uint8 or not n or x.shape != (n, SIZE, SIZE, 3):
        raise InputError(
            f"x in {path} is an array of {x.dtype} of shape {x.shape}, "
            f"not uint8 (N, {SIZE}, {SIZE}, 3); {REMEDY}"
        )
    if (
        y.dtype.kind not in "iu"
        or y.shape != (n,)
        or names.dtype.kind != "U"
        or names.shape != (n,)
    ):
        raise InputError(
            f"y and names in {path} are not one whole number and one text for each of its {n} "
            f"images; {REMEDY}"
        )
    if not (y.min() >= 0 and y.max() < len(CLASSES)):
        raise InputError(
            f"{path} holds the labels {y.min()} to {y.max()}, but a sign is of class 0 to "
            f"{len(CLASSES) - 1}; {REMEDY}"
        )
