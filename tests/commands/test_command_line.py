"""The command line: words to options, fast help, one line for each mistake."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tqdm import tqdm

from attention_keras.commands import evaluate
from attention_keras.commands.command_line import exit_code, parse
from attention_keras.commands.main import COMMANDS, main
from attention_keras.errors import UserError
from attention_keras.evaluation.options import TASKS, tasks_of
from attention_keras.runs.config import RunConfig
from attention_keras.runs.options import options_of

ROOT = Path(__file__).parents[2]


def test_the_flags_of_training_are_the_fields_of_its_config():
    def parsed(words):
        return parse(RunConfig, words.split(), description="", prog="attention-keras train")

    words = "--dataset cifar10 --width 0.25 --no-dropout --taps a b --backbone keras:VGG16 --export none"
    given = {"dataset": "cifar10", "width": 0.25, "dropout": False, "taps": ("a", "b"), "export": "none"}
    assert parsed(words) == RunConfig(backbone="keras:VGG16", **given)
    assert parsed("--balance --compat dp") == RunConfig(balance=True, compat="dp")
    assert parsed("") == RunConfig()


def test_the_task_of_evaluate_is_the_first_word_or_an_option(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    found, others = [], "runs/a runs/b --pgd-steps 3 --epsilons 1 2"
    monkeypatch.setattr(evaluate, "run", lambda options, _: found.append(options))
    for words in (f"robustness {others}", f"--task robustness {others}", f"{others} --task=robustness"):
        evaluate.main(words.split(), "evaluate")
        options = found.pop()
        assert (options.runs, tasks_of(options)) == (("runs/a", "runs/b"), ["robustness"])
        assert (options.pgd_steps, options.epsilons) == (3, (1.0, 2.0))
    for words, tasks in (("demo --panels 2", ["classification"]), ("all demo --panels 2", TASKS)):
        evaluate.main(words.split(), "evaluate")
        options = found.pop()
        assert (options.runs, options.panels, tasks_of(options)) == (("demo",), 2, list(tasks))


def test_help_names_every_option_and_nothing_of_this_machine(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    def said(words):
        with pytest.raises(SystemExit):
            main(words.split())
        return capsys.readouterr().out

    for command in [*COMMANDS, *(f"evaluate {task}" for task in (*TASKS, "all"))]:
        text = said(f"{command} --help")
        assert text.startswith(f"usage: attention-keras {command} ")
        assert [word for word in ("None", str(ROOT), "site-packages") if word in text] == [], command
    short, long = said("train --help"), said("train --help-all")
    flags, all_flags = (set(re.findall(r"^\W+--([a-z][a-z-]+)", text, re.M)) for text in (short, long))
    assert len(flags) <= 30 and flags < all_flags
    assert all_flags == {name.replace("_", "-") for name in options_of(RunConfig)}


def test_help_imports_no_framework(fresh_process):
    program = (
        "import sys, runpy\n"
        "for script in ('train.py', 'evaluate.py'):\n"
        "    sys.argv = [script, '--help']\n"
        "    try: runpy.run_path(script, run_name='__main__')\n"
        "    except SystemExit as e: assert e.code == 0\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    said = fresh_process(program, cwd=ROOT)
    assert "--dataset" in said and "--compat" in said and "faithfulness" in said


def test_how_a_command_ends(capfd):
    def mistaken():
        raise UserError("no such\n  dataset")

    def stopped():
        for _ in tqdm(range(3), leave=False, file=sys.stderr):
            raise KeyboardInterrupt

    assert exit_code(mistaken) == 2 and capfd.readouterr().err == "error: no such dataset\n"
    with pytest.raises(ZeroDivisionError):  # a bug keeps its traceback
        exit_code(lambda: 1 // 0)
    assert exit_code(stopped) == 130
    assert capfd.readouterr().err.split("\r")[-1] == "stopped\n"  # no progress bar before it


def test_a_reader_who_has_seen_enough_ends_it_without_a_word():
    """The pipe breaks when the command is done and its last line goes out."""
    program = (
        "import sys, time\nfrom attention_keras.commands.command_line import exit_code\n"
        "sys.exit(exit_code(lambda: [print('line', flush=True), time.sleep(0.5), print('more')] and None))"
    )
    words, pipe = [sys.executable, "-c", program], subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, cwd=ROOT) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
