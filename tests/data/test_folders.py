"""Folders as people have them: read whole, or passed over with a word, or refused in one line."""

import os
import sys

import numpy as np
import pytest
from PIL import Image

from attention_keras.data.datasets import load_masked_images
from attention_keras.data.files import endings_in_words
from attention_keras.data.folders import read_folder
from attention_keras.data.images import PictureFormat
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


def test_masked_sets(tmp_path):
    """Images three times as wide as high, whose middle third is the object; the sets come in turn."""
    pixels = np.zeros((60, 180, 3), "uint8")
    pixels[:, 60:120] = 255
    for name in ("Car", "Horse"):
        (tmp_path / name / "GroundTruth").mkdir(parents=True)
        for number in range(3):
            shown = np.where(pixels, 255 - 40 * number, 0).astype("uint8")
            Image.fromarray(shown).save(tmp_path / name / f"{number}.png")
            Image.fromarray(pixels[..., 0]).save(tmp_path / name / "GroundTruth" / f"{number}.png")
    Image.fromarray(pixels).save(tmp_path / "Car" / "no-mask.jpg")
    for resize, share in {"crop": 1, "stretch": 1 / 3, "pad": 1 / 9}.items():
        split = load_masked_images(f"folder:{tmp_path}", PictureFormat((30, 30), resize), limit=4)
        np.testing.assert_array_equal(split.masks, split.images[..., 0] > 127)
        assert split.masks.mean() == pytest.approx(share)
        assert split.images[:, 15, 15, 0].tolist() == [255, 255, 215, 215]
    (tmp_path / "Car" / "0.png").write_bytes(b"broken")
    for name, said in {
        f"folder:{tmp_path}": r"cannot be read: Car/0\.png",
        "tfds:cifar10": "allowed: folder:PATH",
        "folder:/nowhere": "is not a folder",
        f"folder:{tmp_path / 'Car' / 'GroundTruth'}": "has no image with a mask",
    }.items():
        with pytest.raises(UserError, match=said):
            load_masked_images(name, PictureFormat((16, 16), "crop"))


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
    refused(f"empty has no images that can be read; it has 2 .heic, 1 hidden, 1 .txt; {endings_in_words()}")
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
