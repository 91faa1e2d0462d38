"""LiteRT in int8: small, close to the Keras model, and honest about how close."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax
from small_run import TEMPERATURE

from attention_keras.data.geometry import PictureFormat
from attention_keras.errors import UserError
from attention_keras.runs.config import RunConfig
from attention_keras.serving.check import same_answers
from attention_keras.serving.export import export_run
from attention_keras.serving.litert import images_of_folder, images_of_run

SQUARE = PictureFormat((32, 32), "crop")


def test_the_file_and_what_is_said_of_it(run_path, model, written, tmp_path):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    folder, rng = tmp_path / "images", np.random.default_rng(0)
    folder.mkdir()
    for number in range(60):
        small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), "uint8"))
        small.resize((32, 32), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"no image")
    [file] = export_run(run_path, tmp_path, formats=["litert"], quantize="int8", images=folder)
    assert file.path == tmp_path / "digits" / "digits-1-int8.tflite"
    held_out = images_of_folder(folder, SQUARE).held_out
    assert held_out.shape == (40, 32, 32, 3)
    litert = interpreter.Interpreter(model_path=str(file.path))
    assert set(litert.get_signature_list()) == {"serving_default", "classify"}
    found = litert.get_signature_runner("serving_default")(images=held_out)
    assert {value.dtype for value in found.values()} == {np.dtype("float32")}
    wanted = softmax(np.asarray(model(held_out.astype("float32"))["logits"]) / TEMPERATURE, axis=1)
    same = int((found["probabilities"].argmax(1) == wanted.argmax(1)).sum())
    assert file.agreement == (same, 40) and same >= 36
    difference = np.abs(found["probabilities"] - wanted).max()
    assert file.difference == pytest.approx(difference, abs=1e-5) and 1e-4 < difference < 0.2
    said = f"{same} of 40 answers are the model's, probabilities differ from the model's by at most"
    assert said in str(file) and file.size < 0.6 * written["litert"].size
    kernels = [t for t in litert.get_tensor_details() if len(t["shape"]) == 4 and t["shape"][-1] > 3]
    assert sum(t["dtype"] == np.int8 for t in kernels) > 0.8 * len(kernels)


def test_images_come_from_both_splits_of_the_run():
    images = images_of_run(RunConfig.from_dict({"dataset": "cluttered_digits", "limit": 300}))
    assert images.calibration.shape == (100, 32, 32, 3) and images.held_out.shape == (60, 32, 32, 3)
    held = {image.tobytes() for image in images.held_out}
    assert len(held) == 60 and not held & {image.tobytes() for image in images.calibration}


def test_answers_that_are_the_same():
    found = np.array([[0.6, 0.4], [0.2, 0.8], [0.5, 0.1]])
    wanted = np.array([[0.9, 0.1], [0.6, 0.4], [0.5, 0.3]])
    for activation, thresholds, count in (
        ("softmax", None, (2, 3)),
        ("sigmoid", [0.5, 0.3], (0, 3)),
        ("sigmoid", [0.1, 0.5], (2, 3)),
        ("linear", None, None),
    ):
        model = SimpleNamespace(activation=activation, thresholds=thresholds)
        assert same_answers(found, wanted, model) == count, activation


def test_what_cannot_be(run_path, tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    int8 = {"quantize": "int8", "images": tmp_path}
    for options, said in (
        ({"images": tmp_path}, "images are for int8 alone"),
        ({"formats": ["litert"], **int8}, "has 1 images that can be read; int8 needs 3"),
        ({"formats": ["litert", "onnx"], "quantize": "int8"}, "int8 is for the format litert alone; got lit"),
    ):
        with pytest.raises(UserError, match=said):
            export_run(run_path, tmp_path, **options)
