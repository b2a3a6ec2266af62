"""Recorded runs, run again: which, from what, and what they may differ by."""

import json
import math

import pytest

from minidann.experiments import images, points, replays, variants
from minidann.experiments.points import BlobsTask
from minidann.experiments.replays import Replay, evenly, judge, load_record, table
from minidann.experiments.runs import Outcome, Task
from minidann.runtime.errors import InputError, TrainingError

RUN = {"seed": 0, "steps": 7, "source_class": 0.9, "target_class": 0.8}
IMAGES = RUN | {"source": "digits", "target": "digits-m", "method": "source"}
BLOBS = RUN | {"recipe": "annealed", "regime": "DANN"}


def write(path, program, runs, commit=True, **options):
    environment = {"commit": "a" * 40} if commit else {}
    record = {"program": f"python -m minidann.{program}", "options": options, "runs": runs}
    record |= {"environment": environment}
    path.write_text(json.dumps(record))
    return path


@pytest.fixture
def found(tmp_path):
    """The replays of a record of these runs."""

    def of(program, *runs, seeds=None, **options):
        return replays.replays(
            write(tmp_path / "results.json", program, runs, **options), seeds=seeds
        )

    return of


def test_a_run_is_what_its_record_says(found):
    ((blobs,), gone) = found("blobs", BLOBS, batch_size=5, lam=0.5, device="auto")
    assert not gone and blobs.function is points.train_and_test
    assert blobs.task == BlobsTask("annealed", "DANN", 0)
    settings = blobs.settings
    assert (settings.steps, settings.batch_size, settings.lam) == (7, 5, 0.5)
    assert settings.device == "auto"

    ablation = IMAGES | {"method": "dann", "variant": "no dropout"}
    ((of_variant,), _) = found("ablation", ablation, limit=9)
    assert of_variant.function is variants.train_and_test
    assert of_variant.task == Task("digits", "digits-m", "dann", 0, "no dropout")
    assert (of_variant.settings.recipe, of_variant.settings.limit) == ("best", 9)

    signs = IMAGES | {"method": "dann", "variant": "signs-pseudo"}
    ((of_signs,), _) = found("signs", signs)
    assert (of_signs.function, of_signs.settings.recipe) == (images.train_and_test, "signs")
    assert of_signs.task.variant == "signs-pseudo"

    tested = IMAGES | {"confusion": {"digits-m": [[1, 1], [0, 2]], "usps": [[1, 0], [0, 1]]}}
    ((of_digits,), _) = found("digits", tested, recipe="light")
    assert of_digits.function is images.train_and_test and of_digits.settings.recipe == "light"
    assert of_digits.settings.tested == ("digits-m", "usps")
    assert of_digits.recorded == {
        "source_class": 0.9,
        "target_class": 0.8,
        "digits-m_class": 0.75,
        "usps_class": 1.0,
    }


def test_old_records_name_neither_pair_nor_recipe(found):
    old = {name: IMAGES[name] for name in (*RUN, "method")}
    ((of_digits,), _) = found("mnistm", old, recipe="tf-dann", data="digits")
    assert of_digits.task.pair == ("digits", "digits-m") and of_digits.settings.lam is None
    ((of_blobs,), _) = found("blobs", RUN | {"regime": "DANN deep"}, anneal=True)
    assert of_blobs.task == BlobsTask("tf-dann", "DANN deep", 0)


@pytest.mark.parametrize(
    "program, run, options, sentence",
    [
        ("blobs", BLOBS | {"regime": "DANN wide"}, {}, "'DANN wide'; choose one of domain class"),
        ("digits", IMAGES | {"method": "adda"}, {}, "the method is 'adda'"),
        ("digits", IMAGES | {"target": "digits-x"}, {}, "no data set 'digits-x'"),
        ("mnistm", IMAGES, {"recipe": "worst"}, "the recipe is 'worst'"),
        ("ablation", IMAGES | {"variant": "no luck"}, {}, "the variant is 'no luck'"),
        ("signs", IMAGES | {"variant": "no dropout"}, {}, "the variant is 'no dropout'"),
        ("moon", RUN, {}, "the program is 'moon'"),
    ],
)
def test_what_does_not_exist_any_more_is_said_once(found, program, run, options, sentence):
    runs, gone = found(program, run, run | {"seed": 1}, **options)
    assert runs == [] and len(gone) == 1
    assert "results.json holds what does not exist" in gone[0] and sentence in gone[0]


