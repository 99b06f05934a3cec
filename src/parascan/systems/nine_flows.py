"""The numbers that table 1 of the paper was computed with, and those that it prints.

The paper gives neither the measurement nor the seeds; they are those of its published code
(https://github.com/lindermanlab/predictability_enables_parallelization, ``experiments/tab1.py``, seed 42), as numbers
because a seed gives other numbers in float32. Exponents: algorithm 1 without warm-up, per unit of time. Steps: updates
plus one, because the published loop tests the iterate before the update it counts. The published counts of all nine
observers are those of the rule ``||r||^2 / T <= 1e-10``; the factor 1/2 of the merit makes Rossler and Thomas stop one
update earlier. An exponent is a mean over 300 units of time along one chaotic orbit, and an orbit is decided by its
roundings: another start in the last digits gives another mean, by the spread noted with each row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import jax
from jaxtyping import Array, Float

from ._base import Fact, resolve_dtype, whole_number

LENGTH = 30_000
"""T, the number of steps."""

DT = 0.01
"""Step of forward Euler, in units of time."""

TOLERANCE = 1e-10
"""Bound on the merit divided by T at which Newton stops."""

MEASUREMENT = ((-0.7203007280025545, -0.26062232600173396, 1.6815685055837928),)
"""C of every observer, [1, 3]; the gain is its transpose. Standard normals in float64: first of six keys of seed 42."""


@dataclass(frozen=True)
class Published:
    """The numbers that table 1 prints for one system.

    Attributes:
        exponent: largest exponent, per unit of time.
        steps: count of Newton steps, one more than the updates.
        spread: standard deviation of the exponent over 64 starts of the flow moved by a relative 1e-13; not printed.
    """

    exponent: float
    steps: int
    spread: float

    @property
    def fact(self) -> Fact:
        """The exponent with its source."""
        return Fact(
            self.exponent,
            "Gonzalez et al. (2025), table 1: mean over 30 000 forward Euler steps of 0.01, printed with two decimals; "
            f"other roundings move it by {self.spread} (standard deviation)",
        )


@dataclass(frozen=True)
class Row:
    """One row of table 1.

    Attributes:
        label: name of the flow in the paper.
        substituted: coordinates of the observer that the measured ones replace.
        offset: start of the observer minus start of the flow; standard normals in float64 with nine keys of seed 0.
        flow: numbers printed for the flow.
        observer: numbers printed for its observer.
    """

    label: str
    substituted: tuple[int, ...]
    offset: tuple[float, float, float]
    flow: Published
    observer: Published


ROWS: Mapping[str, Row] = MappingProxyType(
    {
        "abc": Row(
            "ABC",
            (0, 2),
            (0.6762810306120918, -0.05104023440580335, 2.0125025229519684),
            Published(0.16, 4243, 0.013),
            Published(-0.08, 3, 0.002),
        ),
        "chua": Row(
            "Chua's Circuit",
            (1,),
            (-0.8361941707422206, -0.3773563339695245, 0.36190418869948193),
            Published(0.02, 697, 0.0025),
            Published(-1.37, 14, 0.002),
        ),
        "kawczynski_strizhak": Row(
            "Kawczynski-Strizhak",
            (0, 1),
            (0.3057833525534475, 0.8082806884841326, -0.7688829853221077),
            Published(0.01, 29396, 0.0018),
            Published(-3.08, 2, 0.0016),
        ),
        "lorenz": Row(
            "Lorenz",
            (1,),
            (-1.400884102827668, 1.4321449977776874, 0.6248106961344603),
            Published(1.02, 30000, 0.017),
            Published(-6.28, 3, 0.15),
        ),
        "nose_hoover": Row(
            "Nosé-Hoover Thermostat",
            (0, 2),
            (1.3604254989116886, 0.6662043913860035, -2.0081839597821545),
            Published(0.02, 29765, 0.0017),
            Published(-0.13, 3, 0.002),
        ),
        "rossler": Row(
            "Rössler",
            (),
            (1.8800298928929466, -0.4812149737008219, 0.4154572296392434),
            Published(0.01, 29288, 0.0018),
            Published(-0.07, 7, 0.0018),
        ),
        "sprott_b": Row(
            "SprottB",
            (1,),
            (0.5023905576691897, 0.051963325125891295, -0.41041443173962444),
            Published(0.2, 29486, 0.0059),
            Published(-0.39, 2, 0.011),
        ),
        "thomas": Row(
            "Thomas",
            (1,),
            (0.39051537445161943, 1.172716240670054, -0.7953608620518863),
            Published(0.01, 12747, 0.0018),
            Published(-3.07, 7, 0.0021),
        ),
        "vallis_el_nino": Row(
            "Vallis El Niño",
            (1,),
            (0.7558805449325054, -0.45853771913444386, 0.513563828346823),
            Published(0.58, 30000, 0.022),
            Published(-2.48, 3, 0.0034),
        ),
    }
)
"""The rows by the names of the flows here, in the paper's order."""


def guess(length: int = LENGTH, *, dtype: Any = None) -> Float[Array, "T 3"]:
    """The published first trajectory of Newton's method, standard normals that are the same for all systems.

    In float64 the numbers are the published ones, and a shorter guess is the beginning of theirs; another dtype draws
    others.

    Args:
        length: number of steps T.
        dtype: floating dtype, JAX's default when None.

    Returns:
        The guess, [T, 3].

    Raises:
        TypeError: ``length`` is not an integer, or ``dtype`` is not floating.
        ValueError: ``length`` is negative.

    Source:
        Gonzalez et al. (2025), appendix J.5; the third of six keys of seed 42 in the published code.

    Examples:
        >>> from parascan.systems import table1
        >>> table1.guess(4).shape
        (4, 3)
    """
    steps, kind = whole_number("length", length, least=0), resolve_dtype(dtype)
    return jax.random.normal(jax.random.split(jax.random.PRNGKey(42), 6)[2], (steps, 3), kind)
