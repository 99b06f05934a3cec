"""What is proved, estimated and assumed about the error of a trajectory."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Float, Int


class Evidence(eqx.Enumeration):
    """What a certificate's bound rests on."""

    correction = "Newton corrections, and rounding pushed along the trajectory"
    singular_value = "the residual over the smallest singular value of its Jacobian"
    derivative = "nothing, as the derivative of the step is not that of its value"
    nothing = "nothing, as no bound holds up to the last step"


class Certificate(eqx.Module):
    """A bound on the distance of a trajectory from the true one, step by step.

    Steps are counted and ordered as ``states`` are, except for ``horizon``, which counts in the order of computation.

    Attributes:
        bound: bound on the Euclidean norm of the error of each state, all its floating entries taken together; infinite
            where none holds ``[T]``.
        overall: largest of ``bound``.
        tolerance: largest error that is allowed.
        horizon: leading steps whose bound is within the tolerance; the next one is the first beyond it.
        certified: whether all steps are within the tolerance.
        correction: largest change of a state by the Newton corrections, the measured part of the bound.
        rounding: largest part of the bound that accounts for rounding within the steps.
        curvature: Kantorovich's h over the steps, at most 1/2 where the bound holds.
        used: what the bound at the step of the largest bound rests on.
        assumptions: what has to be true for the bound to mean anything.
    """

    bound: Float[Array, " T"]
    overall: Float[Array, ""]
    tolerance: Float[Array, ""]
    horizon: Int[Array, ""]
    certified: Bool[Array, ""]
    correction: Float[Array, ""]
    rounding: Float[Array, ""]
    curvature: Float[Array, ""]
    used: Evidence
    assumptions: tuple[str, ...] = eqx.field(static=True)

    def to_dict(self) -> Mapping[str, Any]:
        """Plain numbers, lists and strings, for JSON; an infinite bound is None."""
        names = ("bound", "overall", "tolerance", "correction", "rounding", "curvature")
        numbers = {name: _plain(getattr(self, name)) for name in names}
        return numbers | {
            "horizon": np.asarray(self.horizon).tolist(),
            "certified": np.asarray(self.certified).tolist(),
            "used": Evidence[self.used] if np.ndim(self.certified) == 0 else None,
            "assumptions": list(self.assumptions),
        }

    def __str__(self) -> str:
        certified = np.asarray(self.certified)
        steps = self.bound.shape[-1]
        if certified.ndim:
            return f"{certified.sum()} of {certified.size} trajectories of {steps} steps certified"
        tolerance = f"tolerance {float(self.tolerance):.3g}"
        if certified:
            return (
                f"certified: error at most {float(self.overall):.3g} over {steps} steps ({tolerance}), by "
                f"{Evidence[self.used]}"
            )
        horizon = int(self.horizon)
        return (
            f"not certified: the bound passes the {tolerance} at step {horizon + 1} of {steps}; at most "
            f"{float(self.overall):.3g} overall, by {Evidence[self.used]}"
        )


def _plain(array: Array) -> Any:
    """Numbers as JSON knows them."""
    values = np.asarray(array, float)
    plain = values.astype(object)
    plain[~np.isfinite(values)] = None
    return plain.tolist()
