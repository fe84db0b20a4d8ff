"""One failure a step: a guest serves, something breaks, and the platform, or healing alone, brings the service back.

The one thing to know: recovery is judged from outside, by echoes sent on a fixed schedule from the client. What the
platform's own log says of the same event is told beside it, never instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from drivers import witness
from drivers.tools import stress_ng
from drivers.workloads import _integrity, _ledger, _machines, _recovery
from drivers.workloads._probing import Probe, Seen, probing
from harness import integrity, ledger
from harness.errors import Unsupported, VirtmarkError
from harness.model import Event, History, Outcome, Record, Series
from harness.protocols import Breaks, Fault, FaultKind, Injected, Lab, Life, Machine, Managed, Protects, Target, Viewed
from harness.units import Seconds

PATIENCE = 30.0     # s after which an echo counts as never answered
GRACE = 60.0
QUIET = 3.0         # s of echoes before the fault and after the recovery
QUESTIONS = 0.1     # s between questions to the management interface
LONGEST = Seconds(3600)
ECHO, SERVICE, MANAGEMENT = "echo", "service", "management"


@dataclass
class Course:
    """How a failure went: when it began and, found by commands, ended (None: not in time), on the lab's clock."""

    began: float = 0.0
    served: float | None = None
    copies: int = 1
    rebooted: bool = False
    series: list[Series] = field(default_factory=list)


