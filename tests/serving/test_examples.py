"""The examples are what they say: configs that parse, requests that a server takes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image
from stand_in_server import StandInServer
from tensorflow_serving.config import model_server_config_pb2

EXAMPLES = Path(__file__).parents[2] / "examples" / "serving"


@pytest.fixture(scope="module")
def server(exported):
    with StandInServer(exported) as running:
        yield running


@pytest.fixture
def picture(images, tmp_path):
    Image.fromarray(images[1]).save(tmp_path / "my picture.png")
    return tmp_path / "my picture.png"


def test_curl(server, picture, expected):
    if not shutil.which("curl") or not shutil.which("bash"):
        pytest.skip("curl or bash is not on the PATH")
    command = ["bash", str(EXAMPLES / "request.sh"), str(picture)]
    done = subprocess.run([*command, server.rest_url], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["predictions"]
    assert row["valid"] is True
    np.testing.assert_allclose(row["probabilities"], expected["probabilities"][1], atol=1e-5)
    np.testing.assert_allclose(row["attention_conv13"], expected["attention_conv13"][1], atol=1e-5)
    body = subprocess.run([*command, "--body-only"], capture_output=True, text=True).stdout
    assert json.loads(body)["instances"][0].keys() == {"image_bytes"}
    wrong = subprocess.run([*command, server.rest_url + "x"], capture_output=True, text=True)
    assert wrong.returncode != 0 and "Servable not found" in wrong.stdout


@pytest.mark.parametrize(
    ("words", "said"), [([], ""), (["no.png"], "; cannot read no.png"), (["no.png", "--body-only"], "no.png")]
)
def test_curl_without_a_picture_sends_nothing(words, said, tmp_path):
    script = EXAMPLES / "request.sh"
    done = subprocess.run(["bash", script, *words], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"usage: {script} PICTURE") and done.stderr.endswith(f"{said}\n")
    assert done.stderr.count("\n") == 1


def test_python(server, picture, expected, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    command = [sys.executable, str(EXAMPLES / "request.py"), str(picture), str(tmp_path / "text.png")]
    done = subprocess.run([*command, "--url", server.rest_url], capture_output=True, text=True)
    best = expected["probabilities"][1].argmax()
    assert done.stdout.splitlines() == [
        f"{picture}: class {best} ({expected['probabilities'][1][best]:.1%})",
        f"{tmp_path}/text.png: not a picture that the server can decode",
    ]


def test_models_config_serves_two_labelled_versions():
    text = (EXAMPLES / "models.config").read_text()
    parsed = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (config,) = parsed.model_config_list.config
    assert (config.name, config.base_path, config.model_platform) == ("demo", "/models/demo", "tensorflow")
    assert list(config.model_version_policy.specific.versions) == [1, 2]
    assert dict(config.version_labels) == {"stable": 1, "canary": 2}


def test_compose_mounts_every_config_that_its_flags_name():
    text = (EXAMPLES / "docker-compose.yml").read_text()
    for name in ("models.config", "batching.config", "monitoring.config"):
        assert (EXAMPLES / name).exists()
        assert f"./{name}:/config/{name}:ro" in text and f"_file=/config/{name}" in text
