"""Optimisers and learning-rate schedules of the recipes."""

import keras


class CoupledSGD(keras.optimizers.SGD):
    """SGD with momentum whose weight decay is part of the gradient, as in Torch.

    `g <- g + decay * w` before the momentum, for every trainable variable (biases and batch normalisation
    included, as in the official code). Keras's own `weight_decay` shrinks the weights past the momentum.
    """

    def __init__(self, learning_rate=0.01, momentum=0.0, nesterov=False, coupled_decay=0.0, **kwargs):
        super().__init__(learning_rate, momentum=momentum, nesterov=nesterov, **kwargs)
        self.coupled_decay = coupled_decay

    def update_step(self, gradient, variable, learning_rate):
        gradient = keras.ops.add(gradient, keras.ops.multiply(self.coupled_decay, variable))
        super().update_step(gradient, variable, learning_rate)


def build_schedule(name: str, learning_rate: float, updates_per_epoch: float, epochs: int):
    """A float, or a Keras schedule by update; an update that goes on over an epoch's end counts in part."""
    if name == "cosine":  # a linear warm-up over a tenth of the run, then a half cosine to 0
        updates = int(updates_per_epoch * epochs)
        warm_up = updates // 10
        return keras.optimizers.schedules.CosineDecay(
            learning_rate / (warm_up + 1),  # a rate of 0 would waste the first update
            max(updates - warm_up, 1),
            warmup_target=learning_rate if warm_up else None,
            warmup_steps=warm_up,
        )
    changes = {  # as in the official scripts
        "constant": [],
        # VGG: halved when the epoch, counted from 1, is a multiple of 25, before it is trained.
        "halve_25": [(epoch, 0.5) for epoch in range(24, epochs, 25)],
        "step_60_120_160": [(60, 0.2), (120, 0.2), (160, 0.2)],
        "cub_30": [(epoch - 1, 2.0 if epoch <= 60 else 0.5) for epoch in range(30, 301, 30)],
    }[name]
    values = [learning_rate]
    for _, factor in changes:
        values.append(values[-1] * factor)
    # PiecewiseConstantDecay changes after its boundary step, and step 0 is the first of epoch 0.
    boundaries = [round(epoch * updates_per_epoch) - 1 for epoch, _ in changes]
    return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, values) if changes else learning_rate


def build_optimizer(
    name: str, learning_rate, weight_decay: float, accumulate: int = 1, ema: float = 0.0
) -> keras.optimizers.Optimizer:
    """Of a learning rate by update, of which `accumulate` steps make one; `ema` keeps an average."""
    options: dict = {"gradient_accumulation_steps": accumulate} if accumulate > 1 else {}
    if ema:
        # Keras averages after each step, of which `accumulate` make an update.
        options |= {"use_ema": True, "ema_momentum": ema ** (1 / accumulate)}
    rate = learning_rate
    if accumulate > 1 and callable(learning_rate):  # Keras asks a schedule for the rate of a step
        rate = lambda: learning_rate(optimizer.iterations)  # noqa: E731
    # Keras counts names up within a process; a resumed run looks for those it was saved under.
    if name == "adamw":
        optimizer = keras.optimizers.AdamW(rate, weight_decay=weight_decay, name="adamw", **options)
    else:
        optimizer = CoupledSGD(rate, 0.9, name == "nesterov", weight_decay, name="coupled_sgd", **options)
    return optimizer
