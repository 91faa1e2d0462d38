"""LiteRT in int8: small, close to the Keras model, and honest about how close."""

import numpy as np
import pytest
from PIL import Image

from attention_keras.data.geometry import PictureFormat
from attention_keras.errors import UserError
from attention_keras.runs.config import RunConfig
from attention_keras.serving.export import export_run
from attention_keras.serving.int8 import images_of_folder, images_of_run, same_answers

SQUARE = PictureFormat((32, 32), "crop")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sixty smooth images, and a broken one."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for number in range(60):
        small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), "uint8"))
        small.resize((32, 32), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def test_the_file_and_what_is_said_of_it(run_path, model, folder, written, tmp_path):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    [file] = export_run(run_path, tmp_path, formats=["litert"], quantize="int8", images=folder)
    assert file.path == tmp_path / "digits" / "digits-1-int8.tflite"
    held_out = images_of_folder(folder, SQUARE).held_out
    assert held_out.shape == (40, 32, 32, 3)
    litert = interpreter.Interpreter(model_path=str(file.path))
    assert set(litert.get_signature_list()) == {"serving_default", "classify"}
    found = litert.get_signature_runner("serving_default")(images=held_out)
    assert {value.dtype for value in found.values()} == {np.dtype("float32")}
    logits = np.asarray(model(held_out.astype("float32"))["logits"]) / 2.5
    wanted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    same = int((found["probabilities"].argmax(1) == wanted.argmax(1)).sum())
    assert file.agreement == (same, 40) and same >= 36
    difference = np.abs(found["probabilities"] - wanted).max()
    assert file.difference == pytest.approx(difference, abs=1e-5) and 1e-4 < difference < 0.2
    said = f"{same} of 40 answers are the model's, probabilities differ from the model's by at most"
    assert said in str(file) and file.size < 0.6 * written["litert"].size
    kernels = [t for t in litert.get_tensor_details() if len(t["shape"]) == 4 and t["shape"][-1] > 3]
    assert sum(t["dtype"] == np.int8 for t in kernels) > 0.8 * len(kernels)


def test_images_come_from_both_splits_of_the_run():
    config = RunConfig.from_dict({"dataset": "cluttered_digits", "limit": 300})
    images = images_of_run(config)
    assert images.calibration.shape == (100, 32, 32, 3) and images.held_out.shape == (60, 32, 32, 3)
    held = {image.tobytes() for image in images.held_out}
    assert len(held) == 60 and not held & {image.tobytes() for image in images.calibration}


def test_answers_that_are_the_same():
    found = np.array([[0.6, 0.4], [0.2, 0.8], [0.5, 0.1]])
    wanted = np.array([[0.9, 0.1], [0.6, 0.4], [0.5, 0.3]])
    assert same_answers(found, wanted, "softmax", 0.5) == 2
    assert same_answers(found, wanted, "sigmoid", np.array([0.5, 0.3])) == 0
    assert same_answers(found, wanted, "sigmoid", np.array([0.1, 0.5])) == 2


def test_what_cannot_be(run_path, folder, tmp_path):
    with pytest.raises(UserError, match="int8 is for the format litert alone; got litert, onnx"):
        export_run(run_path, tmp_path, formats=["litert", "onnx"], quantize="int8", images=folder)
    with pytest.raises(UserError, match="images are for int8 alone"):
        export_run(run_path, tmp_path, images=folder)
    with pytest.raises(UserError, match=r"is not a folder; .*int8 needs images of this kind, from a folder"):
        images_of_run(RunConfig.from_dict({"dataset": f"folder:{tmp_path / 'gone'}"}))
    (tmp_path / "few").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "few" / "a.png")
    with pytest.raises(UserError, match="few has 1 images that can be read; int8 needs 3"):
        images_of_folder(tmp_path / "few", SQUARE)
