"""What all experiments share."""

import argparse
import json
import math

import pytest
from threadpoolctl import threadpool_info

from minidann.experiment import add_options, environment, run_all, save_results, spread, summarize
from minidann.runtime.command import clear_errors, finite, positive
from minidann.runtime.errors import InputError, TrainingError
from minidann.runtime.files import writable


def blas_threads(task, row):

    return (
        task,
        row,
        max(
            library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
        ),
    )


def test_summary_is_mean_sample_deviation_and_minimum():
    assert summarize([0.9, 0.8, 1.0]) == {
        "mean": pytest.approx(0.9),
        "sd": pytest.approx(0.1),
        "min": 0.8,
        "n": 3,
    }
    assert summarize([0.5])["sd"] == 0
    assert spread([0.9, 0.8, 1.0]) == "0.9000 +- 0.1000"
    assert spread([0.5]) == "0.5000"


def test_one_task_has_the_terminal_to_itself():
    assert list(run_all(lambda task, row: (task, row), [("a",)], jobs=1)) == [("a", None)]


def test_tasks_one_by_one_keep_their_order():
    assert list(run_all(lambda task, row: (task, row), [("a",), ("b",)], jobs=1)) == [
        ("a", 1),
        ("b", 1),
    ]


def test_tasks_side_by_side_each_hold_one_blas_thread():
    results = list(run_all(blas_threads, [(i,) for i in range(4)], jobs=2))
    assert sorted(task for task, _, _ in results) == [0, 1, 2, 3]
    assert {row for _, row, _ in results} == {1, 2}
    assert {threads for _, _, threads in results} == {1}


def test_the_record_holds_options_environment_and_runs(tmp_path):
    args = argparse.Namespace(steps=5, out=tmp_path, device="cpu")
    save_results(tmp_path / "results.json", "blobs", args, [{"seed": 0}])
    record = json.loads((tmp_path / "results.json").read_text())
    assert record["program"] == "python -m minidann.blobs"
    assert record["options"] == {"steps": 5, "out": str(tmp_path), "device": "cpu"}
    assert record["environment"] == environment("cpu") and record["environment"][
        "device"
    ].startswith("CPU")
    assert record["runs"] == [{"seed": 0}]


@pytest.mark.parametrize(
    "error",
    [
        InputError("bad file"),
        TrainingError("nan"),
        OSError(28, "No space left on device", "results.json"),
    ],
)
def test_a_foreseen_error_is_one_sentence_and_status_1(error, capsys):
    def main(argv=None):
        raise error

    assert clear_errors(main)([]) == 1
    assert capsys.readouterr().err == f"error: {error}\n"


def test_an_unforeseen_error_keeps_its_traceback():
    def main(argv=None):
        raise KeyError("a bug of ours")

    with pytest.raises(KeyError):
        clear_errors(main)([])


def test_option_types():
    assert positive("3") == 3 and finite("-1.5") == -1.5
    for kind, text in ((positive, "0"), (positive, "-2"), (finite, "nan"), (finite, "-inf")):
        with pytest.raises(argparse.ArgumentTypeError, match=text):
            kind(text)


def test_a_constant_lambda_defaults_to_the_schedule():
    parser = argparse.ArgumentParser()
    add_options(parser, out="runs/x")
    assert parser.parse_args([]).lam is None
    assert math.isclose(parser.parse_args(["--lam", "0.3"]).lam, 0.3)


def test_writable_makes_the_folder_and_leaves_no_trace(tmp_path):
    assert writable(tmp_path / "a/b") == tmp_path / "a/b"
    assert not list((tmp_path / "a/b").iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--out"):
        writable(tmp_path / "file")
