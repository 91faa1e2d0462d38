"""A person's way through the page to try a model on, in headless Chromium."""

import base64
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from PIL import Image
from small_run import NAMES

SOURCE = Path(__file__).parents[2] / "examples" / "demo_app" / "app.py"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HERE = "127.0.0.1"
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
DROP = """([name, content]) => {
    const transfer = new DataTransfer();
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name, {type: "image/png"}));
    return transfer;
}"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"there is no {', no '.join(MISSING)}"),
]


@pytest.fixture
def page(exported, tmp_path):
    """URL of the app in a process of its own, and the file of the hosts that it turned to."""
    with socket.socket() as free:
        free.bind((HERE, 0))
        port = free.getsockname()[1]
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    (tmp_path / "hosts").touch()
    told = {"PYTHONPATH": str(tmp_path), "HOSTS": str(tmp_path / "hosts"), "TMPDIR": str(tmp_path)}
    command = [sys.executable, str(SOURCE), str(exported), "--port", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=os.environ | told, **quiet) as process:
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
        process.terminate()


def drop(tab, path):
    """What the browser does when a person lets a file go over the drop zone."""
    content = base64.b64encode(path.read_bytes()).decode()
    transfer = tab.evaluate_handle(DROP, [path.name, content])
    tab.get_by_text("Drop File Here").dispatch_event("drop", {"dataTransfer": transfer})


def test_a_person_drops_an_image_in(page, expected, images, tmp_path):
    from playwright.sync_api import sync_playwright

    Image.fromarray(images[1]).save(tmp_path / "my image.png")
    (tmp_path / "text.png").write_text("no image")
    requested = []
    arguments = ["--no-sandbox", f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {HERE}"]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=arguments)
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.on("request", lambda request: requested.append(request.url))
        tab.goto(page[0])
        drop(tab, tmp_path / "my image.png")
        tab.locator("figure").nth(3).wait_for(timeout=30_000)
        best = int(expected["probabilities"][1].argmax())
        assert tab.get_by_test_id("label-output-value").inner_text().strip() == NAMES[best]
        captions = [caption.split(":")[0] for caption in tab.locator("figcaption").all_inner_texts()]
        assert captions == ["my image.png", "conv10", "conv13", f"evidence for {NAMES[best]}"]
        other = NAMES[(best + 1) % 3]  # a person asks about another class
        tab.get_by_label("evidence for").click()
        tab.get_by_role("option", name=other).click()
        tab.get_by_text(f"evidence for {other}: ").wait_for(timeout=30_000)
        # The next file is no image: that is said, and the answer to the first one does not stay.
        drop(tab, tmp_path / "text.png")
        tab.get_by_text("cannot read text.png: not an image", exact=True).wait_for(timeout=30_000)
        tab.locator("figure").first.wait_for(state="detached")
        browser.close()
    # gradio leaves folders and empty files behind, but no image, and nobody turned to another machine.
    kept = list((tmp_path / "gradio").rglob("*"))
    assert kept and not [path for path in kept if path.is_file() and path.stat().st_size]
    assert {urlsplit(url).hostname for url in requested if not url.startswith("data:")} == {HERE}
    assert set(page[1].read_text().split()) == {HERE}
