"""Disturbances of known length in the embedded lab: cuts and loss on the switch, where what the client sends to a
guest comes in, and pauses of a guest.

The one thing to know: a cut is told on the target's clock, but the kernel makes it on CLOCK_REALTIME. If somebody set
that clock meanwhile, the cuts were not where they are said to be, and the step fails.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import cast

from drivers import healing
from drivers.lab import cuts, faults, switch
from drivers.lab.layout import CLIENT, SWITCH, Layout
from drivers.shell import Local, owner
from drivers.targets._faults import Platform, Victim, victim
from harness.clock import Clock
from harness.errors import LabError, Unsupported
from harness.protocols import Dropped, Machine

PORT = switch.ports(CLIENT)[0]
LEAD = 0.5          # s in which the rule of a loss is loaded before it takes hold, and after it no packet is under way
DRIFT = 50_000      # ns that the two clocks may part during the cuts, slewing included
# $1 = a network namespace, $2 = a table; either may be gone.
_REMOVE = """
[ -e "/run/netns/$1" ] || exit 0
exec ip netns exec "$1" nft "add table netdev $2; delete table netdev $2"
"""


class Disturbing:
    """A target of libvirt's kind as far as it disturbs: Unsupported but on hosts of the embedded lab, seen from its
    client."""

    client_machine: str

    def cut(self, guest: Machine, windows: Sequence[tuple[float, float]]
            ) -> AbstractContextManager[Sequence[tuple[float, float]]]:
        """Cut the path from the lab's client to a guest."""
        return cut(guest, windows, self._in_lab().clock)

    def pausing(self, guest: Machine) -> AbstractContextManager[Callable[[float], tuple[float, float]]]:
        """Yield what stops a guest's QEMU for so long."""
        platform = self._in_lab()
        return pausing(victim(platform, guest), platform.clock)

    def lose(self, guest: Machine, share: float, length: float) -> Dropped:
        """Drop a share of what the lab's client sends to a guest."""
        return lose(guest, share, length, self._in_lab().clock)

    def _in_lab(self) -> Platform:
        platform = cast(Platform, self)
        if self.client_machine != "lab:client" or not all(host.lab for host in platform.hosts):
            raise Unsupported("libvirt: only guests of the embedded lab and the path from its client (lab:client) can "
                              "be disturbed in ways that are exactly known")
        return platform


@contextmanager
def cut(guest: Machine, windows: Sequence[tuple[float, float]], clock: Clock
        ) -> Iterator[Sequence[tuple[float, float]]]:
    """Have the switch drop what the client sends to a guest in each window (s of `clock`); yield the exact ones."""
    table, before = _table(), shift()
    planned = [_planned(window, before) for window in windows]
    with _filtered("cut", guest, table, cuts.rules(PORT, planned, table, f"ip daddr {guest.address}")):
        if windows and clock.now() > min(begin for begin, _ in windows):
            raise LabError("cuts: the first one was to begin before it could be planned; leave more time")
        yield [_exact(each, before) for each in planned]
    _check(before)


@contextmanager
def pausing(guest: Victim, clock: Clock) -> Iterator[Callable[[float], tuple[float, float]]]:
    """Yield what stops a guest's QEMU for so long (s), and returns from when to when (s of `clock`)."""
    layout, host = Layout.current(), guest.site.host.lab
    pid = faults.qemu(layout, host, guest.name)

    def pause(length: float) -> tuple[float, float]:
        os.kill(pid, signal.SIGSTOP)
        begin = clock.now()
        clock.sleep(length)
        os.kill(pid, signal.SIGCONT)
        return begin, clock.now()

    with healing.broken(faults.folder(layout), "pause", guest.name, (faults.healer(layout, "go-on", host),)):
        yield pause


def lose(guest: Machine, share: float, length: float, clock: Clock) -> Dropped:
    """Have the switch drop a share of what the client sends to a guest for `length` s, and count it."""
    table, before, soon = _table(), shift(), clock.now() + LEAD
    planned = _planned((soon, soon + length), before)
    text = cuts.lossy(PORT, share, planned, table, f"ip daddr {guest.address}")
    with _filtered("loss", guest, table, text) as switch:
        if clock.now() > soon:
            raise LabError("loss: it was to begin before it could be planned; this machine is too busy")
        clock.sleep(soon + length + LEAD - clock.now())
        counted = switch.run(["nft", "-j", "list", "set", "netdev", table, cuts.DROPPED], timeout=cuts.TIMEOUT)
        packets = cuts.dropped(counted.checked().stdout)
    _check(before)
    start, end = _exact(planned, before)
    return Dropped(start=start, end=end, packets=packets)


@contextmanager
def _filtered(what: str, guest: Machine, table: str, text: str) -> Iterator[Local]:
    """Have a table of nft in force on the switch, which is yielded."""
    layout = Layout.current()
    place = layout.called(SWITCH)
    with healing.broken(faults.folder(layout), what, guest.name, (("sh", "-c", _REMOVE, "sh", place, table),)):
        switch = Local("switch", prefix=("ip", "netns", "exec", place))
        switch.run(["nft", "-f", "-"], timeout=cuts.TIMEOUT, stdin=text.encode()).checked()
        yield switch


def _table() -> str:
    return owner.new_name("cut").replace(owner.PREFIX, f"{cuts.TABLE}-")


def _planned(window: tuple[float, float], ahead: int) -> cuts.Cut:
    """Return a window of the target's clock on the kernel's, which is `ahead` ns ahead."""
    begin, end = (round(each * 1e9 + ahead) // cuts.GRAIN * cuts.GRAIN for each in window)
    return cuts.Cut(begin, end)


def _exact(planned: cuts.Cut, ahead: int) -> tuple[float, float]:
    return (planned.begin - ahead) / 1e9, (planned.end - ahead) / 1e9


def _check(before: int) -> None:
    if abs(shift() - before) > DRIFT:
        raise LabError("cuts: this machine's wall clock was set meanwhile, so that they were not when they are said")


def shift() -> int:
    """Return what CLOCK_REALTIME is ahead of CLOCK_MONOTONIC, in ns: of some readings the one least disturbed."""
    best = (1 << 62, 0)
    for _ in range(20):
        first, wall, last = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        best = min(best, (last - first, wall - (first + last) // 2))
    return best[1]


__all__ = ["Disturbing", "cut", "lose", "pausing", "shift"]
