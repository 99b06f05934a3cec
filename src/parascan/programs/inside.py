"""The programs inside an operation of a traced program, for all supported versions of JAX.

JAX 0.10 distinguishes closed programs from open ones and has the number of a scan's carried values as a parameter; JAX
0.11 and later have one kind of program and other names for a scan's parts. Some operations hold no program but can be
written out as one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from .shapes import shape_like

INLINED = {
    "call": "call_jaxpr",
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "eval_jaxpr": "call_jaxpr",
    "remat": "jaxpr",
    "checkpoint": "jaxpr",
    "remat2": "jaxpr",
}
"""Primitives that only call another program, and the parameter that holds it."""


def opened(program: Any) -> tuple[Jaxpr, tuple[Any, ...]]:
    """A program inside an operation, closed or open, and the values of its constants.

    Args:
        program: a parameter of the operation.
    """
    return getattr(program, "jaxpr", program), tuple(getattr(program, "consts", ()))


def as_closed(program: Any) -> ClosedJaxpr:
    """A program inside an operation, as a closed program.

    Args:
        program: a parameter of the operation.
    """
    return ClosedJaxpr(*opened(program))


def programs_in(parameter: Any) -> list[Any]:
    """The programs in a parameter of an operation, closed or open as they are.

    Args:
        parameter: a value of any kind, or a sequence of such.
    """
    parts = parameter if isinstance(parameter, list | tuple) else [parameter]
    return [part for part in parts if hasattr(part, "eqns") or hasattr(part, "jaxpr")]


def programs_of(eqn: JaxprEqn) -> list[Jaxpr]:
    """All programs inside an operation, including one that it can be written out as.

    Args:
        eqn: the operation.
    """
    found = [opened(part)[0] for value in eqn.params.values() for part in programs_in(value)]
    expansion = None if found else expanded(eqn)
    return found if expansion is None else [expansion.jaxpr]


def names_in(program: Jaxpr) -> set[str]:
    """Names of all primitives in a program, and in those inside it.

    Args:
        program: where to look.
    """
    found = {eqn.primitive.name for eqn in program.eqns}
    return found.union(*(names_in(part) for eqn in program.eqns for part in programs_of(eqn)))


def expanded(eqn: JaxprEqn) -> ClosedJaxpr | None:
    """The program that a high-level operation stands for, or None where it has none.

    Such operations (``jax.experimental.hijax``) have a method ``expand`` in place of a program. In JAX 0.12
    ``jnp.searchsorted`` is one, which ``interp``, ``digitize`` and ``expm`` use.

    Args:
        eqn: the operation.
    """
    operation = next((value for value in eqn.params.values() if callable(getattr(value, "expand", None))), None)
    if operation is None or not hasattr(operation, "in_tree"):
        return None

    def written_out(*leaves: Any) -> list[Any]:
        return jax.tree.leaves(operation.expand(*operation.in_tree.unflatten(leaves)))

    try:
        return jax.make_jaxpr(written_out)(*(shape_like(atom.aval) for atom in eqn.invars))
    except Exception:
        # Whatever keeps an operation from being written out, it is then one of which nothing is known.
        return None


def called(eqn: JaxprEqn) -> ClosedJaxpr | None:
    """The program that an operation only runs, or None where it does anything else.

    Args:
        eqn: the operation.
    """
    inner = eqn.params.get(INLINED.get(eqn.primitive.name, ""))
    return None if inner is None else as_closed(inner)


def while_parts(eqn: JaxprEqn) -> tuple[int, int]:
    """How many of a ``while`` loop's first operands its condition alone reads, and how many after them its body alone.

    Args:
        eqn: the loop.
    """
    condition, body = (opened(eqn.params[name])[0] for name in ("cond_jaxpr", "body_jaxpr"))
    return len(condition.invars) - len(eqn.outvars), len(body.invars) - len(eqn.outvars)


def scan_parts(eqn: JaxprEqn) -> tuple[int, int]:
    """How many of a scan's first operands are the same in all steps, and how many after them are carried.

    They are found by shapes: the inputs of all steps, and their outputs, have one axis more than those of one step.

    Args:
        eqn: the scan.
    """
    body, _ = opened(eqn.params["jaxpr"])
    inputs, outputs = (
        sum(_rank(all_steps) > _rank(one) for all_steps, one in zip(*pairs, strict=True))
        for pairs in ((eqn.invars, body.invars), (eqn.outvars, body.outvars))
    )
    carried = len(eqn.outvars) - outputs
    return len(eqn.invars) - inputs - carried, carried


def _rank(atom: Any) -> int:
    """Number of axes of an operand or a result."""
    return len(getattr(atom.aval, "shape", ()))


def bind(eqn: Any, params: Any, values: Sequence[Any]) -> list[Any]:
    """The results of an operation for other operands, and perhaps other parameters.

    Args:
        eqn: the operation.
        params: its parameters.
        values: its operands.
    """
    out = eqn.primitive.bind(*values, **eqn.primitive.get_bind_params(params))
    return list(out) if eqn.primitive.multiple_results else [out]


def interpreted(
    program: ClosedJaxpr | Jaxpr,
    args: Sequence[Any],
    apply: Callable[[JaxprEqn, list[Any]], Sequence[Any]],
    constant: Callable[[Any, Any], Any] = lambda atom, value: value,
) -> list[Any]:
    """A program run operation by operation with other rules, or an analysis that follows its values.

    Args:
        program: the program.
        args: its arguments, or what is known of them.
        apply: gives the results of an operation from the operation and its operands.
        constant: what stands for an array or number that the program holds, from its variable and its value; the value
            is None for an array that an open program does not hold.
    """
    jaxpr, consts = opened(program)
    held = zip(jaxpr.constvars, consts or [None] * len(jaxpr.constvars), strict=True)
    values = {atom: constant(atom, value) for atom, value in held}
    values.update(zip(jaxpr.invars, args, strict=True))

    def read(atoms: Sequence[Any]) -> list[Any]:
        return [constant(atom, atom.val) if isinstance(atom, Literal) else values[atom] for atom in atoms]

    for eqn in jaxpr.eqns:
        values.update(zip(eqn.outvars, apply(eqn, read(eqn.invars)), strict=True))
    return read(jaxpr.outvars)


def computed_from(program: ClosedJaxpr, known: Mapping[Any, Any], wanted: Sequence[Any]) -> list[Any]:
    """Values of some variables of a program, by those operations alone that lie between them and known values.

    Args:
        program: the program.
        known: values by their variables, of which nothing before is computed.
        wanted: the variables; literals are their own values.
    """
    values = {**dict(zip(program.jaxpr.constvars, program.consts, strict=True)), **known}
    missing, between = set(_variables(wanted)) - values.keys(), []
    for eqn in reversed(program.jaxpr.eqns):
        if not missing.isdisjoint(eqn.outvars):
            between.append(eqn)
            missing |= set(_variables(eqn.invars)) - values.keys()

    def read(atoms: Sequence[Any]) -> list[Any]:
        return [atom.val if isinstance(atom, Literal) else values[atom] for atom in atoms]

    for eqn in reversed(between):
        results = bind(eqn, eqn.params, read(eqn.invars))
        # What is known stays as it is.
        for atom, result in zip(eqn.outvars, results, strict=True):
            values.setdefault(atom, result)
    return read(wanted)


def _variables(atoms: Sequence[Any]) -> list[Any]:
    """Those that are no literals."""
    return [atom for atom in atoms if not isinstance(atom, Literal)]
