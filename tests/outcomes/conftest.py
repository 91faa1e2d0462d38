"""What the tests of outcomes share: a run on photographs with the five commands, and one on digits.

These tests go through public doors only: command lines, files that a user sees, names of `attention_keras`.
"""

from types import SimpleNamespace

import pytest
from doors import SIDE, TRAIN, digits_run, run_script, save_backbone, type_in, write_photographs


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """A folder `photos` with its three splits, and a backbone in a file."""
    place = tmp_path_factory.mktemp("desk")
    write_photographs(place / "photos" / "train", 24, seed=0)
    write_photographs(place / "photos" / "validation", 3, seed=5_000)
    write_photographs(place / "photos" / "test", 7, seed=10_000, wrong=1)
    write_photographs(place / "new", 1, seed=20_000, scale=3)
    save_backbone(place / "backbone.keras", SIDE)
    return place


@pytest.fixture(scope="session")
def folder_run(photographs):
    """The five commands, one after the other: train, evaluate, predict, export, and what they wrote."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(photographs)
        assert type_in(TRAIN) == 0
        assert type_in("evaluate classification runs/photos") == 0
        assert type_in("predict runs/photos photos/test --output answers --no-pictures") == 0
        assert type_in("export runs/photos --format saved_model litert") == 0
    return SimpleNamespace(
        desk=photographs,
        path=photographs / "runs" / "photos",
        answers=photographs / "answers",
        served=photographs / "saved_models" / "photos" / "1",
        litert=photographs / "saved_models" / "photos" / "photos-1.tflite",
    )


@pytest.fixture
def desk(folder_run, monkeypatch):
    """The folder of the photographs as the working directory."""
    monkeypatch.chdir(folder_run.desk)
    return folder_run.desk


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A folder with a run `whole` that nobody stops, on one device."""
    place = tmp_path_factory.mktemp("digits")
    save_backbone(place / "digits.keras", 32)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert run_script(*digits_run("whole", "--strategy", "none")) == 0
    return place
