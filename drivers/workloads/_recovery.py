"""What was seen of a failure: outages by probes, the platform's own log, copies of the guest, the writer's silence.

The one thing to know: an outage is that of the probes' judge alone. All that an outage needs is the history and when
the fault began; an answer is late if it took longer than any before the fault, so that a slow guest is not an outage.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from harness import probing
from harness.integrity import Promise
from harness.model import Event, History, Outcome, Series
from harness.protocols import Lab, Machine
from harness.stats.outages import Outage

SETTLING = 1.0      # s in which a prober finds its way to the guest


def boot_of(guest: Machine, timeout: float) -> str:
    """Return what names the boot of a guest."""
    return guest.run(["cat", "/proc/sys/kernel/random/boot_id"], timeout=timeout).checked().stdout


def told(lab: Lab, guest: Machine, began: float) -> Iterator[Event]:
    """Yield what the platform's own log tells since `began`, on the clock of the step."""
    for event in lab.chronicle(guest, began):
        yield happened(lab, event.action, event.end, event.outcome, event.detail)


def happened(lab: Lab, action: str, when: float, outcome: Outcome, detail: str) -> Event:
    """Return an event of the platform at the moment `when` of the lab's clock."""
    at = when - lab.began
    return Event(actor="ha", action=action, start=at, end=at, outcome=outcome, detail=detail)


def longest(seen: History, fault: float, served: float = math.inf) -> Outage | None:
    """Return the longest outage that was not over at `fault` and had begun when the service was found to be back, at
    `served` (s since the step began); None if nothing was lost.

    What is lost after that is no part of this failure.
    """
    late = probing.slowest(seen, fault, since=SETTLING, after=served)
    found = [each for each in probing.outages(seen, late=late)
             if each.start_s + each.lo_s + seen.interval >= fault and each.start_s <= served]
    return max(found, key=lambda each: each.est_s, default=None)


def lasted(metric: str, outage: Outage | None, interval: float, kind: str) -> Iterator[Series]:
    """Yield how long an outage was (s) with its bounds: 0, less than two intervals, for none; nothing if it did not
    end."""
    bounds = (outage.est_s, outage.lo_s, outage.hi_s) if outage else (0.0, 0.0, 2 * interval)
    if all(map(math.isfinite, bounds)):
        for end, value in zip(("", ".low", ".high"), bounds, strict=True):
            yield number(metric + end, "s", value, kind)


def silence(promises: Sequence[Promise], fault: float, until: float, interval: float, kind: str) -> Iterator[Series]:
    """Yield the longest gap (s) between acknowledgements of one writer from `fault` to `until`, less its interval.

    Both times are on the clock of the promises. Nothing is yielded where none was acknowledged after it.
    """
    near = [each.time for each in promises if fault - 2 * interval - SETTLING <= each.time <= until]
    gap = max((after - before for before, after in pairwise(near) if after >= fault), default=None)
    if gap is not None:
        for end, value in (("", gap - interval), (".low", gap - 2 * interval), (".high", gap)):
            yield number(f"ha.write-gap{end}", "s", max(0.0, value), kind)


def number(metric: str, unit: str, value: float, kind: str) -> Series:
    """Return one number of a fault of this kind."""
    return Series(metric=metric, unit=unit, values=(float(value),), labels={"fault": kind})
