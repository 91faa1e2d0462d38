"""Versions: numbered like TensorFlow Serving's, published by one rename, and never half a version."""

import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from small_run import NAMES

from attention_keras.errors import UserError
from attention_keras.serving.export import export_model
from attention_keras.serving.versions import (
    newest_version,
    next_number,
    publish,
    unfinished_version,
    versions,
)


def test_numbers_are_read_as_tensorflow_serving_reads_them(tmp_path):
    """And the next is above those of versions and of files beside them."""
    directory = tmp_path / "m"
    assert next_number(directory) == 1 and newest_version(directory) is None
    for name in ("1", "007", "٣", "1.5", "-2", str(2**63), "5x", ".unfinished-x"):
        (directory / name).mkdir(parents=True)
    assert versions(directory) == {1: directory / "1", 7: directory / "007"}
    assert newest_version(directory) == directory / "007" and next_number(directory) == 8
    for name, number in (("m-13.onnx", 14), ("other-19.onnx", 14), ("m-x.tflite", 14)):
        (directory / name).mkdir()
        assert next_number(directory) == number
    file = directory / "model.onnx"
    file.write_text("a file")
    with pytest.raises(UserError, match=r"m-13\.onnx exists already"):
        publish({".onnx": file}, directory, 13)
    assert publish({".onnx": file}, directory, 5) == {".onnx": directory / "m-5.onnx"}


def test_exporters_at_the_same_time_take_different_numbers(tmp_path):
    def export(number):
        with unfinished_version(tmp_path) as unfinished:
            (unfinished / "saved_model").mkdir()
            (unfinished / "saved_model" / "who").write_text(str(number))
            return publish({"": unfinished / "saved_model"}, tmp_path)[""]

    with ThreadPoolExecutor(8) as pool:
        published = list(pool.map(export, range(64)))
    assert sorted(versions(tmp_path)) == list(range(1, 65))
    assert [(path / "who").read_text() for path in published] == [str(number) for number in range(64)]


def test_where_nothing_can_be_written_nothing_is_left(model, tmp_path):
    """A file in the way, a folder that is not to be written, and a system without room, which refuses files
    beyond 100 kB."""

    def refuses(directory):
        with pytest.raises(UserError, match=r"cannot write to .*; choose another folder"):
            export_model(model, directory, class_names=NAMES, card={})

    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "file", tmp_path / "file" / "m", Path("/proc/exports/m")):
        refuses(directory)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, unlimited[1]))
    try:
        refuses(tmp_path / "exports" / "m")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
