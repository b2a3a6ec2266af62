"""Every data set that minidann knows: its files, size, licence and origin, and how it is loaded.

``python -m minidann.data`` prints this list and says which of the data sets are there;
:func:`load_dataset` loads one by its name.
"""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from minidann.data import (
    amazon_reviews,
    mnist,
    mnist_m,
    mnistm_release,
    photographs,
    small_signs,
    svhn,
    synth_digits,
    toy,
    traffic_signs,
    usps,
)
from minidann.data.mnist import Digits
from minidann.data.sklearn_digits import load_digits_pair
from minidann.data.store import File, PathLike, folders, locate
from minidann.runtime.errors import InputError

Folder = str | Path | None

GENERATED = "MIT, as minidann"
ARBELAEZ = "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/resources.html"
RELEASE = tuple(
    file._replace(addresses=()) for file in mnistm_release.RELEASE.values()
)  # its address is a page for people


class DataSet(NamedTuple):
    """A data set, or a way to make one.

    ``files`` are those of :class:`minidann.data.store.File` that it is read from; one without
    addresses has to be put in place by hand. ``parts`` are the names of the data sets that it is
    made of, if it has no files of its own. ``load`` is a function of a data folder, which raises
    InputError if a file is missing or its content damaged; ``options`` names the keywords that it
    also understands. ``classes`` are the names of an image set's classes, in the order of its
    labels.
    """

    name: str
    title: str
    files: tuple[File, ...]
    images: str
    licence: str
    source: str
    load: Callable[..., Any]
    parts: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    classes: tuple[str, ...] = tuple("0123456789")

    @property
    def fetchable(self) -> bool:
        """Whether ``python -m minidann.data fetch`` can download its files."""
        return bool(self.files) and all(file.addresses for file in self.files)

    def by_hand(self) -> str:
        """How to get files that cannot be downloaded."""
        folder = Path(self.files[0].name).parts[0]
        return (
            f"{self.name} has no address that a program could download it from; "
            f"get it by hand ({self.source}) and put it in {folder}/ of a data folder"
        )


def load_dataset(
    name: str,
    *,
    binarize: bool | None = None,
    limit: int | None = None,
    data_dir: Folder = None,
) -> Any:
    """Load a data set by its name.

    Parameters
    ----------
    name : str
        Of :data:`DATASETS`.
    binarize : bool, optional
        Whether the handwritten digits of ``mnist`` and ``digits`` are black and white or grey, in
        three channels; without it, as the data set usually comes. The others ignore it.
    limit : int, optional
        Only the first training and test images; ``synth`` draws, and ``mnistm-release`` reads, only
        so many.
    data_dir : path, optional
        Searched before the folders of :mod:`minidann.data.store`.

    Returns
    -------
    Digits
        For images of digits or signs; other data sets come in forms of their own.

    Raises
    ------
    InputError
        If there is no such data set, a file is missing or damaged, or ``limit`` is given for a
        data set that is no set of images in this form.
    """
    dataset = find_dataset(name)
    require_files([name], data_dir)
    given = {"binarize": binarize, "limit": limit}
    data = dataset.load(data_dir, **{option: given[option] for option in dataset.options})
    if limit is None:
        return data
    if not isinstance(data, Digits):
        raise InputError(f"the data set {name!r} has no images to limit to {limit}; leave that out")
    return Digits(*(array[:limit] for array in data))


