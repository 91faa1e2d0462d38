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
SLURM = (BATCH / "slurm.sh").read_text()
KUBERNETES = yaml.safe_load((BATCH / "kubernetes.yaml").read_text())["spec"]


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
    subprocess.run(["bash", "-n", BATCH / "slurm.sh"], check=True)
    first, last = map(int, re.search(r"^#SBATCH --array=(\d+)-(\d+)$", SLURM, re.M).groups())
    command = ["bash", BATCH / "slurm.sh", "runs/a", "my images", "answers", "--maps", "npz"]
    array = [words_of(tmp_path, command, SLURM_ARRAY_TASK_ID=str(n)) for n in range(first, last + 1)]
    assert {(o.model, o.files, o.output, o.maps) for o in array} == {
        ("runs/a", ("my images",), "answers", "npz")
    }
    [container] = KUBERNETES["template"]["spec"]["containers"]
    assert KUBERNETES["completionMode"] == "Indexed" and KUBERNETES["completions"] == 16
    indexed = [words_of(tmp_path, container["command"], JOB_COMPLETION_INDEX=str(n)) for n in range(16)]
    for found in (array, indexed):
        assert [options.shard for options in found] == [f"{n}/16" for n in range(1, 17)]
    [mount] = container["volumeMounts"]
    paths = [path for o in indexed for path in (o.model, o.output, *o.files)]
    assert all(path.startswith(mount["mountPath"]) for path in paths)


def test_ray_gets_the_answers_of_predict(tmp_path):
    pytest.importorskip("ray")
    import pandas

    model = build_model("vgg-att2-concat-pc", num_classes=3, width=0.05)
    run, images = write_run(tmp_path / "run", model, test_error=0.5), tmp_path / "images"
    images.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 40, 3), "uint8")
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(images / f"{number}.png")
    (images / "broken.png").write_bytes(b"no image")
    command = [sys.executable, BATCH / "predict_ray.py", run, images, tmp_path / "answers"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = pandas.read_parquet(tmp_path / "answers").set_index("path")
    predict.main([str(run), str(images), "--output", str(tmp_path / "wanted"), "--no-pictures"], "")
    rows = map(json.loads, (tmp_path / "wanted" / "predictions.jsonl").read_text().splitlines())
    wanted = {row["path"]: row for row in rows}
    assert len(wanted) == 6 and set(found.index) == set(wanted)
    for path, row in wanted.items():
        assert (found["class"][path] or None) == row.get("class")
        assert found["probability"][path] == pytest.approx(row.get("probability") or 0, abs=1e-5)
        assert bool(found["reason"][path]) == bool(row.get("reason"))
