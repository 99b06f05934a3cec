"""Programs of the tests, started as several processes on this machine, which exchange messages over its own network."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax

LONGEST = 300
"""Seconds after which processes that wait for each other are ended."""


def free_port():
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def started(program, *words, count=2):
    """The processes of a program; they are ended with the context."""
    quickly = {"JAX_DISABLE_MOST_OPTIMIZATIONS": str(jax.config.read("jax_disable_most_optimizations"))}
    kept = {"JAX_COMPILATION_CACHE_DIR": str(jax.config.jax_compilation_cache_dir or "")}
    environment = {**os.environ, **quickly, **kept}
    environment.pop("JAX_NUM_CPU_DEVICES", None)
    command = [sys.executable, str(Path(__file__).with_name(program)), f"localhost:{free_port()}", str(count)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    found = [
        subprocess.Popen([*command, str(each), *map(str, words)], env=environment, **pipes) for each in range(count)
    ]
    try:
        yield found
    finally:
        for each in found:
            each.kill()
            each.communicate()


def finished(program, *words, count=2):
    """What every process of a program has said, after all have ended well."""
    with started(program, *words, count=count) as processes:
        ended = [each.communicate(timeout=LONGEST) for each in processes]
        for process, (_, err) in zip(processes, ended, strict=True):
            assert process.returncode == 0, err[-3000:]
    return [said(out) for out, _ in ended]


def said(out):
    """The lines of a program, without those of the library that exchanges messages."""
    return [line for line in out.splitlines() if not line.startswith("[Gloo]")]
