"""`attention-keras reproduce`: every run of a table is a valid config, and nothing is done twice."""

from attention_keras.commands.main import main
from attention_keras.commands.reproduce import TABLES, ReproduceOptions


def test_every_run_of_every_table_has_a_name_of_its_own_and_what_is_given_replaces_what_the_table_says():
    for table, experiment in TABLES.items():
        runs = ReproduceOptions(table, seeds=2).configs().values()
        assert len({run.name for run in runs}) == 2 * len(experiment.rows)
    guided = ReproduceOptions("digits-attend-to", seeds=1).configs().values()
    assert [run.attend_to_fraction * run.attend_to for run in guided] == [0, 0.01, 0.1, 1]
    options = ReproduceOptions("cifar10-cpu", seeds=1, models=("vgg",), width=0.5, run_dir="elsewhere")
    (run,) = options.configs().values()
    assert (run.width, run.epochs, run.seed, run.run_dir, run.recipe) == (0.5, 1, 0, "elsewhere", "quick")


def test_a_table_is_trained_measured_and_written_and_nothing_is_done_twice(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = "reproduce digits --seeds 1 --models vgg-gap --measures classification --images 10 --width 0.03 "
    words += "--epochs 1 --limit 60 --run-dir runs"
    assert main(words.split()) == 0
    table = (tmp_path / "runs" / "results.md").read_text()
    assert "| `vgg-gap` |" in table
    assert (tmp_path / "runs" / "results.csv").read_text().startswith("model,seeds,")
    capsys.readouterr()
    assert main(words.split()) == 0
    said = capsys.readouterr().out
    assert "is finished already (--restart trains it anew)" in said and "measuring" not in said
    assert (tmp_path / "runs" / "results.md").read_text() == table
