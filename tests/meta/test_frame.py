"""The lock covers what the package asks for, and the fixtures do what their names say."""

import re
import tomllib

import jax
import jax.numpy as jnp
import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from repository import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()
PIN = re.compile(r"^([\w.-]+)==(\S+)", re.M)
PINNED = dict(PIN.findall(LOCK))
EXTRAS = PROJECT["project"]["optional-dependencies"]
NEEDED = [*PROJECT["project"]["dependencies"], *EXTRAS["dev"], *EXTRAS["plot"], *PROJECT["build-system"]["requires"]]


@pytest.mark.parametrize("needed", NEEDED)
def test_lock_satisfies_what_the_package_asks_for(needed):
    requirement = Requirement(needed)
    assert requirement.specifier.contains(PINNED[requirement.name])


def test_newest_lock_satisfies_what_the_package_asks_for():
    """Under the newest Python: whatever is asked for there is pinned, and JAX is newer than in the other lock."""
    newest = dict(PIN.findall((ROOT / "requirements-newest.lock").read_text()))
    needed = [Requirement(each) for each in PROJECT["project"]["dependencies"]]
    there = [each for each in needed if not each.marker or each.marker.evaluate({"python_version": "3.13"})]
    assert [each.name for each in there if not each.specifier.contains(newest[each.name])] == []
    assert Version(newest["jax"]) > Version(PINNED["jax"])


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-newest.lock", "requirements-docs.lock"])
def test_lock_pins_every_line(lock):
    text = (ROOT / lock).read_text()
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert len(lines) == len(PIN.findall(text)) > 20


def test_dependencies_have_lower_bounds_only():
    operators = {clause.operator for extra in NEEDED for clause in Requirement(extra).specifier}
    assert operators == {">="}


def test_dtype_is_the_precision_of_new_arrays(dtype):
    assert jnp.zeros(2).dtype == jnp.asarray(0.5).dtype == dtype


def test_precision_outside_the_fixture_is_the_default():
    assert jnp.zeros(2).dtype == jnp.float32


def test_several_devices_are_simulated():
    assert len(jax.devices("cpu")) >= 4


def test_keys_are_fresh(getkey):
    first, second = getkey(), getkey()
    assert not jnp.array_equal(jax.random.key_data(first), jax.random.key_data(second))
