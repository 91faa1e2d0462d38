"""From words to options, with the task first or as an option; no option is ignored."""

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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["maps", "r", "--pgd-steps", "3"],
            "--pgd-steps is an option of the task robustness; the task is maps",
        ),
        (["query", "r", "--versus", "cat"], "--versus is an option of the task maps"),
        (["maps", "r", "--masks=folder:x"], "--masks is an option of the task segmentation"),
        (["colours", "r"], "unknown task 'colours'; allowed: classification, maps, "),
        (["maps", "r", "--row", "3"], "perhaps you meant --rows"),
        ([], "Expected one of"),
    ],
)
def test_an_option_is_never_ignored(words, said, parsed, capsys):
    assert exit_code(lambda: main(words, "attention-keras evaluate")) == 2
    assert said in capsys.readouterr().err and parsed == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["r", "--rows", "3"], "--rows is an option of the task maps; the task is classification"),
        (["r", "--task", "maps", "--epsilons", "1"], "--epsilons is an option of the task robustness"),
        (["r", "--task", "colours"], "invalid choice 'colours' for argument '--task'"),
        (["--task", "maps"], "no run given"),
    ],
)
def test_nor_with_the_task_as_an_option(words, said, parsed, capsys):
    assert exit_code(lambda: main_with_task_option(words, "python evaluate.py", "about")) == 2
    assert said in capsys.readouterr().err and parsed == []


@pytest.mark.parametrize("task", [*TASKS, "all"])
def test_help_of_a_task(task, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        main([task, "--help"], "attention-keras evaluate")
    text = capsys.readouterr().out
    assert f"usage: attention-keras evaluate {task} [-h]" in text and "RUN [RUN ...]" in text
    assert "(default: None)" not in text and "{None}" not in text
    assert ("--pgd-steps" in text) == (task in ("robustness", "all"))


def test_help_imports_no_framework(fresh_process):
    program = (
        "import sys\n"
        "from attention_keras.commands.evaluate import main\n"
        "try: main(['--help'], 'attention-keras evaluate')\n"
        "except SystemExit as e: assert e.code == 0\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    assert "faithfulness" in fresh_process(program)
