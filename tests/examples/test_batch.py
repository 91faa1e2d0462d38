"""Examples for many images: their jobs call `predict` with every part once, and Ray gets its answers."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from small_run import write_run

from attention_keras import build_model
from attention_keras.commands import predict
from attention_keras.commands.command_line import parse

BATCH = Path(__file__).parents[2] / "examples" / "batch"


def words_of(folder, command, **variables):
    """What a job tells `predict`, to which a stand-in listens."""
    stand_in = folder / "attention-keras"
    stand_in.write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    stand_in.chmod(0o755)
    found = {"PATH": f"{folder}:{os.environ['PATH']}"} | variables
    said = subprocess.run(command, env=found, capture_output=True, text=True, check=True).stdout
    name, *words = said.splitlines()
    assert name == "predict"
    return parse(predict.PredictOptions, words, description="", prog="predict")


def test_an_array_of_slurm_and_an_indexed_job_have_every_part(tmp_path):
    script, kubernetes = BATCH / "slurm.sh", yaml.safe_load((BATCH / "kubernetes.yaml").read_text())["spec"]
    assert re.search(r"^#SBATCH --array=1-16$", script.read_text(), re.M)
    command = ["bash", script, "runs/a", "my images", "answers", "--maps", "npz"]
    array = [words_of(tmp_path, command, SLURM_ARRAY_TASK_ID=str(n)) for n in range(1, 17)]
    [asked] = {(o.model, o.files, o.output, o.maps) for o in array}
    assert asked == ("runs/a", ("my images",), "answers", "npz")
    [container] = kubernetes["template"]["spec"]["containers"]
    assert kubernetes["completionMode"] == "Indexed" and kubernetes["completions"] == 16
    indexed = [words_of(tmp_path, container["command"], JOB_COMPLETION_INDEX=str(n)) for n in range(16)]
    for found in (array, indexed):
        assert [options.shard for options in found] == [f"{n}/16" for n in range(1, 17)]


def test_ray_gets_the_answers_of_predict(tmp_path):
    pytest.importorskip("ray")
    import pandas

    model = build_model("vgg-att2-concat-pc", num_classes=3, width=0.05)
    run, images = write_run(tmp_path / "run", model, test_error=0.5), tmp_path / "images"
    images.mkdir()
    for number, image in enumerate(np.random.default_rng(0).integers(0, 256, (5, 32, 40, 3), "uint8")):
        Image.fromarray(image).save(images / f"{number}.png")
    (images / "broken.png").write_bytes(b"no image")
    command = [sys.executable, BATCH / "predict_ray.py", run, images, tmp_path / "answers"]
    subprocess.run(command, check=True)
    found = pandas.read_parquet(tmp_path / "answers").set_index("path")
    predict.main([str(run), str(images), "--output", str(tmp_path / "wanted"), "--no-pictures"], "")
    rows = list(map(json.loads, (tmp_path / "wanted" / "predictions.jsonl").read_text().splitlines()))
    assert len(rows) == 6 and set(found.index) == {row["path"] for row in rows}
    for row in rows:
        answer = found.loc[row["path"]]
        assert (answer["class"] or None) == row["class"] and bool(answer.reason) == bool(row["reason"])
        assert answer.probability == pytest.approx(row["probability"] or 0, abs=1e-5)
