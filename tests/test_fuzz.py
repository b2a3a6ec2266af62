"""Damaged files: whatever a reader is given, it answers or raises an InputError of one sentence."""

import io
import os
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from benchmarks import fuzz
from minidann.data import load_backgrounds, mnist_m, photographs
from minidann.experiments.checkpoints import read_checkpoint
from minidann.runtime.arrays import peak_memory
from minidann.runtime.errors import InputError
from minidann.runtime.npz import save_arrays

READERS = fuzz.make_readers(np.random.default_rng(0))


def test_a_thousand_damaged_files_end_in_answers_or_sentences(tmp_path):
    before = peak_memory(np.zeros(1))
    failures, _ = fuzz.run(range(1000), tmp_path)
    assert failures == []
    assert peak_memory(np.zeros(1)) - before < fuzz.BYTES


@pytest.mark.parametrize("error", [KeyError, MemoryError, fuzz.Endless])
def test_a_reader_that_lets_anything_else_out_is_found(tmp_path, monkeypatch, error):
    def careless(path):
        if path.read_bytes() != READERS["results.json"].files["results.json"]:
            raise error

    monkeypatch.setattr(fuzz, "load_record", careless)
    failures, _ = fuzz.run(range(10), tmp_path, only="results.json")
    assert failures and {type(failure.error) for failure in failures} == {error}


def test_a_reader_that_does_not_end_is_found(tmp_path, monkeypatch):
    def endless(path):
        while path.read_bytes() != READERS["results.json"].files["results.json"]:
            pass

    monkeypatch.setattr(fuzz, "load_record", endless)
    monkeypatch.setattr(fuzz, "SECONDS", 0.05)
    failures, _ = fuzz.run(range(3), tmp_path, only="results.json")
    assert failures and all(isinstance(failure.error, fuzz.Endless) for failure in failures)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("what", ["a pipe", "a device"])
def test_a_pipe_or_a_device_in_place_of_any_file_is_refused(tmp_path, name, what):
    with fuzz.small_sets():
        reader = fuzz.make_readers(np.random.default_rng(0))[name]
        for file in reader.files:
            path = fuzz.put(reader.files, tmp_path) / file
            path.unlink()
            if what == "a pipe":
                os.mkfifo(path)
            else:
                path.symlink_to("/dev/zero")
            with fuzz.within(fuzz.SECONDS):
                if name == "cache":  # it is only made anew
                    assert reader.read(tmp_path) is None
                else:
                    with pytest.raises(InputError, match="it is not a regular file"):
                        reader.read(tmp_path)
            path.unlink()


# --- files that have broken a reader before


def test_an_archive_compressed_by_lzma_and_damaged_is_refused(tmp_path):
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("p0.png", fuzz.image(np.random.default_rng(0)))
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"photos\.zip cannot be read \(p0\.png in it is not comp"):
        load_backgrounds(path=path)


def bomb(side):
    """A small PNG that says it has that many pixels a side."""
    file = io.BytesIO()
    Image.new("1", (side, side)).save(file, "PNG")
    return file.getvalue()


def test_a_bomb_among_the_photographs_is_refused(no_data, tmp_path, monkeypatch):
    monkeypatch.setattr(photographs, "TRAIN_PHOTOGRAPHS", 2)
    (tmp_path / "bsds500").mkdir()
    members = {
        f"{photographs.TRAIN_FOLDER}{k}.jpg": content
        for k, content in enumerate([fuzz.image(np.random.default_rng(0), "JPEG"), bomb(14_000)])
    }
    (tmp_path / "bsds500/BSR_bsds500.tgz").write_bytes(fuzz.tar(members))
    before = peak_memory(np.zeros(1))
    with pytest.raises(InputError, match=r"1\.jpg in .*more than 50000000.*; replace it"):
        load_backgrounds(tmp_path)
    assert peak_memory(np.zeros(1)) - before < 100e6


def test_many_large_photographs_are_refused_before_the_last_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(photographs, "LARGEST_PHOTOGRAPHS", 2_500_000)
    with tarfile.open(tmp_path / "own.tar", "w") as archive:
        for k in range(12):
            info = tarfile.TarInfo(f"{k}.png")
            info.size = len(content := bomb(1000))
            archive.addfile(info, io.BytesIO(content))
    decoded, decode = [], photographs.decode

    def counted(*args, **options):
        image = decode(*args, **options)
        decoded.append(image.shape)
        return image

    monkeypatch.setattr(photographs, "decode", counted)
    with pytest.raises(InputError, match=r"own\.tar have more than 2500000 pixels together"):
        load_backgrounds(path=tmp_path / "own.tar")
    assert len(decoded) == 2


LABELS = {
    "a label that is no array": np.array(3),
    "labels of objects": np.array([{}, {}, {}], object),
    "labels that are text": np.array(["0", "1", "2"]),
    "labels beyond 9": np.array([0, 1, 10]),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
def test_a_cache_of_other_arrays_is_told_and_made_anew(tmp_path, labels):
    x, blended = np.zeros((3, 28, 28), np.uint8), np.zeros((3, 28, 28, 3), np.uint8)
    arrays = dict(zip(mnist_m.CACHED, (x, labels, x, np.arange(3), blended, blended)))
    path = tmp_path / "cache.npz"
    if labels.dtype == object:
        np.savez(path, **arrays)
    else:
        save_arrays(path, arrays)
    with pytest.warns(
        UserWarning, match=r"cache\.npz cannot be read \(.*, so MNIST-M is made anew"
    ):
        assert mnist_m.read_cache(path) is None


def test_a_checkpoint_of_an_earlier_version_is_refused_in_a_sentence(tmp_path):
    """They had no seal, and their notes were one text."""
    path = tmp_path / "run.npz"
    np.savez(path, **{"features.0.W": np.zeros((2, 3), "f4"), "notes": np.array('{"seed": 0}')})
    with pytest.raises(InputError, match=r"run\.npz .*no sha256 of its contents.* start anew"):
        read_checkpoint(path, {})
