"""The data sets at a glance, and how to get them.

python -m minidann.data                                   what there is, and whether it is here
python -m minidann.data fetch mnist bsds500               download and verify them, or go on with it
python -m minidann.data show svhn synth --out sheet.png   a picture of them, side by side
"""

import argparse
import os
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from minidann.data.fetch import fetch_dataset, missing
from minidann.data.registry import DATASETS, DataSet, find_dataset, parts_of, require_files
from minidann.data.store import expanded, folders, locate, user_cache
from minidann.runtime.command import clear_errors, seed_number, user_path
from minidann.runtime.errors import InputError

WIDTH = 79  # a terminal has 80 columns or more
SEARCHED = "--data-dir, then $MINIDANN_DATA, then datasets/, then ~/.cache/minidann"
PRESENT = "there already, checked,"


@clear_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, or do what the command says."""
    args = parse(argv)
    if args.command == "fetch":
        return fetch(args)
    if args.command == "show":
        return show(args)
    if args.data_dir and not Path(args.data_dir).is_dir():
        raise InputError(
            f"{args.data_dir} is not a folder; "
            "name the one that holds the data sets with --data-dir, or leave it out"
        )
    print(textwrap.fill(f"Data sets, sought in {SEARCHED}:", WIDTH) + "\n")
    for dataset in DATASETS.values():
        print(entry(dataset, args.data_dir))
    return 0


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options. ``--data-dir`` is understood before and after the command."""
    usage = "\n".join(__doc__.splitlines()[2:])
    parser = argparse.ArgumentParser(
        prog="python -m minidann.data",
        allow_abbrev=False,
        description=f"{__doc__.splitlines()[0]} Without a command: a table of all data sets.",
        epilog=f"examples:\n{usage}\n\nFiles are sought in {SEARCHED}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    folder: dict[str, Any] = {"metavar": "DIR", "type": os.path.expanduser}
    parser.add_argument("--data-dir", help="folder that is searched first", **folder)
    commands = parser.add_subparsers(dest="command", title="commands", metavar="{fetch,show}")
    about = (
        "Download data sets. A download that was stopped goes on where it was, "
        "and nothing is put in place before its content has been verified."
    )
    fetching = commands.add_parser(
        "fetch", help="download data sets", description=about, allow_abbrev=False
    )
    fetching.add_argument(
        "names",
        nargs="+",
        metavar="NAME",
        help=f"one or more of {', '.join(fetchable())}; mnistm stands for mnist and bsds500, "
        "which it is made of",
    )
    into = (
        "folder to put them in, created if it is missing "
        "(default: $MINIDANN_DATA, or ~/.cache/minidann)"
    )
    fetching.add_argument("--data-dir", default=argparse.SUPPRESS, help=into, **folder)
    showing = commands.add_parser(
        "show",
        help="draw what is in data sets",
        allow_abbrev=False,
        description="Draw a contact sheet of data sets, side by side.",
    )
    showing.add_argument(
        "names", nargs="+", metavar="NAME", help=f"one or more of {', '.join(DATASETS)}"
    )
    showing.add_argument(
        "--out",
        type=user_path,
        default=Path("sheet.png"),
        metavar="FILE",
        help="the picture; its suffix determines the format (default: %(default)s)",
    )
    showing.add_argument(
        "--data-dir", default=argparse.SUPPRESS, help="folder that is searched first", **folder
    )
    showing.add_argument(
        "--seed",
        type=seed_number,
        default=0,
        help="seed of the choice of images (default: %(default)s)",
    )
    return parser.parse_args(argv)


def fetchable() -> list[str]:
    """Names of the data sets that can be downloaded."""
    return [name for name, dataset in DATASETS.items() if dataset.fetchable]


def fetch(args: argparse.Namespace) -> int:
    """Download what is named."""
    folder = expanded(args.data_dir or os.environ.get("MINIDANN_DATA") or user_cache())
    if folder.exists() and not folder.is_dir():
        raise InputError(
            f"{folder} is not a folder; name one to put the data sets in with --data-dir"
        )
    try:
        for dataset in to_fetch(args.names):
            where = (
                folder
                if args.data_dir
                else next((there for there in folders() if not missing(dataset, there)), folder)
            )
            new = fetch_dataset(dataset, where)
            what = f"{len(new)} files downloaded, checked and put" if new else PRESENT
            print(f"{dataset.name}: {what} in {where}")
    except KeyboardInterrupt:
        print("\nStopped; the same command goes on where this one was.", file=sys.stderr)
        return 130
    return 0


def to_fetch(names: Iterable[str]) -> list[DataSet]:
    """The data sets to download for those names, each once.

    Raises
    ------
    InputError
        If one is unknown, or nothing that could be downloaded.
    """
    found = {}
    for name in names:
        for part in parts_of(find_dataset(name)):
            if not part.fetchable:
                raise InputError(why_not(part))
            found[part.name] = part
    return list(found.values())


def why_not(dataset: DataSet) -> str:
    """Why a data set cannot be downloaded, in a sentence."""
    if dataset.files:
        return dataset.by_hand()
    return (
        f"{dataset.name} needs no files and can be used as it is; "
        f"fetch is for {', '.join(fetchable())}"
    )


def show(args: argparse.Namespace) -> int:
    """Draw what is named."""
    require_files(args.names, args.data_dir)
    from minidann.data import sheets  # matplotlib takes a second to import

    sheets.show(args.names, args.out, args.data_dir, args.seed)
    print(f"Written: {args.out}")
    return 0


def entry(dataset: DataSet, data_dir: str | None = None) -> str:
    """What the table says of a data set, in lines for a terminal of 80 columns."""
    there, where, size = state(dataset, data_dir)
    first = f"{dataset.name:<16}{there:<16}{size:>9}   {dataset.images}"
    about = f"{dataset.title}; licence: {dataset.licence}; {dataset.source}"
    if where:
        about += f"; here: {where}"
    lines = textwrap.wrap(about, WIDTH - 4, break_long_words=False, break_on_hyphens=False)
    return "\n    ".join([first, *lines])  # paths and addresses are whole


def state(dataset: DataSet, data_dir: str | None = None) -> tuple[str, str, str]:
    """(whether it is there, in which folders, its size on disk), in words."""
    files = [file for part in parts_of(dataset) for file in part.files]
    if not files:
        return "needs no files", "", ""
    paths = [path for file in files if (path := locate(file, data_dir))]
    where = ", ".join(dict.fromkeys(str(path.parent) for path in paths))
    size = f"{sum(path.stat().st_size for path in contents(paths)) / 1e6:,.1f} MB" if paths else ""
    if len(paths) == len(files):
        return "present", where, size
    return f"{len(paths)} of {len(files)} files" if paths else "not present", where, size


def contents(paths: list[Path]) -> Iterable[Path]:
    """The files of a data set on disk, of which ``paths`` are the ones that are looked for.

    What was unpacked is a folder, and a list of images (.txt) stands beside its images.
    """
    for path in paths:
        if path.is_dir() or path.suffix == ".txt":
            folder = path if path.is_dir() else path.parent
            yield from (file for file in folder.rglob("*") if file.is_file())
        else:
            yield path


if __name__ == "__main__":
    sys.exit(main())
