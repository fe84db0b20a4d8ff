"""Storage virtualization: rates, bandwidth, tail latency, overhead, and the gate that every one of them passes.

The one thing to know: a storage number counts only from a steady state (STO-07). Not steady makes it INVALID, a window
too short to tell leaves it open, and the page cache instead of the disk is not storage at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from harness import stats
from harness.indicators.base import Indicator, Method, Score, both, given, overhead, pick, quantity, single, value
from harness.indicators.percentiles import bin_width, histogram_gate, of_histogram
from harness.model import Step, StepResult
from harness.stats.inputs import FloatArray
from harness.stats.records import Check, Direction, StatsPolicy
from harness.stats.steady import SteadyState, steady_state

UP, DOWN = Direction.HIGHER_IS_BETTER, Direction.LOWER_IS_BETTER
OFFERED_SHARE = 0.99


def history(result: StepResult) -> tuple[FloatArray, float]:
    """Return the rate per window in 1/s, all directions added, and the length of a window in s."""
    found = pick(result, "disk.rate", stat="series")
    if not found:
        raise ValueError(f"{result.step.id}: no rate per window")
    shortest = min(len(series.values) for series in found)
    rows = [series.values[:shortest] for series in found]
    return np.asarray(rows, dtype=np.float64).sum(axis=0), float(found[0].labels["window"])


def steadiness(result: StepResult, policy: StatsPolicy) -> SteadyState:
    """Return what the rate of a step turned out to be."""
    values, window = history(result)
    return steady_state(values, window, unit="1/s", policy=policy)


def steady(results: Sequence[StepResult], policy: StatsPolicy) -> tuple[Check, ...]:
    """Return the gate of STO-07 over all steps: one that is not steady fails it, one too short leaves it open."""
    if mute := [result.step.id for result in results if not pick(result, "disk.rate", stat="series")]:
        return (Check("steady state", None, None, None, f"{mute[0]}: no rate per window was recorded"),)
    found = [(result, steadiness(result, policy)) for result in results]
    answers = {state.steady for _, state in found}
    passed = False if False in answers else None if None in answers else True
    wrong = [f"{result.step.id}: {check.name} {check.note or check.value}" for result, state in found
             for check in state.checks if check.passed is passed is not True]
    return (Check("steady state", passed, float(sum(state.steady is True for _, state in found)), float(len(found)),
                  "; ".join(wrong[:2])),)


def ramp(results: Sequence[StepResult], policy: StatsPolicy) -> float:
    """Return when the last of the steps had become steady, in s of its rate per window; 0 where one never did."""
    seen = [steadiness(result, policy) for result in results if pick(result, "disk.rate", stat="series")]
    return max((state.start_s for state in seen), default=0.0) if all(state.steady for state in seen) else 0.0


def steady_part(results: Sequence[StepResult], policy: StatsPolicy) -> Score:
    """Return the factor from the mean of a step to that of its steady part, which begins alike in all rounds."""
    cut = ramp(results, policy)

    def factor(result: StepResult) -> float:
        values, window = history(result)
        rest = values[round(cut / window):]
        return float(rest.mean() / values.mean()) if rest.size else 1.0

    return factor if cut else lambda result: 1.0


def steady_throughout(results: Sequence[StepResult], policy: StatsPolicy) -> tuple[Check, ...]:
    """Return whether nothing but the steady state is in the latencies: a histogram cannot be cut afterwards."""
    cut = ramp(results, policy)
    return (Check("steady from the start", None if cut else True, cut, 0.0,
                  f"the first {cut:g} s were a ramp; set ramp to at least that" if cut else ""),)


def direct(results: Sequence[StepResult], policy: StatsPolicy) -> tuple[Check, ...]:
    """Return whether the page cache was kept out."""
    cached = [result.step.id for result in results for series in pick(result, "disk.rate", direct="0")]
    return (Check("direct I/O", not cached, None, None,
                  f"{cached[0]}: the file system takes no O_DIRECT; this is the page cache" if cached else ""),)


def open_loop(results: Sequence[StepResult], policy: StatsPolicy) -> tuple[Check, ...]:
    """Return whether the offered load was reached, where one was offered: else latencies are those of overload.

    Arrivals are a Poisson process, so that a count of n may fall short by three times its root by chance alone.
    """
    shares = []
    for result in results:
        if offered := pick(result, "disk.offered"):
            reached = sum(series.values[0] for series in pick(result, "disk.rate", stat="mean"))
            chance = 3 / np.sqrt(sum(series.values[0] for series in pick(result, "disk.count")))
            shares.append((reached / offered[0].values[0], OFFERED_SHARE - chance))
    worst = min(shares, key=lambda share: share[0] - share[1], default=None)
    return (Check("offered load reached", bool(worst[0] >= worst[1]), worst[0], float(worst[1]),
                  "share of the offered rate that was served"),) if worst else ()


def excursion(result: StepResult) -> float:
    """Return (max - min) / mean over the last five minutes, or five equal parts (fewer windows: all) if it is short."""
    return _over_rounds(result, lambda means: float(means.max() - means.min()))


def slope(result: StepResult) -> float:
    """Return the rise of the fitted line over the same five parts, relative to their mean."""
    return _over_rounds(result, lambda means: abs(float(np.polynomial.Polynomial.fit(
        np.arange(means.size), means, 1).convert().coef[-1])) * (means.size - 1) if np.ptp(means) else 0.0)


def _over_rounds(result: StepResult, spread: Callable[[FloatArray], float], parts: int = 5) -> float:
    values, window = history(result)
    parts = min(parts, values.size)
    if parts < 2:
        raise ValueError(f"{result.step.id}: {values.size} windows of {window:g} s; a range takes two at least")
    size = min(values.size // parts, round(60 / window))
    means = values[-size * parts:].reshape(parts, size).mean(axis=1)
    return spread(means) / float(means.mean())


def latency(result: StepResult) -> float:
    """Return the mean completion time in s, from fio's exact means, weighted by their numbers."""
    means, counts = pick(result, "disk.latency", stat="mean"), pick(result, "disk.count")
    if not means:
        raise ValueError(f"{result.step.id}: no mean latency")
    return float(np.average([s.values[0] for s in means], weights=[s.values[0] for s in counts]))


