"""How operations on each entry pass on ranges and derivatives."""

import dataclasses
from collections.abc import Callable, Sequence
from math import hypot, pi, sqrt

import numpy as np

from .value_bounds import Bounds, Number, UnboundedError, anything, of_linear, times


def _sum(a: Bounds, b: Bounds) -> Bounds:
    """``a + b``."""
    low, high = a.low + b.low, a.high + b.high
    if not (a.dependent or b.dependent):
        return Bounds(low, high)
    if all(each.slopes is None or each.linear is not None for each in (a, b)):
        return of_linear(low, high, added(low, a.linear, b.linear))
    return Bounds(low, high, added(low, a.slopes, b.slopes), norm=a.norm + b.norm)


def added(like: Number, a: Number | None, b: Number | None) -> Number:
    """The sum of derivatives, of which None is zero; an operand without axes counts for every entry."""
    found = [each for each in (a, b) if each is not None]
    return np.broadcast_to(sum(found), (*like.shape, found[0].shape[-1]))


def _negative(a: Bounds) -> Bounds:
    """``-a``."""
    return dataclasses.replace(a, low=-a.high, high=-a.low, linear=None if a.linear is None else -a.linear, value=None)


def _times(a: Bounds, b: Bounds) -> Bounds:
    """``a * b``, entry by entry."""
    ends = [times(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
    low, high = np.minimum.reduce(ends), np.maximum.reduce(ends)
    if not (a.dependent or b.dependent):
        return Bounds(low, high)
    for constant, other in ((a, b), (b, a)):
        if constant.value is not None and other.linear is not None:
            return of_linear(low, high, constant.low[..., None] * other.linear)
    parts = [
        None if moving.slopes is None else times(held.largest[..., None], moving.slopes)
        for held, moving in ((a, b), (b, a))
    ]
    norm = sum(float(times(np.max(held.largest, initial=0.0), moving.norm)) for held, moving in ((a, b), (b, a)))
    return Bounds(low, high, added(low, *parts), norm=norm)


def _through(a: Bounds, low: Number, high: Number, steepest: Number) -> Bounds:
    """A function of each entry.

    Args:
        a: its argument.
        low: its least values.
        high: its largest values.
        steepest: bound on its absolute derivative.
    """
    if a.slopes is None:
        return Bounds(low, high)
    norm = float(times(np.max(steepest, initial=0.0), a.norm))
    return Bounds(low, high, times(np.asarray(steepest)[..., None], a.slopes), norm=norm)


def _nearest_to_zero(a: Bounds) -> Number:
    """The argument at which a function that is steepest at zero is steepest."""
    return np.where((a.low <= 0) & (a.high >= 0), 0.0, np.minimum(np.abs(a.low), np.abs(a.high)))


def _logistic_of(x: Number) -> Number:
    """``1 / (1 + exp(-x))`` without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def _tanh(a: Bounds) -> Bounds:
    """Rule of the hyperbolic tangent."""
    return _through(a, np.tanh(a.low), np.tanh(a.high), 1 - np.tanh(_nearest_to_zero(a)) ** 2)


def _logistic(a: Bounds) -> Bounds:
    """Rule of the logistic function."""
    steepest = _logistic_of(_nearest_to_zero(a))
    return _through(a, _logistic_of(a.low), _logistic_of(a.high), steepest * (1 - steepest))


def _wave(a: Bounds) -> Bounds:
    """Rule of sine and cosine, whose argument may be anywhere."""
    one = np.ones_like(a.low)
    return _through(a, -one, one, one)


def _erf(a: Bounds) -> Bounds:
    """Rule of the error function."""
    one = np.ones_like(a.low)
    return _through(a, -one, one, 2 / sqrt(pi) * one)


def _rising(function: Callable[[Number], Number], slope: Callable[[Bounds], Number]) -> Callable[[Bounds], Bounds]:
    """The rule of a function that rises everywhere."""

    def rule(a: Bounds) -> Bounds:
        with np.errstate(over="ignore"):
            return _through(a, function(a.low), function(a.high), slope(a))

    return rule


def _above(least: float, function: Callable[[Number], Number], slope: Callable[[Number], Number]) -> Callable:
    """The rule of a function that rises above a number, and is less and less steep there."""

    def rule(a: Bounds) -> Bounds:
        if not np.all(a.low > least):
            return _unknown(a, f"an argument of one of its operations may be {least:g} or less")
        return _through(a, function(a.low), function(a.high), slope(a.low))

    return rule


def _unknown(a: Bounds, why: str) -> Bounds:
    """Any value, where the state does not matter; else there is no proof."""
    if a.dependent:
        raise UnboundedError(why)
    return anything(a.low.shape)


def _absolute(a: Bounds) -> Bounds:
    """Rule of the absolute value."""
    least = np.where((a.low <= 0) & (a.high >= 0), 0.0, np.minimum(np.abs(a.low), np.abs(a.high)))
    return _through(a, least, a.largest, np.ones_like(a.low))


def power(a: Bounds, exponent: int) -> Bounds:
    """A whole power, at least the first."""
    if exponent < 1:
        return _unknown(a, f"one of its operations is a power of {exponent}")
    if exponent % 2:
        low, high = a.low**exponent, a.high**exponent
    else:
        least = _absolute(a).low
        low, high = least**exponent, a.largest**exponent
    return _through(a, low, high, exponent * a.largest ** (exponent - 1))


def _divided(a: Bounds, b: Bounds) -> Bounds:
    """``a / b`` where b keeps its sign."""
    if not np.all((b.low > 0) | (b.high < 0)):
        return _unknown(_sum(a, b), "one of its divisors may be zero")
    least = np.minimum(np.abs(b.low), np.abs(b.high))
    inverse = _through(b, 1 / b.high, 1 / b.low, 1 / least**2)
    if b.value is not None:
        inverse = dataclasses.replace(inverse, value=b.value)
    return _times(a, inverse)


def _either(candidates: Sequence[Bounds], low: Number, high: Number) -> Bounds:
    """One of some values, entry by entry."""
    slopes = [each.slopes for each in candidates if each.slopes is not None]
    if not slopes:
        return Bounds(low, high)
    alike = [np.broadcast_to(each, (*low.shape, each.shape[-1])) for each in slopes]
    # Each row of the derivative is that of one of them.
    return Bounds(low, high, np.maximum.reduce(alike), norm=hypot(*(each.norm for each in candidates)))


def _largest(a: Bounds, b: Bounds) -> Bounds:
    """Rule of the maximum of two."""
    return _either((a, b), np.maximum(a.low, b.low), np.maximum(a.high, b.high))


def _least(a: Bounds, b: Bounds) -> Bounds:
    """Rule of the minimum of two."""
    return _either((a, b), np.minimum(a.low, b.low), np.minimum(a.high, b.high))


def _selected(which: Bounds, *cases: Bounds) -> Bounds:
    """Rule of a choice that the state has no part in."""
    if which.dependent:
        raise UnboundedError("it jumps where a condition on the state changes")
    low = np.minimum.reduce([each.low for each in cases])
    return _either(cases, low, np.maximum.reduce([each.high for each in cases]))


def unchanged(a: Bounds) -> Bounds:
    """The operand itself."""
    return dataclasses.replace(a, value=None)


ENTRYWISE: dict[str, Callable[..., Bounds]] = {
    "abs": _absolute,
    "add": _sum,
    "add_any": _sum,
    "asinh": _rising(np.arcsinh, lambda a: np.ones_like(a.low)),
    "atan": _rising(np.arctan, lambda a: np.ones_like(a.low)),
    "clamp": lambda least, a, most: _least(_largest(a, least), most),
    "cos": _wave,
    "div": _divided,
    "erf": _erf,
    "exp": _rising(np.exp, lambda a: np.exp(a.high)),
    "log": _above(0.0, np.log, lambda low: 1 / low),
    "log1p": _above(-1.0, np.log1p, lambda low: 1 / (1 + low)),
    "logistic": _logistic,
    "max": _largest,
    "min": _least,
    "mul": _times,
    "neg": _negative,
    "reduce_precision": unchanged,
    "select_n": _selected,
    "sin": _wave,
    "sqrt": _above(0.0, np.sqrt, lambda low: 0.5 / np.sqrt(low)),
    "square": lambda a: power(a, 2),
    "stop_gradient": unchanged,
    "sub": lambda a, b: _sum(a, _negative(b)),
    "tanh": _tanh,
}
"""Rules of operations on each entry; an operand without axes counts for every entry."""
