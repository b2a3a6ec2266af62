"""The program of the ablation, from its command line."""

import json

import pytest

from minidann import DANN, ablation


def test_the_program_writes_a_line_and_a_record_for_each_variant(small_data, tmp_path, capsys):
    chosen = ["no batch-norm", "two optimizers"]
    options = [
        "--steps",
        "2",
        "--batch-size",
        "4",
        "--limit",
        "32",
        "--data-dir",
        str(small_data),
        "--out",
        str(tmp_path),
    ]
    assert ablation.main(["--variants", *chosen, *options]) == 0
    runs = json.loads((tmp_path / "results.json").read_text())["runs"]
    assert [run["variant"] for run in runs] == chosen
    assert {run["method"] for run in runs} == {"dann"}
    assert runs[0]["target_class_own_statistics"] == runs[0]["target_class"]  # there are none
    table = capsys.readouterr().out
    assert all(f"\n{name}" in table for name in chosen)
    assert DANN.load(tmp_path / "model.npz").preparation["kind"] == "image"
    assert (tmp_path / "ablation.png").read_bytes().startswith(b"\x89PNG")


def test_an_unknown_variant_is_refused(capsys, tmp_path):
    with pytest.raises(SystemExit):
        ablation.main(["--variants", "more luck", "--out", str(tmp_path / "out")])
    assert "more luck" in capsys.readouterr().err


@pytest.mark.parametrize("data, target", [("mnistm", "mnistm"), ("release", "mnistm-release")])
def test_the_target_is_what_data_says_but_for_the_grey_digits(data, target, small_data, tmp_path):
    chosen = ["best", "binarised digits", "grey digits in MNIST-M"]
    options = ["--steps", "1", "--batch-size", "4", "--limit", "16", "--data", data]
    options += ["--data-dir", str(small_data), "--out", str(tmp_path)]
    assert ablation.main(["--variants", *chosen, *options]) == 0
    runs = json.loads((tmp_path / "results.json").read_text())["runs"]
    assert [(run["variant"], run["target"]) for run in runs] == list(
        zip(chosen, (target, target, "mnistm-grey"))
    )
    assert {run["source"] for run in runs} == {"mnist"}


def test_without_the_release_one_sentence_says_so(small_data, no_data, tmp_path, capsys):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mnist").symlink_to(small_data / "mnist")
    options = ["--variants", "best", "--data", "release", "--data-dir", str(tmp_path / "data")]
    assert ablation.main([*options, "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "unpack the authors' release" in error and error.count("\n") == 1
