"""What the test of full-width training runs in a process of its own, which has Keras on JAX.

python full_width_on_jax.py steps NAME GIVEN.npz EMA  steps from given weights, each on the given batch
python full_width_on_jax.py train DATA FOLDER [STOP]  a training of four epochs, ended after epoch STOP
"""

import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from attention_keras.errors import UserError
from attention_keras.runs.recipes import MODERN
from benchmarks.full_width import __main__ as command
from benchmarks.full_width import learner, run

SMALL = Path(__file__).parents[1] / "training" / "small_network.py"
RECIPE = replace(MODERN, width=0.0625, preprocess="none", batch_size=16, learning_rate=0.05, augment="none")
PEAK = 1e11


class Stop(Exception):
    """Stands in for a kill."""


def use_small_network():
    learner.build_model = runpy.run_path(str(SMALL))["build_small_network"]


def steps(name, path, ema):
    """Weights after the steps, averaged if `ema` is not 0, and the last loss.

    They go into the file that gave weights, images, labels and a number of steps.
    """
    with np.load(path) as file:
        given = dict(file)
    images, labels = given["images"], given["labels"]
    weights = [given[key] for key in sorted(given) if key.startswith("weight")]
    if name == "small":
        use_small_network()
    recipe = replace(RECIPE, ema=float(ema))
    trained = learner.Learner(name, recipe, images, labels, num_classes=10, precision="float32")
    trained.model.set_weights(weights)
    trained.begin()
    for epoch in range(given["steps"]):
        loss = trained.run_epoch(epoch, np.float32([RECIPE.learning_rate]))
    np.savez(path, *trained.trained().get_weights(), loss=np.asarray(loss))


def train(data, folder, stop=None):
    use_small_network()
    command.peak_flops = lambda precision: PEAK  # to measure it takes longer than these trainings
    if stop:
        original = run.save_state

        def save_and_die(path, state, about):
            original(path, state, about)
            if about["done"] == int(stop):
                raise Stop

        run.save_state = save_and_die
    words = "--models vgg --precision float32 --epochs 4 --batch-size 16 --learning-rate 0.05 --validation 20"
    words += " --ema 0.9"
    try:
        command.main([data, *words.split(), "--save-every", "1", "--keep-weights", "--output", folder])
    except Stop:
        print("stopped")
    except UserError as error:
        print(error)


if __name__ == "__main__":
    {"steps": steps, "train": train}[sys.argv[1]](*sys.argv[2:])
