"""MNIST-M: its formula, its patches, its seed, and the archive of photographs."""

import hashlib
import io
import os
import tarfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from PIL import EpsImagePlugin, Image

from minidann.data import Digits, load_backgrounds, make_mnistm, mnist_m, mnistm_pair
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
    for x, plain in ((mnist.x_train, source.x_train), (mnist.x_test, source.x_test)):
        assert plain.dtype == np.uint8 and plain.shape == (*x.shape, 3)
        np.testing.assert_array_equal(plain, np.stack([255 * (x > 0)] * 3, axis=3))
    for name in ("y_train", "y_test"):
        assert np.array_equal(getattr(source, name), getattr(mnist, name)) and np.array_equal(
            getattr(target, name), getattr(mnist, name)
        )
    again, other = (mnistm_pair(mnist, synthetic_photographs(), seed=seed)[1] for seed in (5, 6))
    assert np.array_equal(target.x_train, again.x_train) and not np.array_equal(
        target.x_train, other.x_train
    )


def test_training_and_test_patches_are_drawn_apart():
    blank = np.zeros((4, 28, 28), np.uint8)
    _, target = mnistm_pair(Digits(blank, np.zeros(4), blank, np.zeros(4)), synthetic_photographs())
    assert not (target.x_train == target.x_test).all(axis=(1, 2, 3)).any()


