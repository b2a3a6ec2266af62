"""One network trained by a recipe on a pair of image domains, and many of them: what all digit experiments have in common."""

import sys
from contextlib import suppress
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from sklearn.metrics import confusion_matrix

from minidann.data import (
    Batches,
    Digits,
    as_pair,
    load_backgrounds,
    load_digits_pair,
    load_mnist,
    load_svhn,
    load_synth_digits,
    load_usps,
    mnistm_pair,
)
from minidann.data.mnist_m import plain
from minidann.data.preprocessing import normalize, standardize
from minidann.experiment import add_options, run_all, save_figure, save_results, spread
from minidann.experiments import plots
from minidann.experiments.checkpoints import Checkpoint
from minidann.experiments.recipes import RECIPES
from minidann.metrics import evaluate, predictions
from minidann.nn.optimizers import WeightAverage
from minidann.runtime.arrays import to_host
from minidann.runtime.command import Stopped, positive
from minidann.runtime.device import resident, transfer_to
from minidann.runtime.files import writable
from minidann.runtime.progress import progress_bar
from minidann.runtime.threads import threads
from minidann.train import AverageWeights, History, ProgressBar, fit

METHODS = ("source", "target", "dann")
MONITORED = 500  # test images of each domain, for the curves
CALIBRATION = (
    2000  # training images of the target whose statistics batch-norm adopts, where it does
)
EMBEDDED = 500  # test images of each domain, for the t-SNE


class Task(NamedTuple):
    """One run: the names of source and target, what is trained on, and the seed of weights, batches and dropout."""

    source: str
    target: str
    method: str
    seed: int


class Outcome(NamedTuple):
    """What one run leaves: its record, its History, and, under each target's name, the features of some test images of source and target.

    ``features`` is None if Ctrl-C ended it.
    """

    record: dict
    history: History
    features: dict | None = None


@cache
def load(name, binarize, limit, data_dir):
    """One set of digits by its name: :class:`minidann.data.Digits`, of which ``limit`` keeps the first training and test images."""
    if name in ("digits", "digits-m"):
        digits = load_digits_pair(binarize=binarize)[name == "digits-m"]
    elif name in ("mnist", "mnistm"):
        mnist = load_mnist(data_dir)
        digits = (
            mnistm_pair(mnist, load_backgrounds(data_dir), binarize=binarize)[1]
            if name == "mnistm"
            else plain(mnist, binarize)
        )
    else:
        synth = partial(load_synth_digits, limit, limit) if limit else load_synth_digits
        digits = {
            "svhn": partial(load_svhn, data_dir),
            "synth": synth,
            "usps": partial(load_usps, data_dir),
        }[name]()
    return Digits(*(array[:limit] for array in digits)) if limit else digits


def domains(recipe, names, *, limit, data_dir, labelled):
    """Two sets of digits, by their names, in the form that the recipe works on; ``labelled`` says whether the target's training labels are wanted."""
    source, target = (load(name, recipe.binarize, limit, data_dir) for name in names)
    return as_pair(source, target, size=recipe.size, mean=recipe.mean, oracle_labels=labelled)


def preparation(domain, transfer):
    """The function that makes network input on the device of a Domain's images as they are stored."""
    if domain.mean is None:
        return lambda x: standardize(transfer(x))
    mean = transfer(domain.mean)
    return lambda x: normalize(transfer(x), mean)


