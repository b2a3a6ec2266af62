"""Damaged files by the thousand: whatever it is given, a reader answers or raises an InputError.

    python -m benchmarks.fuzz --cases 100000
    python -m benchmarks.fuzz --reader usps --seed 7 --first 1234 --cases 1      one of them again

A case takes the small, whole files of one reader and damages one of them: its bytes, or what is
under its compression, or an array of it with the seal made anew. No case may take more than ten
seconds of the processor or a gigabyte.
"""

import argparse
import gzip
import io
import json
import os
import signal
import struct
import sys
import tarfile
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
from PIL import Image
from scipy.io import savemat

from minidann import DANN
from minidann.callbacks import History, Training
from minidann.data import Batches, mnist_m, photographs, traffic_signs
from minidann.data.preprocessing import ImagePreparation
from minidann.data.registry import DATASETS
from minidann.experiments.checkpoints import Checkpoint
from minidann.experiments.replays import load_record
from minidann.nn import BatchNorm, Dense, Dropout, Flatten, Sequential
from minidann.nn.optimizers import Adam
from minidann.predict import load_classifier, read_image
from minidann.runtime.arrays import peak_memory
from minidann.runtime.command import positive
from minidann.runtime.errors import InputError
from minidann.runtime.npz import FINGERPRINT, read_npz, save_arrays

SECONDS = 10  # of the processor that a case may take
PATIENCE = 12  # how many times that it may take by the clock: it may wait for other processes
BYTES = 1_000_000_000  # that all cases together may add to the memory of the process
RUN = {"seed": 0}
CLASSES = 2  # of traffic signs, instead of 43

Rng = np.random.Generator
Change = Callable[[bytes], bytes]
Layer = Callable[[bytes, Change, Rng], bytes]


class Reader(NamedTuple):
    """What is read, the bytes of its whole files by name, and what can be damaged under them."""

    read: Callable[[Path], Any]
    files: dict[str, bytes]
    layers: tuple[Layer, ...] = ()


class Failure(NamedTuple):
    """A case that ended in something else than an answer or an InputError."""

    reader: str
    case: int
    error: BaseException


class Endless(Exception):
    """A case that takes too long."""


# --- whole files


def pixels(rng: Rng, *shape: int) -> np.ndarray:
    """Random bytes."""
    return rng.integers(0, 256, shape, np.uint8)


def image(rng: Rng, kind: str = "PNG", size: tuple[int, int] = (40, 40)) -> bytes:
    """A small image in a file of that kind."""
    file = io.BytesIO()
    Image.fromarray(pixels(rng, *size, 3)).save(file, kind)
    return file.getvalue()


def idx(array: np.ndarray) -> bytes:
    """A file of MNIST."""
    return gzip.compress(
        struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
        + array.astype(np.uint8).tobytes()
    )


def mat(rng: Rng, n: int, compressed: bool) -> bytes:
    """A file of SVHN."""
    file = io.BytesIO()
    arrays = {"X": pixels(rng, 32, 32, 3, n), "y": np.arange(1, n + 1, dtype=np.uint8)[:, None]}
    savemat(file, arrays, do_compression=compressed)
    return file.getvalue()


