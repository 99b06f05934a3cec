"""Double precision for all tests of sweeps, diagnoses that compile nothing, and a count of compiled programs."""

import contextlib
from types import SimpleNamespace

import jax
import pytest

from parascan.api.sweeping import measure_point as measure
from parascan.diagnostics.estimate import estimate_of


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@pytest.fixture(autouse=True)
def diagnose(request, monkeypatch):
    """A diagnosis of fixed numbers, since a real one compiles for seconds; real where a test is marked so."""
    fixed = SimpleNamespace(verdict="marginal", iterations={"newton": estimate_of(3.0, 2.0, 5.0, "fixed", "", 0.9)})
    if "real_diagnosis" not in request.fixturenames:
        monkeypatch.setattr(measure, "diagnose", lambda *call, **options: fixed)


@pytest.fixture
def real_diagnosis():
    """Asks for what ``ps.diagnose`` says."""


@pytest.fixture
def compiled():
    """A context that lists the programs compiled in it."""

    @contextlib.contextmanager
    def watch():
        seen = []

        def note(name, duration, **rest):
            if name.endswith("backend_compile_duration"):
                seen.append(name)

        jax.monitoring.register_event_duration_secs_listener(note)
        try:
            yield seen
        finally:
            jax.monitoring.unregister_event_duration_listener(note)

    return watch
