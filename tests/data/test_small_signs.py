"""The small files of signs: whole tracks on one side, damage named."""

import numpy as np
import pytest

from minidann.data import small_signs
from minidann.data.small_signs import load_gtsrb_small, load_synsigns_small
from minidann.data.store import digest
from minidann.runtime.errors import InputError

LOADERS = {"synsigns_1982_40x40": load_synsigns_small, "gtsrb_2000_roi40x40": load_gtsrb_small}


def arrays(name, n=60):
    """n signs: photographs in the order of their classes, two of each track."""
    rng = np.random.default_rng(n)
    x = rng.integers(0, 256, (n, 40, 40, 3), np.uint8)
    if name.startswith("synsigns"):
        y = rng.integers(0, 43, n).astype(np.uint8)
        return {"x": x, "y": y, "names": np.array([f"train/{i}.png" for i in range(n)])}
    y = np.arange(n).astype(np.uint8) // 15
    track = np.arange(n) % 15 // 2
    names = [f"{k:05d}/{t:05d}_{i:05d}.ppm" for i, (k, t) in enumerate(zip(y, track))]
    return {"x": x, "y": y, "names": np.array(names), "roi_x1y1x2y2_w_h": np.zeros((n, 6), int)}


@pytest.fixture
def put(no_data, tmp_path):
    """``put(name, **changed)``: a data folder with that file."""
    (tmp_path / "signs").mkdir()

    def put(name, **changed):
        np.savez_compressed(tmp_path / "signs" / f"{name}.npz", **(arrays(name) | changed))
        return tmp_path

    return put


def test_no_sign_has_photographs_on_both_sides_and_none_is_lost(put):
    signs = load_gtsrb_small(put("gtsrb_2000_roi40x40"))
    given = arrays("gtsrb_2000_roi40x40")
    place = {image.tobytes(): i for i, image in enumerate(given["x"])}
    sides = []
    for x, y in ((signs.x_train, signs.y_train), (signs.x_test, signs.y_test)):
        rows = [place[image.tobytes()] for image in x]
        np.testing.assert_array_equal(given["y"][rows], y)
        assert y.dtype == np.int64 and rows != sorted(rows)
        sides.append(rows)
    assert sorted(sides[0] + sides[1]) == list(range(60))
    train, test = ({given["names"][row][:11] for row in rows} for rows in sides)
    assert not train & test
    assert {int(track[6:]) for track in test} == {2, 5} and len(test) == 2 * 4


def test_every_tenth_drawn_sign_is_a_test(put):
    signs = load_synsigns_small(put("synsigns_1982_40x40"))
    given = arrays("synsigns_1982_40x40")
    expected = {image.tobytes() for image in given["x"][9::10]}
    assert {image.tobytes() for image in signs.x_test} == expected
    assert (len(signs.x_train), len(signs.x_test)) == (54, 6)


@pytest.mark.parametrize("name", LOADERS)
def test_the_order_is_the_same_every_time(put, name):
    one, other = (LOADERS[name](put(name)) for _ in range(2))
    for a, b in zip(one, other):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", LOADERS)
def test_other_content_than_that_of_the_records_is_refused(put, name, monkeypatch):
    folder = put(name)
    monkeypatch.delenv("MINIDANN_VERIFY")
    with pytest.raises(InputError, match=r"another hash.*MINIDANN_VERIFY=0"):
        LOADERS[name](folder)
    given = arrays(name)
    for which in ("SYNSIGNS_SMALL", "GTSRB_SMALL"):
        file = getattr(small_signs, which)._replace(sha256=digest(given["x"], given["y"]))
        monkeypatch.setattr(small_signs, which, file)
    LOADERS[name](folder)


@pytest.mark.parametrize("name", LOADERS)
def test_a_missing_file_is_named_and_the_releases_instead(no_data, tmp_path, name):
    with pytest.raises(InputError, match=rf"{name}\.npz is in none .*synsigns and gtsrb"):
        LOADERS[name](tmp_path)


X, Y = np.zeros((60, 40, 40, 3), np.uint8), np.zeros(60, np.uint8)
DAMAGES = {
    "images of another size": {"x": X[:, :39]},
    "images of fractions": {"x": X.astype(np.float32)},
    "no images": {"x": X[:0]},
    "a number for images": {"x": np.uint8(3)},
    "labels too few": {"y": Y[1:]},
    "labels of fractions": {"y": Y / 2},
    "label 43": {"y": Y + np.uint8(43)},
    "label -1": {"y": Y.astype(np.int8) - 1},
    "names too few": {"names": np.array(["00000/00004_00001.ppm"])},
    "numbers for names": {"names": np.arange(60)},
}


@pytest.mark.parametrize("changed", DAMAGES.values(), ids=DAMAGES.keys())
def test_other_arrays_are_refused(put, changed):
    with pytest.raises(InputError, match=r"gtsrb_2000_roi40x40\.npz") as error:
        load_gtsrb_small(put("gtsrb_2000_roi40x40", **changed))
    assert "replace it" in str(error.value)


def test_a_name_that_says_no_track_is_refused(put):
    names = np.array(["train/1.png"] * 60)
    with pytest.raises(InputError, match=r"'train/1\.png', not a photograph of a track"):
        load_gtsrb_small(put("gtsrb_2000_roi40x40", names=names))


def test_nothing_is_unpickled(put):
    folder = put("gtsrb_2000_roi40x40", names=np.array([None] * 60))
    with pytest.raises(InputError, match="neither number nor text"):
        load_gtsrb_small(folder)


def test_a_file_that_claims_more_than_any_is_not_read(put, monkeypatch):
    monkeypatch.setattr(small_signs, "LARGEST", 1000)
    with pytest.raises(InputError, match=r"has \d+ bytes, more than 1000"):
        load_gtsrb_small(put("gtsrb_2000_roi40x40"))


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04"])
def test_what_is_no_npz_is_named(no_data, tmp_path, content):
    (tmp_path / "signs").mkdir()
    (tmp_path / "signs" / "synsigns_1982_40x40.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"synsigns_1982_40x40\.npz cannot be read"):
        load_synsigns_small(tmp_path)
