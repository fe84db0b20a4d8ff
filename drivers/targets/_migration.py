"""Live migration through libvirt: flags and parameters from a `Migration`, counters from the job's own statistics.

The one thing to know: libvirt's first answer about a completed job may be all zeros. It is asked again until it is
not, and every reply is kept. Once the job is over, its statistics are those of the domain on the *destination*.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import libvirt

from harness.clock import Clock
from harness.protocols import Migration, Moved

MIB, MS = 2**20, 1e-3
ZEROS = 10.0        # s that a completed job has for saying more than zeros
# libvirt's name of a counter, ours, and what one of its units is in ours
COUNTERS = (
    ("time_elapsed", "total", MS), ("downtime", "downtime", MS), ("setup_time", "setup", MS),
    ("data_processed", "transferred", 1.0), ("memory_processed", "memory", 1.0), ("disk_processed", "disk", 1.0),
    ("memory_iteration", "iterations", 1.0), ("memory_constant", "constant_pages", 1.0),
    ("memory_postcopy_requests", "postcopy_requests", 1.0), ("auto_converge_throttle", "throttle", 0.01),
)


def flags(how: Migration, *, same_path: bool) -> int:
    """Return libvirt's flags; `same_path` where hosts share a path that libvirt cannot see to be shared."""
    wanted = {
        libvirt.VIR_MIGRATE_LIVE: True,
        libvirt.VIR_MIGRATE_PEER2PEER: how.transport == "peer-to-peer",
        libvirt.VIR_MIGRATE_NON_SHARED_DISK: how.storage == "copied",
        libvirt.VIR_MIGRATE_UNSAFE: same_path,
        libvirt.VIR_MIGRATE_AUTO_CONVERGE: how.auto_converge,
        libvirt.VIR_MIGRATE_PARALLEL: how.connections > 1,
        libvirt.VIR_MIGRATE_COMPRESSED: how.compression,
        libvirt.VIR_MIGRATE_POSTCOPY: how.postcopy,
    }
    return sum(flag for flag, on in wanted.items() if on)


def parameters(how: Migration, uri: str) -> dict[str, Any]:
    """Return libvirt's parameters; `uri` is where the destination takes the guest's memory ("": its own choice)."""
    found: dict[str, Any] = {libvirt.VIR_MIGRATE_PARAM_URI: uri} if uri else {}
    if how.bandwidth:
        found[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH] = max(1, round(how.bandwidth / MIB))
    if how.connections > 1:
        found[libvirt.VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS] = how.connections
    return found


def move(domain: Any, destination: Any, there: str, uri: str, how: Migration, clock: Clock, *,
         same_path: bool) -> Moved:
    """Migrate `domain` to the connection `destination`, which the other daemon reaches by the URI `there`.

    A migration that fails, or that `how.timeout` ends, is an answer: the error is what libvirt said.
    """
    name, error, arrived = domain.name(), "", None
    asked, options = flags(how, same_path=same_path), parameters(how, uri)
    start = clock.now()
    with _steered(domain, how):
        try:
            if how.transport == "peer-to-peer":
                domain.migrateToURI3(there, options, asked)
            else:
                arrived = domain.migrate3(destination, options, asked)
        except libvirt.libvirtError as problem:
            error = " ".join(str(problem).split())
    end = clock.now()
    replies = [] if error else completed(lambda: (arrived or destination.lookupByName(name)).jobStats(
        libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED))
    raw = {"guest": name, "flags": asked, "parameters": options, "error": error, "replies": replies}
    return Moved(start=start, end=end, error=error, counters=counters(replies[-1]) if replies else {},
                 raw=json.dumps(raw, indent=1, default=str).encode())


def completed(ask: Callable[[], Mapping[str, Any]], patience: float = ZEROS) -> list[dict[str, Any]]:
    """Return the answers about a completed job, in order, until one is not all zeros; [] if there is none at all."""
    deadline, replies = time.monotonic() + patience, []
    while True:
        with contextlib.suppress(libvirt.libvirtError):
            replies.append(dict(ask()))
            if counters(replies[-1]).get("total"):
                return replies
        if time.monotonic() > deadline:
            return replies
        time.sleep(0.1)


def counters(reply: Mapping[str, Any]) -> dict[str, float]:
    """Return what a job's statistics say, in base units; what this libvirt does not tell is left out."""
    found = {ours: reply[its] * unit for its, ours, unit in COUNTERS if its in reply}
    if "memory_dirty_rate" in reply:
        found["dirty_rate"] = float(reply["memory_dirty_rate"] * reply.get("memory_page_size", 4096))
    return found


@contextmanager
def _steered(domain: Any, how: Migration) -> Iterator[None]:
    """While a migration runs, set what can be set only then, and abort it when its time is over."""
    over = threading.Event()
    pilot = threading.Thread(target=_steer, args=(domain, how, over), daemon=True)
    pilot.start()
    try:
        yield
    finally:
        over.set()
        pilot.join()


def _steer(domain: Any, how: Migration, over: threading.Event) -> None:
    deadline = time.monotonic() + how.timeout
    limited, posted = not how.downtime, not how.postcopy
    while not over.wait(0.05 if not (limited and posted) else max(0.05, deadline - time.monotonic())):
        with contextlib.suppress(libvirt.libvirtError):
            if not limited:
                domain.migrateSetMaxDowntime(max(1, round(how.downtime / MS)))
                limited = True
            if not posted and domain.jobStats().get("memory_iteration", 0) > 1:   # one round of pre-copy is over
                domain.migrateStartPostCopy()
                posted = True
        if time.monotonic() > deadline:
            with contextlib.suppress(libvirt.libvirtError):
                domain.abortJob()
            return


__all__ = ["completed", "counters", "flags", "move", "parameters"]
