"""Parameters and initial conditions of the nine chaotic flows of table 1, as numbers.

They are those of the dysts 0.96 data (Gilpin 2021, ``chaotic_attractors.json``, https://github.com/GilpinLab/dysts,
Apache-2.0), with two departures of the published runs, which table 1 needs: Lorenz takes beta = 8/3 where dysts rounds
to 2.667, and the ABC flow starts at (-0.785, -0.629, -0.176), which in dysts belongs to the Aizawa flow.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class FlowData:
    """A flow as numbers.

    Attributes:
        dysts_name: name of the flow in dysts.
        equations: the vector field, one line.
        parameters: values by name.
        initial_state: start, on or near the attractor.
        source: author and year of the flow.
        remark: what a reader of its exponents should know.
    """

    dysts_name: str
    equations: str
    parameters: Mapping[str, Any]
    initial_state: tuple[float, ...]
    source: str
    remark: str = ""


FLOWS: Mapping[str, FlowData] = MappingProxyType(
    {
        "abc": FlowData(
            dysts_name="ArnoldBeltramiChildress",
            equations="x' = a sin z + c cos y, y' = b sin x + a cos z, z' = c sin y + b cos x",
            parameters=MappingProxyType({"a": 1.73205, "b": 1.41421, "c": 1.0}),
            initial_state=(-0.78450179, -0.62887672, -0.17620268),
            source="Arnold (1966), J. Appl. Math. Mech. 30, 223",
        ),
        "chua": FlowData(
            dysts_name="Chua",
            equations="x' = alpha (y - x - f(x)), y' = x - y + z, z' = -beta y, "
            "f(x) = m1 x + (m0 - m1) (|x + 1| - |x - 1|) / 2",
            parameters=MappingProxyType({"alpha": 15.6, "beta": 28.0, "m0": -1.142857, "m1": -0.71429}),
            initial_state=(1.1262351, -0.11386474, -0.78324421),
            source="Chua (1969), Introduction to Nonlinear Network Theory",
        ),
        "kawczynski_strizhak": FlowData(
            dysts_name="KawczynskiStrizhak",
            equations="x' = gamma (y - x^3 + 3 mu x), y' = -2 mu x - y - z + beta, z' = kappa (x - z)",
            parameters=MappingProxyType({"beta": -0.4, "gamma": 0.49, "kappa": 0.2, "mu": 2.1}),
            initial_state=(-1.160501, 5.8636902, -1.2031947),
            source="Strizhak and Kawczynski (1995), J. Phys. Chem. 99, 10830",
        ),
        "lorenz": FlowData(
            dysts_name="Lorenz",
            equations="x' = sigma (y - x), y' = x (rho - z) - y, z' = x y - beta z",
            parameters=MappingProxyType({"beta": 8 / 3, "rho": 28.0, "sigma": 10.0}),
            initial_state=(-9.7869288, -15.03852, 20.533978),
            source="Lorenz (1963), J. Atmos. Sci. 20, 130",
        ),
        "nose_hoover": FlowData(
            dysts_name="NoseHoover",
            equations="x' = y, y' = -x + y z, z' = a - y^2",
            parameters=MappingProxyType({"a": 1.5}),
            initial_state=(-1.9758582, 0.24647527, 0.79024299),
            source="Nose (1984), J. Chem. Phys. 81, 511; Hoover (1985), Phys. Rev. A 31, 1695",
        ),
        "rossler": FlowData(
            dysts_name="Rossler",
            equations="x' = -y - z, y' = x + a y, z' = b + z (x - c)",
            parameters=MappingProxyType({"a": 0.2, "b": 0.2, "c": 5.7}),
            initial_state=(6.5134412, 0.4772013, 0.34164294),
            source="Rossler (1976), Phys. Lett. A 57, 397",
        ),
        "sprott_b": FlowData(
            dysts_name="SprottB",
            equations="x' = y z, y' = x - y, z' = 1 - x y",
            parameters=MappingProxyType({}),
            initial_state=(1.6878282, 1.4848132, -0.53706628),
            source="Sprott (1994), Phys. Rev. E 50, R647, case B",
        ),
        "thomas": FlowData(
            dysts_name="Thomas",
            equations="x' = -a x + b sin y, y' = -a y + b sin z, z' = -a z + b sin x",
            parameters=MappingProxyType({"a": 1.85, "b": 10.0}),
            initial_state=(2.199442, 2.3634225, 3.220197),
            source="Thomas (1999), Int. J. Bifurc. Chaos 9, 1889",
        ),
        "vallis_el_nino": FlowData(
            dysts_name="VallisElNino",
            equations="x' = b y - c (x + p), y' = -y + x z, z' = -z - x y + 1",
            parameters=MappingProxyType({"b": 102.0, "c": 3.0, "p": 0.0}),
            initial_state=(-6.99286331487343, 0.023254276622294345, -0.1658177563067799),
            source="Vallis (1988), J. Geophys. Res. 93, 13979",
        ),
    }
)
"""The nine flows by their names here."""
