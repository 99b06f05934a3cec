"""An experiment of a few points that costs nothing, for what is about running and not about numbers."""

import os
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from parascan.paper.harness.claims import near
from parascan.paper.harness.experiment import Experiment


@dataclass(frozen=True)
class Point:
    """A number to work on, a folder where calls leave a trace, and a pipe that later points wait at."""

    number: int
    traces: str
    gate: str = ""
    fails: bool = False


@dataclass(frozen=True)
class Config:
    """How many points."""

    count: int
    traces: str
    gate: str = ""
    failing: int = -1


def points(config):
    """A point a number; two of them are the same."""
    found = [Point(k, config.traces, config.gate, k == config.failing) for k in range(config.count)]
    return (*found, found[0])


def measure(point, folder):
    """The sum of a geometric series, which a computation in float32 would round."""
    with open(Path(point.traces) / str(point.number), "a", encoding="utf-8") as trace:
        trace.write(f"{os.getpid()}\n")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "part").write_text("half")
    if point.gate and point.number >= 2:
        Path(point.gate).read_bytes()
    if point.fails:
        raise ArithmeticError("planted")
    terms = jnp.sin(jnp.arange(1000.0)) ** point.number
    return {"sum": float(jnp.sum(terms)), "terms": np.asarray(terms[:3]), "word": f"n{point.number}"}


def gather(config, values):
    """Sums by place."""
    import xarray

    columns = {"sum": ("place", [each["sum"] for each in values]), "word": ("place", [each["word"] for each in values])}
    columns["terms"] = (("place", "term"), np.stack([each["terms"] for each in values]))
    return xarray.Dataset(columns)


def claims(dataset):
    """The first sum is the number of its terms."""
    return (near("sum", 1000, float(dataset["sum"][0])),)


def experiment(traces, count=5, **config):
    """The experiment with its traces in a folder."""
    traces.mkdir(parents=True, exist_ok=True)
    sizes = {"smoke": Config(count, str(traces), **config)}
    return Experiment("counting", "Counting", sizes, points, measure, gather, claims, figure=lambda dataset: None)


def calls(traces):
    """How often every number was worked on."""
    return {int(path.name): len(path.read_text().split()) for path in traces.iterdir()}
