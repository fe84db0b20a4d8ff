"""Watching this machine while a step runs: samples on an absolute schedule from a thread, within a budget of CPU time.

The sampler counts its own CPU time. A sample that would exceed the budget is left out and counted, so that on a
machine where reading /proc is dear the watch gets coarser instead of disturbing what it watches.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable

from harness.clock import Clock, RealClock
from harness.model import Series
from harness.telemetry import kernel
from harness.telemetry.counters import Sample, levels, rise, series, window

BUDGET = 0.01   # of one core
GRACE = 0.005   # s of CPU time that a watch may use at once: the first sample, and a sample after a pause
DEAR_EVERY = 1.0  # s
DEAR_LEAST = 0.2  # s: a step shorter than this gets no rates of disks and networks, and costs less for it


COUNTS = {
    "swapped.in": "swap.in", "swapped.out": "swap.out", "oom": "events.oom", "thermal": "events.thermal",
}


class Sampler:
    """Reads on schedule until told to stop; keeps samples, missed ticks and its own CPU time."""

    def __init__(self, period: float, *, budget: float = BUDGET) -> None:
        self.period, self.budget = period, budget
        self.samples: list[Sample] = []
        self.notes: list[str] = []
        self.ticks = self.missed = 0
        self.spent = 0.0
        self._quick, self._dear = dict(kernel.QUICK), dict(kernel.DEAR)

    def run(self, now: Callable[[], float], wait: Callable[[float], bool], cpu: Callable[[], float]) -> None:
        """Sample until `wait` returns true; `cpu` tells the CPU time of the calling thread."""
        start, begun, tick, looked = now(), cpu(), 0, -math.inf
        while not wait(max(0.0, start + tick * self.period - now())):
            at = now()
            if self.spent <= self.budget * (at - start) + GRACE:
                dear = at - looked >= DEAR_EVERY - self.period / 2
                looked = at if dear else looked
                self._read(at - start, dear=dear, lag=at - start - tick * self.period)
            else:
                self.missed += 1
            following = max(tick + 1, int((now() - start) / self.period) + 1)
            self.missed += following - tick - 1
            self.ticks, tick = following, following
            self.spent = cpu() - begun
        self._read(now() - start, dear=now() - looked >= DEAR_LEAST)
        self.spent = cpu() - begun

    def _read(self, at: float, *, dear: bool, lag: float | None = None) -> None:
        values = {} if lag is None else {"controller.lag": max(0.0, lag)}
        for group in (self._quick, self._dear) if dear else (self._quick,):
            for name in list(group):
                try:
                    values.update(group[name]())
                except Exception as error:  # an observer must never break what it observes
                    del group[name]  # what cannot be read now cannot be read a moment later either
                    self.notes.append(f"{name}: not read: {error}")
        self.samples.append(Sample(at, values))


class Watch:
    """One step's watch over this machine; see `watch`."""

    def __init__(self, sampler: Sampler | None, source: str) -> None:
        self._sampler, self._source = sampler, source
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._conditions: dict[str, float] = {}
        self._before: dict[str, float] = {}

    def __enter__(self) -> Watch:
        if self._sampler:
            self._before = _state()
            self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *trouble: object) -> None:
        if self._thread and self._sampler:
            self._stop.set()
            self._thread.join()
            self._conditions = _conditions(self._sampler, self._source, self._before, _state())

    def _run(self) -> None:
        assert self._sampler
        self._sampler.run(time.monotonic, self._stop.wait, time.thread_time)

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be read, and why."""
        return tuple(self._sampler.notes) if self._sampler else ()

    def series(self) -> tuple[Series, ...]:
        """Return what was sampled, after the watch ended; times in s since it began."""
        return series(self._sampler.samples, {"source": self._source}) if self._sampler else ()

    def conditions(self) -> dict[str, float]:
        """Return single numbers about the whole watch, after it ended; empty in simulated time.

        load.before, load.after (1), running.before (tasks), clock.step (s), clock.slew (1), controller.cpu (share of
        one core), controller.lag (s, 95th percentile of the sampler's lateness), telemetry.cost (share of one core),
        telemetry.missed (share of samples); for SOURCE: SOURCE.cpus (1), .busy, .steal, .iowait, .throttled (shares),
        .swapped.in, .swapped.out (B), .oom, .thermal (events). What the machine does not tell is absent.
        """
        return dict(self._conditions)


def watch(clock: Clock, *, rate: float = 10.0, source: str = "host") -> Watch:
    """Return a context manager that samples this machine `rate` times a second while it is open.

    `source` labels the series and begins the names of conditions: "host" where this machine carries the guests,
    "controller" where they run elsewhere. Only where `clock` is this machine's own (`RealClock`) is anything sampled.
    """
    return Watch(Sampler(1.0 / rate) if isinstance(clock, RealClock) else None, source)


def _state() -> dict[str, float]:
    return {
        "time": time.monotonic(), "wall": kernel.wall_offset(), "raw": kernel.raw_offset(),
        "load": os.getloadavg()[0], "running": kernel.running(),
    }


def _conditions(sampler: Sampler, source: str, before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    elapsed = max(after["time"] - before["time"], 1e-9)
    whole = window(sampler.samples)
    lags = sorted(lag for _, lag in levels(sampler.samples, "controller.lag"))
    seen: dict[str, float | None] = {
        "load.before": before["load"], "load.after": after["load"], "running.before": before["running"],
        "clock.step": after["wall"] - before["wall"],
        "clock.slew": (after["raw"] - before["raw"]) / elapsed if elapsed >= 1 else None,
        "controller.cpu": whole.get("controller.cpu"),
        "controller.lag": lags[int(0.95 * (len(lags) - 1))] if lags else None,
        "telemetry.cost": sampler.spent / elapsed,
        "telemetry.missed": sampler.missed / sampler.ticks if sampler.ticks else None,
        f"{source}.cpus": float(os.cpu_count() or 1),
    }
    seen |= {f"{source}.{name}": whole.get(f"cpu.{name}") for name in ("busy", "steal", "iowait", "throttled")}
    seen |= {f"{source}.{name}": rise(sampler.samples, counter) for name, counter in COUNTS.items()}
    return {name: value for name, value in seen.items() if value is not None}
