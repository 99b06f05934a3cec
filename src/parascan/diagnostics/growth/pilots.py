"""Growth measured before any full rollout: a run over the first steps, and pilots that go on from its states.

The run begins where the rollout does, so that it contains the transient. A system with inputs is measured elsewhere
too: pilots start from states of the run's second half, with inputs of places that are spread over the data. The growth
of the first steps counts only for as many steps as it lasts.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ...problem.flat_recurrence import Recurrence
from ...programs.hashed_keys import hashed
from ..estimate import Estimate
from . import products, smoothness
from .coupling import Coupling
from .following import Layout, follow, inputs_of, joined, stretch_means, stretches_of
from .foretold_rate import rate_of_run, rate_with_pilots
from .growth_constants import STARTS, jacobian_norm, products_of_regularity, regularity
from .jumps import couple
from .paths import Paths
from .products import STORED_SIZE
from .side_by_side import SideBySideStep
from .spectral_norms import LANCZOS_STEPS

BUDGET_SHARE = 0.05
"""Part of the T steps that may be taken one after the other, by default."""

LEAST_BUDGET = 2000
"""Steps that may be taken one after the other by default, however few 5 % of T are."""

PRODUCTS_PER_STEP = 8
"""Jacobian-vector products for each step of the budget, at most. Taken for many pilots side by side, each costs a
fraction of a step taken alone."""

DIRECTIONS = 2
"""Start directions of the run."""

FEWEST_STARTS = 4
"""Least number of first steps from which windows are measured, whatever the budget."""


class Growth(eqx.Module):
    """How a system amplifies or forgets perturbations, as far as measured, and what measuring took.

    Attributes:
        exponent: the largest Lyapunov exponent, per step: over the T steps, with an interval for the long run too.
        settled: the rate without the first steps, per step; without an interval.
        per_pilot: exponents of stretches of the run, then of the pilots, in 1/step.
        coupling: whether copies that start a finite distance apart come together.
        a: upper regularity constant at the exponent.
        b: lower regularity constant at the exponent.
        overshoot: steps that transient growth lasts at most.
        rho: largest spectral norm of a Jacobian.
        lipschitz: Lipschitz constant of the Jacobian near the states seen.
        drift: root mean square Frobenius norm of ``J - I``.
        spread: root mean square distance of the states seen from their mean.
        places: middle of every stretch and pilot, in steps of the data.
        length: T, steps of the whole.
        steps: steps taken one after the other.
        products: Jacobian-vector products taken, transposed ones included.
        measured: steps for which one direction has been followed.
        complete: whether the run reached T, so that the growth of every step has been measured.
    """

    exponent: Estimate
    settled: Float[Array, ""]
    per_pilot: Float[Array, " pilots"]
    coupling: Coupling
    a: Estimate
    b: Estimate
    overshoot: Estimate
    rho: Estimate
    lipschitz: Estimate
    drift: Float[Array, ""]
    spread: Float[Array, ""]
    places: tuple[float, ...] = eqx.field(static=True)
    length: int = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    products: int = eqx.field(static=True)
    measured: int = eqx.field(static=True)
    complete: bool = eqx.field(static=True)


def default_budget(length: int) -> int:
    """Steps one after the other where no budget is given: 5 % of T, or 2000 where that is more, T at most.

    Args:
        length: T.
    """
    return min(max(int(BUDGET_SHARE * length), LEAST_BUDGET), length)


def measure_growth(recurrence: Recurrence, key: Key[Array, ""], budget: int | None = None) -> Growth:
    """Exponent, regularity constants, norm and smoothness of the Jacobians, from a run and pilots that go on from it.

    For a system with inputs, half of the budget goes into a run from the start, and the other half into pilots side by
    side, at places spread over the data, each from a state that the run has visited. For one without inputs, all of it
    goes into the run and copies of it. Depth ``budget`` steps, a quarter more where the run reaches T. Work at most
    five times that, ``PRODUCTS_PER_STEP`` Jacobian-vector products for each step of the budget, and where the run
    reaches T those of all windows that ``regularity`` measures; the result states both. Memory ``5 budget D``.

    Args:
        recurrence: the system, with one step or more.
        key: random key of directions and points.
        budget: most steps one after the other; 5 % of T or 2000, whichever is more, when None.

    Returns:
        A ``Growth``. Where states are not finite, values are NaN and intervals have no ends.

    Raises:
        ValueError: no step to measure, or a budget below one.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> from parascan.problem.flat_recurrence import Recurrence
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
    return _growth(recurrence, key, Layout.of(recurrence, budget))


