"""USPS: its text, its two sizes, damage to it; and USPS itself where it is at hand."""

import bz2
import gzip
import os

import numpy as np
import pytest

from minidann.data import usps
from minidann.data.store import digest
from minidann.data.usps import load_usps
from minidann.runtime.errors import InputError

COUNTS = {
    "train": [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644],
    "test": [359, 264, 198, 166, 200, 160, 170, 147, 166, 177],
}
LABELS = {"train": np.array([6, 0, 9, 1]), "test": np.array([5, 5])}


def pixels(n):
    """int16 (n, 16, 16), thousandths of -1000..1000, every one of them another image."""
    return np.random.default_rng(n).integers(-1000, 1001, (n, 16, 16)).astype(np.int16)


def text(labels, thousandths, line="{:.4f} {}\n"):
    return "".join(
        line.format(label, " ".join(f"{p:.4f}" for p in image.ravel() / 1000))
        for label, image in zip(labels, thousandths)
    ).encode()


@pytest.fixture
def folder(no_data, tmp_path, monkeypatch):
    """A data folder with a small USPS: 4 training and 2 test digits."""
    monkeypatch.setenv("MINIDANN_VERIFY", "0")
    (tmp_path / "usps").mkdir()
    for split, labels in LABELS.items():
        (tmp_path / "usps" / f"zip.{split}.gz").write_bytes(
            gzip.compress(text(labels, pixels(len(labels))))
        )
    return tmp_path


def test_what_was_written_is_read(folder):
    digits = load_usps(folder, size=16)
    for x, y, labels in (
        (digits.x_train, digits.y_train, LABELS["train"]),
        (digits.x_test, digits.y_test, LABELS["test"]),
    ):
        assert x.dtype == np.uint8 and y.dtype == np.int64 and x.flags.c_contiguous
        np.testing.assert_array_equal(y, labels)
        np.testing.assert_array_equal(x, np.rint((pixels(len(labels)) / 1000 + 1) * 127.5))


@pytest.mark.parametrize(
    "place, pack",
    [
        ("usps/usps{}.bz2", bz2.compress),
        ("usps/usps{}", bytes),
        ("usps{}.bz2", bz2.compress),  # torchvision's folder as the data folder
    ],
)
def test_the_files_of_libsvm_hold_the_same(folder, place, pack):
    """Their labels are one more, and a pixel of 0 is left out."""
    for split, labels in LABELS.items():
        images = pixels(len(labels))
        images[:, 3, 4] = 0
        (folder / "usps" / f"zip.{split}.gz").write_bytes(gzip.compress(text(labels, images)))
    expected = load_usps(folder)
    for split, suffix in (("train", ""), ("test", ".t")):
        (folder / "usps" / f"zip.{split}.gz").unlink()
        images = pixels(len(LABELS[split]))
        images[:, 3, 4] = 0
        rows = [
            f"{label + 1} " + " ".join(f"{i}:{p:g}" for i, p in enumerate(image / 1000, 1) if p)
            for label, image in zip(LABELS[split], images.reshape(-1, 256))
        ]
        (folder / place.format(suffix)).write_bytes(pack("\n".join(rows).encode()))
    for found, array in zip(load_usps(folder), expected, strict=True):
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    "line", ["11 1:0.5", "0 1:0.5", "1 257:0.5", "1 0:0.5", "1 1:1.5", "1 1:x"]
)
def test_damage_in_a_file_of_libsvm_is_named(folder, line):
    path = folder / "usps" / "zip.train.gz"
    path.write_bytes(f"1 1:-1\n{line}\n".encode())
    with pytest.raises(InputError, match=r"zip\.train\.gz.*download it again"):
        load_usps(folder)


def test_paper_is_0_and_ink_is_255():
    np.testing.assert_array_equal(
        usps.grey(np.array([-1000, -999, 0, 999, 1000], np.int16)), [0, 0, 128, 255, 255]
    )


def test_enlarged_digits_stand_in_a_border_of_four(folder):
    digits = load_usps(folder)
    assert (
        digits.x_train.shape == (4, 28, 28)
        and digits.x_test.shape == (2, 28, 28)
        and digits.x_train.dtype == np.uint8
    )
    inner = np.zeros((28, 28), bool)
    inner[4:24, 4:24] = True
    assert not digits.x_train[:, ~inner].any()
    flat = np.full((1, 16, 16), 200, np.uint8)
    np.testing.assert_array_equal(usps.enlarge(flat)[0], 200 * inner)
    ramp = np.tile(
        np.arange(0, 240, 15, dtype=np.uint8), (1, 16, 1)
    )  # a row rises from left to right
    large = usps.enlarge(ramp)[0, 4:24, 4:24].astype(int)
    assert (large == large[0]).all() and (np.diff(large[0]) > 0).all()


@pytest.mark.parametrize("line", ["{:.0f} {} \n", "  {:.1f}\t{}\r\n", "{:.4f}   {}\n\n"])
def test_white_space_and_trailing_zeros_do_not_matter(folder, line):
    expected = load_usps(folder)
    (folder / "usps" / "zip.train.gz").write_bytes(
        gzip.compress(text(LABELS["train"], pixels(4), line))
    )
    assert all(np.array_equal(a, b) for a, b in zip(load_usps(folder), expected))


