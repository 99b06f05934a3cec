"""Every step that is promised to be one kernel, forward and backward, compiled for an H100."""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr

import parascan as ps
from parascan.programs.closure import close_over
from parascan.programs.kernels import RowKernel
from parascan.programs.primitives import IN_KERNELS

from . import h100

UNITS = (16, 64, 128)
"""Sizes of the networks."""

COLUMNS, BLOCK, INPUTS = 100, 136, 6
"""Chunks, which no tile divides, their steps, and entries of an input."""


class Step(NamedTuple):
    """A step to be compiled as a kernel."""

    name: str
    step: Callable[[Any, Any], tuple[Any, Any]]
    carry: Any
    x: Any


def steps(units: tuple[int, ...] = UNITS) -> Iterator[Step]:
    """The steps, each with its recurrence back.

    Args:
        units: sizes of the networks.
    """
    x, key, f32 = jax.ShapeDtypeStruct((INPUTS,), jnp.float32), jr.key(0), jnp.float32
    for size in units:
        for kind in (ps.nn.GRUCell, ps.nn.LSTMCell, ps.nn.LRCCell):
            cell = kind(INPUTS, size, key=key, dtype=f32)
            state = jax.eval_shape(cell.initial_state)
            yield from both(f"{kind.__name__}({size})", lambda s, x, cell=cell: cell(x, s), state, x)
        weights = jnp.ones((size, size), f32)
        state = jax.ShapeDtypeStruct((size,), f32)
        yield from both(f"tanh network of {size}", lambda s, x, w=weights: jnp.tanh(w @ s + x), state, state)
    narrow = jax.ShapeDtypeStruct((20,), jnp.bfloat16)

    def as_bits(s: Any, x: Any) -> tuple[Any, Any]:
        s = jnp.tanh(jnp.eye(20, dtype=jnp.bfloat16) @ s + x)
        return s, jax.lax.bitcast_convert_type(s, jnp.uint16)

    yield Step("tanh network of 20 in bfloat16, outputs as bits", as_bits, narrow, narrow)
    for name in ("lorenz", "lorenz_observer"):
        for dtype in (f32, jnp.float64):
            system = ps.systems.get(name, dtype=dtype)
            state = jax.ShapeDtypeStruct(system.initial_state.shape, dtype)
            given = system.inputs(2)
            row = (
                None
                if given is None
                else jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), given)
            )
            yield from both(f"{name}, {jnp.dtype(dtype).name}", system.step, state, row)


def both(name: str, f: Callable[[Any, Any], Any], state: Any, x: Any) -> Iterator[Step]:
    """A step, and the recurrence of its cotangents."""

    def back(arriving: Any, row: tuple[Any, Any, Any]) -> tuple[Any, Any]:
        before, x, cotangent = row
        y = jax.tree.map(jnp.add, arriving, cotangent)
        return jax.vjp(lambda s: f(s, x), before)[1](y)[0], y

    yield Step(name, lambda s, x: (f(s, x),) * 2, state, x)
    yield Step(f"{name}, backward", back, state, (state, x, state))


def operations(dtype: Any) -> Iterator[Step]:
    """One step for each elementwise operation that a kernel may hold, of one dtype.

    Args:
        dtype: of the state.
    """
    state = jax.ShapeDtypeStruct((3,), dtype)
    for name in sorted(IN_KERNELS):
        function = getattr(jax.lax, {"and": "bitwise_and", "or": "bitwise_or"}.get(name, name), None)
        of_values = {
            "and": lambda s: jnp.where((s > 0) & (s < 1), s, 0),
            "or": lambda s: jnp.where((s > 0) | (s < 1), s, 0),
            "xor": lambda s: jnp.where((s > 0) ^ (s < 1), s, 0),
            "not": lambda s: jnp.where(~(s > 0), s, 0),
            "clamp": lambda s: jax.lax.clamp(jnp.zeros_like(s), s, jnp.ones_like(s)),
            "integer_pow": lambda s: s**5 + s**-3,
            "is_finite": lambda s: jnp.where(jnp.isfinite(s), s, 0),
            "select_n": lambda s: jnp.where(s > 0, s, 0),
        }.get(name)
        if name in ("eq", "ge", "gt", "le", "lt", "ne") and function:
            of_values = lambda s, f=function: jnp.where(f(s, 1 - s), s, 0)  # noqa: E731  # one of many alike
        if of_values is None and function and name not in ("bitcast_convert_type", "convert_element_type"):
            two = name in ("add", "atan2", "div", "max", "min", "mul", "pow", "sub")
            of_values = lambda s, f=function, two=two: f(s, 1 - s) if two else f(s)  # noqa: E731  # one of many alike
        if of_values is not None:
            yield Step(f"{name}, {jnp.dtype(dtype).name}", lambda s, x, f=of_values: (f(s) + x, s), state, state)


def compile_one(each: Step) -> float:
    """Compile a step as a kernel; seconds that it took.

    Args:
        each: the step.
    """
    start = time.perf_counter()

    def run(states: Any, blocks: Any, rows: jax.Array) -> Any:
        closed = close_over(each.step, each.carry, each.x)
        kernel = RowKernel(closed, each.carry, each.x)
        room = jax.tree.map(lambda leaf: jnp.zeros((COLUMNS, BLOCK, *leaf.shape), leaf.dtype), closed.shapes[1])
        return kernel.run(states, blocks, jnp.arange(COLUMNS), (rows[0], rows[1]), room, keep=8)

    states = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((*leaf.shape, COLUMNS), leaf.dtype), each.carry)
    blocks = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((COLUMNS, BLOCK, *leaf.shape), leaf.dtype), each.x)
    text = h100.compiled(run, states, blocks, jax.ShapeDtypeStruct((2,), jnp.int32)).as_text()
    if "triton" not in text:
        raise AssertionError(f"{each.name}: given a program without a kernel, expected one with it")
    return time.perf_counter() - start


def check() -> None:
    """Compile all of them."""
    failed = []
    for each in (*steps(), *(step for dtype in (jnp.float32, jnp.bfloat16, jnp.float64) for step in operations(dtype))):
        try:
            print(f"kernel: {each.name}: compiled in {compile_one(each):.1f} s", flush=True)
        except Exception as reason:
            failed.append(f"{each.name}: {str(reason)[:300]}")
            print(f"kernel: {failed[-1]}", flush=True)
    if failed:
        raise SystemExit(f"{len(failed)} steps did not compile as kernels: {failed}")
