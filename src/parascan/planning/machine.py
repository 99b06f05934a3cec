"""What elementary work costs on a machine: the numbers of the cost model, built in or calibrated."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType

BACKENDS = ("sequential", "associative", "chunked")
"""Ways to solve a linear recurrence over stored matrices."""


@dataclass(frozen=True)
class LinkRates:
    """Seconds of a linear recurrence by one backend.

    Attributes:
        step: of each of its steps.
        entry: for each entry of a step's matrix.
        product: for each operation of a product of two such matrices, where these are formed.
        level: of each level of a tree of products.
    """

    step: float
    entry: float
    product: float = 0.0
    level: float = 0.0

    def __post_init__(self) -> None:
        _require_seconds(self)

    def seconds(self, length: int, width: int, entries: int) -> float:
        """Time of a whole recurrence.

        Args:
            length: steps.
            width: columns of a matrix, or of each of its blocks.
            entries: of a matrix that are stored.
        """
        step = self.step + self.entry * entries + self.product * entries * width
        return length * step + self.level * 2 * math.log2(max(length, 2))


@dataclass(frozen=True)
class Rates:
    """Seconds of elementary work on one device, for one precision.

    Attributes:
        call: of a compiled call, whatever it does.
        turn: of a loop turn in which one sequence takes one step.
        operation: for each arithmetic operation of such a step.
        row: of a loop turn in which many lanes take one step.
        lane: for each entry of the state of each lane of it.
        lane_operation: for each operation of each lane.
        product: of a Jacobian-vector product, in evaluations of the step on the same lanes.
        links: of linear recurrences, by backend.
    """

    call: float
    turn: float
    operation: float
    row: float
    lane: float
    lane_operation: float
    product: float
    links: Mapping[str, LinkRates]

    def __post_init__(self) -> None:
        _require_seconds(self)
        if sorted(self.links) != sorted(BACKENDS):
            raise ValueError(f"links: given {sorted(self.links)}, expected {sorted(BACKENDS)}.")

    def to_json(self) -> str:
        """JSON that ``from_json`` reads."""
        links = {name: asdict(each) for name, each in self.links.items()}
        return json.dumps({**vars(self), "links": links}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Rates":
        """Rates from JSON.

        Raises:
            ValueError: it is no JSON of rates.
        """
        try:
            known = json.loads(text)
            links = {name: LinkRates(**each) for name, each in known.pop("links").items()}
            return cls(**known, links=links)
        except (AttributeError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"rates: given no JSON of rates ({error!r}), expected what to_json returns.") from error


def _require_seconds(rates: Rates | LinkRates) -> None:
    """Refuse what is no time."""
    for field in fields(rates):
        value = getattr(rates, field.name)
        if field.name == "links":
            continue
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
            raise ValueError(f"{field.name}: given {value!r}, expected a finite number of seconds, zero or more.")


# From published figures: a loop turn of small kernels takes some ten microseconds there, whatever it computes.
_ACCELERATOR = Rates(
    call=5e-5,
    turn=1e-5,
    operation=1e-11,
    row=1e-5,
    lane=1e-12,
    lane_operation=1e-13,
    product=1.5,
    links=MappingProxyType(
        {
            "sequential": LinkRates(step=1e-5, entry=1e-10),
            "associative": LinkRates(step=1e-11, entry=1e-12, product=1e-13, level=2e-5),
            "chunked": LinkRates(step=1e-11, entry=1e-12, product=1e-13, level=2e-5),
        }
    ),
)


def _on_a_processor(entry: float, tree: float) -> Mapping[str, LinkRates]:
    """Rates of linear recurrences on a CPU, where trees take the steps of loops and the products beside them."""
    trees = LinkRates(step=4.9e-9, entry=entry, product=tree)
    return MappingProxyType(dict.fromkeys(BACKENDS, trees) | {"sequential": LinkRates(step=4.9e-9, entry=entry)})


# By `parascan calibrate` on two cores of an AMD EPYC, rounded; steps alone by hand, between those of small networks and
# of flows, which differ by a factor of two.
_CPU_SINGLE = Rates(
    call=6e-6,
    turn=1.5e-8,
    operation=5e-11,
    row=1.7e-7,
    lane=1.8e-9,
    lane_operation=6e-12,
    product=0.65,
    links=_on_a_processor(entry=2e-10, tree=2.6e-9),
)

_CPU_DOUBLE = replace(
    _CPU_SINGLE, lane=3.5e-9, lane_operation=5e-12, product=0.45, links=_on_a_processor(entry=5e-10, tree=4e-9)
)

BUILT_IN: Mapping[tuple[str, str], Rates] = MappingProxyType(
    {("cpu", "float32"): _CPU_SINGLE, ("cpu", "float64"): _CPU_DOUBLE, ("gpu", "float32"): _ACCELERATOR}
)
"""Rates by platform and precision, for machines that were not calibrated."""


def built_in(platform: str, dtype: str) -> Rates:
    """The rates that come with the library; of an unknown platform, those of a GPU.

    Args:
        platform: ``"cpu"``, ``"gpu"`` or ``"tpu"``.
        dtype: of the states.
    """
    return BUILT_IN.get((platform, precision_of(dtype)), BUILT_IN.get((platform, "float32"), _ACCELERATOR))


def precision_of(dtype: str) -> str:
    """The precision that rates are kept for: double, or single for all that is narrower.

    Args:
        dtype: of the states.
    """
    return "float64" if dtype in ("float64", "complex128") else "float32"
