"""Finished trainings that tests share; they may read them, and not change them."""

import keras
import numpy as np
import pytest
from keras import layers
from small_runs import FINETUNED, FOLDER, FULL, PLAIN, SMALL, at_each_step, trained, write_photograph

from attention_keras.data.datasets import load_dataset
from attention_keras.runs.config import RunConfig


@pytest.fixture(scope="session")
def dataset():
    """What all but `folder_run` are of."""
    return load_dataset("cluttered_digits", limit=75)


@pytest.fixture(scope="session")
def plain_run(tmp_path_factory):
    """Three epochs of five steps."""
    return trained(PLAIN, tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="session")
def full_run(tmp_path_factory):
    """As `plain_run`, with attention that is trained too and weights that are averaged; keeps `steps`, the
    trained weights after each step."""
    steps = []
    with at_each_step(lambda saving: steps.append([v.numpy() for v in saving.model.trainable_variables])):
        run = trained(FULL, tmp_path_factory.mktemp("full"))
    run.steps = steps
    return run


@pytest.fixture(scope="session")
def backbone(tmp_path_factory):
    """The file of a small "pretrained" network that normalises its pixels itself."""
    keras.utils.set_random_seed(5)
    images = keras.Input((24, 24, 3))  # smaller than the images: it is rebuilt for theirs
    x = layers.Rescaling(1 / 127.5, offset=-1)(images)
    x = layers.Conv2D(6, 3, 2, padding="same", name="early")(x)
    x = layers.Activation("swish")(layers.BatchNormalization(name="norm")(x))
    x = layers.Conv2D(8, 3, 2, padding="same", activation="swish", name="late")(x)
    model = keras.Model(images, x, name="small")
    model.get_layer("norm").moving_mean.assign(np.linspace(-0.2, 0.2, 6))
    path = tmp_path_factory.mktemp("backbone") / "small.keras"
    model.save(path)
    return path


@pytest.fixture(scope="session")
def finetuned_run(backbone, tmp_path_factory):
    """Two frozen epochs, then two of all weights, averaged."""
    return trained(FINETUNED.replace(backbone=str(backbone)), tmp_path_factory.mktemp("finetuned"))


@pytest.fixture(scope="session")
def fitted_run(backbone, tmp_path_factory):
    """A class head fitted to a frozen backbone in one pass, which is the default of one in a file."""
    return trained(RunConfig(**SMALL, backbone=str(backbone)), tmp_path_factory.mktemp("fitted"))


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of 60 photographs of two classes; copy it to change it."""
    folder = tmp_path_factory.mktemp("data") / "photos"
    for number in range(60):
        write_photograph(folder / "ab"[number % 2] / f"{number}.png", number)
    return folder


@pytest.fixture(scope="session")
def folder_run(photos, tmp_path_factory):
    """Two epochs on random crops of `photos`."""
    return trained(FOLDER.replace(dataset=f"folder:{photos}"), tmp_path_factory.mktemp("folder"))
