"""Fine-tuning: a frozen stage on features, then all weights; class weights, early stopping, more epochs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from deaths import death_at, death_before_the_test
from keras import layers
from small_runs import read_history
from tensorboard.compat.proto import event_pb2

from attention_keras.data.array_store import ArrayStore
from attention_keras.data.datasets import load_dataset
from attention_keras.data.features import FeatureRows
from attention_keras.errors import UserError
from attention_keras.evaluation.subjects.load import load_subjects
from attention_keras.runs.config import RunConfig
from attention_keras.runs.names import name_of, run_of
from attention_keras.training import frozen
from attention_keras.training.train import train

FROZEN, WHOLE, STEPS = 2, 2, 5
BACKBONE = ("early", "norm", "late")


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """A small "pretrained" network that normalises its pixels itself."""
    keras.utils.set_random_seed(5)
    images = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(images)
    x = layers.Conv2D(6, 3, 2, padding="same", name="early")(x)
    x = layers.Activation("swish")(layers.BatchNormalization(name="norm")(x))
    x = layers.Conv2D(8, 3, 2, padding="same", activation="swish", name="late")(x)
    model = keras.Model(images, x, name="small")
    model.get_layer("norm").moving_mean.assign(np.linspace(-0.2, 0.2, 6))
    path = tmp_path_factory.mktemp("backbone") / "small.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def options(backbone):
    return RunConfig(
        backbone=str(backbone),
        limit=75,  # 5 steps of 16, the last one of 11
        batch_size=16,
        frozen_epochs=FROZEN,
        epochs=WHOLE,
        precision="float32",
        checkpoint_every=2,
        name="run",
    )


def run(options, folder, **changes):
    return train(options.replace(run_dir=str(folder), **changes), report=lambda line: None)


@pytest.fixture(scope="module")
def uninterrupted(options, tmp_path_factory):
    return run(options, tmp_path_factory.mktemp("whole"))


def loaded(result):
    return keras.models.load_model(result.run.path / "model.keras", compile=False)


def history(result):
    return read_history(result.run.path)


def moved(model, backbone):
    """Largest change of the weights of each layer of the backbone."""
    before = keras.models.load_model(backbone)
    pairs = {
        name: zip(model.get_layer(name).get_weights(), before.get_layer(name).get_weights())
        for name in BACKBONE
    }
    return {name: max(np.abs(a - b).max() for a, b in weights) for name, weights in pairs.items()}


def test_a_pretrained_file_is_fine_tuned_by_default(backbone):
    config = RunConfig(backbone=str(backbone))
    assert (config.frozen_epochs, config.epochs, config.preprocess) == (10, 3, "auto")
    assert config.model == "small-att-linear-scaled" and config.taps == ()


def test_the_frozen_stage_trains_the_head_alone(options, tmp_path, backbone):
    result = run(options, tmp_path, epochs=0)
    model = loaded(result)
    assert moved(model, backbone) == dict.fromkeys(BACKBONE, 0.0)
    assert [line["step"] for line in history(result)] == [STEPS, 2 * STEPS]
    # What the head saw as features is what the whole network computes, but for the bits of bfloat16.
    validation = load_dataset("cluttered_digits", limit=75).validation
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    seen = float(loss(validation.labels, model.predict(validation.images, verbose=0)["logits"]))
    assert seen == pytest.approx(history(result)[-1]["val_loss"], abs=0.01)


def test_then_all_weights_but_those_of_batch_norm_learn(uninterrupted, backbone):
    changes = moved(loaded(uninterrupted), backbone)
    assert changes["norm"] == 0 and changes["early"] > 1e-5 and changes["late"] > 1e-5
    rates = [line["learning_rate"] for line in history(uninterrupted)]
    assert max(rates[:FROZEN]) > 1e-3 > 5e-5 >= max(rates[FROZEN:])
    assert uninterrupted.metrics["epochs"] == FROZEN + WHOLE


def test_panels_are_drawn_once_in_the_frozen_stage(uninterrupted):
    """Drawing takes longer than a frozen epoch does."""
    events = [
        event
        for file in (uninterrupted.run.tensorboard / "validation").glob("events*")
        for record in tf.data.TFRecordDataset(str(file))
        if (event := event_pb2.Event.FromString(record.numpy())).summary.value
    ]
    drawn = [event.step for event in events if event.summary.value[0].tag == "attention/00"]
    assert drawn == [FROZEN, FROZEN + 1, FROZEN + 2]


# Both stages, the end of the first, and right after it.
@pytest.mark.parametrize("step", [3, 10, *(pytest.param(step, marks=pytest.mark.slow) for step in (11, 17))])
def test_both_stages_resume_exactly(step, options, tmp_path, uninterrupted):
    with death_at(step + 1):
        run(options, tmp_path)
    ends_as(uninterrupted, run(options, tmp_path))


@pytest.mark.parametrize("step", [10, pytest.param(13, marks=pytest.mark.slow)])
def test_both_stages_resume_exactly_with_averaged_weights(step, options, tmp_path):
    """Each stage begins an average of its own, and the second begins with that of the first."""
    whole = run(options, tmp_path / "whole", ema=0.9)
    with death_at(step + 1):
        run(options, tmp_path, ema=0.9)
    ends_as(whole, run(options, tmp_path, ema=0.9))


def test_a_run_that_died_between_training_and_test_ends_the_same(options, tmp_path, uninterrupted):
    with death_before_the_test():
        run(options, tmp_path)
    ends_as(uninterrupted, run(options, tmp_path))


def ends_as(uninterrupted, result):
    """The same weights and the same history."""
    for resumed, whole in zip(loaded(result).get_weights(), loaded(uninterrupted).get_weights(), strict=True):
        np.testing.assert_allclose(resumed, whole, atol=1e-6)
    for resumed, whole in zip(history(result), history(uninterrupted), strict=True):
        assert resumed == pytest.approx(whole, abs=1e-5)


def test_features_on_disk_train_to_the_same_weights_and_go(options, tmp_path, uninterrupted, monkeypatch):
    stores = []

    def on_disk(cache_dir):
        stores.append(ArrayStore(memory_limit=0, cache_dir=cache_dir))
        return stores[-1]

    monkeypatch.setattr(frozen, "ArrayStore", on_disk)
    result = run(options, tmp_path)
    assert len(stores) == 2 and not result.run.features.exists()
    for one, other in zip(loaded(result).get_weights(), loaded(uninterrupted).get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_features_of_other_images_are_refused(tmp_path):
    store = ArrayStore(memory_limit=0, cache_dir=tmp_path)
    FeatureRows.kept(iter([[np.zeros((3, 2), "float32")]]), [(2,)], 3, store)
    with pytest.raises(UserError, match="are not those of this run; delete that folder"):
        FeatureRows.kept(iter([]), [(2,)], 4, store)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["mirrored"])
def test_two_devices_do_what_one_does(strategy, options, tmp_path, uninterrupted):
    result = run(options, tmp_path, strategy=strategy)
    for one, two in zip(history(uninterrupted), history(result), strict=True):
        assert one == pytest.approx(two, abs=2e-3)


def test_a_fine_tuned_run_is_evaluated_as_any_other(uninterrupted):
    subject = load_subjects([str(uninterrupted.run.path)])[0]
    images = load_dataset("cluttered_digits", limit=75).test().images
    answers = subject.predictor.predict(images)
    assert set(answers) >= {"probabilities"} and answers["probabilities"].shape == (15, 10)


# Class weights


def test_balance_changes_what_a_run_learns(options, tmp_path):
    plain, balanced = (
        run(options, tmp_path / str(balance), epochs=0, frozen_epochs=1, balance=balance)
        for balance in (False, True)
    )
    assert history(plain)[0]["loss"] != history(balanced)[0]["loss"]


# Early stopping


def test_the_best_epoch_is_tested_and_saved(options, tmp_path):
    # A rate that ruins what the frozen stage has learnt: the best epoch is one of its.
    result = run(options, tmp_path, epochs=9, learning_rate=0.3, patience=2)
    lines = history(result)
    accuracies = [line["val_accuracy"] for line in lines]
    best = accuracies.index(max(accuracies))
    assert len(lines) == max(best + 1, FROZEN) + 2 < FROZEN + 9
    assert result.metrics["tested_epoch"] == best + 1
    assert result.metrics["validation_error"] == pytest.approx(1 - max(accuracies))
    best_model = keras.models.load_model(result.run.best_model, compile=False)
    for one, other in zip(loaded(result).get_weights(), best_model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    test = load_dataset("cluttered_digits", limit=75).test()
    predicted = loaded(result).predict(test.images, verbose=0)["logits"].argmax(-1)
    assert result.metrics["test_error"] == pytest.approx(np.mean(predicted != test.labels))


def test_the_time_left_is_that_of_the_stage_whose_speed_is_known(options, tmp_path):
    lines = []
    train(options.replace(run_dir=str(tmp_path)), report=lines.append)
    epochs = [line for line in lines if line.startswith("epoch")]
    assert [line.endswith("left of the frozen epochs") for line in epochs] == [True, True, False, False]
    assert " 0 s left" in epochs[FROZEN - 1] and epochs[-1].endswith(" 0 s left")


# Further epochs for a finished run


def test_a_run_goes_on_from_another_with_its_classifier(options, uninterrupted, tmp_path):
    more = {"init_from": str(uninterrupted.run.path), "frozen_epochs": 0, "epochs": 1, "learning_rate": 1e-9}
    result = run(options, tmp_path, **more)
    for one, other in zip(loaded(result).get_weights(), loaded(uninterrupted).get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=0.05)  # batch norm's statistics move
    kernel = loaded(result).get_layer("classifier").get_weights()[0]
    np.testing.assert_allclose(
        kernel, loaded(uninterrupted).get_layer("classifier").get_weights()[0], atol=1e-5
    )
    (uninterrupted.run.path / "labels.txt").rename(tmp_path / "labels.txt")
    (uninterrupted.run.path / "labels.txt").write_text("\n".join("abcdefghij"))
    other = run(options, tmp_path, name="other", seed=1, **more)
    (tmp_path / "labels.txt").rename(uninterrupted.run.path / "labels.txt")
    assert np.abs(loaded(other).get_layer("classifier").get_weights()[0] - kernel).max() > 0.1


# What a user may get wrong


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"frozen_epochs": 1}, "frozen_epochs are for a backbone keras:<Application> or FILE.keras"),
        ({"weights": "imagenet"}, "weights are for a backbone keras:<Application>"),
        ({"frozen_epochs": -1}, "frozen_epochs must be 0 or more"),
        ({"patience": -1}, "patience must be 0 or more"),
        ({"epochs": 0}, "epochs must be 1 or more; 0 is for a run of frozen_epochs alone"),
        ({"backbone": "keras:ResNet50", "preprocess": "meanstd"}, "comes with its own preprocessing"),
        ({"preprocess": "ResNet50"}, "preprocess must be one of none, meanstd"),
        ({"backbone": "x.keras", "attend_to": 1.0}, "give frozen_epochs 0"),
    ],
)
def test_wrong_options(flags, said):
    with pytest.raises(UserError, match=said):
        RunConfig(**flags)


def test_a_run_on_a_folder_is_called_by_it_unless_another_is(options, tmp_path, backbone):
    more = {"dataset": "folder:my/Photos 1", "name": "", "run_dir": str(tmp_path)}
    mine = options.replace(**more)
    assert run_of(mine).name == "Photos_1"
    with run_of(mine).writing(mine):
        assert run_of(mine).name == "Photos_1"
        other = mine.replace(seed=1)
        assert run_of(other).name.startswith("folder-Photos_1-small-att-linear-scaled-")
    assert name_of(RunConfig(dataset="folder:Photos")) == "folder-Photos-vgg-att2-concat-pc-s0"


def test_wrong_backbone_files(options, tmp_path, backbone):
    with pytest.raises(UserError, match=r"cannot load .*nothing\.keras: it is missing"):
        run(options, tmp_path, backbone=str(tmp_path / "nothing.keras"))
    plain = keras.Sequential([keras.Input((16, 16, 3)), layers.Conv2D(4, 3, name="conv")])
    plain.save(tmp_path / "plain.keras")
    takes = r"plain\.keras takes images of 16x16 and these are"
    with pytest.raises(UserError, match=f"{takes} 32x32; choose a dataset of free size, such as folder:PATH"):
        run(options, tmp_path, backbone=str(tmp_path / "plain.keras"))
    for number in range(20):
        file = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        keras.utils.save_img(file, np.full((9, 9, 3), 10 * number), scale=False)
    changes = {"dataset": f"folder:{tmp_path}/photos", "limit": 0, "image_size": 24}
    with pytest.raises(UserError, match=f"{takes} 24x24; leave out image_size, or give 16$"):
        run(options, tmp_path, backbone=str(tmp_path / "plain.keras"), **changes)
    raw = keras.Sequential([keras.Input((32, 32, 3)), layers.Conv2D(4, 3, name="conv")])
    raw.save(tmp_path / "raw.keras")
    with pytest.raises(UserError, match="does not begin with a layer that normalises pixels"):
        run(options, tmp_path, backbone=str(tmp_path / "raw.keras"))
    assert not (tmp_path / "run").exists()  # nothing half-written
