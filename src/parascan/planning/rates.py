"""What elementary work costs on a machine: the numbers of the cost model, built in or calibrated."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType


@dataclass(frozen=True)
class Rates:
    """Seconds of elementary work on one device, for one precision.

    Attributes:
        call: of a compiled call, whatever it does.
        turn: of a loop turn in which one sequence takes one step.
        operation: for each arithmetic operation of such a step.
        row: of a loop turn in which many lanes take one step.
        lane: for each lane of it.
        lane_operation: for each operation of each lane.
        product: of a Jacobian-vector product, in evaluations of the step on the same lanes.
        link: of one step of a linear recurrence.
        link_entry: for each entry of its matrix.
        level: of one level of a tree of products, where recurrences are solved by trees; zero where by loops.
    """

    call: float
    turn: float
    operation: float
    row: float
    lane: float
    lane_operation: float
    product: float
    link: float
    link_entry: float
    level: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
                raise ValueError(f"{field.name}: given {value!r}, expected a finite number of seconds, zero or more.")

    def to_json(self) -> str:
        """JSON that ``from_json`` reads."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Rates":
        """Rates from JSON.

        Raises:
            ValueError: it is no JSON of rates.
        """
        try:
            return cls(**json.loads(text))
        except (TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"rates: given no JSON of rates ({error}), expected what to_json returns.") from error


BUILT_IN: Mapping[str, Rates] = MappingProxyType(
    {
        # Fitted by `parascan calibrate` on two cores of an AMD EPYC in float32, rounded; steps alone by hand between
        # those of networks and of flows, which differ by a factor of two.
        "cpu": Rates(
            call=1.8e-5,
            turn=1.2e-8,
            operation=3.5e-11,
            row=1.7e-7,
            lane=1.9e-9,
            lane_operation=7e-12,
            product=0.65,
            link=9e-9,
            link_entry=3.2e-10,
        ),
        # From published figures: a loop turn of small kernels takes some 10 microseconds, whatever it computes.
        "gpu": Rates(
            call=5e-5,
            turn=1e-5,
            operation=1e-11,
            row=1e-5,
            lane=1e-12,
            lane_operation=1e-13,
            product=1.5,
            link=1e-11,
            link_entry=1e-12,
            level=2e-5,
        ),
    }
)
"""Rates by platform, for machines that were not calibrated."""


def built_in(platform: str) -> Rates:
    """The rates that come with the library; of an unknown platform, those of a GPU.

    Args:
        platform: ``"cpu"``, ``"gpu"`` or ``"tpu"``.
    """
    return BUILT_IN.get(platform, BUILT_IN["gpu"])
