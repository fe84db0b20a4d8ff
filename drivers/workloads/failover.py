"""One failure a step: a guest serves, something breaks, and the platform, or healing alone, brings the service back.

The one thing to know: recovery is judged from outside, by echoes sent on a fixed schedule from the client. What the
platform's own log says of the same event is told beside it, never instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any, ClassVar, Literal

import numpy as np

from drivers.workloads import _integrity
from harness import history, stats
from harness.errors import Unsupported, VirtmarkError
from harness.model import Event, History, Outcome, Record, Series
from harness.protocols import Breaks, Fault, FaultKind, Injected, Lab, Machine, Protects, Target, Viewed
from harness.units import Seconds

PATIENCE = 1.0      # s after which an echo counts as lost
GRACE = 60.0
QUIET = 2.0         # s of echoes before the fault and after the recovery
# Sends an ICMP echo every $2 s to $1 on an absolute schedule; prints "s NUMBER SENT LAG" and "r NUMBER LATENCY", in ns.
_ECHOES = """
import select, socket, struct, sys, time
address, step = sys.argv[1], int(float(sys.argv[2]) * 1e9)
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
raw.setblocking(False)
mark, number, sent = id(raw) >> 4 & 0xffff, 0, {}
begin = time.monotonic_ns() + step
while True:
    due = begin + number * step
    while (wait := due - time.monotonic_ns()) > 0:
        if select.select([raw], [], [], wait / 1e9)[0]:
            data, came = raw.recv(2048), time.monotonic_ns()
            head = (data[0] & 15) * 4
            kind, _, _, its, _ = struct.unpack("!BBHHH", data[head:head + 8])
            if kind == 0 and its == mark:
                which = struct.unpack("!Q", data[head + 8:head + 16])[0]
                print("r", which, came - sent.pop(which, came), flush=True)
    body = struct.pack("!Q", number)
    words = struct.unpack("!8H", struct.pack("!BBHHH", 8, 0, 0, mark, number & 0xffff) + body)
    total = sum(words)
    total = (total >> 16) + (total & 0xffff)
    packet = struct.pack("!BBHHH", 8, 0, ~(total + (total >> 16)) & 0xffff, mark, number & 0xffff) + body
    sent[number] = now = time.monotonic_ns()
    print("s", number, now, now - due, flush=True)
    try:
        raw.sendto(packet, (address, 0))
    except OSError:
        pass
    number += 1
"""


class Failover(Record, frozen=True, kw_only=True):
    """Break `fault` under a guest that began on `host`, and wait at most `within` until it serves again.

    `recovery` by the platform needs a high availability of its own; "heal" waits for nothing but healing. `data`
    "sequence" writes numbered records meanwhile and looks for them afterwards. `interval` is that of the echoes.
    """

    needs: ClassVar[tuple[type, ...]] = (Breaks, Viewed)
    tools: ClassVar[tuple[str, ...]] = ()

    fault: FaultKind = "host-power-off"
    recovery: Literal["platform", "heal"] = "platform"
    host: int = 0
    within: Seconds = Seconds(120)
    interval: Seconds = Seconds(0.02)
    data: Literal["sequence", "none"] = "sequence"

    def __post_init__(self) -> None:
        if not 0.001 <= self.interval <= 1 <= self.within:
            raise ValueError(f"interval = {self.interval:g}s, within = {self.within:g}s; allowed are 1ms to 1s, and 1s "
                             "or longer")

    def seconds(self) -> float:
        """Return how long one step takes, by what was seen of small clusters."""
        return min(self.within, 30.0) + 2 * QUIET + 10.0

    def run(self, target: Target, lab: Lab) -> Iterator[Series | Event | History]:
        """Break it once; yield outages, what was recovered and lost, and the events of the platform's log."""
        protected = self.recovery == "platform"
        if protected and not isinstance(target, Protects):
            raise Unsupported("the target has no high availability of its own that guests could be handed to")
        guest = lab.guest("sut", host=self.host, life="protected" if protected else "plain")
        before = guest.run(["cat", "/proc/sys/kernel/random/boot_id"], timeout=GRACE).checked().stdout
        place = _places(target, guest) or (self.host,)
        client, copies = lab.client(), len(place)
        offset = _integrity.clock_offset(lab, client)
        script = ["python3", "-c", _ECHOES, guest.address, f"{self.interval}"]
        with client.start(script) as echoes, ExitStack() as stack:
            writer = stack.enter_context(_integrity.writing(lab, guest)) if self.data == "sequence" else None
            lab.clock.sleep(QUIET)
            with lab.fault(Fault(kind=self.fault, host=place[0]), guest) as injected:
                began = injected.start
                served = None
                if protected:
                    served, copies = self._await(target, lab, guest, client, injected)
            if not protected:
                served, copies = self._await(target, lab, guest, client, injected)
            lab.clock.sleep(QUIET)
            seen = _history(echoes.stop().stdout, lab, guest, self.interval, offset)
            yield seen
            yield from _outages(seen, began - lab.began, served is not None, self.fault)
            yield from _told(target, lab, guest, began)
            yield _number("ha.copies", "1", copies, self.fault)
            if copies > 1:
                yield _event(lab, "split-brain", began, Outcome.FAILED, f"{copies} copies ran at once")
            if served is None:
                yield _event(lab, "served", lab.clock.now(), Outcome.FAILED, f"not within {self.within:g} s")
                return
            yield _event(lab, "served", served, Outcome.OK, "echoes from outside, and commands")
            after = guest.run(["cat", "/proc/sys/kernel/random/boot_id"], timeout=GRACE).checked().stdout
            yield _number("ha.rebooted", "1", float(after != before), self.fault)
            if writer:
                yield from writer.verify(guest, fault=began, fault_kind=self.fault)

    def _await(self, target: Target, lab: Lab, guest: Machine, client: Machine, injected: Injected
               ) -> tuple[float | None, int]:
        """Return when the guest was found to serve again (None: not `within`), and the most copies that ran at once."""
        until, copies = injected.end + self.within, 0
        while lab.clock.now() < until:
            copies = max(copies, len(_places(target, guest)))
            heard = client.run(["ping", "-n", "-c", "1", "-W", "1", guest.address], timeout=GRACE)
            if not heard.code:
                now = lab.clock.now()
                with suppress(VirtmarkError):
                    guest.run(["true"], timeout=GRACE).checked()
                    return now, copies
            lab.clock.sleep(0.1)
        return None, copies


