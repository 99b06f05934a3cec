"""Blocks side by side under vmap, under derivatives, and over several devices."""

import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chunked_runs import BLOCKS, close, inputs, losses, mesh, rnn

import parascan as ps
from combinations import exhaustive, fewer, one_of_each, product, some
from parascan.chunked import batch_size


class TestBatches:
    """Under vmap there is one decision for the batch."""

    step = staticmethod(rnn("float32"))
    s0 = jnp.ones(3)

    def run(self, solver, *args, in_axes):
        return jax.jit(jax.vmap(lambda s, x: ps.scan(self.step, s, x, solver=solver), in_axes=in_axes))(*args)

    @pytest.mark.parametrize("in_axes", some([(None, 0), (0, None), (0, 0), (None, 1)], (None, 1)))
    def test_batch_of(self, in_axes, getkey):
        xs = jax.random.normal(getkey(), (2, 515, 3) if in_axes[1] != 1 else (515, 2, 3))
        args = (
            jnp.stack([self.s0, 2 * self.s0]) if in_axes[0] == 0 else self.s0,
            xs if in_axes[1] is not None else xs[0],
        )
        close(self.run(BLOCKS, *args, in_axes=in_axes), self.run(ps.Sequential(), *args, in_axes=in_axes), "float32")

    @pytest.mark.exhaustive
    @pytest.mark.parametrize("inner", some([(0, None), (None, 0)], (0, None)))
    def test_batch_of_batches(self, inner, getkey):
        xs, s0 = jax.random.normal(getkey(), (2, 512, 3)), jax.random.normal(getkey(), (3, 3))

        def run(solver):
            def one(s, x):
                return ps.scan(self.step, s, x, solver=solver)

            return jax.vmap(jax.vmap(one, in_axes=inner), in_axes=inner[::-1])(s0, xs)

        close(run(BLOCKS), run(ps.Sequential()), "float32")

    def test_batch_of_weights(self, getkey):
        weights, xs = jax.random.normal(getkey(), (3, 2, 2)) / 4, inputs("float32", 512, 2)

        def run(solver):
            def one(W):
                return ps.scan(lambda s, x: (jnp.tanh(W @ s + x),) * 2, jnp.zeros(2), xs, solver=solver)

            return jax.vmap(one)(weights)

        close(run(BLOCKS), run(ps.Sequential()), "float32")

    def test_one_chaotic_sequence_takes_all_step_by_step_and_spoils_none(self):
        def step(s, x):
            s = jnp.where(x > 0, 4 * s * (1 - s), 0.5 * s + 0.1)
            return s, s

        xs = jnp.stack([jnp.zeros(512), jnp.ones(512)])

        def run(scan):
            return jax.vmap(lambda x: scan(step, jnp.float32(0.3), x))(xs)[1]

        given, expected = run(functools.partial(ps.scan, solver=BLOCKS)), run(jax.lax.scan)
        np.testing.assert_allclose(given[0], expected[0], rtol=1e-6)
        np.testing.assert_array_equal(given[1][:10], expected[1][:10])

    def test_no_branch_is_turned_into_both(self):
        program = jax.jit(jax.vmap(lambda x: ps.scan(self.step, self.s0, x, solver=BLOCKS)))
        jaxpr = str(jax.make_jaxpr(program)(jnp.ones((2, 512, 3))))
        assert "cond[" in jaxpr

    def test_a_large_batch_is_run_as_lax_scan_runs_it(self):
        def run(scan):
            return str(jax.make_jaxpr(jax.vmap(lambda x: scan(self.step, self.s0, x)))(jnp.ones((256, 9000, 3))))

        assert "cond[" not in run(ps.scan)
        assert "cond[" in str(jax.make_jaxpr(lambda x: ps.scan(self.step, self.s0, x))(jnp.ones((2**18, 3))))


class TestDerivatives:
    """Those of the trajectory, by a recurrence that is itself run in blocks."""

    @pytest.mark.parametrize(
        ("last_only", "dtype"),
        fewer(one_of_each(product([False, True], ["float32", "float64"])), "False-float32"),
        indirect=["dtype"],
    )
    def test_reverse_mode(self, last_only, dtype):
        loss, args = losses(dtype, last_only=last_only)

        def run(scan):
            return jax.jit(jax.grad(functools.partial(loss, scan), argnums=(0, 1, 2)))(*args)

        close(run(functools.partial(ps.scan, solver=BLOCKS)), run(jax.lax.scan), dtype, units=2**10)

    @pytest.mark.parametrize("solver", [None, pytest.param(ps.Chunked(32), marks=pytest.mark.exhaustive)])
    def test_long_enough_for_an_adjoint_in_blocks(self, solver):
        loss, args = losses("float32", T=8192)

        def run(scan):
            return jax.jit(jax.grad(functools.partial(loss, scan), argnums=(0, 1, 2)))(*args)

        close(run(functools.partial(ps.scan, solver=solver)), run(jax.lax.scan), "float32", units=2**10)

    @pytest.mark.parametrize(("jacobian", "solver"), [(jax.jacfwd, None), *exhaustive([(jax.jacrev, BLOCKS)])])
    def test_jacobians(self, solver, jacobian):
        W = 0.3 * jnp.eye(2)

        def final(s0, scan):
            return scan(lambda s, x: (jnp.tanh(W @ s + x),) * 2, s0, jnp.ones((512, 2)))[1][:3]

        given = jacobian(functools.partial(final, scan=functools.partial(ps.scan, solver=solver)))(jnp.ones(2))
        close(given, jacobian(functools.partial(final, scan=jax.lax.scan))(jnp.ones(2)), "float32", 2**8)

    @pytest.mark.slow
    def test_forward_mode_and_second_order(self):
        loss, args = losses("float32", T=256)

        def along(scan, direction):
            def f(w):
                return jnp.sum(jax.grad(functools.partial(loss, scan))(w, *args[1:]) * direction)

            return jax.jvp(f, (args[0],), (direction,))

        direction = jnp.ones_like(args[0])
        close(
            along(functools.partial(ps.scan, solver=BLOCKS), direction),
            along(jax.lax.scan, direction),
            "float32",
            2**12,
        )

    def test_under_vmap(self, getkey):
        loss, (weights, s0, _) = losses("float32")
        xs = jax.random.normal(getkey(), (2, 512, 12))

        def run(scan):
            def mean(w):
                return jnp.mean(jax.vmap(lambda x: loss(scan, w, s0, x))(xs))

            return jax.jit(jax.grad(mean))(weights)

        close(run(functools.partial(ps.scan, solver=BLOCKS)), run(jax.lax.scan), "float32", 2**10)


