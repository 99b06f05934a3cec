"""A sweep that was stopped goes on where it was, and never with numbers of another one."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import some

KEY = jax.random.key(1)
GAINS = np.array([0.3, 0.5, 0.8, 1.2])


class Maker:
    """A function that counts how often it is called."""

    def __init__(self, weight=1.0, failing=()):
        self.weight, self.failing, self.calls = weight, set(failing), []

    def __call__(self, gain):
        self.calls.append(float(gain))
        if float(gain) in self.failing:
            raise ValueError("planted")
        scale = gain * self.weight
        return (lambda s, x: scale * jnp.sin(s) + x), jnp.ones(3), jnp.full((120, 3), 0.1)


def run(path, make=None, gains=GAINS, **options):
    return ps.sweep_parameters(
        make or Maker(), {"gain": gains}, **{"key": KEY, "store": path, "budget": 200, **options}
    )


def same(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_an_interrupted_sweep_goes_on_and_ends_the_same(tmp_path):
    path, whole = tmp_path / "deep" / "sweep.json", run(None)

    def stop(at):
        if at.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(path, progress=stop)
    assert len(json.loads(path.read_text())["points"]) == 2
    assert [each.name for each in path.parent.iterdir()] == ["sweep.json"]
    make = Maker()
    again = run(path, make)
    same(again, whole)
    # The first of its calls looks whether the file belongs to it.
    assert make.calls[1:] == GAINS[2:].tolist()
    make = Maker()
    same(run(path, make), whole)
    assert len(make.calls) == 1


def test_other_values_go_on_from_the_points_that_are_known(tmp_path):
    path = tmp_path / "sweep.json"
    run(path, gains=[0.3, 0.8])
    make = Maker()
    finer = run(path, make, gains=[0.3, 0.4, 0.8])
    assert make.calls[1:] == [0.4]
    same(finer, run(None, gains=[0.3, 0.4, 0.8]))


def test_points_that_failed_are_tried_again(tmp_path):
    path = tmp_path / "sweep.json"
    first = run(path, Maker(failing=[0.5]))
    assert "planted" in first.reason[1]
    assert (first.reason != "").sum() == 1
    make = Maker()
    second = run(path, make)
    assert (second.reason == "").all()
    assert make.calls[1:] == [0.5]


def test_numbers_that_json_does_not_have_come_back(tmp_path):
    def make(gain):
        return (lambda s, x: jnp.where(gain > 0.5, jnp.inf, 0.0) * s), jnp.ones(2), jnp.ones((60, 1))

    first = run(tmp_path / "s.json", make, gains=[0.3, 0.8])
    assert np.isneginf(first.exponent.value[0])
    assert np.isnan(first.exponent.value[1])
    same(run(tmp_path / "s.json", make, gains=[0.3, 0.8]), first)


OTHERS = {
    "key": {"key": jax.random.key(2)},
    "solver": {"solver": ps.quasi_deer()},
    "criterion": {"criterion": ps.Merit(1e-6)},
    "max_iterations": {"max_iterations": 50},
    "length": {"length": 100},
    "budget": {"budget": 300},
    "another make": {"make": Maker(weight=0.9)},
}


@pytest.mark.parametrize("name", some(OTHERS, "another make"))
def test_a_file_of_another_sweep_is_refused(tmp_path, name):
    path = tmp_path / "sweep.json"
    run(path, gains=[0.3])
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"written (with|for) {name}"):
        run(path, **OTHERS[name])
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"points": 3, "checked": {}}'])
def test_a_file_that_is_none_of_a_sweep_is_refused(tmp_path, content):
    path = tmp_path / "sweep.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="no file of a sweep"):
        run(path)
    assert path.read_text() == content