@eqx.filter_jit
def _growth(recurrence: Recurrence, key: Key[Array, ""], layout: Layout) -> Growth:
    """The record, by one program."""
    run_key, pilot_key, copy_key, key = jax.random.split(hashed(key), 4)
    step = SideBySideStep(recurrence.advance)
    first = inputs_of(recurrence, np.zeros(1, int), layout.run)
    directions = jax.random.normal(key, (DIRECTIONS, recurrence.size, 1), recurrence.dtype)
    run = follow(step, recurrence.initial[None], first, layout.run, directions, run_key)
    if layout.pilots:
        half = layout.run // 2
        starts = run.before[0, half + stretches_of(layout.run - half, layout.pilots, 1)]
        # The run's direction has turned already, and need not turn again where it is the same everywhere.
        turned = jnp.broadcast_to(run.turned, (1, recurrence.size, layout.pilots))
        pilots = follow(step, starts, inputs_of(recurrence, layout.first, layout.rows), layout.rows, turned, pilot_key)
        exponent, settled = rate_with_pilots(run, pilots, layout)
        paths, stretches = joined(recurrence.advance, run, pilots, layout)
        coupled = (pilots.before, pilots.inputs)
    else:
        exponent, settled = rate_of_run(run, layout)
        paths, stretches = Paths(recurrence.advance, run.before, run.inputs, layout.length), run.logs[..., 0]
        rows = layout.first[:, None] + np.arange(layout.rows)
        coupled = jax.tree.map(lambda leaf: leaf[0, rows], (run.before, run.inputs))
        pilots = None
    spread = smoothness.state_spread(paths)
    coupling = couple(step, coupled[0], coupled[1], spread, copy_key)
    middles = stretch_means(run, pilots, layout)
    found = _Found(exponent, settled, coupling, spread, *middles)
    return _measured(found, paths, stretches, layout, key)


class _Found(NamedTuple):
    """What does not depend on the windows and places that are measured afterwards."""

    exponent: Estimate
    settled: Float[Array, ""]
    coupling: Coupling
    spread: Float[Array, ""]
    per_pilot: Float[Array, " pilots"]
    places: tuple[float, ...]


def _measured(
    found: _Found, paths: Paths, stretches: Float[Array, "P L"], layout: Layout, key: Key[Array, ""]
) -> Growth:
    """The record, with as many places and windows as the products left allow."""
    keys = jax.random.split(key, 3)
    depth = layout.run + layout.rows
    spent = DIRECTIONS * layout.run + layout.pilots * layout.rows
    left = max(PRODUCTS_PER_STEP * depth - spent, 0)
    per_place = paths.size if paths.size <= STORED_SIZE else 2 * min(LANCZOS_STEPS, paths.size)
    places = min(max(left // (4 * per_place), 1), paths.count * paths.length)
    per_curved = smoothness.products_needed(1) + smoothness.DIRECTIONS
    curved = min(max(left // (4 * per_curved), 1), smoothness.PLACES)
    longest, starts = _windows(paths, left // 2)
    constants = regularity(paths, found.exponent.value, keys[0], starts=starts, longest=longest, stretches=stretches)
    taken = (
        spent
        + per_place * len(paths.spread_places(places))
        + per_curved * len(paths.spread_places(curved))
        + products_of_regularity(paths, starts, longest)
    )
    return Growth(
        **found._asdict(),
        a=constants.a,
        b=constants.b,
        overshoot=constants.overshoot,
        rho=jacobian_norm(paths, keys[1], places=places),
        lipschitz=smoothness.lipschitz(paths, keys[2], places=curved),
        drift=smoothness.drift(paths, keys[2], places=curved),
        length=paths.total,
        steps=depth,
        products=taken,
        measured=layout.run,
        complete=layout.run == layout.length,
    )


def _windows(paths: Paths, most: int) -> tuple[int, int]:
    """The longest window and the number of first steps that a number of products is enough for."""
    longest = max(paths.length // 2, 1)
    while longest > 1 and products.products_needed(paths.size, FEWEST_STARTS, products.geometric(longest)) > most:
        longest //= 2
    one = products.products_needed(paths.size, 1, products.geometric(longest))
    return longest, max(min(most // one, STARTS), 1)
