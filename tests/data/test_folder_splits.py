"""Pictures of a folder stay on their side of the split, whatever is done to the folder."""

import shutil

import numpy as np
import pytest
from PIL import Image

from attention_keras.data.datasets import load_dataset, load_pictures, seen_in_training
from attention_keras.data.geometry import PictureFormat
from attention_keras.data.membership import Changes, content_digest, held_out
from attention_keras.errors import UserError

COUNT = 60


def draw(path, number):
    """A picture whose first pixel tells its number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype="uint8")
    pixels[0, 0] = divmod(number, 256) + (0,)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path):
    for number in range(COUNT):
        draw(tmp_path / "photos" / "ab"[number % 2] / f"{number}.png", number)
    return tmp_path / "photos"


def sides(folder, **options):
    """Numbers of the pictures in train, validation and test."""
    dataset = load_dataset(f"folder:{folder}", image_size=8, **options)
    return [
        {256 * int(high) + int(low) for high, low, _ in split.images[:, 0, 0]}
        for split in (dataset.train, dataset.validation, dataset.test())
    ]


def stays(before, after):
    """No picture of one side is on another afterwards."""
    return all(before[i].isdisjoint(after[j]) for i in range(3) for j in range(3) if i != j)


def rename_files(folder):
    for file in list(folder.rglob("*.png")):
        file.rename(file.with_name(f"holiday-{file.name}"))
    return folder


def rename_a_class(folder):
    (folder / "a").rename(folder / "zebra")
    return folder


def move(folder):
    return folder.rename(folder.parent / "elsewhere")


def add(folder):
    for number in range(COUNT, 2 * COUNT):
        draw(folder / "ab"[number % 2] / f"{number - COUNT}-new.png", number)
    return folder


def remove(folder):
    for file in sorted(folder.rglob("*.png"))[::3]:
        file.unlink()
    return folder


def put_deeper(folder):
    for name in "ab":
        (folder / name / "2024").mkdir()
        for file in list((folder / name).glob("*.png"))[::2]:
            file.rename(folder / name / "2024" / file.name)
    return folder


@pytest.mark.parametrize("change", [rename_files, rename_a_class, move, add, remove, put_deeper])
def test_no_picture_changes_sides(folder, change):
    before = sides(folder)
    assert all(before) and sum(map(len, before)) == COUNT
    after = sides(change(folder))
    assert stays(before, after)
    kept = set().union(*after) & set(range(COUNT))
    assert len(kept) == (COUNT if change is not remove else COUNT - 20)


def class_of(folder, side):
    """One more class, c, whose pictures are all on one side."""
    for number in range(1000, 1040):
        draw(folder / "c" / f"{number}.png", number)
    kept = sides(folder)[side]
    for number in set(range(1000, 1040)) - kept:
        (folder / "c" / f"{number}.png").unlink()


@pytest.mark.parametrize("side", [1, 2])
def test_a_class_that_is_held_out_whole_is_an_error(folder, side):
    class_of(folder, side)
    with pytest.raises(UserError, match="all images of c are held out and none is left to train on"):
        sides(folder)
    assert sides(folder, limit=60)  # a try with fewer pictures may lack any class


def test_a_class_without_a_held_out_picture_is_a_warning(folder, caplog):
    class_of(folder, 0)
    sides(folder)
    assert "no image of c is in validation" in caplog.text and "no image of c is in test" in caplog.text


def test_a_limit_and_a_trailing_slash_change_no_side(folder):
    whole = sides(folder)
    assert stays(whole, sides(folder, limit=30))
    assert sides(f"{folder}/") == whole


def test_copies_of_a_picture_are_on_one_side(folder):
    before = sides(folder)
    for file in list((folder / "a").glob("*.png")):
        shutil.copy(file, folder / "a" / f"copy of {file.name}")
    assert sides(folder) == before


def test_the_test_pictures_are_the_same_for_every_seed_and_the_validation_pictures_are_not(folder):
    one, other = sides(folder, seed=1), sides(folder, seed=2)
    assert one[2] == other[2] and one[1] != other[1]


def test_purposes_choose_independently():
    digests = np.random.default_rng(0).integers(0, 2**63, 20_000, dtype="uint64")
    test, validation = held_out(digests, 0.2, "test"), held_out(digests, 0.1, "validation 0")
    assert test.mean() == pytest.approx(0.2, abs=0.01) and validation.mean() == pytest.approx(0.1, abs=0.01)
    assert validation[test].mean() == pytest.approx(0.1, abs=0.02)
    assert held_out(digests[:1], 0.01, "test").all()  # of one picture, one


def test_a_digest_is_of_the_whole_content_that_counts(tmp_path):
    file = tmp_path / "picture"
    digests = set()
    for content in (b"", b"a", b"ab" * 50_000, b"ab" * 50_000 + b"c", b"c" + b"ab" * 50_000, b"ab" * 90_000):
        file.write_bytes(content)
        digests.add(content_digest(file))
    assert len(digests) == 6


def test_a_moved_folder_is_known_by_its_pictures(folder):
    """Of a copy, the pictures that a run tested on are left; of other pictures, all."""
    known = load_dataset(f"folder:{folder}", image_size=8)
    *_, test = sides(folder)
    seen = seen_in_training(known.files)
    copy = add(move(folder))
    found = load_pictures(f"folder:{copy}", PictureFormat((8, 8), "crop"), without=seen).test()
    numbers = {256 * int(high) + int(low) for high, low, _ in found.images[:, 0, 0]}
    assert numbers == test | set(range(COUNT, 2 * COUNT))
    assert len(load_pictures(f"folder:{copy}", PictureFormat((8, 8), "crop")).test()) == 2 * COUNT


def test_changes_are_counted(folder):
    before = load_dataset(f"folder:{folder}", image_size=8).files
    draw(folder / "a" / "0.png", 1000)
    (folder / "b" / "1.png").unlink()
    draw(folder / "b" / "new.png", 1001)
    draw(folder / "b" / "newer.png", 1002)
    changes = Changes.between(before, load_dataset(f"folder:{folder}", image_size=8).files)
    assert changes == Changes(new=2, gone=1, changed=1) and str(changes) == "2 new, 1 gone, 1 changed"
    assert not Changes.between(before, before)
