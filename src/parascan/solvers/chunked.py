"""Chunks of steps side by side for systems that forget their start, with the sequential loop for all others."""

from typing import ClassVar

import equinox as eqx
import numpy as np
from jax.sharding import Mesh

from ..chunked import Way
from ..problem.arguments import as_integer, check_counts
from ..problem.signature import Signature
from ..programs.device_axis import DeviceAxis, automatic, axis_of
from ..solution import Tree
from .base import AbstractDirectSolver, AbstractSolver
from .chunked_call import decides, evaluate_in_chunks, outlook
from .old_arguments import old_attribute
from .request import Request
from .sequential import Sequential


class Chunked(AbstractDirectSolver):
    """The default: chunks of steps run side by side where the system forgets its start, one step at a time elsewhere.

    All chunks start at once, from arbitrary states, which a predictable system forgets within a few steps: the warm-up.
    Its length is measured as the call runs, by coupled copies of some chunks. Then the first steps of each chunk run
    again, from the true end of the chunk before. Where the two runs do not agree to the rounding of each entry
    (``docs/acceptance.md`` has the rule), the same program takes the steps one after the other: the answer is that of
    ``jax.lax.scan`` either way, up to rounding. There is no Jacobian, iteration or history. Work is T steps and those
    that are run twice, memory that of the outputs. Derivatives are those of the trajectory, by one linear recurrence
    that is run in the same way.

    Short sequences, tiny steps, large batches, and steps that must not be run from arbitrary states (with side effects,
    callbacks, checks, loops that end by the state) are run one step at a time from the start.

    Args:
        chunks: how many chunks to cut the sequence into, on each device; None to choose by its length, the size of
            its state, the batch and the platform. With a number, a call that cannot be cut is refused, with the reason,
            but one whose carry holds a decision (a counter that depends on the state) falls back. With None, both run
            one step at a time; ``ps.explain`` says so before the call, ``solution.solver`` after it.
        mesh: devices to spread the chunks over, a mesh of one axis, or with one called "time"; None for those of the
            call.
        trial_steps: steps of each chunk after which a system is given up that shows no sign of forgetting its start;
            None for as many as take 2 % of the sequential time. Give more for a system that is known to forget, but
            does so late.
        tolerance: largest jump between two chunks that is accepted beside what rounding explains, as a part of the
            largest magnitude of the entry on the last eight steps before the jump; 0 for the rule of rounding alone.
            For steps that round much inside, such as those that add up a likelihood.
        visited: whether the copies that measure the warm-up start from states that other chunks have come to, and not
            from states far away; for steps that hardly move from there, such as Metropolis-adjusted chains. The answer
            is accepted by the same rule.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: ``chunks`` or ``trial_steps`` is less than one, ``tolerance`` is negative or not below one, or the
            mesh has several axes and none called "time".

    Source: windows with burn-in are waveform relaxation with overlap, Lelarasmee et al. 1982; the coupling of copies
    that measures the burn-in, Propp and Wilson 1996.

    Examples:
        >>> import jax.numpy as jnp, parascan as ps
        >>> step = lambda s, x: jnp.tanh(0.5 * s + x)
        >>> solution = ps.rollout(step, jnp.zeros(3), jnp.ones((5000, 3)), solver=ps.Chunked(chunks=16))
        >>> solution.states.shape
        (5000, 3)
    """

    chunks: int | None = eqx.field(static=True, default=None, converter=as_integer)
    mesh: Mesh | None = eqx.field(static=True, default=None, converter=automatic)
    trial_steps: int | None = eqx.field(static=True, default=None, converter=as_integer)
    tolerance: float = eqx.field(static=True, default=0.0)
    visited: bool = eqx.field(static=True, default=False)
    blocks = old_attribute("blocks", "chunks")
    trial = old_attribute("trial", "trial_steps")
    references: ClassVar[tuple[str, ...]] = ("lelarasmee1982waveform", "propp1996coupling")
    implicit: ClassVar[bool] = True

    def __check_init__(self) -> None:
        check_counts(optional=True, chunks=self.chunks, trial_steps=self.trial_steps)
        if isinstance(self.tolerance, bool) or not isinstance(self.tolerance, int | float | np.number):
            raise TypeError(f"tolerance: given {self.tolerance!r}, expected a number.")
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"tolerance: given {self.tolerance}, expected a number from 0 to below 1.")
        if not isinstance(self.visited, bool):
            raise TypeError(f"visited: given {self.visited!r}, expected True or False.")
        if self.mesh is not None:
            axis_of(self.mesh)

    def outcome(self, signature: Signature, request: Request) -> tuple[Tree, Tree, Way]:
        """Final carry, outputs, and which way they came."""
        return evaluate_in_chunks(signature, self, request)

    def chosen(self, signature: Signature, request: Request) -> tuple[AbstractSolver, str]:
        """This solver, or the plain loop where it is asked for or chunks cannot be tried; and why.

        Raises:
            ValueError: a number of chunks was given for a call that cannot be cut.
        """
        if request.unrolls:
            return Sequential(), f"unroll={request.unroll} asks for the plain loop"
        tried, reason = outlook(signature, self, request.batch, request.devices)
        if not tried and self.chunks is not None and signature.length > 0 and not decides(signature):
            raise ValueError(
                f"solver: given Chunked(chunks={self.chunks}), but {reason}, expected a call that can be cut, or "
                "solver=None, which takes one step after the other where it cannot."
            )
        return self if tried else Sequential(), reason

    def promised(self, request: Request) -> bool:
        """Whether a number of chunks was given, which promises that chunks will be tried."""
        return self.chunks is not None and not request.unrolls

    def check(self, request: Request, name: str) -> None:
        """Refuse ``unroll`` together with a number of chunks, which have no loop over single steps."""
        if self.chunks is not None and request.unrolls:
            raise ValueError(
                f"unroll: given {request.unroll} with {name}, whose {self.chunks} chunks run side by side, expected 1; "
                "to unroll the loop over the steps, take solver=None or Sequential()."
            )

    def spread(self, devices: DeviceAxis | None, *, given: bool) -> DeviceAxis | None:
        """The devices of the call, or the solver's own.

        Raises:
            ValueError: the call gives others than the solver has.
        """
        if self.mesh is None:
            return devices
        if given and devices is not None and devices.mesh != self.mesh:
            raise ValueError("mesh: given together with a Chunked of another mesh, expected one of the two.")
        return axis_of(self.mesh)

    @property
    def copies_of_outputs(self) -> int:
        """Two: the outputs of the chunks, and the outputs that are returned."""
        return 2
