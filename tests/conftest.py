"""What every test may use: at least four devices, both precisions, fresh keys."""

import itertools
import os

import jax
import jax.numpy as jnp
import pytest

# Before any array exists, since the number of devices is fixed from then on. A device for every core, where there are
# more, for examples that ask for all of them.
jax.config.update("jax_num_cpu_devices", max(4, os.cpu_count() or 1))
# Here and now, or an example that asks for every core would set another number where it happens to be run first.
jax.devices("cpu")


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """Each of the two precisions in turn; 64-bit numbers exist only while the test runs."""
    with jax.enable_x64(request.param == "float64"):
        yield jnp.dtype(request.param)


@pytest.fixture
def getkey():
    """A function that returns a fresh random key at every call, and the same keys in every run."""
    counter = itertools.count()
    return lambda: jax.random.fold_in(jax.random.key(0), next(counter))


@pytest.fixture(scope="module", autouse=True)
def bounded_memory():
    """Compiled programs of a module's tests are dropped after it: thousands of them would fill the memory."""
    yield
    jax.clear_caches()
