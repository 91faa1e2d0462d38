import logging

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from attention_keras.data import cluttered_digits
from attention_keras.data.array_store import DiskRows
from attention_keras.data.datasets import DATASETS, load_dataset
from attention_keras.data.geometry import RESIZES, PictureFormat
from attention_keras.data.image_files import read_image
from attention_keras.data.pipeline import training_batches
from attention_keras.data.source import check_labels
from attention_keras.data.split import cut_validation
from attention_keras.errors import UserError


def test_cluttered_digits_is_the_same_for_every_seed():
    dataset = load_dataset("cluttered_digits", limit=50)
    other = load_dataset("cluttered_digits", limit=50, seed=9)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test())) == (50, 10, 10)
    np.testing.assert_array_equal(dataset.train.images, other.train.images)
    assert dataset.image_shape == (32, 32, 3) and dataset.num_classes == 10
    assert not dataset.mirror_symmetric
    assert dataset.test() is dataset.test()


def test_test_split_is_not_made_until_asked_for(monkeypatch):
    made = []
    generate = cluttered_digits.generate_scenes
    monkeypatch.setattr(
        cluttered_digits, "generate_scenes", lambda split, count: made.append(split) or generate(split, count)
    )
    dataset = load_dataset("cluttered_digits", limit=10)
    assert made == ["train", "validation"]
    dataset.test()
    assert made == ["train", "validation", "test"]


def test_cifar10_as_prepared(cifar10):
    dataset = load_dataset("cifar10", data_dir=cifar10, validation_fraction=1 / 3)
    values = [split.images[:, 0, 0, 0] for split in (dataset.train, dataset.validation, dataset.test())]
    assert [len(value) for value in values] == [40, 20, 20]
    np.testing.assert_array_equal(np.sort(np.concatenate(values[:2])), np.arange(60))
    np.testing.assert_array_equal(values[2], 100 + np.arange(20))
    np.testing.assert_array_equal(dataset.train.labels, values[0] % 10)
    np.testing.assert_array_equal(np.bincount(dataset.validation.labels), [2] * 10)
    assert dataset.class_names[:3] == ("airplane", "automobile", "bird")
    assert dataset.mirror_symmetric and dataset.train.masks is None


def test_limit_keeps_the_first_images(cifar10):
    dataset = load_dataset("cifar10", data_dir=cifar10, limit=20, validation_fraction=0.5)
    values = np.concatenate([dataset.train.images[:, 0, 0, 0], dataset.validation.images[:, 0, 0, 0]])
    np.testing.assert_array_equal(np.sort(values), np.arange(20))
    assert len(dataset.test()) == 4


