"""Arrays on disk: two processes at once, processes that died, disks that are full."""

import os
import time

import numpy as np
import pytest

from attention_keras.data.array_store import ArrayStore
from attention_keras.errors import UserError

COLUMNS = {"images": ((3, 2, 2), "uint8"), "labels": ((3,), "int32")}


def fill(arrays):
    arrays["images"][:], arrays["labels"][:] = 7, [1, 2, 3]
    return 3


def test_the_faster_of_two_processes_wins(tmp_path):
    store = ArrayStore(memory_limit=0, cache_dir=tmp_path)

    def while_another_does_the_same(arrays):
        store.build("key", COLUMNS, fill)
        return fill(arrays)

    found = store.build("key", COLUMNS, while_another_does_the_same)
    assert found["labels"].tolist() == [1, 2, 3] and (found["images"][:] == 7).all()
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("age", "kept"), [(23, True), (25, False)])
def test_what_a_process_that_died_left_is_deleted_after_a_day(tmp_path, age, kept):
    left = tmp_path / "unfinished-x"
    left.mkdir()
    (left / "images.npy").write_bytes(b"half")
    last = time.time() - 3600 * age
    for path in (left / "images.npy", left):
        os.utime(path, (last, last))
    ArrayStore(memory_limit=0, cache_dir=tmp_path).build("key", COLUMNS, fill)
    assert left.exists() is kept


@pytest.mark.parametrize(("given", "advice"), [(True, "make room there"), (False, "set XDG_CACHE_HOME")])
def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch, given, advice):
    (tmp_path / "attention_keras").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    store = ArrayStore(memory_limit=0, cache_dir=tmp_path / "attention_keras" if given else None)
    with pytest.raises(UserError, match=advice):
        store.build("key", COLUMNS, fill)


def test_rows_that_were_not_filled_are_not_there():
    found = ArrayStore().build("key", COLUMNS, lambda arrays: fill(arrays) - 1)
    assert {name: len(array) for name, array in found.items()} == {"images": 2, "labels": 2}
    assert isinstance(found["images"], np.ndarray)
