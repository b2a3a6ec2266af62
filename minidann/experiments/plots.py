"""The figures. Each function returns a matplotlib Figure; ``figure.savefig(path)`` writes it.

Colours are those of Okabe & Ito (2008), which the colour-blind tell apart; domain and class differ
in shape as well.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from minidann.data.mnist import Digits
from minidann.data.toy import Points
from minidann.experiments.runs import METHODS

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
DOMAINS = {"source": (BLUE, "o"), "target": (ORANGE, "^")}
TEN = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#B2A600",
    "#7F3C8D",
    "#999999",
)


MOST_CLASSES = len(TEN)  # that a legend or a confusion matrix can show


def image_grid(
    domains: Mapping[str, Digits],
    columns: int = 8,
    augment: Mapping[str, Callable | None] = MappingProxyType({}),
) -> Figure:
    """Two rows of training images for each domain.

    For a domain with a function (images, rng) -> images in ``augment``, the second row has the
    images of the first as training might see them.
    """
    figure = Figure(figsize=(columns, 2 * len(domains) + 0.6), layout="constrained")
    panels = figure.subfigures(len(domains), 1, squeeze=False)[:, 0]
    for panel, (name, digits) in zip(panels, domains.items()):
        change = augment.get(name)
        panel.suptitle(
            f"{name}: {len(digits.x_train):,} training images"
            + (", below as training might see them" if change else ""),
            fontsize=11,
        )
        x, y = digits.x_train[: 2 * columns], digits.y_train[: 2 * columns]
        x = x.reshape(*x.shape[:3], -1)  # (16, H, W, 1 or 3)
        if change:
            changed = change(x[:columns], np.random.default_rng(0)).astype(np.uint8)
            x, y = np.concatenate([x[:columns], changed]), np.tile(y[:columns], 2)
        for axis, image, label in zip(panel.subplots(2, columns).flat, x, y):
            axis.imshow(image, cmap="gray", vmin=0, vmax=255)
            axis.set_title(str(label), fontsize=9, pad=2)
            axis.axis("off")
    return figure


def curves(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Losses, accuracies and schedules over the steps, a column for each method.

    ``history``: rows of a :class:`minidann.callbacks.History` with ``method``, ``seed`` and, if
    there is one, ``variant``.
    """

    def title(row: Mapping[str, Any]) -> str:
        return row.get("variant") or METHODS.get(row["method"], row["method"])

    methods = list(dict.fromkeys(map(title, history)))
    figure = Figure(figsize=(1 + 3.6 * len(methods), 6.5), layout="constrained")
    panels = figure.subplots(3, len(methods), sharex=True, sharey="row", squeeze=False)
    for column, method in zip(panels.T, methods):
        seeds = list(dict.fromkeys(row["seed"] for row in history if title(row) == method))
        for seed in seeds:
            rows = [row for row in history if (title(row), row["seed"]) == (method, seed)]
            adversarial = rows[0]["method"] == "dann"
            _curves_of_run(column, rows, adversarial, labelled=seed == seeds[0])
        column[0].set_title(method)
        column[2].set_xlabel("step")
        column[2].locator_params(axis="x", nbins=5)  # five digits wide each
        for axis in column:
            axis.grid(alpha=0.3)
            axis.legend(fontsize=8)
    panels[0, 0].set_ylim(0, min(2.5, panels[0, 0].get_ylim()[1]))
    panels[1, 0].set_ylim(0, 1.02)
    for axis, label in zip(
        panels[:, 0], ("mean loss since last point", "accuracy on test images", "schedule")
    ):
        axis.set_ylabel(label)
    return figure


