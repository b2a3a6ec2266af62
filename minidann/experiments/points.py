"""Small networks on points in the plane: the regimes of Blobs.

Regimes of tf-dann: the domain head trained with the features *for* it (lam = -1), the label head
alone, and DANN with a shallow (15-2) and a deep (15-8-2) domain head.

    features       2-15, ReLU
    label head     15-2
    training       summed cross-entropies, Adam 0.001, 10,000 steps of 8 + 8 points,
                   lam = 2 / (1 + exp(-10p)) - 1

DANN seeks a saddle point, and at a constant learning rate it keeps circling around it: where it
stands at the last step is partly chance. Two annealed regimes are calmer, and like the others they
train without target labels. The learning rate falls to zero along a cosine and the weights of the
second half of the steps are averaged ("deep, annealed"); in addition, the domain head has 32 hidden
units, which see more of the difference between the domains, and batches are 32 + 32, whose
gradients are less noisy ("wide, annealed"). These settings were compared by target accuracy on
other draws (seeds 100 to 111) than those the README reports (seeds 0 to 19).
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from minidann.callbacks import AverageWeights, Callback, History, ProgressBar
from minidann.dann import DANN
from minidann.data import Batches, make_blobs_pair
from minidann.data.toy import Points
from minidann.experiments.config import Settings, one_of
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

RATE = 1e-3
STEPS = 10_000
BATCH_SIZE = 8


class Regime(NamedTuple):
    """What is trained, and how.

    ``objective`` is that of :func:`minidann.train.fit`; ``hidden`` the sizes of the domain head's
    hidden layers; ``anneal`` whether the learning rate falls to zero and the weights are averaged;
    a batch is ``batch_factor`` times as large as asked for.
    """

    objective: str
    hidden: tuple[int, ...] = ()
    anneal: bool = False
    batch_factor: int = 1


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


@dataclass(frozen=True)
class BlobsTask:
    """A regime on one draw of Blobs; the seed is that of the points, the weights and the batches.

    Raises
    ------
    InputError
        For an unknown regime.
    """

    regime: str
    seed: int

    def __post_init__(self) -> None:
        one_of("regime", self.regime, REGIMES | ANNEALED)

    @property
    def title(self) -> str:
        """``DANN deep, seed 0``"""
        return f"{self.regime}, seed {self.seed}"


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
    batch_size: int = BATCH_SIZE,
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
        A constant lambda instead of the paper's schedule; not for the domain classifier.
    batch_size : int
        Points of each domain, times the regime's factor.
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
    size = batch_size * regime.batch_factor
    average = [AverageWeights(WeightAverage(trained))] if regime.anneal else []
    constant = -1.0 if regime.objective == "domain" else lam
    fit(
        dann,
        Adam(trained),
        Batches(source.x, source.y, size=size, rng=rng),
        Batches(target.x, size=size, rng=rng),
        steps=steps,
        lam=reversal_strength if constant is None else lambda p: constant,
        learning_rate=partial(cosine, base=RATE) if regime.anneal else lambda p: RATE,
        objective=regime.objective,
        callbacks=[*average, *callbacks],
    )
    return dann


def train_and_test(task: BlobsTask, settings: Settings, row: int | None = None) -> Outcome:
    """Train a regime and test it on the very points: features are those of (source, target)."""
    source, target = make_blobs_pair(seed=task.seed)
    transfer = transfer_to(settings.device)
    steps = settings.steps or STEPS
    history, started = History(every=500), time.perf_counter()
    with progress_bar(steps, task.title, row) as bar:
        dann = train_regime(
            (REGIMES | ANNEALED)[task.regime],
            source,
            target,
            steps=steps,
            seed=task.seed,
            lam=settings.lam,
            batch_size=settings.batch_size or BATCH_SIZE,
            device=settings.device,
            callbacks=[history, ProgressBar(bar)],
        )
    seconds = round(time.perf_counter() - started, 2)
    if path := settings.model_file(task):
        dann.save(path)
    record = asdict(task) | {"steps": steps} | evaluate(dann, source, target, prepare=transfer)
    features = tuple(to_host(dann.transform(transfer(points.x))) for points in (source, target))
    return Outcome(
        record | {"seconds": seconds}, [asdict(task) | entry for entry in history], features
    )
