"""From words to options, with the task first or as an option; no option is ignored."""

from functools import partial

import pytest

from attention_keras.commands import evaluate as command
from attention_keras.commands.command_line import exit_code
from attention_keras.commands.evaluate import main, main_with_task_option
from attention_keras.evaluation.options import TASKS, tasks_of


@pytest.fixture
def parsed(monkeypatch):
    """The options that a command line stands for, in place of the evaluation."""
    found = []
    monkeypatch.setattr(command, "run", lambda options, _: found.append(options) or 0)
    return found


def test_both_forms_of_the_command_say_the_same(parsed):
    words = ["runs/a", "runs/b", "--pgd-steps", "3", "--epsilons", "1", "2"]
    assert main(["robustness", *words], "attention-keras evaluate") == 0
    for form in (["--task", "robustness", *words], [*words, "--task=robustness"]):
        assert main_with_task_option(form, "python evaluate.py", "about") == 0
    assert [options.runs for options in parsed] == [("runs/a", "runs/b")] * 3
    assert [(options.pgd_steps, options.epsilons) for options in parsed] == [(3, (1.0, 2.0))] * 3
    assert [tasks_of(options) for options in parsed] == [["robustness"]] * 3


def test_classification_is_the_default_and_all_takes_every_option(parsed):
    main_with_task_option(["runs/a", "--panels", "2"], "python evaluate.py", "about")
    main(["all", "runs/a", "--panels", "2", "--rows", "3", "--steps", "4"], "attention-keras evaluate")
    assert [tasks_of(options) for options in parsed] == [["classification"], list(TASKS)]
    assert (parsed[1].panels, parsed[1].rows, parsed[1].steps) == (2, 3, 4)


def test_an_option_is_never_ignored(parsed, capsys):
    with_task = partial(main_with_task_option, prog="python evaluate.py", description="about")
    for entry, line, said in (
        (main, "maps r --pgd-steps 3", "--pgd-steps is an option of the task robustness; the task is maps"),
        (main, "query r --versus cat", "--versus is an option of the task maps"),
        (main, "maps r --masks=folder:x", "--masks is an option of the task segmentation"),
        (main, "colours r", "unknown task 'colours'; allowed: classification, maps, "),
        (main, "maps r --row 3", "perhaps you meant --rows"),
        (main, "", "Expected one of"),
        (with_task, "r --rows 3", "--rows is an option of the task maps; the task is classification"),
        (with_task, "r --task maps --epsilons 1", "--epsilons is an option of the task robustness"),
        (with_task, "r --task colours", "invalid choice 'colours' for argument '--task'"),
        (with_task, "--task maps", "no run given"),
    ):
        words = (line.split(), "attention-keras evaluate") if entry is main else (line.split(),)
        assert exit_code(partial(entry, *words)) == 2
        assert said in capsys.readouterr().err and parsed == [], line


def test_help_of_a_task(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for task in (*TASKS, "all"):
        with pytest.raises(SystemExit):
            main([task, "--help"], "attention-keras evaluate")
        text = capsys.readouterr().out
        assert f"usage: attention-keras evaluate {task} [-h]" in text and "RUN [RUN ...]" in text
        assert "(default: None)" not in text and "{None}" not in text
        assert ("--pgd-steps" in text) == (task in ("robustness", "all"))
