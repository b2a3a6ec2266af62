"""MNIST-M: its formula, its patches, its seed, and the pair that is kept in a file."""

import gzip
import hashlib
import io
import os
import tarfile
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from minidann.data import (
    Digits,
    cached_mnistm_pair,
    load_backgrounds,
    make_mnistm,
    mnist_m,
    mnistm_pair,
    photographs,
)
from minidann.data.mnist import idx_bytes
from minidann.data.store import digest
from minidann.runtime.errors import InputError

GOLDEN = "ffc4c1d7fffea94c9f71757c1fae1b4b66fde13abebdc9bc976f0375a230bf87"
seeds = st.integers(0, 2**32 - 1)


def synthetic_digits(n=64):
    """Grey rings of growing size: 0 outside, 1..255 on the stroke."""
    i, j = np.mgrid[:28, :28] - 13.5
    radius = np.hypot(i, j)
    return np.stack(
        [np.clip(255 - 60 * np.abs(radius - 3 - k % 9), 0, 255) for k in range(n)]
    ).astype(np.uint8)


def synthetic_photographs():
    """Two of different sizes, whose every 28x28 patch is another."""
    sizes = [(40, 50), (61, 33)]
    return [
        ((np.arange(h * w * 3, dtype=np.int64) ** 2 // 7 + 91 * k) % 251)
        .astype(np.uint8)
        .reshape(h, w, 3)
        for k, (h, w) in enumerate(sizes)
    ]


def places(patch, photographs):
    """(photograph, top, left) of everywhere that the patch lies in."""
    return [
        (k, *place)
        for k, photograph in enumerate(photographs)
        for place in np.argwhere((windows(photograph) == patch).all(axis=(2, 3, 4))).tolist()
    ]


def windows(photograph):
    """(tops, lefts, 28, 28, 3)"""
    return sliding_window_view(photograph, (28, 28), axis=(0, 1)).transpose(0, 1, 3, 4, 2)


def test_bytes_do_not_wrap_around():
    values = np.array([0, 10, 128, 250, 255], np.uint8)
    np.testing.assert_array_equal(
        mnist_m.blend(values, np.uint8(255) + np.zeros(5, np.uint8)), [255, 245, 127, 5, 0]
    )
    np.testing.assert_array_equal(
        mnist_m.blend(values, np.full(5, 20, np.uint8)), [20, 10, 108, 230, 235]
    )
    assert mnist_m.blend(values, values).dtype == np.uint8


def test_ink_is_black_or_white_unless_its_grey_is_kept():
    digits = np.array([[0, 1, 127, 128, 255]], np.uint8)
    np.testing.assert_array_equal(mnist_m.ink(digits), [[0, 255, 255, 255, 255]])
    np.testing.assert_array_equal(mnist_m.ink(digits, binarize=False), digits)
    assert mnist_m.ink(digits).dtype == np.uint8


@pytest.mark.parametrize("binarize", [True, False])
def test_every_pixel_is_the_distance_of_a_photographs_patch_from_the_ink(binarize):
    digits, photographs = synthetic_digits(12), synthetic_photographs()
    blended = make_mnistm(digits, photographs, seed=3, binarize=binarize).astype(int)
    patches = make_mnistm(
        np.zeros_like(digits), photographs, seed=3
    )  # the same patches, with nothing on them
    for image, digit, patch in zip(blended, digits.astype(int), patches):
        assert len(places(patch, photographs)) == 1
        for c in range(3):
            ink = 255 * (digit > 0) if binarize else digit
            np.testing.assert_array_equal(
                image[:, :, c], np.maximum(patch[:, :, c], ink) - np.minimum(patch[:, :, c], ink)
            )


def test_every_photograph_and_every_place_can_be_chosen():
    photographs = [photograph[:30, :29] for photograph in synthetic_photographs()]
    patches = make_mnistm(np.zeros((300, 28, 28), np.uint8), photographs)
    chosen = [places(patch, photographs)[0] for patch in patches]
    counts = [
        chosen.count((k, top, left)) for k in range(2) for top in range(3) for left in range(2)
    ]
    assert sum(counts) == 300 and min(counts) > 8 and max(counts) < 50


def test_a_photograph_of_a_digits_size_is_its_own_patch():
    photograph = synthetic_photographs()[0][:28, :28]
    np.testing.assert_array_equal(
        make_mnistm(np.zeros((2, 28, 28), np.uint8), [photograph]), [photograph, photograph]
    )


def test_the_seed_decides_all():
    digits, photographs = synthetic_digits(20), synthetic_photographs()
    first, again, other = (make_mnistm(digits, photographs, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@given(seeds, st.integers(1, 20))
def test_fewer_digits_get_the_same_patches(seed, n):
    digits, photographs = synthetic_digits(20), synthetic_photographs()
    np.testing.assert_array_equal(
        make_mnistm(digits[:n], photographs, seed=seed),
        make_mnistm(digits, photographs, seed=seed)[:n],
    )


def test_a_seeded_mnistm_never_changes():
    blended = make_mnistm(synthetic_digits(), synthetic_photographs(), seed=0)
    assert blended.shape == (64, 28, 28, 3) and blended.dtype == np.uint8
    assert hashlib.sha256(blended.tobytes()).hexdigest() == GOLDEN


def test_what_goes_in_is_left_alone():
    digits, photographs = synthetic_digits(4), synthetic_photographs()
    for array in (digits, *photographs):
        array.flags.writeable = False
    make_mnistm(digits, photographs)


@pytest.mark.parametrize("shape", [(27, 40, 3), (40, 27, 3)])
def test_a_photograph_smaller_than_a_digit_is_refused(shape):
    with pytest.raises(
        InputError, match=f"{shape[0]}x{shape[1]} pixels is smaller than a digit of 28x28"
    ):
        make_mnistm(synthetic_digits(2), [*synthetic_photographs(), np.zeros(shape, np.uint8)])


def test_a_pair_shows_the_same_digits_plain_and_blended():
    digits = synthetic_digits(12)
    mnist = Digits(digits[:8], np.arange(8), digits[8:], np.arange(4))
    source, target = mnistm_pair(mnist, synthetic_photographs(), seed=5)
    binary, _ = mnistm_pair(mnist, synthetic_photographs(), seed=5, binarize=True)
    for split in ("x_train", "x_test"):
        x, plain = getattr(mnist, split), getattr(source, split)
        assert plain.dtype == np.uint8 and plain.shape == (*x.shape, 3)
        np.testing.assert_array_equal(plain, np.stack([x] * 3, axis=3))
        np.testing.assert_array_equal(getattr(binary, split), np.stack([255 * (x > 0)] * 3, axis=3))
    for name in ("y_train", "y_test"):
        assert np.array_equal(getattr(source, name), getattr(mnist, name)) and np.array_equal(
            getattr(target, name), getattr(mnist, name)
        )
    again, other = (mnistm_pair(mnist, synthetic_photographs(), seed=seed)[1] for seed in (5, 6))
    assert np.array_equal(target.x_train, again.x_train) and not np.array_equal(
        target.x_train, other.x_train
    )


@pytest.mark.parametrize("binarize", [True, False])
def test_the_authors_kind_stands_beside_either_source(binarize):
    """By the formula: no grey of a digit is left in the target, whatever the source is."""
    digits, photographs = synthetic_digits(12), synthetic_photographs()
    mnist = Digits(digits[:8], np.arange(8), digits[8:], np.arange(4))
    _, target = mnistm_pair(mnist, photographs, seed=5, binarize=binarize)
    blank = mnist._replace(x_train=0 * mnist.x_train, x_test=0 * mnist.x_test)
    _, ground = mnistm_pair(blank, photographs, seed=5)
    for split in ("x_train", "x_test"):
        ink = 255 * (getattr(mnist, split)[..., None] > 0)
        expected = abs(getattr(ground, split).astype(int) - ink)
        np.testing.assert_array_equal(getattr(target, split), expected)


def test_training_and_test_patches_are_drawn_apart():
    blank = np.zeros((4, 28, 28), np.uint8)
    _, target = mnistm_pair(Digits(blank, np.zeros(4), blank, np.zeros(4)), synthetic_photographs())
    assert not (target.x_train == target.x_test).all(axis=(1, 2, 3)).any()


GOLDEN_PAIR = {  # of source, binarised or not, and target of `pair_of`
    True: (
        "cc98a8c5d296e671930b02b594bbaf65e9e1081b16f51bbf709f3794e1932b7b",
        "133329ebd2d93f6c18dad3672e72fa10bbfc07b7501ab1062c36e324bb20a11e",
    ),
    False: (
        "ae9fd0427d0f4b233e48b709148982b429ad6e1101fb0cc3d370fbe9820eacd8",
        "133329ebd2d93f6c18dad3672e72fa10bbfc07b7501ab1062c36e324bb20a11e",
    ),
}


def made_up(n):
    """uint8 (n, 28, 28) of strokes in 1..255 on 0, by integers alone: no library rounds them."""
    i, j, k = np.ogrid[:28, :28, :n]
    values = (i * i * 7 + j * j * 11 + i * j * (k % 5 + 1) + 13 * k) % 511
    return np.ascontiguousarray(
        np.where(values < 256, values, 0).transpose(2, 0, 1).astype(np.uint8)
    )


def three_photographs():
    """Three of different sizes, by integers alone."""
    return [
        ((np.arange(h * w * 3, dtype=np.int64) ** 2 // 5 + 77 * h) % 253)
        .astype(np.uint8)
        .reshape(h, w, 3)
        for h, w in ((40, 50), (61, 33), (28, 90))
    ]


def pair_of(binarize):
    digits = made_up(64)
    return mnistm_pair(
        Digits(digits[:48], np.arange(48) % 10, digits[48:], np.arange(16) % 10),
        three_photographs(),
        seed=7,
        binarize=binarize,
    )


@pytest.mark.parametrize("binarize", [True, False])
def test_a_seeded_pair_of_64_digits_never_changes(binarize):
    assert (
        tuple(digest(domain.x_train, domain.x_test) for domain in pair_of(binarize))
        == GOLDEN_PAIR[binarize]
    )


# --- the pair that is kept


@pytest.fixture
def sources(no_data, tmp_path, monkeypatch):
    """A data folder with MNIST of 5 and 3 digits and an archive of 3 photographs."""
    monkeypatch.setenv("MINIDANN_VERIFY", "0")
    monkeypatch.setattr(photographs, "TRAIN_PHOTOGRAPHS", 3)
    (tmp_path / "mnist").mkdir()
    for split, n in (("train", 5), ("t10k", 3)):
        (tmp_path / "mnist" / f"{split}-images-idx3-ubyte.gz").write_bytes(
            gzip.compress(idx_bytes(made_up(n)))
        )
        (tmp_path / "mnist" / f"{split}-labels-idx1-ubyte.gz").write_bytes(
            gzip.compress(idx_bytes(np.arange(n, dtype=np.uint8)))
        )
    (tmp_path / "bsds500").mkdir()
    with tarfile.open(tmp_path / "bsds500" / "BSR_bsds500.tgz", "w:gz") as archive:
        for i, image in enumerate(three_photographs()):
            jpeg = io.BytesIO()
            Image.fromarray(image).save(jpeg, "JPEG")
            info = tarfile.TarInfo(f"{photographs.TRAIN_FOLDER}{i}.jpg")
            info.size = len(jpeg.getvalue())
            archive.addfile(info, io.BytesIO(jpeg.getvalue()))
    return tmp_path


@pytest.fixture
def made(monkeypatch):
    """A list that grows by one each time a pair is made."""
    times, make = [], mnist_m.mnistm_pair
    monkeypatch.setattr(
        mnist_m, "mnistm_pair", lambda *args, **options: times.append(1) or make(*args, **options)
    )
    return times


def equal(pair, other):
    return all(
        a.dtype == b.dtype and np.array_equal(a, b)
        for x, y in zip(pair, other)
        for a, b in zip(x, y)
    )


def test_what_is_kept_is_what_would_be_made_and_serves_either_source(sources, made):
    for binarize in (True, False, True):
        expected = mnistm_pair(
            mnist_m.load_mnist(sources), load_backgrounds(sources), seed=3, binarize=binarize
        )
        pair = cached_mnistm_pair(sources, seed=3, binarize=binarize)
        assert equal(pair, expected) and all(isinstance(domain, Digits) for domain in pair)
    assert len(made) == 1
    (kept,) = (sources / "home" / ".cache" / "minidann" / "mnistm").iterdir()
    assert kept.suffix == ".npz" and "-v2-" in kept.name


def test_other_parameters_and_other_data_get_other_files(sources, made, monkeypatch):
    cache = sources / "cache"
    pairs = [
        cached_mnistm_pair(sources, cache_dir=cache, **options) for options in ({}, {"seed": 1})
    ]
    assert len(made) == len(list(cache.iterdir())) == 2 and not equal(*pairs)
    path = sources / "mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx_bytes(255 - made_up(5))))
    assert not equal(cached_mnistm_pair(sources, cache_dir=cache), pairs[0]) and len(made) == 3
    monkeypatch.setattr(mnist_m, "CACHE_VERSION", 3)
    cached_mnistm_pair(sources, cache_dir=cache)
    assert len(made) == 4 and len(list(cache.glob("*-v3-*.npz"))) == 1


def rewritten(change):
    """Damage to the arrays of the file rather than to its bytes."""

    def damage(path):
        with np.load(path) as file:
            arrays = change(dict(file))
        np.savez(path, **arrays)

    return damage


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def alone(path):
    with open(path, "wb") as file:
        np.save(file, made_up(5))


CACHE_DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(bytes(range(256)) * 9),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:9000]),
    "without its end": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "a flipped bit": flip,
    "a pickle": lambda path: path.write_bytes(b"\x80\x04\x95\x00."),
    "an array alone": alone,
    "objects": rewritten(lambda arrays: arrays | {"y_train": np.array([{}] * 5)}),
    "an array missing": rewritten(
        lambda arrays: {name: array for name, array in arrays.items() if name != "blended_test"}
    ),
    "another type": rewritten(lambda arrays: arrays | {"x_train": arrays["x_train"].astype(float)}),
    "a label short": rewritten(lambda arrays: arrays | {"y_train": arrays["y_train"][:-1]}),
    "an image short": rewritten(
        lambda arrays: arrays | {"blended_train": arrays["blended_train"][:-1]}
    ),
}


@pytest.mark.parametrize("damage", CACHE_DAMAGES.values(), ids=CACHE_DAMAGES.keys())
def test_a_damaged_file_is_made_anew_and_not_trusted(sources, made, damage):
    cache = sources / "cache"
    expected = cached_mnistm_pair(sources, cache_dir=cache)
    (path,) = cache.iterdir()
    damage(path)
    with pytest.warns(UserWarning, match=r"mnistm-.*npz cannot be read \(.+\), so MNIST-M is made"):
        assert equal(cached_mnistm_pair(sources, cache_dir=cache), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert equal(cached_mnistm_pair(sources, cache_dir=cache), expected)
    assert len(made) == 2 and list(cache.iterdir()) == [path]


def test_where_nothing_can_be_written_nothing_is_kept(sources, made):
    (sources / "cache").write_bytes(b"a file where the folder should be")
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"cache.* cannot be written .*cache_dir"):
            cached_mnistm_pair(sources, cache_dir=sources / "cache")
    assert len(made) == 2


def test_without_data_there_is_no_pair(no_data, tmp_path):
    with pytest.raises(InputError, match="mnist/"):
        cached_mnistm_pair(tmp_path)


@pytest.mark.skipif(
    "MINIDANN_DATA" not in os.environ,
    reason="MINIDANN_DATA names no folder with the real MNIST and BSDS500",
)
def test_the_real_pair_is_kept_and_read_again(tmp_path, made):
    first, again = (cached_mnistm_pair(cache_dir=tmp_path) for _ in range(2))
    assert len(made) == 1 and equal(first, again) and again[1].x_train.shape == (60000, 28, 28, 3)


@pytest.mark.parametrize("binarize", [True, False])
@pytest.mark.parametrize(
    "digits, photographs, said",
    [
        (lambda x: x / 255, lambda x: x, r"the digits are float64 of shape \(64, 28, 28\)"),
        (lambda x: x, lambda x: x / 255, r"the photographs are float64 of shape \(40, 50, 3\)"),
        (lambda x: x.astype(int), lambda x: x, "the digits are int64"),
        (lambda x: x[..., None], lambda x: x, r"of shape \(64, 28, 28, 1\)"),
        (lambda x: x.reshape(64, -1), lambda x: x, r"of shape \(64, 784\)"),
        (lambda x: x, lambda x: x[..., 0], r"the photographs are uint8 of shape \(40, 50\)"),
        (lambda x: x, lambda x: np.dstack([x, x[..., :1]]), r"of shape \(40, 50, 4\)"),
    ],
)
def test_images_that_are_not_bytes_are_refused(digits, photographs, said, binarize):
    """Of 0..1, each would be cut to 0 when it is blended, or all but white."""
    backgrounds = [photographs(one) for one in synthetic_photographs()]
    with pytest.raises(InputError, match=said):
        make_mnistm(digits(synthetic_digits()), backgrounds, binarize=binarize)
