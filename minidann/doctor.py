"""What is installed, whether it works, and what to put into a bug report.

python -m minidann.doctor            versions, BLAS, GPU, data, space, and a check of the gradients
python -m minidann.doctor --all      large data sets are read through as well
"""

import argparse
import os
import platform
import re
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import numpy as np

import minidann
from minidann.data.registry import DATASETS, DataSet
from minidann.data.store import File, find, folders
from minidann.experiments.records import commit
from minidann.nn import gradcheck
from minidann.runtime.arrays import device_name
from minidann.runtime.command import clear_errors
from minidann.runtime.device import driver_version, transfer_to, why_no_gpu
from minidann.runtime.errors import InputError

NEEDED = (  # as in setup.py
    "numpy",
    "scikit-learn",
    "scipy",
    "threadpoolctl",
    "matplotlib",
    "pillow",
    "tqdm",
)
EXTRA = ("dask", "distributed", "torch", "pandas")  # said if they are there
THREAD_LIMITS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
LARGE = 64 << 20  # bytes of a data set that takes more than some seconds to read
LITTLE = 1 << 30  # bytes free on a disk: a checkpoint of the largest network takes 0.6 GB
WRONG = "! "  # how a finding begins that is to be mended
REPORT = """\
A bug report needs, beside this whole output:
 1. the command, or the shortest script that shows the bug, with its seed
 2. all that it printed, with the traceback, and results.json if it wrote one
 3. what you expected instead
Nothing of this has been sent anywhere. Paths may hold your name: look before
you post it.
"""


