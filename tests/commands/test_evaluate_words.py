"""`evaluate`: from words to options, with the task first or after --task; no option is ignored."""

import pytest

from attention_keras.commands import evaluate as command
from attention_keras.commands.command_line import exit_code
from attention_keras.commands.evaluate import main
from attention_keras.evaluation.options import TASKS, tasks_of


@pytest.fixture
def parsed(monkeypatch):
    """The options that a command line stands for, in place of the evaluation."""
    found = []
    monkeypatch.setattr(command, "run", lambda options, _: found.append(options) or 0)
    return found


def test_the_task_is_the_first_word_or_an_option(parsed):
    others = "runs/a runs/b --pgd-steps 3 --epsilons 1 2"
    for words in (f"robustness {others}", f"--task robustness {others}", f"{others} --task=robustness"):
        assert main(words.split(), "evaluate") == 0
    assert [(options.runs, tasks_of(options)) for options in parsed] == [
        (("runs/a", "runs/b"), ["robustness"])
    ] * 3
    assert [(options.pgd_steps, options.epsilons) for options in parsed] == [(3, (1.0, 2.0))] * 3


def test_classification_is_the_default_and_all_takes_every_option(parsed):
    main(["runs/a", "--panels", "2"], "evaluate")
    main(["all", "runs/a", "--panels", "2", "--rows", "3", "--steps", "4"], "evaluate")
    assert [tasks_of(options) for options in parsed] == [["classification"], list(TASKS)]
    assert (parsed[1].panels, parsed[1].rows, parsed[1].steps) == (2, 3, 4)


def test_a_run_is_a_word_of_its_own_or_a_folder_here(parsed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    assert main(["demo"], "evaluate") == 0 and parsed[0].runs == ("demo",)


def test_an_option_is_never_ignored(parsed, capsys):
    wrong = {}
    for words, said in (
        ("maps r --pgd-steps 3", "--pgd-steps is an option of the task robustness; the task is maps"),
        ("query r --versus cat", "--versus is an option of the task maps"),
        ("maps r --masks=folder:x", "--masks is an option of the task segmentation"),
        ("colours runs/r", "colours is no task and no run; tasks: classification, maps, "),
        ("maps r --row 3", "perhaps you meant --rows"),
        ("runs/r --rows 3", "--rows is an option of the task maps; the task is classification"),
        ("runs/r --task maps --epsilons 1", "--epsilons is an option of the task robustness"),
        ("runs/r --task colours", "unknown task 'colours'; allowed: classification, maps, "),
        ("--task maps", "no run given"),
        ("", "no run given"),
    ):
        code = exit_code(lambda words=words: main(words.split(), "evaluate"))
        error = capsys.readouterr().err
        if code != 2 or said not in error:
            wrong[words] = error
    assert not wrong and parsed == []
