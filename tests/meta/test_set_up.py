"""Set-up says what is wrong in a sentence, and copes with what machines are like."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from repository import ROOT

MAKE = shutil.which("make")
# An interpreter on a machine without a network: it makes environments whose pip finds no index.
OFFLINE = f"""#!/bin/sh
case "$*" in
"-m venv "*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
"-m pip "*) echo "WARNING: Retrying after NewConnectionError: Failed to establish a new connection" >&2
    echo "ERROR: No matching distribution found for absl-py" >&2; exit 1 ;;
*) exec "{sys.executable}" "$@" ;;
esac
"""
WITHOUT_ENSUREPIP = f"""#!/bin/sh
case "$*" in *ensurepip*) exit 1 ;; *) exec "{sys.executable}" "$@" ;; esac
"""

pytestmark = pytest.mark.skipif(MAKE is None, reason="make is not installed")


@pytest.fixture
def clone(tmp_path):
    """A folder whose path has a space, with what the set-up reads."""
    folder = tmp_path / "a clone"
    folder.mkdir()
    for each in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / each, folder / each)
    shutil.copytree(ROOT / ".ci", folder / ".ci", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def interpreter(folder, script):
    """A stand-in for an interpreter."""
    path = folder / "python"
    path.write_text(script)
    path.chmod(0o755)
    return path


def make(folder, *arguments):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PYTHON"))}
    found = subprocess.run(
        [MAKE, *arguments], cwd=folder, env=clean, capture_output=True, text=True, check=False, timeout=120
    )
    return found.returncode, found.stdout + found.stderr


def test_an_interpreter_that_is_too_old_or_missing_is_named(clone):
    status, text = make(clone, "setup", "PYTHON=python0.1")
    assert status
    assert "needs Python 3.11 or newer; 'python0.1' is not installed" in text


def test_an_interpreter_without_ensurepip_is_named_with_the_cure(clone, tmp_path):
    python = interpreter(tmp_path, WITHOUT_ENSUREPIP)
    status, text = make(clone, "setup", f"PYTHON={python}")
    assert status
    assert "its modules venv and ensurepip are missing" in text
    assert not (clone / ".venv").exists()


def test_no_network_is_said_and_leaves_nothing_half_done(clone, tmp_path):
    python = interpreter(tmp_path, OFFLINE)
    for _ in range(2):
        status, text = make(clone, "-j4", "setup", f"PYTHON={python}")
        assert status
        assert "No package index could be reached" in text
        assert "The set-up failed; run the same command to try again" in text
        assert "ERROR: No matching distribution" in text
        assert "WARNING" not in text
        assert not (clone / ".venv" / ".locked").exists()


def test_a_folder_that_cannot_be_written_to_is_said(clone):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    clone.chmod(0o555)
    status, text = make(clone, "setup", f"PYTHON={sys.executable}")
    clone.chmod(0o755)
    assert status
    assert "cannot be written to" in text


def test_clean_removes_what_make_writes(clone):
    made = [".venv", ".venv-newest", ".venv-package", "build", "dist", "results"]
    for each in made:
        (clone / each).mkdir()
    assert make(clone, "clean")[0] == 0
    assert [each for each in made if (clone / each).exists()] == []


def test_every_target_of_the_help_is_there():
    text = make(ROOT, "help")[1]
    targets = {line.split()[1] for line in text.splitlines() if line.startswith("make ")}
    assert len(targets) > 15
    assert targets <= set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
