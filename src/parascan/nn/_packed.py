"""Sequences of different lengths packed into one, so that no step is spent on padding."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float


class Packed(eqx.Module):
    """Sequences one after the other, as ``pack`` makes them.

    Attributes:
        values: rows of all sequences ``[N, I]``.
        starts: True at the first row of each, for the ``starts`` of a layer ``[N]``.
        lengths: number of rows of each; the rows left over of N are padding.
    """

    values: Float[Array, "N I"]
    starts: Bool[Array, " N"]
    lengths: tuple[int, ...] = eqx.field(static=True)

    def last(self, outputs: Float[Array, "N H"]) -> Float[Array, "K H"]:
        """The row of each sequence's last step.

        Args:
            outputs: what a layer made of ``values``.
        """
        return outputs[np.cumsum(self.lengths) - 1]

    def unpack(self, outputs: Float[Array, "N H"]) -> list[Float[Array, "T H"]]:
        """The rows of each sequence by itself.

        Args:
            outputs: what a layer made of ``values``.
        """
        ends = np.cumsum(self.lengths)
        return [outputs[end - length : end] for end, length in zip(ends, self.lengths, strict=True)]


def pack(sequences: Sequence[Any], *, rows: int | None = None) -> Packed:
    """One long sequence made of several, for a layer that starts anew at each: ``layer(p.values, starts=p.starts)``.

    A batch of sequences of different lengths becomes one sequence without padding, over whose whole length a layer is
    evaluated in parallel.

    Args:
        sequences: arrays ``[T_k, I]`` of one dtype, each with one row or more.
        rows: N, for programs that are compiled once for all batches; the sum of the lengths when None.

    Returns:
        The packed sequences.

    Raises:
        ValueError: no sequence, an empty one, shapes or dtypes that differ, or more rows than fit.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> packed = ps.nn.pack([jnp.ones((5, 2)), jnp.zeros((3, 2))])
        >>> layer = ps.nn.Recurrent(ps.nn.GRUCell(2, 4, key=jax.random.key(0)))
        >>> outputs, _ = layer(packed.values, starts=packed.starts)
        >>> packed.last(outputs).shape
        (2, 4)
    """
    arrays = [jnp.asarray(sequence) for sequence in sequences]
    if not arrays:
        raise ValueError("sequences: given none, expected one or more.")
    for index, array in enumerate(arrays):
        fits = array.ndim == 2 and array.shape[1:] == arrays[0].shape[1:] and array.dtype == arrays[0].dtype
        if not fits or len(array) == 0:
            raise ValueError(
                f"sequences[{index}]: given {array.dtype}{list(array.shape)}, expected [T, I] with T of one or more, "
                "and the I and dtype of the first."
            )
    lengths = tuple(len(array) for array in arrays)
    total = sum(lengths)
    if rows is not None and rows < total:
        raise ValueError(f"rows: given {rows}, expected {total} or more, the sum of the lengths.")
    size = total if rows is None else rows
    starts = np.zeros(size, bool)
    starts[[0, *np.cumsum(lengths)[: None if size > total else -1]]] = True
    padding = jnp.zeros((size - total, arrays[0].shape[1]), arrays[0].dtype)
    return Packed(jnp.concatenate([*arrays, padding]), jnp.asarray(starts), lengths)