def find_dataset(name: str) -> DataSet:
    """The data set of that name.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in DATASETS:
        raise InputError(f"there is no data set {name!r}; choose from {', '.join(DATASETS)}")
    return DATASETS[name]


def parts_of(dataset: DataSet) -> list[DataSet]:
    """The data sets that it is made of, which is itself if it has files of its own."""
    return [DATASETS[part] for part in dataset.parts] or [dataset]


def require_files(
    names: Iterable[str], data_dir: PathLike | None = None, otherwise: str = ""
) -> None:
    """Refuse data sets whose files are not there, all of them in one sentence.

    Who has none of them would else learn of one after another, each after a download.

    Parameters
    ----------
    names : iterable of str
    data_dir : path, optional
        Searched before the folders of :mod:`minidann.data.store`.
    otherwise : str
        What else can be done, for the message: ``"run with --data digits"``.

    Raises
    ------
    InputError
        If some of what is missing can be downloaded; for the rest each loader says more.
    """
    parts = {part.name: part for name in names for part in parts_of(find_dataset(name))}
    missing = {
        name: [file.name for file in part.files if not locate(file, data_dir)]
        for name, part in parts.items()
    }
    lacking = [parts[name] for name, files in missing.items() if files]
    if not any(part.fetchable for part in lacking):
        return
    files = [found for found in missing.values() if found]
    said = ", ".join(f"{first}{f' and {len(more)} more' if more else ''}" for first, *more in files)
    fetch = [part.name for part in lacking if part.fetchable]
    remedies = [f"python -m minidann.data fetch {' '.join(fetch)} downloads them"]
    remedies += [part.by_hand() for part in lacking if not part.fetchable]
    remedies += ["or put them there yourself, name another folder with --data-dir or MINIDANN_DATA"]
    searched = ", ".join(map(str, folders(data_dir)))
    raise InputError(
        f"{said} {'is' if len(files) == len(files[0]) == 1 else 'are'} in none of the data folders "
        f"({searched}); {'; '.join(remedies)}"
        f"{f', or {otherwise}' if otherwise else ''}"
    )


def load_mnist(data_dir: Folder = None, binarize: bool | None = None) -> Digits:
    """MNIST as its files have it; with ``binarize``, True or False, in three channels."""
    digits = mnist.load_mnist(data_dir)
    return digits if binarize is None else mnist_m.plain(digits, binarize)


def load_mnistm(data_dir: Folder = None, grey: bool = False) -> Digits:
    """MNIST-M, made of MNIST and the photographs of BSDS500; ``grey`` blends the digits' greys."""
    digits, backgrounds = mnist.load_mnist(data_dir), photographs.load_backgrounds(data_dir)
    return mnist_m.blended(digits, backgrounds, binarize=not grey)


def load_digits(data_dir: Folder = None, binarize: bool | None = None) -> Digits:
    """scikit-learn's digits, in three channels; grey by default."""
    return load_digits_pair(binarize=bool(binarize))[0]


def load_digits_m(data_dir: Folder = None) -> Digits:
    """The same digits, blended over scikit-learn's two photographs as in MNIST-M."""
    return load_digits_pair()[1]


def load_reviews(data_dir: Folder = None) -> amazon_reviews.Reviews:
    """Reads the reviews of all four kinds of goods; returns those of books."""
    kinds = {
        kind: amazon_reviews.load_amazon(kind, data_dir, sparse=True)
        for kind in amazon_reviews.KINDS
    }
    return kinds["books"]


def draw_house_numbers(data_dir: Folder = None, limit: int | None = 2000) -> Digits:
    """``limit`` training and as many test images, which show what they are like; None: all."""
    if limit is None:
        return synth_digits.load_synth_digits()
    return synth_digits.load_synth_digits(limit, limit)


