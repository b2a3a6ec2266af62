"""MNIST to MNIST-M: learn the digits of MNIST, read those that are blended over photographs.

    python -m minidann.mnistm                                  source only, DANN and train-on-target
    python -m minidann.mnistm --steps 50 --limit 2000          a quick look
    python -m minidann.mnistm --data digits                    with no files, on scikit-learn's own digits

The recipe ``tf-dann`` is that project's, to the letter:

    features       conv 5x5 same 32 - ReLU - pool 2 - conv 5x5 same 48 - ReLU - pool 2 - flatten (2352)
    label head     100 - ReLU - 100 - ReLU - 10
    domain head    reversal - 100 - ReLU - 2
    weights        truncated normal 0.1, biases 0.1
    training       32 source + 32 target, 8,600 steps, momentum 0.9, learning rate 0.01 / (1 + 10p)^0.75,
                   lambda 2 / (1 + exp(-10p)) - 1, mean cross-entropies
    input          (x - mean of each channel over both training sets) / 255

Methods: ``source`` and ``target`` train on the labels of one domain alone, ``dann`` on source labels and
unlabelled target images. Accuracies are those of the last step on all test images.
"""

import argparse
import sys
from functools import cache, partial

import numpy as np

from minidann import plots
from minidann.backend import fused, to_host
from minidann.checkpoint import Checkpoint
from minidann.dann import DANN
from minidann.data import Batches, Digits, load_backgrounds, load_digits_pair, load_mnist, mnistm_pair
from minidann.device import choose, resident
from minidann.experiment import add_options, clear_errors, positive, run_all, save_figure, save_results, spread, writable
from minidann.metrics import evaluate
from minidann.nn import Conv2D, Dense, Flatten, MaxPool2D, ReLU, Sequential
from minidann.nn.initializers import truncated_normal
from minidann.nn.optimizers import SGD
from minidann.nn.schedules import learning_rate, reversal_strength
from minidann.threads import threads
from minidann.train import History, fit, progress_bar

METHODS = ("source", "target", "dann")
RECIPES = ("tf-dann",)
DEFAULT_STEPS = {"mnistm": 8600, "digits": 1500}
MONITORED = 500  # test images of each domain, for the curves
EMBEDDED = 500  # test images of each domain, for the t-SNE


def build(seed):
    """The network of tf-dann with fresh weights."""
    rng = np.random.default_rng(seed)
    conv, dense = partial(Conv2D, rng=rng, init=truncated_normal), partial(Dense, rng=rng, init=truncated_normal)
    # tf-dann puts ReLU before the pool; the maximum of max(x, 0) is max(maximum, 0), gradient included, on a quarter of the numbers
    features = [conv(3, 32, 5), MaxPool2D(2), ReLU(), conv(32, 48, 5), MaxPool2D(2), ReLU(), Flatten()]
    label_head = [dense(2352, 100), ReLU(), dense(100, 100), ReLU(), dense(100, 10)]
    domain_head = [dense(2352, 100), ReLU(), dense(100, 2)]
    return DANN(Sequential(features), Sequential(label_head), Sequential(domain_head))


@cache
def load(data, limit, data_dir):
    """(source, target, mean): both data sets as bytes, and the mean of each channel over both training sets."""
    if data == "digits":
        source, target = load_digits_pair()
    else:
        source, target = mnistm_pair(load_mnist(data_dir), load_backgrounds(data_dir))
    if limit:
        source, target = (Digits(*(array[:limit] for array in digits)) for digits in (source, target))
    # both training sets have one size, so the mean of their means is the mean of all pixels
    mean = np.mean([digits.x_train.mean(axis=(0, 1, 2)) for digits in (source, target)], axis=0, dtype=np.float32)  # (3,)
    return source, target, mean


@fused
def normalize(x, mean):
    """uint8 (N, 28, 28, 3) -> float32, centred on the channel means and divided by 255."""
    return (x - mean) / np.float32(255)


