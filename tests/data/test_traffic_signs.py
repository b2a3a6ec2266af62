"""The releases of both sets of signs: small ones in the real formats, packed and unpacked."""

import io
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from minidann.data import load_gtsrb, load_synsigns, traffic_signs
from minidann.data.pairs import resized
from minidann.runtime.errors import InputError

HEADER = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"


def picture(rng, height, width):
    return rng.integers(0, 256, (height, width, 3), np.uint8)


def encoded(image, kind):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


def synsigns_release(n=23):
    """{name: bytes} of a release of n signs, whose order is not that of their names."""
    rng, files, lines = np.random.default_rng(0), {}, []
    for i in range(n):
        name = f"train/{(7 * i + 3) % 97}.png"
        files[f"synthetic_data/{name}"] = encoded(picture(rng, 40, 40), "PNG")
        lines.append(f"{name} {i % 43} {i}\n")
    files["synthetic_data/train_labelling.txt"] = "".join(lines).encode()
    return files


def gtsrb_release(tracks=1, test=5):
    """({name: bytes}, images, labels): two photographs of each track of each class, and a test."""
    rng, files = np.random.default_rng(1), {}
    images, labels = {"train": [], "test": []}, {"train": [], "test": []}

    def photograph(split, path, name, label):
        height, width = rng.integers(20, 60, 2)
        x1, y1, x2, y2 = 5, 6, width - 5, height - 7
        image = picture(rng, height, width)
        files[path + name] = encoded(image, "PPM")
        images[split].append(resized(image[y1:y2, x1:x2], 40))
        labels[split].append(label)
        return ";".join(map(str, (name, width, height, x1, y1, x2, y2, label)))

    for label in range(43):
        folder = f"GTSRB/Final_Training/Images/{label:05d}/"
        lines = [
            photograph("train", folder, f"{track:05d}_{place:05d}.ppm", label)
            for track in range(tracks)
            for place in (0, 1)
        ]
        files[f"{folder}GT-{label:05d}.csv"] = "\r\n".join([HEADER, *lines]).encode()
    lines = [
        photograph("test", "GTSRB/Final_Test/Images/", f"{i:05d}.ppm", 42 - i) for i in range(test)
    ]
    files["GT-final_test.csv"] = "\r\n".join([HEADER, *lines, ""]).encode()
    return files, images, labels


def pack(files, folder, archive_of):
    """Write each file into the archive that ``archive_of(name)`` names; None: as it is."""
    for name, content in files.items():
        archive = archive_of(name)
        if archive is None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        else:
            with zipfile.ZipFile(folder / archive, "a") as packed:
                packed.writestr(name, content)


def gtsrb_archive(name):
    parts = {"GTSRB/Final_Training": "Training_Images", "GTSRB/Final_Test": "Test_Images"}
    part = next((part for start, part in parts.items() if name.startswith(start)), "Test_GT")
    return f"GTSRB_Final_{part}.zip"


@pytest.fixture(params=["packed", "unpacked"])
def way(request):
    return request.param


@pytest.fixture
def put(no_data, tmp_path, way):
    """``put(files)``: a data folder with both releases' files in signs/."""
    (tmp_path / "signs").mkdir()

    def put(files):
        shutil.rmtree(tmp_path / "signs")
        (tmp_path / "signs").mkdir()
        synsigns = any(name.startswith("synthetic_data") for name in files)
        archive_of = (lambda name: "synthetic_data.zip") if synsigns else gtsrb_archive
        pack(files, tmp_path / "signs", archive_of if way == "packed" else lambda name: None)
        return tmp_path

    return put


def test_drawn_signs_come_in_the_order_of_their_list_and_every_tenth_is_a_test(put):
    signs = load_synsigns(put(synsigns_release()))
    rng = np.random.default_rng(0)
    images, rows = np.stack([picture(rng, 40, 40) for _ in range(23)]), np.arange(23)
    test = [9, 19]
    for x, y, there in (
        (signs.x_train, signs.y_train, np.delete(rows, test)),
        (signs.x_test, signs.y_test, test),
    ):
        assert x.dtype == np.uint8 and y.dtype == np.int64
        np.testing.assert_array_equal(x, images[there])
        np.testing.assert_array_equal(y, rows[there])


