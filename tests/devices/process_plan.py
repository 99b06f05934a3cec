"""One of several processes: what is chosen from values, timings and the machine is chosen by the first of them."""

import sys

from process_start import say, start

process, count, _ = start()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

import parascan as ps  # noqa: E402
from parascan.programs import built_in, processes  # noqa: E402

T, D = 4096, 4
MESH = jax.make_mesh((count,), ("time",))
SPREAD = jax.NamedSharding(MESH, jax.P("time"))
WEIGHTS = np.random.default_rng(0).normal(size=(D, D)).astype(np.float32) * 0.1
INPUTS = np.random.default_rng(1).normal(size=(T, D)).astype(np.float32)
OWN = slice(process * T // count, (process + 1) * T // count)


def step(s, x):
    s = jnp.tanh(WEIGHTS @ s + x)
    return s, 2 * s


def alike(text):
    """The same text on all processes."""
    texts = processes.texts_of_all(text, MESH)
    assert len(set(texts)) == 1, texts
    return text


def raised(function):
    try:
        function()
    except Exception as error:
        return type(error), str(error)
    raise AssertionError("no error")


# Processors that differ: each process knows another one, and its clock another time.
known = {"near_bytes": 2**14 * (process + 1), "far_bytes": 2**24 * (process + 1), "cores": 3 * process + 2}
built_in.detected = lambda: known
for module in (sys.modules[f"parascan.planning.{name}"] for name in ("measure", "plan")):
    for name in ("seconds_of", "seconds_of_call"):
        if hasattr(module, name):
            timed = getattr(module, name)
            setattr(module, name, lambda *args, timed=timed: timed(*args) * (1 + 1000 * process))

alike(repr(built_in.here("cpu")))  # the built-in record, before they have agreed
assert built_in.here("cpu").origin == "built-in"

inputs = jax.make_array_from_process_local_data(SPREAD, INPUTS[OWN])
expected = jax.lax.scan(step, jnp.zeros(D), INPUTS)[1][OWN]


@jax.jit
def compiled(xs):
    """The agreement is made while a program is traced."""
    return ps.scan(step, jnp.zeros(D), xs, mesh=MESH)[1]


np.testing.assert_allclose(compiled(inputs).addressable_data(0), expected, atol=1e-5)
assert built_in.here("cpu").near_bytes == 2**14
assert built_in.here("cpu").cores == 2
alike(repr(built_in.here("cpu", double=True)))

made = ps.plan(step, jnp.zeros(D), INPUTS, mesh=MESH)
alike(made.to_json())
assert made.devices == count
ys = ps.scan(step, jnp.zeros(D), inputs, solver=made, mesh=MESH)[1]
np.testing.assert_allclose(ys.addressable_data(0), expected, atol=1e-5)

# Inputs that no process has as a whole bring their mesh with them, and are gathered.
of_spread = ps.plan(step, jnp.zeros(D), inputs, measure=False)
alike(of_spread.to_json())
assert of_spread.devices == count
processes.MOST_GATHERED = 100
assert "expected 100 at most" in raised(lambda: ps.plan(step, jnp.zeros(D), inputs))[1]

# An error of one process is one of all.
kind, text = raised(lambda: ps.plan(step, jnp.zeros(D), INPUTS, mesh=MESH, batch=1 if process else 0))
assert kind is ValueError
assert text.startswith("batch: given 0" if process == 0 else "on process 0: batch: given 0")


def second():
    if process == 1:
        raise KeyError("planted")
    return ""


kind, text = raised(lambda: processes.agreed(second, MESH))
assert (kind, text) == ((KeyError, "'planted'") if process else (RuntimeError, "on process 1: KeyError: 'planted'"))
assert processes.texts_of_all("é" * process, MESH) == ["", "é"]
say(f"done {process}")
