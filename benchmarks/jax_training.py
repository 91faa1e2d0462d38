"""Train networks of the paper at full width on one GPU, with Keras on JAX and without TensorFlow.

    KERAS_BACKEND=jax python -m benchmarks.jax_training DATA --models vgg-att2-concat-scaled vgg-hires

DATA is a folder that `python -m benchmarks.image_blocks` wrote. Each network is trained by the recipe
`modern` and leaves NAME-sSEED.json and NAME-sSEED.keras in --output. What is finished is not trained again.
"""

import argparse
import itertools
import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import keras
import numpy as np

from attention_keras.commands.command_line import exit_code
from attention_keras.data.augmentations import parse_augment
from attention_keras.errors import UserError
from attention_keras.layers.preprocess import build_preprocess
from attention_keras.models.copies import in_float32
from attention_keras.models.global_branch import prune_dead_branch
from attention_keras.models.zoo import build_model
from attention_keras.runs.durable import write_whole
from attention_keras.runs.recipes import find_recipe
from attention_keras.training.optimizers import build_optimizer, build_schedule
from benchmarks.image_blocks import Images, read

PREDICTED_AT_ONCE, PADDING = 1000, 4
NUMBERS = ("width", "batch_size", "learning_rate", "weight_decay", "label_smoothing", "ema")
COLUMNS = ("model", "seed", "epochs", "images_per_second", "validation_error", "test_error")


def flip(images, key):
    mirrored = jax.random.bernoulli(key, shape=(len(images), 1, 1, 1))
    return jnp.where(mirrored, images[:, :, ::-1], images)


def crop_reflect(images, key):
    padded = jnp.pad(images, ((0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0)), "reflect")
    corners = jax.random.randint(key, (len(images), 2), 0, 2 * PADDING + 1)
    cut = lambda image, at: jax.lax.dynamic_slice(image, (at[0], at[1], 0), images.shape[1:])  # noqa: E731
    return jax.vmap(cut)(padded, corners)


