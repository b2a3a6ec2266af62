"""One network, trained by a recipe on a pair of image domains, and tested.

    train_and_test(task, settings)    load the pair, train, test        -> Outcome
    train_recipe(recipe, ...)         the network of a recipe           -> DANN and its History

The images are of digits or signs, in the form that :func:`minidann.data.as_pair` gives them.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from minidann.callbacks import AverageWeights, Callback, History, ProgressBar
from minidann.dann import DANN
from minidann.data import Batches
from minidann.data.pairs import Domain, balanced
from minidann.data.preprocessing import ImagePreparation, preparation
from minidann.experiments.checkpoints import Checkpoint
from minidann.experiments.config import ImageSettings
from minidann.experiments.image_sets import class_names, load_pair
from minidann.experiments.recipes import RECIPES, Augmentation, Recipe
from minidann.experiments.runs import Outcome, Task
from minidann.metrics import evaluate, predictions
from minidann.nn.optimizers import WeightAverage
from minidann.runtime.arrays import Array, to_host
from minidann.runtime.device import resident, transfer_to
from minidann.runtime.progress import progress_bar
from minidann.train import fit

MONITORED = 500  # test images of each domain, for the curves
CALIBRATION = 2000  # training images of the target whose statistics batch-norm adopts, if it does
EMBEDDED = 500  # test images of each domain, for the t-SNE

Transfer = Callable[[Array], Array]


def train_and_test(task: Task, settings: ImageSettings, row: int | None = None) -> Outcome:
    """Train one network and test it.

    The record has the accuracies of the last step on all test images, and for each target tested a
    confusion matrix (a row a class, a column an answer). A network that was trained on the source
    alone serves all targets, ``settings.tested``. The features are those of some test images of
    source and target, by the target's name. A task's variant is the recipe that it follows in place
    of that of the settings.

    Returns
    -------
    Outcome
        Without features if Ctrl-C ended the training.
    """
    settings = replace(settings, recipe=task.variant or settings.recipe)
    recipe = settings.adjust(RECIPES[settings.recipe])
    transfer = transfer_to(settings.device)
    source, target = load_pair(recipe, task.pair, settings, oracle_labels=task.method == "target")
    dann, outcome = train_task(recipe, source, target, task, settings, row)
    if outcome.stopped:
        return outcome
    tested = settings.tested if task.method == "source" else (task.target,)
    others = {name: load_pair(recipe, (task.source, name), settings)[1] for name in tested}
    if recipe.own_statistics and task.method == "dann":
        adapt_batch_norm(dann, target, transfer)
    save_model(dann, target, task, settings)
    record = outcome.record | accuracies(dann, source, target, transfer)
    record["confusion"] = {
        name: confusion_matrix(dann, other, len(class_names(name)), transfer).tolist()
        for name, other in others.items()
    }
    features = {
        name: np.concatenate([embed(dann, domain, transfer) for domain in (source, other)])
        for name, other in others.items()
    }
    return Outcome(record, outcome.history, features)


def train_task(
    recipe: Recipe,
    source: Domain,
    target: Domain,
    task: Task,
    settings: ImageSettings,
    row: int | None,
) -> tuple[DANN, Outcome]:
    """Train the network of a task, with a checkpoint and a progress bar.

    Returns
    -------
    (DANN, Outcome)
        The record has the recipe, the number of training and test images and the seconds, or
        ``stopped_at`` if Ctrl-C ended the training.
    """
    record = task.record() | {"steps": recipe.steps}
    checkpoint = Checkpoint(
        settings.checkpoint_file(task.name), settings.identity(task), resume=settings.resume
    )
    with progress_bar(recipe.steps, task.title, row) as bar:
        dann, history = train_recipe(
            recipe,
            source,
            target,
            task.method,
            task.seed,
            device=settings.device,
            callbacks=[checkpoint, ProgressBar(bar)],
        )
    domains = {task.source: source, task.target: target}
    record["recipe"] = settings.recipe
    record["images"] = {
        name: [len(domain.x_train), len(domain.x_test)] for name, domain in domains.items()
    }
    reached = history[-1]["step"] if history else 0
    if reached < recipe.steps:
        record["stopped_at"] = reached
    else:
        record["seconds"] = round(checkpoint.seconds(), 1)
    return dann, Outcome(record, [task.record() | entry for entry in history])


def train_recipe(
    recipe: Recipe,
    source: Domain,
    target: Domain,
    method: str,
    seed: int,
    *,
    device: str = "cpu",
    callbacks: Sequence[Callback] = (),
) -> tuple[DANN, History]:
    """Train the network of a recipe.

    Parameters
    ----------
    recipe : Recipe
    source, target : Domain
        The target's training labels are used by the method ``"target"`` alone; None for the others.
    method : str
        What is trained on: ``"source"`` or ``"target"``, the labels of that domain alone;
        ``"dann"``, source labels and unlabelled target images.
    seed : int
        Of the weights, the batches and the dropout.
    device : str
        See :func:`minidann.runtime.device.transfer_to`.
    callbacks : sequence of Callback
        For after each step, beside the History: a Checkpoint, a ProgressBar.

    Returns
    -------
    (DANN, History)
        Ctrl-C ends the training early: then the last row of the history is of an earlier step than
        ``recipe.steps``.
    """
    transfer = transfer_to(device)
    adversarial = method == "dann"
    dann = recipe.build(seed, 2 if adversarial else 1).convert(transfer)
    networks = dann.networks if adversarial else dann.networks[:2]
    source = balanced(source) if recipe.balanced else source
    labelled = target if method == "target" else source
    x_labelled, y_labelled, x_target = resident(
        transfer, labelled.x_train, labelled.y_train, target.x_train
    )
    rng = np.random.default_rng([seed, 1])

    def batches(
        domain: Domain, *arrays: Array, weak_augment: Augmentation | None = None
    ) -> Batches:
        changes = recipe.of_source() if domain is source else recipe.augment
        prepare = augmenting(changes, domain, transfer, rng, weak_augment)
        return Batches(*arrays, size=recipe.batch_size, rng=rng, transfer=transfer, prepare=prepare)

    some_source, some_target = (
        domain._replace(x_test=domain.x_test[:MONITORED], y_test=domain.y_test[:MONITORED])
        for domain in (source, target)
    )
    history = History(
        every=max(10, min(200, recipe.steps // 20)),
        monitor=lambda: accuracies(dann, some_source, some_target, transfer),
    )
    average = [AverageWeights(WeightAverage(networks))] if recipe.average else []
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
            callbacks=[*average, history, *callbacks],
        )
    return dann, history


def augmenting(
    augment: Augmentation | None,
    domain: Domain,
    transfer: Transfer,
    rng: np.random.Generator,
    weak_augment: Augmentation | None = None,
) -> Callable[[np.ndarray], Any]:
    """The function that makes a batch's network input: images of a domain, changed at random.

    With ``weak_augment`` it makes a pair: the images changed by that, and by ``augment``.
    """
    prepare = preparation(domain, transfer)

    def images(x: np.ndarray) -> Any:
        strong = prepare(augment(x, rng) if augment else x)
        return (prepare(weak_augment(x, rng)), strong) if weak_augment else strong

    return images


def adapt_batch_norm(dann: DANN, domain: Domain, transfer: Transfer) -> None:
    """Give batch-norm the statistics of training images of a Domain."""
    dann.adapt_batch_norm(preparation(domain, transfer)(domain.x_train[:CALIBRATION]))


def save_model(dann: DANN, target: Domain, task: Task, settings: ImageSettings) -> None:
    """Save the network with what it takes to read an image of the target, if it is to be kept."""
    if path := settings.model_file(task):
        prepared = ImagePreparation.of(target, RECIPES[settings.recipe].fit)
        dann.save(path, preparation=prepared.to_dict(), class_names=class_names(task.target))


def accuracies(dann: DANN, source: Domain, target: Domain, transfer: Transfer) -> dict[str, float]:
    """The four accuracies on the test images of two Domains."""
    return evaluate(
        dann,
        (source.x_test, source.y_test),
        (target.x_test, target.y_test),
        preparation(source, transfer),
        preparation(target, transfer),
    )


def confusion_matrix(dann: DANN, domain: Domain, classes: int, transfer: Transfer) -> np.ndarray:
    """How many test images of each class were given each answer: int (classes, answers)."""
    answers, _ = predictions(dann, domain.x_test, preparation(domain, transfer))
    counts = np.bincount(classes * domain.y_test + answers, minlength=classes**2)
    return counts.reshape(classes, classes)


def embed(dann: DANN, domain: Domain, transfer: Transfer) -> np.ndarray:
    """The features of the first test images, in main memory: (EMBEDDED, F)."""
    return to_host(dann.transform(preparation(domain, transfer)(domain.x_test[:EMBEDDED])))
