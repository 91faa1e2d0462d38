"""How images are read that models are tested on: as in training."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from attention_keras.data.geometry import PictureFormat
from attention_keras.errors import UserError
from attention_keras.evaluation.subjects.dataset import dataset_of, picture_format, tfds_folder
from attention_keras.evaluation.subjects.subject import Subject
from attention_keras.runs.config import RunConfig


def subject(folder, name="run", **options):
    config = RunConfig(dataset=f"folder:{folder}", **options)
    predictor = SimpleNamespace(image_shape=(16, 16, 3), resize=config.resize, card=None, value_range=None)
    return Subject(name, Path(name), predictor, config)


@pytest.mark.parametrize("dataset", ["folder:photos", "folder:elsewhere", "tfds:flowers"])
def test_runs_that_resize_images_in_different_ways_are_not_mixed(dataset):
    mixed = [subject("photos", "one", resize="pad"), subject("photos", "two")]
    with pytest.raises(UserError, match=r"^one \(pad\) and two \(crop\) resize images in different ways"):
        dataset_of(mixed, dataset)
    with pytest.raises(UserError, match="different ways"):
        picture_format(mixed)


def test_a_model_file_that_says_nothing_is_given_the_images_of_the_run_beside_it():
    file = subject("photos")
    file.trained = None
    told = picture_format([file, subject("photos", resize="pad")])
    assert told == PictureFormat((16, 16), "pad")
    assert picture_format([file]) == PictureFormat((16, 16), "crop")


def test_another_dataset_is_looked_for_where_the_training_found_its_own():
    told, silent = subject("photos"), subject("photos")
    told.data_dir = "prepared"
    assert tfds_folder([silent, told]) == "prepared" and tfds_folder([told], "given") == "given"
    assert tfds_folder([silent]) is None
