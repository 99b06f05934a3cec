"""Experiments in the published arithmetic: networks, claims, names, and their place on the page."""

import io
import re
from dataclasses import replace

import jax
import numpy as np
import optax
import pytest

import parascan as ps
from parascan.paper.experiments import registry, table1_published
from parascan.paper.experiments.fig6_measure import published_rate
from parascan.paper.experiments.mean_field import network_of
from parascan.paper.experiments.network_published import Others, Trace, counted, merits, others
from parascan.paper.experiments.published_newton import newton
from parascan.paper.experiments.table1_rows import PUBLISHED, Config
from parascan.paper.harness.claims import Verdict
from parascan.paper.harness.kept_sections import kept
from parascan.paper.harness.page import write_page
from parascan.paper.harness.run import write_dataset
from parascan.pictures import style


@pytest.fixture
def double():
    """Float64."""
    with jax.enable_x64(True):
        yield


def network(gain, length):
    """Step, start, inputs and guess of the network of seed 0."""
    system = ps.systems.tanh_rnn(gain=gain, size=100, key=jax.random.key(0))
    return system.step, system.initial_state, system.inputs(length), network_of(0, length).guess[:length]


@pytest.mark.slow
def test_the_trace_of_a_network_counts_as_the_loop_for_any_system(double):
    found = merits(Trace(0, 2.0, (30, 60), 1e-10))
    short, long = counted(found, np.array([30, 60]), 1e-10)
    assert long == newton(*network(2.0, 60), 1e-10).count
    assert short == newton(*network(2.0, 30), 1e-10).count
    assert 10 < short < long


def test_counts_are_updates_plus_one_and_t_at_most():
    found = np.array([[1.0, 1.0, 1.0], [0.1, 1.0, 1.0], [0.0, 0.1, 1.0]])
    np.testing.assert_array_equal(counted(found, np.array([9, 9, 50]), 0.5), [2, 3, 4])
    np.testing.assert_array_equal(counted(found, np.array([1, 2, 3]), 0.5), [1, 2, 3])


def test_quasi_newton_and_descent_count_as_the_published_loops(double):
    gain, length, tolerance = 0.5, 60, 1e-4
    found = others(Others(0, gain, length, tolerance))
    step, start, xs, guess = network(gain, length)
    options = {"guess": ps.guesses.Given(guess), "max_iterations": 500}
    jacobi = ps.rollout(step, start, xs, solver=ps.jacobi(), criterion=ps.Merit(tolerance), **options)
    assert found["quasi_newton"] == int(jacobi.stats.iterations) + 1
    # The published rule of descent has no 1/T, and its count no step too many.
    descent = ps.GradientDescent(optax.sgd(published_rate(gain)))
    strict = ps.rollout(step, start, xs, solver=descent, criterion=ps.Merit(tolerance / length), **options)
    assert found["descent"] == int(strict.stats.iterations)
    assert found["descent_solved"]


def dataset(change=lambda name, kind, nudge, count: count, strict=lambda name, kind, count: count):
    """Table 1 as the paper prints it, with what a test changes."""
    config = table1_published.Published(Config(flow_length=PUBLISHED.LENGTH), 3)
    values = []
    for point in table1_published.points(config):
        name, kind = point.case.system, point.case.kind
        printed = getattr(PUBLISHED.ROWS[name], kind).steps
        count = change(name, kind, point.nudge, printed)
        values.append({"count": count, "strict": strict(name, kind, count), "converged": True, "merit": 0.0})
        values[-1] |= {"shortest": PUBLISHED.LENGTH, "marched": False}
    found = table1_published.gather(config, values)
    return found.assign_attrs(
        size_name="desk", configuration="{}", versions='{"parascan": "0", "jax": "0", "python": "3"}',
        hardware='[{"devices": ["cpu"], "cores": 2, "machine": "other"}]',
    )  # fmt: skip


def counts(found):
    """The claim about the 18 counts."""
    (claim,) = [claim for claim in table1_published.claims(found) if "as the published loop counts" in claim.quantity]
    return claim


def test_printed_counts_meet_every_claim():
    for arithmetic in (registry.PUBLISHED["table1"], registry.PUBLISHED["fig8"]):
        assert {claim.verdict for claim in arithmetic.claims(dataset())} == {Verdict.met}
    assert counts(dataset()).checked == 18
    assert counts(dataset()).remarks == ()


