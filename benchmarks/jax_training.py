"""Train networks of the paper at full width on one GPU, with Keras on JAX and without TensorFlow.

    KERAS_BACKEND=jax python -m benchmarks.jax_training DATA.npz --models vgg-att2-concat-scaled vgg-hires

The file is one that `python -m benchmarks.image_file` wrote. Each network is trained by the recipe
`modern` and leaves NAME-sSEED.json and NAME-sSEED.keras in --output. What is finished is not trained again.
"""

import argparse
import hashlib
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
from attention_keras.data.registry import parse_augment
from attention_keras.errors import UserError
from attention_keras.layers.preprocess import build_preprocess
from attention_keras.models.copies import in_float32
from attention_keras.models.parts import prune_dead_branch
from attention_keras.models.zoo import build_model
from attention_keras.runs.durable import write_whole
from attention_keras.runs.recipes import find_recipe
from attention_keras.training.optimizers import build_optimizer, build_schedule

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


class Augment(keras.layers.Layer):
    """Changes images in training, on the device, by a key of its own for each step."""

    def __init__(self, changes, seed: int):
        super().__init__(dtype="float32")
        self.changes, self.keys = changes, keras.random.SeedGenerator(seed)

    def call(self, images, training=False):
        for change in self.changes if training else ():
            images = change(images, jnp.asarray(self.keys.next(), "uint32"))
        return images


class Batches(keras.utils.PyDataset):
    """Whole batches `(images, one-hot labels)` in a new order each epoch; the last, too few, are left out."""

    def __init__(self, images, labels, num_classes: int, batch_size: int, seed: int):
        super().__init__()
        self.images, self.targets = images, np.eye(num_classes, dtype="float32")[labels]
        self.size, self.random = min(batch_size, len(images)), np.random.default_rng(seed)
        self.on_epoch_end()

    def on_epoch_end(self):
        self.order = self.random.permutation(len(self.images))

    def __len__(self):
        return len(self.images) // self.size

    def __getitem__(self, step):
        rows = self.order[step * self.size : (step + 1) * self.size]
        return self.images[rows].astype("float32"), self.targets[rows]


class Progress(keras.callbacks.Callback):
    """A line now and then, and the time at which the step was compiled."""

    def __init__(self, name: str):
        super().__init__()
        self.name = name

    def on_train_begin(self, logs=None):
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds, epochs = time.perf_counter() - self.began, self.params["epochs"]
        if epoch == 0:
            self.compiled = seconds
        if (epoch + 1) % max(1, epochs // 8) == 0:
            said = f"{self.name}: epoch {epoch + 1}/{epochs}, loss {logs['loss']:.4f}, {seconds:.0f} s"
            print(said, file=sys.stderr, flush=True)


def build(name: str, recipe: dict, images: np.ndarray, num_classes: int, seed: int, precision: str):
    """A network, and the one that is trained: the same after the augmentation."""
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(precision)
    preprocess = build_preprocess(recipe["preprocess"], images)
    options = {key: recipe[key] for key in ("width", "dropout", "init")}
    model = build_model(name, images.shape[1:], num_classes, preprocess=preprocess, **options)
    keras.config.set_dtype_policy("float32")
    pixels = keras.Input(images.shape[1:])
    trained = model.like(pixels, model(Augment(augmentations(recipe["augment"]), seed)(pixels)))
    return model, trained


def fit(trained: keras.Model, batches: Batches, recipe: dict, epochs: int, name: str) -> tuple[float, float]:
    """Train, and average the weights where the recipe says so: seconds, and images a second."""
    rate = build_schedule(recipe["schedule"], recipe["learning_rate"], len(batches), epochs)
    optimizer = build_optimizer(recipe["optimizer"], rate, recipe["weight_decay"], ema=recipe["ema"])
    smoothing = {"from_logits": True, "label_smoothing": recipe["label_smoothing"]}
    trained.compile(optimizer, keras.losses.CategoricalCrossentropy(**smoothing))
    progress = Progress(name)
    trained.fit(batches, epochs=epochs, verbose=0, callbacks=[progress])
    seconds = time.perf_counter() - progress.began
    return seconds, (epochs - 1) * len(batches) * batches.size / max(seconds - progress.compiled, 1e-9)


def error_of(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> float | None:
    """Share of images classified wrongly; None without images."""
    if not len(images):
        return None
    outputs = model.predict(images.astype("float32"), batch_size=PREDICTED_AT_ONCE, verbose=0)
    return float(np.mean(outputs["logits"].argmax(-1) != labels))


def train(name: str, seed: int, data: dict, recipe: dict, options, conditions: dict) -> dict:
    """Train one network, test it once at the end, and write weights and results."""
    stem, cut = options.output / f"{name}-s{seed}", len(data["images"]) - options.validation
    images, labels = data["images"][:cut], data["labels"][:cut]
    num_classes = int(data["labels"].max()) + 1
    model, trained = build(name, recipe, images, num_classes, seed, options.precision)
    batches = Batches(images, labels, num_classes, recipe["batch_size"], seed)
    seconds, speed = fit(trained, batches, recipe, options.epochs, f"{name}, seed {seed}")
    result = {
        **{"model": name, "seed": seed, "epochs": options.epochs},
        **{"seconds": seconds, "images_per_second": speed},
        "validation_error": error_of(model, data["images"][cut:], data["labels"][cut:]),
        "test_error": error_of(model, data["test_images"], data["test_labels"]),
        **{"device": jax.devices()[0].device_kind, "conditions": conditions},
    }
    in_float32(prune_dead_branch(model)).save(stem.with_suffix(".keras"))
    write_whole(stem.with_suffix(".json"), json.dumps(result, indent=2).encode())
    keras.utils.clear_session()
    return result


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.jax_training", description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="a file that benchmarks.image_file wrote")
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
    with np.load(options.data) as file:
        data = dict(file)
    given = {name: getattr(options, name) for name in (*NUMBERS, "augment")}
    recipe = find_recipe("modern", str(data["name"]), "vgg") | {
        k: v for k, v in given.items() if v is not None
    }
    conditions = {
        **recipe,
        "epochs": options.epochs,
        "data": hashlib.sha256(data["images"].tobytes()).hexdigest()[:16],
    }
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
