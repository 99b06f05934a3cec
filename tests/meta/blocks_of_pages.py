"""Python blocks of Markdown pages, and how they run; as a program, it runs those of the pages that it is given.

It needs nothing but the standard library, so that a page can be run where only the package is installed.
"""

import doctest
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from repository import name

# Only blocks marked `python` run. One that cannot run here says why in a comment right above it.
BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]{10,}) -->\n)?^(?P<fence>`{3,})python\n(?P<code>.*?)^(?P=fence)$", re.S | re.M
)
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@dataclass(frozen=True)
class Example:
    """Code in prose, with the place where it starts."""

    code: str
    path: Path
    line: int

    def run(self, namespace: dict) -> None:
        """Execute in a namespace; a block in prompt form must also print what it shows."""
        if ">>>" not in self.code:
            padded = "\n" * (self.line - 1) + self.code
            exec(compile(padded, str(self.path), "exec"), namespace)
            return
        parsed = doctest.DocTestParser().get_doctest(
            self.code, namespace, name(self.path), str(self.path), self.line - 1
        )
        assert parsed.examples
        report: list[str] = []
        failed, _ = doctest.DocTestRunner(optionflags=OPTIONS).run(parsed, out=report.append, clear_globs=False)
        namespace.update(parsed.globs)
        assert failed == 0, "".join(report)


def blocks(text: str, path: Path) -> list[Example]:
    """The Python blocks of a Markdown text that are to run."""
    found = [match for match in BLOCK.finditer(text) if not match["reason"]]
    return [Example(match["code"], path, text.count("\n", 0, match.start("code")) + 1) for match in found]


def run_in_order(examples: list[Example]) -> None:
    """Run the examples of one document; each sees the names of those before it."""
    namespace = {"__name__": "__main__"}
    for example in examples:
        example.run(namespace)


if __name__ == "__main__":
    for each in map(Path, sys.argv[1:]):
        found = blocks(each.read_text(encoding="utf-8"), each.resolve())
        run_in_order(found)
        sys.stdout.write(f"{name(each.resolve())}: {len(found)} blocks ran\n")
