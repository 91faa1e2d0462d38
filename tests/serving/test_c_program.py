"""The same numbers in a C program, which shares no code with this package."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from small_run import same

SOURCE = Path(__file__).parents[2] / "examples" / "serving" / "classify.c"


def read_answers(text):
    """`name [2,3] v v v ...` lines to arrays."""
    answers = {}
    for line in text.splitlines():
        name, shape, *values = line.split(" ")
        answers[name] = np.array(values, "float64").reshape([int(n) for n in shape.strip("[]").split(",")])
    return answers


@pytest.mark.slow
def test_every_signature(exported, served, images, tmp_path):
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        pytest.skip("there is no C compiler on the PATH")
    library, program = tf.sysconfig.get_lib(), tmp_path / "classify"
    command = [compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", "-O2", str(SOURCE), "-o", str(program)]
    command += [f"-I{tf.sysconfig.get_include()}", f"-L{library}", f"-Wl,-rpath,{library}"]
    command += ["-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"]
    compiled = subprocess.run(command, capture_output=True, text=True)
    assert compiled.returncode == 0, compiled.stderr

    def classify(*words):
        return subprocess.run([program, *map(str, words)], capture_output=True, text=True)

    for number, image in enumerate(images):
        image.tofile(tmp_path / f"{number}.raw")
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    raw = sorted(tmp_path.glob("*.raw"))
    for signature in ("serving_default", "classify", "explain"):
        same(read_answers(classify(exported, signature, *raw).stdout), served[signature](images=images))
    said = classify(exported, "explain_class", "--class", 2, *raw).stdout
    same(read_answers(said), served["explain_class"](images=images, classes=np.full(3, 2, "int32")))
    (tmp_path / "3.png").write_text("no image")
    answers = read_answers(classify(exported, "serve_bytes", *sorted(tmp_path.glob("*.png"))).stdout)
    assert answers.pop("valid").tolist() == [1, 1, 1, 0] and not answers["probabilities"][3].any()
    same({name: value[:3] for name, value in answers.items()}, served["serving_default"](images=images))
    (tmp_path / "short.raw").write_bytes(b"123")
    done = classify(exported, "classify", tmp_path / "short.raw")
    assert done.returncode == 2 and "does not hold H*W*3 bytes" in done.stderr.splitlines()[-1], done.stderr
