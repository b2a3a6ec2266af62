"""Traffic signs of 43 kinds, 40x40 pixels, in colour: drawn ones, and photographs of real ones.

Synthetic Signs (Moiseev et al., *Evaluation of traffic sign recognition methods trained on
synthetically generated data*, 2013): 100,000 drawn signs, blurred and lit like photographs. They
come as ``synthetic_data.zip``:

    synthetic_data/train_labelling.txt      one sign a line: its file, its class, one more number
                                            train/1.png 21 0
    synthetic_data/train/1.png ...          40x40 pixels

GTSRB, the German Traffic Sign Recognition Benchmark (Stallkamp et al., *Man vs. computer*, 2012):
39,209 + 12,630 photographs of 15x15 to 250x250 pixels, with a border of at least five around the
sign. They come as three archives:

    GTSRB_Final_Training_Images.zip         GTSRB/Final_Training/Images/00000/GT-00000.csv
                                            GTSRB/Final_Training/Images/00000/00000_00000.ppm ...
    GTSRB_Final_Test_Images.zip             GTSRB/Final_Test/Images/00000.ppm ...
    GTSRB_Final_Test_GT.zip                 GT-final_test.csv

    Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId
    00000_00000.ppm;29;30;5;6;24;25;0

The region of interest (Roi) is the sign. X2 and Y2 are taken as the first column and row behind it:
then the border is nowhere narrower than the five pixels that are promised. A folder of training
images is a class; the two numbers of a file's name are its track, up to 30 photographs of one sign
that the car came nearer to, and the place in it. The test images are of other tracks.

The classes have the same numbers in both sets. Each archive may also be there unpacked.

Source: what reads the releases in Britefury/self-ensemble-visual-domain-adapt (prepare_synsigns.py)
and the list of files on the page of GTSRB; the hashes of two archives stand in torchvision. Neither
release was at hand when this was written: the loaders have been tested on small files in their
formats only.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np

from minidann.data.mnist import Digits
from minidann.data.pairs import resized
from minidann.data.photographs import decode
from minidann.data.store import File, PathLike, find, read, verify_bytes, verifying
from minidann.runtime.archives import DAMAGE, open_zip, read_zipped
from minidann.runtime.errors import InputError, in_words

SIZE = 40  # pixels of a side
CLASSES = (
    "20 km/h",
    "30 km/h",
    "50 km/h",
    "60 km/h",
    "70 km/h",
    "80 km/h",
    "end of 80 km/h",
    "100 km/h",
    "120 km/h",
    "no passing",
    "no passing by lorries",
    "right of way at the next crossing",
    "priority road",
    "give way",
    "stop",
    "no vehicles",
    "no lorries",
    "no entry",
    "danger",
    "bend to the left",
    "bend to the right",
    "double bend",
    "bumpy road",
    "slippery road",
    "road narrows on the right",
    "road works",
    "traffic lights",
    "pedestrians",
    "children",
    "cyclists",
    "snow",
    "wild animals",
    "end of all limits",
    "turn right ahead",
    "turn left ahead",
    "straight on",
    "straight on or right",
    "straight on or left",
    "keep right",
    "keep left",
    "roundabout",
    "end of no passing",
    "end of no passing by lorries",
)
SYNSIGNS_PAGE = "http://graphics.cs.msu.ru/en/node/1337/"
GTSRB_PAGE = "https://benchmark.ini.rub.de/gtsrb_dataset.html"
ARCHIVE = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/"
SYNSIGNS = File("signs/synthetic_data.zip", (), unpacked="signs/synthetic_data")
GTSRB = {
    part: File(
        f"signs/{name}",
        (ARCHIVE + name,),
        dataset="gtsrb",
        unpacked=f"signs/{unpacked}",
        largest=largest,
        md5=md5,
    )
    for part, name, unpacked, largest, md5 in (
        (
            "train",
            "GTSRB_Final_Training_Images.zip",
            "GTSRB/Final_Training/Images",
            600_000_000,
            "",  # nobody seems to have published it
        ),
        (
            "test",
            "GTSRB_Final_Test_Images.zip",
            "GTSRB/Final_Test/Images",
            200_000_000,
            "c7e4e6327067d32654124b0fe9e82185",
        ),
        (
            "labels",
            "GTSRB_Final_Test_GT.zip",
            "GT-final_test.csv",
            1_000_000,
            "fe31e9c9270bbcd7b84b7f21a9d9d9e5",
        ),
    )
}
PUBLISHED = {"train": 39_209, "test": 12_630}  # photographs
LARGEST_TEXT = 10_000_000  # bytes of a list of signs; the longest has two million
LARGEST_IMAGE = 1_000_000  # bytes or pixels; the largest photograph has 190,000 bytes
LARGEST_SET = 200_000  # signs; no release has more, so a longer list is damage
HEADER = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"
SYNSIGN = re.compile(r"((?:\w+/)?\w+\.(?:png|ppm)) (\d{1,2})(?: \S+)?", re.ASCII)
PHOTOGRAPH = re.compile(r"\d+(_\d+)?\.ppm(;\d{1,4}){7}", re.ASCII)
REMEDY = "download it again"


class Root(NamedTuple):
    """A folder, on the disk or in a zip archive, of which files are read."""

    path: Path
    inside: str = ""  # the archive
    archive: ZipFile | None = None

    def file(self, name: str) -> Path:
        """What a file of the folder is called in messages."""
        return Path(self.path, self.inside, name)

    def read(self, name: str, largest: int) -> bytes:
        """The bytes of a file, at most ``largest``. Raises InputError, or DAMAGE of an archive."""
        if self.archive is None:
            return read(self.file(name), largest, REMEDY)
        return read_zipped(self.archive, self.archive.getinfo(self.inside + name), largest)


class Photograph(NamedTuple):
    """A photograph of GTSRB: its file, its size in pixels, where in it the sign is, and which."""

    name: str
    width: int
    height: int
    x1: int
    y1: int
    x2: int
    y2: int
    label: int


def load_synsigns(data_dir: PathLike | None = None) -> Digits:
    """Synthetic Signs, from ``signs/synthetic_data.zip`` of a data folder, packed or unpacked.

    Parameters
    ----------
    data_dir : path, optional
        Searched before the folders of :mod:`minidann.data.store`.

    Returns
    -------
    Digits
        uint8 images (N, 40, 40, 3), int64 labels 0..42. Every tenth is a test image: the release
        knows of none.

    Raises
    ------
    InputError
        If the release is missing, or a part of it missing or damaged.
    """
    path = find(
        SYNSIGNS,
        data_dir,
        remedy=f"get it by hand ({SYNSIGNS_PAGE}) and put it there, or name another folder with "
        "--data-dir or MINIDANN_DATA",
    )
    with opened(path, "synthetic_data/") as root:
        names, labels = read_labelling(root)
        images = read_images(root, names, whole)
    test = every_tenth(len(labels))
    return Digits(images[~test], labels[~test], images[test], labels[test])


def every_tenth(n: int) -> np.ndarray:
    """Which of n drawn signs are test images: bool (n,)."""
    return np.arange(n) % 10 == 9


def load_gtsrb(data_dir: PathLike | None = None) -> Digits:
    """GTSRB, from its three archives in ``signs/`` of a data folder, packed or unpacked.

    Of each photograph the region of interest is taken, and brought to 40x40 pixels by bicubic
    interpolation.

    Parameters
    ----------
    data_dir : path, optional
        Searched before the folders of :mod:`minidann.data.store`.

    Returns
    -------
    Digits
        uint8 images (39209, 40, 40, 3) and (12630, 40, 40, 3), int64 labels 0..42; in an order
        that was drawn once, for the release is in the order of the classes.

    Raises
    ------
    InputError
        If an archive is missing, or a part of it missing or damaged.
    """
    paths = {part: find(file, data_dir) for part, file in GTSRB.items()}
    for part, path in paths.items():
        if path.suffix == ".zip":
            verify_bytes(GTSRB[part], path, REMEDY)
    arrays: list[np.ndarray] = []
    for part, read_part in (("train", read_training), ("test", read_test)):
        images, labels = read_part(paths)
        if len(labels) != PUBLISHED[part] and verifying():
            raise InputError(
                f"{paths[part]} holds {len(labels)} photographs, not the {PUBLISHED[part]} that "
                f"were published; {REMEDY}, or set MINIDANN_VERIFY=0 if these are data of your own "
                "in the same format"
            )
        order = np.random.default_rng(0).permutation(len(labels))
        arrays += [images[order], labels[order]]
    return Digits(*arrays)


def read_training(paths: dict[str, Path]) -> tuple[np.ndarray, np.ndarray]:
    """The images and labels of the training set, class by class."""
    found = []
    with opened(paths["train"], "GTSRB/Final_Training/Images/") as root:
        for label in range(len(CLASSES)):
            folder = f"{label:05d}"
            for photograph in read_annotations(root, f"{folder}/GT-{folder}.csv"):
                if photograph.label != label:
                    raise InputError(
                        f"GT-{folder}.csv in {paths['train']} says that {photograph.name} is of "
                        f"class {photograph.label}, but the folder is that of class {label}; "
                        f"{REMEDY}"
                    )
                found.append(photograph._replace(name=f"{folder}/{photograph.name}"))
        return read_photographs(root, found)


def read_test(paths: dict[str, Path]) -> tuple[np.ndarray, np.ndarray]:
    """The images and labels of the test set, which are in two archives."""
    labels = paths["labels"]
    packed = labels.suffix == ".zip"
    with opened(labels if packed else labels.parent, "") as root:
        found = read_annotations(root, "GT-final_test.csv")
    with opened(paths["test"], "GTSRB/Final_Test/Images/") as root:
        return read_photographs(root, found)


def read_photographs(
    root: Root, photographs: Sequence[Photograph]
) -> tuple[np.ndarray, np.ndarray]:
    """The signs in photographs, uint8 (N, 40, 40, 3), and their labels, int64 (N,)."""
    about = {photograph.name: photograph for photograph in photographs}
    images = read_images(root, list(about), lambda name, image: cut_out(image, about[name]))
    return images, np.array([photograph.label for photograph in about.values()], np.int64)


def cut_out(image: np.ndarray, photograph: Photograph) -> np.ndarray:
    """The region of interest of a photograph (H, W, 3), brought to (40, 40, 3)."""
    name, width, height, x1, y1, x2, y2, _ = photograph
    if image.shape[:2] != (height, width) or not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
        raise InputError(
            f"{name} has {image.shape[1]}x{image.shape[0]} pixels, but its line speaks of "
            f"{width}x{height} with a sign from {x1}, {y1} to {x2}, {y2}; {REMEDY}"
        )
    return resized(image[y1:y2, x1:x2], SIZE)


def whole(name: str, image: np.ndarray) -> np.ndarray:
    """A drawn sign, which has the right size already."""
    if image.shape != (SIZE, SIZE, 3):
        raise InputError(
            f"{name} is an image of {image.shape[1]}x{image.shape[0]} pixels, not {SIZE}x{SIZE}; "
            f"{REMEDY}"
        )
    return image


def read_labelling(root: Root) -> tuple[list[str], np.ndarray]:
    """The names of drawn signs and their labels, int64 (N,), of ``train_labelling.txt``."""
    name, names, labels = "train_labelling.txt", [], []
    file, text = root.file(name), root.read(name, LARGEST_TEXT).decode("ascii")
    for number, line in enumerate(text.splitlines(), 1):
        match = SYNSIGN.fullmatch(line.strip())
        if not match or int(match[2]) >= len(CLASSES):
            raise InputError(
                f"line {number} of {file} is {line[:80]!r}, not an image and its class of 0 to "
                f"{len(CLASSES) - 1} such as 'train/1.png 21 0'; {REMEDY}"
            )
        names.append(match[1])
        labels.append(int(match[2]))
    check_count(file, names)
    return names, np.array(labels, np.int64)


def read_annotations(root: Root, table: str) -> list[Photograph]:
    """The lines of one of GTSRB's tables."""
    file, lines = root.file(table), root.read(table, LARGEST_TEXT).decode("ascii").splitlines()
    if lines[:1] != [HEADER]:
        raise InputError(f"{file} does not begin with {HEADER}; {REMEDY}")
    found = []
    for number, line in enumerate(lines[1:], 2):
        if not PHOTOGRAPH.fullmatch(line):
            raise InputError(
                f"line {number} of {file} is {line[:80]!r}, not a .ppm file and seven numbers such "
                f"as '00000_00000.ppm;29;30;5;6;24;25;0'; {REMEDY}"
            )
        name, *values = line.split(";")
        found.append(Photograph(name, *map(int, values)))
        if found[-1].label >= len(CLASSES):
            raise InputError(
                f"line {number} of {file} names the class {found[-1].label}, but there are 0 to "
                f"{len(CLASSES) - 1}; {REMEDY}"
            )
    check_count(file, [photograph.name for photograph in found])
    return found