def test_a_count_that_differs_is_missed_unless_the_last_bits_decide_it():
    far = dataset(lambda name, kind, nudge, count: count // 2 if (name, kind) == ("abc", "flow") else count)
    assert counts(far).verdict is Verdict.missed
    assert "ABC: 2121, published 4243" in counts(far).failures[0]
    loose = dataset(
        lambda name, kind, nudge, count: count // (2 - nudge % 2) if (name, kind) == ("abc", "flow") else count
    )
    assert counts(loose).verdict is Verdict.met
    assert "2121 to 4243 steps" in counts(loose).remarks[0]


def test_the_two_observers_of_the_rule_without_one_half_are_named():
    found = dataset(
        lambda name, kind, nudge, count: count - (kind == "observer" and count == 7),
        lambda name, kind, count: count + (kind == "observer" and count == 6),
    )
    assert counts(found).verdict is Verdict.met
    assert len(counts(found).remarks) == 2
    assert "factor 1/2" in counts(found).remarks[0]


def test_an_observer_that_other_roundings_change_contradicts_a_claim():
    found = dataset(lambda name, kind, nudge, count: count + 5 * (kind == "observer" and nudge == 2))
    failed = [claim.quantity for claim in table1_published.claims(found) if claim.verdict is Verdict.missed]
    assert failed == ["counts of observers do not hang on the last bits"]


def test_a_start_is_moved_by_one_unit_of_rounding():
    moved = table1_published.nudged(np.array([1.0, 2.0]), 1, -1)
    np.testing.assert_array_equal(moved, [1.0, np.nextafter(2.0, 0.0)])
    assert len(set(table1_published.NUDGES)) == 6


@pytest.mark.parametrize("name", registry.PUBLISHED)
@pytest.mark.slow
def test_claims_hold_at_smoke_size_and_picture_and_table_are_drawn(smoke, name):
    experiment, found = registry.get(name, "published"), smoke(name, "published")
    claims = experiment.claims(found)
    assert claims
    assert {claim.verdict for claim in claims} == {Verdict.met}
    file = io.BytesIO()
    style.save(experiment.figure(found), file, ".svg")
    assert file.getvalue().startswith(b"<?xml")
    if experiment.table is not None:
        headings, *lines = experiment.table(found)
        assert lines
        assert {len(line) for line in lines} == {len(headings)}


# Each change turns what the counts show into its opposite.
@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("fig2", lambda d: d.assign(steps=d.steps * 0 + 90), "steps below exponent"),
        ("fig2", lambda d: d.assign(steps=d.steps * 0 + 4), "steps above exponent"),
        ("fig6", lambda d: d.assign(steps=d.steps.max() - d.steps), "monotone|steps do not fall"),
        ("fig6", lambda d: d.assign(steps=d.steps * 0 + 40), "steps of Newton below"),
        ("fig6", lambda d: d.isel(solver=[2, 1, 0]).assign_coords(solver=d.solver), "Newton takes the fewest"),
        ("fig8", lambda d: d.assign(count=d["count"] * 0 + 40), "largest count"),
        ("table1", lambda d: d.assign(count=d["count"] * 0 + 3), "more steps than its observer"),
        ("table1", lambda d: d.assign(shortest=d.shortest * 0 + 3), "before any state is NaN"),
    ],
)
@pytest.mark.slow
def test_a_claim_fails_on_counts_that_contradict_it(smoke, name, change, words):
    found = smoke(name, "published")
    changed = change(found.copy(deep=True)).assign_attrs(found.attrs)
    claims = registry.get(name, "published").claims(changed)
    (claim,) = [claim for claim in claims if re.search(words, claim.quantity)]
    assert claim.verdict is Verdict.missed


def test_an_experiment_without_that_arithmetic_refuses_it():
    with pytest.raises(ValueError, match=r"arithmetic: given published for fig3, .* table1, fig8 have both"):
        registry.get("fig3", "published")
    assert registry.get("table1", "published").stem == "table1-published"
    assert registry.get("table1").stem == "table1"


def test_both_arithmetics_stand_in_turn_and_share_no_point():
    names = [(each.name, each.arithmetic) for each in registry.ordered()]
    at = names.index(("table1", "library"))
    assert names[at + 1] == ("table1", "published")
    for name, experiment in registry.PUBLISHED.items():
        assert experiment.name == name
        assert experiment.measure is not registry.EXPERIMENTS[name].measure


PAGE = """# The paper, reproduced

Every figure. Computed on cpu, 2
cores, x86_64. A step count is a number.

| | shows | size |
|---|---|---|
| [fig3](#figure-3-chains) | Chains | desk | 1 | 0 | 0 |
| [gone](#gone) | Gone | desk | 1 | 0 | 0 |

## Figure 3: Chains

Text of the chains.

## What differs from the paper, and why

Old words.
"""


def test_the_page_keeps_what_a_run_has_no_dataset_of(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "paper.md").write_text(PAGE)
    write_dataset(dataset(), tmp_path / "table1-published.nc")
    chains = replace(registry.EXPERIMENTS["fig3"], title="Chains")
    text = write_page(tmp_path, docs, [chains, registry.PUBLISHED["table1"]]).read_text()
    assert "Text of the chains." in text
    assert "| [table1, published arithmetic](#table-1-in-the-published-arithmetic-" in text
    assert "## Table 1 in the published arithmetic: " in text
    assert "`parascan reproduce table1 --arithmetic published --size desk`" in text
    assert "cpu, 2 cores, x86_64; cpu, 2 cores, other" in " ".join(text.split())
    assert "Old words." not in text
    assert "Gone" not in text
    assert write_page(tmp_path, docs, [chains, registry.PUBLISHED["table1"]]).read_text() == text


def test_nothing_is_kept_where_there_is_no_page(tmp_path):
    assert kept(tmp_path / "paper.md").rows == {}
