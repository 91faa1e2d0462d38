"""Names of a training's variables: each its own, the same in every process, and no matter in what order."""

import keras
import numpy as np

from attention_keras import build_model
from attention_keras.training.state import build_metrics, model_state, training_state


def compiled(name="vgg-att2-concat-dp"):
    model = build_model(name, num_classes=3, width=0.03)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")])
    model.optimizer.build(model.trainable_variables)
    build_metrics(model)
    return model


def test_every_variable_has_a_name_of_its_own():
    model = compiled()
    state = training_state(model, model)
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    assert len(state) == len(variables)
    assert {id(v) for v in state.values()} == {id(v) for v in variables}
    names = ["model/conv1_conv/kernel", "model/scores_conv10/u", "optimizer/adam/iteration"]
    assert "model/conv1_dropout/seed_generator/seed_generator_state" in state
    assert names[0] in state and names[2] in state and "metrics/accuracy/total" in state


def test_seeds_are_named_by_their_layer_however_many_came_before():
    first = list(model_state(compiled()))
    second = list(model_state(compiled()))
    assert first == second


def test_build_metrics_leaves_them_at_zero():
    model = compiled("vgg-att2-indep-dp")
    assert model.metrics_variables and not any(np.asarray(v).any() for v in model.metrics_variables)