def test_it_may_lie_there_uncompressed(folder):
    expected = load_usps(folder)
    for path in list((folder / "usps").iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert all(np.array_equal(a, b) for a, b in zip(load_usps(folder), expected))


def inside(change):
    """Damage to the text under the compression."""
    return lambda content: gzip.compress(change(gzip.decompress(content)))


DAMAGES = {
    "a number short": inside(lambda text: text[: text.rindex(b" ")]),
    "a number short everywhere": inside(
        lambda text: b"\n".join(line[: line.rindex(b" ")] for line in text.splitlines())
    ),
    "no numbers": inside(lambda text: b"label and pixels\n" + text),
    "a letter": inside(lambda text: text.replace(b" -0.", b" -O.", 1)),
    "a comment": inside(lambda text: b"# USPS\n" + text),
    "a pixel beyond 1": inside(lambda text: text.replace(b" 0.", b" 7.", 1)),
    "a pixel that is none": inside(
        lambda text: text.replace(b" 0.", b" nan 0.", 1).replace(b" -0.", b" ", 1)
    ),
    "an infinite pixel": inside(lambda text: text[: text.rindex(b" ")] + b" inf\n"),
    "label 10": inside(lambda text: b"10" + text[1:]),
    "label 1.5": inside(lambda text: b"1.5" + text[3:]),
    "label -1": inside(lambda text: b"-" + text.replace(b"6", b"1", 1)),
    "no text": inside(lambda text: b""),
    "line ends alone": inside(lambda text: b"\n" * 9),
    "NUL bytes": inside(lambda text: bytes(99)),
    "not ASCII": inside(lambda text: bytes(range(256))),
    "one number": inside(lambda text: b"5\n"),
    "garbage": lambda content: bytes(range(256)) * 4,
    "a web page": lambda content: b"<html>404</html>",
    "empty": lambda content: b"",
    "cut short": lambda content: content[: len(content) // 2],
    "without its end": lambda content: content[:-8],
    "a flipped byte": lambda content: content[:200] + bytes([content[200] ^ 255]) + content[201:],
    "a wrong checksum": lambda content: content[:-8] + bytes(4) + content[-4:],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_named(folder, damage):
    path = folder / "usps" / "zip.train.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError) as error:
        load_usps(folder)
    assert str(path) in str(error.value) and "download it again from https://" in str(error.value)


def test_a_bomb_is_read_no_further_than_any_file_goes(folder, monkeypatch):
    monkeypatch.setattr(usps, "LARGEST", 100_000)
    (folder / "usps" / "zip.test.gz").write_bytes(gzip.compress(b"0 " * 10_000_000))
    with pytest.raises(InputError, match=r"zip\.test\.gz holds more than 100000 bytes"):
        load_usps(folder)


def test_a_folder_in_place_of_a_file_is_named(folder):
    (folder / "usps" / "zip.test.gz").unlink()
    (folder / "usps" / "zip.test.gz").mkdir()
    with pytest.raises(InputError, match=r"zip\.test\.gz cannot be read"):
        load_usps(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(folder):
    (folder / "usps" / "zip.test.gz").chmod(0)
    with pytest.raises(InputError, match=r"zip\.test\.gz cannot be read"):
        load_usps(folder)


def test_a_missing_file_says_where_to_get_it(folder):
    (folder / "usps" / "zip.test.gz").unlink()
    with pytest.raises(InputError, match=r"zip\.test\.gz.*https://hastie\.su\.domains"):
        load_usps(folder)


@pytest.mark.parametrize("size", [20, 0, "28", None])
def test_other_sizes_are_refused(folder, size):
    with pytest.raises(InputError, match="16 or 28"):
        load_usps(folder, size=size)


def test_other_digits_than_the_published_are_refused(folder, monkeypatch):
    monkeypatch.delenv("MINIDANN_VERIFY")
    with pytest.raises(
        InputError, match=r"zip\.train\.gz .*published.*https://.*MINIDANN_VERIFY=0"
    ):
        load_usps(folder)
    for split, labels in LABELS.items():
        name = f"zip.{split}.gz"
        monkeypatch.setitem(
            usps.FILES,
            name,
            usps.FILES[name]._replace(sha256=digest(labels.astype(np.int64), pixels(len(labels)))),
        )
    load_usps(folder)
    swapped = LABELS["train"][[1, 0, 2, 3]]
    (folder / "usps" / "zip.train.gz").write_bytes(gzip.compress(text(swapped, pixels(4))))
    with pytest.raises(InputError, match=r"zip\.train\.gz .*published"):
        load_usps(folder)


@pytest.mark.skipif(
    "MINIDANN_DATA" not in os.environ,
    reason="MINIDANN_DATA names no folder with the real USPS in usps/",
)
def test_the_real_usps_has_its_published_label_counts(monkeypatch):
    monkeypatch.delenv("MINIDANN_VERIFY", raising=False)
    digits, original = load_usps(), load_usps(size=16)
    assert digits.x_train.shape == (7291, 28, 28) and digits.x_test.shape == (2007, 28, 28)
    assert original.x_train.shape == (7291, 16, 16) and original.x_test.shape == (2007, 16, 16)
    assert (
        np.bincount(digits.y_train).tolist() == COUNTS["train"]
        and np.bincount(digits.y_test).tolist() == COUNTS["test"]
    )
    assert digits.x_train.mean() == pytest.approx(33.3, abs=0.1)  # MNIST's is 33.3 too