def tar(members: dict[str, bytes], mode: str = "w:gz", format: int = tarfile.GNU_FORMAT) -> bytes:
    """A tar archive."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=format) as archive:  # type: ignore
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def saved(save: Callable[[Path], Any]) -> bytes:
    """What a function writes to a path."""
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder, "file.npz"))
        return Path(folder, "file.npz").read_bytes()


def dann() -> DANN:
    """A small network with a generator and running statistics in its state."""
    rng = np.random.default_rng(0)
    features = [Dense(2, 3, rng=rng), BatchNorm(3, domains=2), Dropout(0.5, rng=rng)]
    heads = [[Dense(3, 2, rng=rng)], [Dense(3, 2, rng=rng)]]
    return DANN(*map(Sequential, (features, *heads)))


def training() -> Training:
    """A small training."""
    network, rng = dann(), np.random.default_rng(0)
    source = Batches(np.zeros((6, 2)), np.zeros(6, int), size=2, rng=rng)
    target = Batches(np.zeros((6, 2)), size=2, rng=rng)
    history = History([{"step": 5, "p": 0.1}])
    return Training(network, Adam(network.networks), source, target, 9, (history,), step=5)


def classifier(path: Path) -> None:
    """A network for images of 2x2 pixels."""
    rng = np.random.default_rng(0)
    parts = [[Flatten(), Dense(12, 3, rng=rng)], [Dense(3, 2, rng=rng)], [Dense(3, 2, rng=rng)]]
    preparation = ImagePreparation(2, (0.1, 0.2, 0.3)).to_dict()
    DANN(*map(Sequential, parts)).save(path, preparation=preparation)


# --- damage


def damaged(content: bytes, rng: Rng) -> bytes:
    """The bytes with one to four changes."""
    for _ in range(rng.integers(1, 5)):
        content = CHANGES[rng.integers(len(CHANGES))](bytearray(content), rng)
    return bytes(content)


def place(content: bytearray, rng: Rng) -> int:
    """A place in the bytes, often near their beginning or end, where headers are."""
    n = len(content)
    near = min(n, int(rng.choice([20, 150, n or 1])))
    return int(rng.integers(0, near + 1)) if rng.random() < 0.7 else n - int(rng.integers(near + 1))


def flip(content: bytearray, rng: Rng) -> bytearray:
    """A bit."""
    if content:
        content[place(content, rng) % len(content)] ^= 1 << int(rng.integers(8))
    return content


def number(content: bytearray, rng: Rng) -> bytearray:
    """A number that is at the edge of something, in any width and order."""
    width, order = int(rng.choice([1, 2, 4, 8])), ["little", "big"][rng.integers(2)]
    edge = int(rng.choice([0, 1, 2, 8, 31, 32])) % (8 * width)
    value = ((1 << edge) + int(rng.integers(-1, 2))) % (1 << 8 * width)
    at = place(content, rng)
    content[at : at + width] = value.to_bytes(width, order)  # type: ignore[arg-type]
    return content


def digits(content: bytearray, rng: Rng) -> bytearray:
    """Text that a number or a name could be."""
    texts = (b"-1", b"9" * 20, b"nan", b"1e999", b"\n", b" ", b"../", b"\xff", b"[" * 50, b"\0")
    at = place(content, rng)
    content[at : at + int(rng.integers(0, 8))] = texts[rng.integers(len(texts))]
    return content


def cut(content: bytearray, rng: Rng) -> bytearray:
    """The end."""
    del content[place(content, rng) :]
    return content


def lose(content: bytearray, rng: Rng) -> bytearray:
    """Some bytes."""
    at = place(content, rng)
    del content[at : at + int(rng.integers(1, 600))]
    return content


def repeat(content: bytearray, rng: Rng) -> bytearray:
    """Some bytes, where others were or between them."""
    start, at = place(content, rng), place(content, rng)
    piece = content[start : start + int(rng.integers(1, 600))]
    content[at : at + len(piece) * int(rng.integers(2))] = piece * int(rng.integers(1, 4))
    return content


def noise(content: bytearray, rng: Rng) -> bytearray:
    """Random bytes."""
    at = place(content, rng)
    piece = rng.bytes(int(rng.integers(1, 40)))
    content[at : at + len(piece)] = piece
    return content


CHANGES = (flip, flip, number, number, digits, cut, lose, repeat, noise)


def under_gzip(content: bytes, change: Change, rng: Rng) -> bytes:
    """A change of what gzip has compressed."""
    return gzip.compress(change(gzip.decompress(content)), 1)


def in_zip(content: bytes, change: Change, rng: Rng) -> bytes:
    """A change of one file in a zip archive, all its checksums right."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = list(members)[rng.integers(len(members))]
    return zipped(members | {name: change(members[name])})


