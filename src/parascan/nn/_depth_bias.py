"""What stopping early does to the gradient of a loss over a stack of blocks."""

import warnings
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array


class BiasWarning(UserWarning):
    """Evaluations of a stack stop so early that its gradients are biased.

    Args:
        message: what was seen, and what to do.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)


class Bias(eqx.Module):
    """The gradient of a loss by early stopping, beside the exact one.

    Attributes:
        relative: norm of the difference of the two gradients over that of the exact one: below one, a small step
            against the gradient still lowers the loss.
        cosine: of the angle between them.
        loss: difference of the two losses.
        norm: of the exact gradient.
    """

    relative: float = eqx.field(static=True)
    cosine: float = eqx.field(static=True)
    loss: float = eqx.field(static=True)
    norm: float = eqx.field(static=True)

    def __str__(self) -> str:
        return (
            f"gradient off by {self.relative:.2g} of its norm {self.norm:.3g}, cosine {self.cosine:.4f}, loss off by "
            f"{self.loss:.2g}"
        )


def bias_of(loss: Callable[[Any], Array], net: Any, exact: Any, limit: float) -> Bias:
    """The bias of one stack against another one of the same weights.

    Args:
        loss: of a stack.
        net: the stack as it is evaluated.
        exact: the same stack evaluated exactly.
        limit: relative error of the gradient from which it warns.

    Raises:
        ValueError: a limit that is not positive.

    Warns:
        BiasWarning: the error is larger than the limit, or not a number.

    Source: gradients with a bounded relative error still descend, Bertsekas and Tsitsiklis 2000.
    """
    if not limit > 0:
        raise ValueError(f"limit: given {limit}, expected a positive number.")
    numbers = _compared(loss, net, exact)
    relative, cosine, difference, norm = (float(each) for each in numbers)
    found = Bias(relative, cosine, difference, norm)
    if not relative <= limit:
        warnings.warn(
            BiasWarning(
                f"{found}. It is more than the limit of {limit:.2g}, and it does not average out over batches: raise "
                "updates, or leave them out."
            ),
            stacklevel=3,
        )
    return found


@eqx.filter_jit
def _compared(loss: Callable[[Any], Array], net: Any, exact: Any) -> tuple[Array, Array, Array, Array]:
    """Relative error and cosine of the gradient, error of the loss, and norm of the exact gradient."""
    value, gradient = eqx.filter_value_and_grad(loss)(net)
    true_value, true_gradient = eqx.filter_value_and_grad(loss)(exact)
    given, true = ravel_pytree(gradient)[0], ravel_pytree(true_gradient)[0]
    norm, own = jnp.linalg.norm(true), jnp.linalg.norm(given)
    error = jnp.linalg.norm(given - true)
    relative = jnp.where(error == 0, 0.0, error / norm)
    cosine = jnp.where(error == 0, 1.0, jnp.vdot(given, true) / (norm * own))
    return relative, cosine, value - true_value, norm
