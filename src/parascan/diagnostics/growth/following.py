"""A run from the start of a rollout, pilots that go on from its states, and the stretches of directions along both."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ...problem.flat_recurrence import Recurrence
from ...solution import State, Tree
from .paths import Paths
from .settling import beginning
from .side_by_side import SideBySideStep, last
from .spectrum import orthonormal
from .statistics import means_of_stretches

PILOTS = 8
"""Number of pilots, which run side by side."""


def stretches_of(length: int, count: int, rows: int) -> np.ndarray:
    """First steps of a number of stretches of ``rows`` steps each, evenly spread over a length."""
    return np.floor((np.arange(count) + 0.5) * max(length - rows, 0) / count).astype(int)


class Layout(eqx.Module):
    """Where the run and the pilots are.

    Attributes:
        length: T.
        run: steps from the start.
        pilots: P, number of pilots; 0 where the run is enough.
        rows: steps of a pilot, of which the first quarter settles its direction and state; without pilots the steps for
            which copies of the run are followed.
    """

    length: int = eqx.field(static=True)
    run: int = eqx.field(static=True)
    pilots: int = eqx.field(static=True)
    rows: int = eqx.field(static=True)

    @classmethod
    def of(cls, recurrence: Recurrence, budget: int) -> "Layout":
        """The layout for a number of steps one after the other."""
        length, driven = recurrence.length, bool(jax.tree.leaves(recurrence.inputs))
        if budget >= length:
            return cls(length, length, 0, max(length // 4, 1))
        if not driven or budget < 4:
            rows = budget // 4
            return cls(length, budget - rows, 0, max(rows, 1))
        return cls(length, budget - budget // 2, PILOTS, budget // 2)

    @property
    def first(self) -> np.ndarray:
        """First step of every pilot, or of the stretches of the run beside which copies are followed."""
        if self.pilots:
            return self.run + stretches_of(self.length - self.run, self.pilots, self.rows)
        return stretches_of(self.run, min(PILOTS, self.run), self.rows)

    @property
    def burn_in(self) -> int:
        """Steps of a pilot that do not count."""
        return beginning(self.rows)


class Followed(eqx.Module):
    """Trajectories and how directions stretch along them.

    Attributes:
        before: states before the steps ``[P R D]``.
        inputs: inputs of the steps ``[P R ...]``.
        logs: log stretches ``[P R V]``.
        log_speed: logarithm of the length of every step ``[P R]``.
        turned: the first direction after the last step, of unit length ``[D P]``.
    """

    before: Float[Array, "P R D"]
    inputs: Tree
    logs: Float[Array, "P R V"]
    log_speed: Float[Array, "P R"]
    turned: Float[Array, "D P"]


def inputs_of(recurrence: Recurrence, first: np.ndarray, count: int) -> Tree:
    """Inputs of stretches ``[P R ...]``."""
    rows = first[:, None] + np.arange(count)
    return jax.tree.map(lambda leaf: leaf[rows], recurrence.inputs)


def follow(
    step: SideBySideStep,
    starts: Float[Array, "P D"],
    inputs: Tree,
    rows: int,
    vectors: Float[Array, "V D P"],
    key: Key[Array, ""],
) -> Followed:
    """Trajectories from given states, and the stretches of directions that are pushed along.

    Every direction but the first is replaced by a random one half way: a direction that has aligned with what grew
    early does not show others that grow later, or that stay where it shrinks.
    """
    first = orthonormal(vectors[:, None])[0]
    anew = orthonormal(jax.random.normal(key, first.shape, starts.dtype))[0].at[0].set(0)

    def one(
        carry: tuple[Array, Array], row: tuple[Tree, Array]
    ) -> tuple[tuple[Array, Array], tuple[Array, Array, Array]]:
        (states, vectors), (x, begins) = carry, row
        vectors = jnp.where(begins & jnp.any(anew != 0, axis=2, keepdims=True), anew, vectors)
        following, linear = step.linearized(states, last(x))
        turned, norms = orthonormal(jax.vmap(jax.vmap(linear))(vectors))
        speed = jnp.sqrt(jnp.sum((following - states) ** 2, axis=0))
        return (following, turned), (states, norms[:, 0], speed)

    by_row = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), inputs)
    xs = (by_row, jnp.arange(rows) == rows // 2)
    (_, turned), (before, norms, speed) = jax.lax.scan(one, (starts.T, first), xs)
    logs = jnp.log(jnp.moveaxis(norms, -1, 0))
    # A linear step has finite Jacobians wherever the state is.
    finite = jnp.all(jnp.isfinite(before), axis=1).T
    logs = jnp.where(finite[..., None], logs, jnp.nan)
    return Followed(jnp.moveaxis(before, -1, 0), inputs, logs, jnp.log(speed.T), turned[0, 0])


def joined(
    advance: Callable[[State, Tree], State], run: Followed, pilots: Followed, layout: Layout
) -> tuple[Paths, Float[Array, "P L"]]:
    """The run, and the pilots without their first quarter, as stretches of one length, and how directions stretch."""
    rows = layout.rows - layout.burn_in
    pieces = layout.run // rows

    def join(of_run: Array, of_pilots: Array) -> Array:
        of_run = of_run[0, : pieces * rows].reshape(pieces, rows, *of_run.shape[2:])
        return jnp.concatenate([of_run, of_pilots[:, layout.burn_in :]])

    before, inputs = jax.tree.map(join, (run.before, run.inputs), (pilots.before, pilots.inputs))
    stretches = join(run.logs[..., 0], pilots.logs[..., 0])
    return Paths(advance, before, inputs, layout.length), stretches


def stretch_means(run: Followed, pilots: Followed | None, layout: Layout) -> tuple[Array, tuple[float, ...]]:
    """Exponents of stretches of the run and of the pilots, and their middles in steps of the data."""
    along = run.logs[0, :, 0]
    count = min(PILOTS if pilots is None else PILOTS // 2, layout.run)
    size = layout.run // count
    means = means_of_stretches(along, count)
    places = layout.run - size * (count - 0.5 - np.arange(count))
    if pilots is not None:
        means = jnp.concatenate([means, jnp.mean(pilots.logs[:, layout.burn_in :, 0], axis=1)])
        places = np.concatenate([places, layout.first + (layout.burn_in + layout.rows) / 2])
    return means, tuple(places.tolist())