def adapt(recipe, source, target, method, seed, *, device, checkpoint, bar):
    """Train one network.

    Parameters
    ----------
    recipe : Recipe
    source, target : Domain
        The target's training labels are used by the method ``"target"`` alone; None for the others.
    method : str
        What is trained on: ``"source"`` or ``"target"``, the labels of that domain alone; anything
        else, source labels and unlabelled target images.
    seed : int
        Of the weights, the batches and the dropout.
    device : str
        See :func:`minidann.runtime.device.transfer_to`.
    checkpoint : Checkpoint
    bar : tqdm

    Returns
    -------
    (DANN, History)
        Ctrl-C ends training early: then the last row of the history is of an earlier step than
        ``recipe.steps``.
    """
    transfer = transfer_to(device)
    adversarial = method not in ("source", "target")
    dann = recipe.build(seed, 2 if adversarial else 1).convert(transfer)
    networks = dann.networks if adversarial else dann.networks[:2]
    labelled = target if method == "target" else source
    x_labelled, y_labelled, x_target = resident(
        transfer, labelled.x_train, labelled.y_train, target.x_train
    )
    rng = np.random.default_rng([seed, 1])

    augment = recipe.augment or (lambda x, rng: x)

    def batches(domain, *arrays, weak_augment=None):
        prepare = preparation(domain, transfer)

        def images(x):
            changed = prepare(augment(x, rng))
            return (prepare(weak_augment(x, rng)), changed) if weak_augment else changed

        return Batches(*arrays, size=recipe.batch_size, rng=rng, transfer=transfer, prepare=images)

    some = [
        domain._replace(x_test=domain.x_test[:MONITORED], y_test=domain.y_test[:MONITORED])
        for domain in (source, target)
    ]
    history = History(
        every=max(10, min(200, recipe.steps // 20)),
        monitor=lambda: accuracies(dann, *some, transfer),
    )
    average = AverageWeights(WeightAverage(networks)) if recipe.average else None
    callbacks = (average, history, checkpoint, ProgressBar(bar))
    with suppress(KeyboardInterrupt):
        fit(
            dann,
            recipe.optimizer(networks),
            batches(labelled, x_labelled, y_labelled),
            batches(target, x_target, weak_augment=recipe.weak_augment),
            steps=recipe.steps,
            lam=recipe.lam,
            learning_rate=recipe.learning_rate,
            objective="dann" if adversarial else "label",
            callbacks=[callback for callback in callbacks if callback is not None],
        )
    return dann, history


def adapt_batch_norm(dann, domain, transfer):
    """Give batch-norm the statistics of training images of a Domain."""
    dann.adapt_batch_norm(preparation(domain, transfer)(domain.x_train[:CALIBRATION]))


def accuracies(dann, source, target, transfer):
    """The four accuracies on the test images of two Domains."""
    tests = [(domain.x_test, domain.y_test) for domain in (source, target)]
    return evaluate(dann, *tests, *(preparation(domain, transfer) for domain in (source, target)))


def adapt_options(parser, *, out, steps=None):
    """The options of all experiments with a recipe."""
    parser.add_argument(
        "--steps",
        type=positive,
        default=steps,
        metavar="N",
        help=f"training steps (default: {steps or 'those of the recipe'})",
    )
    parser.add_argument(
        "--batch-size",
        type=positive,
        metavar="N",
        help="images of each domain in a batch (default: the recipe's)",
    )
    parser.add_argument(
        "--limit",
        type=positive,
        metavar="N",
        help="use only the first N training and N test images",
    )
    resume = "go on where an earlier run with the same options and --out was stopped; it saves itself every two minutes"
    parser.add_argument("--resume", action="store_true", help=resume)
    add_options(parser, out=out)


def as_asked(recipe, args):
    """The recipe with what the options ask for in its place."""
    if args.lam is not None:
        recipe = recipe._replace(lam=lambda p: args.lam)
    return recipe._replace(
        steps=args.steps or recipe.steps, batch_size=args.batch_size or recipe.batch_size
    )


def run(task, args, row):
    """Train one network and test it: an Outcome, with no features if Ctrl-C ended it.

    The record has the accuracies of the last step on all test images and a confusion matrix (a row
    a digit, a column an answer) of the target. A network that was trained on the source alone
    serves all targets: of it there is one for each name in ``args.tested``.
    """
    recipe, transfer = as_asked(RECIPES[args.recipe], args), transfer_to(args.device)
    pair = partial(domains, recipe, limit=args.limit, data_dir=args.data_dir)
    source, target = pair((task.source, task.target), labelled=task.method == "target")
    dann, history, record = train(recipe, source, target, task, args, row)
    if "stopped_at" in record:
        return Outcome(record, history)
    tested = args.tested if task.method == "source" else (task.target,)
    with threads():
        if recipe.own_statistics and task.method == "dann":
            adapt_batch_norm(dann, target, transfer)
        record |= accuracies(dann, source, target, transfer)
        others = {name: pair((task.source, name), labelled=False)[1] for name in tested}
        record["confusion"] = {
            name: confusions(dann, domain, transfer) for name, domain in others.items()
        }
        shown = {
            name: np.concatenate(
                [some_features(dann, domain, transfer) for domain in (source, other)]
            )
            for name, other in others.items()
        }
    return Outcome(record, history, shown)


def train(recipe, source, target, task, args, row):
    """Train the network of a task: (DANN, History, record), with ``stopped_at`` in the record if Ctrl-C ended it."""
    record = task._asdict() | {"steps": recipe.steps}
    asked = {name: getattr(args, name) for name in ("recipe", "limit", "lam")} | {
        "batch_size": recipe.batch_size
    }
    checkpoint = Checkpoint(
        args.out / "checkpoints" / f"{'-'.join(map(str, task))}.npz",
        record | asked,
        resume=args.resume,
    )
    with progress_bar(recipe.steps, title(task), row) as bar:
        dann, history = adapt(
            recipe,
            source,
            target,
            task.method,
            task.seed,
            device=args.device,
            checkpoint=checkpoint,
            bar=bar,
        )
    reached = history[-1]["step"] if history else 0
    ending = (
        {"stopped_at": reached}
        if reached < recipe.steps
        else {"seconds": round(checkpoint.seconds(), 1)}
    )
    return dann, History(task._asdict() | entry for entry in history), record | ending


def confusions(dann, domain, transfer):
    """How many test images of each digit (10 rows) were given each answer (10 columns)."""
    classes, _ = predictions(dann, domain.x_test, preparation(domain, transfer))
    return confusion_matrix(domain.y_test, classes, labels=range(10)).tolist()


def some_features(dann, domain, transfer):
    """The features of the first test images, in main memory."""
    return to_host(dann.transform(preparation(domain, transfer)(domain.x_test[:EMBEDDED])))


def title(task):
    """``mnist to usps, DANN, seed 0``"""
    return f"{task.source} to {task.target}, {plots.METHODS.get(task.method, task.method)}, seed {task.seed}"


def begin(args, names):
    """Meet a GPU, a folder or a file that is not there now, and not after an hour of training."""
    transfer_to(args.device)
    writable(args.out)
    for name in names:
        load(name, RECIPES[args.recipe].binarize, args.limit, args.data_dir)


def conduct(program, tasks, args, run=run):
    """Run all tasks; write ``results.json`` and ``history.csv`` whenever one ends.

    Returns
    -------
    dict of Task to Outcome
        In the order of the tasks.

    Raises
    ------
    Stopped
        After Ctrl-C.
    """
    outcomes = {}
    try:
        for outcome in run_all(run, [(task, args) for task in tasks], args.jobs):
            outcomes[Task(*(outcome.record[name] for name in Task._fields))] = outcome
            outcomes = {
                task: outcomes[task] for task in tasks if task in outcomes
            }  # side by side they end in any order
            save_results(
                args.out / "results.json",
                program,
                args,
                [outcome.record for outcome in outcomes.values()],
            )
            History(row for outcome in outcomes.values() for row in outcome.history).save(
                args.out / "history.csv"
            )
            if outcome.features is None:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        kept = (
            f"{args.out / 'results.json'} and {args.out / 'history.csv'}" if outcomes else "nothing"
        )
        print(f"\n{stopped(outcomes)} Kept: {kept}.", file=sys.stderr)
        raise Stopped from None
    return outcomes


def stopped(outcomes):
    """What a Ctrl-C found: the runs that had finished and the one it ended."""
    finished = (
        ", ".join(title(task) for task, outcome in outcomes.items() if outcome.features is not None)
        or "none"
    )
    ended = [
        (title(task), outcome.record)
        for task, outcome in outcomes.items()
        if outcome.features is None
    ]
    where = "".join(
        f" {name} ended after step {record['stopped_at']} of {record['steps']}."
        for name, record in ended
    )
    return f"Stopped. Runs that had finished: {finished}.{where}"


def of_pair(outcomes, source, target, method):
    """The outcomes that say how a method does from source to target: of source only any run on the source, of the ceiling any on the target."""
    wanted = {
        "source": lambda task: task.source == source,
        "target": lambda task: task.target == target,
    }
    matches = wanted.get(method, lambda task: task[:2] == (source, target))
    return {
        task: outcome
        for task, outcome in outcomes.items()
        if task.method == method and matches(task) and target in outcome.record["confusion"]
    }


def target_accuracy(outcome, target):
    """The share of right answers in the confusion matrix of a target."""
    counts = np.array(outcome.record["confusion"][target])
    return float(np.trace(counts) / counts.sum())


def table(outcomes, pairs):
    """Accuracy on all test images at the last step, a line for each method of each pair; the share of the gap that DANN closes."""
    lines = [
        f"{'':<36} {'source accuracy':>18} {'target accuracy':>18} {'domain accuracy':>18} {'seconds':>8}"
    ]
    for source, target in pairs:
        means = {}
        for method in METHODS:
            found = of_pair(outcomes, source, target, method)
            if not found:
                continue
            records = [outcome.record for outcome in found.values()]
            on_target = [target_accuracy(outcome, target) for outcome in found.values()]
            on_source = (
                spread([r["source_class"] for r in records])
                if all(task.source == source for task in found)
                else "-"
            )
            domain = (
                spread([(r["source_domain"] + r["target_domain"]) / 2 for r in records])
                if method == "dann"
                else "-"
            )
            means[method] = sum(on_target) / len(on_target)
            seconds = sum(r["seconds"] for r in records) / len(records)
            lines.append(
                f"{f'{source} to {target}, {plots.METHODS[method]}':<36} {on_source:>18} {spread(on_target):>18} {domain:>18} {seconds:>8.0f}"
            )
        if len(means) == len(METHODS) and means["target"] != means["source"]:
            share = (means["dann"] - means["source"]) / (means["target"] - means["source"])
            lines.append(
                f"{'':<36} DANN closes {share:.1%} of the gap between source only and trained on target"
            )
    return "\n".join(lines)


def draw(outcomes, source, target, args):
    """The figures of a pair: yields (name, Figure). Curves of all runs; images, embeddings and confusions of the first seed's."""
    digits = [
        load(name, RECIPES[args.recipe].binarize, args.limit, args.data_dir)
        for name in (source, target)
    ]
    found = [(method, of_pair(outcomes, source, target, method)) for method in METHODS]
    first = {
        method: outcome
        for method, of_method in found
        for task, outcome in of_method.items()
        if task.seed == args.seed
    }
    embedded = {
        method: outcome.features[target]
        for method, outcome in first.items()
        if method != "target" or len(first) == 1
    }
    rows = [
        row
        for task, outcome in outcomes.items()
        if task[:2] == (source, target)
        for row in outcome.history
    ]
    yield (
        "data",
        plots.image_grid(
            dict(zip(("source", "target"), digits)), augment=RECIPES[args.recipe].augment
        ),
    )
    if rows:
        yield "curves", plots.curves(rows)
    if embedded:
        yield "embedding", plots.embedding(embedded, *(part.y_test[:EMBEDDED] for part in digits))
        yield (
            "confusion",
            plots.confusion(
                {method: outcome.record["confusion"][target] for method, outcome in first.items()}
            ),
        )


def report(outcomes, pairs, args):
    """Draw and save the figures of all pairs, and say what was written."""
    names = []
    with progress_bar(len(pairs), "figures", unit="pair") as bar:
        for source, target in pairs:
            prefix = f"{source}-{target}-" if len(pairs) > 1 else ""
            for name, figure in draw(outcomes, source, target, args):
                names.append(f"{prefix}{name}.png")
                save_figure(figure, args.out / names[-1])
            bar.update()
    print(f"Written to {args.out}: results.json, history.csv, {', '.join(names)}")