def test_seed_picks_the_validation_images(cifar10):
    first, again, other = (
        load_dataset("cifar10", data_dir=cifar10, seed=seed).validation.images for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_set_above_the_memory_limit_is_read_from_disk(cifar10, tmp_path):
    options = {"data_dir": cifar10, "memory_limit": 1000, "cache_dir": tmp_path}
    on_disk, in_memory = load_dataset("cifar10", **options), load_dataset("cifar10", data_dir=cifar10)
    assert isinstance(on_disk.train.images, DiskRows)
    assert on_disk.train.images.shape == in_memory.train.images.shape == (54, 32, 32, 3)
    batches = [
        list(training_batches(d.train, num_classes=10, batch_size=16, seed=0, epochs=1).as_numpy_iterator())
        for d in (on_disk, in_memory)
    ]
    for (images, labels), (other_images, other_labels) in zip(*batches):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(labels, other_labels)
    folders = sorted(tmp_path.iterdir())
    assert len(folders) == 1 and not folders[0].name.startswith("unfinished")
    written = (folders[0] / "images.npy").stat().st_mtime_ns
    load_dataset("cifar10", **options, seed=5)
    assert (folders[0] / "images.npy").stat().st_mtime_ns == written, "written once for all seeds"


def test_svhn_extra_is_appended_to_train(prepare):
    def examples(first, count):
        return [
            {"id": str(i), "image": np.full((32, 32, 3), first + i, "uint8"), "label": i % 10}
            for i in range(count)
        ]

    splits = {"train": examples(0, 20), "test": examples(50, 5), "extra": examples(100, 30)}
    data_dir = prepare("svhn_cropped", splits)
    plain = load_dataset("svhn", data_dir=data_dir)
    assert len(plain.train) + len(plain.validation) == 20
    assert not plain.mirror_symmetric
    extra = load_dataset("svhn", data_dir=data_dir, svhn_extra=True)
    assert len(extra.train) + len(extra.validation) == 50
    limited = load_dataset("svhn", data_dir=data_dir, svhn_extra=True, limit=25)
    assert len(limited.train) + len(limited.validation) == 25


def test_birds_are_cut_to_their_boxes_with_masks(prepare):
    """A white bird of 40x20 pixels in a black picture of 100x60 fills the cut picture."""
    image, mask = np.zeros((100, 60, 3), "uint8"), np.zeros((100, 60, 1), "uint8")
    image[30:70, 20:40] = 255
    mask[30:70, 20:30] = 255
    bird = {
        "image": image,
        "image/filename": "a.jpg",
        "label": 7,
        "label_name": "a",
        "bbox": tfds.features.BBox(0.3, 1 / 3, 0.7, 2 / 3),
        "segmentation_mask": mask,
    }
    data_dir = prepare("caltech_birds2011", {"train": [bird] * 4, "test": [bird] * 2})
    dataset = load_dataset("cub200", data_dir=data_dir)
    assert dataset.image_shape == DATASETS["cub200"].image_shape == (80, 80, 3)
    assert dataset.num_classes == 200
    assert dataset.train.images[0].min() > 200
    np.testing.assert_array_equal(dataset.train.masks[0], np.arange(80) < np.full((80, 1), 40))
    assert load_dataset("cub200", data_dir=data_dir, image_size=32).image_shape == (32, 32, 3)


def test_any_classification_set_of_tfds(prepare):
    features = tfds.features.FeaturesDict(
        {
            "scan": tfds.features.Image(shape=(None, None, 1), dtype=np.uint16, encoding_format="png"),
            "kind": tfds.features.ClassLabel(names=["round", "square"]),
        }
    )
    examples = [{"scan": np.full((10 + i, 20, 1), 257 * i, "uint16"), "kind": i % 2} for i in range(20)]
    data_dir = prepare("scans", {"train": examples, "validation": examples[:4]}, features)
    dataset = load_dataset("tfds:scans", data_dir=data_dir)
    assert dataset.image_shape == (32, 32, 3) and dataset.class_names == ("round", "square")
    assert len(dataset.train) + len(dataset.validation) == 20
    np.testing.assert_array_equal(dataset.test().images[3], np.full((32, 32, 3), 3))
    assert load_dataset("tfds:scans", data_dir=data_dir, image_size=8).image_shape == (8, 8, 3)


@pytest.mark.parametrize("resize", RESIZES)
def test_pictures_of_tfds_are_resized_as_files_are(prepare, tmp_path, resize):
    """So that a model sees in `predict` and when it is served what it was trained on."""
    image, label = tfds.features.Image(shape=(None, None, 3)), tfds.features.ClassLabel(num_classes=2)
    features = tfds.features.FeaturesDict({"image": image, "label": label})
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (20 + i, 90 - 5 * i, 3), "uint8") for i in range(10)]
    examples = [{"image": picture, "label": i % 2} for i, picture in enumerate(pictures)]
    data_dir = prepare("shapes", {"train": examples, "test": examples}, features)
    test = load_dataset("tfds:shapes", data_dir=data_dir, image_size=24, resize=resize).test()
    for picture, image in zip(pictures, test.images):
        Image.fromarray(picture).save(tmp_path / "a.png")
        file = read_image(tmp_path / "a.png", PictureFormat((24, 24), resize)).astype(int)
        # Two ways to add floating-point numbers, then rounding.
        assert np.abs(file - image).max() <= 1 and (file != image).mean() < 0.01


def test_images_in_both_train_and_test_are_counted(prepare, caplog):
    images = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype="uint8")
    examples = [{"id": str(i), "image": image, "label": 0} for i, image in enumerate(images)]
    data_dir = prepare("cifar10", {"train": examples[:10], "test": examples[:2] + examples[10:]})
    dataset = load_dataset("cifar10", data_dir=data_dir, seed=3)
    with caplog.at_level(logging.WARNING):
        dataset.test()
    held_out = (dataset.validation.images[0] == images[:2]).all(axis=(1, 2, 3)).sum()
    assert f"{2 - held_out} of 4 test images are also in train" in caplog.text


