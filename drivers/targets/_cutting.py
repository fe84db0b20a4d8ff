"""Cuts on the embedded lab's switch, where what the client sends to a guest comes in.

The one thing to know: a cut is told on the target's clock, but the kernel makes it on CLOCK_REALTIME. If somebody set
that clock meanwhile, the cuts were not where they are said to be, and the step fails.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from drivers import healing
from drivers.lab import cuts, faults
from drivers.lab.layout import SWITCH, Layout
from drivers.shell import Local, owner
from harness.clock import Clock
from harness.errors import LabError
from harness.protocols import Machine

PORT = "p-client"
DRIFT = 50_000      # ns that the two clocks may part during the cuts, slewing included
# $1 = a network namespace, $2 = a table; either may be gone.
_REMOVE = """
[ -e "/run/netns/$1" ] || exit 0
exec ip netns exec "$1" nft "add table netdev $2; delete table netdev $2"
"""


@contextmanager
def cut(guest: Machine, windows: Sequence[tuple[float, float]], clock: Clock
        ) -> Iterator[Sequence[tuple[float, float]]]:
    """Have the switch drop what the client sends to a guest in each window (s of `clock`); yield the exact ones."""
    layout, table = Layout.current(), owner.new_name("cut").replace(owner.PREFIX, f"{cuts.TABLE}-")
    place, before = layout.called(SWITCH), shift()
    planned = [cuts.Cut(*(round(each * 1e9 + before) // cuts.GRAIN * cuts.GRAIN for each in window))
               for window in windows]
    text = cuts.rules(PORT, planned, table, f"ip daddr {guest.address}")
    with healing.broken(faults.folder(layout), "cut", guest.name, (("sh", "-c", _REMOVE, "sh", place, table),)):
        switch = Local("switch", prefix=("ip", "netns", "exec", place))
        switch.run(["nft", "-f", "-"], timeout=cuts.TIMEOUT, stdin=text.encode()).checked()
        if windows and clock.now() > min(begin for begin, _ in windows):
            raise LabError("cuts: the first one was to begin before it could be planned; leave more time")
        yield [((each.begin - before) / 1e9, (each.end - before) / 1e9) for each in planned]
    if abs(shift() - before) > DRIFT:
        raise LabError("cuts: this machine's wall clock was set meanwhile, so that they were not when they are said")


def shift() -> int:
    """Return what CLOCK_REALTIME is ahead of CLOCK_MONOTONIC, in ns: of some readings the one least disturbed."""
    best = (1 << 62, 0)
    for _ in range(20):
        first, wall, last = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        best = min(best, (last - first, wall - (first + last) // 2))
    return best[1]


__all__ = ["cut", "shift"]
