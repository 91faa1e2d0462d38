"""A bar on a terminal, lines in a pipe, and nothing of what is soon done."""

import io
import sys

import pytest

pytest.importorskip("tqdm")

from attention_keras import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_pipe_gets_lines_and_a_terminal_one_bar_and_neither_what_is_soon_done(monkeypatch):
    def shown(stream, **settings):
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr(progress, "BETWEEN_LINES", 0.0)
        for _ in progress.Bar(range(3), unit=" images", file=stream, **settings):
            pass
        return stream.getvalue()

    lines = shown(io.StringIO()).splitlines()
    assert [line.split("|")[0].strip() for line in lines if line] == ["0%", "33%", "67%", "100%"]
    bar = shown(Terminal(), delay=0)
    assert "\n" not in bar and "0/3" in bar
    assert shown(Terminal()) == "" == shown(Terminal(), delay=0, disable=True)
