"""Choices follow the arrays, the mesh or the default device; programs can be lowered for what is not there."""

import contextlib
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.sharding import Mesh

import parascan as ps
from combinations import some
from parascan.api.success import successful_or_raise
from parascan.linear import DenseTransition, choose_backend
from parascan.programs import platform as _platform
from parascan.programs.platform import compiling_for, platform_of, running_on

WEIGHTS = 0.4 * np.random.default_rng(1).normal(size=(3, 3)).astype(np.float32)
SOLVERS = {
    "default": None,
    "blocks": ps.Chunked(16),
    "sequential": ps.Sequential(),
    "deer": ps.deer(),
    "quasi_deer": ps.quasi_deer(),
    "picard": ps.picard(),
    "jacobi": ps.jacobi(),
    "elk": ps.elk(),
    "quasi_elk": ps.quasi_elk(),
    "scale_elk": ps.scale_elk(0.1),
    "multiple shooting": ps.MultipleShooting(ps.deer(), 8),
    "guarded": ps.WithFallback(ps.deer()),
    "line search": ps.LineSearch(ps.deer()),
    "hybrid": ps.Hybrid(ps.quasi_deer(), ps.deer()),
}


def step(s, x):
    s = jnp.tanh(jnp.asarray(WEIGHTS) @ s + x)
    return s, s


def inputs(length):
    return jnp.asarray(np.random.default_rng(0).normal(size=(length, 3)), jnp.float32)


def length_of(name):
    return {"default": 8192, "blocks": 8192}.get(name, 40)


@pytest.fixture
def on_accelerator(monkeypatch):
    """A host where JAX puts new arrays on an accelerator, unless told otherwise."""
    taken = [SimpleNamespace(platform="gpu")]

    @contextlib.contextmanager
    def default_device(device):
        taken.append(device)
        yield
        taken.pop()

    monkeypatch.setattr(_platform, "get_default_device", lambda: taken[-1])
    monkeypatch.setattr(jax, "default_device", default_device)


def test_no_choice_asks_for_the_default_backend():
    sources = Path(ps.__file__).parent.rglob("*.py")
    assert [path.name for path in sources if "default_backend()" in path.read_text().replace("``", "#")] == [
        "platform.py"
    ]


def test_the_platform_is_that_of_mesh_arrays_or_default(on_accelerator):
    bound = jax.device_put(jnp.ones(3), jax.devices("cpu")[0])
    assert platform_of() == platform_of(np.ones(3), jnp.ones(3), "no array") == "gpu"
    assert platform_of({"weights": [1.0, bound]}) == "cpu"
    assert platform_of(jnp.ones(3), mesh=Mesh(jax.devices("cpu")[:2], ("time",))) == "cpu"
    assert jax.eval_shape(lambda x: (platform_of(x) == "gpu") * x, bound).shape == (3,)
    with running_on(bound) as platform:
        assert platform == platform_of(jnp.ones(3)) == "cpu"
    assert platform_of() == "gpu"


def test_arrays_on_the_host_take_the_hosts_way(on_accelerator):
    matrices = jnp.ones((10_000, 2, 2))
    assert choose_backend(DenseTransition(matrices), 10_000) == "associative"
    assert choose_backend(DenseTransition(jax.device_put(matrices, jax.devices("cpu")[0])), 10_000) == "sequential"


@pytest.mark.parametrize("where", ["xs", "init", "mesh"])
def test_what_is_traced_for_a_call_sees_where_it_runs(on_accelerator, where):
    seen, host = [], jax.devices("cpu")[0]

    def asking(s, x):
        seen.append(platform_of())
        return step(s, x)

    init, xs = jnp.zeros(3), inputs(4096)
    init, xs = (jax.device_put(each, host) if name == where else each for name, each in (("init", init), ("xs", xs)))
    mesh = Mesh(jax.devices("cpu")[:2], ("time",)) if where == "mesh" else None
    ps.scan(asking, init, xs, mesh=mesh)
    ps.rollout(asking, init, xs, mesh=mesh)
    assert set(seen) == {"cpu"}


def test_a_program_of_one_platform_is_not_used_on_another(monkeypatch):
    seen = []

    def asking(s, x):
        seen.append(platform_of())
        return step(s, x)

    for platform in ("cpu", "gpu", "cpu"):
        monkeypatch.setattr(_platform, "get_default_device", lambda: SimpleNamespace(platform=platform))  # noqa: B023
        ps.scan(asking, jnp.zeros(3), inputs(20))
    assert set(seen) == {"cpu", "gpu"}


def test_default_device_counts():
    with jax.default_device(jax.devices("cpu")[1]):
        assert platform_of() == "cpu"
        assert ps.scan(step, jnp.zeros(3), inputs(20))[0].devices() == {jax.devices("cpu")[1]}


@pytest.mark.parametrize("name", some(SOLVERS, "default", "deer"))
def test_every_solver_is_exported_and_lowered_for_what_is_not_there(name):
    init, xs, solver = jnp.zeros(3), inputs(length_of(name)), SOLVERS[name]
    expected = jax.lax.scan(step, init, xs)[1]

    def both(init, xs):
        ys = ps.scan(step, init, xs, solver=solver)[1]
        return ys, ps.rollout(step, init, xs, solver=solver).states

    exported = export.export(jax.jit(both), platforms=("cpu", "cuda", "tpu"))(init, xs)
    for found in exported.call(init, xs):
        np.testing.assert_allclose(found, expected, atol=1e-4)
    assert "callback" not in exported.mlir_module()
    traced = jax.jit(both).trace(init, xs)
    for platform in ("cpu", "cuda", "tpu"):
        assert traced.lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize("name", some(SOLVERS, "default"))
