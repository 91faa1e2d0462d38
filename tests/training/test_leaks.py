"""Memory does not grow with the number of trainings, nor with epochs that draw panels."""

import gc
import os
from pathlib import Path

import keras
import pytest

from attention_keras.runs.options import TrainOptions
from attention_keras.training.session import Session
from attention_keras.training.train import train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small_network")]
MEGABYTE = 1 << 20


def resident() -> int:
    """Resident memory of this process, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def run(folder, name, **flags):
    config = TrainOptions.of(
        limit=64, batch_size=32, precision="float32", run_dir=str(folder), name=name, **flags
    )
    train(config, report=lambda line: None)
    keras.utils.clear_session()
    gc.collect()


def test_thirty_trainings_grow_by_less_than_a_megabyte_each(tmp_path):
    for warm_up in range(5):
        run(tmp_path, f"warm{warm_up}", epochs=1, panels=0)
    before = resident()
    for cycle in range(30):
        run(tmp_path, f"run{cycle}", epochs=1, panels=0)
    assert (resident() - before) / 30 < MEGABYTE


def test_twenty_epochs_with_panels_stay_under_fifty_megabytes(tmp_path, monkeypatch):
    sizes, records = [], Session._records
    measure = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: sizes.append(resident()))
    monkeypatch.setattr(Session, "_records", lambda *arguments: [*records(*arguments), measure])
    run(tmp_path, "panels", epochs=22, panels=8)
    assert len(sizes) == 22
    assert sizes[-1] - sizes[1] < 50 * MEGABYTE
