"""``from_blackjax``: an algorithm of BlackJAX as a kernel that carries the position alone."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Key

from ..solution import Tree
from .kernel import AbstractKernel, Info


class Foreign(AbstractKernel):
    """An algorithm with ``init`` and ``step``; made by ``from_blackjax``. Its noise is the random key of the step."""

    begin: Callable[[Any], Any]
    advance: Callable[[Any, Any], Any]

    def noise(self, key: Key[Array, ""], position: Tree) -> Key[Array, ""]:
        """The key itself: the algorithm draws from it."""
        return key

    def __call__(self, position: Tree, noise: Tree) -> tuple[Tree, Info]:
        """The next position. The rest of the algorithm's state is made anew from the position."""
        state, info = self.advance(noise, self.begin(position))
        flat = ravel_pytree(position)[0]
        accepted = jnp.asarray(getattr(info, "is_accepted", True))
        acceptance = jnp.asarray(getattr(info, "acceptance_rate", accepted), flat.dtype)
        divergent = jnp.asarray(getattr(info, "is_divergent", False))
        # A position keeps its dtypes, whatever the algorithm calculates in.
        after = jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), state.position, position)
        return after, Info(accepted, acceptance, divergent)


def from_blackjax(algorithm: Any) -> AbstractKernel:
    """A kernel from an algorithm of BlackJAX, such as ``blackjax.mala(log_density, step_size)``.

    The position alone is carried from step to step: log density and gradient, which BlackJAX keeps beside it, are found
    again, one gradient a step more. Only algorithms whose state is a function of the position can be taken so: MALA,
    HMC, NUTS, random walks; not those that adapt. A step of NUTS is a loop whose length depends on the position, so
    that chunks side by side would all wait for the longest; without a solver it runs step by step, and ``ps.explain``
    says why. Copies of a random walk do not come together, as ``foretell`` says. The noise of a step is its random key.

    Args:
        algorithm: with ``init(position) -> state`` and ``step(key, state) -> (state, info)``, whose state has a field
            ``position``; ``acceptance_rate``, ``is_accepted`` and ``is_divergent`` of the info are passed on where they
            are there.

    Raises:
        TypeError: it has no ``init`` or no ``step``.

    Examples:
        >>> import typing, jax, jax.numpy as jnp, parascan as ps
        >>> State = typing.NamedTuple("State", [("position", jax.Array)])
        >>> Algorithm = typing.NamedTuple("Algorithm", [("init", typing.Any), ("step", typing.Any)])
        >>> move = lambda key, state: (State(0.5 * state.position + jax.random.normal(key, (2,))), None)
        >>> kernel = ps.mcmc.from_blackjax(Algorithm(State, move))
        >>> ps.mcmc.sample(kernel, jnp.zeros(2), 100, key=jax.random.key(0)).positions.shape
        (1, 100, 2)
    """
    begin, advance = getattr(algorithm, "init", None), getattr(algorithm, "step", None)
    if not (callable(begin) and callable(advance)):
        raise TypeError(
            f"algorithm: given {type(algorithm).__name__}, expected one with init and step, such as blackjax.mala(...)."
        )
    return Foreign(begin, advance)
