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
    floor: Annotated[float, msgspec.Meta(ge=0)]
    points: dict[str, _Floor] = {}


class _Noise(msgspec.Struct):
    indicators: dict[str, _Floor]


@dataclass(frozen=True)
class Floors:
    """Floors: 0.02 makes differences below 2 % ties. `measured` holds a testbed's own, by indicator and point.

    A measured floor of a share is a difference of shares. The point "" stands for all points that are not named.
    """

    assumed: float = DEFAULT_POLICY.equivalent
    measured: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def of(self, indicator: str, point: str) -> tuple[float, bool]:
        """Return the floor of an indicator at a point, and whether it was measured."""
        for key in ((indicator, point), (indicator, "")):
            if key in self.measured:
                return self.measured[key], True
        return self.assumed, False


def load(path: Path) -> dict[tuple[str, str], float]:
    """Return the measured floors of a noise file, by indicator and point; else InputError.

    {"indicators": {"CPU-01": {"floor": 0.021, "points": {"cpu": {"floor": 0.018}}}}}; `points` may be left out, and
    whatever else stands in the file is passed over.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; `virtmark noise` makes such a file") from None
    known = codec.decode(_Noise, data, str(path)).indicators
    return {(name, point): its.floor for name, found in known.items()
            for point, its in {"": found, **found.points}.items()}
