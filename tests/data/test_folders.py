"""Folders as people have them: read whole, or passed over with a word, or refused in one line."""

import os
import sys

import numpy as np
import pytest
from PIL import Image

from attention_keras.data.datasets import load_masked_images
from attention_keras.data.folders import read_folder
from attention_keras.data.images import PictureFormat
from attention_keras.errors import UserError


def made(root, words):
    """A folder with these files, which nobody opens here."""
    for name in words.split():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_endings_and_deeper_folders_are_read_and_the_rest_is_counted(tmp_path, caplog):
    made(tmp_path, "a/0.png a/x.jfif a/y.JPE a/2023/may/1.png b/0.png b/z.JPEG")
    made(tmp_path, "a/notes.txt b/more.txt b/raw.cr2 b/README a/._0.png b/.DS_Store loose.png")
    made(tmp_path, "__MACOSX/a/0.png .git/0.png a/__MACOSX/0.png")
    table = read_folder(tmp_path)
    assert table.class_names == ("a", "b") and len(table) == 6
    assert (
        "6 images; passed over: 2 hidden, 2 .txt, 1 without an ending, 1 .cr2, "
        "1 images outside the class folders" in caplog.text
    )


def test_folders_in_between_and_rows_that_go_round_the_classes(tmp_path):
    made(
        tmp_path / "all", "train/a/0.png train/a/1.png train/b/0.png train/b/1.png test/a/0.png test/b/0.png"
    )
    table = read_folder(tmp_path / "all")
    paths = " ".join([*table.paths[table.roles == "train"], *table.paths[table.roles == "test"]])
    assert paths == "train/a/0.png train/b/0.png train/a/1.png train/b/1.png test/a/0.png test/b/0.png"
    for folders, roles in {
        "Training Testing": {"train", "test"},
        "Train Val TEST": {"train", "validation", "test"},
        "train valid": {"train", "validation"},
    }.items():
        for folder in folders.split():
            made(tmp_path / folders / folder, "a/0.png b/0.png")
        table = read_folder(tmp_path / folders)
        assert set(table.roles) == roles and table.class_names == ("a", "b"), folders
    vehicles = made(tmp_path / "vehicles", "bus/0.png car/0.png train/0.png")
    assert read_folder(vehicles).class_names == ("bus", "car", "train")


def test_masked_sets(tmp_path):
    """Images three times as wide as high, whose middle third is the object; the sets come in turn."""
    pixels = np.zeros((60, 180, 3), "uint8")
    pixels[:, 60:120] = 255
    for name in ("Car", "Horse"):
        truth = tmp_path / name / "GroundTruth"
        truth.mkdir(parents=True)
        for number in range(3):
            Image.fromarray(pixels // 255 * (255 - 40 * number)).save(truth.parent / f"{number}.png")
            Image.fromarray(pixels[..., 0]).save(truth / f"{number}.png")
    Image.fromarray(pixels).save(tmp_path / "Car" / "no-mask.jpg")
    for resize, share in {"crop": 1, "stretch": 1 / 3, "pad": 1 / 9}.items():
        split = load_masked_images(f"folder:{tmp_path}", PictureFormat((30, 30), resize), limit=4)
        np.testing.assert_array_equal(split.masks, split.images[..., 0] > 127)
        assert split.masks.mean() == pytest.approx(share)
        assert split.images[:, 15, 15, 0].tolist() == [255, 255, 215, 215]
    (tmp_path / "Car" / "0.png").write_bytes(b"broken")
    for folder, said in ((tmp_path, "cannot be read: Car/0"), (truth, "has no image with a mask")):
        with pytest.raises(UserError, match=said):
            load_masked_images(f"folder:{folder}", PictureFormat((16, 16), "crop"))


def test_layouts_that_cannot_be_used(tmp_path):
    for number, (files, said) in enumerate(
        {
            "notes.txt": r"has no images; expected .*/CLASS/IMAGE",
            "a/0.png": "has one class only, 'a'",
            "a/0.png empty/.DS_Store": "empty has no images that can be read; it has 1 hidden; endings",
            "a/0.png b/1.HEIC b/deep/3.txt": "b has no images that can be read; it has 1 .heic, 1 .txt;",
            "a/0.png train/a/0.png": "so 'a' beside it must be one of train, training, validation",
            "train/a/0.png train/b/0.png test/c/0.png": "class 'c' is in .*test but not in .*train",
            "train/0.png test/0.png": "train has no class folders; expected .*train/CLASS/IMAGE",
            "train/a/0.png val/a/0.png valid/a/0.png": "several folders of one kind: train, val, valid",
        }.items()
    ):
        with pytest.raises(UserError, match=said) as told:
            read_folder(made(tmp_path / str(number), files))
        assert "\n" not in str(told.value)


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux only")
def test_a_class_whose_name_is_no_text(tmp_path):
    os.mkdir(os.fsencode(tmp_path) + b"/caf\xe9")
    with pytest.raises(UserError, match=r"class folder 'caf.udce9.*is not a line of UTF-8; rename it"):
        read_folder(tmp_path)


def test_a_folder_that_cannot_be_read_is_refused_in_one_line(tmp_path, monkeypatch):
    def refuse(path=".", scan=os.scandir):
        if os.fspath(path).endswith("/b"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"cannot read the folder .*b: Permission denied"):
        read_folder(made(tmp_path, "a/0.png b/0.png"))