def test_gradients_are_exported(name):
    init, xs, solver = jnp.zeros(3), inputs(length_of(name)), SOLVERS[name]

    def slope(init):
        return jax.grad(lambda init: jnp.sum(ps.scan(step, init, xs, solver=solver)[1] ** 2))(init)

    found = export.export(jax.jit(slope), platforms=("cpu", "cuda", "tpu"))(init).call(init)
    expected = jax.grad(lambda init: jnp.sum(jax.lax.scan(step, init, xs)[1] ** 2))(init)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", some(SOLVERS, "default"))
@pytest.mark.parametrize("platform", some(["cuda", "tpu"], "cuda"))
@pytest.mark.slow
def test_a_program_made_for_another_platform_answers_alike(name, platform):
    init, xs, solver = jnp.zeros(3), inputs(8192), SOLVERS[name]

    def run(init):
        ys, pull = jax.vjp(lambda init: ps.scan(step, init, xs, solver=solver)[1], init)
        return ys, pull(ys)[0]

    with compiling_for(platform):
        exported = export.export(jax.jit(run), platforms=("cpu", platform))(init)
    ys, pull = jax.vjp(lambda init: jax.lax.scan(step, init, xs)[1], init)
    for found, expected in zip(exported.call(init), (ys, pull(ys)[0]), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_choices_are_those_of_the_platform_that_a_program_is_made_for():
    matrices = jax.device_put(jnp.ones((10_000, 2, 2)), jax.devices("cpu")[0])
    mesh = Mesh(jax.devices("cpu")[:2], ("time",))
    for name, kind, backend in (
        ("cuda", "gpu", "associative"),
        ("tpu", "tpu", "associative"),
        ("cpu", "cpu", "sequential"),
    ):
        with compiling_for(name), running_on(matrices) as platform:
            assert platform == platform_of(matrices) == platform_of(mesh=mesh) == kind
            assert choose_backend(DenseTransition(matrices), 10_000) == backend
    assert platform_of() == "cpu"


def test_what_was_traced_for_one_platform_is_not_lowered_for_another():
    seen = []

    @jax.jit
    def run(xs):
        seen.append(platform_of())
        return ps.scan(step, jnp.zeros(3), xs)[1]

    run(inputs(20))
    with compiling_for("tpu"):
        run.lower(inputs(20))
    run(inputs(20))
    assert seen == ["cpu", "tpu"]


def test_one_program_may_hold_what_each_platform_wants():
    seen, xs = [], inputs(8192)

    def made_for(platform):
        def run(xs):
            with compiling_for(platform):
                seen.append(platform_of())
                return ps.scan(step, jnp.zeros(3), xs)[1]

        return run

    run = jax.jit(lambda xs: jax.lax.platform_dependent(xs, cpu=made_for("cpu"), default=made_for("gpu")))
    found = export.export(run, platforms=("cpu", "cuda"))(xs).call(xs)
    np.testing.assert_allclose(found, jax.lax.scan(step, jnp.zeros(3), xs)[1], atol=1e-5)
    assert set(seen) == {"cpu", "gpu"}


def test_an_unknown_platform_is_refused():
    with pytest.raises(ValueError, match="platform: given 'h100', expected one of 'cpu', 'gpu', 'cuda'"):
        compiling_for("h100")


def failing(init, xs):
    return ps.scan(step, init, xs, solver=ps.picard(), max_iterations=1)[1]


def test_a_failure_raises_here_and_is_nan_in_what_was_exported():
    init, xs = jnp.zeros(3), inputs(40)
    with pytest.raises(Exception, match="used up its iterations"):
        jax.block_until_ready(jax.jit(failing)(init, xs))
    exported = export.export(jax.jit(failing))(init, xs)
    assert np.isnan(exported.call(init, xs)).all()


def test_one_failure_of_a_batch_is_its_own_in_what_was_exported():
    def run(flags, values):
        results = jax.vmap(lambda flag: ps.Result.where(flag, ps.Result.successful, ps.Result.stalled))(flags)
        keyed = {"values": values, "key": jax.random.key(0), "count": jnp.arange(2)}
        inner = jax.vmap(successful_or_raise, in_axes=({"values": 1, "key": None, "count": 0}, 0))
        out = inner(keyed, results)
        return out["values"], out["count"]

    flags, values = jnp.array([True, False]), jnp.ones((3, 2))
    found, count = export.export(jax.jit(run), platforms=("cpu", "cuda"))(flags, values).call(flags, values)
    assert np.isnan(found).all(axis=1).tolist() == [False, True]
    assert count.tolist() == [0, 1]
    assert not np.isnan(jax.jit(run)(jnp.array([True, True]), values)[0]).any()
    with pytest.raises(Exception, match="stopped improving"):
        jax.block_until_ready(jax.jit(run)(flags, values))


def test_the_derivative_of_a_failure_is_nan():
    exported = export.export(jax.jit(jax.grad(lambda init: jnp.sum(failing(init, inputs(40))))))(jnp.zeros(3))
    assert np.isnan(exported.call(jnp.zeros(3))).all()