@clear_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Print what is found; exit status 1 if something is wrong."""
    args = parse(argv)
    wrong = 0
    for title, look in SECTIONS.items():
        print(title)
        for finding in findings(look, args):
            wrong += finding.startswith(WRONG)
            print(indented(finding), flush=True)
    found = f'{wrong} found, marked by "{WRONG.strip()}"' if wrong else "none found"
    print(f"\nThings to mend: {found}.\n\n{REPORT}", end="")
    return 1 if wrong else 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    first, _, usage = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m minidann.doctor",
        allow_abbrev=False,
        description=first,
        epilog=f"examples:\n{usage}\nExit status: 1 if something has to be mended, else 0.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data-dir",
        type=os.path.expanduser,
        metavar="DIR",
        help="folder that is searched first for data sets",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help=f"read through data sets of more than {megabytes(LARGE)} as well: minutes, and up to "
        "2 GB of memory",
    )
    return parser.parse_args(argv)


def findings(look: Callable, args: argparse.Namespace) -> Iterator[str]:
    """What one check says. What it does not expect is a finding too, and ends that check alone."""
    try:
        yield from look(args)
    except Exception as error:  # an installation can be broken in any way
        yield f"{WRONG}the rest of this cannot be found out: {in_short(error)}"


def of_minidann(args: argparse.Namespace) -> Iterator[str]:
    """Which minidann, Python and machine this is."""
    yield f"minidann {minidann.__version__}, commit {commit() or 'unknown'}"
    yield f"imported from {Path(minidann.__file__).parent}"
    yield f"Python {platform.python_version()}, {sys.executable}"
    yield f"{platform.platform()}, {usable_cores()} of {os.cpu_count()} cores usable"


def of_packages(args: argparse.Namespace) -> Iterator[str]:
    """Versions of what minidann imports, and whether they are new enough."""
    lowest, found = lowest_versions(), {name: version(name) for name in (*NEEDED, *EXTRA)}
    yield ", ".join(f"{name} {installed}" for name, installed in found.items() if installed)
    for name in NEEDED:
        if not found[name]:
            yield f"{WRONG}{name} is not installed: pip install {name}"
        elif as_numbers(found[name]) < as_numbers(lowest.get(name, "")):
            yield f'{WRONG}{name} {found[name]} is too old: pip install "{name}>={lowest[name]}"'


def of_blas(args: argparse.Namespace) -> Iterator[str]:
    """What multiplies matrices, on how many threads."""
    from threadpoolctl import threadpool_info

    libraries = [info for info in threadpool_info() if info["user_api"] == "blas"]
    for info in libraries:
        name = f"{info['internal_api']} {info['version']}"
        yield f"{name}, {info.get('architecture') or 'any processor'}, {info['filepath']}"
    if not libraries:
        yield "no BLAS that threadpoolctl knows: its threads cannot be limited"
    yield f"threads of minidann: {minidann.get_num_threads()}"
    if limits := [f"{name}={os.environ[name]}" for name in THREAD_LIMITS if name in os.environ]:
        yield f"limited by {', '.join(limits)}"
    elif minidann.get_num_threads() > usable_cores():
        yield f"{WRONG}there are only {usable_cores()} cores: export OMP_NUM_THREADS to that number"


def of_gpu(args: argparse.Namespace) -> Iterator[str]:
    """CuPy and its device; to have none is nothing wrong."""
    if missing := why_no_gpu():
        yield f"none is used: {missing}"
        return
    import cupy

    free, total = cupy.cuda.Device().mem_info
    driver = ".".join(map(str, driver_version() or ()))
    yield f"{device_name(cupy.zeros(1))}, {megabytes(free)} of {megabytes(total)} free"
    yield f"CuPy {cupy.__version__}, driver for CUDA {driver}"


def of_data(args: argparse.Namespace) -> Iterator[str]:
    """Where data sets are sought, which are there, and whether those are whole."""
    for folder in folders(args.data_dir):
        yield f"sought in {folder}{'' if folder.is_dir() else ', which is not there'}"
    if os.environ.get("MINIDANN_VERIFY") == "0":
        yield "contents are not compared with those published: MINIDANN_VERIFY=0"
    absent = []
    for dataset in DATASETS.values():
        paths = {file: path for file in dataset.files if (path := sought(file, args.data_dir))}
        if paths:
            yield state(dataset, paths, args)
        elif dataset.files:
            absent.append(dataset.name)
    yield f"not there: {', '.join(absent)}"


def of_space(args: argparse.Namespace) -> Iterator[str]:
    """Free disk where results and temporary files go, and shared memory for ``--jobs``."""
    for folder, what in ((Path.cwd(), "results"), (Path(tempfile.gettempdir()), "temporary files")):
        free = shutil.disk_usage(folder).free
        yield f"{WRONG * (free < LITTLE)}{megabytes(free)} free for {what} in {folder}"
    shared = Path("/dev/shm")
    if not shared.is_dir():
        yield "no /dev/shm: for shared memory the system has other ways"
        return
    try:
        with tempfile.TemporaryFile(dir=shared):
            yield f"{megabytes(shutil.disk_usage(shared).free)} of shared memory free in {shared}"
    except OSError as error:
        yield f"{WRONG}{shared} cannot be written ({error.strerror}): processes cannot share memory"


def of_gradients(args: argparse.Namespace) -> Iterator[str]:
    """Every layer and loss against finite differences, where it would work."""
    for device in ["cpu"] if why_no_gpu() else ["cpu", "gpu"]:
        checks = gradcheck.cases(np.random.default_rng(0), transfer_to(device))
        errors = {
            f"{name} {case}, gradient of {of}": error
            for name, case, check in checks
            for of, error in check(None).errors.items()
        }
        wrong = {of: error for of, error in errors.items() if not error <= gradcheck.TOLERANCE}
        yield f"{len(errors) - len(wrong)} of {len(errors)} right on the {device}"
        yield from (f"{WRONG}{of}: relative error {error:.1e}" for of, error in wrong.items())


SECTIONS = {
    "This installation": of_minidann,
    "Packages": of_packages,
    "BLAS": of_blas,
    "GPU": of_gpu,
    "Data": of_data,
    "Space": of_space,
    "Gradients": of_gradients,
}


def sought(file: File, data_dir: str | None) -> Path | None:
    """Where a file is found, if it is."""
    with suppress(InputError):
        return find(file, data_dir, remedy="none is asked for")
    return None


def state(dataset: DataSet, paths: dict[File, Path], args: argparse.Namespace) -> str:
    """Whether a data set is whole, as its loader sees it, of whose files ``paths`` are there."""
    where = ", ".join(dict.fromkeys(str(path.parent) for path in paths.values()))
    if len(paths) < len(dataset.files):
        lacking = [file.name for file in dataset.files if file not in paths]
        return f"{dataset.name}: in {where}, without {', '.join(lacking)}"
    unpacked = any(file.unpacked and path.match(file.unpacked) for file, path in paths.items())
    large = unpacked or sum(path.stat().st_size for path in paths.values()) > LARGE
    if large and not args.all:
        return f"{dataset.name}: in {where}; large, so it is read with --all only"
    try:
        dataset.load(args.data_dir)
    except Exception as error:  # the loader's own mistakes belong into a report
        return f"{WRONG}{dataset.name}: {in_short(error)}"
    return f"{dataset.name}: whole, in {where}"


def lowest_versions() -> dict[str, str]:
    """The lowest versions that the installed minidann asks for, by package; none if unknown."""
    try:
        required = metadata.requires("minidann") or []
    except metadata.PackageNotFoundError:  # imported from where it lies
        return {}
    pairs = [re.fullmatch(r"([\w-]+)>=([\d.]+)", one) for one in required]
    return {pair[1]: pair[2] for pair in pairs if pair}


def version(name: str) -> str:
    """The version of a package; "" if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def as_numbers(text: str) -> list[int]:
    """``2.10.1rc1`` as [2, 10, 1, 1], to be compared."""
    return [int(number) for number in re.findall(r"\d+", text)]


def usable_cores() -> int:
    """Cores that this process may use: fewer than the machine has, under taskset or a scheduler."""
    with suppress(AttributeError):  # Linux alone has it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def megabytes(size: int) -> str:
    """Bytes in words."""
    return f"{size / 1e6:,.0f} MB"


def in_short(error: Exception) -> str:
    """A sentence that was written for the user, or the kind of error and its first line."""
    if isinstance(error, InputError):
        return str(error)
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def indented(finding: str) -> str:
    """In lines of 79 columns; paths are not broken, so that they can be copied."""
    text = textwrap.TextWrapper(79, break_long_words=False, break_on_hyphens=False)
    text.initial_indent = "" if finding.startswith(WRONG) else "  "
    text.subsequent_indent = "      "
    return text.fill(finding)


if __name__ == "__main__":
    sys.exit(main())
