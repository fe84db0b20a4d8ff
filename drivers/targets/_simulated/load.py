"""The simulated load generator: a service with one queue, which the requests of a real schedule wait in.

What it prints has the format of the real one. The service takes what comes in order; its capacity shrinks with the
speed of its guest, so that there is a knee to be found, and a level above it makes the queue grow.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from drivers.load import schedule
from drivers.targets._simulated.platform import Tenant
from drivers.targets._simulated.world import Answer

CAPACITY = 1500.0           # answers per second of a guest as fast as its host
ROUND_TRIP = 0.0006         # s
LATE = 0.00005              # s by which a request leaves late
LEAD = 0.3                  # s until it begins
REACHING = 1.0              # s until it is known that nothing is there
LAST = 1.5                  # s that it waits for its last answers when it is told to end
RELEASE = "2.32.0"


def answer(spec: dict[str, Any], clock: Callable[[], float], guest: Tenant | None, rng: random.Random) -> Answer:
    """Return what a process of the generator prints."""
    begin = clock() + LEAD
    head = {"head": spec["role"], "index": spec["index"], "of": spec["of"], "model": spec["model"], "locust": RELEASE,
            "boot": "simulated", "monotonic": round(clock() * 1e9)}
    if guest is None and spec["role"] != "master":
        return Answer(stdout=schedule.line(head) + schedule.line(
            {"error": f"{spec['url']}: cannot be reached: No route to host"}), code=2, seconds=REACHING)

    if spec.get("until") == "told":
        return Answer(seconds=math.inf, ending=lambda: _told(spec, head, begin, clock(), guest, rng))
    lines, written = [schedule.line(head), schedule.line({"begin": round(begin * 1e9)})], 0
    if spec["role"] == "master":
        lines += [schedule.line({"clock": index, "boot": "simulated", "exchanges": []}) for index in range(spec["of"])]
    elif guest:
        rows, written = _rows(spec, begin, guest, random.Random(rng.random()))
        lines += rows
    end = {"end": round((begin + spec["duration"]) * 1e9), "cut": 0, "written": written, "cpu": 0,
           "resident": [2**26, 2**26]}
    return Answer(stdout="".join((*lines, schedule.line(end))), seconds=LEAD + spec["duration"])


def _told(spec: dict[str, Any], head: dict[str, Any], begin: float, now: float, guest: Tenant | None,
          rng: random.Random) -> str:
    """Return what a process prints that was told to end now; what has no answer soon is cut."""
    length = max(0.0, now - begin)
    asked = {**spec, "duration": length, "segments": [(length, *spec["rates"])] if length else [], "cut": now + LAST}
    lines, written = _rows(asked, begin, guest, rng) if guest else ([], 0)
    end = {"end": round(now * 1e9), "cut": 0, "written": written, "cpu": 0, "resident": [2**26, 2**26]}
    return "".join((schedule.line(head), schedule.line({"begin": round(begin * 1e9)}), *lines, schedule.line(end)))


def _rows(spec: dict[str, Any], begin: float, guest: Tenant, rng: random.Random) -> tuple[list[str], int]:
    """Return the lines of a process, and how many rows they hold."""
    names = [each["name"] for each in spec["requests"]]
    weights = [each["weight"] for each in spec["requests"]]
    log, lines = schedule.Log(), [schedule.line({"names": dict(enumerate(names))})]
    make = _open if spec["model"] == "open" else _closed
    for row in make(spec, begin, guest, rng):
        if log.add(*row, rng.choices(range(len(names)), weights)[0]):
            lines.append(schedule.block(log.take()))
    return [*lines, schedule.block(log.take())], log.written


def _open(spec: dict[str, Any], begin: float, guest: Tenant, rng: random.Random) -> Iterator[Sequence[int]]:
    """Yield rows of requests that leave on schedule; a program that answers is gone with its guest's boot."""
    free, rate = begin, CAPACITY * guest.speed / spec["of"]
    gone = min((each.start for each in guest.down if each.boots and each.start >= begin), default=math.inf)
    times = schedule.share(schedule.arrivals(spec["segments"], spec["process"], spec["seed"]), spec["index"],
                           spec["of"])
    for offset in times:
        due = begin + offset / 1e9
        late = min(rng.expovariate(1 / LATE), 0.001)
        free, took, code = _served(guest, due + late, free, rng.expovariate(rate))
        if due + late >= gone:
            took, code = ROUND_TRIP, schedule.REFUSED
        yield _row(spec, begin + offset / 1e9, late, late + took, code)


def _closed(spec: dict[str, Any], begin: float, guest: Tenant, rng: random.Random) -> Iterator[Sequence[int]]:
    """Yield rows of users who wait for their answers."""
    rate, count = CAPACITY * guest.speed / spec["of"], max(1, spec["users"] // spec["of"])
    ready = [(begin + ROUND_TRIP * rng.random(), number) for number in range(count)]
    free = begin
    for _ in itertools.count():
        at, user = heapq.heappop(ready)
        if at >= begin + spec["duration"]:
            return
        free, took, code = _served(guest, at, free, rng.expovariate(rate))
        yield _row(spec, at, 0.0, took, code)
        heapq.heappush(ready, (at + took, user))


def _served(guest: Tenant, at: float, free: float, work: float) -> tuple[float, float, int]:
    """Return when the service is free again, how long an answer to a request of `at` takes, and its code."""
    for each in guest.down:
        if each.start <= at < each.end:
            if not each.held or not math.isfinite(each.end):
                return free, ROUND_TRIP, schedule.REFUSED
            free = max(free, each.end)
    done = max(free, at + ROUND_TRIP / 2) + work
    return done, done - at + ROUND_TRIP / 2 + guest.delay, schedule.OK


def _row(spec: dict[str, Any], due: float, late: float, took: float, code: int) -> Sequence[int]:
    if due + min(took, spec["patience"]) > spec.get("cut", math.inf):
        took, code = schedule.NEVER / 1e9, schedule.CUT
    elif took > spec["patience"]:
        took, code = schedule.NEVER / 1e9, schedule.TIMEOUT
    return round(due * 1e9), round(late * 1e9), round(took * 1e9), code
