"""DANN on one sheet of A3: every equation beside its line of code.

``python docs/poster.py`` writes docs/img/poster.pdf and poster.png.

What stands on the sheet is declared here as data: a ``Pair`` is an equation and the lines that
compute it, a line is named by an object and by the words it begins with, and ``inspect`` reads it
from the source. A line that is renamed stops the script. The files carry a digest of all equations,
lines and figures on them, so that a test can tell whether they are those of the present code and
records.
"""

import argparse
import hashlib
import inspect
import json
import statistics
import sys
import textwrap
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from sklearn.decomposition import PCA

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from minidann import DANN
from minidann.data import make_blobs_pair
from minidann.experiments.plots import DOMAINS, GREEN, GREY, ORANGE, TEN
from minidann.experiments.points import RECIPES, train_regime
from minidann.experiments.runs import METHODS
from minidann.nn import (
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    GradientReversal,
    MaxPool2D,
    ReLU,
    Sigmoid,
    losses,
)
from minidann.nn.activations import sigmoid
from minidann.nn.optimizers import SGD, Adam
from minidann.nn.schedules import learning_rate, reversal_strength
from minidann.train import fit

INK, PAPER, TURNED = "#1A1A1A", "#F4F4F1", TEN[8]  # TURNED: whatever the reversal has turned
WIDTH, HEIGHT = 297 / 25.4, 420 / 25.4  # A3, in inches, as all lengths below
LEFT, ARROW, FORMULA, CODE, RIGHT = 0.5, 1.72, 1.91, 4.5, WIDTH - 0.5  # where the columns begin
ROW, GAP = 0.167, 0.068  # height of a row, distance of two groups
CODE_SIZE, SMALL, TEXT = 8, 8.8, 10.4  # points
BASE = 0.68 * ROW  # from the top of a row to its baseline
COLUMNS = 99  # characters of code in a row
FORWARD, BACKWARD, PLAIN = "→", "←", ""

FONTS = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "pdf.fonttype": 42,
    "text.hinting": "no_hinting",  # the PNG's letters as wide as the PDF's
    "font.size": TEXT,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.6,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
}


class Line(NamedTuple):
    """A line of code: the one of ``of``'s source that starts with ``start``."""

    of: Any
    start: str


class Pair(NamedTuple):
    """An equation and the lines that compute it."""

    way: str
    formula: str
    lines: tuple


class Group(NamedTuple):
    """Pairs that belong together."""

    name: str
    pairs: tuple


def pair(way, formula, *lines):
    return Pair(way, formula, tuple(Line(*line) for line in lines))


STEP = (
    Group(
        "Two losses",
        (
            pair(FORWARD, r"$f = G_f(x)$,  $x$ of both domains", (DANN._joint_features, "return")),
            pair(
                FORWARD,
                r"$L_y = \mathrm{mean}_{\mathcal{S}}\,(-\log p_y),\ \ p$ from $G_y(f)$",
                (DANN._label_loss, "loss, dlogits"),
            ),
            pair(FORWARD, r"$G_d(\mathcal{R}(f))$, of all rows", (DANN._domain_loss, "logits =")),
            pair(
                FORWARD,
                r"$L_d = \mathrm{mean}_{\mathcal{S}\cup\mathcal{T}}\,(-\log p_d),\ \ p$ from $G_d$",
                (DANN._domain_loss, "loss, dlogits ="),
            ),
        ),
    ),
    Group(
        "One objective",
        (
            pair(
                PLAIN,
                r"$E = L_y - \lambda\,L_d \qquad "
                r"\mathrm{min}_{\theta_f,\,\theta_y}\ \mathrm{max}_{\theta_d}\ E$",
                (DANN.compute_gradients, "L_y, df_label ="),
                (DANN.compute_gradients, "L_d, df ="),
            ),
            pair(
                BACKWARD,
                r"$\partial E/\partial f = \partial L_y/\partial f"
                r" - \lambda\,\partial L_d/\partial f$",
                (DANN.compute_gradients, "df[:n] +="),
            ),
        ),
    ),
    Group(
        "Three updates",
        (
            pair(
                BACKWARD,
                r"$\theta_y \leftarrow \theta_y - \mu\ \partial L_y/\partial\theta_y$",
                (DANN._label_loss, "return"),
            ),
            pair(
                BACKWARD,
                r"$\theta_d \leftarrow \theta_d - \mu\ \partial L_d/\partial\theta_d$"
                r"      weight 1, not $\lambda$",
                (DANN._domain_loss, "df ="),
            ),
            pair(
                BACKWARD,
                r"$\theta_f \leftarrow \theta_f - \mu\,(\partial L_y/\partial\theta_f"
                r" - \lambda\,\partial L_d/\partial\theta_f)$",
                (DANN.compute_gradients, "self.features.parameter_gradients"),
            ),
            pair(PLAIN, "all three at once, by one optimizer", (fit, "optimizer.step()")),
        ),
    ),
)

