"""The client against a server: REST and gRPC give the model's numbers, and failures are told in one line."""

import io
import shutil
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image
from stand_in_server import StandInServer

from attention_keras.data.picture_files import stems
from attention_keras.errors import UserError
from attention_keras.serving import connection as connection_module
from attention_keras.serving.client import ask, describe, read_labels, read_picture
from attention_keras.serving.connection import Address, Connection

MODEL_SERVER = shutil.which("tensorflow_model_server")


@pytest.fixture(scope="module")
def server(exported):
    with StandInServer(exported) as running:
        yield running


@pytest.fixture(scope="module")
def model_server(exported):
    """URLs of the real thing, REST and gRPC."""
    if not MODEL_SERVER:
        pytest.skip("tensorflow_model_server is not on the PATH (no package registry has it)")
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    command = [
        MODEL_SERVER,
        f"--rest_api_port={ports[0]}",
        f"--port={ports[1]}",
        "--model_name=demo",
        f"--model_base_path={exported.parent}",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(300):
                try:
                    requests.get(f"http://127.0.0.1:{ports[0]}/v1/models/demo", timeout=1).raise_for_status()
                    break
                except requests.RequestException:
                    time.sleep(0.1)
            yield [f"{kind}://127.0.0.1:{port}/v1/models/demo" for kind, port in zip(("http", "grpc"), ports)]
        finally:
            process.terminate()


def check_numbers(url, images, expected):
    connection = Connection(url)
    answers = connection.call("serving_default", images=images)
    assert answers.keys() == expected.keys()
    for name, value in answers.items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5)
    assert connection.call("explain", images=images)["attention"].shape == (3, 32, 32)


@pytest.mark.parametrize("kind", ["rest_url", "grpc_url"])
def test_numbers_are_those_of_the_keras_model(server, kind, images, expected):
    check_numbers(getattr(server, kind), images, expected)


def test_tensorflow_model_server_agrees(model_server, images, expected, pictures):
    for url in model_server:
        check_numbers(url, images, expected)
        answers = list(ask(Connection(url), [read_picture(path) for path in pictures]))
        np.testing.assert_allclose(answers[2].probabilities, expected["probabilities"][2], atol=1e-5)
        with pytest.raises(UserError, match="refused"):
            Connection(url.replace("demo", "none")).call("classify", images=images)


@pytest.mark.parametrize("kind", ["rest_url", "grpc_url"])
def test_the_command_line(server, kind, client, pictures, exported, expected, capsys):
    words = [*pictures, "--url", getattr(server, kind), "--labels", exported, "--top", "2"]
    assert client(*words) == 0
    lines = capsys.readouterr().out.splitlines()
    top = expected["probabilities"][0].argsort()[::-1]
    names = [("zero", "one", "two")[number] for number in top]
    first = f"{pictures[0]}: {names[0]} {expected['probabilities'][0][top[0]]:.1%}".replace("%", " %")
    assert lines[0].startswith(first + ", " + names[1])
    drawn = ["attention/red_conv10.png", "attention/red_conv13.png"]
    assert lines[1:3] == [f"  {name}" for name in drawn] and len(lines) == 9
    hottest = np.unravel_index(expected["attention_conv13"][0].argmax(), (8, 8))
    overlaid = np.asarray(Image.open(drawn[1])).astype(float)
    assert overlaid.shape == (256, 256, 3)
    brightness = overlaid.mean(-1).reshape(8, 32, 8, 32).mean((1, 3))
    assert brightness[hottest] > np.median(brightness)


def test_what_the_server_cannot_decode_does_not_stop_the_rest(server, client, pictures, capsys, monkeypatch):
    def broken(path, megapixels):
        picture = read_picture(path, megapixels)
        return (
            picture if path != str(pictures[1]) else type(picture)(picture.path, b"\x89PNG", picture.pixels)
        )

    monkeypatch.setattr("attention_keras.serving.client.read_picture", broken)
    assert client(*pictures, "--url", server.rest_url) == 0
    said = capsys.readouterr()
    assert said.out.count("class ") == 2 * 3
    assert [line for line in said.out.splitlines() if "green" in line] == [
        f"cannot read {pictures[1]}: the server could not decode it"
    ]
    assert said.err == "warning: 1 files could not be read; their lines say why\n"


@pytest.mark.parametrize("kind", ["rest_url", "grpc_url"])
def test_a_busy_server_is_asked_again(server, kind, images, monkeypatch):
    monkeypatch.setattr(connection_module, "FIRST_WAIT", 0.001)
    connection = Connection(getattr(server, kind), retries=2)
    server.busy = 2
    assert connection.call("classify", images=images)["probabilities"].shape == (3, 3)
    server.busy, server.requests = 3, 0
    with pytest.raises(UserError, match=r"cannot be reached .*tried 3 times"):
        connection.call("classify", images=images)
    assert (server.busy, server.requests) == (0, 3)