def cutout(images, key):
    """Black out a square of half the image's side around a random pixel; the border may clip it."""
    height, width = images.shape[1:3]
    length = min(height, width) // 2
    centres = jax.random.randint(key, (2, len(images), 1), 0, jnp.array([height, width])[:, None, None])
    rows, columns = (jnp.arange(n) - (c - length // 2) for n, c in zip((height, width), centres))
    rows, columns = ((offset >= 0) & (offset < length) for offset in (rows, columns))
    return jnp.where((rows[:, :, None] & columns[:, None])[..., None], jnp.zeros_like(images), images)


AUGMENTATIONS = {made.__name__: made for made in (flip, crop_reflect, cutout)}


def augmentations(augment: str) -> list:
    plan = parse_augment(augment)
    names = (*plan.crops, *plan.moves, *plan.mixes, *plan.policies)
    if missing := set(names) - set(AUGMENTATIONS):
        raise UserError(f"augment {min(missing)} is not made on the device; use {', '.join(AUGMENTATIONS)}")
    return [AUGMENTATIONS[name] for name in names]


class Training:
    """One network and the state of its training on the device.

    A step is Keras's own `train_step` for JAX, compiled with the augmentation before it. Order and
    augmentation are functions of (seed, epoch, step). The last images of an epoch, too few for a batch, are
    left out.
    """

    def __init__(self, name: str, recipe: dict, split, num_classes: int, seed: int, precision: str):
        self.recipe, self.num_classes, self.seed = recipe, num_classes, seed
        keras.utils.set_random_seed(seed)
        keras.config.set_dtype_policy(precision)
        shape, preprocess = split[0].shape[1:], build_preprocess(recipe["preprocess"], split[0])
        options = {key: recipe[key] for key in ("width", "dropout", "init")}
        self.model = build_model(name, shape, num_classes, preprocess=preprocess, **options)
        keras.config.set_dtype_policy("float32")
        numbers = [recipe[key] for key in ("optimizer", "learning_rate", "weight_decay")]
        optimizer = build_optimizer(*numbers, ema=recipe["ema"])
        smoothing = {"from_logits": True, "label_smoothing": recipe["label_smoothing"]}
        self.model.compile(optimizer, keras.losses.CategoricalCrossentropy(**smoothing))
        optimizer.build(self.model.trainable_variables)
        self.images, self.labels = map(jax.device_put, split)
        self.batch = min(recipe["batch_size"], len(self.images))
        self.steps = len(self.images) // self.batch
        self.rate = [v.path for v in optimizer.variables].index(optimizer._learning_rate.path)
        self.state = self.begun()
        augment = augmentations(recipe["augment"])

        def step(state, images, labels, rows, rate, key):
            trainable, fixed, optimizer, metrics = state
            optimizer = [*optimizer[: self.rate], rate, *optimizer[self.rate + 1 :]]
            batch = images[rows]
            for place, change in enumerate(augment):
                batch = change(batch, jax.random.fold_in(key, place))
            targets = jax.nn.one_hot(labels[rows], num_classes)
            state = trainable, fixed, optimizer, metrics
            logs, state = self.model.train_step(state, (batch.astype(jnp.float32), targets))
            return state, logs["loss"]

        self.step = jax.jit(step, donate_argnums=0)

    def variables(self):
        weights = self.model.trainable_variables, self.model.non_trainable_variables
        return *weights, self.model.optimizer.variables, self.model.metrics_variables

    def begun(self):
        """The state that begins with the model's weights; a step gives its memory away."""
        return jax.tree.map(jnp.copy, tuple([v.value for v in group] for group in self.variables()))

    def rates(self, epochs: int) -> np.ndarray:
        recipe, steps = self.recipe, np.arange(epochs * self.steps)
        schedule = build_schedule(recipe["schedule"], recipe["learning_rate"], self.steps, epochs)
        return np.asarray(jax.vmap(schedule)(jnp.asarray(steps)), "float32")

    def run_epoch(self, epoch: int, rates: np.ndarray):
        """Train a step for each rate, at most an epoch; the mean loss, which may still be on its way."""
        of_epoch = jax.random.fold_in(jax.random.key(self.seed), epoch)
        order_key, *keys = jax.random.split(of_epoch, 1 + self.steps)
        order = jax.random.permutation(order_key, len(self.images))[: self.steps * self.batch]
        self.state = (*self.state[:3], [jnp.zeros_like(value) for value in self.state[3]])
        loss = jnp.zeros(())
        for rows, rate, key in zip(order.reshape(self.steps, -1), jnp.asarray(rates), keys):
            self.state, loss = self.step(self.state, self.images, self.labels, rows, rate, key)
        return loss

    def trained(self) -> keras.Model:
        """The model with its trained weights, averaged where the recipe says so."""
        for variables, values in zip(self.variables(), self.state):
            for variable, value in zip(variables, values):
                variable.assign(value)
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        return self.model


def error_of(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> float | None:
    """Share of images classified wrongly; None without images."""
    if not len(images):
        return None
    outputs = model.predict(images.astype("float32"), batch_size=PREDICTED_AT_ONCE, verbose=0)
    return float(np.mean(outputs["logits"].argmax(-1) != labels))


def train(name: str, seed: int, data: Images, recipe: dict, options, conditions: dict) -> dict:
    """Train one network, test it once at the end, and write weights and results."""
    stem = options.output / f"{name}-s{seed}"
    cut = len(data.train[0]) - options.validation
    num_classes = int(data.train[1].max()) + 1
    split, held = (tuple(array[part] for array in data.train) for part in (slice(cut), slice(cut, None)))
    training = Training(name, recipe, split, num_classes, seed, options.precision)
    epochs, began = options.epochs, time.perf_counter()
    for epoch, rates in enumerate(training.rates(epochs).reshape(epochs, -1)):
        loss = training.run_epoch(epoch, rates)
        if epoch == 0:  # in which the step is compiled
            jax.block_until_ready(training.state)
            compiled = time.perf_counter()
        if (epoch + 1) % max(1, epochs // 8) == 0:  # waiting for the loss makes a gap
            said = f"{name}, seed {seed}: epoch {epoch + 1}/{epochs}, loss {float(loss):.4f}"
            print(f"{said}, {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    jax.block_until_ready(training.state)
    ended = time.perf_counter()
    model = training.trained()
    result = {
        **{"model": name, "seed": seed, "epochs": epochs, "seconds": ended - began},
        "images_per_second": (epochs - 1) * training.steps * training.batch / (ended - compiled),
        "validation_error": error_of(model, *held),
        "test_error": error_of(model, *data.test),
        **{"device": jax.devices()[0].device_kind, "conditions": conditions},
    }
    in_float32(prune_dead_branch(model)).save(stem.with_suffix(".keras"))
    write_whole(stem.with_suffix(".json"), json.dumps(result, indent=2).encode())
    keras.utils.clear_session()
    return result


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.jax_training", description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="a folder that benchmarks.image_blocks wrote")
    parser.add_argument("--models", nargs="+", default=["vgg-att2-concat-scaled"], help="names")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="a training of each network")
    parser.add_argument("--epochs", type=int, default=30, help="of each training (default 30)")
    parser.add_argument("--output", type=Path, default=Path("runs/jax_training"), help="of the results")
    parser.add_argument("--precision", default="mixed_bfloat16", help="of training: this, or float32")
    parser.add_argument("--validation", type=int, default=5000, help="images held out (default 5000)")
    for name in NUMBERS:
        kind = int if name == "batch_size" else float
        parser.add_argument("--" + name.replace("_", "-"), type=kind, help="as the recipe says")
    parser.add_argument("--augment", help=f"{', '.join(AUGMENTATIONS)}, joined by +")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    options = parse(words)
    if keras.backend.backend() != "jax":
        raise UserError("this trains with JAX; set the environment variable KERAS_BACKEND=jax")
    data = read(options.data)
    given = {name: getattr(options, name) for name in (*NUMBERS, "augment")}
    recipe = find_recipe("modern", data.name, "vgg") | {k: v for k, v in given.items() if v is not None}
    conditions = {**recipe, "epochs": options.epochs, "data": data.digest}
    conditions |= {"precision": options.precision, "validation": options.validation}
    options.output.mkdir(parents=True, exist_ok=True)
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for seed, name in itertools.product(options.seeds, options.models):
        finished = options.output / f"{name}-s{seed}.json"
        if finished.exists():
            result = json.loads(finished.read_text())
            if result["conditions"] != conditions:
                raise UserError(f"{finished} is of another training; choose another --output")
        else:
            result = train(name, seed, data, recipe, options, conditions)
        print("| " + " | ".join(str(result[key]) for key in COLUMNS) + " |", flush=True)


if __name__ == "__main__":
    sys.exit(exit_code(main))
