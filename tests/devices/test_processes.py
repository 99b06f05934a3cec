"""Several processes on one machine, which exchange messages over its own network."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import jax

PROGRAM = Path(__file__).with_name("two_processes.py")


def free_port():
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


def test_two_processes_have_the_answers_of_one():
    """Chunks, Newton, a gradient, a system that does not forget, and a failed solve."""
    address = f"localhost:{free_port()}"
    quickly = {"JAX_DISABLE_MOST_OPTIMIZATIONS": str(jax.config.read("jax_disable_most_optimizations"))}
    kept = {"JAX_COMPILATION_CACHE_DIR": str(jax.config.jax_compilation_cache_dir or "")}
    environment = {**os.environ, **quickly, **kept}
    environment.pop("JAX_NUM_CPU_DEVICES", None)
    command = [sys.executable, str(PROGRAM), address, "2"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen([*command, str(each)], env=environment, **pipes) for each in range(2)]
    try:
        ended = [each.communicate(timeout=300) for each in started]
    finally:
        for each in started:
            each.kill()
    for each, (process, (out, err)) in enumerate(zip(started, ended, strict=True)):
        assert process.returncode == 0, err[-3000:]
        assert f"done {each}" in out, err[-3000:]
