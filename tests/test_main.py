"""``python -m minidann`` lists the programs that there are; all answer quickly what they do."""

import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import minidann
from minidann.__main__ import PROGRAMS, main

PACKAGE = Path(minidann.__file__).parent
SLOW = ("matplotlib", "sklearn", "joblib", "distributed")  # to import


def module(path):
    """The name by which ``python -m`` finds a file of the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__main__")


def test_every_program_has_a_line_and_every_line_a_program(capsys):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert lines[::2] == [f"python -m minidann.{name}" for name in PROGRAMS]
    assert all(line.startswith("    ") and line.endswith(")") for line in lines[1::2])
    assert max(map(len, lines)) < 80
    programs = {
        module(path)
        for path in PACKAGE.rglob("*.py")
        if "\nif __name__ ==" in path.read_text(encoding="utf-8")
    }
    assert programs == {"minidann"} | {f"minidann.{name}" for name in PROGRAMS}


@pytest.mark.parametrize("program", ["blobs", "mnistm", "digits", "signs", "ablation"])
def test_help_imports_nothing_slow(program):
    asked = f"""
import sys
from minidann import {program}
try:
    {program}.main(["--help"])
except SystemExit:
    print([name for name in {SLOW} if name in sys.modules], file=sys.stderr)
"""
    result = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True)
    assert result.stderr.strip() == "[]", result.stderr
    assert "model.npz" in result.stdout and "the same seed gives the same result" in " ".join(
        result.stdout.split()
    )


COMMANDS = [
    ("minidann.__main__",),
    *((f"minidann.{name}",) for name in PROGRAMS),
    ("minidann.data.__main__", "fetch"),
    ("minidann.data.__main__", "show"),
    *((f"benchmarks.{name}",) for name in ("step", "run", "drawing", "scaling")),
]


@pytest.mark.parametrize("module, command", [(one[0], one[1:]) for one in COMMANDS])
def test_an_abbreviated_option_is_refused(module, command, capsys):
    """--step for --steps, typed for --steps 10000, once replaced a run of hours."""
    name = "minidann.data.__main__" if module == "minidann.data" else module
    with pytest.raises(SystemExit) as refused:
        import_module(name).main([*command, "--hel"])
    assert refused.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("seed", ["-1", str(2**32), "x", ""])
def test_a_seed_that_no_generator_takes_is_named(seed, capsys):
    for module in ("blobs", "mnistm", "data.__main__"):
        command = ["show", "blobs"] if module == "data.__main__" else []
        with pytest.raises(SystemExit):
            import_module(f"minidann.{module}").main([*command, "--seed", seed])
        assert "argument --seed" in capsys.readouterr().err.splitlines()[-1]


def test_the_programs_exist():
    assert all(find_spec(f"minidann.{name}") for name in PROGRAMS)
