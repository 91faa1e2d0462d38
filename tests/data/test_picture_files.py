"""Which files are pictures: each once, whatever links lead to it, and nothing that is none."""

import os
import socket

import pytest
from PIL import Image

from attention_keras.data.class_folders import list_class_folders
from attention_keras.data.geometry import PictureFormat
from attention_keras.data.image_files import UnreadableImage, read_image
from attention_keras.data.picture_files import LONGEST_STEM, find_pictures, stems
from attention_keras.errors import UserError


@pytest.fixture
def photos(tmp_path):
    """Three pictures of each of two classes, one of them in a folder below."""
    for name in ("a/0", "a/1", "a/deep/2", "b/0", "b/1", "b/deep/2"):
        file = tmp_path / "photos" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(file)
    return tmp_path / "photos"


def trained_on(photos):
    found = list_class_folders(photos)
    return [picture.file for picture in found.pictures["train"]], found.passed_over


def predicted(photos):
    found = find_pictures([str(photos)])
    return found.files, found.passed_over


LINKS = [
    {"a/loop": "."},
    {"a/loop": ".."},
    {"a/deep/loop": ".."},
    {"a/deep/loop": "../.."},
    {"a/loop": "{photos}"},
    {"a/loop": "{photos}/.."},
    {"a/again": "deep"},
    {"a/other": "../b"},
    {"a/to_b": "../b", "b/to_a": "../a"},
]


def link(photos, links):
    for name, target in links.items():
        (photos / name).symlink_to(target.format(photos=photos), target_is_directory=True)


@pytest.mark.parametrize("look", [trained_on, predicted])
@pytest.mark.parametrize("links", LINKS, ids=str)
def test_links_do_not_multiply_pictures(photos, links, look):
    link(photos, links)
    files, passed_over = look(photos)
    assert sorted(file.resolve() for file in files) == sorted(photos.rglob("*.png")) and len(files) == 6
    assert dict(passed_over) == {"folders seen already": len(links)}


@pytest.mark.parametrize("links", LINKS, ids=str)
def test_a_pattern_names_each_picture_once(photos, links):
    link(photos, links)
    files = find_pictures([f"{photos}/**/*.png", f"{photos}/a/../a/0.png", f"{photos}/a"]).files
    assert sorted(file.resolve() for file in files) == sorted(photos.rglob("*.png")) and len(files) == 6


def test_a_link_from_one_class_to_another_gives_no_second_label(photos):
    link(photos, {"a/other": "../b"})
    pictures = list_class_folders(photos).pictures["train"]
    assert {(picture.file.relative_to(photos).parts[0], picture.label) for picture in pictures} == {
        ("a", 0),
        ("b", 1),
    }


def test_a_class_that_is_a_link_to_all_classes_is_refused(photos):
    link(photos, {"c": "."})
    with pytest.raises(
        UserError, match=r"class folder .*c has no images that can be read; it has 3 folders seen already;"
    ):
        list_class_folders(photos)


@pytest.mark.parametrize("look", [trained_on, predicted])
def test_a_link_to_another_place_is_followed(photos, tmp_path, look):
    (tmp_path / "more" / "deep").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "more" / "deep" / "9.png")
    (tmp_path / "more" / "back").symlink_to("..")
    (photos / "a" / "more").symlink_to(tmp_path / "more")
    files, _ = look(photos)
    assert len(files) == 7 and photos / "a" / "more" / "deep" / "9.png" in files


@pytest.mark.parametrize(
    ("names", "counted"),
    [
        (["1.HEIC", "2.heic", "3.heic"], "3 .heic"),
        (["1.cr2", "deep/2.cr2", "3.txt", ".hidden"], "2 .cr2, 1 hidden, 1 .txt"),
    ],
)
def test_what_a_class_without_pictures_has_instead(photos, names, counted):
    for name in names:
        (photos / "c" / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / "c" / name).write_bytes(b"of another kind")
    (photos / "b" / "note.pdf").touch()  # of a class that has pictures
    with pytest.raises(UserError) as refused:
        list_class_folders(photos)
    assert str(refused.value) == (
        f"class folder {photos / 'c'} has no images that can be read; it has {counted}; convert them to JPEG "
        "or PNG, or remove the folder; endings that are read: .bmp .gif .jfif .jpe .jpeg .jpg .pgm .png .ppm "
        ".tif .tiff .webp"
    )
    with pytest.raises(UserError, match=rf"no pictures in .*c; passed over: {counted}; endings that are"):
        find_pictures([str(photos / "c")])


@pytest.mark.parametrize("names", [[], [".DS_Store"]])
def test_a_class_with_nothing_that_a_user_sees_is_empty(photos, names):
    (photos / "c").mkdir()
    for name in names:
        (photos / "c" / name).touch()
    with pytest.raises(UserError, match=r"c has no images; add some or remove the folder$"):
        list_class_folders(photos)


def fifo(path):
    os.mkfifo(path)


def listener(path):
    with socket.socket(socket.AF_UNIX) as own, pytest.MonkeyPatch.context() as patch:
        patch.chdir(path.parent)  # the whole path may be too long for a socket's address
        own.bind(path.name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
@pytest.mark.parametrize("make", [fifo, listener, os.mkdir])
def test_what_is_no_file_is_no_picture_and_nobody_waits_for_it(photos, make):
    make(photos / "a" / "x.jpg")
    passed_over = {} if make is os.mkdir else {"no regular files": 1}
    for look in (trained_on, predicted):
        files, others = look(photos)
        assert len(files) == 6 and dict(others) == passed_over
    with pytest.raises(UnreadableImage, match="not a regular file"):
        read_image(photos / "a" / "x.jpg", PictureFormat((4, 4), "crop"))


@pytest.mark.parametrize("word", ["{out}/..", "{out}", "{out}/pictures", "{out}/pictures/*.png", "{drawn}"])
def test_the_drawings_of_an_output_are_no_pictures_to_answer(photos, word):
    out = photos / "a"
    drawn = out / "pictures" / "0.png"
    drawn.parent.mkdir()
    Image.new("RGB", (4, 4)).save(drawn)
    link = photos / "linked"
    link.symlink_to(out)
    for output in (out, link, photos / "b" / ".." / "a"):
        found = find_pictures([word.format(out=out, drawn=drawn), str(photos / "b")], output)
        assert drawn not in found.files and len(found.files) >= 3
        assert dict(found.passed_over)[f"in {output / 'pictures'}, where this command draws"] == 1
    assert drawn in find_pictures([str(drawn)], photos / "elsewhere").files
    with pytest.raises(
        UserError, match=r"no pictures in .*; passed over: 1 in .*, where this command draws; end"
    ):
        find_pictures([str(drawn)], out)


@pytest.mark.parametrize("letter", ["x", "ü", "語", "🐈", "\udce9"])
def test_long_names_are_shortened_and_told_apart(tmp_path, letter):
    paths = [tmp_path / f"{letter * 300}{place}.png" for place in range(11)]
    names = stems(paths)
    assert len(set(names)) == 11 and names[10] == f"{names[0]}-11"
    assert LONGEST_STEM - 4 < len(os.fsencode(names[0])) <= LONGEST_STEM
    for name in names:
        (tmp_path / f"{name}_evidence_efficientnetv2-b0_block6d_expand_activation.png").touch()
    assert set(names[0]) == {letter}
    assert stems([tmp_path / f"{'x' * LONGEST_STEM}.png"]) == ["x" * LONGEST_STEM]