def check_count(file: Path, names: Sequence[str]) -> None:
    """Refuse a list that is empty, longer than any or that names an image twice."""
    if not 0 < len(names) <= LARGEST_SET or len(set(names)) != len(names):
        raise InputError(
            f"{file} names {len(names)} images, {len(set(names))} of them different; "
            f"it should be 1 to {LARGEST_SET}, each once; {REMEDY}"
        )


def read_images(
    root: Root, names: Sequence[str], prepare: Callable[[str, np.ndarray], np.ndarray]
) -> np.ndarray:
    """What ``prepare`` makes of the images of those names: uint8 (N, 40, 40, 3)."""
    from tqdm import tqdm

    images = np.empty((len(names), SIZE, SIZE, 3), np.uint8)
    shown = tqdm(names, desc="signs", unit="image", dynamic_ncols=True, delay=2, disable=None)
    for i, name in enumerate(shown):
        content = root.read(name, LARGEST_IMAGE)
        image = decode(content, root.file(name), ("PNG", "PPM"), pixels=LARGEST_IMAGE)
        images[i] = prepare(name, image)
    return images


@contextmanager
def opened(path: Path, inside: str) -> Iterator[Root]:
    """The folder of that path or, if it is an archive, what is ``inside``.

    Raises
    ------
    InputError
        Names the path, if the archive or a file that is read is damaged.
    """
    try:
        if path.is_dir():
            yield Root(path)
            return
        with open_zip(path) as archive:
            yield Root(path, inside, archive)
    except InputError:
        raise
    except DAMAGE as error:
        raise InputError(f"{path} cannot be read ({in_words(error)}); {REMEDY}") from error
