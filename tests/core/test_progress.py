"""A bar on a terminal, lines in a pipe, and nothing of what is soon done."""

import io
import sys

import pytest

pytest.importorskip("tqdm")

from attention_keras import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(monkeypatch, stream, **settings):
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "BETWEEN_LINES", 0.0)
    for _ in progress.Bar(range(3), unit=" images", file=stream, **settings):
        pass
    return stream.getvalue()


def test_a_pipe_gets_lines_and_a_terminal_one_bar(monkeypatch):
    lines = shown(monkeypatch, io.StringIO()).splitlines()
    assert [line.split("|")[0].strip() for line in lines if line] == ["0%", "33%", "67%", "100%"]
    bar = shown(monkeypatch, Terminal(), delay=0)
    assert "\n" not in bar and "0/3" in bar


def test_what_is_soon_done_and_what_is_not_asked_for_shows_nothing(monkeypatch):
    assert shown(monkeypatch, Terminal()) == ""
    assert shown(monkeypatch, Terminal(), delay=0, disable=True) == ""
