"""The examples are what they say: configs that parse, requests that a server takes."""

import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

EXAMPLES = Path(__file__).parents[2] / "examples" / "serving"


@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("bash"), reason="curl or bash is missing")
def test_curl(server, picture, expected, tmp_path):
    def request(*words):
        command = ["bash", str(EXAMPLES / "request.sh"), *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    done = request(picture, server.url)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["predictions"]
    assert row["valid"] is True
    for name in ("probabilities", "attention_conv13"):
        np.testing.assert_allclose(row[name], expected[name][1], atol=1e-5)
    wrong = request(picture, server.url + "x")
    assert wrong.returncode != 0 and "Servable not found" in wrong.stdout


def test_python(server, picture, expected, tmp_path, monkeypatch, capsys):
    """By REST and by gRPC."""
    (tmp_path / "text.png").write_text("no image")
    best = expected["probabilities"][1].argmax()
    for script, where in (
        ("request.py", ["--url", server.url]),
        ("request_grpc.py", ["--server", server.grpc_address]),
    ):
        monkeypatch.setattr(sys, "argv", [script, str(picture), str(tmp_path / "text.png"), *where])
        with pytest.raises(SystemExit, match="0"):
            runpy.run_path(str(EXAMPLES / script), run_name="__main__")
        assert capsys.readouterr().out.splitlines() == [
            f"{picture}: class {best} ({expected['probabilities'][1][best]:.1%})",
            f"{tmp_path}/text.png: no image that can be decoded",
        ]


def test_configs_serve_two_labelled_versions():
    text = (EXAMPLES / "models.config").read_text()
    parsed = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (config,) = parsed.model_config_list.config
    assert (config.name, config.base_path, config.model_platform) == ("demo", "/models/demo", "tensorflow")
    assert list(config.model_version_policy.specific.versions) == [1, 2]
    assert dict(config.version_labels) == {"stable": 1, "canary": 2}
