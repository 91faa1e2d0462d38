import http.server
import threading
import time

import pytest

from attention_keras.data import hosts
from attention_keras.data.hosts import unreachable_host


@pytest.fixture
def server():
    """A server on this machine that has `/there` and nothing else."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/there" else 404)
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_file_that_is_there(server):
    assert unreachable_host([f"{server}/there", "http://127.0.0.1:1/other"]) is None


def test_a_file_that_is_not_there(server):
    assert unreachable_host([f"{server}/missing"]) == server.removeprefix("http://")


def test_nobody_listens():
    began = time.monotonic()
    assert unreachable_host(["http://127.0.0.1:1/file"]) == "127.0.0.1:1"
    assert time.monotonic() - began < 5


def test_a_name_lookup_that_hangs_is_not_waited_for(monkeypatch):
    """Offline resolvers can take minutes; the answer must come within 30 seconds all the same."""
    monkeypatch.setattr(hosts, "TOTAL_SECONDS", 0.2)
    monkeypatch.setattr(hosts, "_answers", lambda url: time.sleep(5))
    began = time.monotonic()
    assert (
        unreachable_host(["https://one.example/a", "https://two.example/b"]) == "one.example and two.example"
    )
    assert time.monotonic() - began < 2
    assert hosts.TOTAL_SECONDS + hosts.ANSWER_SECONDS < 30
