"""Wherever a run dies, the same command ends as it would have: each kind of training, each stage."""

import pytest
from small_runs import STEPS, assert_ends_as, death_at, trained

# The steps after which runs like these die; None is after the last epoch and before the test. The second
# stage of the fine-tuned one begins at step 10, with the average of the first.
DEATHS = {
    "plain_run": (1, 4, 5, 11),  # the first, and around the end of an epoch
    "full_run": (None,),
    "finetuned_run": (4, 11, 12, 14, 18, None),
    "fitted_run": (STEPS, None),
}


@pytest.mark.slow
def test_it_ends_the_same(request, tmp_path):
    for fixture, steps in DEATHS.items():
        whole = request.getfixturevalue(fixture)
        for step in steps:
            folder = tmp_path / f"{fixture}{step}"
            with death_at(step):
                trained(whole.result.config, folder)
            assert_ends_as(trained(whole.result.config, folder), whole)


@pytest.mark.slow
def test_a_streamed_run_learns_what_a_kept_one_does(folder_run, tmp_path, monkeypatch):
    assert not any("decoded from their files" in line for line in folder_run.lines)
    monkeypatch.setenv("ATTENTION_KERAS_STREAM", "on")
    with death_at(9):
        trained(folder_run.result.config, tmp_path)
    run = trained(folder_run.result.config, tmp_path)
    said = "\n".join(run.lines)
    assert "2 classes, decoded from their files in each epoch" in said and "resuming at step 8 of" in said
    assert_ends_as(run, folder_run)