REVERSAL = Group(
    "Reversal",
    (
        pair(FORWARD, r"$\mathcal{R}(x) = x$", (GradientReversal.forward, "return")),
        pair(BACKWARD, r"$dx = -\lambda\,dy$", (GradientReversal.backward, "return")),
    ),
)

LAYERS = (
    REVERSAL,
    Group(
        "Dense",
        (
            pair(FORWARD, r"$y = x\,W + b$", (Dense.forward, "y =")),
            pair(BACKWARD, r"$dx = dy\,W^T$", (Dense.backward, "return")),
            pair(
                BACKWARD,
                r"$dW = x^T dy \qquad db = \Sigma_n dy_n$",
                (Dense.parameter_gradients, 'self.grads["W"]'),
                (Dense.parameter_gradients, 'self.grads["b"]'),
            ),
        ),
    ),
    Group(
        "ReLU",
        (
            pair(
                FORWARD,
                r"$y = \max(x, 0)$",
                (ReLU.forward, "self._positive ="),
                (ReLU.forward, "return"),
            ),
            pair(BACKWARD, r"$dx = dy\,[x > 0]$", (ReLU.backward, "return")),
        ),
    ),
    Group(
        "Sigmoid",
        (
            pair(FORWARD, r"$y = 1/(1 + e^{-x}) = (1 + \tanh(x/2))/2$", (sigmoid, "return")),
            pair(BACKWARD, r"$dx = dy\,y\,(1 - y)$", (Sigmoid.backward, "return")),
        ),
    ),
    Group(
        "Softmax\ncross-entropy",
        (
            pair(
                FORWARD,
                r"$p_{nk} = e^{z_{nk}}\,/\,\Sigma_j e^{z_{nj}}$",
                (losses.unchecked_cross_entropy, "total ="),
                (losses.unchecked_cross_entropy, "dlogits ="),
            ),
            pair(
                FORWARD,
                r"$L = \mathrm{mean}_n\,(\log \Sigma_j e^{z_{nj}} - z_{n,t_n})$",
                (losses.unchecked_cross_entropy, "loss ="),
            ),
            pair(
                BACKWARD,
                r"$dz_{nk} = (p_{nk} - [k = t_n])\,/\,N$",
                (losses.unchecked_cross_entropy, "dlogits[rows"),
                (losses._reduce, "return loss /"),
            ),
        ),
    ),
    Group(
        "Binary\ncross-entropy",
        (
            pair(
                FORWARD,
                r"$L = \mathrm{mean}\,(\max(z,0) - z\,t + \log(1 + e^{-|z|}))$",
                (losses.binary_cross_entropy, "loss ="),
            ),
            pair(
                BACKWARD,
                r"$dz = (\mathrm{sigm}(z) - t)\,/\,N$",
                (losses.binary_cross_entropy, "return _reduce"),
                (losses._reduce, "return loss /"),
            ),
        ),
    ),
    Group(
        "Convolution",
        (
            pair(
                FORWARD,
                r"$X = \mathrm{im2col}(x)$, a window a row",
                (Conv2D.forward, "self._columns ="),
            ),
            pair(FORWARD, r"$y = X\,W + b$", (Conv2D.forward, "y =")),
            pair(
                BACKWARD,
                r"$dW = X^T dy \qquad db = \Sigma\,dy$",
                (Conv2D.parameter_gradients, "dW ="),
                (Conv2D.parameter_gradients, 'self.grads["b"]'),
            ),
            pair(BACKWARD, r"$dX = dy\,W^T$", (Conv2D.backward, "dcolumns =")),
            pair(
                BACKWARD,
                r"$dx = \mathrm{col2im}(dX)$: windows add up",
                (Conv2D.backward, "dpadded ="),
            ),
        ),
    ),
    Group(
        "Max pooling",
        (
            pair(
                FORWARD,
                r"$y_{uv} = \mathrm{max}_{i,j}\ x_{su+i,\,sv+j}$",
                (MaxPool2D.forward, "return"),
            ),
            pair(
                BACKWARD,
                r"$dx = dy$ at the first maximum, else 0",
                (MaxPool2D.forward, "self._winner ="),
                (MaxPool2D.backward, "dpixel +="),
            ),
        ),
    ),
    Group(
        "Batch-norm",
        (
            pair(
                FORWARD,
                r"$\sigma = \sqrt{\mathrm{var}(x) + \epsilon}$, per channel",
                (BatchNorm.forward, "self._sigma ="),
            ),
            pair(
                FORWARD,
                r"$\hat x = (x - \bar x)\,/\,\sigma \qquad y = \gamma\,\hat x + \beta$",
                (BatchNorm.forward, "self._xhat ="),
                (BatchNorm.forward, "y ="),
            ),
            pair(
                BACKWARD,
                r"$d\beta = \Sigma\,dy \qquad d\gamma = \Sigma\,dy\,\hat x$",
                (BatchNorm.backward, 'self.grads["beta"]'),
                (BatchNorm.backward, 'self.grads["gamma"]'),
            ),
            pair(BACKWARD, r"$d\hat x = \gamma\,dy$", (BatchNorm.backward, "dx = dxhat =")),
            pair(
                BACKWARD,
                r"$dx = (d\hat x - \mathrm{mean}\,d\hat x"
                r" - \hat x\,\mathrm{mean}(d\hat x\,\hat x))\,/\,\sigma$",
                (BatchNorm.backward, "dx = dxhat - mean"),
                (BatchNorm.backward, "return"),
            ),
        ),
    ),
    Group(
        "Dropout",
        (
            pair(FORWARD, r"$m = 1$ with probability $1 - r$, else 0", (Dropout._draw, "keep =")),
            pair(FORWARD, r"$y = x\,m\,/\,(1 - r)$", (Dropout.forward, "return")),
            pair(BACKWARD, r"$dx = dy\,m\,/\,(1 - r)$, the same $m$", (Dropout.backward, "return")),
        ),
    ),
)

