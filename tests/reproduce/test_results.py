"""The numbers of a table, from runs written by hand."""

import dataclasses
import json

import pytest

from attention_keras.commands.command_line import parse
from attention_keras.reproduce.options import ReproduceOptions
from attention_keras.reproduce.results import command_words, write_tables

ATTACKS = ("FGSM", "worst case")


def write_run(folder, name, error, *, seconds=120.0, accuracy=0.5, insertion=0.6):
    """A finished run as train.py and evaluate.py leave it, as far as the table reads it."""
    run = folder / name
    (run / "evaluation").mkdir(parents=True)
    (run / "config.json").write_text("{}")
    metrics = {"test_error": error, "parameters": 1234567, "macs": 2_500_000, "seconds": seconds}
    metrics |= {"commit": "0123456789abcdef", "hardware": "a processor, 2 cores", "precision": "float32"}
    (run / "metrics.json").write_text(json.dumps(metrics))
    epsilons = [0.0, 1.0, 2.0, 4.0]
    attacked = {attack: [accuracy - 0.1 * i for i in range(4)] for attack in ATTACKS}
    found = {"images": 8, "epsilons": epsilons, "accuracy": attacked}
    (run / "evaluation" / "robustness.json").write_text(json.dumps({"values": {name: found}}))
    pointing = {"pointing_game": 1 - error, "attention_on_object": 0.25}
    found = {"images": 8, "localization": {"conv7": pointing}}
    (run / "evaluation" / "classification.json").write_text(json.dumps({"values": {name: found}}))
    score = {"images": 8, "insertion": [insertion, 0.01], "deletion": [0.2, 0.01], "entropy": 0.5}
    maps = {name: dict.fromkeys(("attention conv13", "Grad-CAM", "SmoothGrad", "random"), score)}
    (run / "evaluation" / "faithfulness.json").write_text(json.dumps({"values": maps}))


@pytest.fixture
def results(tmp_path):
    config = ReproduceOptions(
        "cifar10", seeds=3, models=("vgg", "vgg-hires", "vgg-gap"), run_dir=str(tmp_path)
    )
    for seed, error in enumerate((0.10, 0.12, 0.14)):
        write_run(tmp_path, f"vgg-s{seed}", error, seconds=60.0 * (seed + 1), accuracy=0.8 + 0.1 * seed)
    write_run(tmp_path, "vgg-hires-s1", 0.2)
    return write_tables(config)


def test_means_and_spreads_over_seeds(results):
    text = results.read_text()
    assert "| `vgg` | 3 | 12.0 ± 2.0 | 7.77 | 1,234,567 | 2 | 2.0 |" in text
    assert "| `vgg-hires` | 1 | 20.0 |  | 1,234,567 | 2 | 2.0 |" in text
    assert text.count("vgg-gap") == 1  # in the command
    assert "| `vgg` | 90.0 ± 10.0 | 80.0 ± 10.0 | 70.0 ± 10.0 | 60.0 ± 10.0 | 80.0" in text
    assert "| `vgg` | attention conv13 | 0.600 ± 0.000 | 0.200 ± 0.000 | 0.50 ± 0.00 |" in text
    assert "| `vgg` | SmoothGrad | 0.600 ± 0.000 | 0.200 ± 0.000 | 0.50 ± 0.00 |" in text
    assert "| `vgg` | conv7 | 88.0 ± 2.0 | 86.0 | 25.0 ± 0.0 |" in text
    assert "`attention-keras reproduce cifar10 --seeds 3 --models vgg vgg-hires vgg-gap" in text
    assert "commit 01234567" in text and "a processor, 2 cores" in text


OTHER = {
    "seeds": 5,
    "models": ("vgg", "vgg-gap"),
    "measures": ("classification", "faithfulness"),
    "images": 32,
    "jobs": 2,
    "width": 0.0625,
    "epochs": 4,
    "limit": 500,
    "data_dir": "my data",
    "run_dir": "runs/other",
}


@pytest.mark.parametrize("given", [*([name] for name in OTHER), OTHER])
def test_the_command_that_is_written_gives_the_same_options(given):
    config = ReproduceOptions("cifar10-cpu", **{name: OTHER[name] for name in given})
    _, command, *words = command_words(config)
    assert (command, parse(ReproduceOptions, words)) == ("reproduce", config)
    assert {field.name for field in dataclasses.fields(config)} == {"table", *OTHER}


def test_no_measures_are_written_too():
    config = ReproduceOptions("cifar10", measures=())
    assert parse(ReproduceOptions, command_words(config)[2:]) == config


def test_the_heading_says_what_was_trained(tmp_path):
    shorter = ReproduceOptions("cifar10-cpu", run_dir=str(tmp_path), width=0.0625, epochs=4, limit=500)
    assert "- training: 4 epochs at width 0.0625, 500 training images\n" in write_tables(shorter).read_text()
    whole = ReproduceOptions("cifar10-cpu", run_dir=str(tmp_path))
    assert "- training: 1 epoch at width 0.125\n" in write_tables(whole).read_text()


def test_a_line_for_each_run(results):
    lines = results.with_suffix(".csv").read_text().splitlines()
    assert len(lines) == 5
    assert lines[1].startswith("vgg,0,0.1,1234567,2500000,60.0,float32,0123456789abcdef,")
    assert ",attention-keras train --dataset cifar10 --model vgg " in lines[1] and "--name vgg-s0" in lines[1]
    rows = json.loads(results.with_suffix(".json").read_text())["rows"]
    assert [run["seed"] for row in rows for run in row["runs"]] == [0, 1, 2, 1]
