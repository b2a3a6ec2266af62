"""Options that programs share."""

import argparse
import math

import pytest

from minidann.experiments.config import Execution
from minidann.experiments.options import (
    add_image_options,
    add_method_option,
    add_options,
    execution,
    methods,
    seeds,
)
from minidann.runtime.errors import InputError


def parse(*argv, add=add_options, **defaults):
    parser = argparse.ArgumentParser()
    add(parser, out="runs/x", **defaults)
    return parser.parse_args(argv)


def test_a_constant_lambda_defaults_to_the_schedule():
    assert parse().lam is None
    assert math.isclose(parse("--lam", "0.3").lam, 0.3)


def test_steps_and_batch_size_default_to_the_recipes():
    assert parse(add=add_image_options).steps is None and parse().batch_size is None
    assert parse(steps=5, batch_size=3).steps == 5
    assert parse("--steps", "7", add=add_image_options, steps=5).steps == 7


def test_seeds_go_upwards():
    assert list(seeds(parse("--seed", "3", "--seeds", "2"))) == [3, 4]


def test_no_seed_is_larger_than_a_seed_can_be():
    last = parse("--seed", str(2**32 - 2), "--seeds", "2")
    assert list(seeds(last)) == [2**32 - 2, 2**32 - 1]
    with pytest.raises(InputError, match="smaller seed"):
        seeds(parse("--seed", str(2**32 - 2), "--seeds", "3"))


def test_so_many_seeds_that_they_cannot_be_listed_are_refused(capsys):
    with pytest.raises(SystemExit):
        parse("--seeds", "100000000")
    assert "argument --seeds: 100000000 is more than 100000" in capsys.readouterr().err


def test_where_tasks_are_executed():
    assert execution(parse()) == Execution()
    assert execution(parse("--jobs", "2")) == Execution(jobs=2)
    assert execution(parse("--cluster", "tcp://a:8786")) == Execution(cluster="tcp://a:8786")


@pytest.mark.parametrize(
    "argv, expected",
    [((), ("source", "target", "dann")), (("--method", "dann"), ("dann",))],
)
def test_methods_are_one_or_all(argv, expected):
    parser = argparse.ArgumentParser()
    add_method_option(parser)
    assert methods(parser.parse_args(argv)) == expected
