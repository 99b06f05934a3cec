"""How the programs of the tests become one of several processes: ``ADDRESS COUNT NUMBER``, and further words."""

import sys

import jax


def start(**options):
    """Begin; the number of this process, that of all, and the further words of the command line."""
    address, count, process = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    jax.config.update("jax_num_cpu_devices", 1)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(address, count, process, **options)
    return process, count, sys.argv[4:]


def say(text):
    """A line for the test that has started this process."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
