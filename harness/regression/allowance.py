"""What a difference must exceed before it counts: the noise floor of the testbed, and what the user tolerates.

The one thing to know: a floor says what equal things differ by, so it only has to be exceeded by the estimate; a limit
says what is allowed, so that more than it must be shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

from harness.errors import InputError
from harness.indicators import catalogue
from harness.regression.noise import Noise
from harness.stats.records import DEFAULT_POLICY
from harness.units import Share

DEFAULT_FLOOR = DEFAULT_POLICY.equivalent


class Limit(NamedTuple):
    """How much worse is tolerated where `pattern` matches: 0.05 is 5 %."""

    pattern: str
    share: float


class Floor(NamedTuple):
    """A noise floor and where it comes from."""

    share: float
    source: str


@dataclass(frozen=True)
class Allowance:
    """Floors and limits by indicator and point; `floor` holds where `noise` says nothing."""

    limits: tuple[Limit, ...] = ()
    noise: Noise | None = None
    floor: float = DEFAULT_FLOOR
    source: str = "default"

    def limit(self, indicator: str, point: str) -> float:
        """Return what is tolerated; of several limits that match, the last one holds."""
        names = called(indicator, point)
        return next((limit.share for limit in reversed(self.limits)
                     if any(fnmatchcase(name, limit.pattern) for name in names)), 0.0)

    def floor_of(self, indicator: str, point: str) -> Floor:
        """Return the noise floor: of the point, else of the indicator, else the default."""
        known = self.noise.floor(indicator, point) if self.noise else None
        return Floor(self.floor, self.source) if known is None else Floor(known, "noise file")

    def unused(self, keys: Iterable[tuple[str, str]]) -> list[str]:
        """Return the patterns of limits that match none of these indicators and points."""
        names = [name for key in keys for name in called(*key)]
        return [limit.pattern for limit in self.limits if not any(fnmatchcase(name, limit.pattern) for name in names)]


def called(indicator: str, point: str) -> tuple[str, ...]:
    """Return the names that a pattern may match: STO-01, disk:depth=1, disk.STO-01, disk.disk:depth=1, and
    STO-01@disk:depth=1."""
    known = catalogue().get(indicator)
    workload = known.workload if known else ""
    return (indicator, point, f"{indicator}@{point}", f"{workload}.{indicator}", f"{workload}.{point}")


def limits(texts: Sequence[str]) -> tuple[Limit, ...]:
    """Return limits from "PATTERN=5%"; InputError says what is wrong with one."""
    return tuple(map(_limit, texts))


def _limit(text: str) -> Limit:
    pattern, equals, amount = text.rpartition("=")
    if not (pattern and equals):
        raise InputError(f"--limit: {text!r} is no PATTERN=SHARE; write, say, 'disk.*=5%' or 'STO-01=3%'")
    try:
        return Limit(pattern, float(Share.read(amount)))
    except ValueError as error:
        raise InputError(f"--limit: {text!r}: {error}") from None


__all__ = ["DEFAULT_FLOOR", "Allowance", "Floor", "Limit", "called", "limits"]
