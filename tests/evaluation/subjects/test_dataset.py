"""How large pictures may be that models are tested on: as in training, or as `megapixels` says."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from attention_keras.errors import UserError
from attention_keras.evaluation.options import ClassificationOptions
from attention_keras.evaluation.subjects.dataset import dataset_of
from attention_keras.evaluation.subjects.subject import Subject
from attention_keras.runs.config import RunConfig
from attention_keras.runs.data_options import DataOptions


def subject(folder, megapixels):
    trained = RunConfig(data=DataOptions(dataset=f"folder:{folder}", megapixels=megapixels))
    return Subject("run", Path("run"), SimpleNamespace(image_shape=(16, 16, 3), resize="crop"), trained)


@pytest.fixture
def photos(tmp_path):
    """Two classes; one picture of 1.2 megapixels."""
    for number in range(20):
        file = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (1200, 1000) if number == 7 else (20, 20), (number, 0, 0)).save(file)
    return tmp_path / "photos"


@pytest.mark.parametrize("place", ["photos", "elsewhere"])
def test_large_pictures_of_the_runs_folder_and_of_others(photos, tmp_path, place):
    name, folder = f"folder:{photos}", tmp_path / place
    with pytest.raises(UserError, match=r"b/7.png .1200x1000 is over 1 megapixels"):
        dataset_of([subject(folder, megapixels=1)], name)
    assert len(dataset_of([subject(folder, megapixels=1)], name, megapixels=2).test()) > 0
    assert len(dataset_of([subject(folder, megapixels=2)], name).test()) > 0
    with pytest.raises(UserError, match="1200x1000 is over 1 megapixels"):
        dataset_of([subject(folder, megapixels=2)], name, megapixels=1)


def test_a_limit_that_means_nothing_is_refused():
    with pytest.raises(UserError, match="megapixels must be from 1 to 178; got 0"):
        ClassificationOptions(("run",), megapixels=0)
