"""What a signal means that comes again."""

import signal
import time
from pathlib import Path

import pytest

from attention_keras.training.checkpointing import Checkpointing
from attention_keras.training.history import History


@pytest.fixture
def listening():
    """A run that listens for signals."""
    history = History(steps_per_epoch=1, images_per_epoch=1, batch_size=1)
    checkpointing = Checkpointing(None, Path(), history, 1)
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    with checkpointing.listening():
        yield checkpointing
    signal.signal(signal.SIGINT, earlier)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_signals_of_one_moment_are_one_and_a_later_one_acts_at_once(listening, monkeypatch, first):
    began = time.monotonic()
    signal.raise_signal(first)
    # As `timeout` does, or a terminal and then the process that began this one.
    signal.raise_signal(first)
    signal.raise_signal(signal.SIGINT)
    monkeypatch.setattr(time, "monotonic", lambda: began + 60)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
