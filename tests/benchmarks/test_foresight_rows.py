"""The systems on which an earlier diagnosis was sure and wrong, diagnosed anew."""

import jax
import pytest
from benchmarks.foresight.answers import answer
from benchmarks.foresight.judge import judge
from benchmarks.foresight.systems import ROWS, systems

QUICK = ("sir 0",)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ROWS]
)
def test_no_diagnosis_is_sure_and_wrong(name):
    with jax.enable_x64(True):
        (system,) = systems(only=name)
        said = answer(system, seed=1)
    found = judge(name, system.kind, system.half, system.truth, said)
    assert found.wrong == ""
    assert found.held
