"""Where files are looked for, and files that are written whole or not at all."""

import bz2
import gzip

import numpy as np
import pytest

from minidann.data import store
from minidann.runtime.errors import InputError

FILE = store.File(
    "mnist/labels.gz", ("https://example.org/labels.gz", "https://example.net/labels.gz")
)


def put(folder, name=FILE.name):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def test_folders_are_searched_in_order(no_data, tmp_path, monkeypatch):
    """Found in the last folder first, then in each one before it as soon as it is there."""
    monkeypatch.setenv("MINIDANN_DATA", str(tmp_path / "environment"))
    (tmp_path / "named").mkdir()
    for folder in (
        tmp_path / "home" / ".cache" / "minidann",
        tmp_path / "elsewhere" / "datasets",
        tmp_path / "environment",
        tmp_path / "named",
    ):
        path = put(folder)
        assert store.find(FILE, tmp_path / "named").resolve() == path


def test_a_file_may_lie_there_uncompressed(no_data, tmp_path):
    path = put(tmp_path, "mnist/labels")
    assert store.find(FILE, tmp_path) == path


def test_a_named_folder_that_is_none_is_refused(no_data, tmp_path):
    with pytest.raises(InputError, match=r"nowhere is not a folder.*--data-dir"):
        store.find(FILE, tmp_path / "nowhere")


def test_a_missing_file_says_where_it_was_sought_and_where_to_get_it(no_data, tmp_path):
    with pytest.raises(InputError) as error:
        store.find(FILE, tmp_path)
    for part in (
        FILE.name,
        str(tmp_path),
        "https://example.org/labels.gz",
        "minidann.data fetch mnist",
        "--data-dir",
        "MINIDANN_DATA",
    ):
        assert part in str(error.value)
    assert "--data digits" not in str(error.value)  # which one program alone understands


def test_the_home_folder_may_be_written_as_a_tilde(no_data, tmp_path, monkeypatch):
    """No shell replaces it in a variable."""
    monkeypatch.setenv("HOME", str(tmp_path))
    path = put(tmp_path / "photos")
    assert store.find(FILE, "~/photos") == path
    monkeypatch.setenv("MINIDANN_DATA", "~/photos")
    assert store.find(FILE) == path


CONTENT = np.arange(12, dtype=np.uint8)
KNOWN = FILE._replace(sha256="fff3a9bcdd37363d703c1c4f9512533686157868f0d4f16a0f02d0f1da24f9a2")


@pytest.fixture
def verified(monkeypatch):
    monkeypatch.delenv("MINIDANN_VERIFY")


def test_other_content_is_refused_with_its_path_and_two_remedies(verified):
    changed = CONTENT.copy()
    changed[7] ^= 1
    store.verify(KNOWN, "there/labels.gz", CONTENT)
    with pytest.raises(InputError) as error:
        store.verify(KNOWN, "there/labels.gz", changed)
    for part in (
        "there/labels.gz",
        "download it again from https://example.org/labels.gz",
        "MINIDANN_VERIFY=0",
    ):
        assert part in str(error.value)


def test_content_counts_and_not_its_form_nor_its_compression(verified, tmp_path):
    for level in (1, 9):
        (tmp_path / "labels.gz").write_bytes(gzip.compress(CONTENT.tobytes(), level))
        with gzip.open(tmp_path / "labels.gz") as file:
            store.verify(KNOWN, tmp_path / "labels.gz", file.read())
    store.verify(KNOWN, "", CONTENT[:5], CONTENT[5:].tobytes())
    store.verify(KNOWN, "", np.asfortranarray(CONTENT.reshape(3, 4)))


def test_zero_switches_verification_off_and_nothing_else_does(verified, monkeypatch):
    for value in ("1", "", "no"):
        monkeypatch.setenv("MINIDANN_VERIFY", value)
        with pytest.raises(InputError):
            store.verify(KNOWN, "", b"other")
    monkeypatch.setenv("MINIDANN_VERIFY", "0")
    store.verify(KNOWN, "", b"other")


def test_an_unknown_hash_is_not_verified(verified):
    store.verify(FILE, "", b"anything")


def test_what_an_archive_was_unpacked_to_serves_as_well(no_data, tmp_path):
    file = store.File("signs/all.zip", (), unpacked="signs/all")
    with pytest.raises(InputError, match=r"all\.zip is in none .*: write to us$"):
        store.find(file, tmp_path, remedy="it is lost: write to us")
    (tmp_path / "signs" / "all").mkdir(parents=True)
    assert store.find(file, tmp_path) == tmp_path / "signs" / "all"
    put(tmp_path, "signs/all.zip")
    assert store.find(file, tmp_path) == tmp_path / "signs" / "all.zip"


@pytest.mark.parametrize("name", ["labels", "labels.gz", "labels.bz2"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_a_file_is_decompressed_by_its_bytes_and_not_by_its_name(tmp_path, name, pack):
    """A browser may decompress what it downloads and keep the name."""
    path = tmp_path / name
    path.write_bytes(pack(b"content"))
    assert store.read(path, 7, "") == b"content"
    with pytest.raises(InputError, match="holds more than 6 bytes; get it"):
        store.read(path, 6, "get it")


def test_a_folder_that_is_called_as_its_file_is_looked_into(no_data, tmp_path):
    file = FILE._replace(others=("mnist/labels/labels",))
    path = put(tmp_path, "mnist/labels/labels")
    assert store.find(file, tmp_path) == path
    path.unlink()
    assert store.find(file, tmp_path) == path.parent  # which whoever reads it will name


def test_a_user_without_a_home_folder_has_the_other_folders(monkeypatch, tmp_path):
    def none():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(store.Path, "home", none)
    path = put(tmp_path)
    assert store.find(FILE, tmp_path) == path
    assert not store.user_cache().exists()
