"""Photographs: the archive of BSDS500 and your own, in order, verified, of known formats alone."""

import hashlib
import io
import os
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from minidann.data import load_backgrounds, photographs
from minidann.runtime.errors import InputError

# --- BSDS500


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
    """Members of a small archive in the real layout, which should hold three photographs."""
    monkeypatch.setattr(photographs, "TRAIN_PHOTOGRAPHS", 3)
    train = photographs.TRAIN_FOLDER
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
        [
            *three,
            *((f"{photographs.TRAIN_FOLDER}{level}.jpg", photograph(level)) for level in extra),
        ]
        if extra
        else three[1:]
    )
    path = archive(tmp_path / "bsds500" / "BSR_bsds500.tgz", members)
    with pytest.raises(InputError) as error:
        load_backgrounds(tmp_path)
    assert f"{path} holds {count} of the 3 photographs" in str(error.value)


@pytest.mark.parametrize("above", ["bsds500/BSR", "bsds500", "BSR", "."])
def test_the_archive_may_be_unpacked(three, tmp_path, above, monkeypatch):
    path = archive(tmp_path / "bsds500" / "BSR_bsds500.tgz", three)
    expected = load_backgrounds(tmp_path)
    (tmp_path / above).mkdir(exist_ok=True)
    with tarfile.open(path) as file:
        file.extractall(tmp_path, filter="data")
    path.unlink()
    if above != "BSR":
        (tmp_path / "BSR" / "BSDS500").rename(tmp_path / above / "BSDS500")
    train = tmp_path / above / "BSDS500/data/images/train"
    (train / "Thumbs.db").write_bytes(b"of a file manager")
    for found, photograph_there in zip(load_backgrounds(tmp_path), expected, strict=True):
        np.testing.assert_array_equal(found, photograph_there)
    monkeypatch.delenv("MINIDANN_VERIFY")
    with pytest.raises(InputError, match=r"train .*published"):
        load_backgrounds(tmp_path)
    (train / "10.jpg").unlink()
    with pytest.raises(InputError, match="train holds 2 of the 3 photographs"):
        load_backgrounds(tmp_path)


def test_other_photographs_than_the_published_are_refused_however_archived(
    three, tmp_path, monkeypatch
):
    """The 200 training photographs alone count: their bytes, in the order of their names."""
    monkeypatch.delenv("MINIDANN_VERIFY")
    path = archive(tmp_path / "bsds500" / "BSR_bsds500.tgz", three)
    with tarfile.open(path) as file:
        content = [
            file.extractfile(f"{photographs.TRAIN_FOLDER}{level}.jpg").read()
            for level in (10, 20, 30)
        ]
    monkeypatch.setattr(
        photographs,
        "BSDS500",
        photographs.BSDS500._replace(sha256=hashlib.sha256(b"".join(content)).hexdigest()),
    )
    load_backgrounds(tmp_path)
    archive(path, three[::-1])
    load_backgrounds(tmp_path)
    archive(path, [*three[1:], (f"{photographs.TRAIN_FOLDER}30.jpg", photograph(90))])
    with pytest.raises(
        InputError, match=r"BSR_bsds500\.tgz .*published.*https://.*MINIDANN_VERIFY=0"
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
        [*three[1:], (f"{photographs.TRAIN_FOLDER}30.jpg", content)],
    )
    with pytest.raises(InputError, match=r"BSR_bsds500\.tgz"):
        load_backgrounds(tmp_path)


@pytest.mark.parametrize("format", ["EPS", "GIF", "TIFF", "BMP"])
def test_what_only_calls_itself_a_jpg_is_not_decoded(three, tmp_path, monkeypatch, format):
    """An EPS would make Pillow start Ghostscript.

    A downloaded archive must not choose which program reads it.
    """
    other = io.BytesIO()
    photograph(30).save(other, format)
    archive(
        tmp_path / "bsds500" / "BSR_bsds500.tgz",
        [*three[1:], (f"{photographs.TRAIN_FOLDER}30.jpg", other.getvalue())],
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
    monkeypatch.setattr(photographs, "decode", lambda *_: pytest.fail("decoded"))
    archive(tmp_path / "bsds500" / "BSR_bsds500.tgz", three)
    with pytest.raises(InputError, match="published"):
        load_backgrounds(tmp_path)


def test_a_folder_in_place_of_the_archive_is_named(no_data, tmp_path):
    (tmp_path / "bsds500" / "BSR_bsds500.tgz").mkdir(parents=True)
    with pytest.raises(InputError, match=r"BSR_bsds500\.tgz"):
        load_backgrounds(tmp_path)


def test_a_missing_archive_says_where_to_get_it_and_what_needs_none(no_data, tmp_path):
    with pytest.raises(InputError, match=r"BSR_bsds500\.tgz.*https://.*--data-dir"):
        load_backgrounds(tmp_path)


# --- your own photographs


def encoded(level, kind="PNG"):
    buffer = io.BytesIO()
    photograph(level).save(buffer, kind)
    return buffer.getvalue()


OWN = {
    "b/1.jpg": encoded(30, "JPEG"),
    "a.png": encoded(10),
    "c.JPEG": encoded(40, "JPEG"),
    "b/0.png": encoded(20),
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
    [b"", b"no photograph", encoded(1, "JPEG")[:200], encoded(1)[:60], b"GIF89a" + bytes(99)],
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
        load_backgrounds(path=make(tmp_path, OWN | {name: encoded(50)}))


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
    content = encoded(1)
    header = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + content[24:29]
    return content[:12] + header + zipfile.crc32(header).to_bytes(4, "big") + content[33:]


@every_kind
@pytest.mark.parametrize("size", [(10_000, 5_001), (10_000, 10_000), (2**31 - 1, 2**31 - 1)])
def test_huge_photographs_are_refused_before_they_are_decoded(tmp_path, make, size):
    with pytest.raises(InputError, match=r"huge\.png in .*own.* more than 50000000"):
        load_backgrounds(path=make(tmp_path, {"huge.png": claiming(*size)}))


def test_photographs_that_are_too_much_together_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(photographs, "LARGEST_PHOTOGRAPHS", 3 * 32 * 48)
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
def test_a_damaged_archive_of_ones_own_is_named(tmp_path, make, damage):
    path = make(tmp_path, OWN)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"own\."):
        load_backgrounds(path=path)


@pytest.mark.parametrize("name", ["nowhere", "own.rar", "nowhere.tgz", "nowhere.zip"])
def test_what_is_no_folder_or_archive_is_refused(tmp_path, name):
    (tmp_path / "own.rar").write_bytes(b"Rar!")
    with pytest.raises(InputError, match=name):
        load_backgrounds(path=tmp_path / name)


def test_an_image_whose_camera_notes_are_damaged_is_read_all_the_same(monkeypatch):
    """Pillow raises nearly anything there."""

    def damaged(image):
        raise TypeError("bad operand type for abs(): 'str'")

    file = io.BytesIO()
    Image.new("RGB", (3, 2), (1, 2, 3)).save(file, "PNG")
    monkeypatch.setattr("PIL.ImageOps.exif_transpose", damaged)
    image = photographs.decode(file.getvalue(), "image", convert=photographs.as_shown)
    assert image.shape == (2, 3, 3) and (image == (1, 2, 3)).all()
