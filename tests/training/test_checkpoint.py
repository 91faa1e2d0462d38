"""Checkpoint files: whole or passed over, never silently wrong."""

import errno
import os
from pathlib import Path

import keras
import numpy as np
import pytest

from attention_keras.errors import UserError
from attention_keras.training import checkpoint
from attention_keras.training.checkpoint import Checkpoint, checkpoint_files, load_newest, save_checkpoint

ARRAYS = {
    "model/conv1/kernel": np.arange(12, dtype="float32").reshape(3, 4),
    "optimizer/iteration": np.array(7, "int64"),
    "model/dropout/seed_generator/state": np.array([9, 2], "uint32"),
    "model/empty": np.zeros((0, 3), "float32"),
}


def save(folder, step):
    return save_checkpoint(folder, Checkpoint(step, ARRAYS, {"history": [{"epoch": step}]}))


def assert_newest(folder, step, report=print):
    found = load_newest(folder, report)
    assert (found.step, found.record) == (step, {"history": [{"epoch": step}]})
    assert found.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found.arrays[name], array, strict=True)


def test_newest_wins_and_old_ones_go(tmp_path):
    damaged = save(tmp_path, 5000)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    for step in (9, 10, 100, 1000):
        save(tmp_path, step)
        assert_newest(tmp_path, step)
    assert [int(path.name[:9]) for path in checkpoint_files(tmp_path)] == [1000, 100]


def test_a_cut_file_and_a_flipped_bit_are_told_and_passed_over(tmp_path):
    save(tmp_path, 1)
    newest = save(tmp_path, 2)
    whole = newest.read_bytes()
    assert_newest(tmp_path, 2)
    damages = [whole[:offset] for offset in np.linspace(0, len(whole) - 1, 50).astype(int)]
    for position in np.random.default_rng(0).integers(0, len(whole) * 8, 200):
        flipped = bytearray(whole)
        flipped[position // 8] ^= 1 << (position % 8)
        damages.append(bytes(flipped))
    for content in damages:
        said = []
        newest.write_bytes(content)
        assert_newest(tmp_path, 1, said.append)
        assert len(said) == 1


def test_a_failing_disk_leaves_the_earlier_checkpoint(tmp_path, monkeypatch):
    (tmp_path / ".000000005.abc.safetensors.tmp").write_bytes(b"half")  # by a process that was killed
    assert load_newest(tmp_path) is None
    save(tmp_path, 1)

    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for failing in ((os, "fsync"), (Path, "replace")):
        with monkeypatch.context() as patch, pytest.raises(UserError, match="earlier checkpoints are intact"):
            patch.setattr(*failing, fail)
            save(tmp_path, 2)
        assert_newest(tmp_path, 1)
        assert len(list(tmp_path.iterdir())) == 1


def test_arrays_go_by_name_and_those_of_another_model_are_refused():
    one, other = (keras.Variable(np.zeros(2)) for _ in range(2))
    checkpoint.assign({"one": one, "other": other}, {"other": np.full(2, 2), "one": np.full(2, 1)})
    assert (one.numpy().tolist(), other.numpy().tolist()) == ([1, 1], [2, 2])
    for arrays in ({"one": np.zeros((2, 3))}, {}, {"b": np.zeros(2)}, {"one": np.zeros(2), "b": np.zeros(1)}):
        with pytest.raises(UserError, match="another model"):
            checkpoint.assign({"one": one}, arrays)
