"""What several workloads need of machines: which one is meant, how many processors it has, a server that listens.

The one thing to know: `where` = "host" is the baseline arm of an overhead; it takes the number of threads from the
guest, so that both sides have the same work.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Literal, NamedTuple

import msgspec

from harness.errors import ToolError, VirtmarkError
from harness.model import Series
from harness.protocols import Lab, Machine, Running

Where = Literal["guest", "host"]
Threads = int | Literal["1", "all"]
GRACE = 120.0     # s beyond a tool's own duration before it is taken for dead; an emulated guest starts programs slowly
LISTENING = "0A"  # state of a listening TCP socket in /proc/net/tcp
PATIENCE = 15.0   # s that a server has for opening its port
PORTS = range(20000, 32000)


class Processors(NamedTuple):
    """What a guest knows of its processors; `clock` tells whether its hypervisor can report stolen time."""

    number: int
    clock: str


def side(lab: Lab, where: Where, role: str = "sut", *, host: int = 0) -> Machine:
    """Return the guest, or the host below it; Unsupported where the target offers none."""
    return lab.host(host) if where == "host" else lab.guest(role, host=host)


def processors(machine: Machine) -> Processors:
    """Return how many processors a program on `machine` may use, and the clock sources that it has."""
    source = "/sys/devices/system/clocksource/clocksource0/available_clocksource"
    said = machine.run(["sh", "-c", f"nproc; cat {source} 2>/dev/null"], timeout=GRACE).stdout.split()
    if not said or not said[0].isdigit():
        raise ToolError(f"nproc on {machine.name}: {' '.join(said)[:80]!r} is no number of processors")
    return Processors(int(said[0]), " ".join(said[1:]))


def threads_checked(threads: Threads) -> None:
    """Raise ValueError for a number of threads below one."""
    if threads != "all" and int(threads) < 1:
        raise ValueError(f"threads = {threads}; at least 1, or \"all\"")


def marked(series: Series, **labels: str) -> Series:
    """Return `series` with further labels."""
    return msgspec.structs.replace(series, labels={**series.labels, **labels})


def shifted(series: Series, start: float) -> Series:
    """Return `series` with its times counted from the beginning of the step instead of the tool's."""
    return msgspec.structs.replace(series, times=tuple(time + start for time in series.times))


@contextmanager
def in_spite(job: AbstractContextManager[Running]) -> Iterator[Running]:
    """Run a command in the background of a machine that may be gone at the end, together with the command."""
    running = job.__enter__()
    try:
        yield running
    finally:
        with suppress(VirtmarkError):
            running.stop()
        with suppress(VirtmarkError):
            job.__exit__(None, None, None)


@contextmanager
def serving(lab: Lab, machine: Machine, argv: Callable[[int], Sequence[str]], kind: str = "tcp") -> Iterator[int]:
    """Run a server on a port that is free on `machine`; yield the port once the kernel says that it is open."""
    with listening(lab, machine, argv, kind) as (port, _):
        yield port


@contextmanager
def listening(lab: Lab, machine: Machine, argv: Callable[[int], Sequence[str]],
              kind: str = "tcp") -> Iterator[tuple[int, Running]]:
    """Do as `serving` does; yield the server as well, for what it prints."""
    port = free_port(lab, machine, kind)
    with machine.start(argv(port)) as running:
        await_port(lab, machine, running, port, kind=kind)
        yield port, running


def free_port(lab: Lab, machine: Machine, kind: str = "tcp") -> int:
    """Return a port that nobody on `machine` has."""
    taken = open_ports(machine, kind)
    return lab.rng.choice([port for port in PORTS if port not in taken])


def await_port(lab: Lab, machine: Machine, server: Running, port: int, *, kind: str = "tcp",
               patience: float = PATIENCE) -> None:
    """Return once the kernel says that `port` is open; after `patience` s ToolError with what the server said."""
    until = lab.clock.now() + patience
    while port not in open_ports(machine, kind):
        if lab.clock.now() > until:
            done = server.stop()
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise ToolError(f"{done.argv[0]} on {machine.name}: did not open port {port} within {patience:g} s; "
                            f"it said {said[-1] if said else 'nothing'!r}")
        lab.clock.sleep(0.05)


def open_ports(machine: Machine, kind: str) -> set[int]:
    """Return the ports that `machine` listens on (kind tcp) or has bound (kind udp), as the kernel lists them."""
    table = machine.run(["cat", f"/proc/net/{kind}", f"/proc/net/{kind}6"], timeout=GRACE).stdout
    rows = re.findall(r"^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2})", table, re.MULTILINE)
    return {int(port, 16) for port, state in rows if kind == "udp" or state == LISTENING}
