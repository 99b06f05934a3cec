"""What is estimated is what one device holds: a call may fit on four devices and not on one."""

import jax.numpy as jnp
import pytest
from over_devices import equal, mesh_of, network, series

import parascan as ps
from combinations import exhaustive

T, D = 4096, 12
WEIGHTS, STEP_OF = network()
XS = series(T, D)


@pytest.mark.parametrize(
    "solver", [None, ps.Sequential(), *exhaustive([(ps.deer(),), (ps.MultipleShooting(ps.deer(), 8),)])]
)
def test_a_call_that_fits_on_four_devices_and_not_on_one(solver):
    step, mesh = STEP_OF(WEIGHTS), mesh_of("automatic", time=4)
    alone = ps.explain(step, jnp.zeros(D), XS, solver=solver).memory
    together = ps.explain(step, jnp.zeros(D), XS, solver=solver, mesh=mesh).memory
    assert alone / 4 <= together < alone / 3
    with pytest.raises(ValueError, match=r"memory_limit: given .* holds about"):
        ps.scan(step, jnp.zeros(D), XS, solver=solver, memory_limit=together)
    given = ps.scan(step, jnp.zeros(D), XS, solver=solver, mesh=mesh, memory_limit=together)
    equal(given, ps.scan(step, jnp.zeros(D), XS, solver=ps.Sequential()))


@pytest.mark.parametrize("solver", [ps.elk(), ps.quasi_elk()])
def test_a_smoother_is_shared_out(solver):
    """Said without a run, which compiles for long."""
    step, mesh = STEP_OF(WEIGHTS), mesh_of("automatic", time=4)
    alone, together = (ps.explain(step, jnp.zeros(D), XS, solver=solver, mesh=each).memory for each in (None, mesh))
    assert alone / 4 <= together < alone / 3