def _places(target: Any, guest: Any) -> tuple[int, ...]:
    """Return the hosts on which a guest runs; () where the target cannot tell."""
    if not hasattr(target, "whereabouts"):
        return ()
    return tuple(target.whereabouts(getattr(guest, "machine", guest)))


def _told(target: Any, lab: Lab, guest: Any, began: float) -> Iterator[Event]:
    """Yield what the platform's own log tells, on the clock of the step."""
    if isinstance(target, Protects):
        for event in target.chronicle(getattr(guest, "machine", guest), began):
            yield _event(lab, event.action, event.start, event.outcome, event.detail)


def _history(text: str, lab: Lab, guest: Machine, interval: float, offset: float) -> History:
    """Return the echoes that the client's script printed, on the clock of the step."""
    sent: dict[int, tuple[int, int]] = {}
    latency: dict[int, int] = {}
    for line in text.splitlines():
        match line.split():
            case ["s", number, when, lag]:
                sent[int(number)] = int(when), int(lag)
            case ["r", number, took]:
                latency[int(number)] = int(took)
    shift = round((offset - lab.began) * 1e9)
    columns = history.Columns(
        np.array([when + shift for when, _ in sent.values()], dtype=np.int64),
        np.array([lag for _, lag in sent.values()], dtype=np.int64),
        np.array([latency.get(number, history.NEVER) for number in sent], dtype=np.int64))
    return history.made(columns, probe="echo", kind="icmp", machine=guest.name, interval=interval, patience=PATIENCE)


def _outages(seen: History, fault: float, recovered: bool, kind: str) -> Iterator[Series]:
    """Yield the longest outage after the fault (s, with its bounds), 0 if no echo was lost; none if it did not end."""
    columns = history.columns(seen)
    ok = (columns.latency >= 0) & (columns.latency <= PATIENCE * 1e9)
    if recovered and ok.any():  # the first echo waits for the address, and the last ones lost their listener
        answered = np.flatnonzero(ok)
        columns = history.Columns(*(each[answered[0]:answered[-1] + 1] for each in columns))
        ok = ok[answered[0]:answered[-1] + 1]
    found = [each for each in stats.outage_from_probes(columns.sent, ok, round(seen.interval * 1e9))
             if each.start_s + each.est_s >= fault]
    yield _number("ha.recovered", "1", float(recovered), kind)
    if not recovered:
        return
    longest = max(found, key=lambda each: each.est_s, default=None)
    bounds = (longest.est_s, longest.lo_s, longest.hi_s) if longest else (0.0, 0.0, 2 * seen.interval)
    if not all(map(np.isfinite, bounds)):
        return
    for name, value in zip(("rto", "rto.low", "rto.high"), bounds, strict=True):
        yield _number(f"ha.{name}", "s", value, kind)


def _event(lab: Lab, action: str, when: float, outcome: Outcome, detail: str) -> Event:
    at = when - lab.began
    return Event(actor="ha", action=action, start=at, end=at, outcome=outcome, detail=detail)


def _number(metric: str, unit: str, value: float, kind: str) -> Series:
    return Series(metric=metric, unit=unit, values=(float(value),), labels={"fault": kind})
