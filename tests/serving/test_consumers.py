"""The same numbers in runtimes that share no code with this package: a C program, LiteRT, ONNX Runtime."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

SOURCE = Path(__file__).parents[2] / "examples" / "serving" / "classify.c"
IMAGE_SIGNATURES = ("serving_default", "classify", "explain", "explain_class")
ASKED = 2


@pytest.fixture(scope="module")
def served(exported, images):
    """Answers of every signature on images, by plain TensorFlow."""
    signatures = tf.saved_model.load(str(exported)).signatures
    return {
        name: {key: value.numpy() for key, value in signatures[name](**inputs(name, images)).items()}
        for name in IMAGE_SIGNATURES
    }


def inputs(signature, images):
    """What an image signature takes; evidence is asked for class ASKED."""
    classes = {"classes": np.full(len(images), ASKED, "int32")} if signature == "explain_class" else {}
    return {"images": images, **classes}


def check(answers, wanted):
    assert answers.keys() == wanted.keys()
    for name, value in answers.items():
        assert value.shape == wanted[name].shape
        assert wanted[name].any(), f"{name} is zero, which shows nothing"
        np.testing.assert_allclose(value, wanted[name], atol=1e-5)
    if "evidence" in answers:  # they add up there too
        logits = np.log(answers["probabilities"].astype("float64"))
        total = answers["evidence"].sum((1, 2)) + answers["evidence_rest"]
        differences = total[:, None] - (logits - logits.mean(-1, keepdims=True))
        assert np.abs(differences).min(-1).max() < 1e-5


@pytest.fixture(scope="module")
def classify(tmp_path_factory):
    """The C program, as a function from words to a finished process."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        pytest.skip("there is no C compiler on the PATH")
    library = tf.sysconfig.get_lib()
    program = tmp_path_factory.mktemp("c") / "classify"
    command = [compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", "-O2", str(SOURCE), "-o", str(program)]
    command += [f"-I{tf.sysconfig.get_include()}", f"-L{library}", f"-Wl,-rpath,{library}"]
    command += ["-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"]
    compiled = subprocess.run(command, capture_output=True, text=True)
    assert compiled.returncode == 0, compiled.stderr

    def run(*words):
        return subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=120)

    return run


def read_answers(text):
    """`name [2,3] v v v ...` lines to arrays."""
    answers = {}
    for line in text.splitlines():
        name, shape, *values = line.split(" ")
        answers[name] = np.array(values, "float64").reshape([int(n) for n in shape.strip("[]").split(",")])
    return answers


def test_c_program(classify, exported, served, images, tmp_path):
    for number, image in enumerate(images):
        image.tofile(tmp_path / f"{number}.raw")
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    raw = sorted(tmp_path.glob("*.raw"))
    for signature in IMAGE_SIGNATURES:
        words = ["--class", ASKED] if signature == "explain_class" else []
        check(read_answers(classify(exported, signature, *words, *raw).stdout), served[signature])
    (tmp_path / "3.png").write_text("no picture")
    answers = read_answers(classify(exported, "serve_bytes", *sorted(tmp_path.glob("*.png"))).stdout)
    assert answers.pop("valid").tolist() == [1, 1, 1, 0]
    assert answers["probabilities"][3].tolist() == [0, 0, 0]
    check({name: value[:3] for name, value in answers.items()}, served["serving_default"])


def test_c_program_says_what_is_wrong(classify, exported, tmp_path):
    (tmp_path / "short.raw").write_bytes(b"123")
    for words, said in (
        ([exported, "predict", __file__], "the model has no such signature: predict"),
        ([tmp_path, "classify", __file__], "cannot load the model"),
        ([exported, "classify", tmp_path / "short.raw"], "does not hold H*W*3 bytes"),
        ([exported, "serve_bytes", tmp_path / "none.png"], "cannot open"),
        ([exported], "usage"),
        ([exported, "explain_class", __file__], "this signature needs --class N"),
        ([exported, "explain_class", "--class", "cat", __file__], "takes the number of a class: cat"),
        ([exported, "classify", "--class", "1", __file__], "takes no --class"),
        ([exported, "classify", "--class", "1"], "usage"),
    ):
        done = classify(*words)
        assert done.returncode == 2 and said in done.stderr.splitlines()[-1], done.stderr


def test_litert(exported, served, images):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    converter = tf.lite.TFLiteConverter.from_saved_model(str(exported), signature_keys=list(IMAGE_SIGNATURES))
    converted = interpreter.Interpreter(model_content=converter.convert())
    for signature in IMAGE_SIGNATURES:
        for batch in (1, 3):
            answers = converted.get_signature_runner(signature)(**inputs(signature, images[:batch]))
            check(answers, {name: value[:batch] for name, value in served[signature].items()})


@pytest.mark.slow
@pytest.mark.parametrize("signature", IMAGE_SIGNATURES)
def test_onnx(signature, exported, served, images, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    path = tmp_path / "model.onnx"
    command = [sys.executable, "-m", "tf2onnx.convert", "--saved-model", str(exported), "--tag", "serve"]
    command += ["--signature_def", signature, "--opset", "17", "--output", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    session = runtime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    for batch in (1, 3):
        answers = dict(zip(names, session.run(None, inputs(signature, images[:batch]))))
        check(answers, {name: value[:batch] for name, value in served[signature].items()})