TRAINING = (
    Group(
        "Schedules",
        (
            pair(
                PLAIN,
                r"$\lambda_p = 2\,/\,(1 + e^{-\gamma p}) - 1, \qquad \gamma = 10$",
                (reversal_strength, "return"),
            ),
            pair(
                PLAIN,
                r"$\mu_p = \mu_0\,/\,(1 + \alpha p)^\beta, \quad \alpha = 10,\ \beta = 0.75$",
                (learning_rate, "return"),
            ),
        ),
    ),
    Group(
        "SGD",
        (
            pair(
                PLAIN,
                r"$v \leftarrow \mathrm{momentum}\ v + g$",
                (SGD._update, "velocity *="),
                (SGD._update, "velocity +="),
            ),
            pair(PLAIN, r"$\theta \leftarrow \theta - \mu\,v$", (SGD._update, "theta -=")),
        ),
    ),
    Group(
        "Adam",
        (
            pair(
                PLAIN,
                r"$m \leftarrow \beta_1\,m + (1 - \beta_1)\,g$",
                (Adam._update, "mean +="),
            ),
            pair(
                PLAIN,
                r"$s \leftarrow \beta_2\,s + (1 - \beta_2)\,g^2$",
                (Adam._update, "square +="),
            ),
            pair(
                PLAIN,
                r"$\hat m = m\,/\,(1 - \beta_1^t) \qquad \hat s = s\,/\,(1 - \beta_2^t)$",
                (Adam._update, "mean_hat ="),
                (Adam._update, "square_hat ="),
            ),
            pair(
                PLAIN,
                r"$\theta \leftarrow \theta - \mu\,\hat m\,/\,(\sqrt{\hat s} + \epsilon)$",
                (Adam._update, "theta -="),
            ),
        ),
    ),
)

