"""MNIST-M as its authors published it: images in the order of their labels, damage named."""

import io
import shutil
import warnings

import numpy as np
import pytest
from PIL import Image

from minidann.data import load_mnistm_release, mnistm_release
from minidann.runtime.errors import InputError


def release_images(n):
    return np.random.default_rng(n).integers(0, 256, (n, 32, 32, 3), np.uint8)


@pytest.fixture
def release(no_data, tmp_path):
    """A data folder with a release of 200 + 3 images, named in another order than listed."""
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


def test_a_limit_reads_only_the_first_images_that_are_there(release, monkeypatch):
    read = []
    decode = mnistm_release.decode
    monkeypatch.setattr(
        mnistm_release, "decode", lambda *args, **how: read.append(1) or decode(*args, **how)
    )
    (release / "mnist_m" / "mnist_m_train" / f"{4 * 7 + 3:08d}.png").unlink()
    with pytest.warns(UserWarning, match=r"1 of the 200 images"):
        digits = load_mnistm_release(release, size=32, limit=6)
    first = np.array([0, 1, 2, 3, 5, 6])
    assert len(read) == 6 + 3
    np.testing.assert_array_equal(digits.x_train, release_images(200)[first])
    np.testing.assert_array_equal(digits.y_train, first)
    assert len(digits.x_test) == 3


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
    monkeypatch.setattr(mnistm_release, "LARGEST_LABELS", 1000)
    with pytest.raises(InputError, match=r"mnist_m_train_labels\.txt holds more than 1000 bytes"):
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
