"""Every data set that minidann knows: its files, its size, its licence, where it is from, and how it is loaded.

``python -m minidann.data`` prints this list, and says which of them are there.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from minidann.data import amazon_reviews, mnist, mnist_m, svhn, synth_digits, toy, usps
from minidann.data.sklearn_digits import load_digits_pair

GENERATED = "MIT, as minidann"
RELEASE = tuple(
    file._replace(addresses=()) for file in mnist_m.RELEASE.values()
)  # its address is a page for people


class DataSet(NamedTuple):
    """A data set, or a way to make one.

    ``files`` are those of :class:`minidann.data.store.File` that it is read from; one without
    addresses has to be put in place by hand. ``parts`` are the names of the data sets that it is
    made of, if it has no files of its own. ``load`` is a function of a data folder, which raises
    InputError if a file is missing or its content damaged.
    """

    name: str
    title: str
    files: tuple
    images: str
    licence: str
    source: str
    load: Callable
    parts: tuple = ()


def load_mnistm(data_dir=None):
    """MNIST-M, made of MNIST and the photographs of BSDS500."""
    return mnist_m.mnistm_pair(mnist.load_mnist(data_dir), mnist_m.load_backgrounds(data_dir))[1]


def load_reviews(data_dir=None):
    """Reads the reviews of all four kinds of goods; returns those of books."""
    kinds = {
        kind: amazon_reviews.load_amazon(kind, data_dir, sparse=True)
        for kind in amazon_reviews.KINDS
    }
    return kinds["books"]


def draw_some(data_dir=None):
    """2,000 + 500 house numbers, enough to see what they are like."""
    return synth_digits.load_synth_digits(2000, 500)


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
            mnist.load_mnist,
        ),
        DataSet(
            "bsds500",
            "BSDS500: photographs, the backgrounds of MNIST-M",
            (mnist_m.BSDS500,),
            "200 of 500",
            "non-commercial research and education",
            "Arbelaez et al., 2011, https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/resources.html",
            mnist_m.load_backgrounds,
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
            "mnistm-release",
            "MNIST-M as its authors published it, 32x32, colour",
            RELEASE,
            "59,001 + 9,001",
            "not stated; made of MNIST and BSDS500",
            "Ganin et al., 2016, http://yaroslav.ganin.net/",
            mnist_m.load_mnistm_release,
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
            draw_some,
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
            "amazon",
            "Amazon reviews of books, dvd, electronics and kitchen goods: 5,000 words and pairs of words",
            tuple(amazon_reviews.FILES.values()),
            "reviews: 4 x 2,000 + tests",
            "research use; not stated",
            "Blitzer et al., 2007, https://github.com/GRAAL-Research/domain_adversarial_neural_network",
            load_reviews,
        ),
        DataSet(
            "digits",
            "scikit-learn's digits, enlarged to 28x28",
            (),
            "1,347 + 450",
            "CC BY 4.0 (UCI)",
            "comes with scikit-learn, https://archive.ics.uci.edu/dataset/80",
            lambda data_dir=None: load_digits_pair()[0],
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
