"""Tables by name: every run of every table is a valid config, and its command makes it."""

import pytest

from attention_keras.commands.config_flags import parse_config
from attention_keras.errors import UserError
from attention_keras.reproduce.experiments import TABLES, command_line
from attention_keras.reproduce.options import ReproduceOptions
from attention_keras.runs.config import RunConfig


@pytest.mark.parametrize("table", TABLES)
def test_every_command_makes_its_run(table):
    runs = ReproduceOptions(table, seeds=2).runs()
    assert len({run.name for run in runs}) == 2 * len(TABLES[table].models)
    for run in runs:
        words = command_line(run).split()
        assert words[:2] == ["attention-keras", "train"]
        assert parse_config(words[2:], description="", prog="") == run


def test_every_table_has_the_control():
    for experiment in TABLES.values():
        if not experiment.variants:
            assert {"vgg", "vgg-hires", "vgg-att2-concat-mean"} <= set(experiment.models)


def test_rows_of_one_network_differ_in_their_own_settings():
    config = ReproduceOptions("digits-attend-to", seeds=1)
    recipes = [(run.attend_to, run.attend_to_fraction) for run in config.runs()]
    weight = recipes[-1][0]
    assert weight > 0 and recipes == [(0.0, 1.0), (weight, 0.01), (weight, 0.1), (weight, 1.0)]
    assert {run.model for run in config.runs()} == {"vgg-att2-concat-pc"}
    assert (config.tasks, config.test_images) == (("classification",), 2000)
    assert ReproduceOptions("digits").tasks == ("robustness", "faithfulness")
    assert ReproduceOptions("digits", measures=(), images=3).tasks == ()


def test_what_is_given_replaces_what_the_table_says():
    config = ReproduceOptions("cifar10-cpu", seeds=1, models=("vgg",), width=0.5, run_dir="elsewhere")
    (run,) = config.runs()
    assert (run.width, run.epochs, run.seed) == (0.5, 1, 0)
    assert run.run_dir == "elsewhere"
    assert command_line(RunConfig(deterministic=True)) == "attention-keras train --deterministic"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"table": "imagenet"}, "unknown table 'imagenet'; allowed: digits, digits-attend-to, cifar10-cpu"),
        ({"table": "digits", "jobs": 0}, "jobs must be 1 or more; got 0"),
        ({"table": "digits", "models": ("vgg-att9",)}, "unknown model 'vgg-att9'"),
    ],
)
def test_mistakes(fields, said):
    with pytest.raises(UserError, match=said):
        ReproduceOptions(**fields).runs()
