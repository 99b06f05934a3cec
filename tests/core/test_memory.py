"""The estimate of a solve's memory is near what the compiler allocates, and a limit is kept before any allocation."""

import jax
import jax.numpy as jnp
import pytest

import parascan as ps
from combinations import some
from parascan.problem.flat_recurrence import ScanProblem
from parascan.problem.signature import resolve

T, D = 2000, 16
W = 0.4 * jax.random.normal(jax.random.key(0), (D, D)) / 4
XS = jnp.ones((T, D))


def step(s, x):
    return jnp.tanh(W @ s + x)


SOLVERS = {
    "stored": ps.Newton(ps.Full("dense")),
    "products": ps.deer(),
    "diagonal": ps.quasi_deer(),
    "jacobi": ps.jacobi(),
    "blocks": ps.MultipleShooting(ps.Newton(ps.Full("dense")), 20),
    "elk": ps.elk(),
    "quasi_elk": ps.quasi_elk(),
    "line search": ps.LineSearch(ps.quasi_deer()),
    "hybrid": ps.Hybrid(ps.GradientDescent(), ps.quasi_deer()),
    "anderson": ps.Anderson(ps.quasi_deer(), 3),
    "uneven blocks": ps.MultipleShooting(ps.Newton(ps.Full("dense")), 30),
}


@pytest.mark.parametrize("name", some(SOLVERS, "stored", "uneven blocks", "elk"))
def test_the_estimate_is_near_what_the_compiler_allocates(name):
    solver = SOLVERS[name]
    program = jax.jit(lambda s, x: ps.rollout(step, s, x, solver=solver).states).lower(jnp.zeros(D), XS).compile()
    analysis = program.memory_analysis()
    allocated = analysis.temp_size_in_bytes + analysis.output_size_in_bytes
    problem = ScanProblem.of(resolve(step, jnp.zeros(D), XS, None, scan_form=False), reverse=False)
    assert 0.5 < solver.peak_bytes(problem.recurrence) / allocated < 2.5


def test_a_limit_names_a_block_length_that_fits():
    dense = ps.Newton(ps.Full("dense"))
    with pytest.raises(ValueError, match=r"given 2 MB, but Newton on 2000 .*MultipleShooting\(Newton.*length=\d+"):
        ps.rollout(step, jnp.zeros(D), XS, solver=dense, memory_limit=2_000_000)
    try:
        ps.rollout(step, jnp.zeros(D), XS, solver=dense, memory_limit=2_000_000)
    except ValueError as error:
        length = int(str(error).rpartition("length=")[2].partition(")")[0])
    solution = ps.rollout(step, jnp.zeros(D), XS, solver=ps.MultipleShooting(dense, length), memory_limit=2_000_000)
    assert bool(solution.result == ps.Result.successful)
    with pytest.raises(ValueError, match="memory_limit"):
        ps.rollout(step, jnp.zeros(D), XS, solver=ps.MultipleShooting(dense, length // 4), memory_limit=2_000_000)


def test_the_refusal_comes_before_any_allocation():
    huge = jax.ShapeDtypeStruct((10**9, D), jnp.float32)

    def run(xs):
        return ps.rollout(step, jnp.zeros(D), xs, solver=ps.Newton(ps.Full("dense")), memory_limit=10**9).states

    with pytest.raises(ValueError, match="the states alone do not fit"):
        jax.eval_shape(run, huge)


@pytest.mark.parametrize(("limit", "kind"), [(0, ValueError), (1.5, TypeError), (True, TypeError)])
def test_wrong_limits(limit, kind):
    with pytest.raises(kind, match="memory_limit: given"):
        ps.rollout(step, jnp.zeros(D), XS, memory_limit=limit)


def test_chunks_hold_their_outputs_twice():
    chunks, loop = (
        ps.explain(step, jnp.zeros(D), XS, solver=solver).memory for solver in (ps.Chunked(chunks=4), ps.Sequential())
    )
    assert loop > XS.nbytes
    assert chunks - loop == XS.nbytes


def test_inputs_that_products_read_are_not_counted_again():
    def held(width):
        wide = lambda s, x: jnp.tanh(W @ s + x[:D])  # noqa: E731
        signature = resolve(wide, jnp.zeros(D), jnp.ones((T, width)), None, scan_form=False)
        problem = ScanProblem.of(signature, reverse=False).recurrence
        return ps.Newton(ps.Full("matrix_free")).peak_bytes(problem)

    assert held(50 * D) == held(D + 1)
