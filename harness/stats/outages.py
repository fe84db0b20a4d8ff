"""How long a service was away, as probes saw it: k losses at spacing d mean k*d, within (k-1)*d .. (k+1)*d.

The one thing to know: "last answer to first answer" is too long by d on average, "first loss to last loss" too short
by d. The outage began somewhere between the last answered probe and the first lost one, and ended likewise; the middle
of both is unbiased. Send times are those of the prober's monotonic clock: a guest's clock jumps when it migrates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SPACING_TOLERANCE = 0.5     # a gap between probes this much off the nominal one is reported


@dataclass(frozen=True)
class Outage:
    """One run of k lost probes: estimate, bounds and standard uncertainty of its duration in s.

    `start_s` is when it began, by estimate, on the clock of `sent_ns`. `censored`: the record begins or ends inside the
    outage, so that nothing bounds it above and the estimate is inf ("not seen to recover").
    """

    k: int
    est_s: float
    lo_s: float
    hi_s: float
    u_s: float
    start_s: float = 0.0
    censored: bool = False
    warnings: tuple[str, ...] = ()


def outage_from_probes(sent_ns: npt.ArrayLike, ok: npt.ArrayLike, d_ns: int) -> list[Outage]:
    """Return the outages in a record of probes: send times (n,) in ns, increasing; answered (n,) bool; nominal spacing.

    Bounds come from the send times themselves, so a prober that stalled (one that waits for its own time-outs) gives
    wide bounds and a warning, not a wrong number. On an exact schedule: est = k*d, bounds (k-1)*d and (k+1)*d,
    u = d / sqrt(6). Raises ValueError for unequal lengths, times that do not increase, or d <= 0.
    """
    sent, good = np.asarray(sent_ns), np.asarray(ok)
    if sent.dtype.kind not in "iu" and sent.size:
        raise ValueError(f"probes: send times of type {sent.dtype}; needed are integers (nanoseconds)")
    if good.dtype.kind != "b" and not np.isin(good, (0, 1)).all():
        raise ValueError("probes: answers must be true or false")
    good = good.astype(bool)
    if sent.shape != good.shape or sent.ndim != 1:
        raise ValueError(f"probes: {sent.shape} send times for {good.shape} answers; needed is one each")
    if not d_ns > 0 or (np.diff(sent.astype(np.int64)) <= 0).any():
        raise ValueError(f"probes: send times must increase, and their spacing ({d_ns} ns) be above 0")
    lost = np.diff(np.concatenate(([0], ~good, [0])).astype(np.int8))
    return [_outage(sent, int(a), int(b), int(d_ns))
            for a, b in zip(np.flatnonzero(lost == 1), np.flatnonzero(lost == -1), strict=True)]


def _outage(sent: npt.NDArray[np.int64], first: int, after: int, d_ns: int) -> Outage:
    """Return the outage of the lost probes first .. after - 1."""
    k, inner = after - first, int(sent[after - 1] - sent[first])
    if first == 0 or after == sent.size:
        edge = "before the first probe" if first == 0 else "beyond the last probe"
        return Outage(k, math.inf, inner / 1e9, math.inf, math.inf, float(sent[first]) / 1e9, True,
                      (f"censored: the outage reaches {edge}",))
    before, behind = int(sent[first] - sent[first - 1]), int(sent[after] - sent[after - 1])
    gaps = np.diff(sent[first - 1:after + 1])
    worst = int(gaps.max())
    warnings = () if worst <= (1 + SPACING_TOLERANCE) * d_ns else (
        f"stalled: probes {worst / 1e9:g} s apart, planned were {d_ns / 1e9:g} s; the bounds use the real times",)
    u, begin = math.hypot(before, behind) / math.sqrt(12), (2 * int(sent[first]) - before) / 2
    return Outage(k, (2 * inner + before + behind) / 2e9, inner / 1e9, (inner + before + behind) / 1e9, u / 1e9,
                  begin / 1e9, False, warnings)


__all__ = ["Outage", "outage_from_probes"]
