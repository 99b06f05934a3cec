"""The two kinds of solvers and how each runs: one evaluates a scan at once, one improves a whole trajectory."""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Int

from ..adjoint.implicit import Loop
from ..chunked import Way
from ..problem.flat_recurrence import Recurrence
from ..problem.signature import Signature
from ..programs.device_axis import DeviceAxis
from ..solution import Result, Solution, Stats, Trajectory, Tree
from .finite import all_finite, finite_prefix
from .iterate import LoopState, iterate
from .linearizations import Full, UpdateWork
from .memory import TRAJECTORIES, bytes_of, readable, states_bytes
from .request import Request
from .trajectory import solve_call
from .update import Iterate

DESCENT_BUDGET = 10_000
"""Most updates, by default, of methods for which no theorem bounds their number."""


class AbstractSolver(eqx.Module):
    """Anything that ``rollout`` accepts as its solver.

    Attributes:
        references: keys of the publications that the method comes from.
        iterates: whether it improves a trajectory until a criterion is met; others evaluate at once.
        implicit: whether its derivatives may be asked for by ``adjoint=Implicit()``.
    """

    references: ClassVar[tuple[str, ...]]
    iterates: ClassVar[bool] = True
    implicit: ClassVar[bool] = True

    @abc.abstractmethod
    def run(self, signature: Signature, request: Request) -> Solution:
        """The solution of a checked call.

        Args:
            signature: the step, carry and inputs.
            request: everything else about the call.
        """

    def chosen(self, signature: Signature, request: Request) -> tuple["AbstractSolver", str]:
        """The solver that is to run, and why in a sentence: this one, or another where this one does not apply.

        Args:
            signature: the step, carry and inputs.
            request: everything else about the call.
        """
        return self, f"asked for by solver={type(self).__name__}"

    def promised(self, request: Request) -> bool:
        """Whether it counts as a fallback if the plain loop runs in its place.

        Args:
            request: everything about the call but its step, carry and inputs.
        """
        return False

    def check(self, request: Request, name: str) -> None:
        """Refuse arguments of a call that make no sense with this solver.

        Args:
            request: everything about the call but its step, carry and inputs.
            name: what to call the solver.
        """

    def spread(self, devices: DeviceAxis | None, *, given: bool) -> DeviceAxis | None:
        """The devices that a call is spread over: those of the call, unless the solver names its own.

        Args:
            devices: of the call; None for one.
            given: whether the call gives them, and not only its inputs.
        """
        return devices