class TestDevices:
    """Blocks over a mesh of simulated devices give the same numbers."""

    @pytest.mark.parametrize(
        ("count", "reverse"), fewer(one_of_each(product([1, 2, 4], [False, True])), "4-False", "1-False")
    )
    def test_predictable(self, count, reverse):
        step, s0, xs = rnn("float32"), jnp.ones(3), inputs("float32", 515)
        given = ps.scan(step, s0, xs, reverse=reverse, solver=ps.Chunked(4), mesh=mesh(count))
        close(given, jax.lax.scan(step, s0, xs, reverse=reverse), "float32")

    @pytest.mark.parametrize("reverse", some([False, True], True))
    def test_what_remembers_goes_from_device_to_device(self, reverse):
        def step(s, x):
            return 0.9999 * s + x, s

        xs = inputs("float32", 512, 1)[:, 0]
        given = ps.scan(step, jnp.float32(0.3), xs, reverse=reverse, solver=ps.Chunked(4), mesh=mesh(4))
        close(given, jax.lax.scan(step, jnp.float32(0.3), xs, reverse=reverse), "float32")

    @pytest.mark.slow
    def test_inside_jit_under_vmap_and_grad(self, getkey):
        loss, (weights, s0, xs) = losses("float32")
        scan = functools.partial(ps.scan, solver=ps.Chunked(4), mesh=mesh(2))

        def run(scan):
            return jax.jit(jax.grad(functools.partial(loss, scan)))(weights, s0, xs)

        close(run(scan), run(jax.lax.scan), "float32", 2**10)
        step, batch = rnn("float32"), jax.random.normal(getkey(), (2, 512, 3))

        def run(scan):
            return jax.jit(jax.vmap(lambda x: scan(step, jnp.ones(3), x)))(batch)

        close(run(scan), run(jax.lax.scan), "float32")

    def test_rollout(self):
        step, s0, xs = rnn("float32"), jnp.ones(3), inputs("float32", 512)
        solution = ps.rollout(step, s0, xs, solver=ps.Chunked(4), mesh=mesh(2))
        close(solution.ys, jax.lax.scan(step, s0, xs)[1], "float32")

    @pytest.mark.parametrize("length", [40, 2048])
    def test_a_mesh_with_explicit_axes(self, length):
        """As ``jax.make_mesh`` makes it; the short call is run by the plain loop."""
        explicit = jax.make_mesh((2,), ("time",), axis_types=(jax.sharding.AxisType.Explicit,))
        step, s0, xs = rnn("float32"), jnp.ones(3), inputs("float32", length)
        for given in (xs, jax.device_put(xs, jax.devices()[1])):
            close(ps.scan(step, s0, given, mesh=explicit), jax.lax.scan(step, s0, xs), "float32")

    @pytest.mark.slow
    def test_every_core_has_a_thread_of_its_own(self):
        """In a process of its own: devices and threads are fixed when JAX first computes."""
        program = (
            "import os, parascan as ps, jax; mesh = ps.every_core(2); print(mesh.size, len(jax.devices()), "
            "os.environ['XLA_FLAGS'].count('multi_thread_eigen=false'))"
        )
        environment = {**os.environ, "XLA_FLAGS": ""}
        environment.pop("JAX_NUM_CPU_DEVICES", None)
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert done.stdout.split() == ["2", "2", "1"], done.stderr

    def test_every_core(self):
        assert ps.every_core(4).shape == {"time": 4}
        with pytest.raises(RuntimeError, match="given 64"):
            ps.every_core(64)
        with pytest.raises(ValueError, match="count: given 0"):
            ps.every_core(0)
        with pytest.raises(TypeError, match=r"count: given 1\.5"):
            ps.every_core(1.5)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_the_batch_of_a_call_is_seen_also_under_a_gradient(depth):
    seen = []

    def call(x):
        seen.append(batch_size((x, 1)))
        return jnp.sum(x)

    xs = jnp.ones((2, 3, 4))
    for _ in range(depth):
        call = jax.vmap(call)
    jax.jit(jax.grad(lambda xs: jnp.sum(call(xs))))(xs)
    assert seen == [(1, 2, 6)[depth]]
