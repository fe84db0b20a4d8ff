"""Find a driver by name: a module of that name under drivers/, else an entry point of another distribution.

A built-in needs no registration: `drivers/workloads/disk.py` is the workload `disk`, and its driver is the class
named after the file in CamelCase (`Disk`). Others use the entry-point groups `virtmark.workloads`, `virtmark.targets`.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import entry_points
from typing import Any

from harness.errors import InputError


def names(kind: str) -> list[str]:
    """List what there is of `kind` ("workloads", "targets"), without importing any of it."""
    return sorted(_builtin(kind) | {point.name for point in entry_points(group=f"virtmark.{kind}")})


def find(kind: str, name: str) -> Any:
    """Return the driver class called `name`; InputError lists the names there are."""
    if name in _builtin(kind):
        module = importlib.import_module(f"drivers.{kind}.{name}")
        return getattr(module, "".join(part.capitalize() for part in name.split("_")))
    for point in entry_points(group=f"virtmark.{kind}", name=name):
        return point.load()
    raise InputError(f"{kind.removesuffix('s')} {name!r} is unknown; there are: {', '.join(names(kind))}")


def _builtin(kind: str) -> set[str]:
    package = importlib.import_module(f"drivers.{kind}")
    return {module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_")}
