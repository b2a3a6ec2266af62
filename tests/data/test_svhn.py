"""SVHN: MATLAB 5 files as published, made by SciPy, and other files that bear their names."""

import hashlib
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from minidann.data import svhn
from minidann.data.__main__ import main
from minidann.data.svhn import load_svhn
from minidann.runtime.errors import InputError

LABELS = {"train": [10, 1, 2, 9, 5], "test": [3, 10, 10], "extra": [7, 8]}


def images(split):
    """uint8 (32, 32, 3, N), as MATLAB has them."""
    return np.random.default_rng(len(split)).integers(
        0, 256, (32, 32, 3, len(LABELS[split])), np.uint8
    )


def labels(split, dtype=np.uint8):
    return np.array(LABELS[split], dtype)[:, None]


def mat(tmp_path, content, **options):
    """The bytes of a MATLAB file."""
    path = tmp_path / "made.mat"
    savemat(path, content, **{"do_compression": True, **options})
    return path.read_bytes()


@pytest.fixture(params=[True, False], ids=["compressed", "plain"])
def folder(request, no_data, tmp_path, monkeypatch):
    """A data folder with a small SVHN: 5 training, 3 test and 2 extra images."""
    monkeypatch.setenv("MINIDANN_VERIFY", "0")
    (tmp_path / "svhn").mkdir()
    for split in LABELS:
        content = mat(
            tmp_path, {"X": images(split), "y": labels(split)}, do_compression=request.param
        )
        (tmp_path / "svhn" / f"{split}_32x32.mat").write_bytes(content)
    return tmp_path


def test_images_come_first_and_ten_is_zero(folder):
    digits = load_svhn(folder)
    for x, y, split in (
        (digits.x_train, digits.y_train, "train"),
        (digits.x_test, digits.y_test, "test"),
    ):
        assert (
            x.dtype == np.uint8
            and x.shape == (len(LABELS[split]), 32, 32, 3)
            and x.flags.c_contiguous
            and x.flags.writeable
        )
        for i, image in enumerate(x):  # row, column, channel
            np.testing.assert_array_equal(image, images(split)[:, :, :, i])
        assert y.dtype == np.int64 and y.tolist() == [label % 10 for label in LABELS[split]]


def test_extra_images_follow_the_training_images(folder):
    few, more = load_svhn(folder), load_svhn(folder, extra=True)
    np.testing.assert_array_equal(more.x_train[:5], few.x_train)
    np.testing.assert_array_equal(more.x_train[5:], images("extra").transpose(3, 0, 1, 2))
    assert more.y_train.tolist() == [0, 1, 2, 9, 5, 7, 8] and more.x_train.flags.c_contiguous
    assert np.array_equal(more.x_test, few.x_test)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float64])
def test_labels_may_be_of_any_type_that_holds_whole_numbers(folder, tmp_path, dtype):
    (folder / "svhn" / "train_32x32.mat").write_bytes(
        mat(tmp_path, {"y": labels("train", dtype), "X": images("train"), "note": "more"})
    )
    assert load_svhn(folder).y_train.tolist() == [0, 1, 2, 9, 5]


def big_endian():
    """The bytes of a plain file as a big-endian machine writes it.

    Its labels are doubles that MATLAB stored as int16.
    """

    def element(kind, content):
        return struct.pack(">2I", kind, len(content)) + content + bytes(-len(content) % 8)

    def array(name, flags, values, shape, kind):
        header = element(6, struct.pack(">2I", flags, 0)) + element(
            5, struct.pack(f">{len(shape)}i", *shape)
        )
        return element(
            14, header + struct.pack(">2H", 1, 1) + name + bytes(3) + element(kind, values)
        )

    x, y = images("train").tobytes(order="F"), labels("train").astype(">i2").tobytes()
    return (
        b"MATLAB 5.0 MAT-file".ljust(124)
        + b"\x01\x00MI"
        + array(b"X", 9, x, (32, 32, 3, 5), 2)
        + array(b"y", 6, y, (5, 1), 3)
    )


def test_big_endian_files_are_read_too(folder):
    expected = load_svhn(folder)
    (folder / "svhn" / "train_32x32.mat").write_bytes(big_endian())
    assert all(np.array_equal(a, b) for a, b in zip(load_svhn(folder), expected))


@pytest.mark.parametrize("name", [b"X", b"y"])
def test_an_array_twice_is_refused(folder, tmp_path, name):
    plain = mat(tmp_path, {"X": X, "y": Y}, do_compression=False)
    other = mat(tmp_path, {name.decode(): {b"X": X, b"y": Y}[name]}, do_compression=False)
    assert "twice" in refused(folder, plain + other[128:])


