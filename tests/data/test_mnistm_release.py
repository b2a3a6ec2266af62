"""MNIST-M: the authors' release, photographs of one's own, the pair that is kept in a file, and what may never change."""

import gzip
import io
import os
import shutil
import tarfile
import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image

from minidann.data import Digits, mnist_m
from minidann.data.mnist import idx_bytes
from minidann.data.mnist_m import (
    cached_mnistm_pair,
    load_backgrounds,
    load_mnistm_release,
    mnistm_pair,
)
from minidann.data.store import digest
from minidann.runtime.errors import InputError

GOLDEN = {  # of source and target of `pair_of`, binarised or not
    True: (
        "cc98a8c5d296e671930b02b594bbaf65e9e1081b16f51bbf709f3794e1932b7b",
        "133329ebd2d93f6c18dad3672e72fa10bbfc07b7501ab1062c36e324bb20a11e",
    ),
    False: (
        "ae9fd0427d0f4b233e48b709148982b429ad6e1101fb0cc3d370fbe9820eacd8",
        "5a485dba408bb3de32f54f22df761efa5efbac3880ccfa71aa876f6c933864a4",
    ),
}


def made_up(n):
    """uint8 (n, 28, 28) of strokes in 1..255 on 0, by integers alone, so that no library's rounding enters."""
    i, j, k = np.ogrid[:28, :28, :n]
    values = (i * i * 7 + j * j * 11 + i * j * (k % 5 + 1) + 13 * k) % 511
    return np.ascontiguousarray(
        np.where(values < 256, values, 0).transpose(2, 0, 1).astype(np.uint8)
    )


def photographs():
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
        photographs(),
        seed=7,
        binarize=binarize,
    )


@pytest.mark.parametrize("binarize", [True, False])
def test_a_seeded_pair_of_64_digits_never_changes(binarize):
    assert (
        tuple(digest(domain.x_train, domain.x_test) for domain in pair_of(binarize))
        == GOLDEN[binarize]
    )


# the release


def release_images(n):
    return np.random.default_rng(n).integers(0, 256, (n, 32, 32, 3), np.uint8)


@pytest.fixture
def release(no_data, tmp_path):
    """A data folder with a small release: 200 training and 3 test images, named in another order than listed."""
    for split, n in (("train", 200), ("test", 3)):
        folder = tmp_path / "mnist_m" / f"mnist_m_{split}"
        folder.mkdir(parents=True)
        lines = []
        for i, image in enumerate(release_images(n)):
            name = f"{(i * 7 + 3) % 211:08d}.png"
            Image.fromarray(image).save(folder / name)
            lines.append(f"{name} {i % 10}\n")
        (tmp_path / "mnist_m" / f"mnist_m_{split}_labels.txt").write_text("".join(lines))
    return tmp_path


@pytest.mark.parametrize("size, border", [(28, 2), (32, 0)])
def test_images_are_read_in_the_order_of_their_labels(release, size, border):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        digits = load_mnistm_release(release, size=size)
    inner = slice(border, 32 - border)
    for x, y, n in ((digits.x_train, digits.y_train, 200), (digits.x_test, digits.y_test, 3)):
        assert (
            x.dtype == np.uint8
            and x.shape == (n, size, size, 3)
            and x.flags.c_contiguous
            and y.dtype == np.int64
        )
        np.testing.assert_array_equal(x, release_images(n)[:, inner, inner])
        np.testing.assert_array_equal(y, np.arange(n) % 10)


def test_a_few_missing_images_are_left_out_with_their_labels_and_counted(release):
    train = release / "mnist_m" / "mnist_m_train"
    for i in (4, 9):
        (train / f"{(i * 7 + 3) % 211:08d}.png").unlink()
    with pytest.warns(UserWarning, match=r"2 of the 200 images .*mnist_m_train_labels\.txt"):
        digits = load_mnistm_release(release, size=32)
    left = np.delete(np.arange(200), [4, 9])
    assert np.array_equal(digits.y_train, left % 10) and np.array_equal(
        digits.x_train, release_images(200)[left]
    )


