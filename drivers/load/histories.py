"""Requests one by one, where load runs beside something else: as a history of probes, and when which of them failed.

The one thing to know: a request that failed counts as never answered, whatever said so and however quickly; so outages
of a service are judged as those of any other probe.
"""

from __future__ import annotations

import numpy as np

from drivers.load.reading import SAID, TOOL, Shot
from drivers.load.schedule import NEVER, OK
from harness.history import Columns, made
from harness.indicators.events import LOAD
from harness.model import History, Series


def history(shot: Shot, start: float, rate: float, patience: float, machine: str, **labels: str) -> History:
    """Return every request of one level as a probe, which began `start` s after the step did: sent when it was due, and
    never answered where it failed."""
    rows = [rows for worker in shot.workers for rows in worker.rows()]
    due, lag, latency, code = (np.concatenate([each[name] for each in rows]) if rows else np.zeros(0, dtype=np.int64)
                               for name in ("intended", "lag", "latency", "code"))
    order = np.argsort(due, kind="stable")
    order = order[np.concatenate(([True], np.diff(due[order]) > 0))[:order.size]]
    answered = np.where(code == OK, latency, NEVER)
    return made(Columns(due[order] + round(start * 1e9), lag[order], answered[order]), probe=LOAD, kind=LOAD,
                machine=machine, interval=1 / rate, patience=patience, **labels)


def failures(shot: Shot, start: float, **labels: str) -> list[Series]:
    """Return for each way to fail after what time (s) requests did so, with times at which they were due; one that was
    never answered has the longest time there is: that to the end."""
    found: dict[int, list[tuple[float, float]]] = {}
    for rows in (rows for worker in shot.workers for rows in worker.rows()):
        for at in np.flatnonzero(rows["code"] != OK).tolist():
            due, took = (float(rows[name][at]) / 1e9 for name in ("intended", "latency"))
            found.setdefault(int(rows["code"][at]), []).append((due, took if took >= 0 else shot.seconds - due))
    return [Series(metric="app.failure", unit="s", values=tuple(took for _, took in sorted(its)),
                   times=tuple(start + due for due, _ in sorted(its)),
                   labels={"tool": TOOL, "stat": "failure", "reason": SAID.get(code, f"status {code}"), **labels})
            for code, its in sorted(found.items())]


__all__ = ["failures", "history"]
