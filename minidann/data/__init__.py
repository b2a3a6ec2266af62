"""Arrays in, arrays out: the data sets, and batches of them."""

from minidann.data.batches import Batches
from minidann.data.digits import load_digits_pair
from minidann.data.mnist import Digits, load_mnist
from minidann.data.mnistm import load_backgrounds, make_mnistm, mnistm_pair
from minidann.data.pairs import as_pair
from minidann.data.toy import make_blobs_pair, make_moons_pair

__all__ = [
    "Batches",
    "Digits",
    "as_pair",
    "load_backgrounds",
    "load_digits_pair",
    "load_mnist",
    "make_blobs_pair",
    "make_mnistm",
    "make_moons_pair",
    "mnistm_pair",
]
