"""What happens after steps and epochs, without a training: early stopping, signals, speed."""

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


def test_the_speed_leaves_out_the_first_step_unless_it_is_the_only_one(monkeypatch):
    for settings, ticks, speed in (
        ({"steps_per_epoch": 2, "images_per_epoch": 4, "batch_size": 3}, (0, 10, 10, 12, 12), 1 / 2),
        ({"images_per_epoch": 60, "batch_size": 64}, (0, 10, 10), 60 / 10),
    ):
        monkeypatch.setattr(time, "perf_counter", iter(map(float, ticks)).__next__)
        counted = history(**settings)
        counted.on_epoch_begin(0)
        for batch in range(counted.steps_per_epoch):
            counted.on_train_batch_end(batch, {"loss": 1.0})
        assert counted._speed() == pytest.approx(speed)
        assert counted.images_seen == counted.images_per_epoch


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_signals_of_one_moment_are_one_and_a_later_one_acts_at_once(monkeypatch, first):
    checkpointing = Checkpointing(None, Path(), history(), 1)
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    with checkpointing.listening():
        began = time.monotonic()
        # As `timeout` does, or a terminal and then the process that began this one.
        for number in (first, first, signal.SIGINT):
            signal.raise_signal(number)
        monkeypatch.setattr(time, "monotonic", lambda: began + 60)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, earlier)