def test_more_than_one_in_a_hundred_missing_is_refused(release):
    for i in (4, 9, 100):
        (release / "mnist_m" / "mnist_m_train" / f"{(i * 7 + 3) % 211:08d}.png").unlink()
    with pytest.raises(InputError, match=r"3 of the 200 images .*mnist_m_train"):
        load_mnistm_release(release)
    shutil.rmtree(release / "mnist_m" / "mnist_m_train")
    with pytest.raises(InputError, match=r"200 of the 200 images .*mnist_m_train"):
        load_mnistm_release(release)


LINES = {
    "a name with a folder": "sub/00000003.png 0",
    "an absolute name": "/etc/00000003.png 0",
    "the folder above": "../00000003.png 0",
    "two dots": "..png 0",
    "a backslash": "..\\00000003.png 0",
    "a drive": "C:00000003.png 0",
    "NUL": "0000\x000003.png 0",
    "no label": "00000003.png",
    "no name": "5",
    "another suffix": "passwd 0",
    "label 10": "00000003.png 10",
    "label -1": "00000003.png -1",
    "a word": "00000003.png five",
    "an empty line": "",
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES.keys())
def test_a_bad_line_of_the_labels_is_named(release, line):
    path = release / "mnist_m" / "mnist_m_test_labels.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], line, *lines[1:]]))
    with pytest.raises(InputError) as error:
        load_mnistm_release(release)
    assert f"line 2 of {path}" in str(error.value) and "unpack the release again" in str(
        error.value
    )


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", bytes(range(256))], ids=["empty", "not ASCII", "garbage"]
)
def test_a_damaged_label_file_is_named(release, content):
    (release / "mnist_m" / "mnist_m_test_labels.txt").write_bytes(content)
    with pytest.raises(InputError, match=r"mnist_m_test_labels\.txt"):
        load_mnistm_release(release)


def test_a_label_file_larger_than_any_is_not_read_on(release, monkeypatch):
    monkeypatch.setattr(mnist_m, "LARGEST_LABELS", 1000)
    with pytest.raises(InputError, match=r"mnist_m_train_labels\.txt has more than 1000 bytes"):
        load_mnistm_release(release)


def test_a_folder_in_place_of_the_labels_is_named(release):
    (release / "mnist_m" / "mnist_m_test_labels.txt").unlink()
    (release / "mnist_m" / "mnist_m_test_labels.txt").mkdir()
    with pytest.raises(InputError, match=r"mnist_m_test_labels\.txt cannot be read"):
        load_mnistm_release(release)


def png(image, kind="PNG"):
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


SMALL = png(Image.new("RGB", (32, 32), (9, 99, 199)))
PICTURES = {
    "empty": b"",
    "garbage": bytes(range(256)),
    "cut short": SMALL[: len(SMALL) // 2],
    "a wrong checksum": SMALL.replace(b"IDAT", b"IDAX"),
    "28x28": png(Image.new("RGB", (28, 28))),
    "a JPEG": png(Image.new("RGB", (32, 32)), "JPEG"),
}


@pytest.mark.parametrize("content", PICTURES.values(), ids=PICTURES.keys())
def test_a_damaged_image_of_the_release_is_named(release, content):
    path = release / "mnist_m" / "mnist_m_test" / "00000003.png"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        load_mnistm_release(release)
    assert str(path) in str(error.value)


def test_a_folder_in_place_of_an_image_is_named(release):
    path = release / "mnist_m" / "mnist_m_test" / "00000003.png"
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match=r"00000003\.png cannot be read"):
        load_mnistm_release(release)


@pytest.mark.parametrize("size", [30, 0, "28", None])
def test_other_sizes_are_refused(release, size):
    with pytest.raises(InputError, match="28 or 32"):
        load_mnistm_release(release, size=size)


def test_a_missing_release_says_what_needs_none(no_data, tmp_path):
    with pytest.raises(
        InputError, match=r"mnist_m_train_labels\.txt is in none .*MINIDANN_DATA.*needs no release"
    ):
        load_mnistm_release(tmp_path)


# photographs of one's own


