"""The rule of every analysis of a traced program: what it cannot make out is unknown, which costs speed and no more.

Programs hold whatever a version of JAX, another library or the user puts into them. An analysis says at its entry,
once, what it answers where it fails; what is inside may fail wherever it likes.
"""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
Answer = TypeVar("Answer")


def unknown_is(unknown: Callable[P, Answer]) -> Callable[[Callable[P, Answer]], Callable[P, Answer]]:
    """A decorator for an analysis: its answer where it fails, for whatever reason.

    Args:
        unknown: of the same arguments, the answer that is right for every program.
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
