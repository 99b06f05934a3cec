"""A call traces its step once, and makes few programs from it: counts that must not grow."""

import sys

import jax
import jax.numpy as jnp
import pytest

import parascan as ps
from parascan.programs import work

SIZE, LENGTH = 16, 20_000


class Counts:
    """How often a call traces its step, makes a program or works out shapes, and walks through a program to count."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.traced = self.programs = self.shapes = self.walks = 0
        for owner, name, kind in (
            (jax, "make_jaxpr", "programs"),
            (jax, "eval_shape", "shapes"),
            (work, "counted", "walks"),
        ):
            monkeypatch.setattr(owner, name, self._counting(getattr(owner, name), kind))
        counted = vars(work)["counted"]
        for module in [each for name, each in sys.modules.items() if name.startswith("parascan.")]:
            if hasattr(module, "counted") and module is not work:
                monkeypatch.setattr(module, "counted", counted)

    def _counting(self, function, kind):
        """A function that is counted where the package calls it."""

        def run(*args, **kwargs):
            caller = sys._getframe(1).f_globals["__name__"]
            setattr(self, kind, getattr(self, kind) + caller.startswith("parascan"))
            return function(*args, **kwargs)

        return run

    def step(self, weights):
        """A step that is counted when it is traced."""

        def step(s, x):
            self.traced += 1
            s = jnp.tanh(weights @ s + x)
            return s, s

        return step


@pytest.fixture
def counts(monkeypatch):
    return Counts(monkeypatch)


@pytest.fixture
def system():
    key = jax.random.key(0)
    return 0.1 * jax.random.normal(key, (SIZE, SIZE)), jax.random.normal(key, (LENGTH, SIZE))


def test_a_default_scan(counts, system):
    weights, xs = system
    ps.scan(counts.step(weights), jnp.zeros(SIZE), xs)
    assert counts.traced == 1
    assert counts.programs <= 7
    assert counts.shapes <= 3
    assert counts.walks <= 2


def test_a_rollout_by_newton_steps(counts, system):
    weights, xs = system
    ps.rollout(counts.step(weights), jnp.zeros(SIZE), xs[:500], solver=ps.deer())
    assert counts.traced == 1
    assert counts.programs <= 4
    assert counts.shapes <= 4
    assert counts.walks == 0


def test_a_rollout_by_chunks_and_step_by_step(counts, system):
    weights, xs = system
    ps.rollout(counts.step(weights), jnp.zeros(SIZE), xs)
    ps.rollout(counts.step(weights), jnp.zeros(SIZE), xs, solver=ps.Sequential())
    assert counts.traced == 2


def test_numbers_of_python_in_the_carry_take_one_more_look(counts):
    def step(s, x):
        counts.traced += 1
        return s + x, s

    ps.scan(step, 0, jnp.ones(100))
    assert counts.traced == 2
