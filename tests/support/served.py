"""Steps of a loaded service with requests that are written by hand."""

import numpy as np

from harness import history
from harness.history import Columns
from harness.model import Event, Outcome, Series, Status, Step, StepResult

INTERVAL, SECONDS = 0.1, 60.0
KILLED, BACK = (20.0, 20.4), (30.0, 31.0)


def event(actor, action, when):
    return Event(actor=actor, action=action, start=when[0], end=when[1], outcome=Outcome.OK)


def result(failures=(), events=(), by=None, **params):
    """A step with a request every 100 ms for 60 s; `failures` are (when due, how long, why), `by` answers by sender."""
    due = np.arange(0, SECONDS, INTERVAL)
    latency = np.full(due.size, 2_000_000)
    for when, _, _ in failures:
        latency[round(when / INTERVAL)] = history.NEVER
    seen = history.made(Columns((due * 1e9).round().astype(np.int64), np.zeros(due.size, dtype=np.int64), latency),
                        probe="load", kind="load", machine="sut", interval=INTERVAL, patience=5.0)
    reasons = {}
    for when, took, why in failures:
        reasons.setdefault(why, []).append((when, took))
    series = [Series(metric="app.failure", unit="s", values=tuple(took for _, took in its),
                     times=tuple(when for when, _ in its), labels={"reason": why}) for why, its in reasons.items()]
    series += [Series(metric="app.latency", unit="s", values=(0.002,), weights=(float(count),),
                      labels={"stat": "part", "request": f"GET /quote [{who}]"}) for who, count in (by or {}).items()]
    step = Step(id="m#0", stage="m", workload="microservice", params=params, point="m", grid={}, arm={}, round=0,
                order=0, target="t")
    return StepResult(step=step, status=Status.DONE, started="", elapsed=SECONDS, series=tuple(series),
                      events=tuple(events), histories=(seen,))


def broken():
    """The database is away for 10 s: five requests reach it, then the gateway refuses all until 1.5 s after it is back.
    """
    slow = [(20.5 + 0.1 * number, 0.05, "status 500") for number in range(5)]
    fast = [(21.0 + 0.1 * number, 0.003, "status 503") for number in range(115)]
    return result([*slow, *fast], [event("service", "killed", KILLED), event("service", "back", BACK)],
                  happens="breaker")