@pytest.mark.parametrize("recipe, known", [("best", False), ("tf-dann", True)])
def test_images_that_a_name_does_not_stand_for_any_more(found, recipe, known):
    runs = [IMAGES | {"source": "mnist", "target": "mnistm", "seed": seed} for seed in (0, 1)]
    todo, gone = found("mnistm", *runs, commit=False, recipe=recipe)
    assert (len(todo), len(gone)) == ((2, 0) if known else (0, 1))
    assert known or "the data set mnistm as it was drawn before" in gone[0]
    todo, gone = found("mnistm", *runs, recipe=recipe)
    assert len(todo) == 2 and not gone


def test_seeds_are_spread_evenly_over_each_kind(found):
    runs = [BLOBS | {"seed": seed, "regime": name} for seed in range(9) for name in ("DANN",)]
    runs += [BLOBS | {"regime": "label only", "seed": 4}]
    todo, _ = found("blobs", *reversed(runs), seeds=3)
    assert [(of.task.regime, of.task.seed) for of in todo] == [
        ("DANN", 0),
        ("DANN", 4),
        ("DANN", 8),
        ("label only", 4),
    ]
    assert len(found("blobs", *runs)[0]) == 10
    assert evenly(20, 2) == [0, 19] and evenly(5, 1) == [0] and evenly(2, 9) == [0, 1]


def test_a_run_that_was_stopped_is_left_out(found):
    assert found("blobs", {"stopped_at": 3} | BLOBS) == ([], [])


@pytest.mark.parametrize(
    "text, reason",
    [
        ("no JSON", "Expecting value"),
        ("[]", "list indices"),
        ('{"options": {}}', "it has no 'program'"),
        ('{"program": "rm", "runs": []}', "its program is rm"),
        ('{"program": "python -m x", "options": [], "environment": {}}', "no tables"),
        ('{"program": "python -m x", "options": {}, "environment": {}, "runs": [3]}', "int"),
        ('{"program": "python -m x", "options": {}, "environment": {}, "runs": [{}]}', "'seed'"),
    ],
)
def test_a_file_that_is_no_record_is_one_sentence(tmp_path, text, reason):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"results\.json cannot be read") as error:
        load_record(path)
    assert reason in str(error.value) and "\n" not in str(error.value)


