"""Files from strangers: only the documented error, nothing written outside, no memory, no hang."""

import contextlib
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
    """Flip a bit, cut, repeat, insert or overwrite somewhere, up to four times."""
    pieces = [b"{", b"[" * 500, b'"', b"\x00", b"-1", b"1e999", b"NaN", b"../", b"null"]
    for _ in range(rng.randint(1, 4)):
        at, length = rng.randrange(len(content) + 1), rng.randint(1, 64)
        before, after = content[:at], content[at:]
        flipped = bytes([after[0] ^ 1 << rng.randrange(8)]) if after else b""
        changed = [flipped + after[1:], after[length:], after[:length] + after, rng.choice(pieces) + after]
        content = before + rng.choice([*changed, rng.randbytes(8) + after[8:]])
    return content


@contextlib.contextmanager
def bounded(folder):
    """What is done inside is done soon, in little memory, and writes nothing new into the folder."""
    memory, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    names = sorted(os.listdir(folder))
    yield
    assert time.monotonic() - started < SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) * 1024 < BYTES
    assert sorted(os.listdir(folder)) == names


def attack(load, path, count, seed):
    """`load` on `count` mutations of the file at `path`; the number that were refused."""
    original, rng, refused = path.read_bytes(), random.Random(seed), 0
    for _ in range(count):
        path.write_bytes(mutate(original, rng))
        with bounded(path.parent):
            try:
                load()
            except UserError as error:
                refused += 1
                assert "\n" not in str(error)
    return refused


@pytest.mark.parametrize(
    "counts", [(1500, 500, 100), pytest.param((5000, 4000, 1000), marks=pytest.mark.slow)]
)
def test_mutated_files(tmp_path, counts):
    configs, checkpoints, models = counts
    with Run(tmp_path / "run").writing(RunConfig()):
        pass
    config = tmp_path / "run" / "config.json"
    assert attack(lambda: Run.open(tmp_path / "run").id, config, configs, 1) > configs // 3

    arrays = {"a": np.arange(100, dtype="float32"), "b": np.array(3, "int64")}
    path = save_checkpoint(tmp_path / "checkpoints", Checkpoint(7, arrays, {"history": []}))

    def load():
        said = []
        found = load_newest(path.parent, said.append)
        assert said if found is None else (found.step == 7 and np.array_equal(found.arrays["a"], arrays["a"]))

    attack(load, path, checkpoints, 2)

    model = tmp_path / "models" / "model.keras"
    model.parent.mkdir()
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]).save(model)
    assert attack(lambda: load_model(model), model, models, 3) > models // 2


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
        with bounded("."), pytest.raises(UserError, match="cannot load"):
            load_model("bad.keras")
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
