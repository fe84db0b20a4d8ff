"""Guests in the care of the embedded lab's Pacemaker cluster, for libvirt targets.

The one thing to know: such a guest belongs to no connection of ours. It is found on whatever host it runs now; what
removes it is the end of the context, the guard of a controller that was killed, or `clean`.
"""

from __future__ import annotations

import contextlib
import re
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from drivers import healing
from drivers.lab import cluster
from drivers.lab.layout import Layout, stack_of
from drivers.shell import guard, owner
from drivers.targets import _domain
from harness.errors import LabError, TargetError, Unsupported
from harness.model import Event, Outcome

_LINE = re.compile(r"^(\w{3} +\d+ [\d:.]+) \S+ pacemaker-controld *\[\d+\] \([^)]*\)\s+\w+: (.*)$")
_LOST = re.compile(r"Node (\S+) state is now lost")
_FENCED = re.compile(r"Peer (\S+) was terminated \((\w+)\) by (\S+) .*: (OK|.+?) \|")
_RESULT = re.compile(r"Result of (monitor|start|stop) operation for (\S+) on (\S+): ([\w ]+)")


class Noticed(NamedTuple):
    """One thing that the cluster's log tells: when (s since 1970), what, and its words."""

    time: float
    action: str
    outcome: Outcome
    detail: str


def refuse(hosts: Sequence[Any]) -> None:
    """Raise Unsupported unless the hosts are two of the embedded lab whose stack has a cluster."""
    labs = [host.lab for host in hosts]
    if len(labs) != 2 or not all(labs) or not all(map(cluster.offered, labs)):
        raise Unsupported("libvirt: only the embedded lab's stack bookworm, both hosts, has a high availability of its "
                          "own that this target can hand guests to; name another platform's in a `command` target")


@contextmanager
def caring(guest: _domain.Domain, first: str) -> Iterator[None]:
    """Have the cluster start a guest on the lab host `first` and take care of it; leaving the context removes it.

    LabError with the cluster's last word where it cannot start it.
    """
    layout, stack = Layout.current(), stack_of(first)
    cluster.ensure(layout, first)
    config = layout.shared / f"{guest.name}.xml"
    watch = guard.local()
    watch.remove_at_end(str(config))
    watch.remove_at_end(guest.root)
    watch.remove_at_end(guest.serial)
    with watch.run_at_end(healing.command("drivers.targets._protected", str(layout.state), str(layout.cache), first,
                                          guest.name)):
        try:
            config.write_text(configured(guest))
            cluster.care(layout, stack, guest.name, config, first)
            yield
        finally:
            cluster.release(layout, stack, guest.name)
            config.unlink(missing_ok=True)


def configured(guest: _domain.Domain) -> str:
    """Return the domain XML as the cluster's agent reads it: by lines, the name alone on one."""
    root = ET.fromstring(_domain.xml(guest))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def free(addresses: Sequence[str], taken: set[str], name: str) -> str:
    """Return the last free address; guests that end with their controller take the first ones."""
    for address in reversed(addresses):
        if _domain.claim(address) not in taken and _domain.mac(address) not in taken:
            return address
    raise TargetError(f"{name}: no address is free; other guests have them")


def clean(hosts: Sequence[Any]) -> list[str]:
    """Take guests out of the cluster's care whose controllers are gone; return a line for each."""
    layout, removed = Layout.current(), []
    for stack in {stack_of(host.lab).suite: stack_of(host.lab) for host in hosts if host.lab}.values():
        if not cluster.stands(layout, stack.hosts[0]):
            continue
        with contextlib.suppress(LabError):     # no host of it is up, so no guest of it is
            for name in filter(owner.left_behind, cluster.guests(layout, stack)):
                cluster.release(layout, stack, name)
                removed.append(f"cluster of {stack.suite}: guest {name}")
    return removed


def chronicle(hosts: Sequence[Any], guest: str, since: float, now: float) -> list[Event]:
    """Return what the cluster's logs on all hosts tell after `since`, on the clock that says `now` at this moment."""
    layout, shift = Layout.current(), now - time.time()
    found: list[Noticed] = []
    for host in hosts:
        log = cluster.folder(layout, host.lab) / "pacemaker.log"
        if log.exists():
            found += noticed(log.read_text(errors="replace"), guest, datetime.now().year)
    known: dict[tuple[str, str], Noticed] = {}
    for each in sorted(found):
        if each.time + shift >= since:
            known.setdefault((each.action, each.detail), each)
    return [Event(actor="ha", action=each.action, start=each.time + shift, end=each.time + shift,
                  outcome=each.outcome, detail=each.detail) for each in known.values()]


def noticed(log: str, guest: str, year: int) -> list[Noticed]:
    """Read a log of Pacemaker: hosts lost and fenced, failures of the guest, its starts. Its times lack the year."""
    found = []
    for line in log.splitlines():
        if not (match := _LINE.match(line)):
            continue
        if told := _told(match[2], guest):
            moment = datetime.strptime(f"{year} {match[1]}", "%Y %b %d %H:%M:%S.%f").timestamp()
            found.append(Noticed(moment, *told))
    return found


def _told(words: str, guest: str) -> tuple[str, Outcome, str] | None:
    if lost := _LOST.match(words):
        return "detected", Outcome.OK, f"host {lost[1]} is lost"
    if fenced := _FENCED.match(words):
        well = Outcome.OK if fenced[4] == "OK" else Outcome.FAILED
        return "fenced", well, f"host {fenced[1]} {fenced[2]} by {fenced[3]}: {fenced[4]}"
    result = _RESULT.match(words)
    if not result or result[2] != guest:
        return None
    action, _, host, said = (part.strip() for part in result.groups())
    if action == "start":
        return "restarted", Outcome.OK if said == "ok" else Outcome.FAILED, f"on {host}: {said}"
    if action == "monitor" and said == "not running":
        return "detected", Outcome.OK, f"guest is not running on {host}"
    return None


def main(state: str, cache: str, first: str, name: str) -> None:
    """Take a guest out of the cluster's care for a controller that was killed; a lab that is down needs nothing."""
    with contextlib.suppress(LabError):
        cluster.release(Layout(Path(state), Path(cache)), stack_of(first), name)


if __name__ == "__main__":
    main(*sys.argv[1:5])
