"""One training: as many epochs as fit into a time, a line of JSON for each thing that happens."""

import time
from typing import Any

import jax
import jax.numpy as jnp

from attention_keras.models.compute import count_macs, count_parameters
from attention_keras.runs.recipes import Recipe
from benchmarks.full_width.learner import Learner, error_of
from benchmarks.full_width.parts import Pixels
from benchmarks.full_width.record import Record
from benchmarks.full_width.saved_state import load_state, save_state
from benchmarks.full_width.setting import Budget, Setting, conditions_of
from benchmarks.full_width.weights import save_weights
from benchmarks.peak import convolution

TIMED_STEPS = 30
PEAK_SHAPE = (512, 32, 32, 256)  # b h w c of the convolution that utilisation is measured against


def peak_flops(precision: str) -> float:
    """FLOP/s of a bare 3x3 convolution on this device."""
    dtype = "bfloat16" if precision == "mixed_bfloat16" else "float32"
    if jax.default_backend() == "cpu":
        return convolution(dtype)
    return convolution(dtype, PEAK_SHAPE, depth=8)


def train(
    name: str, recipe: Recipe, pixels: Pixels, budget: Budget, setting: Setting, seed: int, peak: float
) -> dict[str, Any]:
    """Train one network, and test it once at the end; the last line of its record."""
    record = Record(setting.output, name, seed)
    conditions = conditions_of(recipe, pixels, budget, setting)
    cut = len(pixels.train[0]) - setting.held_out
    held_out = tuple(array[cut:] for array in pixels.train)
    began = time.perf_counter()
    learner = Learner(
        name,
        recipe,
        *(array[:cut] for array in pixels.train),
        num_classes=pixels.num_classes,
        seed=seed,
        precision=setting.precision,
    )
    epoch_seconds, compile_seconds = _time_steps(learner)
    done, epochs = 0, budget.epochs_of(epoch_seconds)
    state_file = setting.state_file(name, seed)
    if state_file.exists():
        learner.state, about = load_state(state_file, learner.state, conditions)
        done, epochs = about["done"], about["epochs"]
    record.write(
        "start",
        parameters=count_parameters(learner.model),
        epochs=epochs,
        done=done,
        compile_seconds=compile_seconds,
        epoch_seconds=epoch_seconds,
    )
    rates = learner.rates(epochs)
    steps = learner.steps_per_epoch
    training = time.perf_counter()
    for epoch in range(done, epochs):
        loss = learner.run_epoch(epoch, rates[epoch * steps : (epoch + 1) * steps])
        # Waiting for the loss makes a gap, so only some epochs end with it.
        last = epoch == epochs - 1
        if last or (epoch + 1) % max(1, epochs // 8) == 0:
            loss = float(loss)
            seconds = time.perf_counter() - training
            left = seconds / (epoch + 1 - done) * (epochs - 1 - epoch)
            record.write("epoch", epoch=epoch + 1, loss=loss, seconds=seconds, seconds_left=left)
        if setting.save_every and not last and (epoch + 1) % setting.save_every == 0:
            about = {"conditions": conditions, "done": epoch + 1, "epochs": epochs}
            save_state(state_file, learner.state, about)
    seconds = time.perf_counter() - training
    model = learner.trained()
    files = save_weights(model, setting.output / f"{name}-s{seed}") if setting.keep_weights else []
    images_per_second = (epochs - done) * learner.images_per_epoch / seconds
    flops = 6 * count_macs(learner.model) * images_per_second  # forward, and twice as much backward
    end = record.write(
        "end",
        epochs=epochs,
        training_seconds=seconds,
        images_per_second=images_per_second,
        tflops=flops / 1e12,
        utilisation=flops / peak,
        validation_error=error_of(model, *held_out) if setting.held_out else None,
        test_error=error_of(model, *pixels.test),
        test_error_with_flips=error_of(model, *pixels.test, flips=True),
        seconds=time.perf_counter() - began,
        device=jax.devices()[0].device_kind,
        weights=[file.name for file in files],
        conditions=conditions,
    )
    state_file.unlink(missing_ok=True)  # not before the end is written: a kill must not cost the training
    return end


def _time_steps(learner: Learner) -> tuple[float, float]:
    """Seconds of an epoch, and of compilation; on a copy of the state, which stays as it is."""
    state, learner.state = learner.state, jax.tree.map(jnp.copy, learner.state)
    rates = learner.rates(1)[:TIMED_STEPS]
    seconds = []
    for _ in range(2):  # the first time compiles
        began = time.perf_counter()
        jax.block_until_ready(learner.run_epoch(0, rates))
        seconds.append(time.perf_counter() - began)
    learner.state = state
    return seconds[1] / len(rates) * learner.steps_per_epoch, seconds[0] - seconds[1]
