"""Images of any size and shape, read in tiles: from files on disk to a run, its maps and its export."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.special import softmax
from small_runs import Death

from attention_keras import attend, combine_evidence, evidence_model
from attention_keras.commands.main import main
from attention_keras.data import image_files
from attention_keras.data.array_store import MapFiles
from attention_keras.data.image_files import UnreadableImage, read_bands
from attention_keras.errors import UserError
from attention_keras.evaluation.subjects.load import load_predictor
from attention_keras.explaining.large import overview_of, read_regions
from attention_keras.models.tiled import TiledModel, tiled
from attention_keras.runs.config import RunConfig
from attention_keras.runs.model_file import load_model
from attention_keras.serving.export import export_run
from attention_keras.training.class_fit import fit_class_head
from attention_keras.training.train import train

SIDE = 32


def backbone() -> keras.Model:
    """One place for eight pixels, which tells colours apart."""
    keras.utils.set_random_seed(0)
    images = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(8, 3, strides=4, padding="same", activation="relu")(images)
    x = keras.layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(x)
    model = keras.Model(images, x, name="small")
    model.trainable = False
    return model


def in_bands(pixels, height=SIDE):
    return (pixels[top : top + height] for top in range(0, len(pixels), height))


@pytest.mark.parametrize("margin", [0, 8])
def test_bands_give_what_the_whole_image_gives(margin):
    model = attend(tiled(backbone(), margin=margin), num_classes=3, preprocess="imagenet")
    random = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            layer.set_weights([random.normal(size=weight.shape) for weight in layer.weights])
    model.get_layer("local_tiles").set_statistics(np.full(16, 0.2), np.full(16, 0.3), 9)
    pixels = np.random.default_rng(0).integers(0, 256, (70, 300, 3)).astype("uint8")
    found = TiledModel(model).answer(in_bands(pixels, 20))
    whole = evidence_model(model)(pixels[None].astype("float32"))
    assert found.evidence.shape == (9, 38, 3)  # 70 and 300 pixels, eight for a place
    attended = found.attention[..., found.logits.argmax()]
    parts = {"evidence_tiles": found.evidence, "evidence_rest": found.rest, "attention_tiles": attended}
    for name, value in (parts | {"logits": found.logits}).items():
        np.testing.assert_allclose(value, whole[name][0], atol=1e-5 if name == "logits" else 1e-6)
    np.testing.assert_allclose(found.attention.sum((0, 1)), 1, atol=1e-5)
    total = found.evidence.sum((0, 1)) + found.rest
    np.testing.assert_allclose(total, found.logits - found.logits.mean(), atol=1e-5)


def test_the_map_of_a_tile_is_that_of_the_backbone():
    own = backbone()
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 2 * SIDE, 3 * SIDE, 3)).astype("float32")
    joined = keras.ops.convert_to_numpy(tiled(own)(pixels))
    assert joined.shape == (2, 8, 12, 16)
    np.testing.assert_allclose(joined[:, 4:, 8:], own(pixels[:, SIDE:, 2 * SIDE :]), atol=1e-5)
    # With a margin a place is one that the backbone sees with what is around it.
    joined = keras.ops.convert_to_numpy(tiled(own, margin=8)(pixels))
    assert joined.shape == (2, 8, 12, 16)
    around = own(pixels[:, 24:56, 40:72])  # the tile of rows 32 to 47
    np.testing.assert_allclose(joined[:, 4:6, 6:8], around[:, 1:3, 1:3], atol=1e-5)
    border = np.pad(pixels, ((0, 0), (8, 0), (8, 0), (0, 0)), mode="edge")[:, :32, :32]
    np.testing.assert_allclose(joined[:, :2, :2], own(border)[:, 1:3, 1:3], atol=1e-5)


def test_maps_of_several_sizes_are_fitted_as_if_there_were_no_padding(tmp_path):
    random, labels = np.random.default_rng(0), np.arange(40) % 2
    maps = random.normal(1, 1, (40, 4, 5, 6)).astype("float32")
    maps[np.arange(40), 1, 2, labels] += 4
    maps = keras.ops.convert_to_numpy(keras.ops.cast(keras.ops.cast(maps, "bfloat16"), "float32"))
    same = MapFiles.kept(tmp_path / "same", 40, lambda row: [maps[row]])
    expected = fit_class_head({"tiles": maps}, labels, 2).logits({"tiles": maps})
    found = fit_class_head({"tiles": same}, labels, 2)
    np.testing.assert_allclose(found.logits({"tiles": same}), expected, atol=1e-4)
    # The first map alone is larger, so that whatever is read with it is padded.
    larger = [np.tile(maps[0], (2, 2, 1)), *maps[1:]]
    mixed = MapFiles.kept(tmp_path / "mixed", 40, lambda row: [larger[row]])
    np.testing.assert_allclose(found.logits({"tiles": mixed}), expected, atol=1e-4)
    assert mixed[[0, 3]].shape == (2, 8, 10, 6) and mixed.valid([3, 0]).sum(1).tolist() == [20, 80]


def test_a_map_is_there_whole_or_not_at_all_and_only_missing_ones_are_computed(tmp_path, monkeypatch):
    begun = []

    def compute(row):
        begun.append(row)
        yield np.full((3 + row, 2, 4), row)

    def die(file, *_, **options):
        file.write(b"half")
        raise Death

    MapFiles.kept(tmp_path, 2, compute)
    with monkeypatch.context() as patch, pytest.raises(Death):
        patch.setattr(np, "save", die)
        MapFiles.kept(tmp_path, 4, compute)
    found = MapFiles.kept(tmp_path, 4, compute)
    assert begun == [0, 1, 2, 2, 3]
    assert [found[[row]].shape for row in range(4)] == [(1, 3 + row, 2, 4) for row in range(4)]
    assert all((found[[row]] == row).all() for row in range(4))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "strips.tif", "tiles.tif", "deflate.tif", "grey.tif"])
def test_bands_are_the_pixels_of_the_file(tmp_path, name, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (75, 50, 3)).astype("uint8")
    file = tmp_path / name
    if name.endswith("tif"):
        tifffile = pytest.importorskip("tifffile")
        pixels = pixels[..., 0] if name == "grey.tif" else pixels
        how = {"tiles.tif": {"tile": (32, 16)}, "deflate.tif": {"compression": "zlib", "rowsperstrip": 7}}
        colours = "minisblack" if name == "grey.tif" else "rgb"
        tifffile.imwrite(file, pixels, photometric=colours, **how.get(name, {"rowsperstrip": 9}))
        monkeypatch.setattr(image_files, "LARGEST", 0)  # not decoded as a whole
    else:
        Image.fromarray(pixels).save(file, quality=95)
        pixels = np.asarray(Image.open(file))
    pixels = np.broadcast_to(pixels.reshape(75, 50, -1), (75, 50, 3))
    bands = list(read_bands(file, 20))
    assert len(bands) > 2 and max(map(len, bands)) <= 32  # a row of tiles is that high
    np.testing.assert_array_equal(np.concatenate(bands), pixels)
    (part,) = read_regions(file, [(5, 18, 30, 61)], 20)
    np.testing.assert_array_equal(part, pixels[18:61, 5:30])


def test_an_overview_and_a_file_that_is_turned_or_broken(tmp_path):
    pixels = np.full((90, 40, 3), 200, "uint8")
    pixels[:45] = 100
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    through, small = overview_of(read_bands(tmp_path / "turned.png", 16), (40, 90), 45)
    assert sum(len(band) for band in through) == 40 and small.shape == (20, 45, 3)
    assert abs(small[:, :20].mean() - 200) < 1 and abs(small[:, 25:].mean() - 100) < 1
    (tmp_path / "broken.png").write_bytes((tmp_path / "turned.png").read_bytes()[:120])
    with pytest.raises(UnreadableImage):
        list(read_bands(tmp_path / "broken.png", 16))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """24 images of red or blue squares of ten pixels somewhere in grey noise of any size and shape."""
    folder, random = tmp_path_factory.mktemp("tiles") / "photos", np.random.default_rng(0)
    for colour, name in ((0, "red"), (2, "blue")):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            height, width = random.integers(40, 150, 2)
            pixels = random.integers(90, 130, (height, width, 3)).astype("uint8")
            top, left = random.integers(0, height - 10), random.integers(0, width - 10)
            pixels[top : top + 10, left : left + 10] = np.eye(3)[colour] * 255
            Image.fromarray(pixels).save(folder / name / f"{number:02d}-{left}-{top}.png")
    return folder


@pytest.fixture(scope="module")
def run(photos):
    backbone().save(photos.parent / "small.keras")
    files = {"dataset": f"folder:{photos}", "backbone": str(photos.parent / "small.keras"), "name": "run"}
    how = {"preprocess": "imagenet", "tiles": SIDE, "margin": 8, "precision": "float32"}
    config = RunConfig(**files, **how, run_dir=str(photos.parent / "runs"))
    return train(config, report=lambda line: None)


def test_a_run_tells_squares_apart_and_its_map_finds_them(run, photos, tmp_path):
    assert run.metrics["test_error"] == 0 and run.metrics["validation_error"] == 0
    assert not (run.run.path / "features").exists()
    tiles, hits = TiledModel(load_model(run.run.path)), []
    for file in sorted(photos.rglob("*.png")):
        found = tiles.answer(read_bands(file, SIDE))
        predicted = found.logits.argmax()
        assert run.run.class_names()[predicted] == file.parent.name
        evidence = found.evidence[..., predicted]
        row, column = np.unravel_index(evidence.argmax(), evidence.shape)
        left, top = map(int, file.stem.split("-")[1:])
        hits.append(abs(column - (left + 1) / 8) < 2.5 and abs(row - (top + 1) / 8) < 2.5)
    assert np.mean(hits) > 0.8
    words = [str(run.run.path), "--output", str(tmp_path), "--panels", "2"]
    assert main(["evaluate", "classification", *words]) == 0
    values = json.loads((tmp_path / "classification.json").read_text())
    assert values["values"]["run"]["error"] == 0
    assert len(list((tmp_path / "panels").glob("*.png"))) == 2
    with pytest.raises(UserError, match="in tiles, good for classification only"):
        main(["evaluate", "faithfulness", *words[:3]])


def test_predict_draws_the_map_of_the_whole_image_and_its_strongest_regions(run, photos, tmp_path):
    (file, *_) = sorted((photos / "red").glob("*.png"))
    words = [str(run.run.path), str(photos / "red"), "--output", str(tmp_path), "--maps", "npz"]
    assert main(["predict", *words]) == 0
    rows = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert {row["class"] for row in rows} == {"red"} and len(rows) == 12
    (row,) = (row for row in rows if row["path"] == str(file))
    found = TiledModel(load_model(run.run.path)).answer(read_bands(file, SIDE))
    with np.load(tmp_path / row["maps"]) as maps:
        np.testing.assert_allclose(maps["evidence_tiles"], found.evidence[..., 1], atol=1e-6)
        np.testing.assert_allclose(maps["evidence"].sum(), found.evidence[..., 1].sum(), atol=1e-4)
    height, width, _ = np.asarray(Image.open(tmp_path / row["drawing"])).shape
    assert width > 3 * 224 and height > 300
    explained = load_predictor(run.run.path).explain_file(file)
    (left, top, right, bottom), (x, y) = explained.boxes[0], map(int, file.stem.split("-")[1:])
    assert left - 4 <= x and x + 10 <= right + 4 and top - 4 <= y and y + 10 <= bottom + 4
    np.testing.assert_array_equal(explained.regions[0], np.asarray(Image.open(file))[top:bottom, left:right])


def test_an_export_answers_for_an_image_of_any_size_as_the_bands_do(run, photos, tmp_path):
    (written,) = export_run(run.run.path, tmp_path)
    signatures = tf.saved_model.load(str(written.path)).signatures
    tiles = TiledModel(load_model(run.run.path))
    for file in sorted((photos / "blue").glob("*.png"))[:3]:
        pixels = np.asarray(Image.open(file))
        found = tiles.answer(in_bands(pixels))
        served = signatures["explain"](images=tf.constant(pixels[None]))
        logits = found.logits / run.run.temperature
        np.testing.assert_allclose(served["probabilities"][0], softmax(logits), atol=1e-5)
        total = found.evidence[..., found.logits.argmax()]
        np.testing.assert_allclose(tf.reduce_sum(served["evidence"]), total.sum(), atol=1e-4)
        wide = keras.ops.convert_to_numpy(combine_evidence({"tiles": total[None]}, pixels.shape[:2]))
        np.testing.assert_allclose(served["evidence"], wide, atol=1e-6)
    with pytest.raises(UserError, match="images of any size; give predict the run"):
        main(["predict", str(written.path), str(photos), "--output", str(tmp_path / "answers")])
