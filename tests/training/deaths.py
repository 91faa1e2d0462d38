"""Ways for a training to die, in place of a kill: what is inside the `with` must die so."""

import contextlib
from collections.abc import Iterator

import pytest

from attention_keras.training.checkpointing import Checkpointing
from attention_keras.training.session import Session


class Death(Exception):
    """Stands in for a kill."""


@contextlib.contextmanager
def death_at(step: int) -> Iterator[None]:
    """Right after optimiser step `step`, before anything is saved for it."""
    original = Checkpointing.on_train_batch_end

    def die(self, batch, logs=None):
        if self.history.step == step:
            raise Death
        original(self, batch, logs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpointing, "on_train_batch_end", die)
        with pytest.raises(Death):
            yield


@contextlib.contextmanager
def death_before_the_test() -> Iterator[None]:
    """After the last epoch, before the run is tested and saved."""

    def die(self, history, seconds):
        raise Death

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "finish", die)
        with pytest.raises(Death):
            yield