def photograph(level, kind="PNG"):
    return png(Image.new("RGB", (48, 32), (level,) * 3), kind)


OWN = {
    "b/1.jpg": photograph(30, "JPEG"),
    "a.png": photograph(10),
    "c.JPEG": photograph(40, "JPEG"),
    "b/0.png": photograph(20),
}
OTHERS = {
    "README.txt": b"no photograph",
    "._a.png": b"what macOS hides",
    "b/.hidden.jpg": b"hidden",
}


def make_folder(path, members):
    for name, content in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def make_tar(path, members, mode="w", **fields):
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for field, value in fields.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(content))
    return path


def make_zip(path, members, mode=0o100644):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return path


MAKERS = {
    "folder": lambda path, members: make_folder(path / "own", members),
    "tar": lambda path, members: make_tar(path / "own.tar", members),
    "tgz": lambda path, members: make_tar(path / "own.tgz", members, "w:gz"),
    "zip": lambda path, members: make_zip(path / "own.zip", members),
}
every_kind = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
archives = pytest.mark.parametrize(
    "make", [MAKERS["tar"], MAKERS["tgz"], MAKERS["zip"]], ids=["tar", "tgz", "zip"]
)


@every_kind
def test_photographs_of_ones_own_are_read_in_the_order_of_their_names(tmp_path, make):
    path = make(tmp_path, OWN | OTHERS)
    for given in (path, str(path)):
        backgrounds = load_backgrounds(path=given)
        assert [(image.shape, image.dtype, round(image.mean())) for image in backgrounds] == [
            ((32, 48, 3), np.uint8, level) for level in (10, 20, 30, 40)
        ]


@every_kind
def test_no_photographs_at_all_are_refused(tmp_path, make):
    with pytest.raises(InputError, match=r"own.* holds no photographs"):
        load_backgrounds(path=make(tmp_path, OTHERS))


@every_kind
@pytest.mark.parametrize(
    "content",
    [b"", b"no photograph", photograph(1, "JPEG")[:200], photograph(1)[:60], b"GIF89a" + bytes(99)],
)
def test_a_damaged_photograph_is_named(tmp_path, make, content):
    with pytest.raises(InputError, match=r"b/2\.jpg in .*own"):
        load_backgrounds(path=make(tmp_path, OWN | {"b/2.jpg": content}))


@archives
@pytest.mark.parametrize(
    "name",
    [
        "/tmp/2.jpg",
        "../2.jpg",
        "b/../../2.jpg",
        "..\\2.jpg",
        "C:\\2.jpg",
        "\\2.jpg",
        "../notes.txt",
    ],
)
def test_a_name_that_leads_outside_is_refused(tmp_path, make, name):
    with pytest.raises(InputError, match=r"own.* a name that leads outside it"):
        load_backgrounds(path=make(tmp_path, OWN | {name: photograph(50)}))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_in_a_tar_archive_is_refused(tmp_path, kind):
    path = make_tar(tmp_path / "own.tar", OWN)
    make_tar(path, {"b/2.jpg": b""}, "a", type=kind, linkname="a.png")
    with pytest.raises(InputError, match=r"own\.tar holds 'b/2\.jpg', a link"):
        load_backgrounds(path=path)


def test_a_link_in_a_zip_archive_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"own\.zip holds 'b/2\.jpg', a link"):
        load_backgrounds(
            path=make_zip(tmp_path / "own.zip", {"b/2.jpg": b"/etc/passwd"}, mode=0o120777)
        )


def claiming(width, height):
    """A PNG of a few bytes whose header claims that size."""
    content = photograph(1)
    header = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + content[24:29]
    return content[:12] + header + zipfile.crc32(header).to_bytes(4, "big") + content[33:]


@every_kind
@pytest.mark.parametrize("size", [(10_000, 5_001), (10_000, 10_000), (2**31 - 1, 2**31 - 1)])
def test_huge_photographs_are_refused_before_they_are_decoded(tmp_path, make, size):
    with pytest.raises(InputError, match=r"huge\.png in .*own.* more than 50000000"):
        load_backgrounds(path=make(tmp_path, {"huge.png": claiming(*size)}))


