"""Images of a folder stay on their side of the split, whatever is done to the folder."""

import shutil

import numpy as np
import pytest
from PIL import Image

from attention_keras.data import table
from attention_keras.data.datasets import load_dataset, load_unseen
from attention_keras.data.folders import read_folder
from attention_keras.data.images import PictureFormat
from attention_keras.data.table import choose_roles, content_digests
from attention_keras.data.tfds import cut_by_class
from attention_keras.errors import UserError

COUNT = 60


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


def test_no_image_changes_sides(folder, tmp_path):
    """When files or classes are renamed, put deeper, moved, removed, and when others are added.

    A class that loses all images of a side gets one from another, which is not so here.
    """
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
    for number in range(COUNT, 2 * COUNT):
        draw(folder / "ab"[number % 2] / f"{number - COUNT}-new.png", number)
    after = sides(folder)
    assert all(before[i].isdisjoint(after[j]) for i in range(3) for j in range(3) if i != j)
    assert len(set().union(*after)) == 2 * COUNT - 20


def test_a_seed_draws_validation_anew_and_copies_are_on_one_side(folder):
    whole, one, other = sides(folder), sides(folder, seed=1), sides(folder, seed=2)
    assert one[2] == other[2] == whole[2] and one[1] != other[1]
    for file in list((folder / "a").glob("*.png")):
        shutil.copy(file, folder / "a" / f"copy of {file.name}")
    assert sides(folder) == whole


def test_classes_are_held_out_in_their_share_and_stay_where_they_are():
    def roles_of(units, labels, seed=0):
        return choose_roles(np.full(len(labels), "train", object), units, np.asarray(labels), 0.1, seed)

    units, labels = np.random.default_rng(0).integers(0, 2**63, 40_000, "uint64"), np.arange(40_000) % 5
    roles = roles_of(units[:20_000], labels[:20_000])
    for label in range(5):
        shares = [(roles[label::5] == role).mean() for role in ("test", "validation")]
        assert shares == pytest.approx([0.2, 0.08], abs=0.025)
    assert (roles == roles_of(units, labels)[:20_000]).all()
    for seed in range(30):  # a class of three has one image on each side
        roles = roles_of(units[seed:][:60], np.repeat(np.arange(20), 3), seed)
        assert (np.sort(roles.reshape(20, 3)) == ["test", "train", "validation"]).all()
        roles = roles_of(units[seed:][:3], [0, 1, 1], seed)
        assert roles[0] == "train" and sorted(roles[1:]) == ["train", "validation"]


def test_a_digest_is_of_the_whole_content(tmp_path):
    contents = [b"a", b"", b"ab" * 90_000, b"ab" * 45_000 + b"c" + b"ab" * 44_999 + b"b"]
    for number, content in enumerate(contents):
        (tmp_path / str(number)).write_bytes(content)
    digests = content_digests([tmp_path / str(number) for number in range(5)])
    assert len(set(digests.tolist())) == 5 and digests[4] == 0, "the last is gone"


def test_files_that_are_many_bytes_are_read_once_until_one_changes(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    plain = read_folder(folder).digests
    monkeypatch.setattr(table, "_HASHED_ANEW", 0)
    np.testing.assert_array_equal(read_folder(folder).digests, plain)
    with monkeypatch.context() as patch:
        patch.setattr(table, "content_digests", lambda files: pytest.fail("they were read again"))
        np.testing.assert_array_equal(read_folder(folder).digests, plain)
    draw(folder / "a" / "0.png", 201)
    assert np.sum(read_folder(folder).digests != plain) == 1


def test_a_file_in_two_classes_and_a_class_that_is_too_small_are_told(folder, caplog):
    shutil.copy(folder / "a" / "0.png", folder / "b" / "same.png")
    draw(folder / "c" / "0.png", 200)
    train, *_ = sides(folder)
    assert 200 in train
    assert "1 files have the content of another and a different label, such as a/0.png" in caplog.text
    assert "no image of c is in test; three images a class are the least" in caplog.text


def test_a_model_that_saw_every_image_is_not_tested(folder):
    """tests/training/test_folder_runs.py tests on what a model has not seen."""
    everything = {f"{digest:016x}" for digest in read_folder(folder).digests.tolist()}
    with pytest.raises(UserError, match="the model was trained on every image of"):
        load_unseen(f"folder:{folder}", PictureFormat((8, 8), "crop"), without=everything)


def test_arrays_are_cut_evenly_over_classes():
    for count, fraction in ((100, 0.1), (97, 0.25), (20, 0.05)):
        labels = np.random.default_rng(0).integers(0, 5, count)
        training, validation = cut_by_class(labels, fraction, seed=1)
        assert len(validation) == max(1, round(count * fraction))
        np.testing.assert_array_equal(np.sort(np.concatenate([training, validation])), np.arange(count))
        share = np.bincount(labels[validation], minlength=5) - np.bincount(labels) * fraction
        assert np.abs(share).max() <= 1