DATASETS = {
    dataset.name: dataset
    for dataset in (
        DataSet(
            "mnist",
            "MNIST: handwritten digits, 28x28, grey",
            tuple(mnist.FILES.values()),
            "60,000 + 10,000",
            "CC BY-SA 3.0, as commonly stated",
            "LeCun et al., 1998, http://yann.lecun.com/exdb/mnist/",
            load_mnist,
            options=("binarize",),
        ),
        DataSet(
            "bsds500",
            "BSDS500: photographs, the backgrounds of MNIST-M",
            (photographs.BSDS500,),
            "200 of 500",
            "non-commercial research and education",
            f"Arbelaez et al., 2011, {ARBELAEZ}",
            photographs.load_backgrounds,
        ),
        DataSet(
            "mnistm",
            "MNIST-M: MNIST blended over photographs, 28x28, colour; made of mnist and bsds500",
            (),
            "60,000 + 10,000",
            "those of mnist and bsds500",
            "Ganin et al., 2016, https://jmlr.org/papers/v17/15-239.html",
            load_mnistm,
            parts=("mnist", "bsds500"),
        ),
        DataSet(
            "mnistm-grey",
            "MNIST-M with grey digits blended: easier; not the paper's; made of mnist and bsds500",
            (),
            "60,000 + 10,000",
            "those of mnist and bsds500",
            "minidann/data/mnist_m.py",
            partial(load_mnistm, grey=True),
            parts=("mnist", "bsds500"),
        ),
        DataSet(
            "mnistm-release",
            "MNIST-M as its authors published it, 32x32, colour",
            RELEASE,
            "59,001 + 9,001",
            "not stated; made of MNIST and BSDS500",
            "Ganin et al., 2016, http://yaroslav.ganin.net/",
            mnistm_release.load_mnistm_release,
            options=("limit",),
        ),
        DataSet(
            "svhn",
            "SVHN: house numbers from street views, 32x32, colour",
            tuple(file for file in svhn.FILES.values() if "extra" not in file.name),
            "73,257 + 26,032",
            "non-commercial use only",
            "Netzer et al., 2011, http://ufldl.stanford.edu/housenumbers/",
            svhn.load_svhn,
        ),
        DataSet(
            "svhn-extra",
            "SVHN with its extra, easier training images",
            tuple(svhn.FILES.values()),
            "604,388 + 26,032",
            "non-commercial use only",
            "Netzer et al., 2011, http://ufldl.stanford.edu/housenumbers/",
            partial(svhn.load_svhn, extra=True),
        ),
        DataSet(
            "synth",
            "Drawn house numbers, in place of SYN NUMBERS, 32x32, colour",
            (),
            "100,000 + 10,000 or any",
            GENERATED,
            "minidann/data/synth_digits.py, after Ganin et al., 2016, section 5.2.4",
            draw_house_numbers,
            options=("limit",),
        ),
        DataSet(
            "usps",
            "USPS: handwritten digits from envelopes, 16x16, grey",
            tuple(usps.FILES.values()),
            "7,291 + 2,007",
            "not stated",
            "Hastie et al., 2009, https://hastie.su.domains/ElemStatLearn/",
            usps.load_usps,
        ),
        DataSet(
            "synsigns",
            "Synthetic Signs: drawn traffic signs of 43 kinds, 40x40, colour",
            (traffic_signs.SYNSIGNS,),
            "90,000 + 10,000",
            "not stated",
            f"Moiseev et al., 2013, {traffic_signs.SYNSIGNS_PAGE}",
            traffic_signs.load_synsigns,
            classes=traffic_signs.CLASSES,
        ),
        DataSet(
            "gtsrb",
            "GTSRB: photographed traffic signs of 43 kinds, cut out and brought to 40x40, colour",
            tuple(traffic_signs.GTSRB.values()),
            "39,209 + 12,630",
            "not stated",
            f"Stallkamp et al., 2012, {traffic_signs.GTSRB_PAGE}",
            traffic_signs.load_gtsrb,
            classes=traffic_signs.CLASSES,
        ),
        DataSet(
            "synsigns-small",
            "A small part of Synthetic Signs; not distributed",
            (small_signs.SYNSIGNS_SMALL,),
            "1,784 + 198",
            "that of synsigns",
            f"Moiseev et al., 2013, {traffic_signs.SYNSIGNS_PAGE}",
            small_signs.load_synsigns_small,
            classes=traffic_signs.CLASSES,
        ),
        DataSet(
            "gtsrb-small",
            "A small part of GTSRB; not distributed",
            (small_signs.GTSRB_SMALL,),
            "1,369 + 631",
            "that of gtsrb",
            f"Stallkamp et al., 2012, {traffic_signs.GTSRB_PAGE}",
            small_signs.load_gtsrb_small,
            classes=traffic_signs.CLASSES,
        ),
        DataSet(
            "amazon",
            "Amazon reviews of books, dvd, electronics and kitchen goods: "
            "5,000 words and pairs of words",
            tuple(amazon_reviews.FILES.values()),
            "reviews: 4 x 2,000 + tests",
            "research use; not stated",
            "Blitzer et al., 2007, "
            "https://github.com/GRAAL-Research/domain_adversarial_neural_network",
            load_reviews,
        ),
        DataSet(
            "digits",
            "scikit-learn's digits, enlarged to 28x28",
            (),
            "1,347 + 450",
            "CC BY 4.0 (UCI)",
            "comes with scikit-learn, https://archive.ics.uci.edu/dataset/80",
            load_digits,
            options=("binarize",),
        ),
        DataSet(
            "digits-m",
            "scikit-learn's digits, blended over its two photographs",
            (),
            "1,347 + 450",
            "CC BY 4.0 (UCI)",
            "comes with scikit-learn, https://archive.ics.uci.edu/dataset/80",
            load_digits_m,
        ),
        DataSet(
            "blobs",
            "Blobs: two classes in the plane, and the same moved",
            (),
            "300 points a domain",
            GENERATED,
            "minidann/data/toy.py, after tf-dann",
            lambda data_dir=None: toy.make_blobs_pair(),
        ),
        DataSet(
            "moons",
            "Inter-twinning moons in the plane, and the same turned",
            (),
            "300 points a domain",
            GENERATED,
            "minidann/data/toy.py, after Ganin et al., 2016, section 5.1",
            lambda data_dir=None: toy.make_moons_pair(),
        ),
    )
}
