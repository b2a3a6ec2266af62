"""The program that says what a trained network says of images."""

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from minidann import DANN, predict
from minidann.data.preprocessing import ImagePreparation
from minidann.nn import Dense, Flatten, Sequential

SIZE = 8
COLOURS = {"red": (220, 20, 20), "green": (20, 220, 20), "blue": (20, 20, 220)}
PREPARATION = ImagePreparation(SIZE, (100.0, 100.0, 100.0))


def make(size=SIZE):
    """A network whose classes are red, green and blue: the sum of each channel."""

    def sums(rng, shape):
        return np.tile(np.eye(3, dtype=np.float32), (size * size, 1)) / 10, np.zeros(3, np.float32)

    rng = np.random.default_rng(0)
    label_head = Dense(size * size * 3, 3, rng=rng, init=sums)
    domain_head = Dense(size * size * 3, 1, rng=rng)
    return DANN(*map(Sequential, ([Flatten()], [label_head], [domain_head])))


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.npz"
    make().save(path, preparation=PREPARATION.to_dict(), class_names=list(COLOURS))
    return path


def picture(colour, height=20, width=30):
    return Image.fromarray(np.full((height, width, 3), COLOURS[colour], np.uint8))


@pytest.fixture
def answers(model, capsys):
    """``answers(*paths, ...)``: the fields of each line that the program prints."""

    def run(*arguments, returns=0):
        assert predict.main([str(model), *map(str, arguments)]) == returns
        run.error = capsys.readouterr()
        return [line.split() for line in run.error.out.splitlines()]

    return run


def test_a_line_an_image_with_file_class_and_probability(answers, tmp_path):
    paths = []
    for i, colour in enumerate(COLOURS):
        paths.append(tmp_path / f"{i}.png")
        picture(colour).save(paths[-1])
    lines = answers(*paths)
    assert [(path, name) for path, name, _ in lines] == [
        (str(path), colour) for path, colour in zip(paths, COLOURS)
    ]
    dann = make()
    for path, (_, _, shown) in zip(paths, lines):
        image = np.asarray(Image.open(path))
        p = dann.predict_proba(PREPARATION(PREPARATION.fit_image(image)[None])).max()
        assert float(shown) == pytest.approx(p, abs=6e-4) and p > 0.9


@pytest.mark.parametrize("name", ["image.png", "image.jpg", "image.JPEG", "named as it likes"])
@pytest.mark.parametrize(
    "height, width", [(1, 1), (8, 8), (3, 500), (500, 3), (5, 7), (1200, 1600), (9, 8)]
)
def test_png_and_jpeg_of_any_size(answers, tmp_path, name, height, width):
    path = tmp_path / name
    picture("green", height, width).save(path, "PNG" if "png" in name else "JPEG")
    ((*_, found, probability),) = answers(path)
    assert found == "green" and float(probability) > 0.9


def in_mode(mode):
    """A blue picture in one of Pillow's modes, and what it is saved as."""
    image = picture("blue")
    if mode == "P":
        return image.convert("P", palette=Image.Palette.ADAPTIVE), "PNG"
    if mode == "RGBA":
        image.putalpha(255)
        return image, "PNG"
    return image.convert(mode), "JPEG" if mode == "CMYK" else "PNG"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK"])
def test_colours_in_every_mode(answers, tmp_path, mode):
    image, kind = in_mode(mode)
    image.save(tmp_path / "image", kind)
    ((_, found, _),) = answers(tmp_path / "image")
    assert found == "blue"


GREY = 130
GREYS = {
    "L": Image.new("L", (9, 9), GREY),
    "LA": Image.new("LA", (9, 9), (GREY, 255)),
    "I;16": Image.fromarray(np.full((9, 9), GREY * 257, np.uint16)),
    "1": Image.new("1", (9, 9), 1),
}


@pytest.mark.parametrize("mode", GREYS)
def test_grey_in_every_mode(answers, tmp_path, mode):
    """The three channels are equal, and so are the three probabilities."""
    GREYS[mode].save(tmp_path / "grey.png")
    lines = answers(tmp_path / "grey.png", "--top", "3")
    assert [float(p) for *_, p in lines] == pytest.approx([1 / 3] * 3, abs=1e-3)
    image = predict.read_image(tmp_path / "grey.png")
    assert (image == (255 if mode == "1" else GREY)).all() and image.shape == (9, 9, 3)


def test_transparent_pixels_are_white_whatever_colour_they_hide(tmp_path):
    image = picture("blue", 4, 4)
    image.putalpha(Image.fromarray(np.array([[0, 255, 0, 255]] * 4, np.uint8)))
    image.save(tmp_path / "seen.png")
    seen = predict.read_image(tmp_path / "seen.png")
    assert (seen[:, ::2] == 255).all() and (seen[:, 1::2] == COLOURS["blue"]).all()


def test_transparent_entries_of_a_palette_are_white_too(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([0, 1])
    image.save(tmp_path / "seen.png", transparency=0)
    seen = predict.read_image(tmp_path / "seen.png")
    assert seen.tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_a_photograph_is_turned_as_the_camera_was_held(tmp_path):
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, :16] = 255  # white on the left, as the sensor saw it
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side: to be turned right by 90 degrees
    Image.fromarray(pixels).save(tmp_path / "seen.jpg", exif=exif, quality=95)
    seen = predict.read_image(tmp_path / "seen.jpg")
    assert seen.shape == (32, 16, 3)
    assert seen[:14].min() > 200 and seen[18:].max() < 50


