"""`python -m benchmarks.grid`: networks of every kind and size, drawn by a seed, against the best plain loop.

A case that was tuned proves little. So points are drawn: cell, units, inputs, length, batch, forward or gradient,
weights as arguments or closed over, precision. What is measured is kept point by point, and a run goes on where the
last one was stopped.
"""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import typer
from matplotlib.figure import Figure
from rich.console import Console

import parascan as ps

from . import machine
from .documents import put_between, write_text
from .harness import assert_close, compare, quickest

RESULTS = Path(__file__).parent / "results" / "grid"
DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
PICTURE = DOCUMENT.parent / "pictures" / "grid.svg"
BEGIN, END = "<!-- grid: begin -->", "<!-- grid: end -->"

CELLS = ("gru", "lstm", "elman", "tanh")
BATCHES = (0, 1, 2, 4, 16)
"""Sequences under `jax.vmap`; 0 for one sequence without it."""

UNROLLS = (1, 4)
"""Steps in a turn of the plain loop: products of networks gain nothing beyond."""

MOST_OPERATIONS = 1e10
"""Of a call, beyond which a point gets fewer steps, down to the least length."""

LEAST_LENGTH = 10**4

ROUNDS, ROUNDS_OF_LONG_CALLS, LONG = 5, 3, 1.0
"""Rounds of a comparison, fewer where a call takes more seconds than the last number."""
UNITS_OF_ROUNDING = 2**13

console = Console()


class Point(NamedTuple):
    """One network and one call of it."""

    cell: str
    units: int
    inputs: int
    length: int
    batch: int
    gradient: bool
    closed: bool
    double: bool


def drawn(count: int, seed: int) -> list[Point]:
    """Points by a seed: sizes and lengths evenly on a logarithmic scale."""
    rng = np.random.default_rng(seed)

    def between(low: int, high: int) -> int:
        return int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))

    def one() -> Point:
        cell, batch = str(rng.choice(CELLS)), int(rng.choice(BATCHES))
        units, inputs, length = between(8, 128), between(1, 64), between(LEAST_LENGTH, 10**5)
        flags = [bool(flag) for flag in rng.integers(0, 2, 2)]
        gates = {"gru": 3, "lstm": 4}.get(cell, 1)
        each = 2 * gates * units * (units + inputs) * max(batch, 1) * (3 if flags[0] else 1)
        length = max(min(length, int(MOST_OPERATIONS / each)), LEAST_LENGTH)
        return Point(cell, units, inputs, length, batch, *flags, rng.random() < 0.25)

    return [one() for _ in range(count)]