def in_tar(content: bytes, change: Change, rng: Rng) -> bytes:
    """A change of one file in a tar archive."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        members = {one.name: archive.extractfile(one).read() for one in archive}  # type: ignore
    name = list(members)[rng.integers(len(members))]
    return tar(members | {name: change(members[name])})


def sealed(content: bytes, change: Change, rng: Rng) -> bytes:
    """A change of one array in a file of arrays: its bytes, type or shape; and the seal anew."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "file.npz").write_bytes(content)
        arrays = read_npz(Path(folder, "file.npz"))
    arrays.pop(FINGERPRINT)
    name = list(arrays)[rng.integers(len(arrays))]
    array = arrays[name]
    what = rng.integers(5)
    if array.dtype.kind == "U":
        text = change(str(array).encode()).decode("utf-8", "replace").rstrip("\0")
        arrays[name] = np.array(text or " ")
    elif what == 0:
        arrays[name] = array.astype(["f2", "f4", "f8", "i8", "u1", "?"][rng.integers(6)])
    elif what == 1:
        arrays[name] = array[..., None] if rng.integers(2) else array.ravel()
    elif what == 2:
        arrays.pop(name)
    else:
        values = change(array.tobytes())[: array.nbytes].ljust(array.nbytes, b"\0")
        arrays[name] = np.frombuffer(values, array.dtype).reshape(array.shape)
    return saved(lambda path: save_arrays(path, arrays))


# --- the readers


def data_set(name: str) -> Callable[[Path], Any]:
    """The reader of a data set in a data folder."""
    return lambda folder: DATASETS[name].load(folder)


def own(name: str) -> Callable[[Path], Any]:
    """The reader of a user's own photographs."""
    return lambda folder: photographs.load_backgrounds(path=folder / name)


def restore(folder: Path) -> None:
    """The reader of checkpoints."""
    Checkpoint(folder / "run.npz", RUN, resume=True).restore(training())


