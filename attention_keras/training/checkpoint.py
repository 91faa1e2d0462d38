"""Checkpoint files: complete or invisible, and never loaded when a single bit is wrong.

A checkpoint is one safetensors file named `<step>.<first 32 hex digits of its sha256>.safetensors`.
It is written under a temporary name, flushed to the disk and renamed in; the digest in the name is
checked on loading. safetensors holds plain tensors: reading one runs no code and allocates no more
than the file's own size. Tensors are named by the variables they belong to.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from attention_keras.errors import UserError
from attention_keras.runs.durable import flush, write_whole

SUFFIX = ".safetensors"
KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on: arrays by name, the optimiser steps done, and small records."""

    step: int
    arrays: dict[str, np.ndarray]
    record: dict[str, Any]


def save_checkpoint(directory: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint, then remove all but the newest two; on a full disk the earlier ones stay."""
    tensors = {name: np.asarray(array, order="C") for name, array in checkpoint.arrays.items()}
    metadata = {"step": str(checkpoint.step), "record": json.dumps(checkpoint.record)}
    content = save(tensors, metadata)
    digest = hashlib.sha256(content).hexdigest()[:32]
    path = directory / f"{checkpoint.step:09d}.{digest}{SUFFIX}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for abandoned in directory.glob(".*.tmp"):
            abandoned.unlink()
        write_whole(path, content)
        flush(directory)
    except OSError as error:
        raise UserError(
            f"cannot write a checkpoint of {len(content) / 1e6:.1f} MB to {directory}: {error.strerror}; "
            "earlier checkpoints are intact, make room and run the same command again"
        ) from None
    earlier = [old for old in checkpoint_files(directory) if old != path]
    # One from a later step is damaged, or the run would have gone on from there.
    damaged = [old for old in earlier if step_of(old) > checkpoint.step]
    for old in damaged + [old for old in earlier if old not in damaged][KEPT - 1 :]:
        old.unlink()
    return path


def checkpoint_files(directory: Path) -> list[Path]:
    """Checkpoint files, newest first; unfinished ones have another name and are not among them."""
    files = [p for p in directory.glob(f"*{SUFFIX}") if p.name.split(".")[0].isdigit()]
    return sorted(files, key=lambda p: (step_of(p), p.stat().st_mtime_ns), reverse=True)


def step_of(path: Path) -> int:
    """The step in a checkpoint's name."""
    return int(path.name.split(".")[0])


def load_newest(directory: Path, report: Callable[[str], None] = print) -> Checkpoint | None:
    """The newest checkpoint that is whole; damaged ones are reported and passed over."""
    for path in checkpoint_files(directory):
        try:
            return load_checkpoint(path)
        except UserError as error:
            report(f"{error}; trying the one before it")
    return None


def load_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint, if its content has the digest that its name promises."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:32]
        if path.name.split(".")[1] != digest:
            raise UserError(f"checkpoint {path} is damaged")
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata()
            arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
            return Checkpoint(int(metadata["step"]), arrays, json.loads(metadata["record"]))
    except (OSError, SafetensorError, KeyError, IndexError, TypeError, ValueError) as error:
        raise UserError(f"checkpoint {path} cannot be read: {error}") from None
