"""Pictures of the tutorials: where each is stored, and whether it is older than the code of its page.

As a program, it runs the tutorials that it is given, or all of them, and stores what they have drawn. Each picture
holds a digest of its page's code, by which a test tells that the page has changed since.
"""

import hashlib
import os
import re
import sys
import tempfile
from pathlib import Path

from blocks_of_pages import blocks, run_in_order
from PIL import Image, PngImagePlugin
from repository import ROOT, files, name

TUTORIALS = files("docs/tutorials", suffix=".md")
PICTURES = ROOT / "docs" / "pictures"
DRAWN = re.compile(r'savefig\("(tutorial_\d+\.png)"')
SHOWN = re.compile(r"!\[[^\]]+\]\(\.\./pictures/([^)]+)\)")
MARK = "Digest of the code"


def digest(path: Path) -> str:
    """Digest of the Python blocks of a page."""
    code = "\n".join(block.code for block in blocks(path.read_text(encoding="utf-8"), path))
    return hashlib.sha256(code.encode()).hexdigest()


def drawn_by(text: str) -> str | None:
    """The file that the last Python block of a page saves its picture in; None where it saves none."""
    found = blocks(text, ROOT / "docs" / "tutorials" / "a_page.md")
    names = DRAWN.findall(found[-1].code) if found else []
    return names[-1] if names else None


def digest_in(picture: Path) -> str | None:
    """The digest that a stored picture holds; None where it holds none."""
    with Image.open(picture) as image:
        return image.info.get(MARK)


def store(path: Path) -> Path:
    """Run a tutorial, and keep its picture with the digest of the page's code."""
    text = path.read_text(encoding="utf-8")
    drawn = drawn_by(text)
    if drawn is None:
        raise SystemExit(f"{name(path)}: its last block saves no picture.")
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            run_in_order(blocks(text, path))
        finally:
            os.chdir(before)
        information = PngImagePlugin.PngInfo()
        information.add_text(MARK, digest(path))
        with Image.open(Path(folder, drawn)) as image:
            # Lines and text need few colors; a palette makes the file a third as large.
            image.convert("RGB").quantize(128).save(PICTURES / drawn, optimize=True, pnginfo=information)
    return PICTURES / drawn


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "Agg")
    for each in [Path(given).resolve() for given in sys.argv[1:]] or TUTORIALS:
        stored = store(each)
        sys.stdout.write(f"{name(each)}: {name(stored)}, {stored.stat().st_size // 1000} kB\n")