@pytest.mark.parametrize("folder", [False], indirect=True)
def test_damage_anywhere_in_the_headers_is_refused_or_harmless(folder):
    """On some of these scipy.io.loadmat crashes Python."""
    content = (folder / "svhn" / "train_32x32.mat").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(400):
        damaged = bytearray(content)
        for place in rng.choice([*range(124, 200), *range(len(content) - 72, len(content))], 3):
            damaged[place] = rng.integers(256)
        (folder / "svhn" / "train_32x32.mat").write_bytes(damaged)
        try:
            assert load_svhn(folder).x_train.shape == (5, 32, 32, 3)
        except InputError as error:
            assert "train_32x32.mat" in str(error)


def refused(folder, content):
    """The message about a training file of these bytes."""
    path = folder / "svhn" / "train_32x32.mat"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        load_svhn(folder)
    assert str(path) in str(
        error.value
    ) and f"download it again from {svhn.SOURCE}train_32x32.mat" in str(error.value)
    return str(error.value)


def objects():
    """A MATLAB cell array of the images' shape, but for its length."""
    return np.full((32, 32, 3, 1), 7, object)


X, Y = images("train"), labels("train")
LAYOUTS = {
    "no y": ({"X": X}, "holds X, not one X"),
    "no X": ({"y": Y}, "holds y, not one X"),
    "nothing": ({}, "holds nothing"),
    "lower case": ({"x": X, "y": Y}, "holds x, y"),
    "images first": ({"X": X.transpose(3, 0, 1, 2), "y": Y}, "not uint8 (32, 32, 3, N)"),
    "one image": ({"X": X[..., 0], "y": Y[:1]}, "not uint8 (32, 32, 3, N)"),
    "no images": ({"X": X[..., :0], "y": Y[:0]}, "claims 0 images"),
    "28x28": ({"X": X[:28, :28], "y": Y}, "not uint8 (32, 32, 3, N)"),
    "five axes": ({"X": X[..., None].repeat(2, 4), "y": Y}, "not uint8 (32, 32, 3, N)"),
    "float images": ({"X": X / 255, "y": Y}, "X in"),
    "int16 images": ({"X": X.astype(np.int16), "y": Y}, "X in"),
    "complex images": ({"X": X * 1j, "y": Y}, "X in"),
    "a struct": ({"X": {"X": X}, "y": Y}, "X in"),
    "a cell array": ({"X": objects(), "y": Y[:1]}, "is a cell array"),
    "a string": ({"X": X, "y": "12345"}, "y in"),
    "labels in a struct": ({"X": X, "y": {"y": Y}}, "y in"),
    "labels in a cell array": ({"X": X, "y": Y.astype(object)}, "y in"),
    "true and false": ({"X": X, "y": Y > 5}, "y in"),
    "a label too few": ({"X": X, "y": Y[:-1]}, "must be (5, 1)"),
    "a label too many": ({"X": X, "y": np.vstack([Y, Y[:1]])}, "must be (5, 1)"),
    "labels in a row": ({"X": X, "y": Y.T}, "must be (N, 1)"),
    "label 0": ({"X": X, "y": Y % 10}, "the label 0"),
    "label 11": ({"X": X, "y": Y + 1}, "the label 11"),
    "label 1.5": ({"X": X, "y": Y / 2}, "the label 0.5"),
    "label nan": ({"X": X, "y": np.where(Y == 5, np.nan, Y)}, "the label nan"),
    "complex labels": ({"X": X, "y": Y + 1j}, "y in"),
}


@pytest.mark.parametrize("content, message", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_another_layout_is_refused(folder, tmp_path, content, message):
    assert message in refused(folder, mat(tmp_path, content))


def with_images(content, n):
    """The bytes of a plain file whose header claims n images."""
    here = content.index(struct.pack("<4i", 32, 32, 3, 5))
    return content[:here] + struct.pack("<4i", 32, 32, 3, n) + content[here + 16 :]


@pytest.mark.parametrize("n", [700_001, 2**31 - 1, -1, -(2**31)])
@pytest.mark.parametrize("compressed", [True, False])
def test_a_claim_of_too_many_images_is_refused_before_memory_is_asked_for(
    folder, tmp_path, n, compressed
):
    content = with_images(mat(tmp_path, {"X": X, "y": Y}, do_compression=False), n)
    if compressed:
        body = zlib.compress(content[128:][: 8 + struct.unpack("<I", content[132:136])[0]])
        rest = content[136 + struct.unpack("<I", content[132:136])[0] :]
        content = content[:128] + struct.pack("<2I", 15, len(body)) + body + rest
    assert f"claims {n} images" in refused(folder, content)


def test_fewer_pixels_than_the_header_claims_are_refused(folder, tmp_path):
    content = with_images(mat(tmp_path, {"X": X, "y": Y}, do_compression=False), 6)
    content = content.replace(struct.pack("<2i", 5, 1), struct.pack("<2i", 6, 1))
    refused(folder, content)


def test_a_file_larger_than_any_is_refused(folder, monkeypatch):
    monkeypatch.setitem(svhn.FILES, "train", svhn.FILES["train"]._replace(largest=1000))
    with pytest.raises(InputError, match=r"train_32x32\.mat has \d+ bytes, more than"):
        load_svhn(folder)


def test_other_versions_of_matlab_are_refused(folder, tmp_path):
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124)
    assert "MATLAB 7.3 file (HDF5)" in refused(
        folder, header + b"\x00\x02IM" + bytes(384) + b"\x89HDF\r\n\x1a\n" + bytes(99)
    )
    assert "MATLAB 7.3 file (HDF5)" in refused(folder, b"\x89HDF\r\n\x1a\n" + bytes(999))
    assert "not a MATLAB 5 file" in refused(
        folder, mat(tmp_path, {"X": X[0, 0, 0], "y": Y}, format="4", do_compression=False)
    )


