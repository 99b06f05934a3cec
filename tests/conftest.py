"""What every test may use: at least four devices, both precisions, fresh keys, a compiler that is quick."""

import gc
import itertools
import os
import shutil

import jax
import jax.numpy as jnp
import pytest

# Compiling takes most of the time of the tests. These flags make it four times as fast, and what is compiled slower.
# XLA ends the process where it does not know a flag, and the first one is known to JAX 0.10 alone.
EMITTERS = "--xla_cpu_use_fusion_emitters=false" if jax.__version_info__ < (0, 11) else ""
QUICK_XLA_FLAGS = f"{EMITTERS} --xla_cpu_parallel_codegen_split_count=1"
# Devices of a CPU wait for each other for ever where independent messages go out in another order on each of them.
ONE_ORDER = "--xla_cpu_enable_concurrency_optimized_scheduler=false"
MOST_BYTES_OF_PROGRAMS = 2**30


def pytest_addoption(parser):
    parser.addoption(
        "--optimized",
        action="store_true",
        help="compile programs as users do, with all optimizations",
    )


def pytest_configure(config):
    """Settings that JAX reads once, before any array exists; and garbage is looked for less often."""
    gc.set_threshold(10_000, 20, 20)
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {ONE_ORDER}".strip()
    if not config.getoption("optimized"):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICK_XLA_FLAGS}".strip()
        jax.config.update("jax_disable_most_optimizations", True)
        # Where an operation was called from is of use in a profile alone.
        jax.config.update("jax_include_full_tracebacks_in_locations", False)
        jax.config.update("jax_traceback_in_locations_limit", 0)
    if hasattr(config, "cache"):
        keep_programs(config)
    # The number of devices is fixed from the first array on. A device for every core, where there are more, for
    # examples that ask for all of them: another number would be set where such an example happens to be run first.
    jax.config.update("jax_num_cpu_devices", max(4, os.cpu_count() or 1))
    jax.devices("cpu")


def pytest_collection_finish():
    """What is there before the first test stays; looking for garbage among it took a tenth of the time."""
    gc.collect()
    gc.freeze()


def keep_programs(config):
    """Workers, modules and later runs share compiled programs, which JAX knows by all that they depend on."""
    folder = config.cache.mkdir("programs")
    is_worker = hasattr(config, "workerinput")
    if not is_worker and sum(path.stat().st_size for path in folder.iterdir()) > MOST_BYTES_OF_PROGRAMS:
        shutil.rmtree(folder)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


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
