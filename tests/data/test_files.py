"""Which files are images: each once, whatever links lead to it, and nothing that is none."""

import os
from pathlib import Path

import pytest
from PIL import Image

from attention_keras.data.files import LONGEST_STEM, find_images, in_shard, unique_stem
from attention_keras.data.folders import read_folder
from attention_keras.data.image_files import UnreadableImage
from attention_keras.data.images import PictureFormat, read_image
from attention_keras.errors import UserError


@pytest.fixture
def photos(tmp_path):
    """Three images of each of two classes, one of them in a folder below."""
    for name in ("a/0", "a/1", "a/deep/2", "b/0", "b/1", "b/deep/2"):
        file = tmp_path / "photos" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(file)
    return tmp_path / "photos"


def looks(photos):
    """What training and prediction find."""
    table = read_folder(photos)
    return [table.root / path for path in table.paths], find_images([str(photos)])[0]


@pytest.mark.parametrize(
    "links", [{"a/deep/loop": "../.."}, {"a/loop": "../.."}, {"a/to": "../b", "b/to": "../a"}]
)
def test_links_do_not_multiply_images(photos, links, caplog):
    for name, target in links.items():
        (photos / name).symlink_to(target, target_is_directory=True)
    for files in looks(photos):
        assert sorted(file.resolve() for file in files) == sorted(photos.rglob("*.png")) and len(files) == 6
    assert f"{len(links)} folders seen already" in caplog.text
    assert find_images([str(photos)])[1] == {"folders seen already": len(links)}
    assert len(find_images([f"{photos}/**/*.png", f"{photos}/a/../a/0.png", f"{photos}/a"])[0]) == 6
    table = read_folder(photos)
    own = {(path.split("/")[0], label) for path, label in zip(table.paths, table.labels.tolist())}
    assert own == {("a", 0), ("b", 1)}, "no second label"


def test_a_link_to_another_place_is_followed_and_a_fifo_is_no_image(photos, tmp_path):
    (tmp_path / "more" / "deep").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "more" / "deep" / "9.png")
    (tmp_path / "more" / "back").symlink_to("..")
    (photos / "a" / "more").symlink_to(tmp_path / "more")
    os.mkfifo(photos / "a" / "x.jpg")
    for files in looks(photos):
        assert len(files) == 7 and photos / "a" / "more" / "deep" / "9.png" in files
    with pytest.raises(UnreadableImage, match="not a regular file"):
        read_image(photos / "a" / "x.jpg", PictureFormat((4, 4), "crop"))


def test_the_drawings_of_an_output_are_no_images_to_answer(photos):
    out = photos / "a"
    drawn = out / "pictures" / "0.png"
    drawn.parent.mkdir()
    Image.new("RGB", (4, 4)).save(drawn)
    (photos / "linked").symlink_to(out)
    for output in (out, photos / "linked", photos / "b" / ".." / "a"):
        for word in (f"{out}/..", f"{out}/pictures/*.png"):
            files, passed_over = find_images([word, str(photos / "b")], output)
            assert drawn not in files and len(files) >= 3
            assert passed_over[f"in {output / 'pictures'}, where this command draws"] == 1
    assert drawn in find_images([str(drawn)], photos / "elsewhere")[0]


def test_names_are_shortened_and_told_apart_and_every_file_is_in_one_shard(tmp_path):
    for letter in ("x", "ü", "語", "🐈", "\udce9"):
        names = {unique_stem(tmp_path / f"{letter * 300}{number}.png") for number in range(11)}
        assert len(names) == 11
        for name in names:
            stem, _, told_apart = name.rpartition("-")
            assert set(stem) == {letter} and len(told_apart) == 10
            assert LONGEST_STEM - 4 < len(os.fsencode(stem)) <= LONGEST_STEM
    files = [Path(f"new/{number}.png") for number in range(1000)]
    shards = [in_shard(files, number, 7) for number in range(1, 8)]
    assert sorted(file for shard in shards for file in shard) == sorted(files)
    assert all(100 < len(shard) < 190 for shard in shards)
    assert in_shard(files[500:], 3, 7) == [file for file in shards[2] if file in files[500:]]


def test_a_list_brackets_in_names_and_words_that_name_nothing(photos, tmp_path, monkeypatch):
    photos.rename(tmp_path / "dir [1]")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("dir [1]/b/0.png\n\ndir [1]/a\ndir [1]/b/*.png\n")
    found = [str(file) for file in find_images(["@list.txt"])[0]]
    names = ("b/0.png", "a/0.png", "a/1.png", "a/deep/2.png", "b/1.png")
    assert found == [f"dir [1]/{name}" for name in names]
    Path("c").mkdir()
    Path("c", "1.cr2").touch()
    for word, message in [
        ("@gone.txt", "cannot read the list gone.txt: No such file"),
        ("nowhere", "there is no file or folder nowhere"),
        ("c", "no images in c; passed over: 1 .cr2; endings that are"),
    ]:
        with pytest.raises(UserError, match=message):
            find_images([word])
