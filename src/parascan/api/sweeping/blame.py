"""Errors of a user's own code in one line: what went wrong, and where in that code."""

import re
import sysconfig
import traceback
from pathlib import Path

PACKAGE = str(Path(__file__).parents[2])
"""Folder of this library."""

LONGEST = 300
"""Most characters of an error's text."""

TOLD = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')
"""File and line in the text of a traceback."""


def place_of(error: BaseException) -> str:
    """File and line of the innermost call in the user's own code; empty where there is none.

    Args:
        error: as it was caught.
    """
    told = [(each["file"], int(each["line"])) for each in TOLD.finditer(str(error))]
    frames = [(each.filename, each.lineno or 0) for each in traceback.extract_tb(error.__traceback__)]
    calls = [*frames, *told]
    # What is around the library, such as the script that calls it, is not to blame.
    inside = max((index for index, each in enumerate(calls) if each[0].startswith(PACKAGE)), default=-1)
    own = [each for each in calls[inside + 1 :] if _is_own(each[0])]
    return f"{Path(own[-1][0]).name}, line {own[-1][1]}" if own else ""


def _is_own(file: str) -> bool:
    """Whether a file is the user's: neither of this library, nor installed, nor a name like ``<string>``."""
    paths = sysconfig.get_paths()
    foreign = (PACKAGE, *(paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")), "<")
    return not file.startswith(foreign) and "site-packages" not in file


def reason_of(error: BaseException) -> str:
    """Kind and text of an error, and its place in the user's code.

    Args:
        error: as it was caught.

    Examples:
        >>> reason_of(ValueError("too large"))
        'ValueError: too large'
    """
    text = str(error)
    if places := list(TOLD.finditer(text)):
        # What a function that the step calls on the host raised: lines of code are indented, the error is not.
        after = [line for line in text[places[-1].end() :].splitlines()[1:] if line.strip() and not line[0].isspace()]
        told = after[0] if after else type(error).__name__
    else:
        # What libraries say after an empty line or a rule is about their own frames.
        brief = " ".join(text.split("\n\n")[0].split("\n---")[0].split())
        told = f"{type(error).__name__}{': ' * bool(brief)}{brief}"
    shown = told if len(told) <= LONGEST else told[: LONGEST - 3] + "..."
    place = place_of(error)
    return f"{shown} ({place})" if place else shown
