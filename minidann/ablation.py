"""What each choice of the recipe ``best`` is worth: MNIST to MNIST-M with one of them changed at a time, over fewer steps.

    python -m minidann.ablation --seeds 3 --jobs 2                      all of the rows
    python -m minidann.ablation --variants best "lambda 1 throughout"   some of them

Each row is a variant, trained with DANN; its accuracies are those of the last step on all test
images. The last column is the target's accuracy once more, with the running statistics of
batch-norm, which are the average over both domains, replaced by those of unlabelled target training
images (AdaBN; Li et al., Revisiting Batch Normalization for Practical Domain Adaptation, 2017).
"""

import argparse
import sys
from functools import partial

from minidann.adaptation import (
    Outcome,
    Task,
    accuracies,
    adapt_batch_norm,
    adapt_options,
    as_asked,
    begin,
    conduct,
    domains,
    train,
)
from minidann.dann import DANN
from minidann.experiment import save_figure, spread
from minidann.experiments import plots
from minidann.experiments.recipes import RECIPES, best
from minidann.nn.optimizers import SGD, Adam
from minidann.nn.schedules import learning_rate, reversal_strength
from minidann.runtime.command import clear_errors
from minidann.runtime.device import transfer_to
from minidann.runtime.state import check_state, part, with_prefix
from minidann.runtime.threads import threads

PAIR = "mnist", "mnistm"
STEPS = 2000


class TwoPasses(DANN):
    """A DANN whose step keeps the label's gradients and the reversed ones of the domain apart, for two optimizers."""

    def compute_gradients(self, x_source, y_source, x_target, lam):
        label = (
            super().compute_gradients(x_source, y_source, x_target, lam=0.0).label
        )  # a reversal of strength 0: what reaches the features is the label's
        self.features.of_label = gradients(self.features)
        return self.compute_domain_gradients(x_source, x_target, lam)._replace(label=label)


class TwoAdams:
    """dann_tf2.0's: one Adam for features and label head, another for the features' reversed gradient and the domain head."""

    def __init__(self, networks):
        self.features, label_head, domain_head = networks
        self.parts = {
            "label": Adam([self.features, label_head]),
            "domain": Adam([self.features, domain_head]),
        }

    def step(self):
        """One step of each, from the same gradients' point."""
        of_domain = gradients(self.features)
        for name, of_part in (("label", self.features.of_label), ("domain", of_domain)):
            for leaf, grads in zip(self.features.leaves(), of_part):
                leaf.grads = grads
            self.parts[name].learning_rate = self.learning_rate
            self.parts[name].step()

    def state_dict(self):
        """The states of both, under ``"label."`` and ``"domain."``."""
        state = {}
        for name, optimizer in self.parts.items():
            state |= with_prefix(name, optimizer.state_dict())
        return state

    def load_state_dict(self, state):
        """The inverse of ``state_dict``."""
        check_state(state, self.state_dict())
        for name, optimizer in self.parts.items():
            optimizer.load_state_dict(part(state, name))


def gradients(network):
    """The gradients of each layer, apart from what later steps assign."""
    return [dict(leaf.grads) for leaf in network.leaves()]


def two_passes(seed, domains):
    """The network of ``best`` as :class:`TwoPasses`."""
    return TwoPasses(*best(seed, domains).networks)


