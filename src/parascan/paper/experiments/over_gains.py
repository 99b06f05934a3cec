"""One solver on the mean-field networks of a seed, from weights deep in order to weights deep in chaos."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

import parascan as ps

from ..harness.experiment import Values


@dataclass(frozen=True)
class Networks:
    """Networks of one seed, which differ by their gain.

    Attributes:
        size: units D.
        length: steps T.
        tolerance: bound on merit/T, in squared units of the state.
        of_system: key of weights and inputs.
        of_guess: key of the guess, and of the direction in which exponents are measured.
    """

    size: int
    length: int
    tolerance: float
    of_system: jax.Array
    of_guess: jax.Array

    def solved(self, gains: Float[np.ndarray, " G"], solver: Any, most: int) -> Values:
        """Updates until the criterion holds, whether it did, and the exponent per step after a tenth of the steps.

        Args:
            gains: g of each network.
            solver: an iterative solver.
            most: updates after which it is given up.
        """
        updates, solved, exponents = [], [], []
        # One after the other: a batch would go on until the last network is done, and most are done soon.
        for gain in gains:
            system = ps.systems.tanh_rnn(gain=float(gain), size=self.size, key=self.of_system)
            call = (system.step, system.initial_state, system.inputs(self.length))
            solution = ps.rollout(
                *call,
                solver=solver,
                criterion=ps.Merit(self.tolerance),
                guess=ps.guesses.Uniform(self.of_guess, -1.0, 1.0),
                max_iterations=most,
                throw=False,
            )
            updates.append(int(solution.stats.iterations))
            solved.append(bool(solution.result == ps.Result.successful))
            estimate = ps.lyapunov_exponents(*call, key=self.of_guess, warm_up=self.length // 10, chunks=1)
            exponents.append(float(estimate.per_step))
        return {"updates": np.array(updates), "solved": np.array(solved), "exponent": np.array(exponents)}
