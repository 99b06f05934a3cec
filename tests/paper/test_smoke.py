"""Every experiment at smoke size: its claims hold, but for those about seconds, and its picture is drawn."""

import io

import numpy as np
import pytest

from combinations import some
from parascan.paper.experiments import registry
from parascan.paper.harness.claims import Verdict
from parascan.pictures import style

SEEN = ("fig1", "fig2", "fig4", "fig5", "fig6", "fig8", "table1")
LONG = ("fig1", "fig2", "fig5", "fig6", "fig8")
"""Those that take longest, of which `make test-all` alone runs every test."""


def about_time(claim):
    """Whether a claim is about seconds, which a busy machine decides."""
    return "time of" in claim.quantity


@pytest.mark.parametrize("name", some(SEEN, *(name for name in SEEN if name not in LONG)))
@pytest.mark.slow
def test_claims_hold_and_the_picture_is_drawn(smoke, name):
    experiment, dataset = registry.get(name), smoke(name)
    claims = [claim for claim in experiment.claims(dataset) if not about_time(claim)]
    assert len(claims) >= 3
    assert [claim.quantity for claim in claims if claim.verdict is not Verdict.met] == []
    assert all((claim.quantity and claim.ours) or "certificate" in claim.quantity for claim in claims)
    for suffix, start in ((".png", b"\x89PNG"), (".svg", b"<?xml")):
        file = io.BytesIO()
        style.save(experiment.figure(dataset), file, suffix)
        assert file.getvalue().startswith(start)


def test_every_experiment_has_the_sizes_and_a_name_of_its_own():
    for name, experiment in registry.EXPERIMENTS.items():
        assert experiment.name == name
        assert set(experiment.sizes) >= {"smoke", "desk", "full"}
        assert experiment.title
        for config in experiment.sizes.values():
            points = experiment.points(config)
            assert points
            assert all(hash(point) is not None for point in points)


def test_a_name_that_nothing_has_is_refused():
    with pytest.raises(ValueError, match="fig2"):
        registry.get("fig9")


# Each change turns what the figure shows into its opposite.
@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("fig2", lambda d: d.assign(updates=d.updates * 0 + 4), "above exponent"),
        ("fig2", lambda d: d.assign(updates=d.updates * 0 + 90), "below exponent"),
        ("fig2", lambda d: d.assign(updates=d.updates.max() - d.updates), "rank correlation"),
        ("fig2", lambda d: d.assign(overflowed=d.overflowed * 0 + 1), "overflow"),
        ("fig4", lambda d: d.assign(exponent=d.exponent + 0.1), "g = 1.2"),
        ("fig4", lambda d: d.assign(exponent=-d.exponent), "largest fall"),
        pytest.param("fig5", lambda d: d.assign(merit=d.merit + 1e-9), "merit/T", marks=pytest.mark.slow),
        pytest.param("fig5", lambda d: d.assign(bound=d.bound * 1e-3), "bound is above", marks=pytest.mark.slow),
        pytest.param(
            "fig5", lambda d: d.assign(deviation=d.deviation**0.3), "growth of the deviation", marks=pytest.mark.slow
        ),
        pytest.param(
            *("fig1", lambda d: d.assign(updates=("kind", d.updates.values[::-1])), "steps for the predictable"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "fig6", lambda d: d.assign(steps=d.steps.max() - d.steps), "quasi-Newton rise", marks=pytest.mark.slow
        ),
        pytest.param("fig8", lambda d: d.assign(updates=d.updates * 0 + 40), "largest count", marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_a_claim_fails_on_a_dataset_that_contradicts_it(smoke, name, change, words):
    dataset = smoke(name)
    changed = change(dataset.copy(deep=True)).assign_attrs(dataset.attrs)
    (claim,) = [claim for claim in registry.get(name).claims(changed) if words in claim.quantity]
    assert claim.verdict is Verdict.missed
    assert claim.failures


@pytest.mark.slow
def test_an_unsolved_length_is_counted_as_such_and_one_that_was_not_run_as_nothing(smoke):
    updates = smoke("fig2").updates
    assert np.isnan(updates.sel(seed=1, length=200)).all()
    assert np.isfinite(updates.sel(seed=0, length=200, gain=0.5))
    assert np.isnan(updates.sel(seed=0, length=200, gain=2.0))


@pytest.mark.slow
def test_both_ways_to_solve_the_linear_recurrence_count_alike_where_nothing_overflows(smoke):
    one, other = smoke("fig2").scan_updates.values
    assert one > 3
    assert abs(one - other) <= 0.1 * one
