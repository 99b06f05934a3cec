"""What no plan can be made of is refused in words of the library: texts, and traced values."""

import json
import re
from functools import partial

import jax
import jax.numpy as jnp
import pytest

import parascan as ps
from parascan.planning import Plan
from parascan.programs.machine import Machine


def contracting(size, length):
    weights = 0.4 * jax.random.normal(jax.random.key(0), (size, size)) / size**0.5
    xs = jax.random.normal(jax.random.key(1), (length, size))
    return lambda s, x: jnp.tanh(weights @ s + x), jnp.zeros(size), xs


NO_OBJECT = {
    "": "no JSON",
    "{": "no JSON",
    "null": "JSON without fields",
    "[]": "JSON without fields",
    "3": "JSON without fields",
}


@pytest.mark.parametrize("text", NO_OBJECT)
@pytest.mark.parametrize("kind", [Plan, Machine])
def test_text_without_fields_is_refused_in_words(kind, text):
    words = rf"text: given {re.escape(repr(text))}, .*{NO_OBJECT[text]}, expected what to_json"
    with pytest.raises(ValueError, match=words) as refused:
        kind.from_json(text)
    assert "Error" not in str(refused.value)


@pytest.mark.slow
def test_fields_that_are_not_those_of_a_plan_are_refused_in_words():
    with pytest.raises(ValueError, match="text: given a plan of form None, expected form 1"):
        Plan.from_json("{}")
    with pytest.raises(ValueError, match="fields are not those of one"):
        Plan.from_json('{"form": 1}')
    stored = ps.plan(*contracting(2, 100), measure=False).to_json()
    with pytest.raises(ValueError, match="without candidates"):
        Plan.from_json(json.dumps({**json.loads(stored), "candidates": []}))


@pytest.mark.parametrize("transform", [jax.jit, jax.grad])
@pytest.mark.parametrize("method", [ps.plan, partial(ps.diagnose, key=jax.random.key(0))], ids=["plan", "diagnose"])
@pytest.mark.slow
def test_what_has_to_see_numbers_refuses_traced_ones_in_words(transform, method):
    step, init, xs = contracting(2, 100)

    def of_state(factor):
        return method(step, factor * init, xs).length * factor

    def of_step(factor):
        return method(lambda s, x: step(factor * s, x), init, xs).length * factor

    with pytest.raises(
        TypeError, match=r"init, xs, key: given traced values, expected .*outside of jit, vmap and grad"
    ):
        transform(of_state)(1.0)
    with pytest.raises(TypeError, match=r"step: given traced values, expected .*outside of jit, vmap and grad"):
        transform(of_step)(1.0)
