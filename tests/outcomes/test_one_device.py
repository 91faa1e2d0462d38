"""Two devices train what one does: the same losses and the same weights, up to rounding."""

import numpy as np
import pytest
from doors import digits_run, results, run_script


def test_mirrored_equals_one_device(digits, monkeypatch):
    monkeypatch.chdir(digits)
    assert run_script(*digits_run("mirrored", "--strategy", "mirrored")) == 0
    one, two = (results(digits / "runs" / name) for name in ("whole", "mirrored"))
    for a, b in zip(one[0], two[0], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6, rtol=1e-6)
    for a, b in zip(one[1], two[1], strict=True):
        assert a == pytest.approx(b, abs=1e-6, rel=1e-6)
    assert one[2]["test_error"] == pytest.approx(two[2]["test_error"], abs=1e-6)
