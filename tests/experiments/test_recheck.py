"""The guard: what docs/results holds comes out of today's code."""

import json
from pathlib import Path

import pytest

import minidann
from minidann.experiments import recheck
from minidann.experiments.replays import execute, judge, replays

RESULTS = Path(minidann.__file__).parents[1] / "docs" / "results"


@pytest.fixture
def record(tmp_path):
    """The record of a few steps of Blobs."""
    from minidann import blobs

    assert blobs.main(["--steps", "30", "--seeds", "3", "--out", str(tmp_path)]) == 0
    return tmp_path / "results.json"


def change(path, **values):
    content = json.loads(path.read_text())
    for run in content["runs"]:
        run |= values
    path.write_text(json.dumps(content))


def test_what_was_just_recorded_comes_out(record, capsys):
    capsys.readouterr()
    assert recheck.main([str(record), "--seeds", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 2 * 3 + 1 and all(line.endswith("equal") for line in lines[2:7:2])
    assert "DANN, seed 0" in lines[5] and lines[7].startswith("3 runs, 0 lines that differ")
    assert recheck.main([str(record), "--all", "--jobs", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("seed ")[1][0] for line in lines[1:18:2]] == [*"012012012"]


def test_two_records_of_one_name_are_told_apart(record, capsys):
    other = record.parent / "other" / "results.json"
    other.parent.mkdir()
    other.write_text(record.read_text())
    change(other, target_class=0.1)
    assert recheck.main([str(other), str(record), "--seeds", "1"]) == recheck.DIFFERENT
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines[2:-1:2]] == 3 * ["DIFFERS"] + 3 * ["equal"]


def test_a_record_of_other_figures_is_an_error(record, capsys):
    change(record, target_class=0.1)
    assert recheck.main([str(record), "--seeds", "1"]) == recheck.DIFFERENT
    assert capsys.readouterr().out.count("DIFFERS") == 3


def test_a_record_of_a_regime_that_is_gone_is_an_error(record, capsys):
    change(record, regime="DANN wide")
    assert recheck.main([str(record)]) == recheck.DIFFERENT
    output = capsys.readouterr().out
    assert output.count("does not exist any more") == 1 and "'DANN wide'" in output


def test_without_the_data_a_record_is_skipped(record, capsys, monkeypatch, tmp_path):
    content = json.loads(record.read_text())
    run = {"source": "mnist", "target": "usps", "method": "dann", "seed": 0, "steps": 2}
    other = tmp_path / "other.json"
    content |= {"program": "python -m minidann.digits", "runs": [run | {"target_class": 0.5}]}
    other.write_text(json.dumps(content | {"options": {"recipe": "light"}}))
    for name in ("MINIDANN_DATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert recheck.main([str(other), str(record), "--seeds", "1"]) == recheck.SKIPPED
    output = capsys.readouterr().out
    assert output.splitlines()[0].startswith(f"{other} is skipped, with 1 runs: ")
    assert "1 records skipped" in output


def test_what_is_no_record_is_one_sentence(tmp_path, capsys):
    assert recheck.main([str(tmp_path / "results.json")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_ctrl_c_prints_what_is_known(record, capsys, monkeypatch):
    ran = []

    def once(replay, row=None):
        if ran:
            raise KeyboardInterrupt
        ran.append(replay)
        return dict(replay.recorded)

    monkeypatch.setattr(recheck, "execute", once)
    assert recheck.main([str(record)]) == 130
    output = capsys.readouterr().out
    assert output.count("equal") == 1 and "Stopped" in output


# ----------------------------------------------------------------------------------------------
# the records of this repository


def test_without_names_it_takes_the_records_of_this_clone():
    names = {path.name for path in recheck.committed()}
    assert {"blobs.json", "digits.json", "ablation.json"} <= names and "scaling.json" not in names


MADE_BEFORE_COMMITS_WERE_RECORDED = {  # it shrinks as they are made again
    "ablation.json",
    "light-mnist-synth.json",
    "light-synth.json",
    "light-usps.json",
    "matrix.json",
    "mnistm-dann-seeds-2-3.json",
    "mnistm-grey-best-source.json",
    "mnistm-grey-best-target.json",
    "mnistm-grey-best.json",
    "mnistm-grey-paper-seeds-1-2.json",
    "mnistm-grey-paper-source.json",
    "mnistm-grey-paper-target.json",
    "mnistm-grey-paper.json",
    "mnistm.json",
    "pseudo-mnist-synth.json",
    "pseudo-no-squares-lam0.json",
    "pseudo-no-squares.json",
    "pseudo-source-synth.json",
    "pseudo-source-usps.json",
    "pseudo-synth.json",
    "pseudo-target-mnist-mnistm.json",
    "pseudo-target-usps-synth.json",
    "pseudo-usps.json",
    "svhn-synth-source.json",
    "svhn-synth.json",
}


@pytest.mark.parametrize("path", recheck.committed(), ids=lambda path: path.name)
def test_a_record_says_at_which_commit_it_was_made(path):
    commit = json.loads(path.read_text())["environment"].get("commit", "")
    old = path.name in MADE_BEFORE_COMMITS_WERE_RECORDED
    assert old == (not commit), "if it was made again, take it from the list"
    assert "dirty" not in commit


@pytest.mark.parametrize("name, kinds", [("blobs.json", 3), ("blobs-tf-dann.json", 4)])
def test_recorded_runs_on_points_come_out_today(name, kinds):
    todo, gone = replays(RESULTS / name, seeds=2)
    assert not gone and len({of.kind for of in todo}) == kinds
    assert_that_they_come_out(todo)


def test_recorded_runs_on_images_come_out_today():
    todo, gone = replays(RESULTS / "digits.json")
    assert not gone and [of.task.method for of in todo] == ["source", "target", "dann"]
    assert_that_they_come_out(todo[:1])  # one of the three takes as long as all points


def assert_that_they_come_out(todo):
    findings = judge([(of, execute(of)) for of in todo])
    assert not [of for of in findings if of.verdict == "DIFFERS"]
