"""The Blobs program, from its recipe to its command line."""

import json
import subprocess
import sys

import numpy as np
import pytest

from minidann import blobs
from minidann.data import make_blobs_pair
from minidann.metrics import evaluate
from minidann.runtime.progress import progress_bar


@pytest.fixture(scope="module")
def pair():
    return make_blobs_pair(seed=3)


def trained(regime, pair, steps=3000):
    return evaluate(blobs.train(regime, *pair, steps=steps, seed=3), *pair)


def test_without_adaptation_the_target_is_at_chance(pair):
    result = trained(blobs.REGIMES["label only"], pair)
    assert result["source_class"] > 0.98
    assert result["target_class"] < 0.7


def test_dann_adapts_and_keeps_the_source(pair):
    result = trained(blobs.REGIMES["DANN deep"], pair, steps=6000)
    assert result["target_class"] > 0.88
    assert result["source_class"] > 0.93


def test_the_domain_classifier_tells_the_domains_apart(pair):
    result = trained(blobs.REGIMES["domain classifier"], pair)
    assert min(result["source_domain"], result["target_domain"]) > 0.97


def test_the_networks_are_those_of_tf_dann():
    shallow, deep = blobs.build((), 0), blobs.build((8,), 0)
    assert [a.shape for a in shallow.features.params.values()] == [(2, 15), (15,)]
    assert [a.shape for a in shallow.label_head.params.values()] == [(15, 2), (2,)]
    assert [a.shape for a in shallow.domain_head.params.values()] == [(15, 2), (2,)]
    assert [a.shape for a in deep.domain_head.params.values()] == [(15, 8), (8,), (8, 2), (2,)]
    assert np.abs(shallow.features.params["0.W"]).max() <= 0.2
    assert (shallow.features.params["0.b"] == np.float32(0.1)).all()


def test_target_labels_do_not_change_the_weights(pair):
    source, target = pair
    shuffled = target._replace(y=np.roll(target.y, 7))
    regime = blobs.REGIMES["DANN deep"]
    with progress_bar(100) as bar:
        one, other = (
            blobs.train(regime, source, t, steps=50, seed=0, bar=bar) for t in (target, shuffled)
        )
    for name, array in one.features.params.items():
        np.testing.assert_array_equal(array, other.features.params[name])


def test_main_writes_the_record_and_the_figure(tmp_path, capsys):
    assert blobs.main(["--steps", "20", "--seed", "5", "--anneal", "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "results.json").read_text())
    assert {run["regime"] for run in record["runs"]} == set(blobs.REGIMES | blobs.ANNEALED)
    assert {run["seed"] for run in record["runs"]} == {5}
    assert (tmp_path / "blobs.png").read_bytes().startswith(b"\x89PNG")
    table = capsys.readouterr().out
    assert all(title in table for title in blobs.REGIMES | blobs.ANNEALED)


def test_seeds_side_by_side_give_what_they_give_one_by_one(tmp_path):
    for jobs in ("1", "2"):
        command = [
            sys.executable,
            "-m",
            "minidann.blobs",
            "--steps",
            "30",
            "--seeds",
            "2",
            "--jobs",
            jobs,
            "--out",
            str(tmp_path / jobs),
        ]
        subprocess.run(command, check=True, capture_output=True)

    def accuracies(jobs):
        runs = json.loads((tmp_path / jobs / "results.json").read_text())["runs"]
        return sorted(
            [(r["seed"], r["regime"], r["source_class"], r["target_class"]) for r in runs]
        )

    assert len(accuracies("1")) == 2 * len(blobs.REGIMES)
    assert accuracies("1") == accuracies("2")


@pytest.mark.parametrize(
    "options",
    [
        ["--steps", "-5"],
        ["--steps", "0"],
        ["--seeds", "0"],
        ["--lam", "nan"],
        ["--lam", "inf"],
        ["--lam", "much"],
        ["--batch-size", "301"],
    ],
)
def test_a_bad_option_is_one_sentence_that_names_it(options, tmp_path):
    command = [
        sys.executable,
        "-m",
        "minidann.blobs",
        *options,
        "--steps" if "--steps" not in options else "--seed",
        "20",
        "--out",
        str(tmp_path / "out"),
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    assert options[1] in result.stderr.splitlines()[-1]
    assert not list(tmp_path.rglob("*.*"))


def test_a_folder_that_can_not_be_written_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert blobs.main(["--steps", "10", "--out", str(tmp_path / "file")]) == 1
    error = capsys.readouterr().err
    assert str(tmp_path / "file") in error and "--out" in error