def test_the_most_probable_classes_first(answers, tmp_path):
    colour = (120, 10, 110)
    Image.new("RGB", (8, 8), colour).save(tmp_path / "purple.png")
    for top, expected in ((1, ["red"]), (2, ["red", "blue"]), (9, ["red", "blue", "green"])):
        lines = answers(tmp_path / "purple.png", "--top", top)
        assert [name for _, name, _ in lines] == expected
        assert len({path for path, *_ in lines}) == 1
    assert sum(float(p) for *_, p in lines) == pytest.approx(1, abs=2e-3)


def test_classes_without_names_are_numbers(tmp_path, capsys):
    make().save(tmp_path / "model.npz", preparation=PREPARATION.to_dict())
    picture("blue").save(tmp_path / "image.png")
    assert predict.main([str(tmp_path / "model.npz"), str(tmp_path / "image.png")]) == 0
    assert capsys.readouterr().out.split()[1] == "2"


def test_the_preparation_of_the_model_is_the_one_that_is_used(tmp_path, capsys):
    """Another mean turns the answer round."""
    picture("green").save(tmp_path / "image.png")
    other = ImagePreparation(SIZE, (0.0, 250.0, 0.0))
    make().save(tmp_path / "model.npz", preparation=other.to_dict(), class_names=list(COLOURS))
    assert predict.main([str(tmp_path / "model.npz"), str(tmp_path / "image.png")]) == 0
    assert capsys.readouterr().out.split()[1] != "green"


# --- images that cannot be read


def png_that_claims(width, height):
    """A PNG of a few bytes whose header says so many pixels."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


def encoded(kind):
    file = io.BytesIO()
    picture("red").save(file, kind)
    return file.getvalue()


UNREADABLE = {
    "empty": lambda: b"",
    "text": lambda: b"not an image",
    "half a PNG": lambda: encoded("PNG")[:60],
    "half a JPEG": lambda: encoded("JPEG")[:300],
    "a GIF": lambda: encoded("GIF"),
    "an EPS": lambda: encoded("EPS"),
    "a TIFF": lambda: encoded("TIFF"),
    "a bomb": lambda: png_that_claims(100_000, 100_000),
    "a large claim": lambda: png_that_claims(10_000, 6_000),
    "a claim of nothing": lambda: png_that_claims(0, 0),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_an_unreadable_image_is_named_and_the_others_are_predicted(answers, tmp_path, kind):
    bad, good = tmp_path / "bad.png", tmp_path / "good.png"
    bad.write_bytes(UNREADABLE[kind]())
    picture("red").save(good)
    lines = answers(bad, good, returns=1)
    assert [(path, name) for path, name, _ in lines] == [(str(good), "red")]
    (error,) = answers.error.err.splitlines()
    assert error.startswith("error: ") and str(bad) in error


def test_a_missing_image_and_a_folder_are_named(answers, tmp_path):
    assert answers(tmp_path / "none.png", tmp_path, returns=1) == []
    missing, folder = answers.error.err.splitlines()
    assert "none.png cannot be read (No such file or directory)" in missing
    assert f"{tmp_path} cannot be read (Is a directory)" in folder


# --- models that cannot be used


def text(path):
    path.write_text("no model")


def of_points(path):
    make().save(path)  # without a preparation of images


def of_text(path):
    make().save(path, preparation={"kind": "words", "size": 5000})


def of_another_size(path):
    make().save(path, preparation=ImagePreparation(SIZE + 1, (1, 2, 3)).to_dict())


def of_fewer_names(path):
    make().save(path, preparation=PREPARATION.to_dict(), class_names=["red", "green"])


@pytest.mark.parametrize(
    "write, said",
    [
        (None, "cannot be read (No such file or directory)"),
        (text, "is not a saved DANN"),
        (of_points, "does not say how images are prepared"),
        (of_text, "says of no images how they are prepared"),
        (of_another_size, "cannot take the images of 9 pixels"),
        (of_fewer_names, "has 2 class names for 3 classes"),
    ],
)
def test_a_model_that_cannot_be_used_is_one_sentence(tmp_path, capsys, write, said):
    path, image = tmp_path / "model.npz", tmp_path / "image.png"
    picture("red").save(image)
    if write:
        write(path)
    assert predict.main([str(path), str(image)]) == 1
    printed = capsys.readouterr()
    (error,) = printed.err.splitlines()
    assert error.startswith("error: ") and said in error and not printed.out


# --- from the shell


def test_the_program_from_the_shell(model, tmp_path):
    picture("blue").save(tmp_path / "image.png")
    command = [sys.executable, "-m", "minidann.predict", str(model), str(tmp_path / "image.png")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0 and result.stderr == ""
    assert result.stdout.split()[:2] == [str(tmp_path / "image.png"), "blue"]


@pytest.mark.parametrize("options", [["--top", "0"], ["--top", "many"], ["--unknown"], []])
def test_a_bad_command_line_says_how_it_is_called(model, options, capsys):
    with pytest.raises(SystemExit) as ended:
        predict.main([str(model), *(["image.png"] if options else []), *options])
    assert ended.value.code == 2
    assert "usage: python -m minidann.predict" in capsys.readouterr().err


def test_help_says_what_becomes_of_an_image(capsys):
    with pytest.raises(SystemExit) as ended:
        predict.main(["--help"])
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    for what in ("PNG or JPEG", "aspect ratio", "transparent", "most probable", "exit status is 1"):
        assert what in said
