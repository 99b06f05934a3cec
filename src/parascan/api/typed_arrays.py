"""A call on arrays of whatever types: what comes back is spread over devices as the arguments are."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import equinox as eqx
import jax
from jax.sharding import PartitionSpec

from ..problem.signature import Signature, resolve
from ..programs.automatic_axes import run_automatic
from ..programs.batched_axes import spec_of
from ..programs.device_axis import without_mesh
from ..solution import Solution, StepFunction, Tree
from ..solvers.request import Request

BY_TIME = ("states", "ys")
"""Parts of a solution with a leading axis of time."""


def resolve_typed(step: StepFunction, init: Tree, xs: Tree, request: Request, *, scan_form: bool) -> Signature:
    """The checked call, whose step is traced without a mesh where the call is cut over devices.

    Args:
        step: the user's.
        init: initial carry.
        xs: inputs.
        request: everything else about the call.
        scan_form: refuse the first form of step.
    """
    spread = request.devices is not None
    with without_mesh() if spread else nullcontext():
        return resolve(step, init, xs, request.length, scan_form=scan_form, spread=spread)


def run_typed(run: Callable[[Signature, Request], Solution], signature: Signature, request: Request) -> Solution:
    """The solution of a call: states and outputs spread over time as the inputs are, the carry as the initial one.

    Args:
        run: gives the solution for arrays whose types name no mesh.
        signature: the step, carry and inputs.
        request: everything else about the call.
    """

    def specs(solution: Tree) -> list[PartitionSpec]:
        carried = iter([spec_of(leaf) for leaf in jax.tree.leaves(signature.init)])
        return list(_specs(solution, carried, request))

    if request.devices is None:
        return run(signature, request)
    with without_mesh():
        return run_automatic(run, (signature, request), specs, batched=request.batch > 1)


def _specs(solution: Tree, carried: Iterator[PartitionSpec], request: Request) -> Iterator[PartitionSpec]:
    """How each array of a solution is to be spread."""
    shapes = eqx.filter(solution, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))
    for path, leaf in jax.tree_util.tree_flatten_with_path(shapes)[0]:
        part: Any = getattr(path[0], "name", None)
        if part == "carry":
            yield next(carried)
        elif part in BY_TIME and request.devices is not None and request.devices.divides(leaf.shape[0]):
            yield request.devices.rows()
        else:
            yield PartitionSpec()
