"""Interpreters of this machine that can make environments; as a program, the first one of the minor versions given.

Needs the standard library alone: it runs before anything is installed.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROBE = "import ensurepip, sys, venv; print(*sys.version_info[:2], sep='.')"


def interpreter(version: str) -> str | None:
    """The path of an interpreter of a version such as ``"3.12"``, None where there is none.

    pyenv has interpreters that it does not show, so its folder is looked through as well. The one that runs this, and
    the one that ``PYTHON`` names, are candidates too.
    """
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    hidden = sorted(root.glob(f"versions/{version}*/bin/python"))
    named = [shutil.which(each) for each in (f"python{version}", os.environ.get("PYTHON", "python3"))]
    return next((str(each) for each in [*named, *hidden, sys.executable] if each and _version(each) == version), None)


def _version(path: str | Path) -> str:
    """Major and minor version of an interpreter; nothing for one that cannot run, or cannot make environments."""
    try:
        found = subprocess.run([path, "-c", PROBE], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


if __name__ == "__main__":
    print(next((path for minor in sys.argv[1:] if (path := interpreter(f"3.{minor}"))), ""))
