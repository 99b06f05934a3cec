"""Importing parascan changes nothing but `sys.modules`, and offers a short list of names."""

import ast
import inspect
import json
import subprocess
import sys
from pathlib import Path

from repository import PACKAGE, parse

import parascan as ps

# Runs in a process of its own. Only a backend that nothing has touched accepts another number of devices.
PROBE = """
import json, logging, os, sys, warnings
import equinox, jax, jax.numpy, jaxtyping, numpy

def state():
    loggers = [logging.root, *(logging.getLogger(name) for name in sorted(logging.root.manager.loggerDict))]
    return {
        "jax configuration": {name: repr(value) for name, value in jax.config.values.items()},
        "environment": dict(os.environ),
        "warning filters": [repr(entry) for entry in warnings.filters],
        "numpy error state": numpy.geterr(),
        "log handlers": [[logger.name, logger.level, len(logger.handlers)] for logger in loggers if logger.handlers],
    }

before, loaded = state(), set(sys.modules)
PLACE_OF_THE_STATEMENT
after, new = state(), set(sys.modules) - loaded
known = {name.split(".")[0] for name in loaded} | set(sys.stdlib_module_names)
try:
    jax.config.update("jax_num_cpu_devices", 3)
    untouched = len(jax.devices()) == 3
except RuntimeError:
    untouched = False
print(json.dumps({
    "changed": [key for key in before if before[key] != after[key]],
    "packages": sorted({name.split(".")[0] for name in new} - known - {"parascan"}),
    "surface": sorted(new & {"parascan." + unit for unit in ("paper", "cli", "plot", "report")}),
    "arrays": len(jax.live_arrays()),
    "backend untouched": untouched,
}))
"""
CLEAN = {"changed": [], "packages": [], "surface": [], "arrays": 0, "backend untouched": True}
SNAPSHOT = Path(__file__).with_name("public_names.txt")
MOST_PUBLIC_NAMES = 45
MOST_MODULES = 5


def probe(statement: str) -> dict:
    """What a statement changes in a fresh interpreter that has JAX and equinox loaded already."""
    command = [sys.executable, "-c", PROBE.replace("PLACE_OF_THE_STATEMENT", statement)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])


def exported() -> list[str]:
    """Names that the package re-exports, in the form `from x import name as name`."""
    nodes = [node for node in parse(PACKAGE / "__init__.py").body if isinstance(node, ast.ImportFrom)]
    names = [alias.name for node in nodes for alias in node.names if alias.name == alias.asname]
    return [name for name in names if not name.startswith("_")]


def test_importing_parascan_leaves_no_trace():
    assert probe("import parascan") == CLEAN


def test_planted_side_effects_are_seen():
    """Each in its own place, so that none hides another; a backend that is touched leaves no array by itself."""
    assert probe("jax.numpy.zeros(1)") == CLEAN | {"backend untouched": False}
    statements = {
        "jax configuration": "jax.config.update('jax_enable_x64', True)",
        "environment": "os.environ['XLA_FLAGS'] = ''",
        "warning filters": "warnings.simplefilter('ignore')",
        "log handlers": "logging.getLogger('parascan').addHandler(logging.NullHandler())",
    }
    imports = "import matplotlib; import typer; import optax; x = jax.numpy.zeros(1)"
    found = probe("; ".join([*statements.values(), imports]))
    assert set(found["changed"]) == set(statements)
    assert {"matplotlib", "typer", "optax"} <= set(found["packages"])
    assert found["arrays"] == 1


def test_public_names_are_those_of_the_snapshot():
    """A change of the public interface is a change of the snapshot, in the same commit."""
    assert sorted(exported()) == SNAPSHOT.read_text().split()


def test_public_names_are_few_and_exported_once():
    """Folders of the package and modules (`ps.systems`, `ps.nn`, `ps.guesses` and others) have names, and are few."""
    names = exported()
    assert len(names) == len(set(names))
    modules = [name for name in names if inspect.ismodule(getattr(ps, name))]
    assert len(names) - len(modules) <= MOST_PUBLIC_NAMES
    assert len(modules) <= MOST_MODULES


def test_nothing_else_is_public():
    """Whatever `ps.` shows is exported on purpose, or is a folder of the package."""
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    shown = {name for name in vars(ps) if not name.startswith("_")}
    loaded = {name.removeprefix("parascan.") for name in sys.modules if name.startswith("parascan.")}
    assert shown - folders - loaded - set(exported()) == set()
    assert set(exported()) <= shown
