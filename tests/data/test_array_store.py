"""Arrays on disk: two processes at once, processes that died, disks that are full, bounded memory."""

import os
import re
import time
from pathlib import Path

import numpy as np
import pytest

from attention_keras.data.array_store import ArrayStore
from attention_keras.data.pipeline import training_batches
from attention_keras.data.split import Split
from attention_keras.errors import UserError

COLUMNS = {"images": ((3, 2, 2), "uint8"), "labels": ((3,), "int32")}
MEGABYTE = 1 << 20


def fill(arrays):
    arrays["images"][:], arrays["labels"][:] = 7, [1, 2, 3]


def test_the_faster_of_two_processes_wins_and_what_a_dead_one_left_goes_after_a_day(tmp_path):
    for age in (23, 25):
        left = tmp_path / f"unfinished-{age}"
        left.mkdir()
        (left / "images.npy").write_bytes(b"half")
        for path in (left / "images.npy", left):
            os.utime(path, (time.time() - 3600 * age,) * 2)
    store = ArrayStore(memory_limit=0, cache_dir=tmp_path)

    def while_another_does_the_same(arrays):
        store.build("key", COLUMNS, fill)
        fill(arrays)

    found = store.build("key", COLUMNS, while_another_does_the_same)
    assert found["labels"].tolist() == [1, 2, 3] and (found["images"][:] == 7).all()
    folder, left = sorted(tmp_path.iterdir())
    assert left.name == "unfinished-23"
    (folder / "images.npy").write_bytes(b"damaged")
    with pytest.raises(UserError, match=f"cannot read the cache {folder}: .*; delete that folder"):
        store.build("key", COLUMNS, fill)


def test_a_folder_that_cannot_be_written_and_a_disk_that_is_too_small(tmp_path, monkeypatch):
    (tmp_path / "attention_keras").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for given, advice in ((tmp_path / "attention_keras", "make room there"), (None, "set XDG_CACHE_HOME")):
        with pytest.raises(UserError, match=advice):
            ArrayStore(memory_limit=0, cache_dir=given).build("key", COLUMNS, fill)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 10 * MEGABYTE}))
    with pytest.raises(UserError, match=r"cannot keep 0\.1 GB in .*No space left"):
        ArrayStore(MEGABYTE, tmp_path / "disk").build("many", {"images": ((100 * MEGABYTE,), "uint8")}, fill)
    assert list((tmp_path / "disk").iterdir()) == []


def own_memory() -> int:
    """Bytes this process holds for itself; pages of the file on disk, which the system may drop, apart."""
    return 1024 * int(re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def test_an_epoch_from_disk_needs_the_memory_of_some_batches(tmp_path):
    images, side = 80_000, 32  # 246 MB

    def fill(arrays):
        for start in range(0, images, 1000):
            arrays["images"][start : start + 1000] = start // 1000

    before = own_memory()
    store = ArrayStore(memory_limit=MEGABYTE, cache_dir=tmp_path)
    columns = {"images": ((images, side, side, 3), "uint8")}
    split = Split(store.build("many", columns, fill)["images"], np.zeros(images, "int32"))
    batches = training_batches(split, num_classes=2, batch_size=500, seed=0, epochs=1, augment="flip")
    seen, grown = np.zeros(80, int), 0
    for step, (batch, _) in enumerate(batches):
        seen += np.bincount(batch.numpy()[:, 0, 0, 0], minlength=80)
        grown = max(grown, own_memory() - before) if step % 10 == 0 else grown
    assert (seen == 1000).all()
    assert grown < 120 * MEGABYTE, grown / MEGABYTE