def _curves_of_run(
    axes: Sequence[Axes],
    rows: Sequence[Mapping[str, Any]],
    adversarial: bool,
    labelled: bool,
) -> None:
    """The curves of one run in the panels of losses, accuracies and schedules."""
    losses, accuracies, schedules = axes
    steps = [row["step"] for row in rows]

    def column(key: str) -> np.ndarray:
        return np.array([row[key] for row in rows])

    def draw(
        axis: Axes, values: np.ndarray, colour: str, style: str, label: str, width: float = 1.3
    ) -> None:
        shown = label if labelled else None
        axis.plot(steps, values, style, color=colour, lw=width, label=shown)

    draw(losses, column("label_loss"), GREEN, "-", "label loss L_y")
    draw(accuracies, column("source_class"), BLUE, "-", "source, class")
    draw(accuracies, column("target_class"), ORANGE, "--", "target, class")
    if adversarial:
        domain = (column("source_domain") + column("target_domain")) / 2
        draw(losses, column("domain_loss"), GREY, "--", "domain loss L_d")
        draw(accuracies, domain, GREY, ":", "domain", width=1.5)
        draw(schedules, column("lam"), GREEN, "-", "lambda")
    rate = column("learning_rate") / rows[0]["learning_rate"]
    draw(schedules, rate, GREY, "-.", "learning rate / first", width=1.5)


def embedding(
    features: Mapping[str, np.ndarray], y_source: np.ndarray, y_target: np.ndarray
) -> Figure:
    """t-SNE of source and target features, a row for each method, coloured by domain and by class.

    ``features``: of each method (N_source + N_target, F), source first. With more than ten classes
    the colours begin anew, and there is no legend of them.
    """
    classes = 1 + max(y_source.max(), y_target.max())
    what = "digits (o source, ^ target)"
    if classes > MOST_CLASSES:
        what = f"{classes} classes, ten colours"
    figure = Figure(figsize=(9, 0.3 + 4.6 * len(features)), layout="constrained")
    panels = figure.subplots(len(features), 2, squeeze=False)
    n = len(y_source)
    parts = {"source": (slice(0, n), y_source), "target": (slice(n, None), y_target)}
    for (by_domain, by_digit), (method, f) in zip(panels, features.items()):
        perplexity = min(30, (len(f) - 1) / 3)
        points = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(f)
        for name, (rows, labels) in parts.items():
            colour, marker = DOMAINS[name]
            by_domain.scatter(
                *points[rows].T, s=9, color=colour, marker=marker, alpha=0.7, lw=0, label=name
            )
            for digit, colour in enumerate(TEN):
                of_digit = points[rows][labels % MOST_CLASSES == digit]
                by_digit.scatter(
                    *of_digit.T,
                    s=9,
                    color=colour,
                    marker=marker,
                    alpha=0.7,
                    lw=0,
                    label=str(digit) if name == "source" else None,
                )
        by_domain.set_title(f"{METHODS.get(method, method)}: domains")
        by_digit.set_title(f"{METHODS.get(method, method)}: {what}")
        for axis, size in ((by_domain, 10), (by_digit, 8)):
            if axis is by_digit and classes > MOST_CLASSES:
                continue
            axis.legend(
                markerscale=2,
                ncols=10,
                fontsize=size,
                loc="upper center",
                bbox_to_anchor=(0.5, 0),
                columnspacing=0.6,
                handletextpad=0.1,
            )
    for axis in panels.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    return figure


def confusion(matrices: Mapping[str, Sequence[Sequence[int]]]) -> Figure:
    """The share of each digit's images that were given each answer, a panel for each method.

    ``matrices``: of each method (10, 10) counts, a row a digit and a column an answer.
    """
    figure = Figure(figsize=(4.6 * len(matrices), 5.1), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(matrices)))
    for axis, (method, counts) in zip(panels, matrices.items()):
        shares = np.array(counts) / np.maximum(np.sum(counts, axis=1, keepdims=True), 1)
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for digit, answer in np.argwhere(shares >= 0.005):  # what rounds to 0 % is left out
            share = shares[digit, answer]
            axis.text(
                answer,
                digit,
                f"{100 * share:.0f}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if share > 0.5 else "black",
            )
        right = np.trace(np.array(counts)) / np.sum(counts)
        axis.set(
            title=f"{METHODS.get(method, method)}: {right:.2%} right",
            xlabel="answer",
            xticks=range(10),
            yticks=range(10),
        )
    panels[0].set_ylabel("digit; % of its images")
    return figure


