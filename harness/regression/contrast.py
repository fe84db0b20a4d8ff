"""How the scores of a run stand to those of a baseline: one effect with its interval, positive where it is a loss.

The one thing to know: positive numbers with a unit are compared by their ratio (effect: its logarithm), shares by their
difference. Numbers of which neither has a meaning (an event that never ended) are compared by their ranks alone.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness import stats
from harness.stats.inputs import FloatArray
from harness.stats.moments import p_two_sided, t_quantile
from harness.stats.power import POWER
from harness.stats.records import Direction, Estimate, Interval, Scale

ROUNDS_MAX = 10_000


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """The effect of a run against its baseline: `loss` with a 95 % interval, ln of the ratio or a difference.

    Positive is worse; a slow-down of 5 % (all takes 5 % longer, or a rate falls to 1 / 1.05) is a loss of ln 1.05.
    `se` and `dof` stand behind the interval. Where there is none (`low` is -inf), `p` is that of ranks, else None.
    `opposed`: a rank method sees the effect on the other side, its whole interval there.
    """

    scale: Scale
    loss: float
    low: float
    high: float
    se: float
    dof: float
    n: tuple[int, int]
    paired: bool
    method: str
    p: float | None = None
    opposed: bool = False

    @property
    def bounded(self) -> bool:
        """Say whether there is an interval."""
        return math.isfinite(self.high - self.low)

    def p_beyond(self, limit: float) -> float:
        """Return the two-sided p that the effect is no larger than `limit` (on its scale); 1 where nothing tells."""
        if self.p is not None:
            return self.p if abs(self.loss) > limit else 1.0
        if not self.se:
            return 1.0
        return p_two_sided(self.dof, max(abs(self.loss) - limit, 0.0) / self.se)

    def mde(self, limit: float, floor: float, alpha: float) -> float:
        """Return the least true loss, on the scale of the effect, that is called worse in 80 of 100 repetitions.

        It has to be shown against `limit` at the two-sided level `alpha`, and be measured beyond `floor`.
        """
        if not (self.bounded and self.se):
            return math.inf
        k = max(2, int(self.dof + 1e-9) + 1)
        spread = self.se * math.sqrt(k)
        return max(limit + stats.mde(spread, k, POWER, confidence=1 - alpha),
                   floor + t_quantile(self.dof, POWER) * self.se)

    def rounds(self, limit: float, margin: float, alpha: float) -> int | None:
        """Return how many rounds on each side would tell, with 80 % power if the effect is as measured; or None.

        Inside `margin` they would show that it is the same, beyond it that it is none of chance.
        """
        if not (self.bounded and self.se):
            return None
        inside = abs(self.loss) <= margin
        distance = margin - abs(self.loss) if inside else abs(self.loss) - limit
        level, power = (1 - self._confidence, (1 + POWER) / 2) if inside else (alpha, POWER)
        one = 1 / self.n[0] if self.paired else 1 / self.n[0] + 1 / self.n[1]
        sd = self.se / math.sqrt(one)

        def enough(n: int) -> bool:
            dof, se = (n - 1, sd / math.sqrt(n)) if self.paired else (2 * n - 2, sd * math.sqrt(2 / n))
            return (t_quantile(dof, 1 - level / 2) + t_quantile(dof, power)) * se <= distance

        found = bisect.bisect_left(range(2, ROUNDS_MAX), True, key=enough) + 2
        return found if found < ROUNDS_MAX else None

    @property
    def _confidence(self) -> float:
        return stats.DEFAULT_POLICY.confidence


def contrast(run: Sequence[float], baseline: Sequence[float], *, direction: Direction, share: bool = False,
             paired: bool = False) -> Contrast:
    """Return the effect of `run` against `baseline`, one score a round; `paired`: round i of both stood side by side.

    Scores that are shares of a whole are compared by their difference.

    ValueError for a direction that is neither better nor worse, for no scores, and for pairs of unequal number.
    """
    if direction is Direction.TARGET:
        raise ValueError("contrast: no direction of better; higher or lower is needed")
    x, y = np.asarray(run, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if not x.size or not y.size or (paired and x.size != y.size):
        raise ValueError(f"contrast: {x.size} and {y.size} scores; at least 1 each, pairs in equal number")
    sign = -1.0 if direction is Direction.HIGHER_IS_BETTER else 1.0
    scale = scale_of((x, y), share=share)
    if scale is None:
        return _ranked(x, y, sign)
    a, b = (np.log(x), np.log(y)) if scale is Scale.LOG else (x, y)
    found = _paired(a - b) if paired else _unpaired(a, b)
    found = replace(found, scale=scale)
    if found.se == 0:
        return _exact(replace(found, loss=sign * found.loss), x, y)
    return found if sign > 0 else replace(found, loss=-found.loss, low=-found.high, high=-found.low)


def resolved(found: Contrast, run: tuple[float, float], baseline: tuple[float, float]) -> Contrast:
    """Return a contrast of scores without spread, no more certain than the intervals of the two estimates allow.

    5 of 5 moves that went well and 5 of 5 are the same number, not shown to be the same share.
    """
    ends = (*run, *baseline)
    if not all(math.isfinite(end) for end in ends) or (found.scale is Scale.LOG and min(ends) <= 0):
        return found
    low, high, base_low, base_high = map(math.log, ends) if found.scale is Scale.LOG else ends
    half = max(high - base_low, base_high - low) - abs(found.loss)
    return replace(found, low=found.loss - half, high=found.loss + half) if half > 0 else found


def is_share(estimate: Estimate) -> bool:
    """Say whether an estimate is a share of a whole, or an overhead: a number that may be near zero, without a unit."""
    return estimate.unit == "1" and estimate.scale is Scale.LINEAR


def scale_of(sides: Sequence[FloatArray], *, share: bool) -> Scale | None:
    """Return on which scale scores are compared; None where neither ratio nor difference has a meaning."""
    if not all(np.isfinite(side).all() for side in sides):
        return None
    if share:
        return Scale.LINEAR
    return Scale.LOG if all(side.min() > 0 for side in sides) else None


def relative(effect: float, scale: Scale) -> float:
    """Return an effect as people say it: a share of the baseline (0.05: 5 %), or the difference of shares."""
    if scale is Scale.LINEAR:
        return effect
    return math.expm1(effect) if effect < 700 else math.inf


def effect(share: float, scale: Scale) -> float:
    """Return what `relative` was made of."""
    return math.log1p(share) if scale is Scale.LOG else share


def _unpaired(a: FloatArray, b: FloatArray) -> Contrast:
    n = (int(a.size), int(b.size))
    method = "Welch interval"
    if min(n) < 2:
        return _unbounded(float(a.mean() - b.mean()), n, method)
    if not (np.ptp(a) or np.ptp(b)):
        return _constant(float(a[0] - b[0]), n, method)
    found = stats.welch(a, b)
    return Contrast(scale=Scale.LINEAR, loss=found.difference, low=found.ci.lo, high=found.ci.hi, se=found.se,
                    dof=found.dof, n=n, paired=False, method=method,
                    opposed=_opposed(found.difference, stats.hodges_lehmann(a, b).ci))


def _paired(d: FloatArray) -> Contrast:
    n = (int(d.size), int(d.size))
    method = "paired t interval"
    if d.size < 2:
        return _unbounded(float(d[0]), n, method)
    if not np.ptp(d):
        return _constant(float(d[0]), n, method)
    mean, se = float(d.mean()), float(d.std(ddof=1)) / math.sqrt(d.size)
    half = t_quantile(d.size - 1, (1 + stats.DEFAULT_POLICY.confidence) / 2) * se
    return Contrast(scale=Scale.LINEAR, loss=mean, low=mean - half, high=mean + half, se=se, dof=d.size - 1, n=n,
                    paired=True, method=method, opposed=_opposed(mean, stats.hodges_lehmann(d).ci))


def _unbounded(loss: float, n: tuple[int, int], method: str) -> Contrast:
    return Contrast(scale=Scale.LINEAR, loss=loss, low=-math.inf, high=math.inf, se=math.inf, dof=0, n=n, paired=False,
                    method=method, p=1.0)


def _constant(difference: float, n: tuple[int, int], method: str) -> Contrast:
    return Contrast(scale=Scale.LINEAR, loss=difference, low=difference, high=difference, se=0.0, dof=0.0, n=n,
                    paired=False, method=method)


def _exact(found: Contrast, x: FloatArray, y: FloatArray) -> Contrast:
    """Return the contrast of scores without any spread: as large as it is, as certain as ranks can tell."""
    return replace(found, low=found.loss, high=found.loss, method="exact: every score equal",
                   p=stats.rank_sum_p(x, y) if found.loss else 1.0)


def _ranked(x: FloatArray, y: FloatArray, sign: float) -> Contrast:
    """Return the contrast of scores that only have an order: on which side, and how certain."""
    found = stats.rank_sum(x, y)
    side = found.statistic / (x.size * y.size) - 0.5
    return Contrast(scale=Scale.LINEAR, loss=math.copysign(math.inf, sign * side) if side else 0.0, low=-math.inf,
                    high=math.inf, se=math.inf, dof=0.0, n=(int(x.size), int(y.size)), paired=False,
                    method="exact rank-sum test", p=found.p)


def _opposed(middle: float, ci: Interval) -> bool:
    return (middle > 0 > ci.hi) or (middle < 0 < ci.lo)


__all__ = ["Contrast", "contrast", "effect", "is_share", "relative", "resolved", "scale_of"]
