"""What the page to try a model on answers: the model's numbers, or what was wrong in one line."""

import asyncio
import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from small_run import NAMES

from attention_keras.errors import UserError

APP = Path(__file__).parents[2] / "examples" / "demo_app"


@pytest.fixture(scope="module")
def app():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(APP)
        yield importlib.import_module("app")


def test_a_run_an_export_and_a_server_give_the_models_answers(
    app, run_path, exported, server, picture, expected
):
    """The export's parent was given, as after training; the page takes the newest version."""
    totals = []
    for where in (str(run_path), str(exported.parent), server.url):
        model = app.open_model(where)
        assert app.class_names(model) == NAMES
        found = app.look(model, picture)
        np.testing.assert_allclose(found.probabilities[0], expected["probabilities"][1], atol=1e-5)
        for tap in ("conv10", "conv13"):
            np.testing.assert_allclose(found.attention[tap][0], expected[f"attention_{tap}"][1], atol=1e-5)
        totals.append(np.stack([model.explain(found.images, [number]).total for number in range(3)]))
    for other in totals[1:]:
        np.testing.assert_allclose(other, totals[0], atol=1e-6)


@pytest.mark.filterwarnings("ignore")  # gradio's own, and what it would show on the page
def test_what_the_page_shows(app, exported, picture, tmp_path, monkeypatch):
    """Its two callbacks, where gradio is installed."""
    pytest.importorskip("gradio")
    # Gradio makes an event loop for each of its locks and never closes one.
    made, make = [], asyncio.new_event_loop
    monkeypatch.setattr(asyncio, "new_event_loop", lambda: made.append(make()) or made[-1])
    page = app.build_page(app.open_model(str(exported)))
    show, show_class = (event.fn for event in page.fns.values())
    free, found, classes, maps, asked = show(str(picture))
    assert free is None and not picture.exists()  # the zone is free, and gradio's copy is gone
    assert list(classes) == NAMES and sum(classes.values()) == pytest.approx(1)
    assert maps.count("<figure>") == 4 and asked.value == max(classes, key=classes.get)
    limit = np.abs(found.total).max() * found.total[0].size / 100
    said = re.search(rf"<figcaption>for {asked.value}: (\S+) to (\S+) logits per 1 %", maps).groups()
    assert [float(value) for value in said] == pytest.approx([-limit, limit], rel=0.06)
    assert "<figcaption>for two: " in show_class(found, 2)
    (tmp_path / "text.png").write_text("no image")
    assert show(str(tmp_path / "text.png"))[1:4] == (None, None, "")
    asyncio.set_event_loop(None)
    for loop in made:
        loop.close()


def test_what_is_no_model_is_refused(app, exported, tmp_path, monkeypatch):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "saved_model.pb").write_bytes(b"no model")
    tf.saved_model.save(tf.Module(), str(tmp_path / "other" / "1"))
    for name in ("broken", "other"):
        with pytest.raises(UserError, match="cannot load"):
            app.open_model(str(tmp_path / name))
    monkeypatch.setitem(sys.modules, "gradio", None)  # as where it is not installed
    monkeypatch.setattr(sys, "argv", ["app.py", str(exported)])
    with pytest.raises(UserError, match="the page needs gradio, which is not installed"):
        app.main()
