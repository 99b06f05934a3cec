"""The judgement of the foretelling: its systems are what they claim to be, and its arithmetic is right."""

import math
from collections import Counter
from dataclasses import asdict

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from benchmarks.foresight import fit, judge, stores, table, truth
from benchmarks.foresight.counts import METHODS
from benchmarks.foresight.families import FAMILIES
from benchmarks.foresight.family import HELD_OUT_VARIANTS, VARIANTS, Family, Variant, noise
from benchmarks.foresight.systems import KINDS, ROWS, half_of, names, systems

from parascan.diagnostics.forecast.fitted import calibration

TRUTH = {
    "length": 1000, "over": -0.05, "later": -0.08, "known": None, "fate": "shrink", "newton": [20, True],
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_member_takes_a_step_to_a_state_of_its_own_kind(family):
    with jax.enable_x64(True):
        inputs = family.drive(0, 5)
        x = None if inputs is None else inputs[0]
        law = jax.jit(family.law)
        for place in range(VARIANTS):
            member = family.member(place)
            after = law(member.start, x, member.numbers)
            assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, member.start)
            assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(after))


@pytest.mark.parametrize("family", [each for each in FAMILIES if each.inputs is not None], ids=lambda each: each.name)
def test_the_first_inputs_of_a_longer_sequence_are_those_of_a_shorter_one(family):
    with jax.enable_x64(True):
        np.testing.assert_array_equal(family.drive(1, 40)[:15], family.drive(1, 15))


def test_names_are_unique_and_members_differ():
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    assert len(names()) == len(FAMILIES) * VARIANTS >= 400
    every = [f"{family.name} {place}" for family, place in names()]
    assert len(set(every)) == len(every)
    assert set(ROWS) <= set(every)


def test_half_of_the_systems_and_a_family_of_each_kind_are_held_out():
    halves = Counter(half_of(*each) for each in names())
    assert 0.4 <= halves["held-out"] / sum(halves.values()) <= 0.6
    for kind in KINDS:
        whole = [f for f in FAMILIES if f.kind == kind and all(half_of(f, k) == "held-out" for k in range(VARIANTS))]
        assert len(whole) == 1
    assert {k for k in range(VARIANTS) if half_of(FAMILIES[0], k) == "held-out"} == set(HELD_OUT_VARIANTS)
    assert len(names(half="fit")) + len(names(half="held-out")) == len(names())


def test_what_is_no_kind_or_half_is_refused():
    with pytest.raises(ValueError, match="kinds: given birds, expected some of maps"):
        names("maps,birds")
    with pytest.raises(ValueError, match="half: given 'third'"):
        names(half="third")


def test_systems_carry_what_is_stored_of_them():
    with jax.enable_x64(True):
        (one,) = systems(only="biquad 2")
    assert one.kind == "filters"
    assert one.xs.shape == (one.length, 1)
    assert one.truth["known"] == pytest.approx(math.log(1 - 0.3**3))


def test_double_precision_is_asked_for():
    with jax.enable_x64(False), pytest.raises(RuntimeError, match="jax_enable_x64: given False"):
        FAMILIES[0].member(0)


@pytest.fixture
def double():
    """Double precision."""
    with jax.enable_x64(True):
        yield


def shrinking(s, x, p):
    return p["rate"] * s + x


def test_the_truth_of_a_linear_system_is_its_rate():
    rates = np.linspace(0.5, 1.5, VARIANTS)
    family = Family("shrinking", "test", shrinking, 200, lambda k, _: Variant({"rate": rates[k]}, np.ones(2)), noise(2))
    with jax.enable_x64(True):
        found = truth.exponents(family)
    for rate, record in zip(rates, found.values(), strict=True):
        for name in ("over", "later"):
            assert record[name] == pytest.approx(math.log(rate), abs=1e-6)
        assert record["fate"] == ("shrink" if rate < 0.95 else "grow" if rate > 1.05 else "neither")
    assert found["shrinking 4"]["apart"] == pytest.approx(math.log(rates[4]), abs=1e-4)


@pytest.mark.usefixtures("double")
def test_what_is_stored_agrees_with_theory():
    known = stores.load(stores.TRUTH)
    assert len(known) == len(names())
    for family, place in names():
        record = known[f"{family.name} {place}"]
        if record["known"] is not None:
            # Repeated eigenvalues add a power of T below D, of which this is left between T and 10 T.
            powers = sum(np.size(leaf) for leaf in jax.tree.leaves(family.member(place).start))
            error = abs(record["later"] - record["known"])
            assert error <= powers * math.log(10) / (9 * record["length"]), family.name
    for name, exponent in {"logistic 6": math.log(2), "logistic 0": math.log(0.8), "bistable 0": -0.105}.items():
        assert known[name]["later"] == pytest.approx(exponent, abs=1e-3)
    # Sprott's tables, per unit of time.
    assert known["henon 6"]["later"] == pytest.approx(0.4192, abs=0.01)
    assert known["lorenz 4"]["later"] / 0.01 == pytest.approx(0.9056, abs=0.03)


