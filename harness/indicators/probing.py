"""The prober held to cuts and pauses of exactly known length: how far off it is, in intervals of its probes; and to
packets dropped on purpose, one by one.

The one thing to know: an event is the replicate here, for each begins at a random phase of the probes. The same
function judges our prober and ping; an event that was not seen counts as an error of its whole length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness import probing, stats
from harness.history import NEVER, Columns, columns
from harness.indicators.base import Evaluated, Indicator, Method, finished, given, pick, quantity
from harness.indicators.events import Tally, on_time, wrong
from harness.model import Status, Step, StepResult
from harness.stats.inputs import About
from harness.stats.records import Direction, Estimate, StatsPolicy

Estimated = Callable[[Sequence[float], About], Estimate]
LENGTHS = ("cut", "pause")      # events whose length is the truth
LOSS, DELAY = "loss", "packet-delay"    # those whose number of packets is, and for how long each was held up
BEFORE = 1.0        # s before packets are held up, in which answers take their ordinary time
MARGIN = 0.05       # s around an event in which an outage counts as seen of it, far less than between two of them
PACKETS, CONNECTIONS = ("icmp", "udp"), ("tcp", "http")


class Told(NamedTuple):
    """How long an event was (s), and by how many intervals of the probe it saw it last too long."""

    true: float
    error: float


def told(result: StepResult, probe: str) -> list[Told]:
    """Return what a probe saw of each cut and pause of a step that lies within its history."""
    found = []
    for history in result.histories:
        if history.probe == probe:
            outages, sent = probing.outages(history), columns(history).sent
            for event in result.events:
                inside = sent.size and sent[0] <= event.start * 1e9 and event.end * 1e9 <= sent[-1]
                if event.actor == "fault" and event.action in LENGTHS and inside:
                    true = event.end - event.start
                    seen = probing.seen_of(outages, event.start, event.end, MARGIN)
                    found.append(Told(true, (seen - true) / history.interval))
    return found


def errors(result: StepResult, probe: str) -> list[float]:
    """Return for each cut and pause of a step by how many intervals the probe saw it last too long."""
    return [each.error for each in told(result, probe)]


def mistold(result: StepResult, probe: str) -> Tally:
    """Return how many probes too many or too few were told as lost while packets were dropped, of how many sent then;
    ValueError where a step does not say how many were dropped."""
    dropped = [value for series in pick(result, "probe.dropped", probe=probe) for value in series.values]
    losses = [event for event in result.events if (event.actor, event.action) == ("fault", LOSS)]
    if len(dropped) != len(losses):
        raise ValueError(f"{result.step.id}: {len(losses)} losses, {len(dropped)} counts of packets dropped of {probe}")
    astray = sent = 0
    for history in result.histories:
        seen = columns(history)
        for event, truth in zip(losses, dropped, strict=True) if history.probe == probe else ():
            inside = (seen.sent >= (event.start - MARGIN) * 1e9) & (seen.sent <= (event.end + MARGIN) * 1e9)
            astray += abs(int((inside & (seen.latency == NEVER)).sum()) - round(truth))
            sent += int(inside.sum())
    return Tally(astray, sent)


def delays(result: StepResult, probe: str) -> list[float]:
    """Return for each time that packets were held up how much longer than that (s) the probe saw answers take, by the
    medians of what was sent meanwhile and just before."""
    held = [value for series in pick(result, "probe.delayed") for value in series.values]
    events = [event for event in result.events if (event.actor, event.action) == ("fault", DELAY)]
    if len(held) != len(events):
        raise ValueError(f"{result.step.id}: packets were held up {len(events)} times, {len(held)} delays are told")
    longest, found = quantity(result.step, "longest", "s"), []
    for history in result.histories:
        seen = columns(history)
        for event, delay in zip(events, held, strict=True) if history.probe == probe else ():
            usual = _median(seen, event.start - BEFORE, event.start)
            late = _median(seen, event.end + MARGIN, event.end + longest - MARGIN)
            if usual is not None and late is not None:
                found.append(late - usual - delay)
    return found


def _median(seen: Columns, start: float, end: float) -> float | None:
    """Return the median latency (s) of the probes sent from `start` to `end` (s), None where none was answered."""
    its = seen.latency[(seen.sent >= start * 1e9) & (seen.sent < end * 1e9) & (seen.latency != NEVER)]
    return float(np.median(its)) / 1e9 if its.size else None


def share(values: Sequence[float], about: About) -> Estimate:
    """Return the share of errors of at most one interval."""
    return stats.proportion_ci(sum(abs(each) <= 1 for each in values), len(values), **about)


def bias(values: Sequence[float], about: About) -> Estimate:
    """Return the mean error."""
    return stats.mean_ci(values, **about)


def spread(values: Sequence[float], about: About) -> Estimate:
    """Return the standard deviation of the errors; ValueError below 20 of them."""
    return stats.bca_ci(values, partial(np.std, ddof=1), **about)


def held(probe: str, estimated: Estimated, of: Callable[[StepResult, str], list[float]] = errors, **row: Any
         ) -> Indicator:
    """Return the indicator of one probe's errors over all events of all rounds."""

    def evaluate(results: Sequence[StepResult], policy: StatsPolicy) -> Evaluated:
        rounds: dict[int, list[float]] = {}
        for result in sorted(results, key=lambda each: each.step.round):
            if result.status is Status.DONE and (found := of(result, probe)):
                rounds.setdefault(result.step.round, []).extend(found)
        if not rounds:
            raise ValueError(f"{probe}: no event was looked at")
        about = About(unit=row["unit"], direction=row["direction"], indicator_id=row["id"], measurand=row["name"],
                      policy=policy)
        estimate = estimated([each for found in rounds.values() for each in found], about)
        scores = {turn: SUMMARIES[estimated](np.array(found)) for turn, found in rounds.items()}
        return finished(estimate, scores, Method(score=lambda result: 0.0, gates=(on_time,)), results, policy)

    return Indicator(evaluate=evaluate, **row)