def test_a_list_may_end_without_the_third_number_and_name_ppm_files(put):
    files = {
        "synthetic_data/train_labelling.txt": b"train/1.ppm 42\ntrain/2.ppm 0\n",
        "synthetic_data/train/1.ppm": encoded(np.full((40, 40, 3), 7, np.uint8), "PPM"),
        "synthetic_data/train/2.ppm": encoded(np.full((40, 40, 3), 8, np.uint8), "PPM"),
    }
    signs = load_synsigns(put(files))
    assert signs.y_train.tolist() == [42, 0] and signs.x_train[:, 0, 0, 0].tolist() == [7, 8]


def test_photographs_are_cut_to_their_region_and_not_in_the_order_of_their_classes(put):
    files, images, labels = gtsrb_release(tracks=2)
    signs = load_gtsrb(put(files))
    for x, y, split in (
        (signs.x_train, signs.y_train, "train"),
        (signs.x_test, signs.y_test, "test"),
    ):
        expected = sorted(zip(labels[split], (image.tobytes() for image in images[split])))
        assert sorted(zip(y.tolist(), (image.tobytes() for image in x))) == expected
        assert x.shape[1:] == (40, 40, 3) and y.dtype == np.int64
    assert len(set(signs.y_train[:40].tolist())) > 20  # of 43; in their order it would be 10
    again = load_gtsrb(put(files))
    np.testing.assert_array_equal(signs.y_train, again.y_train)


def test_other_numbers_of_photographs_than_the_published_are_refused(put, monkeypatch):
    folder = put(gtsrb_release()[0])
    monkeypatch.delenv("MINIDANN_VERIFY")
    of_any_content = {part: file._replace(md5="") for part, file in traffic_signs.GTSRB.items()}
    monkeypatch.setattr(traffic_signs, "GTSRB", of_any_content)
    with pytest.raises(InputError, match=r"86 photographs, not the 39209 .*MINIDANN_VERIFY=0"):
        load_gtsrb(folder)
    monkeypatch.setattr(traffic_signs, "PUBLISHED", {"train": 86, "test": 5})
    assert len(load_gtsrb(folder).x_test) == 5


def test_missing_releases_say_where_to_get_them(no_data, tmp_path):
    with pytest.raises(InputError, match=r"synthetic_data\.zip is in none .*graphics\.cs\.msu\.ru"):
        load_synsigns(tmp_path)
    with pytest.raises(InputError, match=r"Training_Images\.zip is in none .*fetch gtsrb"):
        load_gtsrb(tmp_path)


LISTS = {
    "no class": "train/3.png",
    "class 43": "train/3.png 43 0",
    "class -1": "train/3.png -1 0",
    "a word": "train/3.png stop 0",
    "an absolute name": "/etc/3.png 0 0",
    "the folder above": "../3.png 0 0",
    "two folders": "train/../3.png 0 0",
    "a drive": "C:3.png 0 0",
    "NUL": "train/\x003.png 0 0",
    "another suffix": "train/3.eps 0 0",
    "four fields": "train/3.png 0 0 0",
    "an empty line": "",
}


@pytest.mark.parametrize("line", LISTS.values(), ids=LISTS.keys())
@pytest.mark.parametrize("way", ["unpacked"], indirect=True)
def test_a_bad_line_of_the_list_is_named(put, line):
    files = synsigns_release()
    listed = files["synthetic_data/train_labelling.txt"].decode().splitlines()
    files["synthetic_data/train_labelling.txt"] = "\n".join([listed[0], line, *listed]).encode()
    with pytest.raises(InputError, match=r"line 2 of .*train_labelling\.txt") as error:
        load_synsigns(put(files))
    assert "download it again" in str(error.value)