@pytest.mark.parametrize("name", ["photos", "./photos/", "cifar11", "{tmp}/photos"])
def test_a_folder_without_its_prefix_is_what_was_meant(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    name = name.format(tmp=tmp_path)
    (tmp_path / name).mkdir()
    with pytest.raises(UserError) as refused:
        load_dataset(name)
    assert str(refused.value).startswith(f"unknown dataset {name!r}; did you mean folder:{name}? allowed: ")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"name": "cifer10"}, r"unknown dataset 'cifer10'; did you mean cifar10\? allowed: cluttered_digits"),
        ({"name": "cifar10", "validation_fraction": 1.0}, "between 0 and 1, such as 0.1; got 1.0"),
        ({"name": "cifar10", "limit": 1}, "limit must be 2 or more"),
        (
            {"name": "cluttered_digits", "validation_fraction": 0.3},
            "has a validation split of its own; leave out validation_fraction",
        ),
        ({"name": "cifar10", "svhn_extra": True}, "svhn_extra is for the dataset svhn only"),
        ({"name": "cifar10", "skip_broken": True}, "skip_broken is for folder:PATH"),
        ({"name": "cifar10", "image_size": 64}, "images of cifar10 are 32 pixels wide"),
        ({"name": "cub200", "image_size": 4}, "from 8 to 1024"),
        ({"name": "tfds:no_such_set"}, "TensorFlow Datasets cannot open 'no_such_set'"),
        ({"name": "tfds:huggingface:set"}, "'huggingface:set' is no dataset name; type tfds:NAME"),
        ({"name": "tfds:cifar10:9.9.9"}, "cannot open 'cifar10:9.9.9': .* only: 3.0.2"),
        (
            {"name": "tfds:glue/cola"},
            "tfds:glue is not for image classification: it needs an Image",
        ),
        ({"name": "folder:/no/such"}, "folder:/no/such is not a folder"),
        ({"name": "folder:"}, "folder: is not a folder"),
    ],
)
def test_mistakes_are_told_in_one_line(options, message, tmp_path):
    with pytest.raises(UserError, match=message) as caught:
        load_dataset(**{"data_dir": tmp_path} | options)
    assert "\n" not in str(caught.value)


def test_missing_data_say_what_to_do(tmp_path):
    with pytest.raises(UserError) as caught:
        load_dataset("cifar10", data_dir=tmp_path)
    message = str(caught.value)
    assert f"no dataset in {tmp_path}/cifar10/3.0.2 and example.org cannot be reached" in message
    assert "tfds build cifar10 --data_dir DIR" in message and "cluttered_digits" in message


def test_failed_download_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("attention_keras.data.tfds_source.unreachable_host", lambda urls: None)
    monkeypatch.setattr(
        tfds.core.DatasetBuilder,
        "download_and_prepare",
        lambda self: (_ for _ in ()).throw(tfds.download.DownloadError("HTTP 404\nfor the file")),
    )
    with pytest.raises(UserError, match=r"cifar10 cannot be downloaded: HTTP 404 for the file; on a"):
        load_dataset("cifar10", data_dir=tmp_path)


def test_labels_out_of_range_are_refused():
    check_labels(np.array([0, 9]), 10, "here")
    with pytest.raises(UserError, match=r"here: 2 of 3 labels are not in 0..9 \(one is 10\)"):
        check_labels(np.array([10, 3, -1]), 10, "here")


@pytest.mark.parametrize("count, fraction", [(100, 0.1), (97, 0.25), (20, 0.05)])
def test_validation_is_cut_evenly_over_classes(count, fraction):
    labels = np.random.default_rng(0).integers(0, 5, count)
    training, validation = cut_validation(labels, fraction, seed=1)
    assert len(validation) == max(1, round(count * fraction))
    np.testing.assert_array_equal(np.sort(np.concatenate([training, validation])), np.arange(count))
    share = np.bincount(labels[validation], minlength=5) - np.bincount(labels) * fraction
    assert np.abs(share).max() <= 1
