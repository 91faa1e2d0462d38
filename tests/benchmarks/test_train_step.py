"""The benchmark of training measures what it says, on networks of a few channels."""

import pytest

from benchmarks import train_step
from benchmarks.peak import convolution, matrix_product


def test_cases_take_turns_and_ratios_are_of_the_first():
    words = "--models vgg vgg-att1-mean --precisions float32 --width 0.02 --batch-size 4 --steps 1 --rounds 2"
    options = train_step.parse(words.split())
    cases = train_step.measure(options)
    assert [case.model for case in cases] == ["vgg", "vgg-att1-mean"]
    assert all(len(case.step_seconds) == 2 and case.compile_seconds > case.seconds for case in cases)
    cases[1].step_seconds = [2 * cases[0].seconds]
    cells = dict(zip(train_step.HEADS, train_step.row(cases[1], cases[0], 4, {"float32": 1e12}), strict=True))
    assert cells["ratio"] == "0.50"
    flops = 6 * cases[1].macs * 4 / cases[1].seconds
    assert cells["utilisation"] == f"{flops / 1e12:.0%}"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_peaks_are_plausible(dtype):
    assert 1e7 < matrix_product(dtype, 64, repeats=1) < 1e14
    assert 1e7 < convolution(dtype, (2, 8, 8, 16), repeats=1) < 1e14
