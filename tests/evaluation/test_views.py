"""Views of a network: up to the layer that is explained, its descriptors, with new weights."""

import keras
import numpy as np

from attention_keras import attend, build_model
from attention_keras.evaluation.subjects import views


def test_descriptors_are_what_the_classifier_sees_as_wide_as_the_papers():
    papers = {"vgg-att2-concat-pc": 1024, "vgg-att2-indep-pc": 1024, "vgg-att1-dp": 512, "vgg-gap": 512}
    models = {name: build_model(name, width=1 / 16) for name in papers}
    widths = {name: views.descriptor_model(model).output.shape[-1] for name, model in models.items()}
    assert widths == {name: width // 16 for name, width in papers.items()}
    images = np.random.default_rng(0).uniform(0, 255, (5, 32, 32, 3)).astype("float32")
    model = models["vgg-att2-concat-pc"]
    logits = model.get_layer("classifier")(
        views.predict_batches(views.descriptor_model(model), images, batch_size=2)
    )
    np.testing.assert_allclose(logits, model(images)["logits"], rtol=1e-4, atol=1e-4)


def test_random_weights_are_new_and_reproducible_and_statistics_of_pixels_stay():
    pixels = np.random.default_rng(0).uniform(0, 255, (8, 16, 16, 3)).astype("float32")
    normalization = keras.layers.Normalization(name="norm")
    normalization.adapt(pixels)
    images = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(6, 3, name="early")(normalization(images))
    model = attend(keras.Model(images, x), ["early"], 4, head="paper")
    first, again, other = (views.randomized(model, seed) for seed in (0, 0, 1))
    np.testing.assert_allclose(first.get_layer("norm")(pixels), normalization(pixels), atol=1e-5)
    for old, one, same, different in zip(*(m.trainable_weights for m in (model, first, again, other))):
        np.testing.assert_array_equal(one, same)
        if np.ptp(one) > 0:
            assert min(np.abs(np.asarray(w) - one).max() for w in (old, different)) > 0
