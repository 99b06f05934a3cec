"""Row 9: the largest Lyapunov exponent, against other packages on JAX and against Jacobians with QR."""

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr

import parascan as ps

from .. import workloads, yardsticks
from ..case import Case, Size, Work, timed

Exponent = Callable[[jax.Array], jax.Array]


def run(size: Size) -> Iterator[Case]:
    """Each system against every package that is installed; the others take steps without inputs only."""
    T = size.length(500_000, 2048)
    lorenz = workloads.lorenz(T)
    yield from _against_all(f"Lorenz T={T}", lorenz, Work(40 * T, 3 * 8), size)
    T = size.length(10_000, 1024)
    D = 8 if size.toy else 100
    rnn = workloads.tanh_rnn(D, T, jnp.float64, gain=1.5)
    still = rnn._replace(step=lambda s, x, rnn=rnn: rnn.step(s, rnn.inputs[0]), inputs=None)
    yield from _against_all(f"tanh RNN D={D} T={T}", still, Work(T * (4 * D * D + 20 * D), D * D * 8), size)


def _against_all(name: str, w: workloads.Workload, work: Work, size: Size) -> Iterator[Case]:
    """One direction without a warm-up, as the others have it."""

    def ours(s0: jax.Array) -> tuple[jax.Array, jax.Array]:
        given = ps.lyapunov_exponents(w.step, s0, length=w.length, key=jr.key(1), directions=1, warm_up=0)
        return given.per_step, given.estimate.high - given.per_step

    mine = jax.jit(ours)
    value, width = (float(each) for each in mine(w.initial))
    others: dict[str, Callable[[workloads.Workload], Exponent]] = {"lyapax": _lyapax, "chaotax": _chaotax}
    for package, build in {**others, "Jacobians and QR": _plain}.items():
        if package in others and not _installed(package):
            print(f"  {name}: {package} is not installed (pip install '.[peers]'), case skipped")
            continue
        theirs = jax.jit(build(w))
        # On a chaotic orbit other roundings are another orbit: the numbers agree within what both are sure of.
        if not abs(float(theirs(w.initial)) - value) <= 3 * width:
            raise AssertionError(f"{name}: {package} says {float(theirs(w.initial))}, ours {value} +- {width}")
        run = (lambda p=p, w=w: p(w.initial) for p in (mine, theirs))
        note = f"exponent {value:.4g} per step +- {width:.1g}"
        yield timed(9, name, f"ours / {package}", *run, 1.5, size, (work, w.initial.dtype), note)


def _installed(package: str) -> bool:
    """Whether a package can be imported."""
    try:
        importlib.import_module(package)
    except ImportError:
        return False
    return True


def _lyapax(w: workloads.Workload) -> Exponent:
    """The leading exponent by lyapax."""
    import lyapax

    def exponent(s0: jax.Array) -> Any:
        result = lyapax.lyapunov_spectrum(lambda s: w.step(s, None), s0, 1.0, w.length, k=1)
        return result.exponents[0]

    return exponent


def _chaotax(w: workloads.Workload) -> Exponent:
    """The largest exponent by chaotax."""
    import chaotax

    find = chaotax.lyapunov(lambda s: w.step(s, None), rollout_steps=w.length, warmup_steps=0, discard_steps=0)
    return lambda s0: find(s0, key=jr.key(1))


def _plain(w: workloads.Workload) -> Exponent:
    """The largest exponent by the yardstick."""
    return yardsticks.exponent(w.step, w.length, jr.normal(jr.key(1), w.initial.shape, w.initial.dtype))