def test_photographs_that_are_too_much_together_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(mnist_m, "LARGEST_PHOTOGRAPHS", 3 * 32 * 48)
    with pytest.raises(InputError, match=r"own.* more than 4608 pixels together"):
        load_backgrounds(path=make_folder(tmp_path / "own", OWN))


ARCHIVE_DAMAGES = {
    "empty": lambda content: b"",
    "garbage": lambda content: bytes(range(256)) * 4,
    "cut short": lambda content: content[: min(700, len(content) // 2)],
    "a flipped byte": lambda content: content[:60] + bytes([content[60] ^ 255]) + content[61:],
}


@archives
@pytest.mark.parametrize("damage", ARCHIVE_DAMAGES.values(), ids=ARCHIVE_DAMAGES.keys())
def test_a_damaged_archive_is_named(tmp_path, make, damage):
    path = make(tmp_path, OWN)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"own\."):
        load_backgrounds(path=path)


@pytest.mark.parametrize("name", ["nowhere", "own.rar", "nowhere.tgz", "nowhere.zip"])
def test_what_is_no_folder_or_archive_is_refused(tmp_path, name):
    (tmp_path / "own.rar").write_bytes(b"Rar!")
    with pytest.raises(InputError, match=name):
        load_backgrounds(path=tmp_path / name)


# the pair that is kept


@pytest.fixture
def sources(no_data, tmp_path, monkeypatch):
    """A data folder with MNIST of 5 and 3 digits and an archive of 3 photographs, and how often the pair was made of them."""
    monkeypatch.setenv("MINIDANN_VERIFY", "0")
    monkeypatch.setattr(mnist_m, "TRAIN_PHOTOGRAPHS", 3)
    (tmp_path / "mnist").mkdir()
    for split, n in (("train", 5), ("t10k", 3)):
        (tmp_path / "mnist" / f"{split}-images-idx3-ubyte.gz").write_bytes(
            gzip.compress(idx_bytes(made_up(n)))
        )
        (tmp_path / "mnist" / f"{split}-labels-idx1-ubyte.gz").write_bytes(
            gzip.compress(idx_bytes(np.arange(n, dtype=np.uint8)))
        )
    (tmp_path / "bsds500").mkdir()
    members = {
        f"{mnist_m.TRAIN_FOLDER}{i}.jpg": png(Image.fromarray(image), "JPEG")
        for i, image in enumerate(photographs())
    }
    make_tar(tmp_path / "bsds500" / "BSR_bsds500.tgz", members, "w:gz")
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


@pytest.mark.parametrize("binarize", [True, False])
def test_what_is_kept_is_what_would_be_made(sources, made, binarize):
    expected = mnistm_pair(
        mnist_m.load_mnist(sources), load_backgrounds(sources), seed=3, binarize=binarize
    )
    for _ in range(3):
        pair = cached_mnistm_pair(sources, seed=3, binarize=binarize)
        assert equal(pair, expected) and all(isinstance(domain, Digits) for domain in pair)
    assert len(made) == 1
    (kept,) = (sources / "home" / ".cache" / "minidann" / "mnistm").iterdir()
    assert kept.suffix == ".npz" and "-v1-" in kept.name


def test_other_parameters_and_other_data_get_other_files(sources, made, monkeypatch):
    cache = sources / "cache"
    pairs = [
        cached_mnistm_pair(sources, cache_dir=cache, **options)
        for options in ({}, {"seed": 1}, {"binarize": False})
    ]
    assert (
        len(made) == len(list(cache.iterdir())) == 3
        and not equal(pairs[0], pairs[1])
        and not equal(pairs[0], pairs[2])
    )
    path = sources / "mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx_bytes(255 - made_up(5))))
    assert not equal(cached_mnistm_pair(sources, cache_dir=cache), pairs[0]) and len(made) == 4
    monkeypatch.setattr(mnist_m, "CACHE_VERSION", 2)
    cached_mnistm_pair(sources, cache_dir=cache)
    assert len(made) == 5 and len(list(cache.glob("*-v2-*.npz"))) == 1


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
    for _ in range(2):
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
