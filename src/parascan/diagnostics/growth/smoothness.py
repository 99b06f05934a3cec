"""How fast the Jacobian changes with the state."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ..estimate import Estimate
from .paths import Paths
from .side_by_side import SideBySideStep, transposed
from .statistics import extrapolated_maximum

LEVEL = 0.95
"""Level of the interval."""

PLACES = 128
"""Most steps near which the change of the Jacobian is measured."""

DIRECTIONS = 4
"""Number of random directions from which a norm is estimated."""

ALTERNATIONS = 4
"""Number of times that each of the two directions is improved."""

RADIUS = 0.1
"""Default distance from the trajectory, in units of the states' own spread."""


@eqx.filter_jit
def lipschitz(paths: Paths, key: Key[Array, ""], *, places: int = PLACES, radius: float | None = None) -> Estimate:
    """Lipschitz constant of ``s -> J_t(s)`` near the trajectory, by sampling, in 1/unit of the state.

    At points within a radius of the trajectory the second derivative ``f''(s)[u, v]`` is made large by improving u and
    v in turn; then the Jacobians at both ends of a chord along u are compared, which finds kinks that have no second
    derivative. What is found is a lower bound on the supremum. Work ``8 ALTERNATIONS`` products for each place.

    Args:
        paths: where to look.
        key: of the points and directions.
        places: most steps near which to look, evenly spread.
        radius: distance from the trajectory up to which to look, in units of the state; a tenth of the states' spread
            when None.

    Source: theorem 3 of the paper, where the constant is that of the whole residual Jacobian.
    """
    states, x = paths.at(paths.spread_places(places))
    reach = RADIUS * state_spread(paths) if radius is None else jnp.asarray(radius, states.dtype)
    step = SideBySideStep(paths.advance)
    offset_key, u_key, v_key = jax.random.split(key, 3)
    u, v, offsets = (_unit(jax.random.normal(each, states.shape, states.dtype)) for each in (u_key, v_key, offset_key))
    distance = reach * jnp.linspace(0, 1, states.shape[1], dtype=states.dtype)
    points = states + distance * offsets

    def product(v: Array, at: Array) -> Array:
        return step.push(at, x, v)

    def second(u: Array, v: Array) -> Array:
        return jax.jvp(lambda at: product(v, at), (points,), (u,))[1]

    def improve(_: int, pair: tuple[Array, Array]) -> tuple[Array, Array]:
        # Symmetric in u and v: each in turn by a power iteration at the other.
        u, v = pair
        better = _unit(transposed(lambda v: second(u, v), v)(_unit(second(u, v))))
        return jnp.where(_norm(better) > 0, better, v), u

    u, v = jax.lax.fori_loop(0, 2 * ALTERNATIONS, improve, (u, v))
    local = _norm(second(u, v))
    chord = jnp.where(reach > 0, reach, 1)

    def difference(v: Array) -> Array:
        return (product(v, points + chord * u) - product(v, points)) / chord

    def turn(_: int, v: Array) -> Array:
        better = _unit(transposed(difference, v)(_unit(difference(v))))
        return jnp.where(_norm(better) > 0, better, v)

    v = jax.lax.fori_loop(0, 2, turn, v)
    found = jnp.maximum(local, jnp.where(reach > 0, _norm(difference(v)), 0))
    value = jnp.max(found)
    unknown = jnp.isnan(value)
    return Estimate(
        value,
        jnp.where(unknown, 0, value),
        jnp.where(unknown, jnp.inf, extrapolated_maximum(found, max(paths.total, len(found) + 1), LEVEL)),
        f"alternating power iteration on the second derivative, and chords, at {len(found)} points",
        "1/state",
        LEVEL,
        ("what is found at the points is like elsewhere within the radius", "an exponential tail"),
    )


def products_needed(places: int) -> int:
    """Jacobian-vector products that ``lipschitz`` takes, one that is differentiated counting as two."""
    return places * (8 * ALTERNATIONS + 10)


def drift(paths: Paths, key: Key[Array, ""], *, places: int = PLACES) -> Float[Array, ""]:
    """Root mean square Frobenius norm of ``J - I``, by which a step differs from the identity.

    Args:
        paths: where the Jacobians are taken.
        key: of the directions.
        places: most steps to look at, evenly spread.
    """
    states, x = paths.at(paths.spread_places(places))
    vectors = jax.random.normal(key, (DIRECTIONS, *states.shape), states.dtype)
    moved = SideBySideStep(paths.advance).push(states, x, vectors) - vectors
    return jnp.sqrt(jnp.mean(jnp.sum(moved**2, axis=1)))


def state_spread(paths: Paths) -> Float[Array, ""]:
    """Root mean square distance of the states from their mean."""
    states = paths.before.reshape(-1, paths.size)
    return jnp.sqrt(jnp.mean(jnp.sum((states - jnp.mean(states, axis=0)) ** 2, axis=1)))


def _norm(vectors: Float[Array, "D n"]) -> Float[Array, " n"]:
    """Euclidean norms."""
    return jnp.sqrt(jnp.sum(vectors**2, axis=0))


def _unit(vectors: Float[Array, "D n"]) -> Float[Array, "D n"]:
    """The vectors at unit length; zero stays zero."""
    norm = _norm(vectors)
    return jnp.where(norm > 0, vectors / jnp.where(norm > 0, norm, 1), 0)
