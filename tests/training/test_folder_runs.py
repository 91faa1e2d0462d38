"""A run on a folder knows its pictures: it does not go on over others; evaluation says what changed."""

import logging

import numpy as np
import pytest
from deaths import death_before_the_test
from PIL import Image

from attention_keras.errors import UserError
from attention_keras.evaluation.subjects.dataset import dataset_of
from attention_keras.evaluation.subjects.load import load_subjects
from attention_keras.runs.config import RunConfig
from attention_keras.training.train import train

pytestmark = pytest.mark.usefixtures("small_network")


def draw(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype="uint8")
    Image.fromarray(pixels).save(path)


@pytest.fixture
def photos(tmp_path):
    for number in range(40):
        draw(tmp_path / "photos" / "ab"[number % 2] / f"{number}.png", number)
    return tmp_path / "photos"


@pytest.fixture
def options(photos, tmp_path):
    settings = {"image_size": 16, "batch_size": 8, "epochs": 2, "precision": "float32"}
    return RunConfig(dataset=f"folder:{photos}", run_dir=str(tmp_path), name="run", **settings)


def run(options):
    return train(options, report=lambda line: None)


def test_a_run_does_not_go_on_over_other_pictures(photos, options):
    with death_before_the_test():
        run(options)
    draw(photos / "a" / "new.png", 100)
    with pytest.raises(UserError, match=r"has changed since .*run began: 1 new; put the files back") as error:
        run(options)
    assert "\n" not in str(error.value)
    (photos / "a").rename(photos / "c")
    with pytest.raises(UserError, match="21 new, 20 gone"):
        run(options)
    (photos / "c").rename(photos / "a")
    (photos / "a" / "new.png").unlink()
    assert run(options).metrics["epochs"] == 2


def test_a_run_goes_on_over_the_same_pictures_at_another_place(photos, options, tmp_path):
    whole = run(options.replace(name="whole"))
    with death_before_the_test():
        run(options)
    moved = options.replace(dataset=f"folder:{photos.rename(tmp_path / 'moved')}")
    draw(tmp_path / "moved" / "a" / "new.png", 100)
    with pytest.raises(UserError, match=r"has changed since .*run began: 1 new"):
        run(moved)
    (tmp_path / "moved" / "a" / "new.png").unlink()
    result = run(moved)
    assert result.metrics["test_error"] == whole.metrics["test_error"]
    assert dataset_of(load_subjects([str(result.run.path)])).name == moved.data.dataset
    # What is finished is a run of its own folder.
    with pytest.raises(UserError, match="holds another run"):
        run(moved.replace(dataset=f"folder:{tmp_path / 'elsewhere'}"))


def test_evaluation_says_what_has_changed_and_tests_on_the_same_pictures(photos, options, caplog):
    result = run(options)
    subjects = load_subjects([str(result.run.path)])
    before = dataset_of(subjects).test()
    assert len(before) == result.metrics["test_images"]
    for number in range(100, 130):
        draw(photos / "b" / f"{number}.png", number)
    with caplog.at_level(logging.WARNING):
        after = dataset_of(subjects).test()
    assert "has changed since run was trained: files 30 new" in caplog.text
    old = {image.tobytes() for image in before.images}
    assert old < {image.tobytes() for image in after.images}
    seen = {image.tobytes() for image in dataset_of(subjects).train.images} & old
    assert not seen


def test_another_folder_is_evaluated_whole_and_a_copy_without_what_was_trained_on(photos, options, tmp_path):
    result = run(options)
    subjects = load_subjects([str(result.run.path)])
    for number in range(200, 210):
        draw(tmp_path / "other" / "ab"[number % 2] / f"{number}.png", number)
    assert len(dataset_of(subjects, f"folder:{tmp_path / 'other'}").test()) == 10
    copy = photos.rename(tmp_path / "moved")
    assert len(dataset_of(subjects, f"folder:{copy}").test()) == result.metrics["test_images"]