def run(method, seed, args, row):
    """Train one network: (record, history, features of some test images). Ctrl-C ends it early, with no features."""
    source, target, mean = load(args.data, args.limit, args.data_dir)
    place = choose(args.device)
    dann, mean = build(seed).convert(place), place(mean)

    def prepare(x):
        return normalize(place(x), mean)

    rng = np.random.default_rng([seed, 1])
    batches = partial(Batches, size=args.batch_size, rng=rng, prepare=prepare, place=place)
    labelled = target if method == "target" else source
    x_labelled, y_labelled, x_target = resident(place, labelled.x_train, labelled.y_train, target.x_train)
    tests = [(digits.x_test, digits.y_test) for digits in (source, target)]
    record, history = {"method": method, "seed": seed, "steps": args.steps}, History()
    asked = {name: getattr(args, name) for name in ("recipe", "data", "limit", "batch_size", "lam")}
    checkpoint = Checkpoint(args.out / "checkpoints" / f"{method}-{seed}.npz", record | asked, resume=args.resume)
    try:
        with progress_bar(args.steps, f"{method}, seed {seed}", row) as bar:
            fit(
                dann,
                SGD(dann.networks if method == "dann" else dann.networks[:2], learning_rate=0.01, momentum=0.9),
                batches(x_labelled, y_labelled),
                batches(x_target),
                steps=args.steps,
                lam=reversal_strength if args.lam is None else lambda p: args.lam,
                learning_rate=learning_rate,
                method="dann" if method == "dann" else "label",
                monitor=lambda: evaluate(dann, *((x[:MONITORED], y[:MONITORED]) for x, y in tests), prepare),
                every=max(10, min(200, args.steps // 20)),
                history=history,
                bar=bar,
                checkpoint=checkpoint,
            )
    except KeyboardInterrupt:
        return record | {"stopped_at": history[-1]["step"] if history else 0}, history, None
    record["seconds"] = round(checkpoint.seconds(), 1)
    with threads():
        accuracies = evaluate(dann, *tests, prepare)
        features = np.concatenate([to_host(dann.transform(prepare(x[:EMBEDDED]))) for x, _ in tests])
    return record | accuracies, history, features


def parse(argv):
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m minidann.mnistm",
        description="Train on MNIST, test on MNIST-M: without adaptation, with DANN, and (the ceiling) on MNIST-M's own labels.",
        epilog="MNIST and BSDS500 are looked for in --data-dir, $MINIDANN_DATA, datasets/ and ~/.cache/minidann; datasets/README.md says where to get them. "
        "One DANN run of 8,600 steps takes some four minutes on two cores, six beside another run. "
        "Ctrl-C keeps the finished runs and the curves so far; --resume goes on.",
    )
    parser.add_argument("--recipe", choices=RECIPES, default="tf-dann", help="network and training protocol (default: %(default)s)")
    trained_on = "source labels, target labels, source labels with adaptation, or each of them in turn (default: %(default)s)"
    parser.add_argument("--method", choices=(*METHODS, "all"), default="all", help=f"what to train on: {trained_on}")
    data_sets = "MNIST and MNIST-M, or scikit-learn's own digits and photographs, which need no files (default: %(default)s)"
    parser.add_argument("--data", choices=tuple(DEFAULT_STEPS), default="mnistm", help=data_sets)
    parser.add_argument("--data-dir", metavar="DIR", help="folder that holds mnist/ and bsds500/")
    parser.add_argument("--steps", type=positive, metavar="N", help="training steps (default: 8600, or 1500 for --data digits)")
    parser.add_argument("--batch-size", type=positive, default=32, metavar="N", help="images of each domain in a batch (default: %(default)s)")
    parser.add_argument("--limit", type=positive, metavar="N", help="use only the first N training and N test images")
    resume = "go on where an earlier run with the same options and --out was stopped; it saves itself every two minutes"
    parser.add_argument("--resume", action="store_true", help=resume)
    add_options(parser, out="runs/mnistm")
    args = parser.parse_args(argv)
    args.steps = args.steps or DEFAULT_STEPS[args.data]
    return args


@clear_errors
def main(argv=None):
    """Run the methods, write ``results.json``, ``history.csv`` and the figures, print the table."""
    args = parse(argv)
    choose(args.device)  # a GPU that is not there is met here, before any training
    out = writable(args.out)
    source, target, _ = load(args.data, args.limit, args.data_dir)  # a missing file is met here, before any training
    methods = METHODS if args.method == "all" else (args.method,)
    tasks = [(method, seed, args) for seed in range(args.seed, args.seed + args.seeds) for method in methods]
    records, history, features = [], History(), {}
    try:
        for record, rows, run_features in run_all(run, tasks, args.jobs):
            records.append(record)
            history += [{"method": record["method"], "seed": record["seed"]} | row for row in rows]
            features[record["method"], record["seed"]] = run_features
            for rows_by_run in (records, history):  # side by side they end in any order
                rows_by_run.sort(key=lambda row: (METHODS.index(row["method"]), row["seed"]))
            save_results(out / "results.json", "mnistm", args, records)
            history.save(out / "history.csv")
            if "stopped_at" in record:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        kept = f"{out / 'results.json'} and {out / 'history.csv'}" if records else "nothing"
        print(f"\n{stopped(records)} Kept: {kept}.", file=sys.stderr)
        return 130
    print(table(records))
    compared = [method for method in methods if method != "target"] or methods
    figures = {
        "data.png": plots.image_grid({"source": source, "target": target}),
        "curves.png": plots.curves(history),
        "embedding.png": plots.embedding({m: features[m, args.seed] for m in compared}, source.y_test[:EMBEDDED], target.y_test[:EMBEDDED]),
    }
    for name, figure in figures.items():
        save_figure(figure, out / name)
    print(f"Written to {out}: results.json, history.csv, {', '.join(figures)}")
    return 0


def stopped(records):
    """What a Ctrl-C found: the runs that had finished and the one it ended."""
    finished = ", ".join(f"{r['method']} (seed {r['seed']})" for r in records if "stopped_at" not in r) or "none"
    ended = "".join(f" {r['method']} (seed {r['seed']}) ended after step {r['stopped_at']} of {r['steps']}." for r in records if "stopped_at" in r)
    return f"Stopped. Runs that had finished: {finished}.{ended}"


def table(records):
    """Accuracy on all test images at the last step, a line a method."""
    names = {"source": "source only", "target": "trained on target", "dann": "DANN"}
    lines = [f"{'':<18} {'source accuracy':>18} {'target accuracy':>18} {'domain accuracy':>18} {'seconds':>8}"]
    for method in dict.fromkeys(record["method"] for record in records):
        runs = [record for record in records if record["method"] == method]
        domain = spread([(r["source_domain"] + r["target_domain"]) / 2 for r in runs]) if method == "dann" else "-"
        figures = [spread([r[key] for r in runs]) for key in ("source_class", "target_class")]
        lines.append(f"{names[method]:<18} {figures[0]:>18} {figures[1]:>18} {domain:>18} {sum(r['seconds'] for r in runs) / len(runs):>8.0f}")
    return "\n".join(lines)


if __name__ == "__main__":
    from minidann import mnistm  # by its real name, under which worker processes find it

    sys.exit(mnistm.main())
