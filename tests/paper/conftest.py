"""Experiments small enough for a test, and datasets that several tests look at."""

import pytest

from parascan.paper.experiments import registry
from parascan.paper.harness.run import run
from parascan.paper.harness.workforce import workforce


@pytest.fixture(scope="session")
def smoke(tmp_path_factory):
    """A function that returns the dataset of an experiment at smoke size, run once; points are shared."""
    folder, known = tmp_path_factory.mktemp("points"), {}

    def dataset(name, arithmetic="library"):
        if (name, arithmetic) not in known:
            with workforce(0) as hands:
                known[name, arithmetic] = run(registry.get(name, arithmetic), "smoke", folder, hands)
        return known[name, arithmetic]

    return dataset
