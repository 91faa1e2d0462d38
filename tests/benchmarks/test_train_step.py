"""The benchmark of training measures what it says, on networks of a few channels."""

import sys

import numpy as np
import pytest

from attention_keras.errors import UserError
from benchmarks import train_step
from benchmarks.contestants import Rival
from benchmarks.peak import convolution, matrix_product


def test_cases_take_turns_and_ratios_are_of_the_first():
    words = "--models vgg vgg-att1-mean --precisions float32 --width 0.02 --batch-size 4 --steps 1 --rounds 2"
    options = train_step.parse(words.split())
    cases = train_step.measure(options)
    assert [case.model for case in cases] == ["vgg", "vgg-att1-mean"]
    assert all(len(case.step_seconds) == 2 and case.compile_seconds > case.seconds for case in cases)
    cases[1].step_seconds = [2 * cases[0].seconds]
    cells = dict(zip(train_step.HEADS, cases[1].row(cases[0], 4, {"float32": 1e12}), strict=True))
    assert cells["ratio"] == "0.50"
    flops = 6 * cases[1].macs * 4 / cases[1].seconds
    assert cells["utilisation"] == f"{flops / 1e12:.0%}"


def test_a_step_from_elsewhere_takes_its_turns(tmp_path):
    rival = tmp_path / "rival.py"
    rival.write_text(
        "import time\n"
        "def training_step(images, labels):\n"
        "    assert images.shape == (4, 32, 32, 3) and labels.shape == (4, 10)\n"
        "    print('on the way')\n"
        "    return lambda: time.sleep(0.02)\n"
    )
    words = "--models vgg --precisions float32 --width 0.02 --batch-size 4 --steps 2 --rounds 3 --compare"
    vgg, other = train_step.measure(train_step.parse([*words.split(), str(rival)]))
    assert len(vgg.step_seconds) == len(other.step_seconds) == 3
    assert 0.02 <= other.seconds < 1
    cells = dict(zip(train_step.HEADS, other.row(vgg, 4, {}), strict=True))
    assert cells["model"] == "rival" and float(cells["images/s"]) == pytest.approx(
        4 / other.seconds, rel=0.01
    )


@pytest.mark.parametrize("expected", ["auto", False])
def test_xla_is_left_out_where_training_leaves_it_out(expected, monkeypatch):
    monkeypatch.setattr("attention_keras.training.device.jit_compile", lambda: expected)
    assert train_step.jit_compile(train_step.parse_variant("no-dropout")) == expected
    assert train_step.jit_compile(train_step.parse_variant("xla")) is True


@pytest.mark.slow
def test_variants_change_what_they_say():
    words = "--models vgg --precisions float32 --width 0.02 --batch-size 4 --steps 4 --rounds 1 --variants"
    variants = ["plain", "no-dropout+keras-batch-norm+no-xla", "4-steps-per-execution"]
    plain, other, four = train_step.measure(train_step.parse([*words.split(), *variants]))
    kinds = [{type(layer).__name__ for layer in case.network.layers} for case in (plain, other)]
    assert kinds[0] - kinds[1] == {"Dropout"}
    assert plain.fused and not other.fused
    assert other.network.jit_compile is False
    assert (plain.network.steps_per_execution, four.network.steps_per_execution) == (1, 4)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--variants no-dropout+fast", "unknown variant 'fast'; allowed: plain, or any of no-dropout"),
        ("--steps 3 --variants plain 4-steps-per-execution", "that 4 divides; got 3"),
    ],
)
def test_variants_that_cannot_be(words, said):
    with pytest.raises(UserError, match=said):
        train_step.parse(words.split())


@pytest.mark.parametrize(
    ("text", "python", "said"),
    [
        (None, sys.executable, "there is no file"),
        ("x = 1", sys.executable, "rival stopped with exit code 1"),
        ("x = 1", "/no/python", "cannot start /no/python"),
    ],
)
def test_a_file_without_a_step_is_one_line(text, python, said, tmp_path):
    if text:
        (tmp_path / "rival.py").write_text(text)
    with pytest.raises(UserError, match=said):
        Rival.start(str(tmp_path / "rival.py"), python, *2 * [np.zeros(1)])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_peaks_are_plausible(dtype):
    assert 1e7 < matrix_product(dtype, 64, repeats=1) < 1e14
    assert 1e7 < convolution(dtype, (2, 8, 8, 16), repeats=1) < 1e14
