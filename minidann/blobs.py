"""Blobs: the smallest place where domain adaptation can be seen to work.

    python -m minidann.blobs                           four regimes, a table and a figure, in seconds
    python -m minidann.blobs --seeds 20 --jobs 2       mean, spread and worst of 20 draws of the data
    python -m minidann.blobs --anneal                  two regimes more, which come closer to the ceiling

Two domains in the plane, two classes each; the target is the source moved by (1, -1):

    source    class 0 around (0, 0), class 1 around (0, 1)
    target    class 0 around (1, -1), class 1 around (1, 0)         standard deviation 0.2

The source alone says "class 1 is above y = 1/2", which is true of half of the target. x + y is what
the two domains have in common; class 1 where x + y > 1/2 is right for

    Phi(0.5 / (0.2 sqrt 2)) = 96.15 %         of both domains: the ceiling of what they share

Regimes (tf-dann's): the domain head trained with the features *for* it (lam = -1), the label head
alone, and DANN with a shallow (15-2) and a deep (15-8-2) domain head. Features 2-15, ReLU; label
head 15-2; summed cross-entropies; Adam, 0.001; 10,000 steps of 8 + 8 points; lam = 2 / (1 +
exp(-10p)) - 1.

DANN seeks a saddle point, and at a constant learning rate it keeps circling around it: where it
stands at the last step is partly chance. ``--anneal`` adds two calmer regimes, which train without
target labels like the others: the learning rate falls to zero along a cosine and the weights of the
second half of the steps are averaged ("deep, annealed"); and with that, a domain head of 32 hidden
units, which sees more of the difference between the domains, and batches of 32 + 32, whose
gradients are less noisy ("wide, annealed"). These settings were compared by target accuracy on
other draws (seeds 100 to 111) than the README reports (seeds 0 to 19).
"""

import argparse
import sys
import time
from functools import partial
from typing import NamedTuple

import numpy as np

from minidann.dann import DANN
from minidann.data import Batches, make_blobs_pair
from minidann.data.toy import Points
from minidann.experiment import add_options, run_all, save_figure, save_results, spread, summarize
from minidann.experiments import plots
from minidann.metrics import evaluate
from minidann.nn import Dense, ReLU, Sequential
from minidann.nn.initializers import truncated_normal
from minidann.nn.optimizers import Adam, WeightAverage
from minidann.nn.schedules import cosine, reversal_strength
from minidann.runtime.arrays import to_host
from minidann.runtime.command import clear_errors, positive
from minidann.runtime.device import transfer_to
from minidann.runtime.files import writable
from minidann.runtime.progress import progress_bar
from minidann.train import AverageWeights, History, ProgressBar, fit

RATE = 1e-3


class Regime(NamedTuple):
    """What is trained, and how."""

    method: str
    hidden: tuple = ()  # sizes of the domain head's hidden layers
    anneal: bool = False
    batch_factor: int = 1  # how many times --batch-size a batch is


REGIMES = {
    "domain classifier": Regime("domain"),
    "label only": Regime("label"),
    "DANN shallow": Regime("dann"),
    "DANN deep": Regime("dann", hidden=(8,)),
}
ANNEALED = {
    "DANN deep, annealed": Regime("dann", hidden=(8,), anneal=True),
    "DANN wide, annealed": Regime("dann", hidden=(32,), anneal=True, batch_factor=4),
}


def build(hidden, seed):
    """The network of tf-dann's Blobs with fresh weights; ``hidden`` as in :class:`Regime`."""
    dense = partial(Dense, rng=np.random.default_rng(seed), init=truncated_normal)
    features, label_head = [dense(2, 15), ReLU()], [dense(15, 2)]
    domain_head = []
    for inputs, outputs in zip((15, *hidden), hidden):
        domain_head += [dense(inputs, outputs), ReLU()]
    domain_head.append(dense((15, *hidden)[-1], 2))
    return DANN(
        Sequential(features), Sequential(label_head), Sequential(domain_head), reduction="sum"
    )


def train(
    regime, source, target, *, steps, seed, lam=None, batch_size=8, transfer=to_host, bar=None
):
    """Train one regime on ``Points`` of both domains, on the device that ``transfer`` takes arrays to, and return the DANN."""
    dann = build(regime.hidden, seed).convert(transfer)
    source, target = (Points(*map(transfer, points)) for points in (source, target))
    trained = {
        "domain": (dann.features, dann.domain_head),
        "label": (dann.features, dann.label_head),
        "dann": dann.networks,
    }[regime.method]
    rng = np.random.default_rng([seed, 1])
    size = batch_size * regime.batch_factor
    strength = -1.0 if regime.method == "domain" else lam
    callbacks = [AverageWeights(WeightAverage(trained))] if regime.anneal else []
    callbacks += [History(every=500), ProgressBar(bar)]
    fit(
        dann,
        Adam(trained),
        Batches(source.x, source.y, size=size, rng=rng),
        Batches(target.x, size=size, rng=rng),
        steps=steps,
        lam=reversal_strength if strength is None else lambda p: strength,
        learning_rate=partial(cosine, base=RATE) if regime.anneal else lambda p: RATE,
        objective=regime.method,
        callbacks=callbacks,
    )
    return dann


