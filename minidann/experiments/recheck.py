"""Does today's code give what the records say? Runs some of their runs again, and compares.

    python -m minidann.experiments.recheck                            all records of docs/results
    python -m minidann.experiments.recheck runs/blobs/results.json    one of them
    python -m minidann.experiments.recheck --all RECORD.json          every run of it

What a run may differ by, and why, is in :mod:`minidann.experiments.replays`.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import minidann
from minidann.experiments.config import Execution
from minidann.experiments.options import add_data_dir_option, add_jobs_option
from minidann.experiments.replays import Replay, check_data, execute, judge, replays, table
from minidann.experiments.runners import run_tasks
from minidann.runtime.command import Stopped, clear_errors, positive, user_path
from minidann.runtime.errors import InputError
from minidann.runtime.progress import tell

RESULTS = Path(minidann.__file__).parents[1] / "docs" / "results"
DIFFERENT, SKIPPED = 1, 3  # exit statuses


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m minidann.experiments.recheck",
        allow_abbrev=False,
        description="Run recorded runs again, from the options that their records hold, and say "
        "which no longer come out.",
        epilog="equal: every accuracy to the last digit, as it should be on the machine and with "
        "the versions of the record. close: within what another rounding can do, three standard "
        "deviations of a difference of two seeds. DIFFERS: more than that; the line shows the "
        "accuracy that is farthest off. The exit status is 0 if all come out; 1 if one does not, "
        "or is of a recipe that does not exist any more; 3 if none differs but some could not be "
        "run, for want of their data or a GPU. Ctrl-C prints what is known by then.",
    )
    parser.add_argument(
        "records",
        nargs="*",
        type=user_path,
        metavar="RECORD.json",
        help="results.json files of the programs (default: those of docs/results, most of which "
        "take hours)",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--seeds",
        type=positive,
        default=2,
        metavar="N",
        help="run N seeds of each kind of run, spread evenly from the first to the last "
        "(default: %(default)s)",
    )
    which.add_argument("--all", action="store_true", help="run every recorded run")
    add_jobs_option(parser)
    add_data_dir_option(parser)
    return parser.parse_args(argv)


@clear_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Run the recorded runs, print a line for each; the exit status says whether all came out."""
    options = parse(argv)
    todo: list[Replay] = []
    gone = skipped = 0
    for path in options.records or committed():
        found, sentences = replays(
            path, seeds=None if options.all else options.seeds, data_dir=options.data_dir
        )
        gone += len(sentences)
        for sentence in sentences:
            print(sentence)
        try:
            check_data(found)
            todo += found
        except InputError as error:
            skipped += 1
            print(f"{path} is skipped, with {len(found)} runs: {error}")
    findings = judge(run_again(todo, Execution(jobs=options.jobs)))
    if findings:
        print(table(findings))
    different = sum(finding.verdict == "DIFFERS" for finding in findings)
    print(
        f"{len(todo)} runs, {different} lines that differ, {gone} that cannot be run any more, "
        f"{skipped} records skipped"
    )
    return DIFFERENT if different or gone else SKIPPED if skipped else 0


def committed() -> list[Path]:
    """The records of this clone.

    Raises
    ------
    InputError
        If this is no clone.
    """
    found = sorted(path for path in RESULTS.glob("*.json") if '"program"' in path.read_text())
    if not found:
        raise InputError(f"there are no records in {RESULTS}; name some on the command line")
    return [Path(os.path.relpath(path)) for path in found]


def run_again(
    todo: Sequence[Replay], execution: Execution
) -> list[tuple[Replay, Mapping[str, float]]]:
    """Execute, with progress bars; if anything ends it early, print the table so far."""
    minutes = sum(replay.seconds for replay in todo) / 60
    tell(f"{len(todo)} runs; when they were recorded they took {minutes:.0f} minutes in all.")
    outcomes: dict[tuple, Mapping[str, float]] = {}

    def in_order() -> list[tuple[Replay, Mapping[str, float]]]:
        keys = ((replay, (replay.record, replay.task)) for replay in todo)
        return [(replay, outcomes[key]) for replay, key in keys if key in outcomes]

    try:
        for replay, today in run_tasks(execute, todo, execution):
            outcomes[replay.record, replay.task] = today
    except BaseException as error:
        print(f"\nStopped. What had ended by then:\n{table(judge(in_order()))}")
        if isinstance(error, KeyboardInterrupt):
            raise Stopped from None
        raise
    return in_order()


if __name__ == "__main__":
    sys.exit(main())
