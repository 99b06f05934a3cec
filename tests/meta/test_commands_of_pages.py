"""The commands that pages show are commands with options that there are."""

import re
import shlex

import pytest
import typer
from repository import ROOT, files, name

from parascan.cli import app

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *files("docs", suffix=".md")]
GROUP = typer.main.get_command(app)


def calls(path):
    """Arguments of the calls of ``parascan`` in the shell blocks of a page, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", path.read_text(), re.S | re.M)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("parascan ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.mark.parametrize("page", [path for path in PAGES if calls(path)], ids=name)
def test_the_commands_of_a_page_are_taken(page):
    for called, *arguments in calls(page):
        if called not in ("--version", "--help", "-h"):
            GROUP.commands[called].make_context(called, list(arguments))


def test_a_call_that_is_not_taken_is_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```sh\nparascan run lorenz --lenght 5  # a comment\n```\n")
    with pytest.raises(Exception, match="lenght"):
        test_the_commands_of_a_page_are_taken(page)