@pytest.mark.parametrize(
    ("low", "high", "held"), [(-0.06, -0.04, True), (-0.04, -0.01, False), (-0.049, -0.02, True), (-0.0489, 0, False)]
)
def test_an_interval_holds_within_a_factor_of_e_over_the_run(low, high, held):
    assert judge.holds(low, high, -0.05, 1000) is held


def test_an_exponent_of_minus_infinity_is_held_by_what_reaches_it():
    assert judge.holds(-math.inf, -1.0, -math.inf, 100)
    assert not judge.holds(-50.0, -1.0, -math.inf, 100)


@pytest.mark.parametrize(
    ("verdict", "changes", "wrong"),
    [
        ("predictable", {}, False),
        ("predictable", {"over": 0.0}, True),
        ("predictable", {"known": 0.0}, True),
        ("predictable", {"newton": [501, True]}, True),
        ("predictable", {"newton": [501, False]}, True),
        ("predictable", {"newton": [500, False]}, False),
        ("unpredictable", {}, True),
        ("unpredictable", {"over": 0.05}, False),
        ("unpredictable", {"over": 0.05, "known": 0.0}, True),
        ("unpredictable", {"over": 0.005, "later": 0.0}, True),
        ("unpredictable", {"over": 0.005, "later": 0.005}, False),
        ("undetermined", {}, False),
        ("marginal", {"over": 0.3}, False),
    ],
)
def test_verdicts_are_wrong_as_defined(verdict, changes, wrong):
    assert bool(judge.wrong_verdict(verdict, {**TRUTH, **changes})) is wrong


@pytest.mark.parametrize(
    ("said", "count", "exact", "held"),
    [
        ([20, 10, 30], 10, True, True),
        ([20, 10, 30], 31, True, False),
        ([20, 10, 30], 30, False, False),
        ([20, 10, 31], 30, False, True),
        ([None, 10, None], 10**6, True, True),
    ],
)
def test_forecasts_hold_as_defined(said, count, exact, held):
    assert judge.forecast_holds(said, count, exact) is held


def test_an_error_is_a_wrong_answer_and_shares_are_parts():
    error = judge.judge("a 0", "maps", "fit", TRUTH, {"verdict": "error", "error": "ValueError: no"})
    said = {"verdict": "predictable", "exponent": [-0.05, -0.06, -0.04], "iterations": {"newton": [20, 10, 30]}}
    right = judge.judge("a 1", "maps", "fit", TRUTH, said)
    figures = judge.shares([error, right])
    assert (error.wrong, error.held, right.wrong, right.held) == ("ValueError: no", False, "", True)
    assert (figures["systems"], figures["wrong"], figures["interval holds"]) == (2, 1, 0.5)
    assert figures["newton"] == 1.0
    assert math.isnan(figures["picard"])
    assert right.width == pytest.approx(0.4)
    assert "a 0: error, but ValueError: no" in table.table([error, right])


def test_the_table_in_the_documentation_is_that_of_the_stored_answers():
    text = table.DOCUMENT.read_text()
    written = text.partition(table.BEGIN)[2].partition(table.END)[0].strip()
    assert written == table.document(table.judged()).strip()


def sample(system, low, high=None, situation="forgets"):
    return fit.Sample(system, situation, low, low if high is None else high, high is None)


def test_margins_are_quantiles_over_systems_and_not_over_lengths():
    # One system at a hundred lengths must not outweigh the nineteen others.
    every = [sample(f"s {k}", float(k)) for k in range(19)] + [sample("s 19", 100.0)] * 100
    found = fit.margins(every)
    assert found["any"] == found["forgets"]
    assert found["any"]["low"] == 0.0
    assert found["any"]["high"] == 100.0
    assert 8 <= found["any"]["median"] <= 10


def test_margins_leave_out_a_twentieth_at_each_end_of_many_systems():
    found = fit.margins([sample(f"s {k}", float(k)) for k in range(1000)])["any"]
    assert 40 <= found["low"] <= 51
    assert 948 <= found["high"] <= 959


def test_a_run_that_was_given_up_widens_the_upper_end():
    every = [sample(f"s {k}", 0.0) for k in range(15)] + [sample(f"t {k}", 1.0, 5.0) for k in range(5)]
    assert fit.margins(every)["any"]["high"] == 5.0


def test_a_rare_situation_has_no_margins_of_its_own():
    every = [sample(f"s {k}", float(k)) for k in range(20)] + [sample("t 0", 9.0, situation="open")]
    assert set(fit.margins(every)) == {"any", "forgets"}


@pytest.mark.slow
def test_the_stored_margins_are_those_of_the_fit_half():
    stored = calibration().margins
    for method in METHODS:
        made = fit.margins(fit.samples(method), fitted=method == "newton")
        assert {name: asdict(each) for name, each in stored[method].items()} == made


def test_a_fitted_formula_stays_the_middle_of_its_interval():
    found = fit.margins([sample(f"s {k}", 1.0 + k) for k in range(20)], fitted=True)["any"]
    assert (found["low"], found["median"]) == (0.0, 0.0)
    assert found["high"] == 20.0
