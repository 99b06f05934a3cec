"""Covariant Lyapunov vectors: what the step maps onto one another, in closed forms and along chaotic orbits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import some
from parascan.diagnostics import covariant_vectors


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def basis(size, seed):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(size, size)))


def apart(vectors, expected):
    """Largest distance between lines, each given by a unit vector."""
    signs = jnp.sign(jnp.sum(vectors * expected, axis=-1, keepdims=True))
    return float(jnp.max(jnp.linalg.norm(signs * vectors - expected, axis=-1)))


def runge_kutta(field, dt):
    def step(s, x):
        a = field(s)
        b = field(s + dt / 2 * a)
        c = field(s + dt / 2 * b)
        return s + dt / 6 * (a + 2 * b + 2 * c + field(s + dt * c))

    return step


def lorenz(s):
    return jnp.stack([10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]])


@pytest.mark.exhaustive
def test_of_a_constant_matrix_they_are_its_eigenvectors():
    rates, vectors = jnp.array([-1.7, 1.1, 0.6, -0.2]), basis(4, 0)
    matrix = vectors * rates @ jnp.linalg.inv(vectors)
    found = covariant_vectors(lambda s, x: matrix @ s, jnp.zeros(4), length=300, key=jax.random.key(0))
    unit = (vectors / jnp.linalg.norm(vectors, axis=0)).T
    assert apart(found.vectors, unit[None]) < 1e-12
    np.testing.assert_allclose(found.growth, jnp.broadcast_to(jnp.log(abs(rates)), found.growth.shape), atol=1e-12)
    assert found.steps.tolist() == list(range(75, 226))


def test_of_a_basis_that_changes_at_every_step_they_are_the_basis():
    """``J_t = P_t diag(rates) P_{t-1}^-1`` maps column j of one basis onto ``rates[j]`` times that of the next."""
    rates, count = jnp.array([1.5, 0.9, 0.3]), 240
    bases = jnp.asarray(np.random.default_rng(1).normal(size=(count + 1, 3, 3)) + 2 * np.eye(3))
    bases = bases / jnp.linalg.norm(bases, axis=1, keepdims=True)
    jacobians = bases[1:] * rates @ jnp.linalg.inv(bases[:-1])
    found = covariant_vectors(lambda s, a: a @ s, jnp.zeros(3), jacobians, key=jax.random.key(2))
    assert apart(found.vectors, bases[found.steps].swapaxes(1, 2)) < 1e-8
    np.testing.assert_allclose(found.exponents, jnp.log(rates), atol=1e-8)


@pytest.mark.parametrize("name", some(["henon", "lorenz"], "henon"))
def test_the_step_maps_them_onto_one_another(name):
    system, length = ps.systems.get(name), 4000
    found = covariant_vectors(system.step, system.initial_state, length=length, key=jax.random.key(0))
    states = found.states
    np.testing.assert_allclose(jax.vmap(lambda s: system.step(s, None))(states[:-1]), states[1:], rtol=1e-12)
    push = jax.vmap(lambda s, v: jax.jvp(lambda s: system.step(s, None), (s,), (v,))[1])
    for column in range(system.size):
        pushed = push(states[:-1], found.vectors[:-1, column])
        expected = jnp.exp(found.growth[:, column, None]) * found.vectors[1:, column]
        np.testing.assert_allclose(pushed, expected, atol=1e-12 * float(jnp.max(jnp.abs(pushed))))


@pytest.mark.slow
def test_exponents_are_those_of_the_spectrum_and_henon_has_near_tangencies():
    henon, length = ps.systems.get("henon"), 20_000
    found = covariant_vectors(henon.step, henon.initial_state, length=length, key=jax.random.key(0))
    known = ps.lyapunov_exponents(henon.step, henon.initial_state, length=length, key=jax.random.key(1), k=2)
    np.testing.assert_allclose(found.exponents, known.per_step, atol=0.02)
    np.testing.assert_allclose(jnp.sum(found.exponents), np.log(0.3), atol=1e-3)
    angle = found.splitting(1)
    np.testing.assert_allclose(angle, found.angles()[:, 0, 1], atol=1e-12)
    # The map of these parameters is not hyperbolic: angles come as close to zero as the orbit is long.
    assert float(angle.min()) < 1e-3
    assert float(jnp.median(angle)) > 0.5


@pytest.mark.slow
def test_the_second_vector_of_a_flow_is_its_direction_and_lorenz_has_no_tangency():
    step, length = runge_kutta(lorenz, 0.01), 24_000
    init = jax.lax.fori_loop(0, 2000, lambda _, s: step(s, None), jnp.ones(3))
    found = covariant_vectors(step, init, length=length, key=jax.random.key(0), dt=0.01)
    along = jax.vmap(lorenz)(found.states)
    assert apart(found.vectors[:, 1], along / jnp.linalg.norm(along, axis=1, keepdims=True)) < 1e-3
    distance = np.abs(found.exponents / found.dt - np.array([0.906, 0, -14.57]))
    assert (distance < [0.06, 0.01, 0.06]).all()
    # Contracting directions stay away from the others; the two of small growth meet where the flow nearly stops.
    assert float(found.splitting(2).min()) > 0.05


def test_small_angles_and_angles_between_spaces_are_exact():
    angle = 1e-9
    vectors = jnp.array([[[1.0, 0, 0, 0], [0, 1.0, 0, 0], [jnp.cos(angle), 0, jnp.sin(angle), 0]]])
    found = covariant_vectors(lambda s, x: 0.5 * s, jnp.zeros(4), length=8, key=jax.random.key(0), k=3)
    made = type(found)(jnp.array([0]), jnp.zeros((1, 4)), vectors, jnp.zeros((0, 3)), 1.0)
    np.testing.assert_allclose(made.angles()[0, 0], [0, jnp.pi / 2, angle], rtol=1e-7, atol=1e-14)
    for count in (1, 2):
        np.testing.assert_allclose(made.splitting(count), angle, rtol=1e-6)


def test_fewer_vectors_are_the_first_ones_and_keep_their_dtype():
    matrix = jnp.asarray(jnp.diag(jnp.array([1.5, 0.8, 0.2])) + 0.3, jnp.float32)
    few = covariant_vectors(lambda s, x: matrix @ s, jnp.zeros(3, jnp.float32), length=200, key=jax.random.key(0), k=2)
    assert few.vectors.dtype == few.growth.dtype == jnp.float32
    assert few.vectors.shape == (101, 2, 3)
    rates = jnp.sort(jnp.abs(jnp.linalg.eigvals(matrix.astype(float))))[::-1]
    np.testing.assert_allclose(few.exponents, jnp.log(rates[:2]), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"k": 3}, "k: given 3, expected at most D = 2"),
        ({"k": True}, "k: given True, expected an integer"),
        ({"warm_up": 6, "cool_down": 4}, "expected fewer than T = 10 together"),
        ({"cool_down": -1}, "cool_down: given -1"),
        ({"dt": 0.0}, "dt: given 0.0"),
    ],
)
def test_bad_input_is_refused(options, text):
    with pytest.raises((TypeError, ValueError), match=text):
        covariant_vectors(lambda s, x: s, jnp.zeros(2), length=10, key=jax.random.key(0), **options)


def test_an_empty_space_is_refused():
    found = covariant_vectors(lambda s, x: 0.5 * s, jnp.zeros(2), length=8, key=jax.random.key(0))
    with pytest.raises(ValueError, match="count: given 2, expected 1 to 1"):
        found.splitting(2)
