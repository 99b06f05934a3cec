"""Steps that the tests of growth share: accurate integrators of flows, and recurrences made from steps."""

import jax
import jax.numpy as jnp

import parascan as ps
from parascan.problem.flat_recurrence import Recurrence, ScanProblem
from parascan.problem.signature import resolve


def runge_kutta(field, dt):
    """One classical Runge-Kutta step of fourth order."""

    def step(s, _=None):
        k1 = field(s)
        k2 = field(s + dt / 2 * k1)
        k3 = field(s + dt / 2 * k2)
        k4 = field(s + dt * k3)
        return s + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    return step


def flow(name):
    """The vector field and the start of a flow in float64."""
    system = ps.systems.get(name, dtype=jnp.float64)
    return system.step.field, system.initial_state


def recurrence(step, init, xs=None, length=None) -> Recurrence:
    """The recurrence of a step as `rollout` sees it."""
    return ScanProblem.of(resolve(step, init, xs, length, scan_form=False), reverse=False).recurrence


def trajectory(problem: Recurrence):
    """All states, one step after the other."""

    def one(s, x):
        s = problem.advance(s, x)
        return s, s

    return jax.lax.scan(one, problem.initial, problem.inputs, problem.length)[1]
