"""Images of a folder stay on their side of the split, whatever is done to the folder."""

import shutil

import numpy as np
import pytest
from PIL import Image

from attention_keras.data import table
from attention_keras.data.datasets import load_dataset, load_unseen, seen_in_training
from attention_keras.data.folders import read_folder
from attention_keras.data.images import PictureFormat
from attention_keras.data.table import choose_roles, content_digests
from attention_keras.data.tfds import cut_by_class
from attention_keras.errors import UserError

COUNT = 60
TO = PictureFormat((8, 8), "crop")


def draw(path, number):
    """An image whose first pixel tells its number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype="uint8")
    pixels[0, 0] = divmod(number, 256) + (0,)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path):
    for number in range(COUNT):
        draw(tmp_path / "photos" / "ab"[number % 2] / f"{number}.png", number)
    return tmp_path / "photos"


def numbers(split):
    return {256 * int(high) + int(low) for high, low, _ in split.images[:, 0, 0]}


def sides(folder, **options):
    """Numbers of the images in train, validation and test."""
    dataset = load_dataset(f"folder:{folder}", image_size=8, **options)
    return [numbers(split) for split in (dataset.train, dataset.validation, dataset.test())]


def stays(before, after):
    """No image of one side is on another afterwards."""
    return all(before[i].isdisjoint(after[j]) for i in range(3) for j in range(3) if i != j)


def add(folder):
    for number in range(COUNT, 2 * COUNT):
        draw(folder / "ab"[number % 2] / f"{number - COUNT}-new.png", number)


def test_no_image_changes_sides(folder, tmp_path):
    """When files or classes are renamed, put deeper, moved, removed, and when others are added."""
    before, files = sides(folder), sorted(folder.rglob("*.png"))
    assert all(before) and sum(map(len, before)) == COUNT
    for number, file in enumerate(files):
        deeper = folder / file.parent.name / ("2024" if number % 2 else "")
        deeper.mkdir(exist_ok=True)
        file.rename(deeper / f"holiday-{file.name}")
    (folder / "a").rename(folder / "zebra")
    folder = folder.rename(tmp_path / "elsewhere")
    assert sides(folder) == before
    for file in sorted(folder.rglob("*.png"))[::3]:
        file.unlink()
    add(folder)
    after = sides(folder)
    assert stays(before, after) and len(set().union(*after) & set(range(COUNT))) == COUNT - 20


def test_what_else_changes_no_side(folder):
    whole = sides(folder)
    assert stays(whole, sides(folder, limit=30))
    assert sides(f"{folder}/") == whole
    one, other = sides(folder, seed=1), sides(folder, seed=2)
    assert one[2] == other[2] == whole[2] and one[1] != other[1]
    for file in list((folder / "a").glob("*.png")):
        shutil.copy(file, folder / "a" / f"copy of {file.name}")
    assert sides(folder) == whole, "copies are on one side"


def roles_of(labels, seed=0, units=None, given="train"):
    units = np.random.default_rng(seed).integers(0, 2**63, len(labels), "uint64") if units is None else units
    return choose_roles(np.full(len(labels), given, object), units, np.asarray(labels), 0.1, seed), units


def test_classes_are_held_out_in_their_share_and_stay_where_they_are():
    labels = np.repeat(np.arange(5), 4000)
    roles, units = roles_of(labels)
    for label in range(5):
        assert (roles[labels == label] == "test").mean() == pytest.approx(0.2, abs=0.025)
        assert (roles[labels == label] == "validation").mean() == pytest.approx(0.08, abs=0.02)
    more = np.concatenate([units, np.random.default_rng(9).integers(0, 2**63, 20_000, "uint64")])
    after, _ = roles_of(np.tile(labels, 2), units=more)
    assert (roles == after[:20_000]).all()


def test_a_class_of_three_has_one_image_on_each_side():
    for seed in range(30):
        labels = np.repeat(np.arange(20), 3)
        roles, _ = roles_of(labels, seed)
        for label in range(20):
            assert sorted(roles[labels == label]) == ["test", "train", "validation"]
        roles, _ = roles_of([0, 1, 1], seed)
        assert roles[0] == "train" and sorted(roles[1:]) == ["train", "validation"]


def test_a_digest_is_of_the_whole_content(tmp_path):
    contents = [b"", b"a", b"ab" * 90_000, b"ab" * 45_000 + b"c" + b"ab" * 44_999 + b"b"]
    for number, content in enumerate(contents):
        (tmp_path / str(number)).write_bytes(content)
    files = [tmp_path / str(number) for number in range(4)]
    assert len(set(content_digests(files).tolist())) == 4
    assert content_digests([tmp_path / "gone", files[1]])[0] == 0


def test_files_that_are_many_bytes_are_read_once_until_one_changes(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    plain = read_folder(folder).digests
    monkeypatch.setattr(table, "_HASHED_ANEW", 0)
    np.testing.assert_array_equal(read_folder(folder).digests, plain)
    with monkeypatch.context() as patch:
        patch.setattr(table, "content_digests", lambda files: pytest.fail("they were read again"))
        np.testing.assert_array_equal(read_folder(folder).digests, plain)
    draw(folder / "a" / "0.png", 1000)
    assert np.sum(read_folder(folder).digests != plain) == 1


def test_a_file_in_two_classes_and_a_class_that_is_too_small_are_told(folder, caplog):
    shutil.copy(folder / "a" / "0.png", folder / "b" / "same.png")
    draw(folder / "c" / "0.png", 500)
    train, *_ = sides(folder)
    assert 500 in train
    assert "1 files have the content of another and a different label, such as a/0.png" in caplog.text
    assert "no image of c is in test; three images a class are the least" in caplog.text


def test_a_moved_folder_is_known_by_its_images(folder):
    """Of a copy, the images that a run tested on are left; of other images, all."""
    known = load_dataset(f"folder:{folder}", image_size=8)
    *_, test = sides(folder)
    seen = seen_in_training(known.files)
    copy = folder.rename(folder.parent / "elsewhere")
    add(copy)
    assert numbers(load_unseen(f"folder:{copy}", TO, without=seen).test()) == test | set(
        range(COUNT, 2 * COUNT)
    )
    assert len(load_unseen(f"folder:{copy}", TO).test()) == 2 * COUNT
    everything = {f"{digest:016x}" for digest in read_folder(copy).digests.tolist()}
    with pytest.raises(UserError, match="the model was trained on every image of"):
        load_unseen(f"folder:{copy}", TO, without=everything)


@pytest.mark.parametrize("count, fraction", [(100, 0.1), (97, 0.25), (20, 0.05)])
def test_arrays_are_cut_evenly_over_classes(count, fraction):
    labels = np.random.default_rng(0).integers(0, 5, count)
    training, validation = cut_by_class(labels, fraction, seed=1)
    assert len(validation) == max(1, round(count * fraction))
    np.testing.assert_array_equal(np.sort(np.concatenate([training, validation])), np.arange(count))
    share = np.bincount(labels[validation], minlength=5) - np.bincount(labels) * fraction
    assert np.abs(share).max() <= 1
