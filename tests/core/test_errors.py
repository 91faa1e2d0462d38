"""A missing optional package is told in one line, and a broken one in its own words."""

import sys

import pytest

from attention_keras.errors import UserError, needs


def test_what_to_type_is_named_as_pip_names_it(monkeypatch):
    for name in ("skimage", "skimage.filters"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
        with pytest.raises(UserError) as caught, needs("segmentation", extra="evaluate"):
            __import__(name)
        said = "segmentation needs scikit-image, which is not installed; pip install "
        assert str(caught.value) == said + '"attention-keras[evaluate]"'


def test_a_package_that_another_one_misses_is_named_and_a_broken_one_keeps_its_message(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for name, content, kind, said in (
        ("one", "import absent", UserError, "segmentation needs absent, which is not installed"),
        ("two", "raise ImportError('libGL.so.1 is missing')", ImportError, "libGL.so.1 is missing"),
        ("three", "from three import nothing", ImportError, "cannot import name 'nothing'"),
        ("four", "import four.nothing", ImportError, "No module named 'four.nothing'"),
        ("five", "raise ModuleNotFoundError('of no name')", ImportError, "of no name"),
        ("other", "{}['x']", KeyError, "x"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(content)
        with pytest.raises(kind, match=said), needs("segmentation", extra="evaluate"):
            __import__(name)