BEST = RECIPES["best"]
VARIANTS = {
    "best": BEST,
    "batch-norm over the mixed batch": BEST._replace(build=partial(best, normalization="mixed")),
    "no batch-norm": BEST._replace(build=partial(best, normalization="none")),
    "no dropout": BEST._replace(build=partial(best, dropout=0.0)),
    "lambda 1 throughout": BEST._replace(lam=lambda p: 1.0),
    "lambda up to 2": BEST._replace(lam=lambda p: 2 * reversal_strength(p)),
    "two optimizers": BEST._replace(build=two_passes, optimizer=TwoAdams),
    "two optimizers, lambda 1 throughout": BEST._replace(
        build=two_passes, optimizer=TwoAdams, lam=lambda p: 1.0
    ),
    "momentum .9, the paper's learning rate from .03": BEST._replace(
        optimizer=partial(SGD, learning_rate=0.03, momentum=0.9),
        learning_rate=partial(learning_rate, base=0.03),
    ),
    "constant learning rate": BEST._replace(learning_rate=lambda p: 1e-3),
    "constant learning rate, averaged weights": BEST._replace(
        learning_rate=lambda p: 1e-3, average=True
    ),
    "domain head of 25": BEST._replace(build=partial(best, domain_width=25)),
    "domain head of 400": BEST._replace(build=partial(best, domain_width=400)),
    "binarised digits": BEST._replace(binarize=True),
    "one mean for both domains": BEST._replace(mean="joint"),
}


def run(task, args, row):
    """Train one variant and test it: an Outcome. What else is chosen by a Task's method is here the name of the variant."""
    recipe, transfer = as_asked(VARIANTS[task.method], args), transfer_to(args.device)
    source, target = domains(recipe, PAIR, limit=args.limit, data_dir=args.data_dir, labelled=False)
    dann, history, record = train(recipe, source, target, task, args, row)
    if "stopped_at" in record:
        return Outcome(record, history)
    with threads():
        record |= accuracies(dann, source, target, transfer)
        adapt_batch_norm(dann, target, transfer)
        record["target_class_own_statistics"] = accuracies(dann, source, target, transfer)[
            "target_class"
        ]
    return Outcome(record, history, {})


def table(records):
    """A line a variant."""
    lines = [
        f"{'':<50} {'source accuracy':>18} {'target accuracy':>18} {'domain accuracy':>18} {'own statistics':>18}"
    ]
    for variant in dict.fromkeys(record["method"] for record in records):
        runs = [record for record in records if record["method"] == variant]
        domain = [(r["source_domain"] + r["target_domain"]) / 2 for r in runs]
        figures = [
            [r[key] for r in runs]
            for key in ("source_class", "target_class", "target_class_own_statistics")
        ]
        lines.append(
            f"{variant:<50} "
            + " ".join(f"{spread(values):>18}" for values in (*figures[:2], domain, figures[2]))
        )
    return "\n".join(lines)


def parse(argv):
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m minidann.ablation",
        description="MNIST to MNIST-M by the recipe best with one choice changed at a time, over fewer steps: what each choice is worth.",
        epilog="A run of 2,000 steps takes some three minutes. Target labels serve to report what each variant reaches; no variant is trained on them.",
    )
    chosen = "which of the rows (default: all): " + "; ".join(VARIANTS)
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=tuple(VARIANTS),
        default=list(VARIANTS),
        metavar="NAME",
        help=chosen,
    )
    parser.add_argument("--data-dir", metavar="DIR", help="folder that holds mnist/ and bsds500/")
    adapt_options(parser, out="runs/ablation", steps=STEPS)
    args = parser.parse_args(argv)
    args.recipe = "best"
    return args


@clear_errors
def main(argv=None):
    """Run the variants, write ``results.json``, ``history.csv`` and ``ablation.png``, print the table."""
    args = parse(argv)
    begin(args, PAIR)
    tasks = [
        Task(*PAIR, variant, seed)
        for variant in args.variants
        for seed in range(args.seed, args.seed + args.seeds)
    ]
    outcomes = conduct("ablation", tasks, args, run)
    records = [outcome.record for outcome in outcomes.values()]
    print(table(records))
    save_figure(
        plots.dots(
            {
                variant: [r["target_class"] for r in records if r["method"] == variant]
                for variant in args.variants
            }
        ),
        args.out / "ablation.png",
    )
    print(f"Written to {args.out}: results.json, history.csv, ablation.png")
    return 0


if __name__ == "__main__":
    from minidann import ablation  # by its real name, under which worker processes find it

    sys.exit(ablation.main())