def archive(path, members):
    """A .tgz of (name, image or bytes)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as file:
        for name, content in members:
            if isinstance(content, Image.Image):
                buffer = io.BytesIO()
                content.save(buffer, "JPEG")
                content = buffer.getvalue()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def photograph(level, mode="RGB"):
    return Image.new(mode, (48, 32), (level,) * 3 if mode == "RGB" else level)


@pytest.fixture
def three(no_data, tmp_path, monkeypatch):
    """Members of a small archive in the real layout, where three photographs are all there should be."""
    monkeypatch.setattr(mnist_m, "TRAIN_PHOTOGRAPHS", 3)
    train = mnist_m.TRAIN_FOLDER
    return [
        (f"{train}30.jpg", photograph(30)),
        (f"{train}Thumbs.db", b"no photograph"),
        (f"{train}10.jpg", photograph(10)),
        (f"{train.replace('train', 'test')}40.jpg", photograph(40)),
        (f"{train}20.jpg", photograph(20, "L")),
    ]


def test_backgrounds_are_the_training_photographs_in_the_order_of_their_names(three, tmp_path):
    archive(tmp_path / "bsds500" / "BSR_bsds500.tgz", three)
    backgrounds = load_backgrounds(tmp_path)
    assert [(image.shape, image.dtype, round(image.mean())) for image in backgrounds] == [
        ((32, 48, 3), np.uint8, level) for level in (10, 20, 30)
    ]


@pytest.mark.parametrize("extra, count", [([50], 4), ([50, 60], 5), (None, 2)])
def test_a_wrong_number_of_photographs_is_refused(three, tmp_path, extra, count):
    members = (
        [*three, *((f"{mnist_m.TRAIN_FOLDER}{level}.jpg", photograph(level)) for level in extra)]
        if extra
        else three[1:]
    )
    path = archive(tmp_path / "bsds500" / "BSR_bsds500.tgz", members)
    with pytest.raises(InputError) as error:
        load_backgrounds(tmp_path)
    assert f"{path} holds {count} of the 3 photographs" in str(error.value)


def test_other_photographs_than_the_published_are_refused_however_archived(
    three, tmp_path, monkeypatch
):
    """The 200 training photographs alone count: their bytes, in the order of their names."""
    monkeypatch.delenv("MINIDANN_VERIFY")
    path = archive(tmp_path / "bsds500" / "BSR_bsds500.tgz", three)
    with tarfile.open(path) as file:
        content = [
            file.extractfile(f"{mnist_m.TRAIN_FOLDER}{level}.jpg").read() for level in (10, 20, 30)
        ]
    monkeypatch.setattr(
        mnist_m,
        "BSDS500",
        mnist_m.BSDS500._replace(sha256=hashlib.sha256(b"".join(content)).hexdigest()),
    )
    load_backgrounds(tmp_path)
    archive(path, three[::-1])
    load_backgrounds(tmp_path)
    archive(path, [*three[1:], (f"{mnist_m.TRAIN_FOLDER}30.jpg", photograph(90))])
    with pytest.raises(
        InputError, match=r"BSR_bsds500\.tgz .*published.*http://.*MINIDANN_VERIFY=0"
    ):
        load_backgrounds(tmp_path)


@pytest.mark.skipif(
    "MINIDANN_DATA" not in os.environ,
    reason="MINIDANN_DATA names no folder with the real BSDS500 in bsds500/",
)
def test_the_real_photographs_are_verified(monkeypatch):
    monkeypatch.delenv("MINIDANN_VERIFY")
    backgrounds = load_backgrounds()
    assert len(backgrounds) == 200 and {image.shape for image in backgrounds} == {
        (321, 481, 3),
        (481, 321, 3),
    }


DAMAGES = {
    "garbage": lambda content: bytes(range(256)) * 4,
    "empty": lambda content: b"",
    "cut short": lambda content: content[: len(content) // 2],
    "without its end": lambda content: content[:-40],
    "flipped byte": lambda content: content[:60] + bytes([content[60] ^ 255]) + content[61:],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_archive_is_named(three, tmp_path, damage):
    path = archive(tmp_path / "bsds500" / "BSR_bsds500.tgz", three)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"BSR_bsds500\.tgz"):
        load_backgrounds(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no photograph", b"\xff\xd8\xff\xe0 cut short"])
def test_a_damaged_photograph_names_the_archive(three, tmp_path, content):
    archive(
        tmp_path / "bsds500" / "BSR_bsds500.tgz",
        [*three[1:], (f"{mnist_m.TRAIN_FOLDER}30.jpg", content)],
    )
    with pytest.raises(InputError, match=r"BSR_bsds500\.tgz"):
        load_backgrounds(tmp_path)


@pytest.mark.parametrize("format", ["EPS", "GIF", "TIFF", "BMP"])
def test_what_only_calls_itself_a_jpg_is_not_decoded(three, tmp_path, monkeypatch, format):
    """An EPS would make Pillow start Ghostscript: a downloaded archive must not choose which program reads it."""
    other = io.BytesIO()
    photograph(30).save(other, format)
    archive(
        tmp_path / "bsds500" / "BSR_bsds500.tgz",
        [*three[1:], (f"{mnist_m.TRAIN_FOLDER}30.jpg", other.getvalue())],
    )
    monkeypatch.setattr(
        EpsImagePlugin,
        "Ghostscript",
        lambda *args, **options: pytest.fail("Ghostscript was called"),
    )
    with pytest.raises(
        InputError, match=r"30\.jpg in .*BSR_bsds500\.tgz cannot be read as an image"
    ):
        load_backgrounds(tmp_path)


def test_an_archive_is_verified_before_any_of_it_is_decoded(three, tmp_path, monkeypatch):
    monkeypatch.delenv("MINIDANN_VERIFY")
    monkeypatch.setattr(mnist_m, "decode", lambda *_: pytest.fail("decoded"))
    archive(tmp_path / "bsds500" / "BSR_bsds500.tgz", three)
    with pytest.raises(InputError, match="published"):
        load_backgrounds(tmp_path)


def test_a_folder_in_place_of_the_archive_is_named(no_data, tmp_path):
    (tmp_path / "bsds500" / "BSR_bsds500.tgz").mkdir(parents=True)
    with pytest.raises(InputError, match=r"BSR_bsds500\.tgz"):
        load_backgrounds(tmp_path)


def test_a_missing_archive_says_where_to_get_it_and_what_needs_none(no_data, tmp_path):
    with pytest.raises(InputError, match=r"BSR_bsds500\.tgz.*http://.*--data digits"):
        load_backgrounds(tmp_path)