SUMMARIES: dict[Estimated, Callable[[npt.NDArray[np.float64]], float]] = {
    share: lambda found: float(np.mean(np.abs(found) <= 1)), bias: lambda found: float(np.mean(found)),
    spread: lambda found: float(np.std(found, ddof=1)) if found.size > 1 else 0.0}
SOURCE = "virtmark: cuts by the kernel's own clock, pauses by SIGSTOP"


def rows(probe: str, kinds: Sequence[str]) -> tuple[Indicator, ...]:
    """Return the three indicators of one probe that tell lengths."""
    def applies(step: Step) -> bool:
        return (given(step, "kinds") or "packets") in kinds and (given(step, "injects") or "cut") in LENGTHS

    part, said = named(probe)
    common: dict[str, Any] = {"area": "probing", "unit": "1", "workload": "calibration", "source": SOURCE,
                              "applies": applies}
    return (
        held(probe, share, id=f"CAL-01{part}", name=f"Prober, errors within one interval, {said}",
             name_zh=f"探测误差在±1间隔内的比例（{said}）", direction=Direction.HIGHER_IS_BETTER, **common,
             definition="Share of cuts or pauses whose length was told to within one interval of the probes."),
        held(probe, bias, id=f"CAL-02{part}", name=f"Prober, bias in intervals, {said}",
             name_zh=f"探测偏差（间隔数，{said}）", direction=Direction.LOWER_IS_BETTER, **common,
             definition="Mean error of the told length of a cut or pause, in intervals; below 0 is too short."),
        held(probe, spread, id=f"CAL-03{part}", name=f"Prober, standard deviation in intervals, {said}",
             name_zh=f"探测误差标准差（间隔数，{said}）", direction=Direction.LOWER_IS_BETTER, **common,
             definition="Standard deviation of the error of the told length of a cut or pause, in intervals."),
    )


def dropped(probe: str) -> Indicator:
    """Return the indicator of one probe that tells lost packets."""
    part, said = named(probe)
    return wrong(
        partial(mistold, probe=probe), (on_time,), id=f"CAL-04{part}", name=f"Prober, probes mistold as lost, {said}",
        name_zh=f"误判丢失的探针比例（{said}）", area="probing", unit="1", workload="calibration",
        source="virtmark: packets dropped and counted by the kernel", direction=Direction.LOWER_IS_BETTER,
        applies=lambda step: given(step, "injects") == LOSS,
        definition="Probes told as lost beyond or short of the packets that were dropped, as a share of probes sent.")


def delayed(probe: str) -> Indicator:
    """Return the indicator of one probe that tells for how long packets were held up."""
    part, said = named(probe)
    return held(
        probe, bias, delays, id=f"CAL-05{part}", name=f"Prober, delay told beyond that injected, {said}",
        name_zh=f"注入时延的测量偏差（{said}）", area="probing", unit="s", workload="calibration",
        source="virtmark: netem of the guest's kernel", direction=Direction.LOWER_IS_BETTER,
        applies=lambda step: given(step, "injects") == "delay",
        definition="Median time of an answer while packets were held up, less that just before and the delay injected.")


def named(probe: str) -> tuple[str, str]:
    """Return what ids of a probe's indicators end with, and its name for readers."""
    return "" if probe == PACKETS[0] else f".{probe}", probe if probe == "ping" else probe.upper()


INDICATORS: tuple[Indicator, ...] = (
    *(row for probe in PACKETS for row in rows(probe, ("packets",))),
    *(row for probe in CONNECTIONS for row in rows(probe, ("connections",))),
    *rows("ping", ("packets", "connections")),
    *map(dropped, (*PACKETS, "ping")),
    *map(delayed, (*PACKETS, "ping")),
)
