"""Small networks on points in the plane: the recipes of Blobs, and the regimes of each.

    features       2-15, ReLU
    label head     15-2
    domain head    reversal - hidden units, ReLU - 2
    training       summed cross-entropies, Adam, 10,000 steps

``tf-dann``, that project's: a domain classifier (the domain head trained with the features *for*
it, lam = -1), the label head alone, and DANN with a shallow (15-2) and a deep (15-8-2) domain head;
batches of 8 + 8 points, a learning rate of .001, lam = 2 / (1 + exp(-10p)) - 1. DANN seeks a saddle
point, and at a constant learning rate it keeps circling around it: where it stands at the last step
is partly chance, down to what rounding decides.

``annealed``, ours: a domain classifier, the label head alone, and one DANN, all trained alike, and
without target labels as well. It ends in the same place from any seed, because

    learning rate  falls from .0007 to zero along a cosine, and the weights of the second half of
                   the steps are averaged: the circles shrink, and their centre is what is left
    Adam           beta1 = .5: less momentum, smaller circles
    batches        32 + 32, whose gradients are less noisy
    domain head    32 hidden units, which see more of the difference between the domains
    lambda         twice tf-dann's, so that the label loss pulls the features less far away from
                   where the domains coincide

These settings were compared by target accuracy on draws that are not reported, seeds 100 to 199
instead of 0 to 99. Lambda between .7 and 3 times tf-dann's, 32 or 64 hidden units, 32 or 64 points
and learning rates of .0005 to .001 made a difference of less than .003 in the mean: all of them end
where the rule x + y > 1/2 does, within .002, and that is as good as the direction that both domains
share allows. At a learning rate of .002 one draw in ten ended below .93, and so did it with a
domain head that learns twice as fast as the rest.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minidann.callbacks import AverageWeights, Callback, History, ProgressBar
from minidann.dann import DANN
from minidann.data import Batches, make_blobs_pair
from minidann.data.toy import Points
from minidann.experiments.checkpoints import Checkpoint
from minidann.experiments.config import Settings, one_of
from minidann.experiments.records import spread
from minidann.experiments.runs import Outcome
from minidann.metrics import evaluate
from minidann.nn import Dense, ReLU, Sequential
from minidann.nn.initializers import truncated_normal
from minidann.nn.optimizers import Adam, WeightAverage
from minidann.nn.schedules import cosine, reversal_strength
from minidann.runtime.arrays import to_host
from minidann.runtime.device import transfer_to
from minidann.runtime.progress import progress_bar
from minidann.train import fit

STEPS = 10_000
TF_DANN_RECORD = Path(__file__).with_name("blobs-tf-dann.json")  # that of docs/results


class Regime(NamedTuple):
    """What is trained, and how.

    ``objective`` is that of :func:`minidann.train.fit`; ``hidden`` the sizes of the domain head's
    hidden layers; ``batch_size`` counts the points of each domain; ``anneal`` says whether the
    learning rate falls from ``rate`` to zero and the weights are averaged; ``momentum`` is Adam's
    beta1; the schedule of lambda ends at ``strength``.
    """

    objective: str
    hidden: tuple[int, ...] = ()
    batch_size: int = 8
    anneal: bool = False
    rate: float = 1e-3
    momentum: float = 0.9
    strength: float = 1.0


ANNEALED = Regime(
    "dann", hidden=(32,), batch_size=32, anneal=True, rate=7e-4, momentum=0.5, strength=2.0
)
RECIPES = {
    "annealed": {
        "domain classifier": ANNEALED._replace(objective="domain"),
        "label only": ANNEALED._replace(objective="label"),
        "DANN": ANNEALED,
    },
    "tf-dann": {
        "domain classifier": Regime("domain"),
        "label only": Regime("label"),
        "DANN shallow": Regime("dann"),
        "DANN deep": Regime("dann", hidden=(8,)),
    },
}


@dataclass(frozen=True)
class BlobsTask:
    """A regime on one draw of Blobs; the seed is that of the points, the weights and the batches.

    Raises
    ------
    InputError
        For an unknown recipe, or a regime that it does not have.
    """

    recipe: str
    regime: str
    seed: int

    def __post_init__(self) -> None:
        one_of("recipe", self.recipe, RECIPES)
        one_of(f"regime of {self.recipe}", self.regime, RECIPES[self.recipe])

    @property
    def title(self) -> str:
        """``DANN deep, seed 0``"""
        return f"{self.regime}, seed {self.seed}"

    @property
    def name(self) -> str:
        """``tf-dann-DANN deep-0``, for the names of its files."""
        return f"{self.recipe}-{self.regime}-{self.seed}"


def on_record() -> str:
    """What one draw cannot say: how tf-dann's DANN does over the draws of the packaged record."""
    runs = json.loads(TF_DANN_RECORD.read_text(encoding="utf-8"))["runs"]
    found = {
        regime: [run["target_class"] for run in runs if run["regime"] == regime]
        for regime in ("DANN shallow", "DANN deep")
    }
    figures = (
        f"{title} {spread(values)}, worst {min(values):.4f}" for title, values in found.items()
    )
    return (
        f"One draw is partly chance. Target class over {len(found['DANN deep'])} draws of "
        f"{runs[0]['steps']:,} steps:\n" + "\n".join(figures)
    )


