"""Wrong sizes, states, lengths and weights of layers end in a sentence before anything is compiled."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

import parascan as ps

KEY = jax.random.key(0)
XS = jnp.ones((6, 3))


def recurrent(inputs=3, hidden=4, cell=ps.nn.GRUCell, **options):
    return ps.nn.Recurrent(cell(inputs, hidden, key=KEY), **options)


def custom(inputs=3):
    return ps.nn.Recurrent(ps.nn.Custom(eqx.nn.GRUCell(inputs, 4, key=KEY), jnp.zeros(4)))


def contractive(**options):
    return ps.nn.ContractiveCell(3, 4, key=KEY, **options)


CALLS = {
    "state size": (
        lambda: recurrent()(XS, jnp.zeros(5)),
        ValueError,
        r"state: given float32\[5\], expected float32\[4\]",
    ),
    "state batch": (lambda: recurrent()(XS, jnp.zeros((2, 4))), ValueError, r"state: given .*\[2, 4\].*jax.vmap"),
    "state kind": (lambda: recurrent()(XS, jnp.zeros(4, int)), TypeError, "state: given int32.*expected the dtypes"),
    "state tree": (
        lambda: recurrent(cell=ps.nn.LSTMCell)(XS, jnp.zeros(4)),
        ValueError,
        r"state: given float32\[4\], expected \(float32\[4\], float32\[4\]\)",
    ),
    "state text": (lambda: recurrent()(XS, "last"), TypeError, "state: given leaves that are not all arrays"),
    "state of rollout": (lambda: recurrent().rollout(XS, jnp.zeros(5)), ValueError, r"state: given float32\[5\]"),
    "state of step": (lambda: recurrent().step(XS[0], jnp.zeros(5)), ValueError, r"state: given float32\[5\]"),
    "state of custom": (lambda: custom()(XS, jnp.zeros(5)), ValueError, r"state: given float32\[5\], expected"),
    "input of step": (lambda: recurrent().step(XS[0, :2]), ValueError, r"x: given \[2\], expected \[3\]"),
    "dtype of step": (lambda: recurrent().step(XS[0] * 1j), TypeError, "x: given dtype complex64, expected float32"),
    "input of custom": (lambda: custom(5)(XS), TypeError, "xs, state: given .* expected what the cell GRUCell takes"),
    "length above": (lambda: recurrent()(XS, length=7), ValueError, "length: given 7, expected 0 to 6"),
    "length below": (lambda: recurrent()(XS, length=-1), ValueError, "length: given -1, expected 0 to 6"),
    "length of both": (
        lambda: ps.nn.stack(ps.nn.GRUCell, 3, 4, bidirectional=True, key=KEY)(XS, length=9),
        ValueError,
        "length: given 9",
    ),
    "sizes of a stack": (
        lambda: ps.nn.Stacked((recurrent(), recurrent(5))),
        ValueError,
        r"layers\[1\]: given one that takes 5 entries, expected 4, as layers\[0\]",
    ),
    "sizes above both": (
        lambda: ps.nn.Stacked((ps.nn.stack(ps.nn.GRUCell, 3, 4, bidirectional=True, key=KEY), recurrent(4))),
        ValueError,
        r"layers\[1\]: given one that takes 4 entries, expected 8",
    ),
    "sizes of both": (
        lambda: ps.nn.Bidirectional(recurrent(), recurrent(2, reverse=True)),
        ValueError,
        "backward: given one that takes 2 entries, expected 3",
    ),
    "cell of a stack": (
        lambda: ps.nn.stack(ps.nn.GRUCell(3, 4, key=KEY), 3, 4, key=KEY),  # pyright: ignore
        TypeError,
        "cell: given GRUCell, expected the class of a cell",
    ),
    "weight": (lambda: contractive(weight=3), TypeError, "weight: given int, which is no class, expected a class"),
    "weight made": (
        lambda: contractive(weight=ps.nn.ScaledWeight(4, key=KEY)),
        TypeError,
        "weight: given ScaledWeight, which is no class",
    ),
    "weight function": (lambda: contractive(weight=jnp.tanh), TypeError, "weight: given tanh, which cannot be called"),
    "weight kind": (
        lambda: contractive(weight=ps.nn.DiagonalMetric),
        TypeError,
        "weight: given DiagonalMetric, which makes a DiagonalMetric, expected",
    ),
    "weight size": (
        lambda: contractive(weight=lambda size, **options: ps.nn.ScaledWeight(5, **options)),
        ValueError,
        r"weight: given <lambda>, which makes one of shape \(5, 5\), expected \(4, 4\)",
    ),
    "metric kind": (
        lambda: contractive(metric=ps.nn.ScaledWeight),
        TypeError,
        "metric: given ScaledWeight, which",
    ),
    "metric": (lambda: contractive(metric="full"), TypeError, "metric: given str, which is no class"),
}


@pytest.mark.parametrize("case", CALLS)
def test_a_sentence_names_the_argument(case):
    call, error, message = CALLS[case]
    with pytest.raises(error, match=message):
        call()


@pytest.mark.slow
def test_what_fits_is_taken():
    jax.jit(lambda xs, n: recurrent()(xs, length=n))(XS, 6)
    recurrent()(XS, jnp.zeros(4).astype("float32"), length=0)
    recurrent(cell=ps.nn.LSTMCell)(XS, (jnp.zeros(4), jnp.zeros(4)))
    ps.nn.Stacked((ps.nn.stack(ps.nn.GRUCell, 3, 4, bidirectional=True, key=KEY), recurrent(8)))
    ps.nn.Stacked((recurrent(), ps.nn.Recurrent(ps.nn.Custom(eqx.nn.GRUCell(4, 4, key=KEY), jnp.zeros(4)))))(XS)
