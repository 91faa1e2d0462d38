"""A `.keras` file and the SavedModel made of it explain alike."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from attention_keras import build_model
from attention_keras.data.split import Split
from attention_keras.evaluation.explanations.own import evidence_or_none
from attention_keras.evaluation.options import ClassificationOptions
from attention_keras.evaluation.subjects.load import load_subjects
from attention_keras.evaluation.tasks.answers import answer_galleries
from attention_keras.evaluation.tasks.context import Context
from attention_keras.serving.export import export_model

NAMES = ["cat", "dog", "emu"]
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype="uint8")


def subjects(name, folder):
    """The Keras model and its export."""
    keras.utils.set_random_seed(0)
    return files_of(build_model(name, num_classes=3, width=0.125, init="keras"), folder)


def files_of(model, folder):
    model.save(folder / "model.keras")
    [exported] = export_model(model, folder / "served", class_names=NAMES, card={})
    return load_subjects([str(folder / "model.keras"), str(exported.path)])


@pytest.fixture(scope="module")
def attended(tmp_path_factory):
    return subjects("vgg-att2-concat-dp", tmp_path_factory.mktemp("attended"))


def test_evidence_is_that_of_the_keras_model(attended):
    in_keras, saved = attended
    for classes in ([0, 1, 2, 0, 1], [2, 2, 2, 2, 2]):
        expected = evidence_or_none(in_keras, IMAGES, classes, batch_size=2)
        assert expected.shape == (5, 32, 32) and np.abs(expected).max() > 0.01
        found = evidence_or_none(saved, IMAGES, classes, batch_size=3)
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_one_batch_is_answered_and_explained(attended):
    in_keras, saved = (subject.predictor.explain(IMAGES) for subject in attended)
    assert (
        set(in_keras)
        == set(saved)
        == {
            "probabilities",
            "evidence",
            "attention_conv10",
            "attention_conv13",
        }
    )
    assert in_keras["attention_conv13"].shape == (5, 8, 8)
    assert saved["attention_conv13"].shape == (5, 32, 32)
    np.testing.assert_allclose(saved["probabilities"], in_keras["probabilities"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(saved["evidence"], in_keras["evidence"], rtol=1e-5, atol=1e-5)
    predicted = in_keras["probabilities"].argmax(-1)
    np.testing.assert_allclose(
        in_keras["evidence"], evidence_or_none(attended[0], IMAGES, predicted), rtol=1e-5, atol=1e-5
    )


def test_without_evidence_there_is_none(without_evidence, tmp_path):
    for subject in files_of(without_evidence, tmp_path):
        assert evidence_or_none(subject, IMAGES, [0] * 5) is None
        assert set(subject.predictor.explain(IMAGES)) == {"probabilities"}


def test_images_of_an_exports_answers_show_its_evidence(attended):
    """As of the Keras model: every answer with its evidence, a wrong one with a contrast beside it."""
    drawn = []
    for subject in attended:
        probabilities = subject.predictor.predict(IMAGES)["probabilities"]
        split = Split(IMAGES, ((probabilities.argmax(-1) + [0, 0, 1, 1, 1]) % 3).astype("int32"))
        context = Context(
            [subject], SimpleNamespace(class_names=NAMES), split, ClassificationOptions(runs=("",))
        )
        galleries = answer_galleries(context, subject, split, probabilities, {})
        drawn.append([figure for gallery in galleries for figure in gallery.figures])
    assert [[figure.right for figure in figures] for figures in drawn] == [[False] * 3 + [True] * 2] * 2
    for one, other in zip(*drawn):
        assert np.abs(one.pixels.astype("int16") - other.pixels).mean() < 1
    assert drawn[1][0].pixels.shape[1] > drawn[1][-1].pixels.shape[1] > 0
