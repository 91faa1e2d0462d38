"""A person's way through the page to try a model on, in headless Chromium."""

import base64
import importlib.util
import io
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from PIL import Image

from attention_keras.drawing.maps import overlay, signed_overlay
from attention_keras.models.evidence import combine_evidence, evidence_model
from attention_keras.models.outputs import evidence_maps
from attention_keras.serving.client import read_picture

SOURCE = Path(__file__).parents[2] / "examples" / "demo_app" / "app.py"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HERE = "127.0.0.1"
COLOR_STEP = 4  # between neighbours of the map's 256 colours; rounding can decide for either
STARTED = 120  # seconds within which the app must answer; a machine with other work is slow
NEEDED = {
    "gradio (pip install -e .[demo-app])": importlib.util.find_spec("gradio"),
    "playwright (pip install playwright)": importlib.util.find_spec("playwright"),
    "Chromium on the PATH": BROWSER,
}
MISSING = [name for name, found in NEEDED.items() if not found]
# Runs in the app's process before anything else and writes down the hosts that are looked up or connected to.
WATCH = """
import os, sys
def note(event, args):
    if event == "socket.getaddrinfo" or event == "socket.connect" and isinstance(args[1], tuple):
        host = args[0] if event == "socket.getaddrinfo" else args[1][0]
        with open(os.environ["HOSTS"], "a") as file:
            print(host, file=file)
sys.addaudithook(note)
"""


@pytest.fixture
def picture(images, tmp_path):
    path = tmp_path / "my picture.png"
    Image.fromarray(images[1]).save(path)
    return path


def start(model, port, **options):
    command = [sys.executable, str(SOURCE), str(model), "--port", str(port)]
    return subprocess.Popen(command, text=True, stdout=subprocess.DEVNULL, **options)


@pytest.fixture
def page(exported, tmp_path):
    """URL of the app in a process of its own, and the file of the hosts that it turned to."""
    with socket.socket() as free:
        free.bind((HERE, 0))
        port = free.getsockname()[1]
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    (tmp_path / "hosts").touch()
    told = {"PYTHONPATH": str(tmp_path), "HOSTS": str(tmp_path / "hosts"), "TMPDIR": str(tmp_path)}
    with start(exported, port, env=os.environ | told, stderr=subprocess.DEVNULL) as process:
        try:
            began = time.monotonic()
            while True:
                try:
                    requests.get(f"http://{HERE}:{port}", timeout=10)
                    break
                except requests.RequestException:
                    assert process.poll() is None, "the app ended"
                    assert time.monotonic() - began < STARTED, "the app does not answer"
                    time.sleep(0.1)
            yield f"http://{HERE}:{port}", tmp_path / "hosts"
        finally:
            process.terminate()


@pytest.fixture
def tab(page):
    """A browser's tab with the page, and the list of what it requested; it can reach this machine only."""
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {HERE}"]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=arguments)
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        requested = []
        tab.on("request", lambda request: requested.append(request.url))
        tab.goto(page[0])
        yield tab, requested
        browser.close()


DROP = """([name, content]) => {
    const transfer = new DataTransfer();
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name, {type: "image/png"}));
    return transfer;
}"""


def drop(tab, path):
    """What the browser does when a person lets a file go over the drop zone."""
    content = base64.b64encode(path.read_bytes()).decode()
    transfer = tab.evaluate_handle(DROP, [path.name, content])
    tab.get_by_text("Drop File Here").dispatch_event("drop", {"dataTransfer": transfer})


def titles(tab, part):
    """What stands under the pictures in a part of the page, without the ends of the scales."""
    return [caption.split(":")[0] for caption in tab.locator(f"{part} figcaption").all_inner_texts()]


def check_pictures(tab, part, drawn):
    """The pictures in a part of the page are seen, and are these."""
    for image, wanted in zip(tab.locator(f"{part} figure img").all(), drawn, strict=True):
        assert image.is_visible() and image.bounding_box()["width"] > 240
        content = base64.b64decode(image.get_attribute("src").removeprefix("data:image/png;base64,"))
        got = np.asarray(Image.open(io.BytesIO(content))).astype(int)
        assert got.shape == wanted.shape and np.abs(got - wanted).max() <= COLOR_STEP


def evidence_pictures(outputs, pixels, number):
    """Evidence for a class over the picture: of all levels and of each, on one scale."""
    maps = {tap: level[..., number] for tap, level in evidence_maps(outputs).items()}
    levels = [np.asarray(combine_evidence({tap: level}, (32, 32)))[0] for tap, level in maps.items()]
    levels = [sum(levels), *levels]
    limit = max(np.abs(level).max() for level in levels)
    return [signed_overlay(pixels, level, limit) for level in levels]


@pytest.mark.skipif(MISSING, reason=f"there is no {', no '.join(MISSING)}")
def test_a_person_drops_a_picture_in(page, tab, picture, expected, model, images, tmp_path):
    tab, requested = tab
    drop(tab, picture)
    tab.locator("figure").nth(5).wait_for(timeout=30_000)
    best = expected["probabilities"][1].argmax()
    assert tab.get_by_test_id("label-output-value").inner_text().strip() == ("zero", "one", "two")[best]
    pixels = read_picture(picture).pixels
    levels = [expected["attention_conv10"][1], expected["attention_conv13"][1]]
    assert titles(tab, "#maps") == [picture.name, "conv10, 16x16", "conv13, 8x8"]
    check_pictures(tab, "#maps", [pixels, *(overlay(pixels, level) for level in levels)])
    assert titles(tab, "#evidence") == ["evidence", "evidence, conv10", "evidence, conv13"]
    outputs = evidence_model(model).predict(images[1:2].astype("float32"), verbose=0)
    check_pictures(tab, "#evidence", evidence_pictures(outputs, pixels, best))
    # A person asks about another class.
    other = (best + 1) % 3
    tab.get_by_label("evidence for").click()
    tab.get_by_role("option", name=("zero", "one", "two")[other]).click()
    tab.get_by_text(f"evidence for {('zero', 'one', 'two')[other]}: ").wait_for(timeout=30_000)
    check_pictures(tab, "#evidence", evidence_pictures(outputs, pixels, other))
    # The next file is no picture: that is said, and the answer to the first one does not stay.
    (tmp_path / "text.png").write_text("no picture")
    drop(tab, tmp_path / "text.png")
    tab.get_by_text("cannot read text.png: not an image", exact=True).wait_for(timeout=30_000)
    tab.locator("figure").first.wait_for(state="detached")
    # gradio leaves folders and empty files behind, but no picture.
    kept = list((tmp_path / "gradio").rglob("*"))
    assert kept and not [path for path in kept if path.is_file() and path.stat().st_size]
    # Neither the page nor the app turned to another machine.
    assert {urlsplit(url).hostname for url in requested if not url.startswith("data:")} == {HERE}
    assert set(page[1].read_text().split()) == {HERE}


@pytest.mark.skipif(not importlib.util.find_spec("gradio"), reason="there is no gradio")
def test_a_port_that_is_taken():
    with socket.socket() as taken:
        taken.bind((HERE, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with start(f"http://{HERE}/v1/models/none", port, stderr=subprocess.PIPE) as process:
            said = process.communicate(timeout=STARTED)[1].splitlines()
    assert process.returncode == 2
    assert said[-1] == f"error: cannot listen on {HERE}:{port}; choose another --port"
