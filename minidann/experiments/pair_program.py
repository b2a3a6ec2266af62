"""What the programs on one pair of image sets do with their tasks, from the files to the table."""

import argparse
from collections.abc import Sequence

from minidann.experiments.config import ImageSettings
from minidann.experiments.figures import save_figures
from minidann.experiments.image_sets import load_sets
from minidann.experiments.images import train_and_test
from minidann.experiments.options import execution
from minidann.experiments.runs import Experiment, Task, begun, conduct, exit_status
from minidann.experiments.tables import pair_table


def run_pair(
    program: str,
    tasks: Sequence[Task],
    settings: ImageSettings,
    options: argparse.Namespace,
    otherwise: str = "",
) -> int:
    """Run tasks on one pair, write records, model and figures, print the table.

    Parameters
    ----------
    program : str
        As in ``python -m minidann.PROGRAM``.
    tasks : sequence of Task
        All of the same source and target.
    settings : ImageSettings
    options : argparse.Namespace
        What was asked for on the command line.
    otherwise : str
        What can be done without files that are missing, for the message.

    Returns
    -------
    int
        The exit status.

    Raises
    ------
    InputError
        Before any training, if one of the sets is missing or damaged.
    """
    pair = tasks[0].pair
    experiment = Experiment(
        program, train_and_test, tuple(tasks), settings, execution(options), vars(options)
    )
    with begun(settings, experiment.execution):
        load_sets(pair, settings, otherwise)
        outcomes = conduct(experiment)
        figures = save_figures(outcomes, [pair], settings)
    print(pair_table(outcomes, [pair]))
    names = ["results.json", "history.csv", "model.npz", *figures]
    print(f"Written to {settings.out}: {', '.join(names)}")
    return exit_status(experiment, outcomes)