DAMAGES = {
    "empty": lambda content: b"",
    "garbage": lambda content: bytes(range(256)) * 4,
    "a web page": lambda content: b"<html>404</html>" * 20,
    "a pickle": lambda content: b"\x80\x04\x95".ljust(200, b"."),
    "cut short": lambda content: content[: len(content) // 2],
    "without its end": lambda content: content[:-8],
    "half a header": lambda content: content[:64],
    "header alone": lambda content: content[:128],
    "a byte missing": lambda content: content[:140] + content[141:],
    "garbage behind the header": lambda content: content[:128] + bytes(range(256)) * 40,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_named(folder, damage):
    refused(folder, damage((folder / "svhn" / "train_32x32.mat").read_bytes()))


@pytest.mark.parametrize("folder", [True], indirect=True)
def test_no_flipped_bit_under_the_compression_passes_unseen(folder):
    """zlib's checksum finds it, wherever it is.

    Plain files have none: in them a wrong pixel cannot be told from a right one.
    """
    content = (folder / "svhn" / "train_32x32.mat").read_bytes()
    whole = load_svhn(folder)
    for place in np.random.default_rng(0).integers(128, len(content), 150):
        flipped = bytes([*content[:place], content[place] ^ 1 << place % 8, *content[place + 1 :]])
        (folder / "svhn" / "train_32x32.mat").write_bytes(flipped)
        try:
            digits = load_svhn(folder)
        except InputError as error:
            assert "train_32x32.mat" in str(error)
        else:
            assert all(
                np.array_equal(a, b) for a, b in zip(digits, whole)
            )  # a bit that says nothing, such as one of padding


def test_a_folder_in_place_of_a_file_is_named(folder):
    (folder / "svhn" / "test_32x32.mat").unlink()
    (folder / "svhn" / "test_32x32.mat").mkdir()
    with pytest.raises(InputError, match=r"test_32x32\.mat cannot be read"):
        load_svhn(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(folder):
    (folder / "svhn" / "test_32x32.mat").chmod(0)
    with pytest.raises(InputError, match=r"test_32x32\.mat cannot be read"):
        load_svhn(folder)


@pytest.mark.parametrize("split", LABELS)
def test_a_missing_file_says_where_to_get_it(folder, split):
    (folder / "svhn" / f"{split}_32x32.mat").unlink()
    with pytest.raises(InputError, match=rf"{split}_32x32\.mat.*https://ufldl\.stanford\.edu"):
        load_svhn(folder, extra=True)


def test_other_digits_than_the_published_are_refused(folder, monkeypatch):
    """One pixel suffices: the bytes are compared, and before anything parses them."""
    monkeypatch.delenv("MINIDANN_VERIFY")
    paths = {split: folder / "svhn" / f"{split}_32x32.mat" for split in LABELS}
    for split in ("train", "extra", "test"):  # as they are read
        with pytest.raises(
            InputError,
            match=rf"{split}_32x32\.mat .*not hold what was published.*https://.*MINIDANN_VERIFY=0",
        ):
            load_svhn(folder, extra=True)
        published = hashlib.md5(paths[split].read_bytes()).hexdigest()
        monkeypatch.setitem(svhn.FILES, split, svhn.FILES[split]._replace(md5=published))
    load_svhn(folder, extra=True)
    content = bytearray(paths["train"].read_bytes())
    content[-20] ^= 1
    paths["train"].write_bytes(content)
    monkeypatch.setattr(svhn, "read_mat", lambda *_: pytest.fail("it was parsed"))
    with pytest.raises(InputError, match="not hold what was published"):
        load_svhn(folder)


def test_svhn_and_drawn_house_numbers_are_shown_side_by_side(folder, capsys):
    sheet = folder / "sheet.png"
    assert main(["show", "svhn", "synth", "--data-dir", str(folder), "--out", str(sheet)]) == 0
    with Image.open(sheet) as image:
        shown = np.asarray(image.convert("RGB"), float)
    for half in np.array_split(shown, 2, axis=1):
        assert np.ptp(half, axis=2).max() > 50  # colour on either side
    assert str(sheet) in capsys.readouterr().out
