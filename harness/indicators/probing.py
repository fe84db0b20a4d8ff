"""The prober held to cuts of exactly known length: how far off it is, in intervals of its probes.

The one thing to know: an event is the replicate here, for each cut begins at a random phase of the probes. The same
function judges our prober and ping; a cut that was not seen counts as an error of its whole length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from harness import probing, stats
from harness.history import columns
from harness.indicators.base import Evaluated, Indicator, Method, finished, given
from harness.indicators.events import on_time
from harness.model import Status, Step, StepResult
from harness.stats.inputs import About
from harness.stats.records import Direction, Estimate, StatsPolicy

Estimated = Callable[[Sequence[float], About], Estimate]
MARGIN = 0.05       # s around a cut in which an outage counts as seen of it; half the least gap between cuts and more
PACKETS, CONNECTIONS = ("icmp", "udp"), ("tcp", "http")


def errors(result: StepResult, probe: str) -> list[float]:
    """Return for each cut of a step by how many intervals the probe saw it last too long."""
    found = []
    for history in result.histories:
        if history.probe == probe:
            seen, sent = probing.outages(history), columns(history).sent
            for event in result.events:
                inside = sent.size and sent[0] <= event.start * 1e9 and event.end * 1e9 <= sent[-1]
                if (event.actor, event.action) == ("fault", "cut") and inside:
                    lasted = probing.seen_of(seen, event.start, event.end, MARGIN)
                    found.append((lasted - (event.end - event.start)) / history.interval)
    return found


def share(values: Sequence[float], about: About) -> Estimate:
    """Return the share of errors of at most one interval."""
    return stats.proportion_ci(sum(abs(each) <= 1 for each in values), len(values), **about)


def bias(values: Sequence[float], about: About) -> Estimate:
    """Return the mean error."""
    return stats.mean_ci(values, **about)


def spread(values: Sequence[float], about: About) -> Estimate:
    """Return the standard deviation of the errors; ValueError below 20 of them."""
    return stats.bca_ci(values, partial(np.std, ddof=1), **about)


def held(probe: str, estimated: Estimated, **row: Any) -> Indicator:
    """Return the indicator of one probe's errors over all cuts of all rounds."""

    def evaluate(results: Sequence[StepResult], policy: StatsPolicy) -> Evaluated:
        rounds: dict[int, list[float]] = {}
        for result in sorted(results, key=lambda each: each.step.round):
            if result.status is Status.DONE and (found := errors(result, probe)):
                rounds.setdefault(result.step.round, []).extend(found)
        if not rounds:
            raise ValueError(f"{probe}: no cut was looked at")
        about = About(unit="1", direction=row["direction"], indicator_id=row["id"], measurand=row["name"],
                      policy=policy)
        estimate = estimated([each for found in rounds.values() for each in found], about)
        scores = {turn: SUMMARIES[estimated](np.array(found)) for turn, found in rounds.items()}
        return finished(estimate, scores, Method(score=lambda result: 0.0, gates=(on_time,)), results, policy)

    return Indicator(evaluate=evaluate, **row)


SUMMARIES: dict[Estimated, Callable[[npt.NDArray[np.float64]], float]] = {
    share: lambda found: float(np.mean(np.abs(found) <= 1)), bias: lambda found: float(np.mean(found)),
    spread: lambda found: float(np.std(found, ddof=1)) if found.size > 1 else 0.0}
SOURCE = "virtmark: cuts by the kernel's own clock"


def rows(probe: str, kinds: Sequence[str]) -> tuple[Indicator, ...]:
    """Return the three indicators of one probe."""
    def applies(step: Step) -> bool:
        return (given(step, "kinds") or "packets") in kinds

    part = "" if probe == PACKETS[0] else f".{probe}"
    said = probe if probe == "ping" else probe.upper()
    common: dict[str, Any] = {"area": "probing", "unit": "1", "workload": "calibration", "source": SOURCE,
                              "applies": applies}
    return (
        held(probe, share, id=f"CAL-01{part}", name=f"Prober, errors within one interval, {said}",
             name_zh=f"探测误差在±1间隔内的比例（{said}）", direction=Direction.HIGHER_IS_BETTER, **common,
             definition="Share of cuts whose length was told to within one interval of the probes."),
        held(probe, bias, id=f"CAL-02{part}", name=f"Prober, bias in intervals, {said}",
             name_zh=f"探测偏差（间隔数，{said}）", direction=Direction.LOWER_IS_BETTER, **common,
             definition="Mean error of the told length of a cut, in intervals of the probes; below 0 is too short."),
        held(probe, spread, id=f"CAL-03{part}", name=f"Prober, standard deviation in intervals, {said}",
             name_zh=f"探测误差标准差（间隔数，{said}）", direction=Direction.LOWER_IS_BETTER, **common,
             definition="Standard deviation of the error of the told length of a cut, in intervals of the probes."),
    )


INDICATORS: tuple[Indicator, ...] = (
    *(row for probe in PACKETS for row in rows(probe, ("packets",))),
    *(row for probe in CONNECTIONS for row in rows(probe, ("connections",))),
    *rows("ping", ("packets", "connections")),
)
