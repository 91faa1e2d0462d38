"""A missing optional package is told in one line, and a broken one in its own words."""

import sys

import pytest

from attention_keras.errors import UserError
from attention_keras.extras import needs


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write a package of this name with this content, importable for one test."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, content):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(content)
        monkeypatch.delitem(sys.modules, name, raising=False)

    return write


def said(name):
    with pytest.raises(UserError) as caught, needs("segmentation", extra="evaluate"):
        __import__(name)
    return str(caught.value)


def test_what_to_type_is_named_as_pip_names_it(monkeypatch):
    for name in ("skimage", "skimage.filters"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    expected = (
        'segmentation needs scikit-image, which is not installed; pip install "attention-keras[evaluate]"'
    )
    assert said("skimage") == expected
    assert said("skimage.filters") == expected


def test_an_import_hook_that_refuses_is_a_missing_package(monkeypatch):
    class Nothing:
        def find_spec(self, name, path=None, target=None):
            if name == "not_here":
                raise ModuleNotFoundError(name, name=name)

    monkeypatch.setattr(sys, "meta_path", [Nothing(), *sys.meta_path])
    assert "needs not_here, which is not installed" in said("not_here")


def test_the_package_that_another_one_misses_is_named(package):
    package("there", "import not_there_either")
    assert "segmentation needs not_there_either" in said("there")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("raise ImportError('libGL.so.1 is missing')", "libGL.so.1 is missing"),
        ("from broken import nothing", "cannot import name 'nothing'"),
        ("import broken.nothing", "No module named 'broken.nothing'"),
        ("raise ModuleNotFoundError('of no name')", "of no name"),
    ],
)
def test_a_broken_package_keeps_its_message(package, content, error):
    package("broken", content)
    with pytest.raises(ImportError, match=error), needs("segmentation", extra="evaluate"):
        __import__("broken")


def test_other_errors_pass():
    with pytest.raises(KeyError), needs("segmentation", extra="evaluate"):
        {}["x"]