class AbstractDirectSolver(AbstractSolver):
    """A solver that evaluates a scan at once and exactly, with nothing to iterate."""

    iterates: ClassVar[bool] = False
    implicit: ClassVar[bool] = False

    @abc.abstractmethod
    def outcome(self, signature: Signature, request: Request) -> tuple[Tree, Tree, Way]:
        """Final carry and outputs as ``jax.lax.scan`` gives them, and which way they came.

        Args:
            signature: the step, carry and inputs.
            request: everything else about the call.
        """

    def run(self, signature: Signature, request: Request) -> Solution:
        """The solution; its states are None unless the request keeps them."""
        if request.keep_states:
            signature = signature.keeping_states()
        if request.memory_limit is not None:
            self._refuse_memory(signature, request)
        carry, ys, way = self.outcome(signature, request)
        whole, prefix, states = jnp.asarray(True), jnp.asarray(signature.length, jnp.int32), None
        if request.keep_states:
            ys, states = ys
            prefix = finite_prefix(states, signature.length, reverse=request.reverse)
            # In an initial carry that has infinite entries or NaN they are values like others.
            whole = (prefix == signature.length) | ~all_finite(signature.init)
        result = Result.where(whole, Result.successful, Result.nonfinite)
        return Solution(states, carry, ys, result, _direct_stats(signature, prefix, way), None, self)

    def peak_bytes(self, signature: Signature, devices: int = 1) -> int:
        """Bytes held on each device at the peak beside the inputs: what is returned.

        Args:
            signature: the step, carry and inputs.
            devices: that share out the steps.
        """
        carry, y = signature.shapes_of_step()
        return bytes_of(carry) + self.copies_of_outputs * -(-signature.length // devices) * bytes_of(y)

    def sharing(self, signature: Signature, request: Request) -> int:
        """Number of devices that share out the steps of a call.

        Args:
            signature: the step, carry and inputs.
            request: everything else about the call.
        """
        devices = request.devices
        return devices.size if devices is not None and devices.divides(signature.length) else 1

    @property
    def copies_of_outputs(self) -> int:
        """How many arrays of the size of the outputs are held at once."""
        return 1

    def _refuse_memory(self, signature: Signature, request: Request) -> None:
        """Refuse a call whose answer alone would take more than a limit, before anything is allocated."""
        limit = int(request.memory_limit or 0)
        needed = self.peak_bytes(signature, self.sharing(signature, request))
        if needed > limit:
            raise ValueError(
                f"memory_limit: given {readable(limit)}, but {type(self).__name__} on {signature.length} steps holds "
                f"about {readable(needed)}, expected a larger limit, or ps.stream, which hands out a window at a time."
            )


class AbstractTrajectorySolver(AbstractSolver):
    """A solver for all states of a flat recurrence at once."""

    @abc.abstractmethod
    def solve(self, problem: Recurrence, request: Request, loop: Loop) -> LoopState:
        """The states, with how they were found.

        Args:
            problem: the recurrence.
            request: of the call, with ``start``, ``repair``, ``unit`` and ``budget`` filled in.
            loop: how iterations are repeated, so that they can be differentiated as the call asks.
        """

    @abc.abstractmethod
    def most_updates(self, problem: Recurrence, request: Request) -> int:
        """The most updates of a call.

        Args:
            problem: the recurrence.
            request: of the call.
        """

    @abc.abstractmethod
    def peak_bytes(self, problem: Recurrence) -> int:
        """Bytes held at the peak beside the inputs: iterates, stored Jacobians, the states that are returned.

        Args:
            problem: the recurrence.
        """

    @property
    @abc.abstractmethod
    def method(self) -> "AbstractIterativeSolver":
        """The iterative method that makes the updates."""

    @property
    def tried(self) -> "AbstractTrajectorySolver":
        """The solver that runs first; a fallback after it takes less memory."""
        return self

    @property
    def chunk(self) -> int:
        """Steps from one iterated state to the next; more than one for ``MultipleShooting``."""
        return 1

    @property
    def described(self) -> str:
        """The method in words, with what stands in for the Jacobian where something does."""
        name, linearization = type(self.method).__name__, getattr(self.method, "linearization", None)
        replaced = linearization is not None and not isinstance(linearization, Full)
        return f"{name} with {type(linearization).__name__} for the Jacobian" if replaced else name

    def run(self, signature: Signature, request: Request) -> Solution:
        """The solution; its states are None where they are not wanted."""
        return solve_call(self, signature, request)


class AbstractIterativeSolver(AbstractTrajectorySolver):
    """A solver that defines one update; the loop, the stopping test and the derivatives are the library's.

    Attributes:
        causal: whether iteration i leaves the first i states exact, so that T iterations always suffice.
        spreads: whether each of several devices holds its own steps alone during an update.
    """

    causal: ClassVar[bool]
    spreads: ClassVar[bool] = True

    @property
    @abc.abstractmethod
    def exact(self) -> bool:
        """Whether an update is the exact Newton correction, whose size estimates the error of the iterate before it."""

    @abc.abstractmethod
    def init(self, problem: Recurrence, states: Trajectory) -> Tree:
        """The solver's memory before the first update; any tree of arrays."""

    @abc.abstractmethod
    def step(self, problem: Recurrence, iterate: Iterate, state: Any) -> tuple[Trajectory, Tree]:
        """The next trajectory, and the solver's memory after it."""

    def solve(self, problem: Recurrence, request: Request, loop: Loop) -> LoopState:
        """The states after as many updates as the criterion asks for and the budget allows."""
        return iterate(problem, request._replace(solver=self), loop)

    def most_updates(self, problem: Recurrence, request: Request) -> int:
        """The number that the call gives; else T for a causal method and a fixed number for others."""
        if request.max_iterations is not None:
            return int(request.max_iterations)
        return problem.length if self.causal else DESCENT_BUDGET

    def update_bytes(self, recurrence: Recurrence) -> int:
        """Bytes of one update.

        Args:
            recurrence: what is solved.
        """
        return TRAJECTORIES * states_bytes(recurrence)

    def peak_bytes(self, problem: Recurrence) -> int:
        """Bytes of an update and of the states."""
        return self.update_bytes(problem) + states_bytes(problem)

    def update_work(self) -> UpdateWork:
        """The work of one update: by default, that of a whole Jacobian and one linear recurrence."""
        return UpdateWork(None, False)

    @property
    def method(self) -> "AbstractIterativeSolver":
        """The solver itself."""
        return self


def _direct_stats(signature: Signature, prefix: Int[Array, ""], way: Way) -> Stats:
    """Statistics of an answer that took no iteration."""
    dtype = signature.layout.dtype if signature.layout.size else jnp.result_type(float)
    none, zero = jnp.zeros((), jnp.int32), jnp.zeros((), dtype)
    length = jnp.asarray(signature.length, jnp.int32)
    reached = none, zero, zero, zero, length, prefix, way.redone, prefix, none
    return Stats(*reached, way.fell_back, way.chunks, way.warm_up)