def confused_pairs(
    matrices: Mapping[str, Sequence[Sequence[int]]], names: Sequence[str], most: int = 10
) -> Figure:
    """The most frequent mistakes, a panel for each method: what was taken for what, and how often.

    For more classes than :func:`confusion` has room for. ``matrices``: of each method (K, K)
    counts, a row a class and a column an answer; ``names``: of the K classes. A bar is the share of
    a class's images that were given that wrong answer.
    """
    figure = Figure(figsize=(11, 0.5 + 3.1 * len(matrices)), layout="constrained")
    panels = figure.subplots(len(matrices), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (method, matrix) in zip(panels, matrices.items()):
        counts = np.array(matrix)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        wrong = np.where(np.eye(len(names), dtype=bool), 0, shares)
        worst = np.argsort(-wrong, axis=None, kind="stable")[:most]
        pairs = [divmod(int(place), len(names)) for place in worst if wrong.flat[place] > 0]
        titles = [f"{names[true]}, taken for {names[answer]}" for true, answer in pairs]
        bars = axis.barh(range(len(pairs)), [wrong[pair] for pair in pairs], color=BLUE)
        axis.bar_label(bars, [f"{wrong[pair]:.0%}" for pair in pairs], fontsize=8, padding=2)
        axis.set(
            title=f"{METHODS.get(method, method)}: {np.trace(counts) / counts.sum():.2%} right of "
            f"{counts.sum():,} test images",
            yticks=range(len(pairs)),
            yticklabels=titles,
        )
        axis.invert_yaxis()
        axis.margins(x=0.1)  # for the label of the longest bar
    panels[-1].set_xlabel("share of the class's test images")
    return figure


def dots(accuracies: Mapping[str, Sequence[float]]) -> Figure:
    """Accuracies on the target: a line a variant, a dot a seed, a bar at the mean of the seeds."""
    figure = Figure(figsize=(8, 0.9 + 0.32 * len(accuracies)), layout="constrained")
    axis = figure.subplots()
    for y, values in enumerate(accuracies.values()):
        axis.plot(values, [y] * len(values), "o", color=BLUE, ms=6, alpha=0.6)
        axis.plot(np.mean(values), y, "|", color=ORANGE, ms=16, mew=2.5)
    axis.set(
        yticks=range(len(accuracies)),
        yticklabels=accuracies,
        xlabel="accuracy on the target's test images: o a seed, | their mean",
    )
    axis.invert_yaxis()
    axis.grid(alpha=0.3)
    return figure


def blobs(
    source: Points, target: Points, features: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> Figure:
    """The two domains and, for each regime, the first two principal components of the features.

    ``features``: by title (f_source, f_target). Two rows of panels, and a legend under them.
    """
    columns = (len(features) + 2) // 2
    figure = Figure(figsize=(3.8 * columns, 7.6), layout="constrained")
    data, *panels = figure.subplots(2, columns).flat
    scatter(data, source.x, source.y, target.x, target.y)
    data.set_title("the data", fontsize=12)
    for axis, (title, (f_source, f_target)) in zip(panels, features.items()):
        pca = PCA(2).fit(np.concatenate([f_source, f_target]))
        scatter(axis, pca.transform(f_source), source.y, pca.transform(f_target), target.y)
        axis.set_title(title, fontsize=12)
        axis.set(xlabel="features, first principal component", ylabel="second")
    data.set_aspect("equal", adjustable="datalim")
    for axis in panels[len(features) :]:
        axis.axis("off")
    figure.legend(
        *data.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=4 if columns > 2 else 2,
        fontsize=12,
        markerscale=1.8,
        frameon=False,
    )
    return figure


def scatter(
    axis: Axes,
    x_source: np.ndarray,
    y_source: np.ndarray,
    x_target: np.ndarray,
    y_target: np.ndarray,
) -> None:
    """Two domains by colour and marker, two classes by filled and hollow."""
    for name, x, y in (("source", x_source, y_source), ("target", x_target, y_target)):
        colour, marker = DOMAINS[name]
        for label in (0, 1):
            face, points = colour if label else "none", x[y == label]
            axis.scatter(
                points[:, 0],
                points[:, 1],
                s=14,
                marker=marker,
                facecolors=face,
                edgecolors=colour,
                lw=0.7,
                alpha=0.8,
                label=f"{name}, class {label}",
            )