def build(hidden: tuple[int, ...], seed: int) -> DANN:
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


def train_regime(
    regime: Regime,
    source: Points,
    target: Points,
    *,
    steps: int,
    seed: int,
    lam: float | None = None,
    batch_size: int | None = None,
    device: str = "cpu",
    callbacks: Sequence[Callback] = (),
) -> DANN:
    """Train one regime on the points of both domains.

    Parameters
    ----------
    regime : Regime
    source, target : Points
        The target's labels are not used.
    steps, seed : int
    lam : float, optional
        A constant lambda instead of the schedule; not for the domain classifier.
    batch_size : int, optional
        Points of each domain in a batch, instead of the regime's.
    device : str
        See :func:`minidann.runtime.device.transfer_to`.
    callbacks : sequence of Callback
        Such as a History and a ProgressBar.

    Returns
    -------
    DANN
    """
    transfer = transfer_to(device)
    dann = build(regime.hidden, seed).convert(transfer)
    source, target = (Points(*map(transfer, points)) for points in (source, target))
    trained = {
        "domain": (dann.features, dann.domain_head),
        "label": (dann.features, dann.label_head),
        "dann": dann.networks,
    }[regime.objective]
    rng = np.random.default_rng([seed, 1])
    size = batch_size or regime.batch_size
    average = [AverageWeights(WeightAverage(trained))] if regime.anneal else []
    constant = -1.0 if regime.objective == "domain" else lam
    fit(
        dann,
        Adam(trained, beta1=regime.momentum),
        Batches(source.x, source.y, size=size, rng=rng),
        Batches(target.x, size=size, rng=rng),
        steps=steps,
        lam=lambda p: regime.strength * reversal_strength(p) if constant is None else constant,
        learning_rate=partial(cosine, base=regime.rate) if regime.anneal else lambda p: regime.rate,
        objective=regime.objective,
        callbacks=[*average, *callbacks],
    )
    return dann


def train_and_test(task: BlobsTask, settings: Settings, row: int | None = None) -> Outcome:
    """Train a regime and test it on the very points: features are those of (source, target).

    The outcome has neither accuracies nor features if Ctrl-C ended the training.
    """
    source, target = make_blobs_pair(seed=task.seed)
    transfer = transfer_to(settings.device)
    steps = settings.steps or STEPS
    asked = asdict(task) | {"steps": steps}
    history = History(every=500)
    checkpoint = Checkpoint(
        settings.checkpoint_file(task.name),
        asked | {"lam": settings.lam, "batch_size": settings.batch_size},
        resume=settings.resume,
    )
    dann = None
    with progress_bar(steps, task.title, row) as bar, suppress(KeyboardInterrupt):
        dann = train_regime(
            RECIPES[task.recipe][task.regime],
            source,
            target,
            steps=steps,
            seed=task.seed,
            lam=settings.lam,
            batch_size=settings.batch_size,
            device=settings.device,
            callbacks=[history, checkpoint, ProgressBar(bar)],
        )
    rows = [asdict(task) | entry for entry in history]
    if dann is None:
        return Outcome(asked | {"stopped_at": history[-1]["step"] if history else 0}, rows)
    seconds = round(checkpoint.seconds(), 2)
    if path := settings.model_file(task):
        dann.save(path)
    record = asked | evaluate(dann, source, target, prepare=transfer)
    features = tuple(to_host(dann.transform(transfer(points.x))) for points in (source, target))
    return Outcome(record | {"seconds": seconds}, rows, features)
