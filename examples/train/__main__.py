"""``make train-demo``: speed, accuracy and predictability of recurrent classifiers on real recordings."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import typer
from benchmarks.harness import assert_close, compare
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import parascan as ps
from parascan.cli._errors import interruptible

from .figure import draw
from .models import equinox_gru, flax_gru, plain, usual
from .recordings import Recordings, load
from .training import OtherStateError, Record, Settings, accuracy, loss, train, value_and_gradient

console = Console(highlight=False, soft_wrap=True)
SHOWN = 4
"""Sequences whose exponent and iterations are looked at."""


def measure(data: Recordings, hidden: int, batch: int, rounds: int) -> dict[str, float]:
    """Time of ``lax.scan`` over ours, forward and with the backward pass, both in turns in this process."""
    channels, classes = data.train.xs.shape[-1], len(data.classes)
    ours = equinox_gru(None, channels, hidden, classes, jax.random.key(0))
    yardsticks = {
        "lax.scan, the same cell": eqx.tree_at(lambda m: m.layer, ours, ours.layer.using(ps.Sequential())),
        "lax.scan around eqx.nn.GRUCell": usual(ours),
    }
    found = {}
    for size in dict.fromkeys((1, batch)):
        xs, labels = jnp.asarray(data.train.xs[:size]), jnp.asarray(data.train.labels[:size])
        for kind, function in (("forward", loss), ("forward + backward", value_and_gradient)):
            compiled = eqx.filter_jit(function)
            expected = compiled(ours, xs, labels)
            for name, yardstick in yardsticks.items():
                other = compiled(yardstick, xs, labels)
                assert_close(jax.tree.leaves(expected)[0], jax.tree.leaves(other)[0], 1e4, name)
                ratio = compare(partial(compiled, ours, xs, labels), partial(compiled, yardstick, xs, labels), rounds)
                found[f"batch {size}, {kind}, against {name}"] = ratio.median
                console.print(
                    f"  batch {size:2d}  {kind:18s}  against {name:31s} {ratio.median:5.2f} times as fast "
                    f"({ratio.low:.2f} to {ratio.high:.2f}), {1 / ratio.seconds:.1f} steps per second"
                )
    return found


def run(name: str, model: Any, data: Recordings, settings: Settings, out: Path, check: Any, look: Any = None) -> Any:
    """Train one model with a line of progress; the model and its record."""
    columns = (TextColumn(f"  {name:34s}"), BarColumn(20), MofNCompleteColumn(), TextColumn("{task.description}"))
    path = out / "state" / (name.replace(" ", "_").replace(",", "") + ".eqx")
    record = Record()
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task("", total=settings.steps)
        for latest, record in train(model, data.train, settings, path, check, look):
            model = latest
            recent = f"loss {np.mean(record.losses[-10:]):.3f}" if record.losses else ""
            progress.update(task, completed=record.step, description=recent)
    return model, record


def same_accuracy(data: Recordings, hidden: int, settings: Settings, seeds: int, out: Path, check: Any) -> dict:
    """Accuracy of classifiers whose recurrent layer is run in parallel, and in a plain loop, for some seeds."""
    sizes = data.train.xs.shape[-1], hidden, len(data.classes)
    kinds: dict[str, Callable[[int], Any]] = {
        "equinox GRU, parascan": lambda seed: equinox_gru(None, *sizes, jax.random.key(seed)),
        "equinox GRU, lax.scan": lambda seed: usual(equinox_gru(None, *sizes, jax.random.key(seed))),
        "flax GRU, parascan": lambda seed: flax_gru(True, *sizes, seed),
        "flax GRU, nnx.RNN": lambda seed: flax_gru(False, *sizes, seed),
    }
    found = {}
    for name, make in kinds.items():
        reached = []
        for seed in range(seeds):
            changed = replace(settings, seed=seed)
            model, _ = run(f"{name}, seed {seed}", make(seed), data, changed, out, check)
            reached.append(accuracy(model, data.test))
        found[name] = reached
    for name, reached in found.items():
        console.print(f"  {name:24s} test accuracy " + ", ".join(f"{value:.3f}" for value in reached))
    return found


def side_by_side(data: Recordings, hidden: int, settings: Settings, out: Path, check: Any) -> dict[str, Record]:
    """The contractive and the free model: accuracy, exponent and iterations over training."""
    sizes = data.train.xs.shape[-1], hidden, len(data.classes)
    records = {}
    for name in ("contractive", "free"):
        monitor = ps.nn.Monitor(key=jax.random.key(1), warm_up=100, log=None)
        shown = jnp.asarray(data.test.xs[:SHOWN, :1000])

        def look(step: int, model: Any, value: float, monitor: Any = monitor, shown: Any = shown) -> dict[str, float]:
            reading = monitor(step, model.layer, shown, value)
            return {
                "exponent": reading.exponent,
                "iterations": reading.iterations,
                "accuracy": accuracy(model, data.test),
            }

        model = plain(name == "contractive", *sizes, jax.random.key(0))
        _, records[name] = run(f"tanh network, {name}", model, data, settings, out, check, look)
    for name, record in records.items():
        first, last = record.looks[0], record.looks[-1]
        console.print(
            f"  {name:12s} test accuracy {last['accuracy']:.3f}, exponent {first['exponent']:.3f} -> "
            f"{last['exponent']:.3f}, iterations {first['iterations']:.0f} -> {last['iterations']:.0f}"
        )
    return records


def main(
    data: Annotated[str, typer.Option(help="A set that aeon brings, or a local archive's path up to _TRAIN.ts.")] = (
        "JapaneseVowels"
    ),
    length: Annotated[int, typer.Option(min=1, help="Steps of a sequence.")] = 8192,
    count: Annotated[int, typer.Option(min=1, help="Sequences to train on, and to test on.")] = 90,
    hidden: Annotated[int, typer.Option(min=1, help="Entries of a state.")] = 32,
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 60,
    batch: Annotated[int, typer.Option(min=1, help="Sequences of a training step.")] = 4,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of the comparison.")] = 2,
    rounds: Annotated[int, typer.Option(min=3, help="Rounds of the measurement.")] = 7,
    out: Annotated[Path, typer.Option(help="Where states, figures and numbers go.")] = Path("build/train-demo"),
) -> None:
    """Train recurrent classifiers on long sequences of real recordings; run it again after Ctrl-C to go on."""
    trained_on = f"{data}, {length} steps, {count} sequences, {hidden} units"
    try:
        recordings = load(data, length, count, seed=0)
        _run_all(
            recordings,
            Settings(steps, batch, look_every=max(steps // 10, 1), data=trained_on),
            hidden,
            seeds,
            rounds,
            out,
        )
    except (FileNotFoundError, OtherStateError) as error:
        raise typer.BadParameter(str(error)) from error


def _run_all(recordings: Recordings, settings: Settings, hidden: int, seeds: int, rounds: int, out: Path) -> None:
    """Measure, train, compare, draw."""
    shape = recordings.train.xs.shape
    console.print(
        f"{recordings.name}: {shape[0]} sequences of {shape[1]} steps, {shape[2]} channels, "
        f"{len(recordings.classes)} classes; jax {jax.__version__} on {jax.devices()[0].device_kind}"
    )
    with interruptible(f"Run the same command to go on; the state is in {out / 'state'}.") as check:
        console.print(f"Speed of GRU({hidden}) in this process:")
        ratios = measure(recordings, hidden, settings.batch, rounds)
        check()
        console.print("The same accuracy, however the layer is run:")
        reached = same_accuracy(recordings, hidden, settings, seeds, out, check)
        console.print("Contractive by construction, and free:")
        records = side_by_side(recordings, hidden, settings, out, check)
    picture = out / "contractive_and_free.png"
    draw(records, float(np.log(0.95)), f"tanh networks of {hidden} on {recordings.name}, T = {shape[1]}", picture)
    numbers = {"ratios": ratios, "accuracy": reached, "looks": {name: record.looks for name, record in records.items()}}
    (out / "numbers.json").write_text(json.dumps(numbers, indent=1))
    console.print(f"Figure: {picture}; numbers: {out / 'numbers.json'}")


if __name__ == "__main__":
    typer.run(main)
