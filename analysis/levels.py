"""Levels of load out of runs: what each rate of a stage showed, all rounds merged and each for itself.

A stage may hold its rates as levels of one search, or as points of its grid; both come together here, in order of the
rate. The knee is the finding APP-02, with its interval.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

from analysis.curves import arm, measured
from analysis.rows import Material, Party, Row
from harness import load
from harness.load import Level
from harness.model import StepResult
from harness.stats import LatencyHistogram, hist_quantile
from harness.units import BY_BASE

KNEE = "APP-02"


class Place(NamedTuple):
    """Where levels belong together: stage, arm, and the model of load."""

    stage: str
    arm: str
    model: str


@dataclass(frozen=True, eq=False)
class Rung:
    """One level of one party: the levels of all rounds, under one name."""

    name: str
    rounds: tuple[Level, ...]

    @property
    def offered(self) -> float:
        """Return the mean rate offered in 1/s."""
        return sum(each.offered for each in self.rounds) / len(self.rounds)

    @property
    def served(self) -> float:
        """Return the mean rate at which good answers came in 1/s."""
        return sum(each.rate for each in self.rounds) / len(self.rounds)

    @property
    def short(self) -> bool:
        """Say whether the generator fell behind its schedule in any round."""
        return any(each.short or each.lost for each in self.rounds)

    @property
    def whole(self) -> LatencyHistogram:
        """Return the response times of all rounds, failed requests beyond all others."""
        return reduce(LatencyHistogram.merge, (each.whole for each in self.rounds))

    def quantile(self, p: float) -> tuple[float, float, float] | None:
        """Return a percentile in s with the lowest and the highest of the rounds; None where it is beyond the bins."""
        found = hist_quantile(self.whole, p)
        if found.censored:
            return None
        each = [hist_quantile(level.whole, p) for level in self.rounds]
        return found.mid / 1e9, min(one.mid for one in each) / 1e9, max(one.mid for one in each) / 1e9


@dataclass(frozen=True, eq=False)
class Ladder:
    """All levels of one party at a place, by rate; the objective of its search (s and quantile), and the knee."""

    party: Party
    rungs: tuple[Rung, ...]
    slo: tuple[float, float] | None
    knee: Row | None


def ladders(material: Material) -> dict[Place, list[Ladder]]:
    """Return the levels of all runs, guests only, warm-ups left out."""
    found: dict[Place, dict[int, dict[str, list[Level]]]] = {}
    searches: dict[tuple[str, int], StepResult] = {}
    for party, result in measured(material):
        for level in load.counted(load.levels(result.series)):
            place, name = Place(result.step.stage, arm(result), level.model), level.name.removesuffix(load.AGAIN)
            found.setdefault(place, {}).setdefault(party.index, {}).setdefault(name, []).append(level)
            if result.step.params.get("shape") == "steps":
                searches[place.stage, party.index] = result
    return {place: [_ladder(material, place, index, levels, searches.get((place.stage, index)))
                    for index, levels in sorted(parties.items())] for place, parties in sorted(found.items())}


def _ladder(material: Material, place: Place, index: int, levels: dict[str, list[Level]],
            search: StepResult | None) -> Ladder:
    rungs = sorted((Rung(name, tuple(each)) for name, each in levels.items()), key=lambda rung: rung.offered)
    knees = [row for row in _knees(material, index) if search and row.point == search.step.point]
    slo = None
    if search:
        asked = search.step.params
        slo = (float(BY_BASE["s"].read(str(asked.get("slo", "100ms")))),
               round(float(BY_BASE["1"].read(str(asked.get("slo_quantile", "95%")))), 9))
    return Ladder(material.parties[index], tuple(rungs), slo, knees[0] if knees else None)


def _knees(material: Material, index: int) -> Iterator[Row]:
    return (row for row in material.rows if row.indicator == KNEE and row.party.index == index)