SECTIONS = {
    "One step": (
        STEP,
        r"$\mathcal{R}$ stands in front of the domain head, "
        r"so the update of $\theta_f$ is plain backpropagation.",
    ),
    "Every layer": (
        LAYERS,
        r"$dy$ is $\partial L/\partial y$, the gradient from above; $dx$ is the one handed on. "
        r"$z$: logits, $t$: what is true.",
    ),
    "Schedules and optimizers": (
        TRAINING,
        r"$p$: progress, 0 to 1. $g$: gradient of a parameter $\theta$. "
        r"In the code $v$ is the velocity, $m$ the mean and $s$ the square.",
    ),
}

SHOWN = ("label only", "DANN")  # regimes of Blobs


def read(line):
    """The line as it stands in the source, without its indentation.

    Raises ValueError if no line, or several, start so.
    """
    found = [
        text.strip()
        for text in inspect.getsource(line.of).splitlines()
        if text.strip().startswith(line.start)
    ]
    if len(found) != 1:
        raise ValueError(
            f"{len(found)} lines of {line.of.__qualname__} start with {line.start!r}; one should"
        )
    return found[0]


def source_file(line):
    """The file it is read from, relative to the repository."""
    return (
        Path(inspect.getsourcefile(inspect.unwrap(line.of))).resolve().relative_to(ROOT).as_posix()
    )


def all_pairs():
    """Every pair of the sheet, in the order of reading."""
    return [pair for groups, _ in SECTIONS.values() for group in groups for pair in group.pairs]


def records():
    """The target accuracies of docs/results.

    (recipe, method, values of the seeds) for MNIST to MNIST-M; regime -> values of the draws for
    Blobs.
    """
    digits, points = {}, {}
    for name in (
        "mnistm.json",
        "mnistm-dann-seeds-2-3.json",
        "mnistm-best.json",
        "mnistm-best-source.json",
        "mnistm-best-target.json",
    ):
        content = json.loads((ROOT / "docs/results" / name).read_text(encoding="utf-8"))
        for run in content["runs"]:
            if (run.get("source", "mnist"), run.get("target", "mnistm")) == ("mnist", "mnistm"):
                digits.setdefault((content["options"]["recipe"], run["method"]), []).append(
                    run["target_class"]
                )
    for run in json.loads((ROOT / "docs/results/blobs.json").read_text(encoding="utf-8"))["runs"]:
        points.setdefault(run["regime"], []).append(run["target_class"])
    order = sorted(
        digits, key=lambda key: (key[0] == "best", ["source", "dann", "target"].index(key[1]))
    )
    return [(*key, digits[key]) for key in order], {regime: points[regime] for regime in SHOWN}


