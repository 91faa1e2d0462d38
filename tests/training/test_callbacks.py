"""What happens after steps and epochs, without a training: early stopping and signals."""

import signal
import time
from pathlib import Path

import pytest

from attention_keras.training.callbacks import History
from attention_keras.training.checkpoint import Checkpointing


def history(accuracies=(), **changes):
    records = [{"epoch": place + 1, "val_accuracy": value} for place, value in enumerate(accuracies)]
    settings = {"steps_per_epoch": 1, "images_per_epoch": 1, "batch_size": 1, "records": records}
    return History(**settings | changes)


def test_patience_counts_epochs_without_a_better_one():
    for accuracies, first, over in (
        ([], 0, False),
        ([0.5, 0.4], 0, False),
        ([0.5, 0.4, 0.5], 0, True),  # as good is not better
        ([0.5, 0.4, 0.6], 0, False),
        ([0.9, 0.4, 0.3, 0.3], 3, False),  # one epoch that counts, of the two
        ([0.9, 0.4, 0.3, 0.3, 0.2], 3, True),
    ):
        assert history(accuracies, patience=2, first=first).is_over == over, accuracies
        assert not history(accuracies, first=first).is_over


def test_signals_of_one_moment_are_one_and_a_later_one_acts_at_once(monkeypatch):
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    for first in (signal.SIGINT, signal.SIGTERM):
        with monkeypatch.context() as patch, Checkpointing(None, Path(), history(), 1).listening():
            began = time.monotonic()
            # As `timeout` does, or a terminal and then the process that began this one.
            for number in (first, first, signal.SIGINT):
                signal.raise_signal(number)
            patch.setattr(time, "monotonic", lambda began=began: began + 60)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, earlier)
