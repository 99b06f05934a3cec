"""The documentation's page of all tables and figures with their claims, written from the datasets of a run."""

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...pictures import style
from .claims import Claim, Verdict
from .experiment import Experiment
from .kept_sections import anchor, kept
from .run import read_dataset
from .written_files import write_atomically, write_text

if TYPE_CHECKING:
    import xarray

NAME = "paper.md"
"""The page."""

PICTURES = "paper"
"""Folder of its pictures, beside it."""

DIFFERENCES = Path(__file__).with_name("differences.md")
"""What differs from the paper and why, written by hand."""


def write_page(results: Path, docs: Path, experiments: Sequence[Experiment]) -> Path:
    """Draw every stored dataset anew and write the page around the pictures.

    Args:
        results: folder of a run.
        docs: folder of the documentation. What its page says of experiments without a dataset is kept.
        experiments: in the order of the page; those with neither are left out.

    Returns:
        The page.

    Raises:
        ValueError: there is no dataset at all.
        ImportError: xarray or matplotlib is not installed.
    """
    style.require()
    if not any((results / f"{each.stem}.nc").exists() for each in experiments):
        raise ValueError(f"--from: given {results}, expected a folder with datasets of `parascan reproduce all`.")
    before = kept(docs / NAME)
    sections, rows, machines = [], [], dict.fromkeys(before.machines)
    for experiment in experiments:
        path = results / f"{experiment.stem}.nc"
        if path.exists():
            dataset = read_dataset(path)
            claims = experiment.claims(dataset)
            picture = _picture(experiment, dataset, docs / PICTURES)
            sections.append(_section(experiment, dataset, claims, f"{PICTURES}/{picture.name}"))
            rows.append(_line(experiment, dataset.size_name, claims))
            machines |= dict.fromkeys(_machine(dataset))
        elif _label(experiment) in before.rows:
            sections.append(before.sections[_label(experiment)])
            rows.append(before.rows[_label(experiment)])
    text = "\n".join([_head(rows, list(machines)), *sections, DIFFERENCES.read_text(encoding="utf-8")])
    write_text(docs / NAME, text)
    return docs / NAME


def _head(rows: Sequence[str], machines: Sequence[str]) -> str:
    """The beginning of the page: what it is, and how every experiment went."""
    introduction = (
        "Every figure and table below was measured, checked and drawn by `make paper`, which runs `parascan reproduce "
        "all`; this page was then written from the stored datasets by `make paper-page`: change it there, not here. "
        f"Computed on {'; '.join(machines)}. A step count is the number of updates up to the iterate that passes, plus "
        "one where it stands beside a published one, because the published loop tests each iterate one update late. "
        "Table 1 and figures 2, 6 and 8 are here twice: as this library computes, and in the arithmetic of the code "
        "that the paper published (`--arithmetic published`)."
    )
    headings = "| | shows | size | claims met | explained | missed |\n|---|---|---|---|---|---|"
    parts = ("# The paper, reproduced\n", textwrap.fill(introduction, 120), "", headings, *rows, "")
    return "\n".join(parts)


def _line(experiment: Experiment, size: str, claims: Sequence[Claim]) -> str:
    """How an experiment went, as a row of the table at the top."""
    counts = [sum(claim.verdict is verdict for claim in claims) for verdict in Verdict]
    link = f"[{_label(experiment)}](#{anchor(_heading(experiment))})"
    return f"| {link} | {experiment.title} | {size} | {' | '.join(map(str, counts))} |"


def _label(experiment: Experiment) -> str:
    """Name and arithmetic of an experiment."""
    return experiment.name if experiment.arithmetic == "library" else f"{experiment.name}, published arithmetic"


def _heading(experiment: Experiment) -> str:
    """The heading of a section."""
    name = experiment.name
    for word, long in (("fig", "Figure "), ("table", "Table ")):
        if name.startswith(word) and name[len(word) :].isdigit():
            arithmetic = "" if experiment.arithmetic == "library" else " in the published arithmetic"
            return f"{long}{name[len(word) :]}{arithmetic}: {experiment.title}"
    return experiment.title


def _section(experiment: Experiment, dataset: "xarray.Dataset", claims: Sequence[Claim], picture: str) -> str:
    """An experiment: picture, claims, notes, configuration."""
    details = "\n".join(f"- {claim.quantity}: {reason}" for claim in claims for reason in _reasons(claim))
    table = _table([("quantity", "published", "tolerance", "ours", "verdict"), *map(_row, claims)])
    configuration = ", ".join(f"{name} {_brief(value)}" for name, value in json.loads(dataset.configuration).items())
    numbers = "" if experiment.table is None else _table(experiment.table(dataset))
    title = experiment.title
    option = "" if experiment.arithmetic == "library" else f" --arithmetic {experiment.arithmetic}"
    parts = (f"## {_heading(experiment)}", f"![{title}]({picture})", numbers, table, details, experiment.note)
    settings = f"`parascan reproduce {experiment.name}{option} --size {dataset.size_name}`: {configuration}."
    return "\n\n".join(part for part in (*parts, settings) if part) + "\n"


def _table(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells, the first of them headings."""
    written = [f"| {' | '.join(map(_cell, line))} |" for line in lines]
    return "\n".join([written[0], f"|{'---|' * len(lines[0])}", *written[1:]])


def _row(claim: Claim) -> tuple[str, ...]:
    """A claim as cells."""
    return claim.quantity, claim.published, claim.tolerance, claim.ours, str(claim.verdict)


def _reasons(claim: Claim) -> tuple[str, ...]:
    """What there is to say about a claim that is not simply met."""
    return (*claim.remarks, *claim.failures, *([claim.explanation] if claim.explanation else []))


def _cell(text: str) -> str:
    """Text that does not end a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def _brief(value: object) -> str:
    """A setting in few words."""
    if isinstance(value, list) and len(value) > 6:
        return f"{value[0]} ... {value[-1]} ({len(value)} values)"
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {_brief(each)}" for name, each in value.items()) + ")"
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _machine(dataset: "xarray.Dataset") -> list[str]:
    """The hardware of a dataset in words, and the versions that matter most."""
    versions = json.loads(dataset.versions)
    known = f"parascan {versions['parascan']}, jax {versions['jax']}, Python {versions['python']}"
    return [
        f"{each['devices'][0]}, {each['cores']} cores, {each['machine']}, {known}"
        for each in json.loads(dataset.hardware)
    ]


def _picture(experiment: Experiment, dataset: "xarray.Dataset", folder: Path) -> Path:
    """The picture of a dataset in the smaller of its two formats: vectors, or pixels where there are many fields."""
    figure = experiment.figure(dataset)
    paths = [folder / f"{experiment.stem}{suffix}" for suffix in (".svg", ".png")]
    for path in paths:
        write_atomically(path, lambda file, path=path: style.save(figure, file, path.suffix))
    small, large = sorted(paths, key=lambda path: path.stat().st_size)
    large.unlink()
    return small