def digest():
    """A fingerprint of what the sheet says: equations, lines of code, figures of the records."""
    content = [
        [pair.formula, [(source_file(line), read(line)) for line in pair.lines]]
        for pair in all_pairs()
    ]
    return hashlib.sha256(json.dumps([content, records()]).encode()).hexdigest()[:16]


# ---- drawing


def heading(page, y, number, title, note=""):
    """A section's heading with its number; returns the y below it."""
    page.text(LEFT, y, str(number), size=17, weight="bold", color=TURNED, va="baseline")
    page.text(LEFT + 0.26, y, title, size=17, weight="bold", va="baseline")
    page.text(RIGHT, y, note, size=TEXT, color=GREY, va="baseline", ha="right")
    page.plot([LEFT, RIGHT], [y - 0.09] * 2, color=INK, lw=0.8)
    return y - 0.17


def code_rows(pair):
    """The rows of code of a pair, each of at most COLUMNS characters; short lines share a row."""
    texts = [
        (text if len(text) <= COLUMNS else text.split("  # ")[0]) for text in map(read, pair.lines)
    ]
    bare = [text.split("  # ")[0] for text in texts]
    if len(texts) > 1 and sum(map(len, bare)) + 5 * (len(bare) - 1) <= COLUMNS:
        return ["     ".join(bare)]
    return [
        row
        for text in texts
        for row in textwrap.wrap(
            text,
            COLUMNS,
            subsequent_indent="        ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]


def draw_code(page, x, y, row):
    """A row of code, its comment in grey."""
    code, mark, comment = row.partition("  # ")
    style = {"family": "DejaVu Sans Mono", "size": CODE_SIZE, "va": "baseline", "parse_math": False}
    page.text(x, y, code, **style)
    if mark:
        page.text(x, y, " " * len(code) + mark + comment, color=GREY, **style)


def draw_group(page, y, group):
    """One group as rows of three columns; returns the y below it."""
    rows = [code_rows(pair) for pair in group.pairs]
    files = list(
        dict.fromkeys(
            source_file(line).removeprefix("minidann/")
            for pair in group.pairs
            for line in pair.lines
        )
    )
    names = group.name.split("\n")
    height = ROW * max(sum(map(len, rows)), len(names) + len(files))
    page.add_patch(
        Rectangle(
            (CODE - 0.1, y - height - 0.01), RIGHT - CODE + 0.1, height + 0.02, fc=PAPER, ec="none"
        )
    )
    if group is REVERSAL:
        page.add_patch(
            Rectangle((LEFT - 0.14, y - height - 0.01), 0.05, height + 0.02, fc=TURNED, ec="none")
        )
    for i, name in enumerate(names):
        page.text(
            LEFT,
            y - i * ROW - BASE,
            name,
            size=TEXT + 0.4,
            weight="bold",
            va="baseline",
            color=TURNED if group is REVERSAL else INK,
        )
    for i, name in enumerate(files, len(names)):
        page.text(
            LEFT,
            y - i * ROW - BASE,
            name,
            size=CODE_SIZE,
            family="DejaVu Sans Mono",
            va="baseline",
            color=GREY,
        )
    at = y
    for pair, lines in zip(group.pairs, rows):
        page.text(ARROW, at - BASE, pair.way, size=TEXT, va="baseline", color=GREY)
        page.text(FORMULA, at - BASE, pair.formula, size=TEXT, va="baseline")
        for row in lines:
            draw_code(page, CODE, at - BASE, row)
            at -= ROW
    return y - height - GAP


def arrow(page, start, end, colour=INK, dashed=False, **style):
    style = {
        "arrowstyle": "-|>",
        "color": colour,
        "lw": 1.8 if dashed else 1.4,
        "mutation_scale": 13,
        "shrinkA": 0,
        "shrinkB": 0,
        **style,
    }
    page.annotate("", end, start, arrowprops={**style, "ls": (0, (3.2, 1.6)) if dashed else "-"})


def box(page, x, y, text, under="", width=0.8, face="white", ink=INK):
    page.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - 0.2),
            width,
            0.4,
            boxstyle="round,pad=0,rounding_size=0.07",
            fc=face,
            ec=INK,
            lw=1.1,
        )
    )
    page.text(x, y, text, size=15, ha="center", va="center_baseline", color=ink)
    page.text(x, y - 0.35, under, size=TEXT, ha="center", va="center", color=INK)