@pytest.mark.parametrize("kind", ["rest_url", "grpc_url"])
def test_a_slow_server_is_not_asked_again(exported, kind, images):
    with StandInServer(exported) as slow:
        slow.delay.set()
        began = time.monotonic()
        with pytest.raises(UserError, match=r"no answer within 0\.3 s; a larger timeout"):
            Connection(getattr(slow, kind), timeout=0.3).call("classify", images=images)
        assert time.monotonic() - began < 5 and slow.requests == 1


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_nobody_listens(kind, client, pictures, capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"{kind}://127.0.0.1:{free.getsockname()[1]}/v1/models/demo"
        assert client(*pictures, "--url", url, "--retries", "0") == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {url} cannot be reached") and said.count("\n") == 1
    assert "refused" in said and "8501" in said


@pytest.mark.parametrize("kind", ["rest_url", "grpc_url"])
def test_what_the_server_refuses_is_told_in_its_words(server, kind, images):
    url = getattr(server, kind)
    for wrong, said in (
        (url.replace("demo", "none"), "refused the request: Servable not found .*none"),
        (f"{url}/versions/7", "refused the request: Servable not found .*7"),
        (f"{url}/labels/canary", "refused the request: Servable not found .*canary"),
    ):
        with pytest.raises(UserError, match=said):
            Connection(wrong).call("classify", images=images)
    for right in (f"{url}/versions/1", f"{url}/labels/stable"):
        assert Connection(right).call("classify", images=images)["probabilities"].shape == (3, 3)
    with pytest.raises(UserError, match=r"refused.*signature"):
        Connection(url).call("predict", images=images)


def test_a_server_that_is_something_else(server, images):
    with pytest.raises(UserError, match="cannot be reached"):
        Connection(server.rest_url.replace("http:", "grpc:"), retries=0).call("classify", images=images)
    with pytest.raises(UserError, match=r"cannot be reached|is no TF Serving"):
        Connection(server.grpc_url.replace("grpc:", "http:"), retries=0).call("classify", images=images)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8501",
        "ftp://localhost/v1/models/demo",
        "http://localhost:8501",
        "http://localhost:8501/v1/models/",
        "http://localhost:x/v1/models/demo",
        "http:///v1/models/demo",
        "http://localhost/v1/models/demo:predict",
        "http://localhost/v1/models/demo?x=1",
    ],
)
def test_urls_that_do_not_say_enough(url):
    with pytest.raises(UserError, match="it is http://HOST:8501/v1/models/NAME"):
        Address.parse(url)


def test_default_ports():
    assert str(Address.parse("grpc://models/v1/models/demo/")) == "grpc://models:8500/v1/models/demo"
    assert Address.parse("https://models/v1/models/demo").host == "models:443"


def save(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()


def test_files_go_out_as_they_are_or_as_an_upright_png(tmp_path, images):
    image = Image.fromarray(images[0][:, :20])
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    files = {
        "plain.jpg": save(image, format="JPEG"),
        "grey.png": save(image.convert("L"), format="PNG"),
        "turned.jpg": save(image, format="JPEG", exif=exif),
        "other.webp": save(image, format="WEBP"),
        "other.tiff": save(image, format="TIFF"),
    }
    pictures = {}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        pictures[name] = read_picture(tmp_path / name)
    same = [name for name, picture in pictures.items() if picture.content == files[name]]
    assert same == ["plain.jpg", "grey.png"]
    assert Image.open(io.BytesIO(pictures["turned.jpg"].content)).size == (32, 20)
    assert {p.content[:4] for name, p in pictures.items() if name not in same} == {b"\x89PNG"}
    assert pictures["grey.png"].pixels.shape == (256, 160, 3)
    Image.new("RGB", (3000, 1000)).save(tmp_path / "large.png")
    assert read_picture(tmp_path / "large.png").pixels.shape == (341, 1024, 3)


def test_mistakes_on_this_side_are_found_before_anything_is_sent(server, client, tmp_path, pictures, capsys):
    (tmp_path / "two.txt").write_text("a\nb\n")
    url = ["--url", server.rest_url]
    server.requests = 0
    for words, said in (
        ([*url], "no picture was given"),
        (["missing.png", *url], "there is no file missing.png"),
        ([pictures[0], *url, "--megapixels", "0"], "megapixels must be from 1 to 178; got 0"),
        ([pictures[0], *url, "--labels", "nowhere"], "no labels.txt at nowhere"),
        ([pictures[0], *url, "--top", "0"], "--top must be 1 or more"),
        ([pictures[0], "--url", "localhost"], "does not say server and model"),
    ):
        assert client(*words) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
    assert server.requests == 0
    assert client(pictures[0], *url, "--labels", "two.txt") == 2
    assert "3 classes, but labels gives 2 names" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert client(pictures[0], *url, "--output", "file") == 2
    assert "cannot write to file" in capsys.readouterr().err


def test_pictures_of_one_name_do_not_overwrite_each_other():
    names = stems([Path("a/x.png"), Path("b/x.png"), Path("x-2.png"), Path("x.jpg")])
    assert names == ["x", "x-2", "x-2-2", "x-3"]


def test_more_pictures_than_fit_in_one_request(server, pictures):
    server.requests = 0
    many = [read_picture(path) for path in pictures] * 11
    assert len(list(ask(Connection(server.rest_url), many))) == 33
    assert server.requests == 3


def test_class_names_of_a_run_and_of_an_export(exported, tmp_path):
    (tmp_path / "labels.txt").write_text("a\nb\n")
    assert read_labels(tmp_path) == ["a", "b"]
    assert read_labels(exported) == read_labels(exported / "assets" / "labels.txt") == ["zero", "one", "two"]
    assert describe(np.array([0.25, 0.75]), None, 1) == "class 1 75.0 %"
