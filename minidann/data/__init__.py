"""Arrays in, arrays out: the data sets, and batches of them."""

from minidann.data.amazon_reviews import load_amazon
from minidann.data.augment import cutout, random_colours, random_negatives, random_warp
from minidann.data.batches import Batches
from minidann.data.mnist import Digits, load_mnist
from minidann.data.mnist_m import cached_mnistm_pair, make_mnistm, mnistm_pair
from minidann.data.mnistm_release import load_mnistm_release
from minidann.data.pairs import as_pair
from minidann.data.photographs import load_backgrounds
from minidann.data.sklearn_digits import load_digits_pair
from minidann.data.svhn import load_svhn
from minidann.data.synth_digits import load_synth_digits, make_synth_digits
from minidann.data.toy import make_blobs_pair, make_moons_pair
from minidann.data.traffic_signs import load_gtsrb, load_synsigns
from minidann.data.usps import load_usps

__all__ = [
    "Batches",
    "Digits",
    "as_pair",
    "cached_mnistm_pair",
    "cutout",
    "load_amazon",
    "load_backgrounds",
    "load_digits_pair",
    "load_gtsrb",
    "load_mnist",
    "load_mnistm_release",
    "load_svhn",
    "load_synsigns",
    "load_synth_digits",
    "load_usps",
    "make_blobs_pair",
    "make_mnistm",
    "make_moons_pair",
    "make_synth_digits",
    "mnistm_pair",
    "random_colours",
    "random_negatives",
    "random_warp",
]
