"""The plan of the house: which room may import which, and what an import costs."""

import ast
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import minidann

ROOT = Path(minidann.__file__).parent

# room: the rooms that it may import. A room is a package or a module of minidann; "minidann" is its
# __init__.py, and "programs" are all modules that are no room of their own.
LESSON = {"nn", "dann", "pseudo_labels", "callbacks", "train"}
ARROWS = {
    "runtime": set(),
    "nn": {"runtime"},
    "fast": {"runtime"},  # nn finds it by name, through runtime.twins
    "data": {"runtime"},
    "metrics": {"runtime"},
    "dann": {"nn", "runtime"},
    "pseudo_labels": {"dann", "nn", "runtime"},
    "callbacks": {"dann", "nn", "runtime"},
    "train": {"callbacks", "dann", "nn", "runtime"},
    "minidann": {"dann", "runtime"},
    "experiments": {"data", "metrics", "minidann", "runtime"} | LESSON,
    "programs": {"data", "experiments", "metrics", "minidann", "runtime"} | LESSON,
}


def module_name(path):
    """The name under which a file is imported: minidann.nn for minidann/nn/__init__.py."""
    parts = ("minidann", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


class Imports(ast.NodeVisitor):
    """The modules of minidann that a file imports, at its top or in a function.

    What it imports for its type hints alone does not count.
    """

    def __init__(self, module):
        self.module, self.found = module, set()
        self.visit(ast.parse(PATHS[module].read_text(encoding="utf-8")))

    def visit_If(self, node):
        if ast.unparse(node.test) != "TYPE_CHECKING":
            self.generic_visit(node)

    def visit_Import(self, node):
        self.add(alias.name for alias in node.names)

    def visit_ImportFrom(self, node):
        assert not node.level, f"{self.module} imports by a relative name"
        # "from minidann.nn import conv" is minidann.nn.conv, "... import Conv2D" minidann.nn
        full = [f"{node.module}.{alias.name}" for alias in node.names]
        self.add(name if name in PATHS else node.module for name in full)

    def add(self, names):
        self.found |= {name for name in names if name in PATHS} - {self.module}


IMPORTS = {module: Imports(module).found for module in PATHS}


def room(module):
    """The room that a module stands in."""
    if module == "minidann":
        return module
    first = module.split(".")[1]
    return first if first in ARROWS else "programs"


@pytest.mark.parametrize("module", PATHS)
def test_imports_follow_the_arrows(module):
    allowed = ARROWS[room(module)] | {room(module)}
    assert not [name for name in IMPORTS[module] if room(name) not in allowed]


def test_programs_do_not_import_each_other():
    programs = {module for module in PATHS if room(module) == "programs"}
    assert not {
        module: names & programs
        for module, names in IMPORTS.items()
        if module in programs - {"minidann.__main__"} and names & programs
    }


def test_imports_make_no_circle():
    TopologicalSorter(IMPORTS).prepare()


def test_no_two_modules_share_a_name():
    names = Counter(module.rpartition(".")[2] for module in PATHS)
    assert not [name for name, n in names.items() if n > 1 and name != "__main__"]


HEAVY = {"PIL", "joblib", "matplotlib", "pandas", "scipy", "sklearn"}


@pytest.mark.parametrize(
    "modules, absent",
    [
        (
            "minidann, minidann.nn.optimizers, minidann.nn.schedules, minidann.nn.gradcheck, "
            "minidann.fast, minidann.pseudo_labels, minidann.metrics, minidann.train",
            HEAVY | {"threadpoolctl", "tqdm"},
        ),
        ("minidann.data, minidann.data.registry", HEAVY),
    ],
)
def test_an_import_needs_numpy_and_nothing_heavy(modules, absent):
    code = f"import sys, {modules}; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    loaded = set(result.stdout.split())
    assert "numpy" in loaded
    assert not sorted(absent & loaded)
