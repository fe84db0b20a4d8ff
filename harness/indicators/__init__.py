"""The technical indicators, one module per area; each holds a tuple, INDICATORS: a row added is an indicator added.

Ids are those of the catalogue that virtmark follows (AREA-NN), names are in English and Chinese.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType

from harness.indicators.base import Evaluated, Indicator


@functools.cache
def catalogue() -> Mapping[str, Indicator]:
    """Return every indicator by id, in the order of ids; ValueError if two have one id."""
    found: dict[str, Indicator] = {}
    for module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
        gather(found, getattr(importlib.import_module(f"{__name__}.{module}"), "INDICATORS", ()), module)
    return MappingProxyType(dict(sorted(found.items())))


def gather(found: dict[str, Indicator], rows: tuple[Indicator, ...], module: str) -> None:
    """Add the rows of a module; ValueError if an id is taken."""
    for row in rows:
        if row.id in found:
            raise ValueError(f"indicator {row.id} is defined twice, the second time in {module}.py")
        found[row.id] = row


__all__ = ["Evaluated", "Indicator", "catalogue", "gather"]
