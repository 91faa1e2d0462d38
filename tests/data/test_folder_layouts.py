"""Folders as people have them: read whole, or passed over with a word, or refused in one line."""

import logging
import os
import sys

import pytest
from PIL import Image

from attention_keras.data.class_folders import list_class_folders
from attention_keras.data.datasets import load_dataset
from attention_keras.errors import UserError


def fill(folder, names, count=2):
    for name in names:
        for index in range(count):
            path = folder / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4), (index, len(name), 0)).save(path)


def test_endings_and_deeper_folders_are_read_and_the_rest_is_counted(tmp_path, caplog):
    fill(tmp_path, ["a", "a/2023/may", "b"])
    for name in ("a/x.jfif", "a/y.JPE", "b/z.JPEG"):
        Image.new("RGB", (4, 4)).save(tmp_path / name, "JPEG")
    nothing = ["a/notes.txt", "b/more.txt", "b/raw.cr2", "b/README", "a/._0.png", "b/.DS_Store"]
    for name in [*nothing, "loose.png"]:
        (tmp_path / name).write_bytes(b"no picture")
    fill(tmp_path, ["__MACOSX", ".git", "a/__MACOSX"])
    found = list_class_folders(tmp_path)
    assert found.class_names == ("a", "b") and len(found.pictures["train"]) == 9
    assert dict(found.passed_over) == {
        ".txt": 2,
        ".cr2": 1,
        "without an ending": 1,
        "hidden": 2,
        "images outside the class folders": 1,
    }
    with caplog.at_level(logging.WARNING):
        load_dataset(f"folder:{tmp_path}", image_size=8)
    assert "9 images; passed over: 2 hidden, 2 .txt" in caplog.text


@pytest.mark.parametrize(
    ("folders", "roles"),
    [
        (["Training", "Testing"], {"train", "test"}),
        (["Train", "Val", "TEST"], {"train", "validation", "test"}),
        (["train", "valid"], {"train", "validation"}),
    ],
)
def test_names_of_the_folders_in_between(tmp_path, folders, roles):
    for folder in folders:
        fill(tmp_path / folder, ["a", "b"])
    found = list_class_folders(tmp_path)
    assert set(found.pictures) == roles and found.class_names == ("a", "b")


def test_a_class_may_be_called_train(tmp_path):
    fill(tmp_path, ["bus", "car", "train"])
    assert list_class_folders(tmp_path).class_names == ("bus", "car", "train")


def test_a_train_folder_without_classes_is_refused(tmp_path):
    fill(tmp_path, ["train", "test"])
    with pytest.raises(UserError, match=r"train has no class folders; expected .*train/CLASS/IMAGE"):
        list_class_folders(tmp_path)


def test_two_folders_of_one_kind_are_refused(tmp_path):
    for folder in ("train", "val", "validation"):
        fill(tmp_path / folder, ["a", "b"])
    with pytest.raises(UserError, match="several folders of one kind: train, val, validation; keep one"):
        list_class_folders(tmp_path)


def test_a_link_to_nothing_is_a_broken_picture(tmp_path, caplog):
    fill(tmp_path, ["a", "b"], count=6)
    (tmp_path / "a" / "lost.jpg").symlink_to(tmp_path / "nowhere.jpg")
    with pytest.raises(
        UserError, match=r"1 of 13 images .* a/lost\.jpg \(No such file or directory\); repair"
    ):
        load_dataset(f"folder:{tmp_path}", image_size=8)
    with caplog.at_level(logging.WARNING):
        dataset = load_dataset(f"folder:{tmp_path}", image_size=8, skip_broken=True)
    assert "left out: 1 of 13" in caplog.text
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test()) == 12


def test_a_class_whose_pictures_are_all_broken_is_refused(tmp_path):
    fill(tmp_path, ["a", "b"])
    for file in (tmp_path / "b").iterdir():
        file.write_bytes(b"no picture")
    with pytest.raises(UserError, match="no image of the class 'b' can be read"):
        load_dataset(f"folder:{tmp_path}", image_size=8, skip_broken=True)


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux only")
def test_a_class_whose_name_is_no_text_is_refused_in_one_line(tmp_path):
    fill(tmp_path, ["a", "b"])
    os.mkdir(os.fsencode(tmp_path) + b"/caf\xe9")
    with pytest.raises(UserError, match=r"class folder caf.udce9 is not UTF-8; rename it"):
        list_class_folders(tmp_path)


def test_a_folder_that_cannot_be_read_is_refused_in_one_line(tmp_path, monkeypatch):
    fill(tmp_path, ["a", "b"])
    scan = os.scandir

    def refuse(path="."):
        if os.path.basename(os.fspath(path)) == "b":
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"cannot read the folder .*b: Permission denied"):
        list_class_folders(tmp_path)
