"""Live migrations as three views of one interruption, and as service around the move. Pure.

The one thing to know: the three views answer three questions. The platform says how long it believes the guest was
paused; the heartbeat inside how long the guest did not run; probes from outside how long nobody was served.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.episodes import Seen, episodes
from analysis.rows import Material, Party, clean
from harness import probing
from harness.history import columns
from harness.indicators.migration import moves
from harness.model import StepResult

PLATFORM, INSIDE = "platform", "inside"
REQUESTS = "http"
BIN, BEFORE, AFTER = 0.25, 2.0, 3.0     # s


@dataclass(frozen=True, kw_only=True)
class View:
    """How long each move of a target was an interruption, by one view; bounds equal the value where it has none."""

    party: Party
    view: str
    times: tuple[Seen, ...]


@dataclass(frozen=True, kw_only=True)
class Service:
    """The share of requests answered in time, by time since a move began (s), over all moves of a target.

    `shares` has one value for each of `at`, the middles of bins, NaN where no request was sent. `end` is the median
    length of the moves in s.
    """

    party: Party
    at: tuple[float, ...]
    shares: tuple[float, ...]
    moves: int
    requests: int
    end: float


class Around(NamedTuple):
    """Requests around one move: when each was due since the move began, and whether it was answered in time."""

    lasted: float
    due: npt.NDArray[np.float64]
    fine: npt.NDArray[np.bool_]


Place = tuple[str, str]     # stage, point


def places(material: Material) -> list[Place]:
    """Return where guests were moved."""
    return sorted({(each.stage, each.point) for each in episodes(material) if each.kind == "move"})


def views(material: Material, place: Place) -> list[View]:
    """Return all views of the moves at a place, the platform's first, then from the inside out."""
    found: dict[tuple[str, int], list[Seen]] = {}
    parties: dict[int, Party] = {}
    told = [(party, seen) for result, party in _results(material, place) for seen in _told(result)]
    told += [(each.party, seen) for each in episodes(material)
             if each.kind == "move" and (each.stage, each.point) == place for seen in each.seen]
    for party, seen in told:
        parties[party.index] = party
        found.setdefault((seen.probe, party.index), []).append(seen)
    order = [PLATFORM, INSIDE]
    return [View(party=parties[index], view=view, times=tuple(times))
            for (view, index), times in sorted(found.items(), key=lambda item: (
                order.index(item[0][0]) if item[0][0] in order else len(order), item[0]))]


def service(material: Material, place: Place) -> list[Service]:
    """Return how requests were served around the moves at a place, target by target; empty where none were sent."""
    found: dict[int, list[Around]] = {}
    parties: dict[int, Party] = {}
    for result, party in _results(material, place):
        parties[party.index] = party
        found.setdefault(party.index, []).extend(_around(result))
    return [_service(parties[index], moved) for index, moved in sorted(found.items()) if moved]


def _results(material: Material, place: Place) -> Iterator[tuple[StepResult, Party]]:
    for run in material.runs:
        for result in run.results:
            if (result.step.stage, clean(result.step.point)) == place and moves(result):
                yield result, material.party(run.plan.target)


def _told(result: StepResult) -> Iterator[Seen]:
    """Yield what the platform and the heartbeat say, move by move."""
    by: dict[str, dict[str, float]] = {}
    for series in result.series:
        if "move" in series.labels and series.values:
            by.setdefault(series.metric, {})[series.labels["move"]] = series.values[0]
    for view, metric in ((PLATFORM, "migration.downtime"), (INSIDE, "migration.heartbeat")):
        for move, value in by.get(metric, {}).items():
            low, high = (by.get(f"{metric}.{end}", {}).get(move, value) for end in ("low", "high"))
            yield Seen(probe=view, start=0.0, value=value, low=low, high=high)


def _around(result: StepResult) -> Iterator[Around]:
    for history in result.histories:
        if history.kind != REQUESTS or not history.count:
            continue
        its = columns(history)
        sent, ok = its.sent / 1e9, probing.answered(its, history.interval)
        for move in moves(result):
            near = (sent >= move.start - BEFORE) & (sent <= move.end + AFTER)
            if near.any():
                yield Around(move.end - move.start, sent[near] - move.start, ok[near])


def _service(party: Party, moved: Sequence[Around]) -> Service:
    bins = np.floor((np.concatenate([each.due for each in moved]) + BEFORE) / BIN).astype(int)
    sent, good = np.bincount(bins), np.bincount(bins, weights=np.concatenate([each.fine for each in moved]))
    shares = [float(g / s) if s else math.nan for g, s in zip(good, sent, strict=True)]
    return Service(party=party, at=tuple(BIN * (i + 0.5) - BEFORE for i in range(sent.size)), shares=tuple(shares),
                   moves=len(moved), requests=bins.size, end=float(np.median([each.lasted for each in moved])))
