"""A network, the state of its training as arrays, and one compiled step."""

import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import keras
import numpy as np

from attention_keras.layers.preprocess import build_preprocess
from attention_keras.models.zoo import build_model
from attention_keras.runs.recipes import Recipe
from attention_keras.training.optimizers import build_optimizer, build_schedule
from benchmarks.full_width.augment import augmentation


def newest_share(decay, updates):
    """The share of the newest weights in the average, where those of k updates ago count decay ** k."""
    return (1 - decay) / -jnp.expm1(updates.astype("float32") * math.log(decay))


_ORDER, _AUGMENT = 0, 1  # keep the draws of order and augmentation apart
PREDICTED_AT_ONCE = 1000


class Learner:
    """Trains one network on images that lie on the device.

    A step is Keras's own `train_step` for JAX, compiled with the augmentation before it. Order and
    augmentation are functions of (seed, epoch, step). The learning rate is a variable of the optimiser, set
    for each step, so that the number of epochs can be chosen once the speed is known. The last images of an
    epoch, too few for a batch, are left out; each epoch leaves out others. Where the recipe averages the
    weights, `trained` has the average.

    Args:
        name: of a network of the zoo.
        recipe: how it is made and trained; `epochs` is not looked at.
        images, labels: `(n, h, w, 3)` uint8 and `(n,)`, of the training split.
        num_classes: k.
        seed: of weights, order and augmentation.
        precision: `float32` or `mixed_bfloat16`.
    """

    def __init__(
        self,
        name: str,
        recipe: Recipe,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        num_classes: int,
        seed: int = 0,
        precision: str = "mixed_bfloat16",
    ):
        self.name, self.recipe, self.seed, self.num_classes = name, recipe, seed, num_classes
        self.model = self._build(images, precision)
        # Loss and optimiser are those of attention_keras.training.
        self.model.compile(
            optimizer=build_optimizer(recipe.optimizer, recipe.learning_rate, recipe.weight_decay),
            loss=keras.losses.CategoricalCrossentropy(
                from_logits=True, label_smoothing=recipe.label_smoothing
            ),
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self.images, self.labels = jax.device_put(images), jax.device_put(labels)
        self._augment = augmentation(recipe.augment)
        paths = [v.path for v in self.model.optimizer.variables]
        self._rate = paths.index(self.model.optimizer._learning_rate.path)
        self._updates = paths.index(self.model.optimizer.iterations.path)
        self.begin()
        self._step = jax.jit(self._train_step, donate_argnums=0)

    def _build(self, images: np.ndarray, precision: str) -> keras.Model:
        keras.utils.set_random_seed(self.seed)
        earlier = keras.config.dtype_policy()
        keras.config.set_dtype_policy(precision)
        try:
            return build_model(
                self.name,
                images.shape[1:],
                self.num_classes,
                width=self.recipe.width,
                dropout=self.recipe.dropout,
                init=self.recipe.init,
                preprocess=build_preprocess(self.recipe.preprocess, images),
            )
        finally:
            keras.config.set_dtype_policy(earlier)

    def begin(self) -> None:
        """The state of a training that begins with the model's weights: variables, and averages if any."""
        state = tuple([v.value for v in variables] for variables in self._variables())
        # The step gives its arguments' memory away, so that an average is an array of its own.
        self.state = (*state, jax.tree.map(jnp.copy, state[:2]) if self.recipe.ema else ())

    def _variables(self):
        model = self.model
        return (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )

    @property
    def steps_per_epoch(self) -> int:
        return max(1, len(self.images) // self.recipe.batch_size)

    @property
    def images_per_epoch(self) -> int:
        return self.steps_per_epoch * min(self.recipe.batch_size, len(self.images))

    def rates(self, epochs: int) -> np.ndarray:
        """The learning rate of every step of a training of this many epochs."""
        recipe = self.recipe
        schedule = build_schedule(recipe.schedule, recipe.learning_rate, self.steps_per_epoch, epochs)
        steps = np.arange(epochs * self.steps_per_epoch)
        if not callable(schedule):
            return np.full(len(steps), schedule, "float32")
        return np.asarray(jax.vmap(schedule)(jnp.asarray(steps)), "float32")

    def _train_step(self, state, images, labels, rows, rate, key):
        trainable, fixed, optimizer, metrics, averages = state
        optimizer = [*optimizer[: self._rate], rate, *optimizer[self._rate + 1 :]]
        batch = self._augment(images[rows], key).astype(jnp.float32)
        targets = jax.nn.one_hot(labels[rows], self.num_classes)
        logs, state = self.model.train_step((trainable, fixed, optimizer, metrics), (batch, targets))
        if averages:
            share = newest_share(self.recipe.ema, state[2][self._updates])
            averages = jax.tree.map(lambda mean, new: _towards(mean, new, share), averages, state[:2])
        return (*state, averages), logs["loss"]

    def run_epoch(self, epoch: int, rates: np.ndarray) -> jax.Array:
        """Train a step for each rate, at most an epoch; the mean loss, which may still be on its way."""
        metrics = [jnp.zeros_like(value) for value in self.state[3]]  # a mean of this epoch alone
        self.state = (*self.state[:3], metrics, self.state[4])
        loss = jnp.zeros(())
        for rows, rate, key in self._steps_of(epoch, rates):
            self.state, loss = self._step(self.state, self.images, self.labels, rows, rate, key)
        return loss

    def _steps_of(self, epoch: int, rates: np.ndarray) -> Iterator:
        of_epoch = jax.random.fold_in(jax.random.key(self.seed), epoch)
        order = jax.random.permutation(jax.random.fold_in(of_epoch, _ORDER), len(self.images))
        keys = jax.random.split(jax.random.fold_in(of_epoch, _AUGMENT), self.steps_per_epoch)
        rows = order[: self.images_per_epoch].reshape(self.steps_per_epoch, -1)
        return zip(rows, jnp.asarray(rates), keys, strict=False)

    def trained(self) -> keras.Model:
        """The model, with the weights of the current state, or their average where there is one."""
        weights = self.state[4] or self.state[:2]
        for variables, values in zip(self._variables(), (*weights, *self.state[2:4]), strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        return self.model


def _towards(mean: jax.Array, new: jax.Array, share: jax.Array) -> jax.Array:
    """The mean with the newest value in it; of numbers that are no weights, such as a seed, the newest."""
    return mean + share * (new - mean) if jnp.issubdtype(new.dtype, jnp.floating) else new


def error_of(model: keras.Model, images: np.ndarray, labels: np.ndarray, flips: bool = False) -> float:
    """Share of images classified wrongly; with `flips`, by the mean logits of an image and its mirror."""
    state = [v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables]

    @jax.jit
    def count_wrong(state, batch, answers):
        def logits(pixels):
            return model.stateless_call(*state, pixels, training=False)[0]["logits"]

        pixels = batch.astype(jnp.float32)
        votes = logits(pixels) + (logits(pixels[:, :, ::-1]) if flips else 0)
        return (votes.argmax(-1) != answers).sum()

    wrong = 0
    for start in range(0, len(images), PREDICTED_AT_ONCE):
        rows = slice(start, start + PREDICTED_AT_ONCE)
        wrong += int(count_wrong(state, jnp.asarray(images[rows]), jnp.asarray(labels[rows])))
    return wrong / len(images)
