"""Tests give the same verdict every time and cannot pass by leaving early."""

import ast

import pytest
from repository import Function, dotted, files, offenders

TESTS = files("tests", suffix=".py")
SEEDED = {"default_rng", "RandomState", "SeedSequence", "PCG64", "Philox"}
TYPES = {"Generator", "BitGenerator"}
CLOCKS = {
    "time",
    "time_ns",
    "perf_counter",
    "perf_counter_ns",
    "monotonic",
    "monotonic_ns",
    "process_time",
    "thread_time",
}


def aliases(tree: ast.Module) -> dict[str, str]:
    """What imported names stand for, as dotted names."""
    known = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known.update({alias.asname or alias.name: alias.name for alias in node.names})
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            known.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return known


def calls(tree: ast.Module) -> list[tuple[str, ast.Call]]:
    """Every call with the full dotted name of what is called."""
    known = aliases(tree)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            head, _, tail = dotted(node.func).partition(".")
            found.append((".".join(part for part in (known.get(head, head), tail) if part), node))
    return found


def unseeded(tree: ast.Module) -> list[str]:
    """Calls whose random numbers differ from run to run or come from state that tests share."""
    found = []
    # A generator may be named like the module that is not imported.
    whole = "random" in aliases(tree).values()
    for called, node in calls(tree):
        module, _, function = called.rpartition(".")
        given = bool(node.args or node.keywords)
        numpy_random = module == "numpy.random" and function not in TYPES and not (function in SEEDED and given)
        from_module = whole or not isinstance(node.func, ast.Attribute)
        standard = module == "random" and from_module and not (function == "Random" and given)
        if numpy_random or standard or called in {"os.urandom", "uuid.uuid4"} or module == "secrets":
            found.append(f"line {node.lineno}: {called}")
    return found


def clocks(tree: ast.Module) -> list[str]:
    """Calls that read or wait for a clock: what they tell depends on the machine."""
    found = []
    for called, node in calls(tree):
        module, _, function = called.rpartition(".")
        if (
            (module == "time" and function in {*CLOCKS, "sleep"})
            or module == "timeit"
            or called.endswith("datetime.now")
        ):
            found.append(f"line {node.lineno}: {called}")
    return found


def own_nodes(function: Function) -> list[ast.AST]:
    """Nodes of a function without those of functions inside it."""
    found, waiting = [], list(function.body)
    while waiting:
        node = waiting.pop()
        found.append(node)
        if not isinstance(node, Function | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))
    return found


def early_returns(tree: ast.Module) -> list[str]:
    """Test functions that return: what follows is not tested, and nobody sees it."""
    tests = [node for node in ast.walk(tree) if isinstance(node, Function) and node.name.startswith("test")]
    return [test.name for test in tests if any(isinstance(node, ast.Return) for node in own_nodes(test))]


def test_randomness_is_seeded():
    assert offenders(unseeded, TESTS) == {}


def test_no_test_reads_a_clock():
    assert offenders(clocks, TESTS) == {}


def test_no_test_returns_early():
    assert offenders(early_returns, TESTS) == {}


@pytest.mark.parametrize(
    ("detector", "source"),
    [
        (unseeded, "import numpy as np\nnp.random.normal(3)"),
        (unseeded, "import numpy as np\nnp.random.default_rng()"),
        (unseeded, "from numpy.random import default_rng\ndefault_rng()"),
        (unseeded, "import random\nrandom.random()"),
        (unseeded, "from random import shuffle\nshuffle([])"),
        (clocks, "import time\nassert time.perf_counter() < 1"),
        (clocks, "from time import monotonic as now\nnow()"),
        (clocks, "import timeit\ntimeit.timeit('1')"),
        (early_returns, "def test_a():\n    if True:\n        return\n    assert False"),
        (early_returns, "class TestA:\n    def test_a(self):\n        with x:\n            return"),
    ],
)
def test_a_planted_violation_is_seen(detector, source):
    assert detector(ast.parse(source)) != []


@pytest.mark.parametrize(
    ("detector", "source"),
    [
        (unseeded, "import numpy as np\nnp.random.default_rng(0).normal(3)"),
        (unseeded, "import numpy as np\nrandom = np.random.default_rng(0)\nrandom.normal(3)"),
        (unseeded, "import jax\njax.random.normal(jax.random.key(0))"),
        (clocks, "import time\ntime.strftime('%Y')"),
        (early_returns, "def test_a():\n    def f():\n        return 1\n    assert f() == 1"),
    ],
)
def test_innocent_code_passes(detector, source):
    assert detector(ast.parse(source)) == []
