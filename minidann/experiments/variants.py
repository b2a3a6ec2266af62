"""The recipe ``best`` with one choice changed at a time: the rows of the ablation.

A variant is trained with DANN. It is tested twice: as it is, and with the running statistics of
batch-norm, which are the average over both domains, replaced by those of unlabelled target training
images (AdaBN; Li et al., *Revisiting batch normalization for practical domain adaptation*, 2017).

"grey digits in MNIST-M" is ``best`` itself, on a target of its own.
"""

from collections.abc import Sequence
from functools import partial

from minidann.dann import DANN, Losses
from minidann.experiments.config import ImageSettings
from minidann.experiments.image_sets import load_pair
from minidann.experiments.images import accuracies, adapt_batch_norm, save_model, train_task
from minidann.experiments.recipes import RECIPES, Recipe
from minidann.experiments.runs import Outcome, Task
from minidann.nn import Sequential
from minidann.nn.optimizers import SGD, Adam
from minidann.nn.schedules import cosine, learning_rate, reversal_strength
from minidann.runtime.arrays import Array
from minidann.runtime.device import transfer_to
from minidann.runtime.state import State, check_state, part, with_prefix


class TwoPasses(DANN):
    """A DANN that keeps the label's gradients and the domain's reversed ones apart.

    For two optimizers: ``features.of_label`` has what reaches the features from the label head.
    """

    def compute_gradients(
        self, x_source: Array, y_source: Array, x_target: Array, lam: float
    ) -> Losses:
        """As :meth:`minidann.dann.DANN.compute_gradients`; the features keep those of L_d alone."""
        # a reversal of strength 0: only the label's gradients reach the features
        label = super().compute_gradients(x_source, y_source, x_target, lam=0.0).label
        self.features.of_label = gradients(self.features)  # type: ignore[attr-defined]
        return self.compute_domain_gradients(x_source, x_target, lam)._replace(label=label)


class TwoAdams:
    """dann_tf2.0's two: an Adam for features and label head, and one for features and domain head.

    The second takes the features' reversed gradient.
    """

    def __init__(self, networks: Sequence[Sequential]):
        self.features, label_head, domain_head = networks
        self.learning_rate = 0.001  # set before each step
        self.parts = {
            "label": Adam([self.features, label_head]),
            "domain": Adam([self.features, domain_head]),
        }

    def step(self) -> None:
        """One step of each, with gradients taken at the same point."""
        of_label = self.features.of_label  # type: ignore[attr-defined]
        of_domain = gradients(self.features)
        for name, of_part in (("label", of_label), ("domain", of_domain)):
            for leaf, grads in zip(self.features.leaves(), of_part):
                leaf.grads = grads
            self.parts[name].learning_rate = self.learning_rate
            self.parts[name].step()

    def state_dict(self) -> State:
        """The states of both, under ``"label."`` and ``"domain."``."""
        state: State = {}
        for name, optimizer in self.parts.items():
            state |= with_prefix(name, optimizer.state_dict())
        return state

    def load_state_dict(self, state: State) -> None:
        """The inverse of ``state_dict``."""
        check_state(state, self.state_dict())
        for name, optimizer in self.parts.items():
            optimizer.load_state_dict(part(state, name))


def gradients(network: Sequential) -> list[dict[str, Array]]:
    """The gradients of each layer, apart from what later steps assign."""
    return [dict(leaf.grads) for leaf in network.leaves()]


def two_passes(seed: int, domains: int) -> TwoPasses:
    """The network of ``best`` as :class:`TwoPasses`."""
    return TwoPasses(*BEST.build(seed, domains).networks)


BEST = RECIPES["best"]
VARIANTS: dict[str, Recipe] = {
    "best": BEST,
    "no random colours": BEST._replace(source_augment=None),
    "batch-norm over the mixed batch": BEST._replace(
        build=partial(BEST.build, normalization="mixed")
    ),
    "no batch-norm": BEST._replace(build=partial(BEST.build, normalization="none")),
    "no dropout": BEST._replace(build=partial(BEST.build, dropout=0.0)),
    "lambda 2 throughout": BEST._replace(lam=lambda p: 2.0),
    "lambda up to 1": BEST._replace(lam=reversal_strength),
    "two optimizers": BEST._replace(build=two_passes, optimizer=TwoAdams),
    "two optimizers, lambda 2 throughout": BEST._replace(
        build=two_passes, optimizer=TwoAdams, lam=lambda p: 2.0
    ),
    "momentum .9, the paper's learning rate from .03": BEST._replace(
        optimizer=partial(SGD, learning_rate=0.03, momentum=0.9),
        learning_rate=partial(learning_rate, base=0.03),
    ),
    "cosine from the first step": BEST._replace(learning_rate=partial(cosine, base=1e-3)),
    "constant learning rate": BEST._replace(learning_rate=lambda p: 1e-3),
    "constant learning rate, averaged weights": BEST._replace(
        learning_rate=lambda p: 1e-3, average=True
    ),
    "domain head of 25": BEST._replace(build=partial(BEST.build, domain_width=25)),
    "domain head of 100": BEST._replace(build=partial(BEST.build, domain_width=100)),
    "binarised digits": BEST._replace(binarize=True),
    "grey digits in MNIST-M": BEST,
    "one mean for both domains": BEST._replace(mean="joint"),
}
TARGETS = {"grey digits in MNIST-M": "mnistm-grey"}  # of the variants that are of other data


def train_and_test(task: Task, settings: ImageSettings, row: int | None = None) -> Outcome:
    """Train the variant of a task and test it, also with the target's own statistics."""
    recipe = settings.adjust(VARIANTS[task.variant or "best"])
    transfer = transfer_to(settings.device)
    source, target = load_pair(recipe, task.pair, settings)
    dann, outcome = train_task(recipe, source, target, task, settings, row)
    if outcome.stopped:
        return outcome
    save_model(dann, target, task, settings)
    record = outcome.record | accuracies(dann, source, target, transfer)
    adapt_batch_norm(dann, target, transfer)
    adapted = accuracies(dann, source, target, transfer)
    record["target_class_own_statistics"] = adapted["target_class"]
    return Outcome(record, outcome.history)
