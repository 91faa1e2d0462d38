"""Files from strangers: only the documented error, nothing written outside, no memory, no hang."""

import io
import json
import os
import random
import resource
import time
import zipfile

import h5py
import keras
import numpy as np
import pytest

from attention_keras import build_model, load_model
from attention_keras.errors import UserError
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import Run
from attention_keras.training.checkpoint import Checkpoint, load_newest, save_checkpoint

SECONDS, BYTES = 5, 1 << 30


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Flip, cut, repeat, insert or overwrite somewhere."""
    content = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(content) + 1)
        kind = rng.randrange(5)
        if kind == 0 and content:
            content[at % len(content)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del content[at : at + rng.randint(1, 64)]
        elif kind == 2:
            content[at:at] = content[at : at + rng.randint(1, 64)]
        elif kind == 3:
            pieces = [b"{", b"[" * 500, b'"', b"\x00", b"-1", b"1e999", b"NaN", b"../", b"null"]
            content[at:at] = rng.choice(pieces)
        else:
            content[at : at + 8] = rng.randbytes(8)
    return bytes(content)


def attack(load, path, original, count, seed):
    """`load` on `count` mutations of the file at `path`; the number that were refused."""
    rng, refused = random.Random(seed), 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    neighbours = sorted(p.name for p in path.parent.iterdir())
    for _ in range(count):
        path.write_bytes(mutate(original, rng))
        started = time.monotonic()
        try:
            load()
        except UserError as error:
            refused += 1
            assert "\n" not in str(error)
        assert time.monotonic() - started < SECONDS
    assert sorted(p.name for p in path.parent.iterdir()) == neighbours
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < BYTES
    return refused


def attack_config(tmp_path, count):
    path = tmp_path / "config.json"
    with Run(tmp_path).writing(RunConfig()):
        original = path.read_bytes()
    assert attack(lambda: Run.open(tmp_path).id, path, original, count, 1) > count // 3


def attack_checkpoint(tmp_path, count):
    arrays = {"a": np.arange(100, dtype="float32"), "b": np.array(3, "int64")}
    path = save_checkpoint(tmp_path, Checkpoint(7, arrays, {"history": []}))
    original, loaded = path.read_bytes(), []

    def load():
        said = []
        checkpoint = load_newest(tmp_path, said.append)
        loaded.append(checkpoint)
        assert (checkpoint is None) == bool(said)

    attack(load, path, original, count, 2)
    assert all(c is None or (c.step == 7 and np.array_equal(c.arrays["a"], arrays["a"])) for c in loaded)


def attack_model(tmp_path, count):
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]).save(path)
    assert attack(lambda: load_model(path), path, path.read_bytes(), count, 3) > count // 2


@pytest.mark.parametrize(
    "counts", [(1500, 500, 100), pytest.param((5000, 4000, 1000), marks=pytest.mark.slow)]
)
def test_mutated_files(tmp_path, counts):
    for attack_one, count in zip((attack_config, attack_checkpoint, attack_model), counts):
        folder = tmp_path / attack_one.__name__
        folder.mkdir()
        attack_one(folder, count)


def huge_shape(weights):
    """A kernel that says it is a million squared."""
    buffer = io.BytesIO(weights)
    with h5py.File(buffer, "r+") as file:
        kernel = file["layers/conv2d/vars"]
        del kernel["0"]
        kernel.create_dataset("0", shape=(1 << 20, 1 << 20), dtype="float32", chunks=(1024, 1024))
    return buffer.getvalue()


def test_hostile_archives(tmp_path, monkeypatch):
    """Bombs, paths out of the archive, and configs that would run code."""
    monkeypatch.chdir(tmp_path)
    build_model("vgg", width=0.03).save("good.keras")
    with zipfile.ZipFile("good.keras") as good:
        members = {name: good.read(name) for name in good.namelist()}
    os.unlink("good.keras")

    def with_layer(module, name, **config):
        changed = json.loads(members["config.json"])
        changed["config"]["layers"][1] |= {"module": module, "class_name": name, "config": config}
        return {"config.json": json.dumps(changed)}

    for changes in (
        {"config.json": b" " * (200 << 20)},
        {"assets/bomb.bin": bytes(300 << 20)},
        {"../escaped.txt": b"out"},
        {"/tmp/escaped_attention.txt": b"out"},
        {"assets/../../escaped.txt": b"out"},
        {"model.weights.h5": huge_shape(members["model.weights.h5"])},
        with_layer("os", "system", command="touch escaped"),
        with_layer("keras.layers", "Lambda", function=["4wEAAAA=", None, None]),
        with_layer("keras.utils", "get_file", fname="x", origin="file:///etc/passwd"),
    ):
        with zipfile.ZipFile("bad.keras", "w", zipfile.ZIP_DEFLATED) as bad:
            for name, content in {**members, **changes}.items():
                bad.writestr(name, content)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.monotonic()
        with pytest.raises(UserError, match="cannot load"):
            load_model("bad.keras")
        assert time.monotonic() - started < SECONDS, list(changes)
        assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < BYTES
        assert os.listdir() == ["bad.keras"] and not os.path.exists("/tmp/escaped_attention.txt")


def test_labels_of_a_run_may_be_anything(tmp_path):
    from attention_keras.evaluation.subjects.load import load_predictor

    build_model("vgg", num_classes=3, width=0.03).save(tmp_path / "model.keras")
    for content in (b"", b"\xff\xfe\x00", b"a\n" * 100_000):
        (tmp_path / "labels.txt").write_bytes(content)
        try:
            load_predictor(tmp_path)
        except UserError as error:
            assert "labels.txt" in str(error)
