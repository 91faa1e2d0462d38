"""Prepared copies of TensorFlow Datasets as people have them: versions, sizes, damaged files."""

import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds

from attention_keras.commands.command_line import exit_code
from attention_keras.commands.main import main
from attention_keras.data.datasets import load_dataset
from attention_keras.errors import UserError
from attention_keras.models.vgg import check_input


@pytest.fixture(scope="module")
def mnist(prepare):
    """60 training and 20 test images of 28x28."""
    examples = [{"image": np.full((28, 28, 1), i, "uint8"), "label": i % 10} for i in range(60)]
    return prepare("mnist", {"train": examples, "test": examples[:20]})


@pytest.fixture
def copy(mnist, tmp_path):
    return shutil.copytree(mnist, tmp_path / "copy")


@pytest.mark.parametrize("name", ["tfds:mnist", "tfds:mnist:3.0.1", "tfds:mnist/3.0.1", "tfds:mnist:3.*.*"])
def test_a_version_is_given_as_it_is_typed_or_as_it_lies_on_disk(name, mnist):
    assert load_dataset(name, data_dir=mnist).image_shape == (28, 28, 3)


def test_a_version_that_there_is_not_is_one_line(mnist):
    with pytest.raises(UserError, match=r"cannot open 'mnist:2\.0\.0': .*3\.0\.1"):
        load_dataset("tfds:mnist/2.0.0", data_dir=mnist)


def test_images_of_another_size_than_the_networks_say_what_to_type(mnist, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["train", "--dataset", "tfds:mnist", "--data-dir", str(mnist), "--export", "none"]
    assert exit_code(lambda: main(words)) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "got 28x28; train with --image-size 32" in said


@pytest.mark.parametrize(("shape", "side"), [((28, 28), 32), ((96, 100), 112), ((8, 8), 32), ((33, 33), 48)])
def test_the_size_that_is_advised_fits(shape, side):
    with pytest.raises(UserError, match=f"--image-size {side} "):
        check_input((*shape, 3))
    check_input((side, side, 3))


@pytest.mark.parametrize("damage", ["missing", "cut", "garbled"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_damaged_shard_is_one_line(damage, split, copy):
    (shard,) = copy.glob(f"mnist/3.0.1/mnist-{split}.tfrecord*")
    content = shard.read_bytes()
    if damage == "missing":
        shard.unlink()
    else:
        shard.write_bytes(content[:-20] if damage == "cut" else b"\0" * len(content))
    with pytest.raises(UserError, match=r"is damaged: .*copy it again") as caught:
        load_dataset("tfds:mnist", data_dir=copy).test()
    assert str(copy / "mnist" / "3.0.1") in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["dataset_info.json", "features.json"])
@pytest.mark.parametrize("content", [None, "", "{", "[]"])
def test_a_damaged_description_of_a_set_of_ones_own_is_one_line(file, content, prepare, tmp_path):
    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=(8, 8, 3)), "label": tfds.features.ClassLabel(num_classes=2)}
    )
    examples = [{"image": np.zeros((8, 8, 3), "uint8"), "label": i % 2} for i in range(20)]
    place = shutil.copytree(prepare("own_set", {"train": examples}, features), tmp_path / "copy")
    path = place / "own_set" / "1.0.0" / file
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match="own_set") as caught:
        load_dataset("tfds:own_set", data_dir=place)
    assert "\n" not in str(caught.value)