def draw_graph(page, y):
    """The computational graph: forward solid, backward dashed, the sign turned at the reversal.

    ``y`` is its middle.
    """
    top, bottom, up = y + 0.58, y - 0.58, 0.075
    at = {"f": 4.4, "y": 7.4, "R": 6.2, "d": 8.7, "L": 10.85}
    for name, dy, known in (
        ("source", 0.3, "$x$, with its class $y$"),
        ("target", -0.3, "$x$, no label"),
    ):
        colour, marker = DOMAINS[name]
        page.plot(LEFT + 0.1, y + dy, marker, color=colour, ms=10)
        page.text(
            LEFT + 0.28, y + dy + 0.09, name, size=TEXT, weight="bold", color=colour, va="center"
        )
        page.text(LEFT + 0.28, y + dy - 0.09, known, size=TEXT, va="center")
        arrow(page, (LEFT + 1.42, y + 0.9 * dy), (2.3, y + 0.33 * dy))
    tint = "#EAF2F8"
    box(page, 2.74, y, "$G_f$", r"features  $\theta_f$", face=tint)
    box(page, at["f"], y, "$f$", width=0.5)
    box(page, at["y"], top, "$G_y$", r"label head  $\theta_y$", face=tint)
    box(page, at["L"], top, "$L_y$", "label loss", width=0.6)
    box(page, at["R"], bottom, r"$\mathcal{R}$", "reversal", width=0.6, face=TURNED, ink="white")
    box(page, at["d"], bottom, "$G_d$", r"domain head  $\theta_d$", face=tint)
    box(page, at["L"], bottom, "$L_d$", "domain loss", width=0.6)

    for level, left, right in ((y, 3.14, at["f"] - 0.25), (top, at["y"] + 0.4, at["L"] - 0.3)):
        arrow(page, (left + 0.06, level + up), (right - 0.06, level + up))
    for left, right in ((at["R"] + 0.3, at["d"] - 0.4), (at["d"] + 0.4, at["L"] - 0.3)):
        arrow(page, (left + 0.06, bottom + up), (right - 0.06, bottom + up))
    fork = at["f"] + 0.31
    arrow(page, (fork, y + 0.16), (at["y"] - 0.46, top + up))
    arrow(page, (fork, y - 0.04), (at["R"] - 0.36, bottom + 0.13))

    arrow(page, (at["L"] - 0.36, top - up), (at["y"] + 0.46, top - up), GREEN, True)
    arrow(page, (at["y"] - 0.46, top - up), (fork, y + 0.02), GREEN, True)
    arrow(page, (at["L"] - 0.36, bottom - up), (at["d"] + 0.46, bottom - up), GREY, True)
    arrow(page, (at["d"] - 0.46, bottom - up), (at["R"] + 0.36, bottom - up), GREY, True)
    arrow(page, (at["R"] - 0.36, bottom - 0.02), (fork - 0.03, y - 0.19), TURNED, True, lw=2.6)
    arrow(page, (at["f"] - 0.31, y - up), (3.2, y - up), INK, True)
    label = partial(page.text, size=12.5, ha="center", va="center")
    label(6.25, y + 0.12, r"$+\,\partial L_y/\partial f$", color=GREEN)
    label((at["R"] + at["d"]) / 2, bottom - 0.28, r"$+\,\partial L_d/\partial f$", color=GREY)
    label(4.78, bottom + 0.05, r"$-\lambda\,\partial L_d/\partial f$", color=TURNED)
    label(3.12, bottom - 0.02, r"$\partial L_y/\partial f - \lambda\,\partial L_d/\partial f$")
    page.plot([3.38, 3.55], [bottom + 0.14, y - 0.13], color=GREY, lw=0.7)
    arrow(page, (2.3, top + 0.1), (2.75, top + 0.1))
    page.text(2.87, top + 0.1, "forward", va="center")
    arrow(page, (2.75, top - 0.1), (2.3, top - 0.1), INK, True)
    page.text(2.87, top - 0.1, "backward", va="center")


