"""Tests under every interpreter of this machine, with newest packages, the oldest JAX, and the lowest of every package.

``python .ci/matrix.py [--only "3.12:lowest ..."] tests...``: environments are kept in ``build/matrix``, a table is
printed at the end. Needs the standard library alone.
"""

import argparse
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from interpreters import interpreter

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = ("3.11", "3.12", "3.13")
SHOWN = ("jax", "equinox", "numpy", "scipy")


def lowest(needed: list[str]) -> list[str]:
    """Requirements that pin each package to the lower bound of another requirement, under the same conditions."""
    return [each.replace(">=", "==", 1) for each in needed]


PINS = {
    "newest": [],
    "oldest-jax": lowest([each for each in PROJECT["dependencies"] if each.startswith("jax>")]),
    "lowest": lowest(PROJECT["dependencies"]),
}
"""What each column of the matrix pins; all else is the newest that resolves."""


def row(python: str, packages: str, workers: str, tests: list[str]) -> list[str]:
    """One environment, made and tested: what the table says of it, its outcome last."""
    found = interpreter(python)
    if found is None:
        return [python, packages, *[""] * len(SHOWN), "no such interpreter here"]
    home = ROOT / "build" / "matrix" / f"{python}-{packages}"
    shutil.rmtree(home, ignore_errors=True)
    subprocess.run([found, "-m", "venv", home], check=True)
    own = home / "bin" / "python"
    pip = [own, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    wanted = ["--editable", ROOT, *PINS[packages], "pytest", "pytest-xdist"]
    installed = subprocess.run([*pip, *wanted], capture_output=True, text=True, check=False)
    if installed.returncode:
        errors = [line for line in installed.stderr.splitlines() if line.startswith("ERROR")]
        print(installed.stderr[-2000:], file=sys.stderr)
        return [python, packages, *[""] * len(SHOWN), f"not installed: {errors[0] if errors else 'see above'}"]
    code = f"from importlib.metadata import version; print(*map(version, {SHOWN}))"
    versions = subprocess.run([own, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    # Rows with the same JAX share what it has compiled.
    options = ["-o", f"cache_dir={home.parent / 'cache'}", "-q", "-n", workers, "--dist", "worksteal"]
    status = subprocess.run([own, "-m", "pytest", *options, *tests], cwd=ROOT, check=False).returncode
    return [python, packages, *versions, "passed" if status == 0 else f"FAILED ({status})"]


def table(rows: list[list[str]]) -> str:
    """Rows below their headings, in columns."""
    lines = [["python", "packages", *SHOWN, "tests"], *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    padded = [[each.ljust(width) for each, width in zip(line, widths, strict=True)] for line in lines]
    return "\n".join("  ".join(line).rstrip() for line in padded)


def main() -> int:
    """Everything that was asked for; the exit code is that of a failure among them."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--only", default="", help='such as "3.12:lowest 3.13:newest"; everything when empty')
    asked.add_argument("--workers", default="1", help="processes that run tests side by side")
    asked.add_argument("tests", nargs="+", help="what pytest is to run")
    given = asked.parse_args()
    known = [f"{python}:{packages}" for python in PYTHONS for packages in PINS]
    chosen = given.only.split() or known
    if wrong := sorted(set(chosen) - set(known)):
        print(f"MATRIX: given {' '.join(wrong)}, expected some of {' '.join(known)}.", file=sys.stderr)
        return 2
    rows = []
    for each in chosen:
        print(f"== {each}", flush=True)
        rows.append(row(*each.split(":"), given.workers, given.tests))
    print(table(rows))
    return int(any(each[-1].startswith(("FAILED", "not installed")) for each in rows))


if __name__ == "__main__":
    sys.exit(main())