def highest(result: StepResult) -> float:
    """Return the longest completion time in s, from fio's exact field."""
    return max(series.values[0] for series in pick(result, "disk.latency", stat="max"))


def at_light_load(step: Step) -> bool:
    """Return whether a step is about latency: one I/O at a time, or a share of what the disk can do."""
    return given(step, "depth") == 1 or quantity(step, "load", "1") < 1


def watched(step: Step) -> bool:
    """Return whether a step in the guest leaves a history of rates; imported results leave none (window = "none")."""
    return given(step, "where") == "guest" and given(step, "window") != "none"


def pattern(*names: str) -> dict[str, object]:
    """Return the predicate of saturating steps of these patterns in the guest."""
    return {"applies": lambda step: given(step, "pattern") in names and given(step, "where") == "guest"
            and not at_light_load(step)}


def percentile(p: float) -> Method:
    """Return how a percentile of completion times is scored."""
    return Method(score=of_histogram("disk.latency", p), u_b=bin_width("disk.latency", p),
                  gates=(*LATENCY_GATES, histogram_gate("disk.latency", p)))


GATES = (steady, direct)
LATENCY_GATES = (*GATES, steady_throughout, open_loop)
RATE = Method(score=value("disk.rate", stat="mean"), gates=GATES, adjusted=steady_part)
BANDWIDTH = Method(score=value("disk.bandwidth", stat="mean"), gates=GATES, adjusted=steady_part)
LATENCY = Method(score=latency, gates=LATENCY_GATES)
COMMON = {"area": "storage", "workload": "disk"}
LIGHT = {"applies": lambda step: at_light_load(step) and given(step, "where") == "guest"}
PAIRED = "virtmark: paired arms in one round"
INDICATORS: tuple[Indicator, ...] = (
    single(RATE, id="STO-01", name="Random read rate", name_zh="随机读IOPS", unit="1/s", direction=UP, **COMMON,
           **pattern("randread"), definition="Random reads completed per second in the steady state.",
           source="ETSI GS NFV-TST 001; OPNFV Yardstick TC005"),
    single(RATE, id="STO-02", name="Random write rate", name_zh="随机写IOPS", unit="1/s", direction=UP, **COMMON,
           **pattern("randwrite"), definition="Random writes completed per second after preconditioning, steady state.",
           source="SNIA SSS PTS; OPNFV Yardstick TC005"),
    single(RATE, id="STO-03", name="Mixed random rate", name_zh="混合读写IOPS", unit="1/s", direction=UP, **COMMON,
           **pattern("randrw"), definition="Reads and writes completed per second, mixed at random (70 % reads).",
           source="ETSI GS NFV-TST 001; SNIA SSS PTS"),
    single(BANDWIDTH, id="STO-04", name="Sequential throughput", name_zh="顺序读写吞吐", unit="B/s", direction=UP,
           **COMMON, **pattern("read", "write"), definition="Bytes per second, large blocks in order.",
           source="ETSI GS NFV-TST 001; OPNFV Yardstick TC005"),
    single(LATENCY, id="STO-05", name="Storage latency, mean", name_zh="存储时延（均值）", unit="s", direction=DOWN,
           **COMMON, **LIGHT, definition="Mean completion time, one I/O at a time or at a share of the highest rate.",
           source="ETSI GS NFV-TST 001; SNIA SSS PTS; OPNFV Yardstick TC005"),
    *(single(percentile(p), id=f"STO-05.{name}", name=f"Storage latency, {words} percentile",
             name_zh=f"存储时延（{name.upper()}）", unit="s", direction=DOWN, **COMMON, **LIGHT,
             definition=f"{words} percentile of completion times, reads and writes together.", source="SNIA SSS PTS")
      for p, name, words in ((0.99, "p99", "99th"), (0.999, "p999", "99.9th"))),
    single(Method(score=highest, gates=LATENCY_GATES), id="STO-05.max", name="Storage latency, maximum",
           name_zh="存储时延（最大值）", unit="s", direction=DOWN, **COMMON, **LIGHT,
           definition="Longest completion time of a step.", source="SNIA SSS PTS"),
    overhead(RATE, UP, id="STO-06", name="Storage virtualization overhead, rate", name_zh="存储虚拟化损耗率（IOPS）",
             **COMMON, applies=both(lambda step: not at_light_load(step)), source=PAIRED,
             definition="Share of I/O rate lost in the guest against the same job on its host, paired by round."),
    overhead(LATENCY, DOWN, id="STO-06.latency", name="Storage virtualization overhead, latency",
             name_zh="存储虚拟化损耗率（时延）", **COMMON, applies=both(at_light_load), source=PAIRED,
             definition="Relative increase of mean completion time in the guest, paired by round."),
    overhead(percentile(0.99), DOWN, id="STO-06.p99", name="Storage virtualization overhead, 99th percentile",
             name_zh="存储虚拟化损耗率（P99时延）", **COMMON, applies=both(at_light_load), source=PAIRED,
             definition="Relative increase of the 99th percentile of completion times in the guest, paired by round."),
    single(Method(score=excursion, estimator=stats.mean_ci, gates=(steady,)), id="STO-07",
           name="Steady state, range", name_zh="存储稳态判定（极差）", unit="1", direction=DOWN, **COMMON,
           applies=watched, definition="Range of the rate over the last five minutes over its mean, by minutes.",
           source="SNIA SSS PTS (20 %)"),
    single(Method(score=slope, estimator=stats.mean_ci, gates=(steady,)), id="STO-07.slope",
           name="Steady state, slope", name_zh="存储稳态判定（斜率）", unit="1", direction=DOWN, **COMMON,
           applies=watched, definition="Rise of the line fitted to the same five values, over their mean.",
           source="SNIA SSS PTS (10 %)"),
)
