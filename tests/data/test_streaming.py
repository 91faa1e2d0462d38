"""A set that is larger than the cache limit streams through bounded memory."""

import re
from pathlib import Path

import numpy as np
import pytest

from attention_keras.data.array_store import ArrayStore
from attention_keras.data.pipeline import training_batches
from attention_keras.data.split import Split
from attention_keras.errors import UserError

IMAGES, SIDE = 80_000, 32  # 246 MB
MEGABYTE = 1 << 20


def own_memory() -> int:
    """Bytes this process holds for itself; pages of the file on disk, which the system may drop, apart."""
    return 1024 * int(re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def test_an_epoch_from_disk(tmp_path):
    def fill(arrays):
        for start in range(0, IMAGES, 1000):
            arrays["images"][start : start + 1000] = start // 1000
        return IMAGES

    before = own_memory()
    store = ArrayStore(memory_limit=MEGABYTE, cache_dir=tmp_path)
    columns = {"images": ((IMAGES, SIDE, SIDE, 3), "uint8")}
    split = Split(store.build("many", columns, fill)["images"], np.zeros(IMAGES, "int32"))
    batches = training_batches(split, num_classes=2, batch_size=500, seed=0, epochs=1, augment="flip")
    seen, grown = np.zeros(80, int), 0
    for step, (images, _) in enumerate(batches):
        seen += np.bincount(images.numpy()[:, 0, 0, 0], minlength=80)
        grown = max(grown, own_memory() - before) if step % 10 == 0 else grown
    assert (seen == 1000).all()
    assert grown < 120 * MEGABYTE, grown / MEGABYTE


def test_a_disk_that_is_too_small_is_told_before_it_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 10 * MEGABYTE}))
    store = ArrayStore(memory_limit=MEGABYTE, cache_dir=tmp_path)
    with pytest.raises(UserError, match=r"cannot keep 0\.1 GB in .*No space left"):
        store.build("many", {"images": ((100 * MEGABYTE,), "uint8")}, fill=lambda arrays: 0)
    assert list(tmp_path.iterdir()) == []
