"""Files from strangers: only the documented error, nothing written outside, no memory, no hang."""

import io
import json
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
            content[at:at] = rng.choice(
                [b"{", b"[" * 500, b'"', b"\x00", b"-1", b"1e999", b"NaN", b"../", b"null"]
            )
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
    run = Run(tmp_path)
    options = RunConfig()
    with run.writing(options):
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


def test_mutated_files(tmp_path):
    for attack_one, count in ((attack_config, 1500), (attack_checkpoint, 500), (attack_model, 100)):
        folder = tmp_path / attack_one.__name__
        folder.mkdir()
        attack_one(folder, count)


@pytest.mark.slow
def test_ten_thousand_mutated_files(tmp_path):
    for attack_one, count in ((attack_config, 5000), (attack_checkpoint, 4000), (attack_model, 1000)):
        folder = tmp_path / attack_one.__name__
        folder.mkdir()
        attack_one(folder, count)


@pytest.fixture
def archive(tmp_path):
    """The members of a good .keras file, and a function that writes changed ones."""
    build_model("vgg", width=0.03).save(tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as good:
        members = {name: good.read(name) for name in good.namelist()}
    (tmp_path / "good.keras").unlink()

    def write(**changes):
        path = tmp_path / "bad.keras"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bad:
            for name, content in {**members, **{k.replace("__", "."): v for k, v in changes.items()}}.items():
                bad.writestr(name, content)
        return path

    return members, write


def refused(path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    with pytest.raises(UserError, match="cannot load"):
        load_model(path)
    assert time.monotonic() - started < SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < BYTES


def test_a_zip_bomb(archive):
    _, write = archive
    refused(write(config__json=b" " * (200 << 20)))
    refused(write(**{"assets/bomb.bin": bytes(300 << 20)}))


@pytest.mark.parametrize("name", ["../escaped.txt", "/tmp/escaped_attention.txt", "assets/../../escaped.txt"])
def test_paths_out_of_the_archive(archive, name, tmp_path):
    _, write = archive
    refused(write(**{name: b"out"}))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.keras"]


def test_a_huge_declared_shape(archive):
    members, write = archive
    buffer = io.BytesIO(members["model.weights.h5"])
    with h5py.File(buffer, "r+") as file:
        kernel = file["layers/conv2d/vars"]
        del kernel["0"]
        kernel.create_dataset("0", shape=(1 << 20, 1 << 20), dtype="float32", chunks=(1024, 1024))
    refused(write(**{"model.weights.h5": buffer.getvalue()}))


@pytest.mark.parametrize(
    "layer",
    [
        {"module": "os", "class_name": "system", "config": {"command": "touch escaped"}},
        {"module": "keras.layers", "class_name": "Lambda", "config": {"function": ["4wEAAAA=", None, None]}},
        {
            "module": "keras.utils",
            "class_name": "get_file",
            "config": {"fname": "x", "origin": "file:///etc/passwd"},
        },
    ],
)
def test_configs_that_would_run_code(archive, layer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    members, write = archive
    config = json.loads(members["config.json"])
    config["config"]["layers"][1] = {**config["config"]["layers"][1], **layer}
    refused(write(config__json=json.dumps(config).encode()))
    assert not (tmp_path / "escaped").exists()


def test_labels_of_a_run_may_be_anything(tmp_path):
    from attention_keras.evaluation.subjects.load import load_predictor

    build_model("vgg", num_classes=3, width=0.03).save(tmp_path / "model.keras")
    for content in (b"", b"\xff\xfe\x00", b"a\n" * 100_000):
        (tmp_path / "labels.txt").write_bytes(content)
        try:
            load_predictor(tmp_path)
        except UserError as error:
            assert "labels.txt" in str(error)