def run(seed, args, row):
    """All regimes on one draw of the data: (records, features of each regime)."""
    source, target = make_blobs_pair(seed=seed)
    transfer = transfer_to(args.device)
    regimes = chosen(args)
    records, features = [], {}
    with progress_bar(args.steps * len(regimes), f"seed {seed}", row) as bar:
        for title, regime in regimes.items():
            bar.set_description(f"seed {seed}, {title}")
            started = time.perf_counter()
            dann = train(
                regime,
                source,
                target,
                steps=args.steps,
                seed=seed,
                lam=args.lam,
                batch_size=args.batch_size,
                transfer=transfer,
                bar=bar,
            )
            seconds = round(time.perf_counter() - started, 2)
            records.append(
                {
                    "regime": title,
                    "seed": seed,
                    "steps": args.steps,
                    **evaluate(dann, source, target, prepare=transfer),
                    "seconds": seconds,
                }
            )
            features[title] = tuple(
                to_host(dann.transform(transfer(points.x))) for points in (source, target)
            )
    return records, features


def chosen(args):
    """The regimes that the options ask for."""
    return REGIMES | ANNEALED if args.anneal else REGIMES


def table(records, regimes):
    """A line a regime; in parentheses what an untrained head says."""
    heads = ("source class", "target class", "source domain", "target domain")
    several = len(records) > len(regimes)
    width = 20 if several else 15
    lines = [
        f"{'':<24}"
        + "".join(f"{head:>{width}}" for head in heads)
        + (f"{'target class min':>18}" if several else "")
    ]
    for title, regime in regimes.items():
        runs = [record for record in records if record["regime"] == title]
        cells = []
        for head in heads:
            values = [record[head.replace(" ", "_")] for record in runs]
            untrained = regime.method == ("domain" if "class" in head else "label")
            cells.append(f"{f'({spread(values)})' if untrained else spread(values):>{width}}")
        worst = summarize([record["target_class"] for record in runs])["min"]
        lines.append(f"{title:<24}" + "".join(cells) + (f"{worst:>18.4f}" if several else ""))
    return "\n".join(lines)


@clear_errors
def main(argv=None):
    """Run the regimes, write ``results.json`` and ``blobs.png``, print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m minidann.blobs",
        description="Domain adaptation in the plane: four regimes of training on two pairs of blobs, their accuracies and their features.",
        epilog="The accuracies are those of the last step on the 300 + 300 points trained on; target labels are used for them alone. "
        "In parentheses: a head that this regime does not train. What the two domains share, x + y, tells the classes apart in .9615 of the cases.",
    )
    parser.add_argument(
        "--anneal",
        action="store_true",
        help="add two regimes with a cosine-annealed learning rate and averaged weights",
    )
    parser.add_argument(
        "--steps",
        type=positive,
        default=10_000,
        metavar="N",
        help="training steps of each regime (default: %(default)s)",
    )
    parser.add_argument(
        "--batch-size",
        type=positive,
        default=8,
        metavar="N",
        help="points of each domain in a batch (default: %(default)s)",
    )
    add_options(parser, out="runs/blobs")
    args = parser.parse_args(argv)
    transfer_to(args.device)  # a GPU that is not there is met here, before any training
    out = writable(args.out)
    records, shown = [], None
    try:
        for run_records, features in run_all(
            run, [(seed, args) for seed in range(args.seed, args.seed + args.seeds)], args.jobs
        ):
            records += run_records
            shown = features if run_records[0]["seed"] == args.seed else shown
            save_results(out / "results.json", "blobs", args, records)
    except KeyboardInterrupt:
        kept = f"kept in {out / 'results.json'}" if records else "nothing was written"
        print(
            f"\nStopped. Seeds that had finished: {len(records) // len(chosen(args))}; {kept}.",
            file=sys.stderr,
        )
        return 130
    print(table(records, chosen(args)))
    save_figure(plots.blobs(*make_blobs_pair(seed=args.seed), shown), out / "blobs.png")
    print(f"Written to {out}: results.json, blobs.png")
    return 0


if __name__ == "__main__":
    from minidann import blobs  # by its real name, under which worker processes find it

    sys.exit(blobs.main())
