"""Events of runs as episodes: one fault or one move, what followed, and the outage that each probe saw. Pure.

The one thing to know: an episode lasts until the next one of its step begins. Times are s since the fault, and an
outage that nobody saw end is +inf. Events that only calibrate a prober are none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from analysis import quantity
from analysis.rows import Material, Party, clean
from harness import probing
from harness.indicators.events import LOAD
from harness.indicators.probing import LENGTHS, LOSS
from harness.model import Event, History, Outcome, StepResult
from harness.stats.outages import Outage
from harness.units import Seconds

BEGINS = ("fault", "migration")
NO_EPISODES = ("healed", *LENGTHS, LOSS)
OWN = re.compile(r"-[0-9a-f]{4}$")    # what a guest's name ends with, another one each time
SETTLING = 1.0      # s in which a prober finds its way


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The longest outage that one probe saw in an episode: `start` since the fault, duration and its bounds, in s."""

    probe: str
    start: float
    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Something that the platform or the harness did, s since the fault."""

    name: str
    at: float
    fine: bool


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One fault or move; `injected` is how long making it took, `healed` when that was complete, both s since it began.

    `lost` counts acknowledged records that are missing (None: nobody looked).
    """

    party: Party
    stage: str
    point: str
    kind: str
    round: int
    number: int
    injected: float
    healed: float | None
    fine: bool
    marks: tuple[Mark, ...]
    seen: tuple[Seen, ...]
    lost: int | None

    @property
    def worst(self) -> Seen | None:
        """Return the longest outage of all probes; load beside them counts only where it is alone, for what answers it
        may be gone with the guest's boot while the guest is back."""
        probes = [each for each in self.seen if not each.probe.startswith(LOAD)]
        return max(probes or self.seen, key=lambda each: (each.value, each.high), default=None)

    def when(self, name: str) -> float | None:
        """Return when something was done for the first time."""
        return next((mark.at for mark in self.marks if mark.name == name and mark.fine), None)


def episodes(material: Material) -> tuple[Episode, ...]:
    """Return the episodes of all runs in order; they are found once and kept with the material, for charts and tables
    each ask for them, and histories are long."""
    kept: dict[str, tuple[Episode, ...]] = material.__dict__
    if "episodes" not in kept:
        kept["episodes"] = tuple(episode for run in material.runs for result in run.results
                                 for episode in _of_step(result, material.party(run.plan.target)))
    return kept["episodes"]


def _of_step(result: StepResult, party: Party) -> Iterator[Episode]:
    begins = sorted((event for event in result.events if event.actor in BEGINS and event.action not in NO_EPISODES),
                    key=lambda event: event.start)
    if not begins:
        return
    served = max((event.end for event in result.events
                  if (event.actor, event.action, event.outcome) == ("ha", "served", Outcome.OK)), default=math.inf)
    several = len({history.machine for history in result.histories}) > 1
    outages = [(history, _named(history, several), _outages(history, begins[0].start, served))
               for history in result.histories]
    lost = [value for series in result.series if series.metric == "integrity.lost" for value in series.values]
    ends = [*(later.start for _, later in pairwise(begins)), math.inf]
    for number, (event, end) in enumerate(zip(begins, ends, strict=True), 1):
        inside = [other for other in result.events if event.start <= other.start < end and other is not event]
        healed = next((other.end for other in inside if other.actor == "fault" and other.action == "healed"), None)
        yield Episode(
            party=party, stage=result.step.stage, point=clean(result.step.point), number=number,
            kind=clean(event.action), round=result.step.round, injected=event.end - event.start,
            healed=None if healed is None else healed - event.start, fine=event.outcome is Outcome.OK,
            marks=tuple(_mark(other, event.start) for other in inside if other.actor == "ha"),
            seen=tuple(_seen(history, name, found, event.start, end) for history, name, found in outages),
            lost=round(sum(lost)) if lost else None)


def _mark(event: Event, start: float) -> Mark:
    return Mark(name=clean(event.action), at=event.end - start, fine=event.outcome is Outcome.OK)


def _outages(history: History, first: float, served: float) -> list[Outage]:
    """Return the outages that had begun when the service was found to be back; later ones are no part of the event."""
    late = probing.slowest(history, first, since=SETTLING, after=served)
    return [each for each in probing.outages(history, late=late) if each.start_s <= served]


def _named(history: History, several: bool) -> str:
    """Return what a reader calls a probe: its name, and the role of its machine where there are several."""
    usual = history.probe == f"{history.kind}-{Seconds(history.interval)}"
    name = f"{history.kind} {quantity.single(history.interval, 's')}" if usual else history.probe
    return clean(f"{name} {OWN.sub('', history.machine)}" if several else name)


def _seen(history: History, name: str, outages: Sequence[Outage], start: float, end: float) -> Seen:
    """Return the longest outage that began before `end` and was not over at `start`; none lost is less than a gap."""
    inside = [each for each in outages
              if each.start_s < end and each.start_s + each.lo_s + history.interval >= start]
    if not inside:
        return Seen(probe=name, start=0.0, value=0.0, low=0.0, high=history.interval)
    longest = max(inside, key=lambda each: (each.est_s, each.k))
    return Seen(probe=name, start=longest.start_s - start, value=longest.est_s, low=longest.lo_s, high=longest.hi_s)
