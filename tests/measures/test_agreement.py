"""How alike maps are, by hand."""

import numpy as np

from attention_keras.measures.agreement import movement, rank_correlation, total_variation


def test_rank_correlation():
    ramp = np.arange(16.0).reshape(1, 4, 4)
    pairs = [(ramp, np.exp(ramp)), (ramp, -ramp), (ramp, np.ones_like(ramp)), (ramp, ramp.transpose(0, 2, 1))]
    values = [rank_correlation(a, b)[0] for a, b in pairs]
    np.testing.assert_allclose(values, [1, -1, 0, 8 / 17], atol=1e-12)


def test_total_variation_and_movement_by_hand():
    left, right = np.array([[[1.0, 0.0]]]), np.array([[[0.0, 4.0]]])
    assert total_variation(left, right)[0] == 1
    assert total_variation(left, left * 7)[0] == 0
    own = np.concatenate([left, right])
    scores = movement(own, np.stack([own, own[::-1]]))
    assert scores == {"correlation": 0.0, "total_variation": 0.5, "between_targets": 1.0}
