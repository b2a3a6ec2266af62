"""idx files, whole and damaged as a download can be; and MNIST itself where it is at hand."""

import gzip
import os
import re
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidann.data import load_mnist, mnist, store
from minidann.data.mnist import read_idx
from minidann.runtime.errors import InputError

NAMES = [
    f"{split}-{kind}-ubyte"
    for split in ("train", "t10k")
    for kind in ("images-idx3", "labels-idx1")
]
REAL = Path(os.environ.get("MINIDANN_DATA", ""), "mnist").resolve()
real = pytest.mark.skipif(
    "MINIDANN_DATA" not in os.environ,
    reason="MINIDANN_DATA names no folder with the real MNIST in mnist/",
)
COUNTS = {
    "train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
}


def idx(array, magic=None):
    """The bytes of an idx file."""
    return (
        struct.pack(
            f">{1 + array.ndim}I", 0x800 + array.ndim if magic is None else magic, *array.shape
        )
        + array.astype(np.uint8).tobytes()
    )


@pytest.fixture
def folder(no_data, tmp_path):
    """A data folder with a small MNIST: 5 training and 3 test digits, compressed."""
    (tmp_path / "mnist").mkdir()
    rng = np.random.default_rng(0)
    for name in NAMES:
        n = 5 if name.startswith("train") else 3
        content = (
            idx(rng.integers(0, 256, (n, 28, 28))) if "images" in name else idx(np.arange(n) + 5)
        )
        (tmp_path / "mnist" / f"{name}.gz").write_bytes(gzip.compress(content))
    return tmp_path


@given(st.lists(st.integers(0, 6), min_size=1, max_size=3), st.booleans(), st.integers(0, 99))
def test_what_was_written_is_read(tmp_path_factory, shape, compressed, seed):
    array = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path_factory.mktemp("idx") / ("file.gz" if compressed else "file")
    path.write_bytes(gzip.compress(idx(array)) if compressed else idx(array))
    read = read_idx(path, axes=len(shape))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, array)


@given(
    st.lists(st.integers(0, 2**32 - 1), min_size=3, max_size=3),
    st.integers(0, 2**32 - 1),
    st.integers(0, 16),
)
def test_any_header_over_too_few_bytes_is_refused_before_memory_is_asked_for(
    tmp_path_factory, shape, magic, length
):
    path = tmp_path_factory.mktemp("idx") / "images"
    path.write_bytes(struct.pack(">4I", magic if magic % 2 else 0x803, *shape)[:length] + b"x")
    with pytest.raises(InputError, match="images"):
        read_idx(path, axes=3)


def test_mnist_is_four_files(folder):
    digits = load_mnist(folder)
    assert digits.x_train.shape == (5, 28, 28) and digits.x_test.shape == (3, 28, 28)
    assert (
        digits.x_train.dtype == np.uint8 and digits.y_train.dtype == digits.y_test.dtype == np.int64
    )
    np.testing.assert_array_equal(
        digits.x_train, np.random.default_rng(0).integers(0, 256, (5, 28, 28))
    )
    np.testing.assert_array_equal(digits.y_train, [5, 6, 7, 8, 9])
    np.testing.assert_array_equal(digits.y_test, [5, 6, 7])


