"""The archives of a release, checked: built, read by the linters of their formats, installed and tried.

``python .ci/package.py``, under a Python that has the tools (``make package`` makes one). Leaves ``dist/`` with the
source archive, the wheel, and the recipe for conda-forge.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
BIN = Path(sys.executable).parent


def run(*command: object, cwd: Path = ROOT) -> None:
    """Run a command and print it first; its failure ends this program."""
    words = [str(each) for each in command]
    print("--", " ".join(words).replace(f"{ROOT}/", ""), flush=True)
    if status := subprocess.run(words, cwd=cwd, check=False).returncode:
        sys.exit(f"failed with exit code {status}: {' '.join(words)}")


def build() -> tuple[Path, Path]:
    """The source archive, and the wheel made from it."""
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", DIST, ROOT)
    (source,), (wheel,) = DIST.glob("*.tar.gz"), DIST.glob("*.whl")
    return source, wheel


def check_archives(source: Path, wheel: Path) -> None:
    """Metadata, what is in the archives, and what must not be."""
    run(BIN / "twine", "check", "--strict", source, wheel)
    run(BIN / "check-wheel-contents", wheel)
    run(BIN / "validate-pyproject", "pyproject.toml")
    held = set(zipfile.ZipFile(wheel).namelist())
    assert "parascan/py.typed" in held, "the wheel has no parascan/py.typed"
    assert all(each.startswith(("parascan/", "parascan-")) for each in held), "the wheel holds other packages"
    with tarfile.open(source) as archive:
        inside = {each.split("/", 1)[-1] for each in archive.getnames()}
    wanted = {"LICENSE", "CHANGELOG.md", "CITATION.cff", "Makefile", "tests/conftest.py", "requirements.lock"}
    assert wanted <= inside, f"the source archive lacks {sorted(wanted - inside)}"


def check_files() -> None:
    """Files that other programs read, by the linters of their formats."""
    forms = ROOT / ".github" / "ISSUE_TEMPLATE"
    held = {
        "github-workflows": sorted((ROOT / ".github" / "workflows").glob("*.yml")),
        "github-issue-forms": sorted(path for path in forms.glob("*.yml") if path.stem != "config"),
        "github-issue-config": [forms / "config.yml"],
        "dependabot": [ROOT / ".github" / "dependabot.yml"],
        "citation-file-format": [ROOT / "CITATION.cff"],
    }
    for schema, paths in held.items():
        run(BIN / "check-jsonschema", "--builtin-schema", f"vendor.{schema}", *paths)
    run(BIN / "zizmor", "--offline", "--quiet", "--no-progress", "--config", ".github/zizmor.yml", ".github")
    run(BIN / "pre-commit", "validate-config", ".pre-commit-config.yaml")


def write_recipe(source: Path) -> None:
    """The recipe for conda-forge, with version and digest; it is rendered, so that a wrong one ends here."""
    version = source.name.removeprefix("parascan-").removesuffix(".tar.gz")
    text = (ROOT / "conda" / "recipe.yaml").read_text(encoding="utf-8")
    body = text[text.index("schema_version") :].replace("@version@", version)
    body = body.replace("@sha256@", hashlib.sha256(source.read_bytes()).hexdigest())
    target = DIST / "conda" / "recipe.yaml"
    target.parent.mkdir()
    target.write_text(body, encoding="utf-8")
    code = "import sys; from rattler_build import Stage0Recipe; Stage0Recipe.from_file(sys.argv[1])"
    run(sys.executable, "-c", code, target)


def try_wheel(wheel: Path) -> None:
    """The wheel in an environment that has nothing else, where the examples of README and of the tour run."""
    home = ROOT / "build" / "empty"
    venv.create(home, clear=True, with_pip=True)
    run(home / "bin" / "pip", "--disable-pip-version-check", "install", "--quiet", wheel)
    run(home / "bin" / "parascan", "--version", cwd=home)
    pages = ROOT / "README.md", ROOT / "docs" / "tour.md"
    run(home / "bin" / "python", ROOT / "tests" / "meta" / "blocks_of_pages.py", *pages, cwd=home)


def main() -> None:
    """All of it; the first failure ends it."""
    check_files()
    source, wheel = build()
    check_archives(source, wheel)
    write_recipe(source)
    try_wheel(wheel)
    print("dist/ holds", ", ".join(sorted(str(each.relative_to(DIST)) for each in DIST.rglob("*") if each.is_file())))


if __name__ == "__main__":
    main()
