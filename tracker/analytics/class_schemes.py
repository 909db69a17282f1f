"""Classes as counting schemes name them, no finer than what a camera sees.

A camera sees no axles and no trailers for sure, so a class of the model becomes the group of all classes of the scheme
that look like it: a car is one of FHWA's classes 2 and 3, never one of the two. What a scheme does not have keeps its
name and says so.
"""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["SCHEMES", "Scheme", "scheme_class"]

Scheme = Literal["fhwa", "tls", "otc"]

_FHWA = {"motorcycle": "{1}", "car": "{2,3}", "van": "{2,3}", "bus": "{4}", "truck": "{5-13}"}
"""Federal Highway Administration, Traffic Monitoring Guide 2022: 13 classes by axles."""
_TLS = {
    "motorcycle": "Krad",
    "car": "Pkw/PkwA/Lfw",
    "van": "Pkw/PkwA/Lfw",
    "bus": "Bus",
    "truck": "Lkw/LkwA/Sattel-Kfz",
}
"""Technische Lieferbedingungen fuer Streckenstationen 2012: 8 classes and one for what cannot be classified."""
_OTC = {
    "person": "pedestrian",
    "bicycle": "bicyclist",
    "motorcycle": "motorcyclist",
    "car": "car",
    "van": "private_van",
    "bus": "bus",
    "truck": "truck",
    "train": "train",
}
"""OpenTrafficCam. Its names with trailers and its vans are finer: they are in ``car`` and ``truck``."""

SCHEMES: dict[Scheme, dict[str, str]] = {"fhwa": _FHWA, "tls": _TLS, "otc": _OTC}
OTHER = {"fhwa": "other", "tls": "nk Kfz", "otc": "other"}
"""For what may be a vehicle of the scheme, but is of no class that is known here."""
NO_VEHICLES = ("person", "bicycle")
"""Outside schemes of motor vehicles."""
OUTSIDE = "{name} (outside {scheme})"

assert set(SCHEMES) == set(OTHER) == set(get_args(Scheme))  # noqa: S101 - tables of this page


def scheme_class(scheme: Scheme, class_name: str) -> str:
    """The group of a scheme to which a class of the model belongs.

    >>> scheme_class("fhwa", "car"), scheme_class("tls", "person"), scheme_class("otc", "tractor")
    ('{2,3}', 'person (outside TLS)', 'other')
    """
    table = SCHEMES[scheme]
    if class_name in table:
        return table[class_name]
    if class_name in NO_VEHICLES:
        return OUTSIDE.format(name=class_name, scheme=scheme.upper())
    return OTHER[scheme]
