"""What can be known about growth before any full rollout: short rollouts from spread positions, side by side."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from .._problem import Recurrence
from .._types import Trajectory, Tree
from . import products, smoothness
from .estimate import Estimate
from .exponents import ROUNDING
from .growth import LEVEL, STARTS, jacobian_norm, regularity
from .lanewise import LaneStep, last
from .paths import Paths
from .products import STORED_SIZE
from .spectral_norms import LANCZOS_STEPS
from .spectrum import orthonormal
from .statistics import half_width, mean

BUDGET_SHARE = 0.05
"""Part of the T steps that pilots may take."""

LEAST_BUDGET = 2000
"""Steps that they may always take."""

PILOTS = 16
"""Pilots side by side."""

PRODUCTS_PER_STEP = 8
"""Jacobian-vector products for each step of the budget, at most. Taken for many pilots side by side, each costs a
fraction of a step taken alone."""

DIRECTIONS = 2
"""Start directions of each pilot."""

FEWEST_STARTS = 4
"""Least first steps from which windows are looked at, whatever the budget."""


class Growth(eqx.Module):
    """How a system amplifies or forgets perturbations, as far as measured, and what measuring took.

    Attributes:
        exponent: the largest Lyapunov exponent, per step.
        per_pilot: that of every pilot, in 1/step.
        a: upper regularity constant at the exponent.
        b: lower regularity constant at the exponent.
        overshoot: steps that transient growth lasts at most.
        rho: largest spectral norm of a Jacobian.
        lipschitz: Lipschitz constant of the Jacobian near the states seen.
        spread: root mean square distance of the states seen from their mean.
        length: T, steps of the whole.
        steps: steps taken, those of burn-in included.
        products: Jacobian-vector products taken, transposed ones included.
    """

    exponent: Estimate
    per_pilot: Float[Array, " pilots"]
    a: Estimate
    b: Estimate
    overshoot: Estimate
    rho: Estimate
    lipschitz: Estimate
    spread: Float[Array, ""]
    length: int = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    products: int = eqx.field(static=True)


class _Layout(eqx.Module):
    """Where the pilots run.

    Attributes:
        pilots: P.
        burn_in: steps in which a pilot's state settles and its directions turn.
        counted: steps in which it is measured.
        foreign: whether pilots start from a state that is not the trajectory's.
    """

    pilots: int = eqx.field(static=True)
    burn_in: int = eqx.field(static=True)
    counted: int = eqx.field(static=True)
    foreign: bool = eqx.field(static=True, default=False)


def default_budget(length: int) -> int:
    """Steps that pilots may take where no budget is given: 5 % of T, or 2000 where that is more, T at most.

    Args:
        length: T.
    """
    return min(max(int(BUDGET_SHARE * length), LEAST_BUDGET), length)


def measure_growth(
    recurrence: Recurrence,
    key: Key[Array, ""],
    budget: int | None = None,
    states: Trajectory | None = None,
) -> Growth:
    """Exponent, regularity constants, norm and smoothness of the Jacobians, from pilots or a known trajectory.

    Pilots start from the initial state, run through the inputs just before their position in the data and are measured
    from there on, all side by side. A system without inputs has no positions: its first steps are measured. Depth the
    length of a pilot (the budget, without inputs); work ``budget`` steps and at most ``PRODUCTS_PER_STEP`` times as
    many Jacobian-vector products, both stated in the result; memory ``budget D``.

    Args:
        recurrence: the system, with one step or more.
        key: random key of directions and points.
        budget: most steps that pilots take together; 5 % of T or 2000, whichever is more, when None.
        states: the trajectory ``[T D]`` where it is known: then nothing is run, and pilots are stretches of it.

    Returns:
        A ``Growth``. Where states are not finite, values are NaN and intervals everything.

    Raises:
        ValueError: no step to measure, or a budget below one.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from parascan._problem import Recurrence
        >>> halve = Recurrence(lambda s, x: 0.5 * s + x, jnp.ones(2), jnp.zeros((10000, 2)), 10000)
        >>> growth = measure_growth(halve, jax.random.key(0))
        >>> round(float(growth.exponent.value), 4), float(growth.rho.value), growth.steps
        (-0.6931, 0.5, 2000)
    """
    length = recurrence.length
    if length == 0:
        raise ValueError("length: given 0, expected one step or more to measure growth on.")
    budget = default_budget(length) if budget is None else min(int(budget), length)
    if budget < 1:
        raise ValueError(f"budget: given {budget}, expected one step or more.")
    return _growth(recurrence, key, budget, states)


@eqx.filter_jit
def _growth(recurrence: Recurrence, key: Key[Array, ""], budget: int, states: Trajectory | None) -> Growth:
    """The record, by one program."""
    direction_key, key = jax.random.split(key)
    paths, logs, layout = _run(recurrence, states, budget, direction_key)
    per_pilot = mean(jnp.mean(logs, axis=2).T)
    exponent = _exponent(logs, layout, recurrence.length)
    return _measured(paths, logs, exponent, per_pilot, layout, key, budget, states is not None)


def _run(
    recurrence: Recurrence, states: Trajectory | None, budget: int, key: Key[Array, ""]
) -> tuple[Paths, Float[Array, "P L V"], _Layout]:
    """The pilots' stretches and the log stretches of directions in them, without the burn-in."""
    length = recurrence.length
    driven = bool(jax.tree.leaves(recurrence.inputs))
    connected = states is not None or not driven or budget == length
    pilots = max(min(PILOTS, budget // 32), 1)
    if connected:
        # Stretches of one trajectory, one after the other: each turns in the end of the one before.
        counted = budget // pilots
        layout = _Layout(pilots, counted // 2 if pilots > 1 else 0, counted)
        first = np.arange(pilots) * (counted if states is None else length // pilots)
    else:
        each = budget // pilots
        layout = _Layout(pilots, each // 2, each - each // 2, foreign=True)
        first = np.floor((np.arange(pilots) + 0.5) * (length - layout.counted) / pilots).astype(int)
    rows = first[:, None] + np.arange(-layout.burn_in, layout.counted)
    inputs = jax.tree.map(lambda leaf: leaf[np.maximum(rows, 0)], recurrence.inputs)
    if states is not None:
        before = recurrence.previous(states)[np.maximum(rows, 0)]
    elif connected:
        known = jax.tree.map(lambda leaf: leaf[:budget], recurrence.inputs)
        visited = jax.lax.scan(lambda s, x: (recurrence.advance(s, x), s), recurrence.initial, known, budget)[1]
        before = visited[np.maximum(rows, 0)]
    else:
        before = _roll(recurrence, inputs, rows >= 0)
    logs = _stretches(recurrence, before, inputs, rows >= 0, key)[:, layout.burn_in :]
    before, inputs = jax.tree.map(lambda leaf: leaf[:, layout.burn_in :], (before, inputs))
    return Paths(recurrence.advance, before, inputs, length), logs, layout


def _roll(recurrence: Recurrence, inputs: Tree, real: np.ndarray) -> Float[Array, "P R D"]:
    """States before every step of pilots that start from the initial state."""
    step = LaneStep(recurrence.advance)

    def one(states: Array, row: tuple[Tree, Array]) -> tuple[Array, Array]:
        x, counts = row
        return jnp.where(counts, step(states, last(x)), states), states

    pilots = real.shape[0]
    start = jnp.broadcast_to(recurrence.initial[:, None], (recurrence.size, pilots))
    by_row = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), inputs)
    return jnp.moveaxis(jax.lax.scan(one, start, (by_row, jnp.asarray(real.T)))[1], -1, 0)


def _stretches(
    recurrence: Recurrence, before: Float[Array, "P R D"], inputs: Tree, real: np.ndarray, key: Key[Array, ""]
) -> Float[Array, "P R V"]:
    """Log stretches of directions in every step of the pilots."""
    step = LaneStep(recurrence.advance)

    def one(vectors: Array, row: tuple[Tree, Array]) -> tuple[Array, Array]:
        (state, x), counts = row
        turned, norms = orthonormal(step.push(last(state), last(x), vectors))
        return jnp.where(counts, turned, vectors), norms[:, 0]

    shape = (DIRECTIONS, 1, recurrence.size, real.shape[0])
    start = orthonormal(jax.random.normal(key, shape, recurrence.dtype))[0]
    by_row = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), (before, inputs))
    norms = jax.lax.scan(one, start, (by_row, jnp.asarray(real.T)))[1]
    return jnp.log(jnp.moveaxis(norms, -1, 0))


def _exponent(logs: Float[Array, "P L V"], layout: _Layout, length: int) -> Estimate:
    """The exponent, with halves of pilots as batches."""
    over_directions = jnp.mean(logs, axis=2)
    value = jnp.mean(over_directions)
    half = max(layout.counted // 2, 1)
    batches = over_directions[:, -half * (layout.counted // half) :].reshape(-1, half)
    directions = mean(logs.reshape(-1, logs.shape[2]))
    width = half_width(mean(batches.T), LEVEL) + jnp.std(directions) + ROUNDING * jnp.finfo(logs.dtype).eps
    if layout.foreign:
        width = width + _unsettled(value, layout.burn_in)
    width = jnp.where(jnp.isnan(width) & jnp.isneginf(value), 0, width)
    unknown = jnp.isnan(value)
    return Estimate(
        value,
        jnp.where(unknown, -jnp.inf, value - width),
        jnp.where(unknown, jnp.inf, value + width),
        f"algorithm 1 in {layout.pilots} pilots of {layout.counted} steps after {layout.burn_in}, T = {length}",
        "1/step",
        LEVEL,
        ("pilots are like the rest of the data", "states settle and directions turn within the burn-in"),
    )


def _unsettled(value: Float[Array, ""], burn_in: int) -> Float[Array, ""]:
    """What pilots from a foreign start leave open of an exponent at which they have not forgotten it.

    The share of the start that is left, over the share that is gone, of the exponent itself: nothing where the burn-in
    is long, ``1 / burn_in`` for an exponent just below zero.
    """
    rate = jnp.where((value < 0) & jnp.isfinite(value), -value, 0)
    gone = -jnp.expm1(-rate * burn_in)
    return jnp.where(gone > 0, rate * (1 - gone) / jnp.where(gone > 0, gone, 1), 0)


def _measured(
    paths: Paths,
    logs: Float[Array, "P L V"],
    exponent: Estimate,
    per_pilot: Float[Array, " P"],
    layout: _Layout,
    key: Key[Array, ""],
    budget: int,
    known: bool,
) -> Growth:
    """The record, with as many places and windows as products are left for."""
    keys = jax.random.split(key, 3)
    rows = layout.pilots * (layout.burn_in + layout.counted)
    spent = DIRECTIONS * rows
    left = max(PRODUCTS_PER_STEP * budget - spent, 0)
    per_place = paths.size if paths.size <= STORED_SIZE else 2 * min(LANCZOS_STEPS, paths.size)
    places = min(max(left // (4 * per_place), 1), paths.count * paths.length)
    curved = min(max(left // (4 * smoothness.products_needed(1)), 1), smoothness.PLACES)
    longest, starts = _windows(paths, left // 2)
    constants = regularity(
        paths, exponent.value, keys[0], starts=starts, longest=longest, stretches=jnp.mean(logs, axis=2)
    )
    firsts = len(paths.spread_starts(starts, longest))
    taken = (
        spent
        + per_place * len(paths.spread_places(places))
        + smoothness.products_needed(len(paths.spread_places(curved)))
        + products.products_needed(paths.size, firsts, products.geometric(longest))
    )
    return Growth(
        exponent=exponent,
        per_pilot=per_pilot,
        a=constants.a,
        b=constants.b,
        overshoot=constants.overshoot,
        rho=jacobian_norm(paths, keys[1], places=places),
        lipschitz=smoothness.lipschitz(paths, keys[2], places=curved),
        spread=smoothness.state_spread(paths),
        length=paths.total,
        steps=0 if known else budget if not known and layout.burn_in == 0 else min(budget, rows),
        products=taken,
    )


def _windows(paths: Paths, most: int) -> tuple[int, int]:
    """The longest window and the number of first steps that a number of products is enough for."""
    longest = max(paths.length // 2, 1)
    while longest > 1 and products.products_needed(paths.size, FEWEST_STARTS, products.geometric(longest)) > most:
        longest //= 2
    one = products.products_needed(paths.size, 1, products.geometric(longest))
    return longest, max(min(most // one, STARTS), 1)