def panel(figure, left, bottom, width, height):
    axis = figure.add_axes((left / WIDTH, bottom / HEIGHT, width / WIDTH, height / HEIGHT))
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(width=0.6, length=2.5, pad=2)
    return axis


def draw_schedules(axis):
    p = np.linspace(0, 1, 101)
    axis.plot(p, [reversal_strength(t) for t in p], color=TURNED, lw=2)
    axis.plot(p, [learning_rate(t) / learning_rate(0) for t in p], color=GREY, lw=2, ls="--")
    axis.text(0.5, 0.9, r"$\lambda_p$", color=TURNED, size=13, va="top")
    axis.text(0.5, 0.34, r"$\mu_p\,/\,\mu_0$", color=GREY, size=13)
    axis.set(
        xlim=(0, 1), ylim=(0, 1.03), xticks=(0, 1), yticks=(0, 0.5, 1), yticklabels=("0", ".5", "1")
    )
    axis.set_xlabel("$p$", labelpad=-9, size=TEXT)


def blobs_features(steps):
    """Two draws of points, and the features after ``steps`` steps.

    Title -> (x of the source, x of the target), and the classes of both.
    """
    source, target = make_blobs_pair(seed=0)
    shown = {"the data": (source.x, target.x)}
    for title in SHOWN:
        dann = train_regime(RECIPES["annealed"][title], source, target, steps=steps, seed=0)
        features = [dann.transform(points.x) for points in (source, target)]
        pca = PCA(2).fit(np.concatenate(features))
        shown[title] = tuple(map(pca.transform, features))
    return shown, (source.y, target.y)


def draw_points(axis, points, classes):
    """Domains by colour and marker, classes filled and hollow; every third point."""
    for (colour, marker), x, y in zip(DOMAINS.values(), points, classes):
        x, y = x[::3], y[::3]
        for label, face in enumerate(("none", colour)):
            axis.plot(*x[y == label].T, marker, ms=3.4, mfc=face, mec=colour, mew=0.6, alpha=0.8)
    axis.set(xticks=[], yticks=[])
    axis.set_aspect("equal", adjustable="datalim")
    axis.margins(0.08)
    axis.spines[:].set_visible(True)


def number(value):
    return f"{value:.3f}".lstrip("0")


def draw_digits(axis, groups):
    """Target accuracies: a row for each method of each recipe, a dot for each seed, the mean."""
    for row, (_, method, values) in enumerate(groups):
        axis.plot(
            values, [row] * len(values), "^", color=ORANGE, ms=5.5, alpha=0.65, mew=0, clip_on=False
        )
        axis.text(
            1.04,
            row,
            number(statistics.fmean(values)),
            va="center_baseline",
            size=TEXT,
            weight="bold" if method == "dann" else "normal",
        )
    axis.set(
        ylim=(len(groups) - 0.5, -0.5),
        yticks=[],
        xlim=(0.5, 1),
        xticks=(0.5, 0.75, 1),
        xticklabels=(".5", ".75", "1"),
    )
    axis.spines["left"].set_visible(False)
    axis.grid(axis="x", lw=0.5, alpha=0.5)
    axis.set_axisbelow(True)


