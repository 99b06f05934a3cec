"""One of several processes of a stream, which writes its rows of every piece into a file that all share."""

from pathlib import Path

from process_start import say, start

process, count, (system, steps, folder) = start(heartbeat_timeout_seconds=60, shutdown_timeout_seconds=10)

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

import parascan as ps  # noqa: E402

T, D, WINDOW = int(steps), 3, 120
MESH = jax.make_mesh((count,), ("time",))
WEIGHTS = 0.5 * np.random.default_rng(0).normal(size=(D, D)).astype(np.float32)
INPUTS = np.random.default_rng(1).normal(size=(T, D)).astype(np.float32)


def network(s, x):
    return jnp.tanh(WEIGHTS @ s + x)


def total(s, x):
    return s + x


step, options = {
    "network": (network, {"solver": ps.deer(), "max_iterations": 3}),  # windows that are done in part
    "total": (total, {}),  # does not forget
}[system]
folder = Path(folder)
with (folder / "states").open("ab") as file:
    file.truncate(INPUTS.nbytes)
out = np.memmap(folder / "states", np.float32, "r+", shape=INPUTS.shape)
try:
    for piece in ps.stream(step, jnp.zeros(D), INPUTS, window=WINDOW, mesh=MESH, state_file=folder / "mark", **options):
        out[piece.start : piece.start + len(piece.states)] = piece.states
        out.flush()
        say(piece.start)
except ValueError as error:
    # What a lost connection raises is a ValueError too.
    if "state_file" not in str(error):
        raise
    say(f"refused: {error}")
say("done")
