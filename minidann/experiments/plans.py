"""Which tasks an experiment on pairs consists of, and which of their networks are kept."""

from collections.abc import Iterable, Sequence

from minidann.experiments.runs import Task
from minidann.runtime.errors import InputError

Pair = tuple[str, str]


def pair_up(sources: Sequence[str], targets: Sequence[str]) -> list[Pair]:
    """Every source with every other target.

    Raises
    ------
    InputError
        If there is no such pair.
    """
    pairs = [(source, target) for source in sources for target in targets if source != target]
    if not pairs:
        raise InputError(
            f"{', '.join(dict.fromkeys((*sources, *targets)))} makes no pair of source and target; "
            "choose a target that is another set than the source"
        )
    return list(dict.fromkeys(pairs))


def plan(pairs: Sequence[Pair], methods: Iterable[str], seeds: Sequence[int]) -> tuple[Task, ...]:
    """The tasks of some methods on some pairs.

    A network that is trained on a source alone serves all targets, and one that is trained on a
    target alone is the ceiling of all sources: each is trained once.
    """
    trained = {"source": _first_of_each(pairs, 0), "target": _first_of_each(pairs, 1)}
    return tuple(
        Task(*pair, method, seed)
        for method in methods
        for pair in trained.get(method, pairs)
        for seed in seeds
    )


def _first_of_each(pairs: Iterable[Pair], i: int) -> list[Pair]:
    """The first pair of each source (i = 0) or target (i = 1)."""
    found: dict[str, Pair] = {}
    for pair in pairs:
        found.setdefault(pair[i], pair)
    return list(found.values())


def name_models(tasks: Sequence[Task]) -> dict[Task, str]:
    """The files that networks are saved to: those of the first seed, and of DANN if it is trained.

    ``model.npz``, or ``SOURCE-TARGET-model.npz`` where there are several pairs.
    """
    methods = {task.method for task in tasks}
    method = "dann" if "dann" in methods else tasks[0].method
    seed = min(task.seed for task in tasks)
    kept = [task for task in tasks if (task.method, task.seed) == (method, seed)]
    if len(kept) == 1:
        return {kept[0]: "model.npz"}
    return {task: f"{'-'.join(task.pair)}-model.npz" for task in kept}