def draw_results(figure, page, y, steps):
    """The strip at the foot: schedules, Blobs, MNIST to MNIST-M. ``y`` is the top of its panels."""
    height = 1.0
    bottom = y - 0.2 - height
    digits, points = records()
    title = partial(page.text, size=TEXT, va="baseline", weight="bold")
    title(LEFT, y, "Schedules")
    draw_schedules(panel(figure, LEFT + 0.2, bottom, 1.75, height))

    title(3.0, y, "Blobs: two domains, and the features of two networks")
    shown, classes = blobs_features(steps)
    for i, (name, x) in enumerate(shown.items()):
        left = 3.0 + 1.5 * i
        draw_points(panel(figure, left, bottom, 1.38, height), x, classes)
        accuracy = f":  {number(statistics.fmean(points[name]))}" if name in points else ""
        page.text(
            left + 0.69, bottom - 0.13, name + accuracy, size=TEXT - 0.6, ha="center", va="center"
        )

    title(7.72, y, "MNIST to MNIST-M")
    draw_digits(panel(figure, 9.85, bottom, 0.92, height), digits)
    for row, (recipe, method, _) in enumerate(digits):
        at = bottom + height * (1 - (row + 0.5) / len(digits))
        page.text(7.72, at, f"{METHODS[method]}, recipe {recipe}", va="center_baseline")


def poster(steps=10_000):
    """The sheet as a Figure; ``steps`` of training for the features of Blobs."""
    figure = Figure(figsize=(WIDTH, HEIGHT))
    page = figure.add_axes((0, 0, 1, 1))
    page.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    page.axis("off")
    page.text(LEFT, HEIGHT - 0.76, "DANN on one sheet", size=34, weight="bold", va="baseline")
    idea = (
        "Learn features that tell the classes apart but not the domains: "
        "one layer turns the sign of the gradient that the domain head sends back."
    )
    page.text(LEFT, HEIGHT - 1.06, idea, size=12.5, va="baseline")
    page.text(
        RIGHT,
        HEIGHT - 0.76,
        "every equation beside its line of code",
        size=15,
        style="italic",
        color=GREY,
        va="baseline",
        ha="right",
    )

    y = heading(
        page,
        HEIGHT - 1.47,
        1,
        "The graph",
        r"Backward, $\mathcal{R}$ turns the sign, "
        r"and at $f$ the gradients of both heads are added.",
    )
    draw_graph(page, y - 0.86)
    y -= 2.12
    for n, (title, (groups, note)) in enumerate(SECTIONS.items(), 2):
        y = heading(page, y, n, title, note)
        for group in groups:
            y = draw_group(page, y, group)
        y -= 0.2
    y = heading(
        page,
        y,
        5,
        "What comes out of it",
        "Accuracies on the target: means of all draws (Blobs, one is shown) "
        "and of all seeds (MNIST-M, a triangle each).",
    )
    draw_results(figure, page, y - 0.1, steps)
    page.text(
        LEFT,
        0.24,
        "minidann. Notation and method: Ganin et al., "
        "Domain-Adversarial Training of Neural Networks, JMLR 17(59), 2016.",
        size=SMALL,
        color=GREY,
    )
    return figure


def write(out, steps=10_000):
    """Write both files, with the digest in them; nothing in them tells the hour."""
    out.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(FONTS):
        figure = poster(steps)
        figure.savefig(
            out / "poster.pdf",
            metadata={"Title": "DANN on one sheet", "Keywords": digest(), "CreationDate": None},
        )
        figure.savefig(
            out / "poster.png",
            dpi=1600 / WIDTH,
            metadata={"Keywords": digest()},
            pil_kwargs={"optimize": True},
        )


def main(argv=None):
    """Write poster.pdf and poster.png."""
    parser = argparse.ArgumentParser(
        description="DANN on one sheet of A3: every equation beside its line of code.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=ROOT / "docs/img",
        metavar="DIR",
        help="where poster.pdf and poster.png go (default: docs/img)",
    )
    out = parser.parse_args(argv).out
    write(out)
    print(f"Written to {out}: poster.pdf, poster.png")


if __name__ == "__main__":
    main()