def test_missing_data_is_met_before_training(found, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDANN_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    todo, _ = found("digits", IMAGES | {"source": "mnist", "target": "usps"}, recipe="light")
    with pytest.raises(InputError, match="mnist"):
        replays.check_data(todo)


def test_a_replay_trains_again_and_writes_nothing_here(found, tmp_path):
    ((blobs,), _) = found("blobs", BLOBS)
    before = list(tmp_path.iterdir())
    today = replays.execute(blobs)
    assert {"source_class", "target_class", "source_domain", "target_domain"} == set(today)
    assert today == replays.execute(blobs) and list(tmp_path.iterdir()) == before


def test_what_a_replay_writes_is_thrown_away(found):
    ((blobs,), _) = found("blobs", BLOBS)
    folders = []

    def function(task, settings, row):
        (settings.out / "checkpoint").write_text("")
        folders.append(settings.out)
        return Outcome({"target_class": 0.5})

    assert replays.execute(blobs._replace(function=function)) == {"target_class": 0.5}
    assert not folders[0].exists()


def test_a_replay_that_diverges_differs_and_ends_no_other(found, capsys):
    def diverges(task, settings, row):
        raise TrainingError("training diverged by step 3")

    ((replay,), _) = found("blobs", BLOBS)
    today = replays.execute(replay._replace(function=diverges))
    assert all(math.isnan(value) for value in today.values())
    (finding,) = judge([(replay, today)])
    assert finding.verdict == "DIFFERS" and " nan " in table([finding])
    assert "DANN, seed 0: training diverged by step 3" in capsys.readouterr().err


def test_a_run_that_failed_is_left_out(found):
    failed = BLOBS | {"seed": 1, "failed": "training diverged by step 3"}
    (runs, gone) = found("blobs", BLOBS, failed)
    assert [replay.task.seed for replay in runs] == [0] and not gone


def test_ctrl_c_in_a_replay_ends_all(found):
    ((blobs,), _) = found("blobs", BLOBS)
    stopped = blobs._replace(function=lambda *_: Outcome({"stopped_at": 3}))
    with pytest.raises(KeyboardInterrupt):
        replays.execute(stopped)


def replay(**others):
    of = {
        "record": "r.json",
        "function": None,
        "task": BlobsTask("annealed", "DANN", 0),
        "settings": None,
        "kind": ("DANN",),
        "recorded": {"source_class": 0.9, "target_class": 0.8, "target_domain": 0.5},
        "sd": {"source_class": 0.01, "target_class": 0.02},
        "seconds": 1.0,
    }
    return Replay(**of | others)


def test_the_verdict_is_equal_or_within_what_rounding_can_do_or_not():
    recorded, limit = replay().recorded, 3 * math.sqrt(2) * 0.02
    for change, verdict in (
        ({}, "equal"),
        ({"target_domain": 0.4}, "close"),
        ({"target_class": 0.8 + 0.99 * limit}, "close"),
        ({"target_class": 0.8 - 1.01 * limit}, "DIFFERS"),
    ):
        (of,) = judge([(replay(), recorded | change)])
        assert (of.verdict, of.accuracy) == (verdict, "target_class"), change
        assert of.tolerance == pytest.approx(limit)
    (of,) = judge([(replay(), recorded | {"source_class": 0.8})])
    assert (of.accuracy, of.recorded, of.today, of.verdict) == ("source_class", 0.9, 0.8, "DIFFERS")


def test_the_mean_of_many_tells_what_one_does_not():
    drift = 2 * math.sqrt(2) * 0.02
    pairs = [
        (replay(task=BlobsTask("annealed", "DANN", seed)), replay().recorded) for seed in range(4)
    ]
    lower = [(of, today | {"target_class": 0.8 - drift}) for of, today in pairs]
    *runs, mean = judge(lower)
    assert {of.verdict for of in runs} == {"close"} and mean.verdict == "DIFFERS"
    assert mean.run == "mean of 4: DANN" and mean.today == pytest.approx(0.8 - drift)
    assert {of.verdict for of in judge(pairs)} == {"equal"}


def test_the_spread_is_over_the_seeds_of_a_kind(found):
    classes = "source_class", "target_class"
    circling = BLOBS | {"recipe": "tf-dann", "regime": "DANN deep", "source_domain": 0.4}
    runs = [circling | {"seed": i, "target_class": x} for i, x in enumerate((0.7, 0.8, 0.9))]
    (first, *_), _ = found("blobs", *runs)
    assert first.sd == pytest.approx(
        {"source_class": replays.LEAST_SD, "target_class": 0.1, "source_domain": replays.LEAST_SD}
    )
    (one, _), _ = found("blobs", *runs[:2])
    assert one.sd == dict.fromkeys(classes, replays.UNKNOWN_SD)
    for n in (2, 3):
        (one, *_), _ = found("blobs", *(run | BLOBS | {"seed": run["seed"]} for run in runs[:n]))
        assert one.sd == dict.fromkeys((*classes, "source_domain")[:n], replays.LEAST_SD)


def test_the_table_has_a_line_for_each():
    lines = table(judge([(replay(), replay().recorded)])).splitlines()
    assert lines[0].split()[:2] == ["accuracy", "recorded"] and lines[1] == "r.json: DANN, seed 0"
    assert lines[2].split() == ["target_class", "0.8000", "0.8000", "0.0849", "equal"]
    assert len(lines) == 3 and max(map(len, lines)) < 80
