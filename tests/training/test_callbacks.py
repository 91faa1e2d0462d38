"""What happens after steps and epochs, without a training: early stopping and signals."""

import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from attention_keras.training.callbacks import History
from attention_keras.training.checkpoint import Checkpointing


def history(accuracies=(), patience=0, frozen=0):
    found = History(SimpleNamespace(step_batch_size=1, patience=patience, frozen_epochs=frozen, epochs=9), 1)
    found.start(records=[{"epoch": n + 1, "val_accuracy": value} for n, value in enumerate(accuracies)])
    return found


def test_patience_counts_epochs_without_a_better_one():
    for accuracies, frozen, over in (
        ([], 0, False),
        ([0.5, 0.4], 0, False),
        ([0.5, 0.4, 0.5], 0, True),  # as good is not better
        ([0.5, 0.4, 0.6], 0, False),
        ([0.9, 0.4, 0.3, 0.3], 3, False),  # one epoch that counts, of the two
        ([0.9, 0.4, 0.3, 0.3, 0.2], 3, True),
    ):
        assert history(accuracies, 2, frozen).is_over == over, accuracies
        assert not history(accuracies, 0, frozen).is_over


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
