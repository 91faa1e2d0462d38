"""Folders as people have them: read whole, or passed over with a word, or refused in one line."""

import os
import sys

import pytest
from PIL import Image

from attention_keras.data.files import endings_in_words
from attention_keras.data.folders import read_folder
from attention_keras.errors import UserError


def test_endings_and_deeper_folders_are_read_and_the_rest_is_counted(tmp_path, fill, caplog):
    fill(tmp_path, ["a", "a/2023/may", "b"], 2)
    for name in ("a/x.jfif", "a/y.JPE", "b/z.JPEG"):
        Image.new("RGB", (4, 4)).save(tmp_path / name, "JPEG")
    nothing = ["a/notes.txt", "b/more.txt", "b/raw.cr2", "b/README", "a/._0.png", "b/.DS_Store"]
    for name in [*nothing, "loose.png"]:
        (tmp_path / name).write_bytes(b"no image")
    fill(tmp_path, ["__MACOSX", ".git", "a/__MACOSX"])
    table = read_folder(tmp_path)
    assert table.class_names == ("a", "b") and len(table) == 9
    assert (
        "9 images; passed over: 2 hidden, 2 .txt, 1 without an ending, 1 .cr2, "
        "1 images outside the class folders" in caplog.text
    )


def test_rows_go_round_the_classes(tmp_path, fill):
    fill(tmp_path / "train", "abc", 3)
    fill(tmp_path / "test", "ab", 1)
    table = read_folder(tmp_path)
    train = table.roles == "train"
    assert table.labels[train].tolist() == [0, 1, 2] * 3
    assert table.paths[train][:4].tolist() == [
        "train/a/00.png",
        "train/b/00.png",
        "train/c/00.png",
        "train/a/01.png",
    ]
    assert table.paths[~train].tolist() == ["test/a/00.png", "test/b/00.png"]


def test_names_of_the_folders_in_between(tmp_path, fill):
    for number, (folders, roles) in enumerate(
        [
            (["Training", "Testing"], {"train", "test"}),
            (["Train", "Val", "TEST"], {"train", "validation", "test"}),
            (["train", "valid"], {"train", "validation"}),
        ]
    ):
        for folder in folders:
            fill(tmp_path / str(number) / folder, count=2)
        table = read_folder(tmp_path / str(number))
        assert set(table.roles) == roles and table.class_names == ("a", "b")
    fill(tmp_path / "vehicles", ["bus", "car", "train"])
    assert read_folder(tmp_path / "vehicles").class_names == ("bus", "car", "train")


def test_layouts_that_cannot_be_used(tmp_path, fill):
    def refused(message):
        with pytest.raises(UserError, match=message) as told:
            read_folder(tmp_path)
        assert "\n" not in str(told.value)

    refused(r"has no class folders; expected .*/CLASS/IMAGE")
    fill(tmp_path, "a")
    refused("has one class only, 'a'")
    (tmp_path / "empty").mkdir()
    refused("empty has no images; add some or remove the folder")
    (tmp_path / "empty" / ".DS_Store").touch()
    refused("empty has no images; add some or remove the folder")
    for name in ("1.HEIC", "2.heic", "deep/3.txt"):
        (tmp_path / "empty" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "empty" / name).touch()
    refused(
        f"empty has no images that can be read; it has 2 .heic, 1 hidden, 1 .txt; .* {endings_in_words()}"
    )
    fill(tmp_path / "train")
    refused("so 'a' beside it must be one of train, training, validation")


def test_folders_in_between_that_cannot_be_used(tmp_path, fill):
    fill(tmp_path / "one" / "train")
    fill(tmp_path / "one" / "test", "ac")
    fill(tmp_path / "two", ["train", "test"])
    for folder in ("train", "val", "validation"):
        fill(tmp_path / "three" / folder)
    for name, message in {
        "one": "class 'c' is in .*test but not in .*train",
        "two": "train has no class folders; expected .*train/CLASS/IMAGE",
        "three": "several folders of one kind: train, val, validation; keep one",
        "four": "four is not a folder; give one with a folder of images per class",
    }.items():
        with pytest.raises(UserError, match=message):
            read_folder(tmp_path / name)


def test_the_mask_beside_an_image_is_its_mask(tmp_path, fill):
    fill(tmp_path, count=2)
    fill(tmp_path, ["a/GroundTruth"], 1)
    (tmp_path / "a/GroundTruth/00.png").rename(tmp_path / "a/GroundTruth/01.png")
    table = read_folder(tmp_path)
    assert dict(zip(table.paths, table.masks)) == {
        "a/00.png": None,
        "a/01.png": "a/GroundTruth/01.png",
        "b/00.png": None,
        "b/01.png": None,
    }


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux only")
def test_names_of_classes(tmp_path, fill):
    fill(tmp_path, ["a\u2028b", "c\x85d"], 1)
    assert read_folder(tmp_path).class_names == ("a\u2028b", "c\x85d")
    for name, shown in ((b"caf\xe9", "caf.udce9"), (b"two\nlines", "two")):
        os.mkdir(os.fsencode(tmp_path) + b"/" + name)
        with pytest.raises(UserError, match=rf"(?s)class folder {shown}.*is not a line of UTF-8; rename it"):
            read_folder(tmp_path)
        os.rmdir(os.fsencode(tmp_path) + b"/" + name)


def test_a_folder_that_cannot_be_read_is_refused_in_one_line(tmp_path, fill, monkeypatch):
    fill(tmp_path)
    scan = os.scandir

    def refuse(path="."):
        if os.path.basename(os.fspath(path)) == "b":
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"cannot read the folder .*b: Permission denied"):
        read_folder(tmp_path)
