"""What every test may use: four simulated devices, both precisions, fresh keys."""

import itertools

import jax
import jax.numpy as jnp
import pytest

# Before any array exists, since the number of devices is fixed from then on.
jax.config.update("jax_num_cpu_devices", 4)


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
