"""``python -m minidann.doctor`` finds what is broken, names it, and goes on to the rest."""

import re
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from minidann import doctor
from minidann.data import mnist
from minidann.data.mnist import idx_bytes
from minidann.nn import gradcheck

SETUP = (Path(__file__).parents[1] / "setup.py").read_text(encoding="utf-8")


@pytest.fixture
def only(monkeypatch, no_data):
    """A function that reduces the program to one check, so that no test waits for the others."""

    def reduce(title):
        monkeypatch.setattr(doctor, "SECTIONS", {title: doctor.SECTIONS[title]})

    return reduce


@pytest.fixture
def small_mnist(tmp_path, monkeypatch):
    """A data folder with an MNIST of three images, whose hashes nobody compares."""
    monkeypatch.setenv("MINIDANN_VERIFY", "0")
    (tmp_path / "mnist").mkdir()
    for name in mnist.FILES:
        shape = (3, 28, 28) if "images" in name else (3,)
        (tmp_path / "mnist" / name.removesuffix(".gz")).write_bytes(
            idx_bytes(np.zeros(shape, np.uint8))
        )
    return tmp_path


def said(capsys):
    """All that was printed, each finding on one line."""
    return capsys.readouterr().out.replace("\n      ", " ")


def wrong(capsys):
    """The findings that are to be mended."""
    return [line for line in said(capsys).splitlines() if line.startswith(doctor.WRONG)]


def test_an_installation_that_works_is_described_and_nothing_is_wrong(no_data, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "LITTLE", 0)
    status = doctor.main([])
    output = capsys.readouterr().out
    assert status == 0, output
    assert "Things to mend: none found" in output
    assert [line for line in output.splitlines() if line in doctor.SECTIONS] == [*doctor.SECTIONS]
    for needed in ("commit ", f"numpy {np.__version__}", "threads of minidann: ", "MB free for "):
        assert needed in output
    right = re.search(r"(\d+) of (\d+) right on the cpu", output)
    assert right[1] == right[2] and int(right[1]) > 40
    assert output.endswith(doctor.REPORT) and "traceback" in output
    assert all(len(line) < 80 for line in output.splitlines() if "/" not in line)


def test_the_packages_are_those_of_setup_py():
    needed = SETUP.partition("install_requires=[")[2].partition("]")[0]
    assert re.findall(r'"([\w-]+)>=', needed) == list(doctor.NEEDED)


def test_packages_that_are_missing_or_too_old_are_named(only, monkeypatch, capsys):
    def version(name):
        if name == "tqdm":
            raise metadata.PackageNotFoundError(name)
        return {"numpy": "1.26.4", "scipy": "1.9.3"}.get(name, "999.10")

    needs = ["numpy>=2.0", "scipy>=1.13", "pillow>=10", 'pytest>=8; extra == "test"']
    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(metadata, "requires", lambda name: needs)
    only("Packages")
    assert doctor.main([]) == 1
    assert wrong(capsys) == [
        '! numpy 1.26.4 is too old: pip install "numpy>=2.0"',
        '! scipy 1.9.3 is too old: pip install "scipy>=1.13"',
        "! tqdm is not installed: pip install tqdm",
    ]


def test_a_whole_data_set_is_whole_and_a_damaged_one_is_named(only, small_mnist, capsys):
    only("Data")
    assert doctor.main(["--data-dir", str(small_mnist)]) == 0
    assert f"mnist: whole, in {small_mnist / 'mnist'}" in said(capsys)
    damaged = small_mnist / "mnist" / "t10k-labels-idx1-ubyte"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert doctor.main(["--data-dir", str(small_mnist)]) == 1
    (finding,) = wrong(capsys)
    assert finding.startswith(f"! mnist: {damaged}") and "download it again" in finding
    damaged.unlink()
    assert doctor.main(["--data-dir", str(small_mnist)]) == 0
    assert "without mnist/t10k-labels-idx1-ubyte.gz" in said(capsys)


def test_a_large_data_set_is_read_if_all_are_asked_for(only, small_mnist, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "LARGE", 100)
    only("Data")
    asked = ["--data-dir", str(small_mnist)]
    doctor.main(asked)
    assert "mnist: whole" not in said(capsys)
    doctor.main([*asked, "--all"])
    assert "mnist: whole" in said(capsys)


def test_a_wrong_gradient_is_named(only, monkeypatch, capsys):
    right = gradcheck.ReLU.backward
    monkeypatch.setattr(gradcheck.ReLU, "backward", lambda self, dy: np.nan * right(self, dy))
    only("Gradients")
    assert doctor.main([]) == 1
    assert any("ReLU" in finding and "gradient of x" in finding for finding in wrong(capsys))


def test_little_room_is_to_be_mended(only, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "LITTLE", 1 << 60)
    only("Space")
    assert doctor.main([]) == 1
    assert len(wrong(capsys)) == 2


def test_a_check_that_fails_is_a_finding_and_the_others_go_on(monkeypatch, no_data, capsys):
    def broken(args):
        yield "as far as it came"
        raise RuntimeError("no such\nluck")

    monkeypatch.setattr(doctor, "SECTIONS", {"One": broken, "Two": lambda args: ["all is well"]})
    assert doctor.main([]) == 1
    output = capsys.readouterr().out
    assert "as far as it came" in output and "all is well" in output
    assert "! the rest of this cannot be found out: RuntimeError: no such\n" in output
