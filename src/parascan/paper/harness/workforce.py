"""Who measures the points: this process, several of this machine, or a Dask cluster."""

import contextlib
import importlib.util
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import jax

from ...api.extras import missing
from ...api.sweeping import Here
from .provenance import hardware

Measure: TypeAlias = Callable[[Any, Path], Mapping[str, Any]]
"""What measures a point."""

ONE_THREAD = {
    "NPROC": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}
"""Environment of a worker: a thread each, so that workers do not stand in each other's way and sum in one order."""


@dataclass(frozen=True)
class Workforce:
    """Executes measurements.

    Attributes:
        executor: of the standard library's kind.
        hands: how many measurements run at a time.
        perform: what is executed: a measurement's values and what they were computed with.
    """

    executor: Executor
    hands: int
    perform: Callable[..., tuple[dict, dict]]


@contextlib.contextmanager
def workforce(workers: int, scheduler: str | None = None) -> Iterator[Workforce]:
    """Those who measure, for as long as the context lasts.

    Args:
        workers: processes of this machine; 0 for this process itself, which then measures point after point, with all
            its threads, whose sums may differ from those of one thread in the last digits.
        scheduler: address of a Dask scheduler, in place of processes of this machine.

    Raises:
        ImportError: a scheduler is given and ``distributed`` is not installed.
        OSError: the scheduler cannot be reached.
    """
    if scheduler is not None:
        yield from _cluster(scheduler)
    elif workers == 0:
        yield Workforce(Here(), 1, perform)
    else:
        yield from _processes(workers)


MOST_MAPS = 20_000
"""Maps of memory from which a worker drops its compiled programs."""


def perform(measure: Measure, point: Any, folder: Path) -> tuple[dict, dict]:
    """Values of a point and what they were computed with; runs wherever the workforce is.

    Args:
        measure: a function of a module.
        point: what to measure.
        folder: the point's own.
    """
    _make_room()
    started = time.perf_counter()
    with jax.enable_x64(True):
        values = dict(measure(point, folder))
        return values, {"hardware": hardware(), "seconds": time.perf_counter() - started}


def _make_room() -> None:
    """Drop compiled programs when there are many: each holds maps of memory, of which Linux gives a process 65530."""
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_text().count("\n") > MOST_MAPS:
        jax.clear_caches()


def perform_on_cluster(measure: Measure, point: Any, folder: Path) -> tuple[dict, dict]:
    """``perform`` in a worker that somebody else started: what it did not set itself is as in our own workers.

    Args:
        measure: a function of a module.
        point: what to measure.
        folder: the point's own.
    """
    for name, value in ONE_THREAD.items():
        os.environ.setdefault(name, value)
    return perform(measure, point, folder)


def _processes(workers: int) -> Iterator[Workforce]:
    """Processes that end with this one, however it ends, and at once when the context is left."""
    context = multiprocessing.get_context("spawn")
    # Nothing is ever sent: the end of the stream, which comes when this process closes it or dies, is the message.
    reader, writer = context.Pipe(duplex=False)
    with _environment(ONE_THREAD):
        executor = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(reader,))
        try:
            yield Workforce(executor, workers, perform)
        finally:
            writer.close()
            executor.shutdown(wait=True, cancel_futures=True)
            reader.close()


def _begin(lifeline: Any) -> None:
    """Prepare a worker: Ctrl-C is left to the process that started it, and the end of that process is its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def follow() -> None:
        with contextlib.suppress(EOFError, OSError):
            lifeline.recv_bytes()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@contextlib.contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for processes that are started meanwhile; flags are added to those that are there."""
    before = dict(os.environ)
    settings = {**settings, "XLA_FLAGS": f"{before.get('XLA_FLAGS', '')} {settings['XLA_FLAGS']}".strip()}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name in settings:
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)


def _cluster(scheduler: str) -> Iterator[Workforce]:
    """A Dask cluster; its workers need parascan, and a folder that they share only to take up long points again."""
    if importlib.util.find_spec("distributed") is None:
        raise ImportError(missing("distributed", "a scheduler needs", "cluster"))
    from distributed import Client

    with Client(scheduler, timeout=10) as client:
        threads = cast(dict[str, int], client.ncores())
        hands = max(1, sum(threads.values()))
        yield Workforce(client.get_executor(pure=False, retries=2), hands, perform_on_cluster)