def network(point: Point) -> tuple[Any, Callable[..., Any], Any]:
    """Weights, step `(weights, carry, x) -> (carry, y)` and initial carry."""
    key, dtype = jr.key(point.units), jnp.float64 if point.double else jnp.float32
    start = jnp.zeros(point.units, dtype)
    if point.cell == "gru":
        cell = eqx.nn.GRUCell(point.inputs, point.units, key=key, dtype=dtype)
        return cell, lambda cell, h, x: (cell(x, h),) * 2, start
    if point.cell == "lstm":
        cell = eqx.nn.LSTMCell(point.inputs, point.units, key=key, dtype=dtype)
        return cell, lambda cell, s, x: (cell(x, s), s[0]), (start, start)
    keys, gain = jr.split(key, 3), 0.7 if point.cell == "tanh" else 0.4
    own = gain * jr.normal(keys[0], (point.units, point.units), dtype) / point.units**0.5
    given = jr.normal(keys[1], (point.units, point.inputs), dtype) / point.inputs**0.5
    offset = 0.1 * jr.normal(keys[2], (point.units,), dtype)

    def step(weights: Any, h: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        own, given, offset = weights
        h = jnp.tanh(own @ h + given @ x + offset)
        if point.cell == "elman":
            return h, jax.nn.sigmoid(h)
        return h, h

    return (own, given, offset), step, start


def program(scan: Callable[..., Any], point: Point, xs: jax.Array, **options: Any) -> Callable[[], Any]:
    """Runs a point by a scan."""
    weights, step, start = network(point)

    def outputs(weights: Any, xs: jax.Array) -> jax.Array:
        def one(xs: jax.Array) -> jax.Array:
            return scan(lambda carry, x: step(weights, carry, x), start, xs, **options)[1]

        return jax.vmap(one)(xs) if point.batch else one(xs)

    def loss(weights: Any, xs: jax.Array) -> jax.Array:
        return jnp.mean(outputs(weights, xs) ** 2)

    if point.gradient:
        run = eqx.filter_jit(eqx.filter_grad(loss))
        return lambda: run(weights, xs)
    if point.closed:
        closed = jax.jit(lambda xs: outputs(weights, xs))
        return lambda: closed(xs)
    run = eqx.filter_jit(outputs)
    return lambda: run(weights, xs)


def measured(point: Point) -> dict[str, Any]:
    """The ratio of a point, after both answers were found to agree."""
    with jax.enable_x64(point.double):
        shape = (*((point.batch,) if point.batch else ()), point.length, point.inputs)
        # Not by JAX, which takes minutes to compile random numbers of some shapes.
        numbers = np.random.default_rng(7).normal(size=shape)
        xs = jnp.asarray(numbers, jnp.float64 if point.double else jnp.float32)
        ours = program(ps.scan, point, xs)
        loops = {unroll: program(jax.lax.scan, point, xs, unroll=unroll) for unroll in UNROLLS}
        assert_close(ours(), loops[1](), UNITS_OF_ROUNDING * (64 if point.gradient else 1), str(point))
        begun = time.perf_counter()
        jax.block_until_ready(loops[1]())
        long = time.perf_counter() - begun > LONG
        best = 1 if long else quickest(loops, 2)
        ratio = compare(ours, loops[best], ROUNDS_OF_LONG_CALLS if long else ROUNDS)
    found = {"ratio": ratio.median, "low": ratio.low, "high": ratio.high, "unroll": best}
    return {**point._asdict(), **found}


def stored(path: Path) -> list[dict[str, Any]]:
    """What has been measured."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def distribution(rows: Iterable[dict[str, Any]]) -> str:
    """Geometric mean, least and most of some points."""
    ratios = np.array([row["ratio"] for row in rows])
    return f"{np.exp(np.mean(np.log(ratios))):.2f} ({ratios.min():.2f} to {ratios.max():.2f})" if len(ratios) else ""


def table(rows: list[dict[str, Any]]) -> str:
    """The distribution by kind of cell and by batch, in Markdown."""
    lines = [
        f"{len(rows)} points. Geometric mean (least to most) of how many times as fast as the best plain loop.",
        "",
        "| | " + " | ".join("one sequence" if not batch else f"batch {batch}" for batch in BATCHES) + " | all |",
        "|---|" + "---|" * (len(BATCHES) + 1),
    ]
    for gradient in (False, True):
        for cell in (*CELLS, "all"):
            chosen = [row for row in rows if row["gradient"] == gradient and cell in (row["cell"], "all")]
            parts = [distribution(row for row in chosen if row["batch"] == batch) for batch in BATCHES]
            name = f"{'all cells' if cell == 'all' else cell}, {'gradient' if gradient else 'forward'}"
            lines.append(f"| {name} | " + " | ".join([*parts, distribution(chosen)]) + " |")
    return "\n".join(lines)


def draw(rows: list[dict[str, Any]]) -> Figure:
    """Heat map: cell and direction against batch, the color the geometric mean, each field with least and most."""
    fields: dict[tuple[str, int], list[float]] = defaultdict(list)
    names = [f"{cell}, {way}" for way in ("forward", "gradient") for cell in CELLS]
    for row in rows:
        way = "gradient" if row["gradient"] else "forward"
        fields[f"{row['cell']}, {way}", row["batch"]].append(row["ratio"])
    means = np.full((len(names), len(BATCHES)), np.nan)
    figure = Figure(figsize=(7.5, 5), layout="constrained")
    axes = figure.subplots()
    for (name, batch), ratios in fields.items():
        place = names.index(name), BATCHES.index(batch)
        means[place] = np.exp(np.mean(np.log(ratios)))
        text = f"{means[place]:.2f}\n{min(ratios):.2f} to {max(ratios):.2f}"
        dark = abs(np.log2(means[place])) > 1
        axes.text(place[1], place[0], text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
    image = axes.imshow(np.log2(means), cmap="PuOr", vmin=-2.2, vmax=2.2, aspect="auto")
    axes.set_xticks(range(len(BATCHES)), ["one\nsequence", *(f"batch {batch}" for batch in BATCHES[1:])])
    axes.set_yticks(range(len(names)), names)
    bar = figure.colorbar(image, ax=axes, label="times as fast as the best plain loop")
    ticks = [0.25, 0.5, 1, 2, 4]
    bar.set_ticks(np.log2(ticks).tolist(), labels=[f"{tick:g}" for tick in ticks])
    return figure


def main(
    points: Annotated[int, typer.Option(help="How many to draw.")] = 200,
    seed: Annotated[int, typer.Option(help="Of the drawing.")] = 0,
    toy: Annotated[bool, typer.Option(help="A few points of a few steps, to see that everything runs.")] = False,
) -> None:
    """Measure what is not measured yet, then write table and picture."""
    path = RESULTS / f"{machine.slug()}-{seed}.jsonl"
    rows = [] if toy else stored(path)
    known = {Point(**{name: row[name] for name in Point._fields}) for row in rows}
    wanted = drawn(points, seed)
    for index, point in enumerate(wanted):
        if point in known:
            continue
        found = measured(point._replace(length=200, units=8) if toy else point)
        rows.append(found)
        console.print(f"{index + 1} of {points}: {tuple(point)} {found['ratio']:.2f} (unroll={found['unroll']})")
        jax.clear_caches()
        if not toy:
            write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
    console.print(table(rows))
    if not toy:
        PICTURE.parent.mkdir(exist_ok=True)
        draw(rows).savefig(PICTURE, metadata={"Date": None})
        put_between(DOCUMENT, (BEGIN, END), table(rows))


if __name__ == "__main__":
    typer.run(main)
