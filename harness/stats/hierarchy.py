"""Where the variance sits: boots, iterations, samples; after Kalibera and Jones, random effects on a balanced design.

Extra iterations inside a boot never cure too few boots: the interval is Student's t on top-level means.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.stats.inputs import FloatArray, array
from harness.stats.moments import mean_sd, t_quantile
from harness.stats.records import Interval


@dataclass(frozen=True)
class VarianceComponents:
    """Variances by level, lowest level first; T2 unbiased and possibly negative, `components` with zero for those.

    `optimal_reps` are the repetitions of levels 1 .. top-1 that spend a budget best (None: no costs given; inf: all
    of the variance sits at or below that level), `raw_reps` before rounding up. `icc` is T2[1] / (T2[0] + T2[1]).
    """

    mean: float
    S2: tuple[float, ...]
    T2: tuple[float, ...]
    components: tuple[float, ...]
    icc: float
    ci: Interval
    reps: tuple[int, ...]
    optimal_reps: tuple[float, ...] | None = None
    raw_reps: tuple[float, ...] | None = None
    warnings: tuple[str, ...] = ()


def kalibera_jones(y: npt.ArrayLike, costs: Sequence[float] | None = None, *,
                   confidence: float = 0.95) -> VarianceComponents:
    """Return the variance components of y with shape (r_n, .., r_1), highest level first (boot, iteration, sample).

    `costs` from high to low: of one more boot, iteration, sample, in any one unit. ValueError on one dimension, on
    unequal inner numbers (use mean_ci with levels) and on a level with a single repetition.
    """
    values = array(y, "y")
    if values.ndim < 2 or min(values.shape) < 2:
        raise ValueError(f"y: shape {values.shape}; two or more levels with two or more repetitions each are needed")
    s2 = _between(values)
    sizes = values.shape[::-1]
    t2 = (s2[0], *(s2[i] - s2[i - 1] / sizes[i - 1] for i in range(1, len(s2))))
    components = tuple(max(v, 0.0) for v in t2)
    negative = [str(i + 1) for i, v in enumerate(t2) if v < 0]
    total = components[0] + components[1]
    raw = None if costs is None else _optimal(components, costs)
    return VarianceComponents(
        mean=float(values.mean()), S2=s2, T2=t2, components=components, icc=components[1] / total if total else 0.0,
        ci=_top_level(values, confidence), reps=sizes, raw_reps=raw,
        optimal_reps=None if raw is None else tuple(v if math.isinf(v) else float(max(1, math.ceil(v))) for v in raw),
        warnings=(f"negative: the component of level {', '.join(negative)} is negative, taken as 0",) * bool(negative))


def _between(values: FloatArray) -> tuple[float, ...]:
    """Return S2 of each level, lowest first: the mean over the levels above of the variance of means at that level."""
    out = []
    level = values - float(values.mean())  # centred: hard data keep their digits
    while level.ndim:
        means = level.mean(axis=-1)
        away = level - means[..., None]
        out.append(float(np.sum(away * away)) / (means.size * (level.shape[-1] - 1)))
        level = means
    return tuple(out)


def _top_level(values: FloatArray, confidence: float) -> Interval:
    boots = values.shape[0]
    mean, sd = mean_sd(values.reshape(boots, -1).mean(axis=1))
    half = t_quantile(boots - 1, (1 + confidence) / 2) * sd / math.sqrt(boots)
    return Interval(mean - half, mean + half, confidence)


def _optimal(components: tuple[float, ...], costs: Sequence[float]) -> tuple[float, ...]:
    if len(costs) != len(components) or any(not (c > 0 and math.isfinite(c)) for c in costs):
        raise ValueError(f"costs: {list(costs)}; {len(components)} positive costs are needed, highest level first")
    rising = list(costs)[::-1]

    def best(i: int) -> float:
        if components[i] == 0:
            return 1.0
        if components[i + 1] == 0:
            return math.inf
        return math.sqrt(rising[i + 1] / rising[i] * components[i] / components[i + 1])

    return tuple(best(i) for i in range(len(components) - 1))
