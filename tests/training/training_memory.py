"""Resident memory of a process that trains the small network, printed as JSON: bytes after each step.

`python training_memory.py trainings FOLDER N` trains N times; `... epochs FOLDER N` trains N epochs with
panels. A process of its own, because the memory of one that has done other work moves by what that left.
"""

import gc
import json
import os
import sys
from pathlib import Path


def resident() -> int:
    """Resident memory of this process, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def run(folder: str, name: str, **flags) -> None:
    """Train once, and forget what was trained."""
    import keras

    from attention_keras.runs.config import RunConfig
    from attention_keras.training.train import train

    small = {"limit": 64, "batch_size": 32, "precision": "float32"}
    train(RunConfig(**small, run_dir=folder, name=name, **flags), report=lambda line: None)
    keras.utils.clear_session()
    gc.collect()


def after_each_training(folder: str, number: int) -> list[int]:
    """Memory after each of `number` trainings."""
    sizes = []
    for index in range(number):
        run(folder, f"run{index}", epochs=1)
        sizes.append(resident())
    return sizes


def after_each_epoch(folder: str, number: int) -> list[int]:
    """Memory after each of `number` epochs that draw panels."""
    import keras

    from attention_keras.training.session import Session

    sizes, records = [], Session._records
    measure = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: sizes.append(resident()))
    Session._records = lambda *arguments: [*records(*arguments), measure]
    run(folder, "panels", epochs=number)
    return sizes


if __name__ == "__main__":
    from small_network import build_small_network

    from attention_keras.models import zoo

    zoo.build_model = build_small_network
    measures = {"trainings": after_each_training, "epochs": after_each_epoch}
    what, folder, number = sys.argv[1:]
    print(json.dumps(measures[what](folder, int(number))))
