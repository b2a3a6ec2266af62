"""What an experiment was asked for: frozen dataclasses that many modules read and none changes."""

import argparse
import math
import os
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from minidann.data import random_negatives
from minidann.experiments.recipes import RECIPES, Recipe
from minidann.runtime.device import DEVICES
from minidann.runtime.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How the networks of an experiment are trained, and where its files go.

    Attributes
    ----------
    out : Path
        Folder of results, figures, models and checkpoints.
    device : str
        "cpu", "gpu" or "auto"; see :func:`minidann.runtime.device.transfer_to`.
    steps, batch_size : int, optional
        Training steps, and examples of each domain in a batch; None leaves both to the recipe.
    lam : float, optional
        A constant lambda; None leaves it to the recipe.
    models : mapping of task to str
        The names, in ``out``, of the files that trained networks are saved to. A network whose task
        is not among them is not saved.
    resume, overwrite : bool
        Whether to go on with what is in ``out``, or to replace it. Without either, a folder that
        holds results is refused.
    checkpoint_every : float
        Seconds of training between two checkpoints.

    Raises
    ------
    InputError
        For a number that is not positive or not finite, and for an unknown device.
    """

    out: Path
    device: str = "cpu"
    steps: int | None = None
    batch_size: int | None = None
    lam: float | None = None
    models: Mapping[Any, str] = field(default_factory=dict)
    resume: bool = False
    overwrite: bool = False
    checkpoint_every: float = 120.0

    def __post_init__(self) -> None:
        one_of("device", self.device, DEVICES)
        at_least_one(steps=self.steps, batch_size=self.batch_size)
        if self.lam is not None and not math.isfinite(self.lam):
            raise InputError(f"lam is {self.lam}; it must be a finite number")

    @classmethod
    def from_options(cls, options: argparse.Namespace, **others: Any) -> Self:
        """Take what has a field here from parsed options, and the rest from ``others``."""
        named = {entry.name for entry in fields(cls)} & vars(options).keys()
        return cls(**{name: getattr(options, name) for name in named} | others)

    def absolute(self) -> Self:
        """The same with absolute paths, for processes that work in other folders."""
        return replace(self, out=self.out.absolute())

    def model_file(self, task: Hashable) -> Path | None:
        """Where the network of a task is saved; None if it is not."""
        name = self.models.get(task)
        return self.out / name if name else None

    def resumed(self, task: Any) -> tuple[Path, dict[str, Any]] | None:
        """The checkpoint that a task goes on from, and the run that it must be of, or None."""
        return None

    def checkpoint_file(self, name: str) -> Path:
        """Where the training of the task of that name is saved."""
        return self.out / "checkpoints" / f"{name}.npz"


@dataclass(frozen=True, kw_only=True)
class ImageSettings(Settings):
    """Settings of experiments that train by a recipe on two sets of images.

    Attributes
    ----------
    recipe : str
        A key of ``minidann.experiments.recipes.RECIPES``.
    limit : int, optional
        Only the first training and test images of each set are used.
    data_dir : str, optional
        Folder that is searched first for data sets.
    negatives : bool
        Whether training turns half of the source's images into negatives.
    balance : bool
        Whether training shows all classes of the source equally often.
    tested : tuple of str
        The sets that a network trained on the source alone is tested on.

    Raises
    ------
    InputError
        Also for an unknown recipe.
    """

    recipe: str
    limit: int | None = None
    data_dir: str | None = None
    negatives: bool = False
    balance: bool = False
    tested: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("recipe", self.recipe, RECIPES)
        at_least_one(limit=self.limit)

    def absolute(self) -> Self:
        """The same with absolute paths, $MINIDANN_DATA among them."""
        folder = os.path.expanduser(self.data_dir or os.environ.get("MINIDANN_DATA", ""))
        return replace(
            super().absolute(), data_dir=str(Path(folder).absolute()) if folder else None
        )

    def identity(self, task: Any) -> dict[str, Any]:
        """What tells the training of a task from any other: a checkpoint of another is refused."""
        name = task.variant if task.variant in RECIPES else self.recipe  # or a row of the ablation
        recipe = self.adjust(RECIPES[name])
        return task.record() | {
            "steps": recipe.steps,
            "recipe": name,
            "limit": self.limit,
            "lam": self.lam,
            "negatives": self.negatives,
            "balance": self.balance,
            "batch_size": recipe.batch_size,
        }

    def resumed(self, task: Any) -> tuple[Path, dict[str, Any]] | None:
        path = self.checkpoint_file(task.name)
        return (path, self.identity(task)) if self.resume and path.exists() else None

    def adjust(self, recipe: Recipe) -> Recipe:
        """The recipe with what is asked for in place of its own."""
        lam = self.lam
        return recipe._replace(
            steps=self.steps or recipe.steps,
            batch_size=self.batch_size or recipe.batch_size,
            lam=recipe.lam if lam is None else lambda p: lam,
            source_augment=random_negatives if self.negatives else recipe.source_augment,
            balanced=self.balance or recipe.balanced,
        )


@dataclass(frozen=True, kw_only=True)
class Execution:
    """Where the tasks of an experiment are executed; see :mod:`minidann.experiments.runners`.

    Attributes
    ----------
    jobs : int
        Processes on this machine. With 1, tasks are executed in this process.
    cluster : str, optional
        Address of a Dask scheduler, such as ``tcp://scheduler:8786``.

    Raises
    ------
    InputError
        If there is no job, or there are several and a cluster.
    """

    jobs: int = 1
    cluster: str | None = None

    def __post_init__(self) -> None:
        at_least_one(jobs=self.jobs)
        if self.cluster and self.jobs > 1:
            raise InputError(
                f"--jobs {self.jobs} is for this machine, --cluster {self.cluster} for others; "
                "give one of the two"
            )


def one_of(name: str, value: str, known: Any) -> None:
    """Refuse a value that is not known.

    Raises
    ------
    InputError
        Lists the known ones.
    """
    if value not in known:
        raise InputError(f"the {name} is {value!r}; choose one of {', '.join(known)}")


def at_least_one(**counts: int | None) -> None:
    """Refuse a count below 1; None is no count.

    Raises
    ------
    InputError
        Names the count.
    """
    for name, count in counts.items():
        if count is not None and count < 1:
            raise InputError(f"{name} is {count}; it must be at least 1")
