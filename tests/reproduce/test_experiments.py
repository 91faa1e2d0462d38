"""Tables by name: every run of every table is a valid config, and its command makes it."""

import pytest

from attention_keras.commands.command_line import parse
from attention_keras.errors import UserError
from attention_keras.reproduce.experiments import TABLES, command_line
from attention_keras.reproduce.options import ReproduceConfig
from attention_keras.runs.options import TrainConfig


@pytest.mark.parametrize("table", TABLES)
def test_every_command_makes_its_run(table):
    runs = ReproduceConfig(table, seeds=2).run_configs()
    assert len({run.name for run in runs}) == 2 * len(TABLES[table].models)
    for run in runs:
        words = command_line(run).split()
        assert words[:2] == ["python", "train.py"]
        assert parse(TrainConfig, words[2:]) == run


def test_every_table_has_the_control():
    for experiment in TABLES.values():
        assert {"vgg", "vgg-hires", "vgg-att2-concat-mean"} <= set(experiment.models)


def test_what_is_given_replaces_what_the_table_says():
    config = ReproduceConfig("cifar10-cpu", seeds=1, models=("vgg",), width=0.5, run_dir="elsewhere")
    (run,) = config.run_configs()
    assert (run.width, run.epochs, run.run_dir, run.seed) == (0.5, 1, "elsewhere", 0)
    assert command_line(TrainConfig(deterministic=True, taps=None)) == "python train.py --deterministic"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"table": "imagenet"}, "unknown table 'imagenet'; allowed: digits, cifar10-cpu"),
        ({"table": "digits", "jobs": 0}, "jobs must be 1 or more; got 0"),
        ({"table": "digits", "models": ("vgg-att9",)}, "unknown model 'vgg-att9'"),
    ],
)
def test_mistakes(fields, said):
    with pytest.raises(UserError, match=said):
        ReproduceConfig(**fields).run_configs()