def test_mnist_may_lie_there_uncompressed(folder):
    expected = load_mnist(folder)
    for path in list((folder / "mnist").iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert all(np.array_equal(a, b) for a, b in zip(load_mnist(folder), expected))


def inside(change):
    """Damage to the content under the compression."""
    return lambda content: gzip.compress(change(gzip.decompress(content)))


HUGE = (4_000_000_000, 28, 28)  # images: 3 10^12 bytes
DAMAGES = {
    "truncated": inside(lambda content: content[:-1]),
    "one byte more": inside(lambda content: content + b"x"),
    "header alone": inside(lambda content: content[:16]),
    "half a header": inside(lambda content: content[:6]),
    "magic alone": inside(lambda content: content[:4]),
    "nothing inside": inside(lambda content: b""),
    "other magic": inside(lambda content: b"\0\0\x0c\x03" + content[4:]),
    "little-endian": inside(lambda content: content[3::-1] + content[4:]),
    "labels for images": lambda content: gzip.compress(idx(np.arange(5))),
    "10^12 images": inside(lambda content: struct.pack(">4I", 0x803, *HUGE) + content[16:]),
    "10^12 images and no more": inside(lambda content: struct.pack(">4I", 0x803, *HUGE)),
    "most there can be": inside(
        lambda content: struct.pack(">4I", 0x803, *[2**32 - 1] * 3) + content[16:]
    ),
    "garbage": lambda content: bytes(range(256)) * 4,
    "a web page": lambda content: b"<html>404</html>",
    "empty": lambda content: b"",
    "gzip cut short": lambda content: content[: len(content) // 2],
    "gzip header alone": lambda content: content[:10],
    "gzip without its end": lambda content: content[:-8],
    "gzip with a wrong checksum": lambda content: content[:-8] + bytes(4) + content[-4:],
    "gzip with a flipped byte": lambda content: (
        content[:200] + bytes([content[200] ^ 255]) + content[201:]
    ),
    "gzip with garbage behind": lambda content: content + b"garbage",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_named(folder, damage):
    path = folder / "mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError) as error:
        load_mnist(folder)
    assert str(path) in str(error.value) and "download it again from https://" in str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_in_place_of_a_file_is_named(folder, name):
    path = folder / "mnist" / f"{name}.gz"
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match=name):
        load_mnist(folder)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_says_where_to_get_it_and_what_needs_none(folder, name):
    (folder / "mnist" / f"{name}.gz").unlink()
    with pytest.raises(InputError, match=rf"{name}.*https://.*--data-dir"):
        load_mnist(folder)


def test_images_without_labels_are_refused(folder):
    shutil.copy(folder / "mnist" / f"{NAMES[3]}.gz", folder / "mnist" / f"{NAMES[1]}.gz")
    with pytest.raises(
        InputError, match=rf"{NAMES[0]}.* holds 5 images but .*{NAMES[1]}.* holds 3 labels"
    ):
        load_mnist(folder)


def test_a_label_beyond_nine_is_refused(folder):
    (folder / "mnist" / f"{NAMES[1]}.gz").write_bytes(
        gzip.compress(idx(np.array([0, 1, 10, 2, 3])))
    )
    with pytest.raises(InputError, match=rf"{NAMES[1]}.* holds the label 10"):
        load_mnist(folder)


@pytest.mark.parametrize("name", NAMES)
def test_whole_files_of_another_content_are_refused(folder, monkeypatch, name):
    """Of each file but one the hash is set to that of the small content."""
    monkeypatch.delenv("MINIDANN_VERIFY")
    hashes = {
        file: store.digest(gzip.decompress((folder / "mnist" / file).read_bytes()))
        for file in mnist.FILES
    }
    small = {file: entry._replace(sha256=hashes[file]) for file, entry in mnist.FILES.items()}
    monkeypatch.setattr(mnist, "FILES", small)
    load_mnist(folder)
    monkeypatch.setitem(small, f"{name}.gz", small[f"{name}.gz"]._replace(sha256="0" * 64))
    with pytest.raises(InputError, match=rf"{name}\.gz .*published.*https://.*MINIDANN_VERIFY=0"):
        load_mnist(folder)


@real
def test_the_real_mnist_is_verified_and_has_its_published_label_counts(monkeypatch):
    monkeypatch.delenv("MINIDANN_VERIFY")
    digits = load_mnist()
    assert digits.x_train.shape == (60000, 28, 28) and digits.x_test.shape == (10000, 28, 28)
    assert (
        np.bincount(digits.y_train).tolist() == COUNTS["train"]
        and np.bincount(digits.y_test).tolist() == COUNTS["test"]
    )
    np.testing.assert_array_equal(digits.y_train[:10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4])
    assert digits.x_train.mean() == pytest.approx(
        33.318, abs=0.001
    ) and digits.x_test.mean() == pytest.approx(33.791, abs=0.001)


@real
def test_one_bit_of_the_real_mnist_is_noticed_under_a_new_compression(
    no_data, monkeypatch, tmp_path
):
    monkeypatch.delenv("MINIDANN_VERIFY")
    name = "t10k-images-idx3-ubyte.gz"
    (tmp_path / "mnist").mkdir()
    for file in REAL.glob("*.gz"):
        (tmp_path / "mnist" / file.name).symlink_to(file)
    path, content = (
        tmp_path / "mnist" / name,
        bytearray(gzip.decompress((REAL / name).read_bytes())),
    )
    path.unlink()
    path.write_bytes(gzip.compress(content, 1))
    assert path.read_bytes() != (REAL / name).read_bytes()
    load_mnist(tmp_path)
    content[4_000_000] ^= 1
    path.write_bytes(gzip.compress(content, 1))
    with pytest.raises(InputError) as error:
        load_mnist(tmp_path)
    assert str(path) in str(error.value) and "download it again from https://" in str(error.value)


SPELLINGS = {
    "LeCun's": ("mnist/{0}-idx{1}-ubyte.gz", True),
    "unpacked": ("mnist/{0}-idx{1}-ubyte", False),
    "with a dot": ("mnist/{0}.idx{1}-ubyte", False),
    "with a dot, packed": ("mnist/{0}.idx{1}-ubyte.gz", True),
    "Kaggle's folders": ("mnist/{0}-idx{1}-ubyte/{0}-idx{1}-ubyte", False),
    "torchvision's folder as data folder": ("MNIST/raw/{0}-idx{1}-ubyte", False),
    "torchvision's archives": ("MNIST/raw/{0}-idx{1}-ubyte.gz", True),
    "torchvision's in mnist/": ("mnist/MNIST/raw/{0}-idx{1}-ubyte", False),
}


@pytest.mark.parametrize("pattern, packed", SPELLINGS.values(), ids=SPELLINGS)
def test_the_names_that_others_give_the_files_are_known(
    no_data, tmp_path, pattern, packed, small_data
):
    expected = load_mnist(small_data)
    for file in (small_data / "mnist").iterdir():
        name, axes = re.match(r"(.*)-idx(\d)", file.name).groups()
        path = tmp_path / pattern.format(name, axes)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = file.read_bytes()
        path.write_bytes(content if packed else gzip.decompress(content))
    for found, array in zip(load_mnist(tmp_path), expected, strict=True):
        np.testing.assert_array_equal(found, array)
