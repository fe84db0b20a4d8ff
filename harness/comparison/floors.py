"""From which difference on one is worth speaking of: the noise floor of a testbed, or what the user assumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec

from harness import codec
from harness.errors import InputError
from harness.stats.records import DEFAULT_POLICY


class _Floor(msgspec.Struct):
    floor: Annotated[float, msgspec.Meta(ge=0, lt=1)]


class _Noise(msgspec.Struct):
    indicators: dict[str, _Floor]


@dataclass(frozen=True)
class Floors:
    """Relative floors: 0.02 makes differences below 2 % ties. `measured` holds a testbed's own, by indicator."""

    assumed: float = DEFAULT_POLICY.equivalent
    measured: Mapping[str, float] = field(default_factory=dict)

    def of(self, indicator: str) -> tuple[float, bool]:
        """Return the floor of an indicator, and whether it was measured."""
        return self.measured.get(indicator, self.assumed), indicator in self.measured


def load(path: Path) -> dict[str, float]:
    """Return the measured floors of a noise file: {"indicators": {"CPU-01": {"floor": 0.021, ...}}}; else InputError.

    Whatever else stands in the file is passed over.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; `virtmark noise` makes such a file") from None
    return {name: found.floor for name, found in codec.decode(_Noise, data, str(path)).indicators.items()}