class Failover(Record, frozen=True, kw_only=True):
    """Break `fault` under a guest that began on `host`, and wait at most `within` until it serves again.

    `recovery` by the platform needs a high availability of its own; "heal" holds the fault for `hold` and waits for
    nothing but healing. `data` sequence writes numbered records meanwhile and looks for them afterwards; postgres
    keeps a ledger on a database in the guest. `load` cpu keeps the guest busy. `interval` is that of the echoes;
    `delay` is what a slow disk or path holds things up for.
    """

    needs: ClassVar[tuple[type, ...]] = (Breaks, Viewed)
    tools: ClassVar[tuple[str, ...]] = ()

    fault: FaultKind = "host-power-off"
    recovery: Literal["platform", "heal"] = "platform"
    host: int = 0
    within: Seconds = Seconds(120)
    hold: Seconds = Seconds(5)
    delay: Seconds = Seconds(0.5)
    interval: Seconds = Seconds(0.05)
    data: Literal["sequence", "postgres", "none"] = "sequence"
    load: Literal["idle", "cpu"] = "idle"

    def __post_init__(self) -> None:
        if not 0.001 <= self.interval <= 1 <= self.within:
            raise ValueError(f"interval = {self.interval:g}s, within = {self.within:g}s; allowed are 1ms to 1s, and 1s "
                             "or longer")

    def seconds(self) -> float:
        """Return how long one step takes, by what was seen of small clusters."""
        awaited = min(self.within, 25.0) if self.recovery == "platform" else float(self.hold) + 3.0
        return awaited + 2 * QUIET + 8.0 + 60.0 * (self.data == "postgres")

    def run(self, target: Target, lab: Lab) -> Iterator[Series | Event | History]:
        """Break it once; yield outages, what was recovered and lost, and the events of the platform's log."""
        if self.recovery == "platform" and not isinstance(target, Protects):
            raise Unsupported("the target has no high availability of its own that guests could be handed to")
        guest = lab.guest("sut", host=self.host, life=self._life())
        boot, place = _recovery.boot_of(guest, GRACE), lab.whereabouts(guest) or (self.host,)
        course = Course()
        with ExitStack() as stack:
            probes = self._probes(lab, guest, stack)
            asked = self._asked(target, lab, guest, place[0], stack)
            data = self._kept(lab, guest, stack)
            if self.load == "cpu":
                stack.enter_context(_machines.in_spite(guest.start(
                    stress_ng.Matrixprod(threads=1, duration=LONGEST).argv())))
            with probing(lab, guest, probes) as seen:
                lab.clock.sleep(QUIET)
                self._broken(lab, guest, place[0], course)
                if course.served is not None:
                    course.rebooted = _recovery.boot_of(guest, GRACE) != boot
                    if course.rebooted and isinstance(data, _integrity.Writer):
                        stack.enter_context(data.again(guest))
                self._quiet(lab, guest, course)
            if course.served is not None:
                course.series += list(self._verified(lab, guest, data, course))
        yield from self._seen(lab, [*seen.histories(), *(asked.histories() if asked else ())], course)
        yield from _recovery.told(lab, guest, course.began)
        yield from self._ended(lab, course)

    def _life(self) -> Life:
        """Return whose the guest is: one that shall outlive the daemon cannot be tied to a connection of ours."""
        if self.recovery == "platform":
            return "protected"
        return "movable" if self.fault == "manager-kill" else "plain"

    def _probes(self, lab: Lab, guest: Machine, stack: ExitStack) -> list[Probe]:
        """Return what is looked at; a program that answers is no use where the guest boots anew, for it is gone."""
        found = [Probe("icmp", guest.address, 0, self.interval, PATIENCE, ECHO)]
        if self.recovery == "heal":
            port = stack.enter_context(witness.answering(lab, guest, patience=GRACE))
            found.append(Probe("udp", guest.address, port, self.interval, PATIENCE, SERVICE))
        return found

    def _asked(self, target: Target, lab: Lab, guest: Machine, host: int, stack: ExitStack) -> Seen | None:
        """Begin to put questions to the management interface of a host, where it is what fails."""
        if self.fault != "manager-kill":
            return None
        if not isinstance(target, Managed):
            raise Unsupported("the target has no management interface that could be asked")
        questions = [Probe("libvirt", target.management(host), 0, QUESTIONS, PATIENCE, MANAGEMENT)]
        return stack.enter_context(probing(lab, guest, questions, stack.enter_context(target.console())))

    def _kept(self, lab: Lab, guest: Machine, stack: ExitStack) -> _integrity.Writer | _ledger.Keeper | None:
        """Begin to write what is looked for afterwards."""
        if self.data == "sequence":
            return stack.enter_context(_integrity.writing(lab, guest))
        if self.data == "postgres":
            port = stack.enter_context(_ledger.database(lab, guest))
            return stack.enter_context(_ledger.keeping(lab, guest.address, port))
        return None

    def _broken(self, lab: Lab, guest: Machine, host: int, course: Course) -> None:
        """Break it and wait until the guest serves again."""
        fault = Fault(kind=self.fault, host=host, delay=self.delay)
        if self.recovery == "platform":
            with lab.fault(fault, guest) as injected:
                course.began = injected.start
                self._await(lab, guest, injected, course)
            return
        with lab.fault(fault, guest) as injected:
            course.began = injected.start
            lab.clock.sleep(self.hold)
        self._await(lab, guest, injected, course)

    def _await(self, lab: Lab, guest: Machine, injected: Injected, course: Course) -> None:
        """Wait until the guest is found to serve again, and count the copies of it that run meanwhile."""
        until = (injected.healed or injected.end) + self.within
        while lab.clock.now() < until:
            course.copies = max(course.copies, len(lab.whereabouts(guest)))
            if _answers(lab, guest):
                now = lab.clock.now()
                with suppress(VirtmarkError):
                    guest.run(["true"], timeout=GRACE).checked()
                    course.served = now
                    return
            lab.clock.sleep(0.1)

    def _quiet(self, lab: Lab, guest: Machine, course: Course) -> None:
        """Return after seconds at whose end the guest answers, where it served; what heals may interrupt the service
        once more, as a path does that is taken again."""
        until = lab.clock.now() + (self.within if course.served is not None else 0.0)
        lab.clock.sleep(QUIET)
        while lab.clock.now() < until and not _answers(lab, guest):
            lab.clock.sleep(QUIET)

    def _verified(self, lab: Lab, guest: Machine, data: _integrity.Writer | _ledger.Keeper | None, course: Course
                  ) -> Iterator[Series]:
        """Yield what became of the data."""
        if isinstance(data, _integrity.Writer):
            yield from data.verify(guest, fault=course.began, fault_kind=self.fault)
            promises, now = data.promises(), lab.clock.now()
            if not course.rebooted:
                yield from _recovery.silence(promises, course.began, now, _integrity.INTERVAL, self.fault)
            yield _recovery.number("ha.interleaved", "1", len(integrity.interleaved(promises)), self.fault)
        if isinstance(data, _ledger.Keeper):
            with _ledger.database(lab, guest) as port:
                judged = data.judge(lab.client(), guest.address, port)
            yield from ledger.series(judged, fault_kind=self.fault)
            if judged.reason:
                yield Series(metric="ha.broken-word", unit="1", values=(1.0,), labels={"reason": judged.reason})

    def _seen(self, lab: Lab, histories: list[History], course: Course) -> Iterator[Series | Event | History]:
        """Yield the histories, and the longest outage that each saw."""
        fault = course.began - lab.began
        for each in histories:
            yield each
            served = math.inf if course.served is None else course.served - lab.began
            outage, ended = _recovery.longest(each, fault, served), course.served is not None
            if each.probe == MANAGEMENT:
                yield from _recovery.lasted("ha.management", outage, each.interval, self.fault)
            elif ended and each.probe == SERVICE:
                yield from _recovery.lasted("ha.service", outage, each.interval, self.fault)
            elif ended and each.probe == ECHO:
                yield from _recovery.lasted("ha.rto", outage, each.interval, self.fault)
                if course.rebooted and outage and not outage.censored:
                    yield _recovery.happened(lab, "booted", lab.began + outage.start_s + outage.est_s, Outcome.OK,
                                             "its network answers again")

    def _ended(self, lab: Lab, course: Course) -> Iterator[Series | Event]:
        """Yield what became of the guest."""
        yield _recovery.number("ha.recovered", "1", float(course.served is not None), self.fault)
        yield _recovery.number("ha.copies", "1", course.copies, self.fault)
        if course.copies > 1:
            yield _recovery.happened(lab, "split-brain", course.began, Outcome.FAILED,
                                     f"{course.copies} copies ran at once")
        if course.served is None:
            yield _recovery.happened(lab, "served", lab.clock.now(), Outcome.FAILED, f"not within {self.within:g} s")
            return
        yield _recovery.happened(lab, "served", course.served, Outcome.OK, "echoes from outside, and commands")
        yield _recovery.number("ha.rebooted", "1", float(course.rebooted), self.fault)
        yield from course.series


def _answers(lab: Lab, guest: Machine) -> bool:
    """Ask once from outside whether the guest is there."""
    return not lab.client().run(["ping", "-n", "-c", "1", "-W", "1", guest.address], timeout=GRACE).code
