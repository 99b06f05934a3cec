"""The rule for every analysis of a traced program: where it fails its answer is "unknown", which costs only speed.

Programs hold whatever a version of JAX, another library or the user puts into them. An analysis says once, at its
entry, what it answers where it fails; the code inside may then raise anything.
"""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
Answer = TypeVar("Answer")


def unknown_is(unknown: Callable[P, Answer]) -> Callable[[Callable[P, Answer]], Callable[P, Answer]]:
    """A decorator for an analysis: its answer where it fails, for whatever reason.

    Args:
        unknown: a function of the same arguments that gives the answer that is safe for every program.
    """

    def decorate(analysis: Callable[P, Answer]) -> Callable[P, Answer]:
        @functools.wraps(analysis)
        def run(*args: P.args, **kwargs: P.kwargs) -> Answer:
            try:
                return analysis(*args, **kwargs)
            except Exception:
                return unknown(*args, **kwargs)

        return run

    return decorate
