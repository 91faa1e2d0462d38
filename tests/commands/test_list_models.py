"""The list of networks: the paper's errors beside them, and sizes counted on the graph."""

from attention_keras.commands.main import main
from attention_keras.models import zoo


def test_a_line_for_each_model(monkeypatch, capsys):
    monkeypatch.setattr(zoo, "list_models", lambda: ["vgg", "rn164-hires", "vgg-att2-concat-pc"])
    main(["list-models", "--sizes"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == ["vgg", "14,991,946", "313", "7.77", "30.62", "4.27", "34.64"]
    assert lines[2] == ["rn164-hires", "2,360,154", "254"]
    assert lines[3] == ["vgg-att2-concat-pc", "19,720,780", "3,787", "5.23", "23.19", "3.74", "26.80"]
    main(["list-models"])
    assert capsys.readouterr().out.splitlines()[1].split() == ["vgg", "7.77", "30.62", "4.27", "34.64"]
