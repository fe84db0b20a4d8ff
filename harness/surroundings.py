"""What is watched around one step: this machine, and every guest that the step uses.

In simulated time nothing is watched: this machine has nothing to do with the numbers then.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import NamedTuple

import msgspec

from harness import telemetry
from harness.clock import Clock, RealClock
from harness.model import Series
from harness.protocols import Machine


class Vantage(NamedTuple):
    """From where a target is watched: what this machine is to it ("host" or only "controller"), and whether its guests
    are watched from inside too, which is of no use where the guest is this very machine.
    """

    source: str = "host"
    inside: bool = True


HERE = Vantage()
SHARED = ("cpu.busy", "cpu.steal")
SAMPLES, FASTEST, SLOWEST = 600, 10.0, 1.0  # more of a step of ten minutes would only make the run folder large
BRIEF = 10.0  # s; a shorter step of a guest is read before and after, which costs less than a sampler beside it


class Surroundings:
    """The watches of one step, as a context; series and conditions are there after it ended."""

    def __init__(self, clock: Clock, vantage: Vantage, seconds: float = 0.0) -> None:
        self._host = telemetry.watch(clock, source=vantage.source, rate=rate(seconds))
        self._inside: dict[str, telemetry.Inside] = {}
        self._within = 0.0 if 0 < seconds < BRIEF else 1.0
        self._same = False
        self._look = isinstance(clock, RealClock) and vantage.inside
        self._stack = ExitStack()

    def __enter__(self) -> Surroundings:
        self._stack.enter_context(self._host)
        return self

    def __exit__(self, *trouble: object) -> None:
        self._stack.close()

    def guest(self, machine: Machine) -> None:
        """Watch a guest too, from now to the end of the step; a guest that is this machine is watched already."""
        self._same = self._same or not self._look
        if self._look and machine.name not in self._inside:
            self._inside[machine.name] = self._stack.enter_context(telemetry.guest(machine, rate=self._within))

    def series(self) -> tuple[Series, ...]:
        """Return what was sampled; what a guest that is this machine lost to others stands there as the guest's too."""
        host = self._host.series()
        same = tuple(msgspec.structs.replace(series, labels=series.labels | {"source": "guest"})
                     for series in host if self._same and series.metric in SHARED)
        return tuple(map(_rounded, sum((inside.series() for inside in self._inside.values()), host + same)))

    def conditions(self) -> dict[str, float]:
        """Return single numbers about the step; of several guests the worst of each."""
        found = dict(self._host.conditions())
        if self._same:
            found |= {name.replace("host.", "guest.", 1): value for name, value in found.items()
                      if name.removeprefix("host.") in ("busy", "steal", "iowait", "throttled")}
        for inside in self._inside.values():
            for name, value in inside.conditions().items():
                found[name] = max(value, found.get(name, value))
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def notes(self) -> tuple[str, ...]:
        """Return which guests could not be watched, and why."""
        return sum((inside.notes for inside in self._inside.values()), ())


def rate(seconds: float) -> float:
    """Return how often, in 1/s, a step of about `seconds` is sampled; long ones so that `SAMPLES` come together."""
    return min(FASTEST, max(SLOWEST, SAMPLES / seconds)) if seconds > 0 else FASTEST


def _rounded(series: Series) -> Series:
    """Return what was sampled to six digits, which is more than it is worth, and less than half the bytes."""
    values, times = (tuple(float(f"{number:.6g}") for number in column) for column in (series.values, series.times))
    return msgspec.structs.replace(series, values=values, times=times)
