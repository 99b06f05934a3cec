"""Breaks the package on purpose, one line at a time, and tells whether the default run of the tests sees it.

Each mutant is applied to a copy of the project, in which the tests that cover it are run until the first fails. Texts
and tests are found by content and by name, so a file may move; a text that is gone or not unique is an error.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILT = shutil.ignore_patterns(".*", "__pycache__", "build", "results")
FAILED_TESTS = 1
"""Exit code of pytest where a test failed; others say that the tests could not be run."""


@dataclass(frozen=True)
class Mutant:
    """A line that is wrong.

    Attributes:
        breaks: what no longer holds.
        old: text that stands once in the package.
        new: what stands in its place.
        tests: names of the files of tests that have to see it, and words of pytest's option ``-k``.
    """

    breaks: str
    old: str
    new: str
    tests: str
    chosen: str = ""

    def place(self) -> Path:
        """The file of the package with the text.

        Raises:
            LookupError: no file holds it, or it stands there more than once.
        """
        holding = {path: path.read_text().count(self.old) for path in sorted((ROOT / "src").rglob("*.py"))}
        found = {path.relative_to(ROOT): times for path, times in holding.items() if times}
        if sum(found.values()) != 1:
            places = ", ".join(map(str, found)) or "no file"
            raise LookupError(f"{self.breaks}: expected once, found in {places}: {self.old!r}")
        return next(iter(found))

    def covering(self) -> list[str]:
        """The files of tests.

        Raises:
            LookupError: there is no file of a name.
        """
        paths = {name: sorted((ROOT / "tests").rglob(name)) for name in self.tests.split()}
        if missing := [name for name, found in paths.items() if len(found) != 1]:
            raise LookupError(f"{self.breaks}: expected one file of tests of each name, not so for {missing}")
        return [str(found[0].relative_to(ROOT)) for found in paths.values()]


MUTANTS = (
    Mutant(
        "copies that rounding holds apart never meet",
        "return (state.apart <= 1) | (stalled &",
        "return (state.apart <= 1) | (stalled & (state.apart < 0) &",
        "test_copies_held_apart.py",
    ),
    Mutant(
        "chunks are accepted whatever the jump between them",
        "Refused(jnp.any(excess > 1, axis=-1)",
        "Refused(jnp.any(excess > 1e9, axis=-1)",
        "test_acceptance.py",
    ),
    Mutant(
        "totals of the rows between two junctions are counted on both runs",
        "jnp.where(last.junctions == 1, total + part, total)",
        "total + part",
        "test_junctions.py",
    ),
    Mutant(
        "at the later junction the true run is compared with what the other was at the first",
        "OTHER_ROOM + COMPARED * number, COMPARED",
        "OTHER_ROOM, COMPARED",
        "test_junctions.py",
    ),
    Mutant(
        "an entry that rounds nothing may differ between two runs of a chunk",
        "return jnp.where(exact, 0, allowed)",
        "return allowed",
        "test_acceptance.py",
    ),
    Mutant(
        "cotangents that arrive from later steps are lost",
        "return leaving + cotangent, (carry, inputs), weights",
        "return cotangent, (carry, inputs), weights",
        "test_pullback.py",
    ),
    Mutant(
        "derivatives by the implicit function theorem leave out what drives them",
        "return jnp.zeros_like(states) if drive is None else drive",
        "return jnp.zeros_like(states)",
        "test_derivatives.py",
    ),
    Mutant(
        "Newton's correction leaves out the residual",
        "return iterate.predictions + (linear_recurrence(transition, -residual, mesh=devices) + residual)",
        "return iterate.predictions + linear_recurrence(transition, -residual, mesh=devices)",
        "test_solvers.py",
    ),
    Mutant(
        "Levenberg-Marquardt raises its damping after a good step",
        "jnp.where(ratio > GOOD, FALL,",
        "jnp.where(ratio > GOOD, GROWTH,",
        "test_levenberg_marquardt.py",
    ),
    Mutant(
        "a line search takes steps that raise the merit",
        "lower = merits[index] <= merit",
        "lower = merits[index] <= jnp.inf",
        "test_line_search.py",
    ),
    Mutant(
        "a hybrid keeps steps of its second solver that do not shrink the residual",
        "jax.lax.cond(after <= self.contraction * before, lambda: proposal",
        "jax.lax.cond(after <= jnp.inf, lambda: proposal",
        "test_hybrid.py",
    ),
    Mutant(
        "steepest descent takes points that raise the merit",
        "lower = ~(merits[best] >= merit)",
        "lower = merits[best] >= merit",
        "test_solvers.py",
        "gradient_search",
    ),
    Mutant(
        "a device takes the state before the steps of another one",
        "return inflows[jax.lax.axis_index(devices.names)]",
        "return inflows[0]",
        "test_linear_over_devices.py",
    ),
    Mutant(
        "the tree of products multiplies matrices in the wrong order",
        "return transition.compose(then[0], first[0]), transition.product(then[0], first[1]) + then[1]",
        "return transition.compose(first[0], then[0]), transition.product(then[0], first[1]) + then[1]",
        "test_linear_backends.py",
    ),
    Mutant(
        "a chunk of the linear recurrence receives from itself and not from its neighbor",
        "jnp.roll(ends, -1 if transpose else 1, axis=0)",
        "ends",
        "test_linear_backends.py",
    ),
    Mutant(
        "the initial state does not enter the linear recurrence",
        "b = b.at[0].add(system.transition.product(system.transition.row(0), s0))",
        "b = b.at[0].add(0 * s0)",
        "test_linear_backends.py",
    ),
    Mutant(
        "a system is predictable though copies a finite distance apart stay apart",
        "and share <= LARGEST_SHARE and not jumping:",
        "and share <= LARGEST_SHARE:",
        "test_diagnose.py",
    ),
    Mutant(
        "a certificate's horizon counts steps behind the first that is too far off",
        "horizon=jnp.sum(jnp.cumprod(within.astype(jnp.int32)))",
        "horizon=jnp.sum(within.astype(jnp.int32))",
        "test_certificates.py",
    ),
    Mutant(
        "a plan chooses the slowest way",
        "best = min((each for each in found if each.standing",
        "best = max((each for each in found if each.standing",
        "test_plan.py",
    ),
    Mutant(
        "an error in a user's step ends a command without the exit code of wrong usage",
        "if place_of(error) or isinstance(error, RuntimeError):",
        "if False:",
        "test_commands.py test_diagnose_command.py test_sweep_command.py",
    ),
    Mutant(
        "a stream goes on from the last state of a window of which it keeps a part",
        "carry = jax.tree.map(lambda leaf: leaf[count - 1], states)",
        "carry = jax.tree.map(lambda leaf: leaf[-1], states)",
        "test_stream.py",
    ),
    Mutant(
        "a stream goes on from a state file that was written under other settings",
        'for name, expected in {"format": FORMAT, **setting}.items():',
        'for name, expected in {"format": FORMAT}.items():',
        "test_stream.py",
    ),
    Mutant(
        "a compiled program is used again for a step whose objects have changed",
        "return program if program is not None and are_still(program.objects, sight.objects) else None",
        "return program",
        "test_programs.py",
    ),
    Mutant(
        "a step that changes the dtype of the carry is not refused",
        "if old.dtype != new.dtype:",
        "if False:",
        "test_refusals.py",
    ),
    Mutant(
        "NaN in the initial state of a method that iterates is not refused",
        "bad = np.isnan(np.asarray(leaf))",
        "bad = np.isinf(np.asarray(leaf))",
        "test_refusals.py test_results.py",
    ),
    Mutant(
        "a number of Python in the carry keeps its own dtype, not that of the step as in jax.lax.scan",
        "if leaf.dtype == out.dtype or not _is_weak(leaf):",
        "if True:",
        "test_scan.py test_python_numbers.py",
    ),
    Mutant(
        "a sweep finds crossings only where the exponent falls",
        "(values[index - 1] > 0) != (values[index] > 0)",
        "(values[index - 1] > 0) > (values[index] > 0)",
        "test_threshold.py",
    ),
)


def copy_of_the_project(folder: Path) -> Path:
    """The project in a folder of its own, without what is built."""
    return shutil.copytree(ROOT, folder, ignore=BUILT)


def caught(mutant: Mutant, programs: Path) -> bool:
    """Whether a test of the default run fails.

    Raises:
        RuntimeError: the tests could not be run.
    """
    with tempfile.TemporaryDirectory() as name:
        copy = copy_of_the_project(Path(name) / "project")
        broken = copy / mutant.place()
        broken.write_text(broken.read_text().replace(mutant.old, mutant.new))
        chosen = ["-k", mutant.chosen] if mutant.chosen else []
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-o", f"cache_dir={programs}", *chosen]
        environment = {**os.environ, "PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run([*command, *mutant.covering()], cwd=copy, env=environment, capture_output=True, text=True)
    if done.returncode not in (0, FAILED_TESTS):
        raise RuntimeError(f"{mutant.breaks}: the tests could not be run: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == FAILED_TESTS


def say(*words: object) -> None:
    """A line at once, for whoever waits."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main(workers: int, wanted: str) -> int:
    """Try all mutants whose description holds the wanted words; how many survive."""
    mutants = [mutant for mutant in MUTANTS if wanted in mutant.breaks]
    survivors = 0
    with tempfile.TemporaryDirectory() as programs, ThreadPoolExecutor(workers) as pool:
        for mutant, seen in zip(mutants, pool.map(lambda each: caught(each, Path(programs)), mutants), strict=True):
            survivors += not seen
            say("caught  " if seen else "SURVIVED", mutant.place(), mutant.breaks)
    say(f"{len(mutants) - survivors} of {len(mutants)} mutants are caught by the default run of the tests")
    return survivors


if __name__ == "__main__":
    sys.exit(bool(main(int(os.environ.get("WORKERS", "2")), " ".join(sys.argv[1:]))))
