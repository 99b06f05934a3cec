"""Operations that hold programs in ways that depend on the version of JAX, and operations that hold none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import hijax
from jax.scipy import special

import parascan as ps
from combinations import fewer
from parascan.programs.inside import expanded, scan_parts
from parascan.programs.structure import classify, dependency_pattern
from parascan.programs.work import operations

STATE = jax.ShapeDtypeStruct((4,), jnp.float32)
TABLE = jnp.arange(4.0)
HIGHER = getattr(hijax, "HiPrim", None) or hijax.VJPHiPrimitive


class Doubled(HIGHER):
    """An operation of a higher kind: what it computes is told by ``expand`` alone."""

    def __init__(self, aval, *, tells=True):
        self.in_avals, self.out_aval, self.params = (aval,), aval, {"tells": tells}
        super().__init__()

    def expand(self, x):
        if not self.tells:
            raise NotImplementedError
        return 2 * x

    def batch(self, axis, args, dims):
        (x,), (dim,) = args, dims
        return type(self)(jax.typeof(x), tells=self.tells)(x), dim

    def jvp(self, primals, tangents):
        return self(*primals), 2 * tangents[0]


def doubled(x, **how):
    return Doubled(jax.typeof(x), **how)(x)


def scanned(length, consts, carry, xs):
    """The equation of a scan with so many operands of each sort, a vector and a number among them."""

    def run(weights, start, rows):
        def body(carry, x):
            total = sum(map(jnp.sum, (*weights, *x)), 0.0)
            return tuple(each + total for each in carry), (total, *x)

        return jax.lax.scan(body, start, rows, length=length)

    start = tuple(jnp.ones((2,) * (index % 3)) for index in range(carry))
    rows = tuple(jnp.ones((length, *(3,) * (index % 2))) for index in range(xs))
    program = jax.make_jaxpr(run)([jnp.ones(3)] * consts, start, rows)
    return next(eqn for eqn in program.jaxpr.eqns if eqn.primitive.name == "scan")


@pytest.mark.parametrize(("consts", "carry", "xs"), [(0, 1, 0), (1, 1, 1), (2, 3, 2), (3, 0, 1), (0, 2, 3)])
@pytest.mark.parametrize("length", [1, 2, 7])
def test_parts_of_a_scan_are_told_by_their_shapes(length, consts, carry, xs):
    assert scan_parts(scanned(length, consts, carry, xs)) == (consts, carry)


ELEMENTWISE = {
    "interp": lambda s: jnp.interp(s, TABLE, TABLE**2),
    "digitize": lambda s: s + jnp.digitize(s, TABLE),
    "searchsorted": lambda s: s * jnp.searchsorted(TABLE, s, side="right"),
    "log2": lambda s: jnp.log2(1 + s**2),
    "sinc": jnp.sinc,
    "polyval": lambda s: jnp.polyval(jnp.array([0.1, -0.3, 1.0]), s),
    "ndtri": lambda s: special.ndtri(jax.nn.sigmoid(s)),
    "copysign": lambda s: jnp.copysign(s, -s),
    "bits": lambda s: jax.lax.bitcast_convert_type(jax.lax.bitcast_convert_type(s, jnp.int32), jnp.float32),
    "higher": doubled,
    "higher in a loop": lambda s: jax.lax.fori_loop(0, 3, lambda _, s: doubled(0.4 * s), s),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_functions_are_diagonal_on_every_version(name):
    assert classify(dependency_pattern(ELEMENTWISE[name], STATE)).kind == "diagonal"


@pytest.mark.parametrize("name", fewer(["interp", "digitize", "higher", "higher in a loop"], "digitize", "higher"))
def test_steps_with_such_operations_give_what_the_loop_gives(name):
    def step(s, x):
        s = 0.5 * jnp.tanh(ELEMENTWISE[name](s)) + x
        return s, s

    xs = jnp.asarray(np.random.default_rng(0).normal(size=(8192, 4)), jnp.float32)
    expected = jax.lax.scan(step, jnp.zeros(4), xs)
    for solver in (None, ps.Chunked(chunks=16)):
        np.testing.assert_allclose(ps.scan(step, jnp.zeros(4), xs, solver=solver)[1], expected[1], atol=1e-6)


def test_an_operation_that_does_not_tell_is_opaque():
    program = jax.make_jaxpr(lambda s: doubled(s, tells=False))(jnp.ones(4))
    assert expanded(program.jaxpr.eqns[0]) is None
    assert classify(dependency_pattern(lambda s: doubled(s, tells=False), STATE)).kind == "dense"


def test_what_an_operation_stands_for_is_counted():
    def of(function):
        return operations(jax.make_jaxpr(function)(jnp.ones(400)))

    assert of(doubled) == of(lambda s: 2 * s) == 400


def test_constants_of_inner_programs_count_with_their_zeros():
    weights = jnp.diag(jnp.arange(1.0, 5.0))
    inner = jax.jit(lambda s: weights @ s)
    assert classify(dependency_pattern(lambda s: jnp.tanh(inner(s)), STATE)).kind == "diagonal"