TABLES = {
    "another header": (HEADER.replace(";", ","), "does not begin with Filename;Width"),
    "no lines": ("", "does not begin with"),
    "the header alone": (HEADER, "names 0 images"),
    "too few fields": (f"{HEADER}\n00000_00000.ppm;29;30", "line 2"),
    "a fraction": (f"{HEADER}\n00000_00000.ppm;29.5;30;5;6;24;25;0", "line 2"),
    "a negative number": (f"{HEADER}\n00000_00000.ppm;29;30;-5;6;24;25;0", "line 2"),
    "another file": (f"{HEADER}\n../0.ppm;29;30;5;6;24;25;0", "line 2"),
    "class 43": (f"{HEADER}\n00000_00000.ppm;29;30;5;6;24;25;43", "class 43"),
    "the class of another folder": (f"{HEADER}\n00000_00000.ppm;29;30;5;6;24;25;7", "class 7"),
    "twice": (f"{HEADER}\n" + "0_0.ppm;29;30;5;6;24;25;0\n" * 2, "names 2 images, 1 of them"),
    "no ASCII": (HEADER + "ä", "cannot be read"),
    "an image that is not there": (f"{HEADER}\n9_9.ppm;29;30;5;6;24;25;0", "cannot be read"),
}


@pytest.mark.parametrize("text, said", TABLES.values(), ids=TABLES.keys())
def test_a_damaged_table_is_named(put, text, said):
    files = gtsrb_release()[0]
    files["GTSRB/Final_Training/Images/00000/GT-00000.csv"] = text.encode()
    with pytest.raises(InputError) as error:
        load_gtsrb(put(files))
    assert said in str(error.value) and "download it again" in str(error.value)


REGIONS = {
    "another size": "31;30;5;6;24;25",
    "an empty region": "29;30;24;6;24;25",
    "a region beyond the image": "29;30;5;6;24;31",
}


@pytest.mark.parametrize("numbers", REGIONS.values(), ids=REGIONS.keys())
@pytest.mark.parametrize("way", ["unpacked"], indirect=True)
def test_a_region_that_is_not_in_its_image_is_refused(put, numbers):
    files = gtsrb_release()[0]
    folder = "GTSRB/Final_Training/Images/00000/"
    files[f"{folder}00000_00000.ppm"] = encoded(np.zeros((30, 29, 3), np.uint8), "PPM")
    files[f"{folder}GT-00000.csv"] = f"{HEADER}\n00000_00000.ppm;{numbers};0".encode()
    with pytest.raises(InputError, match=r"00000_00000\.ppm has 29x30 pixels, but its line speaks"):
        load_gtsrb(put(files))


IMAGES = {
    "empty": b"",
    "garbage": bytes(range(256)),
    "cut short": encoded(np.zeros((40, 40, 3), np.uint8), "PNG")[:60],
    "a JPEG": encoded(np.zeros((40, 40, 3), np.uint8), "JPEG"),
    "another size": encoded(np.zeros((41, 40, 3), np.uint8), "PNG"),
}


@pytest.mark.parametrize("content", IMAGES.values(), ids=IMAGES.keys())
def test_a_damaged_image_is_named(put, content):
    files = synsigns_release() | {"synthetic_data/train/3.png": content}
    with pytest.raises(InputError, match=r"train/3\.png") as error:
        load_synsigns(put(files))
    assert "\n" not in str(error.value)


def test_more_bytes_than_any_image_or_list_has_are_not_read(put, monkeypatch):
    folder = put(synsigns_release())
    monkeypatch.setattr(traffic_signs, "LARGEST_IMAGE", 1000)
    with pytest.raises(InputError, match=r"train/3\.png.* more than 1000"):
        load_synsigns(folder)
    monkeypatch.setattr(traffic_signs, "LARGEST_TEXT", 100)
    with pytest.raises(InputError, match=r"train_labelling\.txt.* more than 100"):
        load_synsigns(folder)


def test_more_signs_than_any_release_has_are_refused(put, monkeypatch):
    monkeypatch.setattr(traffic_signs, "LARGEST_SET", 22)
    with pytest.raises(InputError, match="names 23 images"):
        load_synsigns(put(synsigns_release()))


def test_what_is_no_archive_and_an_archive_of_something_else_are_named(no_data, tmp_path):
    (tmp_path / "signs").mkdir()
    archive = tmp_path / "signs" / "synthetic_data.zip"
    archive.write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"synthetic_data\.zip cannot be read"):
        load_synsigns(tmp_path)
    archive.unlink()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("other.txt", "")
    with pytest.raises(InputError, match=r"synthetic_data\.zip cannot be read"):
        load_synsigns(tmp_path)


def test_every_class_has_a_name_of_its_own():
    assert len(set(traffic_signs.CLASSES)) == 43
