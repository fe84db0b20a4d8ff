"""Requests around events, out of runs: how many were answered and how many failed in each moment, and what happened.

The one thing to know: times are s since the load began, and a request belongs to when it was due. One course is one
step; of each party a picture shows the one in which most requests failed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.curves import measured
from analysis.rows import Material, Party, clean, natural
from harness.history import NEVER, columns
from harness.indicators.base import pick
from harness.indicators.events import LOAD
from harness.model import Event, History, Outcome, StepResult

Floats = NDArray[np.float64]
MOST_BINS, SHORTEST = 120, 0.5      # bins of a picture, and s of the shortest
MOST_ANSWERS = 1500                 # points in a picture
DOERS = ("service", "gateway", "fault", "migration", "ha")


class Mark(NamedTuple):
    """Something that happened from `start` to `end` (s since the load began), by whom, and whether it went well."""

    actor: str
    name: str
    start: float
    end: float
    fine: bool


@dataclass(frozen=True, eq=False)
class Course:
    """One step under load: `answered` and `failed` (by reason) count requests in bins of `width` s.

    `due` and `took` (s) are of answered requests, thinned evenly.
    """

    party: Party
    round: int
    width: float
    answered: Floats
    failed: Mapping[str, Floats]
    due: Floats
    took: Floats
    marks: tuple[Mark, ...]

    @property
    def lost(self) -> int:
        """Return how many requests failed."""
        return int(sum(each.sum() for each in self.failed.values()))

    @property
    def requests(self) -> int:
        """Return how many requests there were."""
        return int(self.answered.sum()) + self.lost


@dataclass(frozen=True, eq=False)
class Scene:
    """Courses that belong into one picture, one a party: same stage and point."""

    stage: str
    point: str
    courses: tuple[Course, ...]


def scenes(material: Material) -> list[Scene]:
    """Return the courses of all steps that were loaded while something happened, warm-ups left out."""
    found: dict[tuple[str, str], dict[int, Course]] = {}
    for party, result in measured(material):
        course = _course(party, result)
        if course is None:
            continue
        held = found.setdefault((result.step.stage, clean(result.step.point)), {})
        if party.index not in held or course.lost > held[party.index].lost:
            held[party.index] = course
    return [Scene(stage, point, tuple(course for _, course in sorted(its.items())))
            for (stage, point), its in sorted(found.items(), key=lambda item: (item[0][0], natural(item[0][1])))]


def _course(party: Party, result: StepResult) -> Course | None:
    load = next((each for each in result.histories if each.probe == LOAD and each.count), None)
    marks = tuple(_marks(result, load)) if load else ()
    if load is None or not marks:
        return None
    seen = columns(load)
    due = (seen.sent - seen.sent[0]) / 1e9
    well = seen.latency != NEVER
    width = SHORTEST * max(1, math.ceil(float(due[-1]) / MOST_BINS / SHORTEST))
    edges: Floats = np.asarray(width * np.arange(max(1, int(due[-1] / width)) + 1), dtype=np.float64)
    step = max(1, int(well.sum()) // MOST_ANSWERS)
    return Course(
        party=party, round=result.step.round, width=width, answered=_counted(due[well], edges),
        failed=_failed(result, load, edges), due=due[well][::step], took=seen.latency[well][::step] / 1e9, marks=marks)


def _failed(result: StepResult, load: History, edges: Floats) -> dict[str, Floats]:
    first, found = columns(load).sent[0] / 1e9, dict[str, Floats]()
    for series in pick(result, "app.failure"):
        reason = clean(series.labels.get("reason", ""))
        found[reason] = found.get(reason, np.zeros(edges.size - 1)) + _counted(np.asarray(series.times) - first, edges)
    return dict(sorted(found.items()))


def _counted(times: Floats, edges: Floats) -> Floats:
    inside = times[times < edges[-1]]       # a part of a bin at the end would look like a dip
    return np.histogram(inside, edges)[0].astype(np.float64)


def _marks(result: StepResult, load: History) -> Iterator[Mark]:
    first = columns(load).sent[0] / 1e9
    for event in sorted(result.events, key=lambda each: each.start):
        if event.actor in DOERS and event.end >= first:
            yield Mark(event.actor, _said(event), event.start - first, event.end - first, event.outcome is Outcome.OK)


def _said(event: Event) -> str:
    return clean(f"{event.detail} {event.action}" if event.actor == "service" and event.detail else event.action)
