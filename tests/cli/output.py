"""What a command printed, as tests compare it."""

import json

import parascan as ps


def plain(result):
    """Output without line breaks and frames, which depend on the width of the terminal."""
    return " ".join(result.output.replace("│", " ").split())


def result_of(found, command):
    """The result in what a command printed with ``--json``: strict JSON of the shape that all commands have."""

    def refused(token):
        raise AssertionError(f"{token} is no JSON")

    told = json.loads(found.stdout, parse_constant=refused)
    assert list(told) == ["command", "form", "version", "result"]
    assert (told["command"], told["form"], told["version"]) == (command, 1, ps.__version__)
    return told["result"]
