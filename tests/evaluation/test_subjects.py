"""Models under test: a `.keras` file and its SavedModel explain alike; images are read as in training."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from small_classifier import small

from attention_keras.data.images import PictureFormat
from attention_keras.errors import UserError
from attention_keras.evaluation.subjects.dataset import dataset_of, picture_format
from attention_keras.evaluation.subjects.load import Subject, load_subjects
from attention_keras.runs.config import RunConfig
from attention_keras.serving.export import export_model

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype="uint8")


def subjects(model, folder):
    """The Keras model and its export."""
    model.save(folder / "model.keras")
    names = [f"class {number}" for number in range(model.output["logits"].shape[-1])]
    [exported] = export_model(model, folder / "served", class_names=names, card={})
    return load_subjects([str(folder / "model.keras"), str(exported.path)])


def test_both_answer_and_explain_alike(tmp_path):
    in_keras, saved = attended = subjects(small("vgg-att2-concat-dp"), tmp_path)
    for classes in ([0, 1, 2, 0, 9], [2, 2, 2, 2, 2]):
        expected, found = (one.total_evidence(IMAGES, classes, n) for one, n in ((in_keras, 2), (saved, 3)))
        assert expected.shape == (5, 32, 32) and np.abs(expected).max() > 1e-4
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    in_keras, saved = (subject.predictor.explain(IMAGES) for subject in attended)
    assert in_keras.total.shape == (5, 32, 32) == saved.evidence["conv10"].shape
    for name in ("probabilities", "classes", "total", "rest"):
        np.testing.assert_allclose(getattr(saved, name), getattr(in_keras, name), rtol=1e-5, atol=1e-5)
    for tap in ("conv10", "conv13"):
        np.testing.assert_allclose(saved.attention[tap], in_keras.attention[tap], atol=1e-5)


def test_without_evidence_there_is_none(without_evidence, tmp_path):
    for subject in subjects(without_evidence, tmp_path):
        assert subject.total_evidence(IMAGES, [0] * 5, 5) is None
        found = subject.predictor.explain(IMAGES)
        assert found.total is None and found.attention == {} and found.draw(0).shape[1] < 250


def test_images_are_brought_to_what_the_runs_take():
    def run(name="run", **options):
        config = RunConfig(dataset="folder:photos", **options)
        kept = {"card": None, "value_range": None, "resize": config.resize}
        return Subject(name, Path(name), SimpleNamespace(image_shape=(16, 16, 3), **kept), config)

    with pytest.raises(UserError, match=r"^one \(pad\) and two \(crop\) resize images in different ways"):
        dataset_of([run("one", resize="pad"), run("two")], "folder:elsewhere")
    file, told = run(), run(resize="pad")
    file.trained = None  # a model file that says nothing is given the images of the run beside it
    assert picture_format([file, told]) == PictureFormat((16, 16), "pad")
    assert picture_format([file]) == PictureFormat((16, 16), "crop")
