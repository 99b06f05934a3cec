"""The table of methods against hard cases, from real runs: ``python tests/hard/table.py`` writes it into the docs."""

from pathlib import Path

from hard_cases import CASES, METHODS, outcome

PAGE = Path(__file__).resolve().parents[2] / "docs" / "hard_cases.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"
SHORT = {"max_iterations_reached": "budget", "nonfinite": "nonfinite", "stalled": "stalled", "diverged": "diverged"}


def cell(code, iterations):
    """What the table says of one run."""
    return str(iterations) if code == "successful" else SHORT[code]


def rows():
    """The lines of the table."""
    head = ["case", *METHODS]
    lines = [head, ["---"] * len(head)]
    for name, case in CASES.items():
        found = [cell(*outcome(case, method)[:2]) for method in METHODS]
        lines.append([f"`{name}`: {case.text}", *found])
    return ["| " + " | ".join(line) + " |\n" for line in lines]


def read():
    """The lines of the table as the page has them."""
    return PAGE.read_text().split(BEGIN)[1].split(END)[0].splitlines(keepends=True)


def write():
    """Put the table into the page."""
    text = PAGE.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    PAGE.write_text(before + BEGIN + "".join(rows()) + END + after)


if __name__ == "__main__":
    write()
