"""A run on a folder of images goes on over no others, and is evaluated on the same."""

import shutil

import pytest
from small_runs import FOLDER, assert_ends_as, death_at, trained, write_photograph

from attention_keras.errors import UserError
from attention_keras.evaluation.subjects.dataset import dataset_of
from attention_keras.evaluation.subjects.load import load_subjects


@pytest.fixture
def copy(photos, tmp_path):
    """The photographs, for a test to change."""
    return shutil.copytree(photos, tmp_path / "photos")


def test_a_run_goes_on_over_the_same_images_at_another_place_and_over_no_others(copy, folder_run, tmp_path):
    options = FOLDER.replace(dataset=f"folder:{copy}")
    with death_at(None):
        trained(options, tmp_path)
    write_photograph(copy / "a" / "new.png", 100)
    with pytest.raises(UserError, match=r"has changed since .*run began: 1 new; put the files back"):
        trained(options, tmp_path)
    (copy / "a" / "new.png").unlink()
    moved = options.replace(dataset=f"folder:{copy.rename(tmp_path / 'moved')}")
    run = trained(moved, tmp_path)
    assert_ends_as(run, folder_run)
    assert dataset_of(load_subjects([str(run.path)])).name == moved.dataset


def test_evaluation_of_a_folder_that_has_grown_tests_on_the_same_images(copy, folder_run):
    subjects = load_subjects([str(folder_run.path)])
    before = dataset_of(subjects).test()
    assert len(before) == folder_run.metrics["test_images"]
    # A copy is evaluated without what was trained on, and with what is new.
    assert len(dataset_of(subjects, f"folder:{copy}").test()) == len(before)
    for number in range(100, 130):
        write_photograph(copy / "b" / f"{number}.png", number)
    after = dataset_of(subjects, f"folder:{copy}").test()
    assert {image.tobytes() for image in before.images} < {image.tobytes() for image in after.images}
