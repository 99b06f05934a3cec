"""Whether an answer came from chunks: what they leave to steps one after the other is spoiled."""

import jax
import jax.numpy as jnp

from parascan.chunked import engine


def spoil_plain_loops(patch, mark):
    """Put a mark in place of outputs and totals that a run in chunks takes from steps one after the other."""
    scan_steps = engine.scan_steps

    def marked(step, init, xs, length, **options):
        _, *results = scan_steps(step, init, xs, length, **options)
        return init, *jax.tree.map(lambda leaf: jnp.full_like(leaf, mark), results)

    def marked_again(step, init, xs, ys, grid, found):
        wanted = jnp.any(found.refused)
        ys = jax.tree.map(lambda leaf: jnp.where(wanted, mark, leaf), ys)
        return init, ys, wanted, jnp.where(wanted, grid.chunks, 0).astype(jnp.int32)

    patch.setattr(engine, "scan_steps", marked)
    patch.setattr(engine, "repaired", marked_again)
