"""A training loop that shows how far it is, and can be stopped and taken up again without loss."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from .recordings import Split


@dataclass(frozen=True)
class Settings:
    """How a model is trained; part of a checkpoint, which fits no other settings."""

    steps: int = 200
    batch: int = 8
    learning_rate: float = 3e-3
    seed: int = 0
    look_every: int = 20
    data: str = ""


@dataclass
class Record:
    """What happened so far."""

    step: int = 0
    losses: list[float] = field(default_factory=list)
    looks: list[dict[str, float]] = field(default_factory=list)


class OtherStateError(ValueError):
    """A state kept by an earlier run that trained something else."""


Look = Callable[[int, Any, float], dict[str, float]]


def loss(model: Any, xs: Array, labels: Array) -> Array:
    """Mean cross entropy of a batch."""
    logits = model.logits(xs)
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))


value_and_gradient = eqx.filter_value_and_grad(loss)


def optimizer(settings: Settings) -> optax.GradientTransformation:
    """Adam with clipped gradients."""
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(settings.learning_rate))


@eqx.filter_jit
def update(model: Any, memory: Any, xs: Array, labels: Array, settings: Settings) -> tuple[Any, Any, Array]:
    """One training step."""
    value, gradient = value_and_gradient(model, xs, labels)
    changes, memory = optimizer(settings).update(gradient, memory)
    return eqx.apply_updates(model, changes), memory, value


@eqx.filter_jit
def _logits(model: Any, xs: Array) -> Array:
    """Logits of a batch."""
    return model.logits(xs)


def accuracy(model: Any, split: Split, batch: int = 16) -> float:
    """Share of sequences whose class the model finds."""
    found = [np.asarray(_logits(model, split.xs[k : k + batch])).argmax(1) for k in range(0, len(split.xs), batch)]
    return float(np.mean(np.concatenate(found) == split.labels))


def train(
    model: Any, data: Split, settings: Settings, path: Path, check: Callable[[], None], look: Look | None = None
) -> Iterator[tuple[Any, Record]]:
    """The model and the record after every step, from where an earlier call stopped.

    The batch of a step depends on the seed and the step alone, so a run that was stopped goes on as if it had not been.

    Args:
        model: the model before training.
        data: what it is trained on.
        settings: how.
        path: where the state is kept; written when stopped and at the end.
        check: called after every step; an exception that it raises stops the run after the state is kept.
        look: called every few steps with step, model and loss; what it returns goes into the record.
    """
    memory = optimizer(settings).init(eqx.filter(model, eqx.is_inexact_array))
    record = Record()
    if path.exists():
        model, memory, record = _restore(path, model, memory, settings)
    yield model, record
    try:
        while record.step < settings.steps:
            random = np.random.default_rng([settings.seed, record.step])
            batch = random.choice(len(data.xs), settings.batch, replace=False)
            model, memory, value = update(model, memory, data.xs[batch], data.labels[batch], settings)
            record.step += 1
            record.losses.append(float(value))
            if look is not None and (record.step % settings.look_every == 0 or record.step == 1):
                record.looks.append({"step": record.step, **look(record.step, model, float(value))})
            yield model, record
            check()
    finally:
        _keep(path, model, memory, record, settings)


def _keep(path: Path, model: Any, memory: Any, record: Record, settings: Settings) -> None:
    """Write the state in one move, so that no half of it is ever found."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write((json.dumps({"settings": asdict(settings), "record": asdict(record)}) + "\n").encode())
        eqx.tree_serialise_leaves(file, (eqx.filter(model, eqx.is_inexact_array), memory))
    part.replace(path)


def _restore(path: Path, model: Any, memory: Any, settings: Settings) -> tuple[Any, Any, Record]:
    """Read the state of an earlier call.

    Raises:
        OtherStateError: it was made with other settings.
    """
    with path.open("rb") as file:
        header = json.loads(file.readline())
        free = {"steps": 0, "look_every": 0}
        if {**header["settings"], **free} != {**asdict(settings), **free}:
            raise OtherStateError(
                f"{path}: given a state made with {header['settings']}, expected {asdict(settings)}. Name another "
                "folder or remove this one."
            )
        weights, rest = eqx.partition(model, eqx.is_inexact_array)
        weights, memory = eqx.tree_deserialise_leaves(file, (weights, memory))
        model = eqx.combine(weights, rest)
    return model, memory, Record(**header["record"])
