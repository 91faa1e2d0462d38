"""Early stopping: which histories it ends."""

import pytest

from attention_keras.training.callbacks import Patience
from attention_keras.training.history import History


def of(accuracies):
    records = [{"epoch": place + 1, "val_accuracy": value} for place, value in enumerate(accuracies)]
    return History(steps_per_epoch=1, images_per_epoch=1, batch_size=1, records=records)


@pytest.mark.parametrize(
    ("accuracies", "first", "over"),
    [
        ([], 0, False),
        ([0.5, 0.4], 0, False),
        ([0.5, 0.4, 0.5], 0, True),  # as good is not better
        ([0.5, 0.4, 0.6], 0, False),
        ([0.9, 0.4, 0.3, 0.3], 3, False),  # one epoch that counts, of the two
        ([0.9, 0.4, 0.3, 0.3, 0.2], 3, True),
    ],
)
def test_patience_counts_epochs_without_a_better_one(accuracies, first, over):
    assert Patience(of(accuracies), 2, first).is_over == over
    assert not Patience(of(accuracies), 0, first).is_over
