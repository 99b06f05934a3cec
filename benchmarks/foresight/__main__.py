"""``python -m benchmarks.foresight``: the foretelling judged on systems of every kind.

Truth is measured once and stored; answers are asked for where none is stored, or ``--again``. An interrupted run is
taken up where it stopped.
"""

import time
from collections.abc import Callable
from typing import Annotated

import jax
import typer
from rich.console import Console

from . import table
from .answers import ask
from .counts import METHODS, measure
from .families import FAMILIES
from .family import Family
from .stores import ANSWERS, TRUTH, add, load
from .systems import names, system
from .truth import exponents

console = Console()


def main(
    kinds: Annotated[str, typer.Option(help="Kinds of systems, separated by commas; all when empty.")] = "",
    half: Annotated[str, typer.Option(help="fit, held-out or all.")] = "all",
    again: Annotated[bool, typer.Option(help="Ask anew where an answer is stored.")] = False,
    seeds: Annotated[int, typer.Option(help="Answers for each system, each with a key of its own.")] = 1,
    only: Annotated[str, typer.Option(help="Names of systems or families, separated by commas.")] = "",
    counts: Annotated[bool, typer.Option(help="Measure the true updates that are missing.")] = True,
    document: Annotated[bool, typer.Option("--table", help="Write the table into the documentation.")] = False,
) -> None:
    """Measure what is missing, ask, and print the table."""
    wanted = [each.strip() for each in only.split(",") if each.strip()]
    chosen = [(f, k) for f, k in names(kinds, half) if not wanted or f.name in wanted or f"{f.name} {k}" in wanted]
    with jax.enable_x64(True):
        _in_turn([family for family in FAMILIES if any(family is each for each, _ in chosen)], _missing_truth, "truth")
        if counts:
            _in_turn(chosen, _missing_counts, "updates")
        for seed in range(seeds):
            _in_turn(chosen, lambda each, seed=seed: _missing_answer(*each, seed, again), "answers")
    if document:
        table.write_document()
    for seed in range(seeds):
        console.print(table.table(table.judged(kinds, half, seed)), markup=False, soft_wrap=True)


def _in_turn(every: list, do: Callable[..., str | None], title: str) -> None:
    """One after the other, with a line for each that was not stored."""
    start, done, before = time.monotonic(), 0, None
    for index, each in enumerate(every):
        family = each if isinstance(each, Family) else each[0]
        if before is not None and before is not family:
            # Compiled programs of the family before are not needed any more.
            jax.clear_caches()
        before = family
        said = do(each)
        if said is not None:
            done += 1
            left = (time.monotonic() - start) / done * (len(every) - index - 1)
            console.print(
                f"{title} {index + 1}/{len(every)} {said}; about {left:.0f} s left", markup=False, soft_wrap=True
            )


def _missing_truth(family: Family) -> str | None:
    """Exponents of a family; None where they are stored."""
    if f"{family.name} 0" in load(TRUTH):
        return None
    add(TRUTH, exponents(family))
    return family.name


def _missing_counts(each: tuple[Family, int]) -> str | None:
    """Updates of one system; None where they are stored."""
    family, place = each
    truth = load(TRUTH)[f"{family.name} {place}"]
    if all(method in truth for method in METHODS):
        return None
    one = system(family, place, truth)
    measure(TRUTH, one)
    return one.name


def _missing_answer(family: Family, place: int, seed: int, again: bool) -> str | None:
    """The answer for one system; None where it is stored and stays."""
    name = f"{family.name} {place}"
    if not again and str(seed) in load(ANSWERS).get(name, {}):
        return None
    said = ask(ANSWERS, system(family, place, load(TRUTH)[name]), seed)
    return f"{name}: {said['verdict']} {said.get('exponent', said.get('error'))}"


if __name__ == "__main__":
    typer.run(main)