def make_readers(rng: Rng) -> dict[str, Reader]:
    """All readers, each with small files of its own."""
    photos = {f"{k}.{kind}": image(rng, kind) for k, kind in enumerate(("jpeg", "png"))}
    train = {f"{photographs.TRAIN_FOLDER}{k}.jpg": image(rng, "JPEG") for k in range(3)}
    digits_of = {"x": pixels(rng, 3, 28, 28), "y": np.arange(3)}
    mnist = {
        f"mnist/{split}-{part}-ubyte.gz": idx(digits_of[name])
        for split in ("train", "t10k")
        for part, name in (("images-idx3", "x"), ("labels-idx1", "y"))
    }
    line = " ".join(f"{value:.3f}" for value in rng.uniform(-1, 1, 256))
    usps = {
        f"usps/zip.{split}.gz": gzip.compress("".join(f"{k}.0 {line}\n" for k in range(4)).encode())
        for split in ("train", "test")
    }
    reviews = {
        f"amazon/{kind}_{split}.svmlight": b"-1 0:3 1:2 77:1\n1 4:1 4999:2\n"
        for kind in ("books", "dvd", "electronics", "kitchen")
        for split in ("train", "test")
    }
    release = {
        f"mnist_m/mnist_m_{split}/{k}.png": image(rng, size=(32, 32))
        for split in ("train", "test")
        for k in range(2)
    } | {
        f"mnist_m/mnist_m_{split}_labels.txt": b"0.png 5\n1.png 7\n" for split in ("train", "test")
    }
    digits = mnist_m.Digits(digits_of["x"], digits_of["y"], digits_of["x"], digits_of["y"])
    blended = digits._replace(x_train=pixels(rng, 3, 28, 28, 3), x_test=pixels(rng, 3, 28, 28, 3))
    record = {
        "program": "python -m minidann.blobs",
        "options": {},
        "environment": {},
        "runs": [{"seed": 0}],
    }
    return {
        "mnist": Reader(data_set("mnist"), mnist, (under_gzip,)),
        "bsds500": Reader(
            data_set("bsds500"), {"bsds500/BSR_bsds500.tgz": tar(train)}, (under_gzip, in_tar)
        ),
        "photographs in a folder": Reader(own("own"), {f"own/{k}": v for k, v in photos.items()}),
        "photographs in a tar archive": Reader(
            own("own.tar"), {"own.tar": tar({"a" * 120 + k: v for k, v in photos.items()}, "w")}
        ),
        "photographs in a tgz archive": Reader(
            own("own.tgz"),
            {"own.tgz": tar({"ü" + k: v for k, v in photos.items()}, "w:gz", tarfile.PAX_FORMAT)},
            (under_gzip, in_tar),
        ),
        "photographs in a zip archive": Reader(
            own("own.zip"), {"own.zip": zipped(photos)}, (in_zip,)
        ),
        "usps": Reader(data_set("usps"), usps, (under_gzip,)),
        "amazon": Reader(data_set("amazon"), reviews),
        **{
            f"svhn, {'' if compressed else 'not '}compressed": Reader(
                data_set("svhn"),
                {f"svhn/{part}_32x32.mat": mat(rng, 2, compressed) for part in ("train", "test")},
            )
            for compressed in (True, False)
        },
        "mnistm-release": Reader(data_set("mnistm-release"), release),
        **sign_readers(rng),
        "cache": Reader(
            lambda folder: mnist_m.read_cache(folder / "cache.npz"),
            {"cache.npz": saved(lambda path: mnist_m.write_cache(path, digits, blended))},
            (sealed,),
        ),
        "checkpoint": Reader(
            restore,
            {"run.npz": saved(lambda path: Checkpoint(path, RUN).save(training()))},
            (sealed, sealed),
        ),
        "model": Reader(
            lambda folder: load_classifier(folder / "model.npz"),
            {"model.npz": saved(classifier)},
            (sealed, sealed),
        ),
        "image to predict": Reader(
            lambda folder: [read_image(path) for path in folder.iterdir()], photos
        ),
        "results.json": Reader(
            lambda folder: load_record(folder / "results.json"),
            {"results.json": json.dumps(record).encode()},
        ),
    }


def sign_readers(rng: Rng) -> dict[str, Reader]:
    """The readers of traffic signs."""
    drawn = {
        "synthetic_data/train_labelling.txt": b"train/1.png 1 0\ntrain/2.png 0 0\n",
        "synthetic_data/train/1.png": image(rng),
        "synthetic_data/train/2.png": image(rng),
    }
    line = b"%s;40;40;5;6;24;25;%d\r\n"
    header = traffic_signs.HEADER.encode() + b"\r\n"
    train, root = {}, "GTSRB/Final_Training/Images"
    for k in range(CLASSES):
        train[f"{root}/{k:05d}/GT-{k:05d}.csv"] = header + line % (b"00000_00000.ppm", k)
        train[f"{root}/{k:05d}/00000_00000.ppm"] = image(rng, "PPM")
    packed = {
        "train": zipped(train),
        "test": zipped({"GTSRB/Final_Test/Images/00000.ppm": image(rng, "PPM")}),
        "labels": zipped({"GT-final_test.csv": header + line % (b"00000.ppm", 1)}),
    }
    small = io.BytesIO()
    names = np.array(["00000/00000_00000.ppm", "00000/00002_00000.ppm"])
    np.savez_compressed(small, x=pixels(rng, 2, 40, 40, 3), y=np.arange(2), names=names)
    return {
        "synsigns": Reader(
            data_set("synsigns"), {"signs/synthetic_data.zip": zipped(drawn)}, (in_zip,)
        ),
        "synsigns, unpacked": Reader(
            data_set("synsigns"), {f"signs/{name}": content for name, content in drawn.items()}
        ),
        "gtsrb": Reader(
            data_set("gtsrb"),
            {traffic_signs.GTSRB[part].name: content for part, content in packed.items()},
            (in_zip,),
        ),
        "gtsrb-small": Reader(
            data_set("gtsrb-small"),
            {"signs/gtsrb_2000_roi40x40.npz": small.getvalue()},
            (in_zip,),
        ),
    }


