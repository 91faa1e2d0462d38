"""A `.keras` file and the SavedModel made of it explain alike."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from attention_keras import attend
from attention_keras.data.split import Split
from attention_keras.evaluation.explanations.own import total_evidence
from attention_keras.evaluation.options import ClassificationOptions
from attention_keras.evaluation.subjects.load import load_subjects
from attention_keras.evaluation.tasks.answers import answer_galleries
from attention_keras.evaluation.tasks.context import Context
from attention_keras.serving.export import export_model

NAMES = ["cat", "dog", "emu"]
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype="uint8")


def subjects(model, folder):
    """The Keras model and its export."""
    model.save(folder / "model.keras")
    [exported] = export_model(model, folder / "served", class_names=NAMES, card={})
    return load_subjects([str(folder / "model.keras"), str(exported.path)])


@pytest.fixture(scope="module")
def attended(tmp_path_factory):
    keras.utils.set_random_seed(0)
    images = keras.Input((16, 16, 3))
    early = keras.layers.Conv2D(6, 3, 2, "same", activation="relu", name="early")
    late = keras.layers.Conv2D(8, 3, 2, "same", activation="relu", name="late")
    scaled = keras.layers.Rescaling(1 / 127.5, -1)(images)
    model = attend(keras.Model(images, late(early(scaled))), ["early", "late"], num_classes=3, head="paper")
    return subjects(model, tmp_path_factory.mktemp("attended"))


def test_evidence_is_that_of_the_keras_model(attended):
    in_keras, saved = attended
    for classes in ([0, 1, 2, 0, 1], [2, 2, 2, 2, 2]):
        expected = total_evidence(in_keras, IMAGES, classes, batch_size=2)
        assert expected.shape == (5, 16, 16) and np.abs(expected).max() > 1e-3
        found = total_evidence(saved, IMAGES, classes, batch_size=3)
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_one_batch_is_answered_and_explained(attended):
    in_keras, saved = (subject.predictor.explain(IMAGES) for subject in attended)
    assert in_keras.total.shape == (5, 16, 16) == saved.evidence["early"].shape
    for name in ("probabilities", "classes", "total", "rest"):
        np.testing.assert_allclose(getattr(saved, name), getattr(in_keras, name), rtol=1e-5, atol=1e-5)
    for tap in ("early", "late"):
        np.testing.assert_allclose(saved.attention[tap], in_keras.attention[tap], atol=1e-5)
    # Below the titles, in which only the export has names.
    np.testing.assert_allclose(saved.draw(0)[54:], in_keras.draw(0)[54:], atol=6)


def test_without_evidence_there_is_none(tmp_path):
    images = keras.Input((16, 16, 3))
    hidden = keras.layers.Dense(4, "tanh")(keras.layers.Flatten()(images))
    model = keras.Model(images, {"logits": keras.layers.Dense(3, name="classifier")(hidden)})
    for subject in subjects(model, tmp_path):
        assert total_evidence(subject, IMAGES, [0] * 5) is None
        found = subject.predictor.explain(IMAGES)
        assert found.total is None and found.attention == {} and found.draw(0).shape[1] < 250


def test_images_of_an_exports_answers_show_its_evidence(attended):
    """As of the Keras model: every answer with its evidence, a wrong one with a contrast beside it."""
    drawn = []
    for subject in attended:
        probabilities = subject.predictor.predict(IMAGES)["probabilities"]
        split = Split(IMAGES, ((probabilities.argmax(-1) + [0, 0, 1, 1, 1]) % 3).astype("int32"))
        dataset, options = SimpleNamespace(class_names=NAMES), ClassificationOptions(runs=("",))
        context = Context([subject], dataset, split, options)
        galleries = answer_galleries(context, subject, split, probabilities)
        drawn.append([figure for gallery in galleries for figure in gallery.figures])
    assert [[figure.right for figure in figures] for figures in drawn] == [[False] * 3 + [True] * 2] * 2
    for one, other in zip(*drawn):
        assert np.abs(one.pixels.astype("int16") - other.pixels).mean() < 1
    assert drawn[1][0].pixels.shape[1] > drawn[1][-1].pixels.shape[1] > 0
