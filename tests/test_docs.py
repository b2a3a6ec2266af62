"""The site's pages: their Python runs, links lead somewhere, names exist, figures are on record.

No network, no Sphinx.
"""

import ast
import importlib
import inspect
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minidann.data
import minidann.nn.losses
import minidann.nn.schedules
from minidann import DANN
from minidann.experiments.recipes import RECIPES
from minidann.nn import Dense, Sequential, Sigmoid
from minidann.nn.optimizers import SGD

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {
    path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8")
    for folder in (DOCS, DOCS / "results")
    for path in sorted(folder.glob("*.md"))
}
# pages whose Python reads downloaded data sets: it is compiled, and its names are looked up
NEED_FILES = {"data.md"}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def blocks(language):
    return [
        pytest.param(name, code, id=f"{name}-{i}")
        for name, page in PAGES.items()
        for i, (of, code) in enumerate(FENCE.findall(page))
        if of == language
    ]


def prose(page):
    """A page without its blocks of code."""
    return FENCE.sub("", page)


def slug(heading):
    """The anchor of a heading, as MyST and the hosts of repositories make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower().replace("`", "")).replace(" ", "-")


def anchors(page):
    return {slug(heading) for heading in re.findall(r"^#{1,3} (.+)$", prose(page), re.MULTILINE)}


@pytest.mark.parametrize("name, code", blocks("python"))
def test_the_python_of_a_page_runs(name, code):
    if name in NEED_FILES:
        compile(code, name, "exec")
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names)
        return
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr


def test_the_first_python_of_start_shows_what_is_said_of_it():
    code = next(code for language, code in FENCE.findall(PAGES["start.md"]) if language == "python")
    found = {}
    exec(code, found)
    assert abs(found["accuracies"]["label only"] - 0.5) < 0.1 and found["accuracies"]["DANN"] > 0.9


@pytest.mark.parametrize("name", PAGES)
def test_links_within_the_repository_lead_somewhere(name):
    for target in LINK.findall(prose(PAGES[name])):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        if path == "tutorials/index.rst":  # sphinx-gallery writes it, from this
            assert (ROOT / "tutorials/README.rst").exists()
            continue
        file = (DOCS / name).parent / path if path else DOCS / name
        assert file.exists(), f"{name} links to {target}"
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), f"{name} links to {target}"


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_in_a_list_of_pages(name):
    """Sphinx says so too, but is not always at hand."""
    listed = {
        entry for page in PAGES.values() for body in TOCTREE.findall(page) for entry in body.split()
    }
    entry = re.sub(r"^results/.*", "results/*", name.removesuffix(".md"))
    assert name == "index.md" or entry in listed


@pytest.mark.parametrize("name, code", blocks("sh"))
def test_programs_that_a_page_names_exist(name, code):
    for module in re.findall(r"python -m ([\w.]+)", code):
        assert module == "pytest" or importlib.util.find_spec(module), module


@pytest.mark.parametrize(
    "recipe, steps",
    re.findall(r"^\| `([\w-]+)`.*\| ([\d,]+) \|$", PAGES["experiments.md"], re.MULTILINE),
)
def test_the_recipes_are_those_of_the_code(recipe, steps):
    assert RECIPES[recipe].steps == int(steps.replace(",", ""))


# ----------------------------------------------------------------------------------------------
# notation


@pytest.fixture(scope="module")
def names():
    """What the notation page speaks of: the shallow network of the paper, after one step."""
    rng = np.random.default_rng(0)
    dann = DANN(
        Sequential([Dense(2, 15, rng=rng), Sigmoid()]),
        Sequential([Dense(15, 2, rng=rng)]),
        Sequential([Dense(15, 1, rng=rng)]),
    )
    x_source, y_source, x_target = (
        rng.standard_normal((8, 2)),
        rng.integers(0, 2, 8),
        rng.standard_normal((8, 2)),
    )
    losses = dann.compute_gradients(x_source, y_source, x_target, lam=1.0)
    here = {
        "minidann": minidann,
        "DANN": DANN,
        "dann": dann,
        "optimizer": SGD(dann.networks, 0.01),
        "layer": dann.features.layers[0],
        "losses": losses,
    }
    return here | {
        "x_source": x_source,
        "y_source": y_source,
        "x_target": x_target,
        "lam": 1.0,
        "step": 5,
        "steps": 100,
        "p": 0.05,
    }


def code_names():
    """(symbol, code) of each name in the third column of the tables.

    In the table of the update it is the second column.
    """
    rows = [
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in PAGES["notation.md"].splitlines()
        if line.startswith("|")
    ]
    found = [
        (row[0], code)
        for row in rows
        if not set("".join(row)) <= set("-| ")
        for code in re.findall(r"`([^`]+)`", row[-1])
    ]
    return [pytest.param(symbol, code, id=f"{symbol} {code}") for symbol, code in found]


@pytest.mark.parametrize("symbol, code", code_names())
def test_every_symbol_has_its_name_in_the_code(symbol, code, names):
    eval(code, dict(names))  # raises if something of it is not there


def test_the_notation_page_has_the_papers_symbols():
    page = PAGES["notation.md"]
    symbols = (
        r"G_f",
        r"G_y",
        r"G_d",
        r"\theta_f",
        r"\theta_y",
        r"\theta_d",
        r"\lambda",
        r"L_y",
        r"L_d",
        r"\mu",
        r"\lambda_p",
        r"\mu_p",
        r"\mathcal{R}",
    )
    assert all(
        any(line.startswith(f"| ${symbol}") for line in page.splitlines()) for symbol in symbols
    )
    assert len(code_names()) > 30


def test_arguments_of_a_step_are_called_as_the_notation_page_says():
    assert list(inspect.signature(DANN.compute_gradients).parameters) == [
        "self",
        "x_source",
        "y_source",
        "x_target",
        "lam",
    ]


def test_the_domain_loss_is_half_of_the_papers_sum_of_two_means(names):
    """What the notation page says of lambda, for batches of one size."""
    dann, x_source, x_target = names["dann"], names["x_source"], names["x_target"]
    means = [
        np.logaddexp(0, sign * dann.domain_head.forward(dann.features.forward(x))).mean()
        for sign, x in ((1, x_source), (-1, x_target))
    ]
    np.testing.assert_allclose(
        dann.compute_gradients(x_source, names["y_source"], x_target, 1.0).domain,
        sum(means) / 2,
        rtol=1e-6,
    )


# ----------------------------------------------------------------------------------------------
# figures of the FAQ that are no record's


def test_the_domain_loss_of_chance_in_the_faq():
    page = " ".join(PAGES["faq.md"].split())
    chance = f"{math.log(2):.3f}".removeprefix("0")
    assert f"{chance} for mean losses" in page and f"there it is {16 * math.log(2):.1f}" in page