# --- the cases


@contextmanager
def small_sets() -> Iterator[None]:
    """Sets of a few images pass for the published ones."""
    with (
        patch.dict(os.environ, {"MINIDANN_VERIFY": "0"}),
        patch.object(photographs, "TRAIN_PHOTOGRAPHS", 3),
        patch.object(traffic_signs, "CLASSES", traffic_signs.CLASSES[:CLASSES]),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise Endless in what takes longer."""

    def stop(*_: Any) -> None:
        raise Endless(f"it takes more than {seconds} seconds")

    timers = (
        (signal.SIGPROF, signal.ITIMER_PROF, seconds),
        (signal.SIGALRM, signal.ITIMER_REAL, PATIENCE * seconds),
    )
    before = [signal.signal(number, stop) for number, _, _ in timers]
    for _, timer, limit in timers:
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for (number, timer, _), handler in zip(timers, before):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def put(files: dict[str, bytes], folder: Path) -> Path:
    """Write files to a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def try_case(reader: Reader, folder: Path, rng: Rng) -> BaseException | None:
    """Damage a file of a reader, have it read and put it back; what else than InputError comes."""
    name = list(reader.files)[rng.integers(len(reader.files))]
    whole = reader.files[name]
    layer = (None, *reader.layers)[rng.integers(1 + len(reader.layers))]

    def change(content: bytes) -> bytes:
        return damaged(content, rng)

    (folder / name).write_bytes(layer(whole, change, rng) if layer else change(whole))
    try:
        with within(SECONDS):
            reader.read(folder)
    except InputError as error:
        lines = str(error).count("\n")
        return ValueError(f"a message of {lines + 1} lines: {error}") if lines else None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return error
    finally:
        (folder / name).write_bytes(whole)
    return None


def run(
    cases: Sequence[int], folder: Path, *, seed: int = 0, only: str | None = None
) -> tuple[list[Failure], float]:
    """Try cases, reader after reader. Returns the failures, and the seconds of the slowest case."""
    failures, slowest = [], 0.0
    with small_sets():
        readers = make_readers(np.random.default_rng(0))
        chosen = [only] if only else list(readers)
        for k, name in enumerate(chosen):
            put(readers[name].files, folder / str(k))
            readers[name].read(folder / str(k))  # the files are whole
        for case in cases:
            k, begun = case % len(chosen), time.monotonic()
            rng = np.random.default_rng([seed, case])
            if error := try_case(readers[chosen[k]], folder / str(k), rng):
                failures.append(Failure(chosen[k], case, error))
            slowest = max(slowest, time.monotonic() - begun)
    return failures, slowest


def main(argv: Sequence[str] | None = None) -> int:
    """Try as many cases as are asked for, and print what failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--cases", type=positive, default=100_000, metavar="N")
    parser.add_argument(
        "--first", type=int, default=0, metavar="N", help="number of the first case"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", choices=list(make_readers(np.random.default_rng(0))))
    args = parser.parse_args(argv)
    begun, before = time.monotonic(), peak_memory(np.zeros(1))
    with tempfile.TemporaryDirectory() as folder:
        cases = range(args.first, args.first + args.cases)
        failures, slowest = run(cases, Path(folder), seed=args.seed, only=args.reader)
    grown = peak_memory(np.zeros(1)) - before
    for reader, case, error in failures[:50]:
        print(f"{reader}, case {case}: {type(error).__name__}: {str(error)[:200]}")
    print(
        f"{args.cases} cases from {args.first}, seed {args.seed}: {len(failures)} failed; "
        f"{time.monotonic() - begun:.0f} s, the slowest {slowest:.2f} s, {grown / 1e6:.0f} MB"
    )
    return int(bool(failures) or slowest > SECONDS or grown > BYTES)


if __name__ == "__main__":
    sys.exit(main())
