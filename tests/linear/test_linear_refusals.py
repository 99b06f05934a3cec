"""Wrong arguments are refused with their name, what was given and what was expected; choices explain themselves."""

import re

import jax
import jax.numpy as jnp
import linear_members as members
import numpy as np
import pytest

import parascan.linear
from combinations import fewer
from parascan.linear import (
    BlockTransition,
    DenseTransition,
    DiagonalTransition,
    MatrixFreeTransition,
    ScalarTransition,
    ZeroTransition,
    choose_backend,
    explain_backend,
    linear_recurrence,
)
from parascan.linear.backend_choice import LONG as STEPS_OF_A_CHUNK
from parascan.linear.backend_choice import SHORT
from parascan.linear.backends import BACKENDS
from parascan.programs.built_in import here

T, D = 6, 2
WIDE = 32
"""Size from which the shortest recurrences that are long have many entries."""
LONG = STEPS_OF_A_CHUNK * here("gpu").products
b = jnp.ones((T, D))
dense = DenseTransition(jnp.ones((T, D, D)))


def identity_product(row, v):
    return row * v


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: linear_recurrence(dense, b[:, 0]), r"b: given shape \(6,\), expected \[T D\]"),
        (lambda: linear_recurrence(dense, b.astype(int)), "b: given dtype int32, expected a floating"),
        (lambda: linear_recurrence(jnp.ones((T, D, D, 1)), b), r"A: given shape \(6, 2, 2, 1\), expected a transition"),
        (lambda: linear_recurrence(jnp.ones((T - 1, D, D)), b), r"A: given length 5, expected 6, as in b .*\(6, 2\)"),
        (lambda: linear_recurrence(jnp.ones((T, D + 1)), b), "A: given size 3, expected 2, as in b"),
        (lambda: linear_recurrence(dense, b.astype(jnp.float16)), "A: given dtype float32, expected float16, as in b"),
        (lambda: linear_recurrence(dense, b, jnp.ones(3)), r"s0: given shape \(3,\) .* expected shape \(2,\)"),
        (lambda: linear_recurrence(dense, b, jnp.ones(2, jnp.float16)), "s0: given .*float16, expected .*float32"),
        (lambda: linear_recurrence(dense, b, b[0], transpose=True), "s0: given together with transpose=True"),
        (lambda: linear_recurrence(dense, b, backend="tree"), "backend: given 'tree', expected 'auto' or .*'chunked'"),
        (lambda: DenseTransition(jnp.ones((T, D))), r"matrices: given shape \(6, 2\), expected \[T D D\]"),
        (lambda: DenseTransition(jnp.ones((T, D, 3))), r"matrices: given shape \(6, 2, 3\), expected square"),
        (lambda: DenseTransition(jnp.ones((T, D, D), int)), "matrices: given dtype int32, expected a floating"),
        (lambda: DiagonalTransition(jnp.ones(T)), r"diagonal: given shape \(6,\), expected \[T D\]"),
        (lambda: ScalarTransition(jnp.ones((T, 1)), D), r"factors: given shape \(6, 1\), expected \[T\]"),
        (lambda: ScalarTransition(jnp.ones(T), -1), "size: given -1, expected 0 or more"),
        (lambda: ZeroTransition(-1, D, jnp.float32), "length: given -1, expected 0 or more"),
        (lambda: BlockTransition(jnp.ones((T, 1, D))), r"matrices: given shape \(6, 1, 2\), expected \[T N k k\]"),
        (lambda: BlockTransition(jnp.ones((T, 1, D, 3))), "matrices: given .* expected square blocks"),
        (lambda: BlockTransition(jnp.ones((T, 1, D, D)), (0, 2)), r"permutation: given \(0, 2\), expected each of"),
        (lambda: MatrixFreeTransition(identity_product, (), D), "operands: given no floating array"),
        (lambda: MatrixFreeTransition(identity_product, (), D, jnp.float32), r"operands: given leading shapes \[\]"),
        (
            lambda: MatrixFreeTransition(identity_product, (b, b[1:]), D),
            r"operands: given leading shapes \[\(5,\), \(6,\)\], expected arrays that share",
        ),
        (
            lambda: MatrixFreeTransition(lambda row, v: v[:1], b, D),
            r"apply_one: given one that maps shape \(2,\) .* to shape \(1,\)",
        ),
        (
            lambda: MatrixFreeTransition(lambda row, v: v.astype(jnp.float16), b, D),
            "apply_one: given .* and dtype float16, expected the shape and dtype",
        ),
    ],
)
def test_a_wrong_argument_is_named_with_what_was_expected(call, text):
    with pytest.raises(ValueError, match=text):
        call()


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name not in ("sequential", "contracting")])
def test_matrix_free_products_cannot_be_multiplied(backend):
    transition = MatrixFreeTransition(identity_product, b, D)
    with pytest.raises(
        ValueError, match=f"backend: given '{backend}', .*MatrixFreeTransition, expected .*'sequential'"
    ):
        linear_recurrence(transition, b, backend=backend)


def test_refusals_come_before_any_computation():
    with pytest.raises(ValueError, match="A: given length"):
        jax.eval_shape(lambda A: linear_recurrence(A, b), jax.ShapeDtypeStruct((T + 1, D), b.dtype))


@pytest.mark.parametrize("name", members.STRUCTURES)
@pytest.mark.parametrize("platform", ["cpu", "gpu", "tpu"])
@pytest.mark.parametrize("length", [0, 1, SHORT, SHORT + 1, LONG - 1, LONG, 10**6])
def test_choice_is_a_backend_that_supports_the_structure(name, platform, length):
    stored, _, _ = members.draw(name, 3, 4, np.float32)
    transition = members.build(name, stored, 4)
    chosen = choose_backend(transition, length, platform)
    assert isinstance(transition, BACKENDS[chosen].supports)
    reason = explain_backend(transition, length, platform)
    assert reason.startswith(f"{chosen}: ")
    assert len(reason.split()) > 6


def test_choice_follows_structure_platform_and_length():
    diagonal = DiagonalTransition(b)
    assert {choose_backend(dense, length, "cpu") for length in (1, SHORT, LONG, 10**6)} == {"sequential"}
    assert choose_backend(dense, SHORT, "gpu") == "sequential"
    assert choose_backend(dense, SHORT + 1, "gpu") == "associative"
    assert choose_backend(dense, LONG - 1, "gpu") == "associative"
    assert choose_backend(dense, LONG, "gpu") == "associative"
    wide = DenseTransition(jnp.ones((T, WIDE, WIDE)))
    assert choose_backend(wide, LONG - 1, "gpu") == "associative"
    assert choose_backend(wide, LONG, "gpu") == "chunked"
    assert choose_backend(diagonal, LONG, "gpu") == "associative"
    assert choose_backend(dense, LONG) == choose_backend(dense, LONG, jax.devices()[0].platform)


@pytest.mark.parametrize("chosen", fewer(BACKENDS, "associative", "contracting", "chunked"))
def test_auto_runs_what_the_choice_names(chosen, monkeypatch):
    monkeypatch.setattr(parascan.linear.bidiagonal, "choose_backend", lambda *_: chosen)
    jax.clear_caches()

    def primitives(backend):
        program = jax.make_jaxpr(lambda A, b: parascan.linear.Bidiagonal(A, backend).solve(b))(dense, b)
        # Some versions of JAX print the addresses of functions.
        return re.sub(r" at 0x[0-9a-f]+", "", str(program))

    auto = primitives("auto")
    assert [name for name in BACKENDS if primitives(name) == auto] == [chosen]
