"""The coupling exponent has one owner: ``ps.diagnose`` and ``ps.mcmc.foretell`` judge the same chain alike."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from targets import normal

import parascan as ps
from combinations import some
from parascan.diagnostics.growth.coupling import coupled, until_met
from parascan.mcmc.kernel import Info, choose, draw

STEPS = 4000


class Lattice(ps.mcmc.AbstractKernel):
    """A Metropolis chain on whole numbers: slope one everywhere, and copies that meet by their decisions."""

    def noise(self, key, position):
        return draw(key, position)

    def __call__(self, position, noise):
        proposal = position + jnp.sign(noise.normal)
        return choose(position, proposal, 0.5 * jnp.sum(position**2 - proposal**2) / 4, noise.uniform)


class Clockwork(ps.mcmc.AbstractKernel):
    """A whole part that turns by noise, and a rest that halves: slope 1/2 everywhere, and copies that stay apart."""

    turns: int = 512

    def noise(self, key, position):
        return draw(key, position)

    def __call__(self, position, noise):
        whole = jnp.round(position)
        turned = jnp.mod(whole + jnp.round(1000 * noise.normal), self.turns)
        after = turned + 0.5 * (position - whole) + 0.1 * (noise.uniform - 0.5)
        return after, Info(jnp.asarray(True), jnp.ones(()), jnp.asarray(False))


def diagnosed(kernel, position):
    noise = jax.vmap(lambda key: kernel.noise(key, position))(jax.random.split(jax.random.key(7), STEPS))
    return ps.diagnose(lambda s, x: kernel(s, x)[0], position, noise, key=jax.random.key(0))


CHAINS = {
    "mala": (ps.mcmc.mala(normal, 0.1), 3, "predictable", "predictable"),
    "random walk": (ps.mcmc.random_walk(normal, 0.5), 3, "does not contract", "marginal"),
    "tangents stay, copies meet": (Lattice(), 1, "predictable", "marginal"),
    "tangents shrink, copies stay": (Clockwork(), 1, "does not contract", "marginal"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", some(CHAINS, "tangents stay, copies meet", "tangents shrink, copies stay"))
def test_a_chain_is_judged_alike_by_its_copies_and_not_by_its_tangents(name):
    kernel, size, foretold, verdict = CHAINS[name]
    chain = ps.mcmc.foretell(kernel, jnp.zeros(size), key=jax.random.key(0))
    found = diagnosed(kernel, jnp.zeros(size))
    text = " ".join(found.evidence)
    assert (chain.verdict, found.verdict) == (foretold, verdict)
    assert found.coupling.meets == chain.coupling.meets == (foretold == "predictable")
    assert not (found.coupling.stays and chain.coupling.meets)
    if name == "mala":
        # Few decisions differ where nearly all proposals are taken: tangents and copies agree.
        np.testing.assert_allclose(
            [chain.exponent, float(found.coupling.rate.value)], float(found.exponent.value), rtol=0.15
        )
        assert "The step jumps" not in text
    else:
        assert "The step jumps" in text
    if name == "random walk":
        assert float(found.exponent.value) == pytest.approx(0, abs=1e-6)
        assert "0% met" in text
        assert "does not see decisions" in text
    if name == "tangents stay, copies meet":
        assert float(found.exponent.value) == pytest.approx(0, abs=1e-6)
        assert chain.exponent < -0.05
        assert "come together nevertheless" in text
    if name == "tangents shrink, copies stay":
        assert float(found.exponent.value) == pytest.approx(np.log(0.5), rel=1e-3)
        assert chain.exponent == pytest.approx(0, abs=0.01)
        assert "Newton and chunks start such a" in text


def test_the_coupling_of_distances_that_are_known():
    steps = np.arange(30)
    met, slow, far, same = 2.0**-steps, 0.9**steps, np.ones(30), np.zeros(30)
    distances, least = jnp.asarray(np.stack([met, slow, far, same])), jnp.full(4, 1e-3)
    logs, taken, ever = until_met(distances, least)
    np.testing.assert_array_equal(ever, [True, False, False, True])
    np.testing.assert_array_equal(taken[:3], [10, 29, 29])
    np.testing.assert_allclose(logs[:3], [np.log(1e-3), 29 * np.log(0.9), 0], rtol=1e-5, atol=1e-7)
    found = coupled(distances, least, jnp.asarray(1e-4), jnp.asarray(0.5))
    expected = np.mean([np.log(1e-3) / 10, np.log(0.9), 0])
    assert float(found.rate.value) == pytest.approx(expected, rel=1e-4)
    assert float(found.met) == pytest.approx(1 / 3)
    assert float(found.stalled) == pytest.approx(1 / 3)
    assert float(found.apart) == pytest.approx(1 / 3)
    assert float(found.way) == pytest.approx(29 * np.log(0.9) / np.log(1e-3), rel=1e-4)
    assert float(found.jump) == pytest.approx(0.9, rel=1e-5)
    assert not found.meets
    assert not found.stays
    nearing = coupled(distances[1:2], least[:1], jnp.asarray(1e-4), jnp.asarray(0.5))
    assert float(nearing.apart) == 0
    assert not nearing.meets
    alone = coupled(distances[2:3], least[:1], jnp.asarray(1e-4), jnp.asarray(0.5))
    assert alone.stays
    assert alone.rows == 30
