"""How many repetitions, in which order, and what so many can detect.

Two-stage (Stein): a pilot fixes the number of runs once, from its spread alone. Stopping as soon as the verdict looks
conclusive would turn a false PASS of 2.5 % into 8-11 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.stats.estimates import look
from harness.stats.inputs import About, FloatArray, scores
from harness.stats.moments import mean_sd, t_quantile
from harness.stats.records import DEFAULT_POLICY, Scale, StatsPolicy

_BIMODAL_MIN = 15


@dataclass(frozen=True)
class Plan:
    """A number of runs: `n` in all (pilot included), why, what it detects, the relative half width to expect.

    `basis` is one of pilot, precision, bimodal, cap. `wanted` is the uncapped number.
    """

    n: int
    basis: str
    mde80: float
    half_width: float
    wanted: int
    warnings: tuple[str, ...] = ()


def plan_repetitions(pilot: npt.ArrayLike, eps_rel: float, n_max: int | None = None, *,
                     scale: Scale = Scale.LINEAR, policy: StatsPolicy = DEFAULT_POLICY) -> Plan:
    """Return how many runs give a half width of `eps_rel` (0.02 is 2 %), from pilot scores.

    N = max(n0, ceil((t_{n0-1} s0 / (eps |m0|))^2)), at most `n_max` (policy: 50), at least 15 where the pilot is
    bimodal. On the log scale s0 is that of the logs and eps becomes log(1 + eps). Compute the final interval with
    `stein_ci`. ValueError on fewer than 2 scores, on eps <= 0 and on a pilot mean of zero.
    """
    if not eps_rel > 0:
        raise ValueError(f"eps_rel: {eps_rel} is not above zero; 0.02 asks for a half width of 2 %")
    sample = scores(pilot, "pilot", about=About(policy=policy), positive=scale is Scale.LOG)
    if sample.n < 2:
        raise ValueError(f"pilot: {sample.n} score; at least 2 are needed, {policy.n0} are the default")
    spread, precision = _relative_spread(sample.values, scale, eps_rel)
    quantile = t_quantile(sample.n - 1, (1 + policy.confidence) / 2)
    needed = math.ceil((quantile * spread / precision) ** 2 * (1 - 1e-12))
    warnings = look(sample.values, policy)[1]
    modes = _BIMODAL_MIN if any(text.startswith("bimodal") for text in warnings) else 0
    n, wanted, basis = _number(sample.n, needed, modes, n_max or policy.n_max)
    if n < wanted:
        warnings = (*warnings, f"cap: {wanted} runs would be needed, {n} are allowed; the interval will be wider")
    return Plan(n, basis, mde(spread, n), quantile * spread / math.sqrt(n), wanted, warnings)


def _number(pilot: int, needed: int, modes: int, cap: int) -> tuple[int, int, str]:
    """Return the number of runs, the number without the cap, and what decided it."""
    wanted = max(pilot, needed, modes)
    n = max(pilot, min(wanted, cap))
    if n < wanted:
        return n, wanted, "cap"
    return n, wanted, "bimodal" if n == modes > max(pilot, needed) else "precision" if n > pilot else "pilot"


def _relative_spread(values: FloatArray, scale: Scale, eps_rel: float) -> tuple[float, float]:
    """Return the relative standard deviation and the half width asked for, both on the scale of the estimate."""
    if scale is Scale.LOG:
        return mean_sd(np.log(np.sort(values)))[1], math.log1p(eps_rel)
    mean, sd = mean_sd(np.sort(values))
    if mean == 0:
        raise ValueError("pilot: the mean is zero; a relative half width has no meaning")
    return sd / abs(mean), eps_rel


def mde(cv: float, n: int, power: float = 0.8, *, confidence: float = 0.95) -> float:
    """Return the smallest relative difference that n pairs with coefficient of variation `cv` show with `power`.

    (t_{.975, n-1} + t_{power, n-1}) * cv / sqrt(n), relative like cv; inf for one run.
    """
    if not cv >= 0:
        raise ValueError(f"cv: {cv} is negative or NaN; a share such as 0.02 is allowed")
    if not 0 < power < 1:
        raise ValueError(f"power: {power} is not between 0 and 1")
    if n < 2:
        return math.inf
    return (t_quantile(n - 1, (1 + confidence) / 2) + t_quantile(n - 1, power)) * cv / math.sqrt(n)


def order_abba(n: int, arms: Sequence[str] = ("A", "B")) -> tuple[str, ...]:
    """Return the order of n rounds over the arms, every other round reversed: A B | B A | A B ...

    A linear drift cancels over two rounds: 4.3 % false differences, where A A A B B B gives 99.9 %. An odd n leaves
    one round unbalanced.
    """
    if n < 0:
        raise ValueError(f"n: {n} rounds; zero or more are allowed")
    forth = tuple(arms)
    return tuple(arm for i in range(n) for arm in (forth if i % 2 == 0 else forth[::-1]))
