"""`python -m benchmarks.accelerator`: compile every program for an H100, count, and write the table.

It needs ``jax[cuda13]``; ``make gpu-check`` makes an environment that has it.
"""

import argparse
from typing import Any

import jax

from . import h100, kernels, table
from .cases import Case, cases
from .counts import Program
from .model import forecast

LEAST = 300
"""Launches of the plain loop for each of the default's, on the GRU at full length."""


def counted(case: Case) -> dict[str, Any]:
    """The record of a program."""
    compiled = h100.compiled(case.run, *case.args)
    counts = Program(compiled.as_text(), case.turns, case.avoided).total
    temporary = compiled.memory_analysis().temp_size_in_bytes
    of_case = {"row": case.row, "system": case.system, "method": case.method, "note": case.note}
    return {
        **of_case,
        **counts._asdict(),
        "temporary": temporary,
        "seconds": forecast(counts, rows=case.rows),
        "rows": case.rows.count,
        "operations_of_row": case.rows.operations,
    }


def main() -> None:
    """Compile, count, print; keep what was compiled at full length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=int, default=1, help="divide every length by it; the table is not kept then")
    parser.add_argument("--systems", default="", help="only systems whose name holds this")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    if not options.systems:
        kernels.check()
    found: list[dict[str, Any]] = []
    for case in cases(options.scale, options.systems):
        found.append(counted(case))
        if options.scale == 1:
            table.store(found)
        each = found[-1]
        print(
            f"{each['system']}: {each['method']}: {each['launches']:.0f} launches, {each['seconds']:.2g} s", flush=True
        )
    if options.scale == 1:
        launches = {each["method"]: each["launches"] for each in found if each["system"].startswith("GRU(64)")}
        ratio = launches["jax.lax.scan"] / launches["default"] if launches else LEAST
        if ratio < LEAST:
            raise SystemExit(f"The default launches 1 for {ratio:.1f} of the plain loop's on the GRU; wanted {LEAST}.")
    else:
        print(table.written(found))


if __name__ == "__main__":
    main()
