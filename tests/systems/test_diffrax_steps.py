"""Steps of Diffrax's solvers: the states of ``diffeqsolve`` for every kind of method, derivatives, refusals."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps

DT, LENGTH = 1 / 32, 32

pytestmark = [pytest.mark.usefixtures("x64"), pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def diffrax():
    return pytest.importorskip("diffrax")


def start():
    return jnp.asarray([0.5, 0.0])


def van_der_pol(t, y, args):
    """Driven, so that the time matters; ``args`` is the strength of the drive."""
    return jnp.stack([y[1], (1 - y[0] ** 2) * y[1] - y[0] + args * jnp.cos(t)])


def reference(diffrax, terms, solver, initial, args=0.7):
    """States after every step, as Diffrax finds them; times are exact, since ``DT`` is a power of two."""
    saved = diffrax.SaveAt(steps=True)
    options = {"saveat": saved, "max_steps": LENGTH, "adjoint": diffrax.ForwardMode()}
    solve = lambda: diffrax.diffeqsolve(terms, solver, 0.0, LENGTH * DT, DT, initial, args, **options).ys  # noqa: E731
    return jax.jit(solve)()


def states(step, initial, **options):
    found = ps.rollout(step, step.init(initial), step.inputs(LENGTH), **options).states
    return getattr(found, "state", found)


def assert_same(found, expected, tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=tolerance), found, expected)


def slow(*names):
    return [pytest.param(each, marks=pytest.mark.slow) for each in names]


@pytest.mark.parametrize(
    "name",
    [
        *("Euler", "Tsit5", "ReversibleHeun"),
        *slow("Heun", "Midpoint", "Ralston", "Bosh3", "Dopri5", "Dopri8", "LeapfrogMidpoint"),
    ],
)
def test_states_are_those_of_diffeqsolve_and_newton_finds_them(diffrax, name):
    terms, solver = diffrax.ODETerm(van_der_pol), getattr(diffrax, name)()
    step = ps.systems.from_diffrax(terms, solver, DT, args=0.7)
    expected = reference(diffrax, terms, solver, start())
    assert_same(states(step, start(), solver=ps.Sequential()), expected, 1e-13)
    assert_same(states(step, start(), solver=ps.deer()), expected, 1e-12)


def test_a_tree_of_terms_and_of_states(diffrax):
    terms = (diffrax.ODETerm(lambda t, y, args: -jnp.sin(y)), diffrax.ODETerm(lambda t, y, args: y))
    step = ps.systems.from_diffrax(terms, diffrax.SemiImplicitEuler(), DT)
    initial = (start(), start() + 1)
    assert_same(
        states(step, initial, solver=ps.deer()),
        reference(diffrax, terms, diffrax.SemiImplicitEuler(), initial),
        1e-12,
    )


def noisy(diffrax, area, path, diffusion):
    key, shape, levy = jax.random.key(3), (2,), getattr(diffrax, area)
    if path == "UnsafeBrownianPath":
        motion = diffrax.UnsafeBrownianPath(shape, key, levy)
    else:
        motion = diffrax.VirtualBrownianTree(0.0, LENGTH * DT, 1e-3, shape, key, levy)
    return diffrax.MultiTerm(diffrax.ODETerm(van_der_pol), diffrax.ControlTerm(diffusion, motion))


def constant(t, y, args):
    return 0.1 * jnp.eye(2)


def multiplied(t, y, args):
    return 0.1 * jnp.diag(1 + y**2)


NOISE = [
    ("Heun", "BrownianIncrement", "UnsafeBrownianPath", multiplied),
    ("SEA", "SpaceTimeLevyArea", "VirtualBrownianTree", constant),
]
SLOW_NOISE = [
    ("EulerHeun", "BrownianIncrement", "VirtualBrownianTree", multiplied),
    ("ReversibleHeun", "BrownianIncrement", "UnsafeBrownianPath", multiplied),
    ("ShARK", "SpaceTimeLevyArea", "UnsafeBrownianPath", constant),
    ("SlowRK", "SpaceTimeLevyArea", "UnsafeBrownianPath", constant),
    ("SPaRK", "SpaceTimeLevyArea", "UnsafeBrownianPath", multiplied),
]


@pytest.mark.parametrize(
    ("name", "area", "path", "diffusion"),
    NOISE + [pytest.param(*each, marks=pytest.mark.slow) for each in SLOW_NOISE],
)
def test_noise_is_that_of_the_path(diffrax, name, area, path, diffusion):
    terms, solver = noisy(diffrax, area, path, diffusion), getattr(diffrax, name)()
    step = ps.systems.from_diffrax(terms, solver, DT, args=0.7)
    expected = reference(diffrax, terms, solver, start())
    assert_same(states(step, start(), solver=ps.Sequential()), expected, 1e-13)
    assert_same(states(step, start(), solver=ps.deer()), expected, 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ALIGN", "QUICSORT"])
def test_langevin_equations(diffrax, name):
    levy = {"ALIGN": "SpaceTimeLevyArea", "QUICSORT": "SpaceTimeTimeLevyArea"}[name]
    path = diffrax.UnsafeBrownianPath((2,), jax.random.key(1), getattr(diffrax, levy))
    drift = diffrax.UnderdampedLangevinDriftTerm(1.0, 1.0, lambda x, _: x**3)
    terms = diffrax.MultiTerm(drift, diffrax.UnderdampedLangevinDiffusionTerm(1.0, 1.0, path))
    solver, initial = getattr(diffrax, name)(), (start(), start())
    step = ps.systems.from_diffrax(terms, solver, DT)
    expected = reference(diffrax, terms, solver, initial, None)
    assert_same(states(step, initial, solver=ps.Sequential()), expected, 1e-13)


def test_increments_may_be_given(diffrax):
    """With increments of zero, an equation with noise is the one without."""
    terms = noisy(diffrax, "BrownianIncrement", "UnsafeBrownianPath", constant)
    step = ps.systems.from_diffrax(terms, diffrax.Heun(), DT, args=0.7)
    inputs = step.inputs(LENGTH)
    assert jax.tree.leaves(inputs.noise)[1].shape == (LENGTH, 2)
    still = inputs._replace(noise=(jnp.zeros((LENGTH, 2)),))
    found = ps.rollout(step, step.init(start()), still, solver=ps.Sequential()).states
    assert_same(found, reference(diffrax, diffrax.ODETerm(van_der_pol), diffrax.Heun(), start()), 1e-13)
    with pytest.raises(ValueError, match="noise: given 0 increments, expected 1"):
        step(start(), jax.tree.map(lambda leaf: leaf[0], inputs._replace(noise=())))


def test_a_step_that_needs_noise_over_another_interval_is_refused(diffrax):
    terms = noisy(diffrax, "BrownianIncrement", "UnsafeBrownianPath", constant)
    step = ps.systems.from_diffrax(terms, diffrax.LeapfrogMidpoint(), DT, args=0.7)
    with pytest.raises(NotImplementedError, match="noise over a part of a step"):
        states(step, start(), solver=ps.Sequential())


def implicit(diffrax, tolerance, name="ImplicitEuler"):
    optimistix = importlib.import_module("optimistix")
    finder = diffrax.VeryChord(rtol=tolerance, atol=tolerance, norm=optimistix.max_norm)
    return getattr(diffrax, name)(root_finder=finder)


def test_implicit_steps_and_those_that_fail(diffrax):
    terms = diffrax.ODETerm(van_der_pol)
    step = ps.systems.from_diffrax(terms, implicit(diffrax, 1e-8), DT, args=0.7)
    expected = reference(diffrax, terms, implicit(diffrax, 1e-8), start())
    assert_same(states(step, start(), solver=ps.Sequential()), expected, 1e-13)
    assert_same(states(step, start(), solver=ps.deer()), expected, 1e-9)
    # y = 1 + 4 y^2 has no solution.
    failing = ps.systems.from_diffrax(diffrax.ODETerm(lambda t, y, args: y**2), implicit(diffrax, 1e-8), 4.0)
    found = ps.rollout(failing, failing.init(jnp.ones(1)), failing.inputs(5), solver=ps.Sequential(), throw=False)
    assert found.result == ps.Result.nonfinite
    assert int(found.stats.finite_prefix) == 0


def bent(t, y, args):
    """The explicit part of ``van_der_pol``."""
    return jnp.stack([jnp.zeros(()), (1 - y[0] ** 2) * y[1]])


def turning(t, y, args):
    """The implicit part of ``van_der_pol``."""
    return jnp.stack([y[1], -y[0] + args * jnp.cos(t)])


@pytest.mark.parametrize("name", ["Kvaerno3", "KenCarp4", *slow("Kvaerno5", "KenCarp3", "KenCarp5", "Sil3")])
def test_implicit_methods_of_several_stages_and_their_gradients(diffrax, name):
    """``Kvaerno`` keeps the last stage, which is solved again here: as exactly as the root finder goes."""
    whole = name.startswith("Kvaerno")
    parts = diffrax.ODETerm(bent), diffrax.ODETerm(turning)
    terms = diffrax.ODETerm(van_der_pol) if whole else diffrax.MultiTerm(*parts)
    solver = implicit(diffrax, {"Kvaerno5": 1e-6}.get(name, 1e-10), name)
    tolerance = {"Kvaerno5": 1e-6}.get(name, 1e-12)

    def solved(args):
        found = diffrax.diffeqsolve(
            terms, solver, 0.0, LENGTH * DT, DT, start(), args, saveat=diffrax.SaveAt(steps=True), max_steps=LENGTH
        )
        return jnp.sum(found.ys**2), found.ys

    def stepped(args, method):
        step = ps.systems.from_diffrax(terms, solver, DT, args=args)
        found = ps.rollout(step, step.init(start()), step.inputs(LENGTH), solver=method).states
        return jnp.sum(found**2), found

    slope, expected = jax.jit(jax.grad(solved, has_aux=True))(0.7)
    for method in (ps.Sequential(), ps.deer()):
        found_slope, found = jax.grad(stepped, has_aux=True)(0.7, method)
        assert_same(found, expected, tolerance)
        np.testing.assert_allclose(found_slope, slope, rtol=tolerance)


@pytest.mark.parametrize("solver", ["sequential", "deer"])
def test_gradients_are_differences(diffrax, solver):
    def loss(args, initial, solver):
        step = ps.systems.from_diffrax(diffrax.ODETerm(van_der_pol), diffrax.Tsit5(), DT, args=args)
        return jnp.sum(ps.rollout(step, initial, step.inputs(LENGTH), solver=solver).states ** 2)

    method = {"sequential": ps.Sequential(), "deer": ps.deer()}[solver]
    plain = jax.jit(lambda args: loss(args, start(), ps.Sequential()))
    expected = (plain(0.7 + 1e-5) - plain(0.7 - 1e-5)) / 2e-5
    np.testing.assert_allclose(jax.grad(loss)(0.7, start(), method), expected, rtol=1e-7)


def test_explicit_steps_are_total_and_show_their_structure(diffrax):
    """Written out from the tableau there is no loop, so that chunks may run a step from any state."""
    step = ps.systems.from_diffrax(diffrax.ODETerm(lambda t, y, args: -y), diffrax.Tsit5(), DT)
    inputs = step.inputs(100_000)
    way = ps.explain(lambda y, x: (step(y, x), None), step.init(jnp.ones(64)), inputs)
    assert way.way == "chunks"
    own = ps.systems.from_diffrax(diffrax.ODETerm(lambda t, y, args: -y), implicit(diffrax, 1e-8), DT)
    assert "loop" in ps.explain(lambda y, x: (own(y, x), None), own.init(jnp.ones(64)), inputs).reason


def test_dtypes_are_kept(diffrax):
    step = ps.systems.from_diffrax(diffrax.ODETerm(lambda t, y, args: -y * t), diffrax.Tsit5(), DT)
    inputs = step.inputs(LENGTH)
    assert inputs.start.dtype == jnp.float64
    assert step.inputs(LENGTH, jnp.float32).stop.dtype == jnp.float32
    narrow = step.init(jnp.ones(2, jnp.float32))
    assert ps.rollout(step, narrow, inputs, solver=ps.Sequential()).states.dtype == jnp.float32
    assert jnp.issubdtype(step.init(jnp.ones(2, int)).dtype, jnp.floating)


def test_refusals(diffrax):
    term, solver = diffrax.ODETerm(van_der_pol), diffrax.Tsit5()
    with pytest.raises(TypeError, match="terms: given function, expected a term"):
        ps.systems.from_diffrax(van_der_pol, solver, DT)
    with pytest.raises(TypeError, match="solver: given int, expected one of Diffrax"):
        ps.systems.from_diffrax(term, 3, DT)
    with pytest.raises(TypeError, match="solver: given HalfSolver, which estimates errors"):
        ps.systems.from_diffrax(term, diffrax.HalfSolver(solver), DT)
    with pytest.raises(ValueError, match="dt: given -1, expected a positive finite number"):
        ps.systems.from_diffrax(term, solver, -1)
    with pytest.raises(ValueError, match="length: given -1, expected 0 or more"):
        ps.systems.from_diffrax(term, solver, DT).inputs(-1)


def test_what_diffrax_refuses_is_refused_in_its_words(diffrax):
    with pytest.raises(ValueError, match="tolerances for the implicit solver"):
        ps.systems.from_diffrax(diffrax.ODETerm(van_der_pol), diffrax.Kvaerno3(), DT, args=0.7).init(start())


def test_without_diffrax_the_error_says_how_to_install_it(monkeypatch):
    from parascan.systems import diffrax_steps

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(diffrax_steps.importlib, "import_module", missing)
    with pytest.raises(ImportError, match=r"pip install '\.\[diffrax\]' in a clone of parascan"):
        ps.systems.from_diffrax(None, None, DT)
