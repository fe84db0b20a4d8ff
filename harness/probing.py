"""From histories of probes to outages: which probes count as lost, when a service was back, was the prober on time.

The one thing to know: a guest that was paused answers late, when it goes on. Judged by a time limit w alone, a pause
would seem shorter by w, for the probes of its last w are answered in time. So where late answers are the first to
come back, the outage ends when they do: all probes sent before that, less one ordinary round trip, are lost.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness import stats
from harness.errors import ToolError
from harness.history import NEVER, Column, Columns, columns, unpack
from harness.model import History
from harness.stats.outages import Outage
from harness.stats.records import Check

JITTER = 0.01               # s of latency beyond the ordinary that is no event
ORDINARY = 4.0              # nor is a latency of so many times the ordinary
QUICK = 0.1                 # quantile of latencies that is ordinary, also where most of a history is an event
LAG_QUANTILE, LAG_SHARE = 0.99, 0.5


@dataclass(frozen=True, kw_only=True)
class Probed:
    """What a prober wrote: columns by probe on its own clock (ns), and that clock's boot, monotonic and wall time."""

    boot: str
    monotonic: int
    realtime: int
    cpu: float
    scheduler: str
    columns: Mapping[str, Columns]


def parse(text: str) -> Probed:
    """Return what the lines of a prober hold; ToolError if they are none. A last line that was cut off is left out."""
    head: dict[str, Any] = {}
    blocks: dict[str, list[Columns]] = {}
    cpu = 0.0
    try:
        for found in _lines(text):
            if "probe" in found:
                blocks.setdefault(found["probe"], []).append(_block(found))
            elif "end" in found:
                cpu = found["cpu"] / 1e9
            else:
                head = found
        columns = {name: Columns(*map(np.concatenate, zip(*each, strict=True))) for name, each in blocks.items()}
        return Probed(boot=head["boot"], monotonic=head["monotonic"], realtime=head["realtime"], cpu=cpu,
                      scheduler=head["scheduler"], columns=columns)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise ToolError(f"prober: what it wrote cannot be read: {type(error).__name__}: {error}") from None


def late_after(seen: Columns, interval: float) -> int:
    """Return the latency in ns from which an answer counts as late: beyond jitter, and beyond what is ordinary here."""
    answered = seen.latency[seen.latency != NEVER]
    ordinary = float(np.quantile(answered, QUICK, method="inverted_cdf")) if answered.size else 0.0
    return round(max(ORDINARY * ordinary, 1e9 * JITTER + ordinary, 1e9 * interval))


def slowest(history: History, until: float, *, since: float = 0.0, after: float = math.inf) -> int:
    """Return the longest latency in ns that is ordinary for a slow machine: of the probes answered before `until` (s),
    but not those of the first `since` s, in which all begins, and of those sent after `after`, when the service was
    found to be back; at least `late_after`."""
    seen = columns(history)
    if not seen.sent.size:
        return late_after(seen, history.interval)
    sent, back = seen.sent / 1e9, (seen.sent + seen.latency) / 1e9     # one that the event holds up is not ordinary
    usual = (sent > sent[0] + since) & (back < until) | (sent > after)
    usual &= seen.latency != NEVER
    longest = int(seen.latency[usual].max()) if usual.any() else 0
    return max(longest, late_after(seen, history.interval))


def answered(seen: Columns, interval: float, *, late: int | None = None) -> npt.NDArray[np.bool_]:
    """Return for each probe (n,) whether the service was there when it was sent; `late` in ns: see `late_after`."""
    late = late_after(seen, interval) if late is None else late
    ok: npt.NDArray[np.bool_] = np.asarray((seen.latency != NEVER) & (seen.latency <= late))
    trip = int(np.median(seen.latency[ok])) if ok.any() else 0
    arrival = np.where(seen.latency == NEVER, np.iinfo(np.int64).max, seen.sent + seen.latency)
    edges = np.diff(np.concatenate(([0], ~ok, [0])).astype(np.int8))
    found = ok.copy()
    for first, after in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        back = int(arrival[first:after].min())
        if after < ok.size and back <= arrival[after]:      # else the path was back before what was held up came
            found[after:int(np.searchsorted(seen.sent, back - trip))] = False
    return found


def outages(history: History, *, late: int | None = None) -> list[Outage]:
    """Return the outages in a history, in order; `start_s` since the step began."""
    seen = columns(history)
    return stats.outage_from_probes(seen.sent, answered(seen, history.interval, late=late),
                                    round(history.interval * 1e9))


def seen_of(found: Sequence[Outage], start: float, end: float, margin: float) -> float:
    """Return how long, in s, an event from `start` to `end` was seen to last: the outages that touch it within `margin`
    (s), together; 0 if none does."""
    return sum(each.est_s for each in found
               if each.start_s - margin <= end and each.start_s + each.lo_s + margin >= start)


def punctual(histories: Sequence[History]) -> Check:
    """Return whether each prober kept its time: 99 % of probes sent within half an interval of the plan."""
    worst, of = 0.0, ""
    for each in histories:
        lag = columns(each).lag
        if lag.size and each.kind != "listen":
            share = float(np.quantile(lag, LAG_QUANTILE, method="inverted_cdf")) / (1e9 * each.interval)
            worst, of = max((worst, of), (share, each.probe))
    return Check(name="send lag", passed=worst <= LAG_SHARE, value=worst, limit=LAG_SHARE,
                 note=f"99 % of probes left within {worst:.2g} intervals of their time ({of or 'no probes'})")


def _lines(text: str) -> Iterator[dict[str, Any]]:
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        if number == len(lines) and not line.endswith("\n"):
            return
        yield json.loads(line)


def _block(found: Mapping[str, Any]) -> Columns:
    def column(name: str) -> Column:
        return unpack(base64.b64decode(found[name]), found["count"])
    return Columns(column("sent"), column("lag"), column("latency"))


__all__ = ["Probed", "answered", "late_after", "outages", "parse", "punctual", "seen_of", "slowest"]
