"""How throughput grows with N: the universal scalability law (Gunther) and Amdahl's law, with honest gaps.

X(N) = gamma N / (1 + alpha (N - 1) + beta N (N - 1)). Where beta ends at its bound 0 there is no peak to report:
Amdahl's law is the answer then. Nothing is claimed beyond twice the measured N.
"""

from __future__ import annotations

import math
import warnings as python_warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.stats.inputs import FloatArray, array
from harness.stats.moments import t_quantile
from harness.stats.records import Interval

_DISTINCT_MIN = 6
_START = {"alpha": 0.01, "beta": 1e-4, "gamma": 1.0}
_BOUNDS = {"alpha": (0.0, 1.0), "beta": (0.0, 1.0), "gamma": (0.0, math.inf)}
_AT_BOUND = 1e-9


@dataclass(frozen=True)
class UslFit:
    """A fitted law: contention alpha, coherency beta, gamma = X(1), standard errors and t intervals by name.

    `peak_n` is where throughput is largest (inf: it never falls), `peak_x` its value there, `limit` = gamma / alpha,
    `optimum` = 1 / alpha. `bounded` names coefficients held at a bound, which have no standard error.
    """

    alpha: float
    beta: float
    gamma: float
    se: dict[str, float]
    ci: dict[str, Interval]
    dof: int
    residual_sd: float
    peak_n: float
    peak_x: float
    limit: float
    optimum: float
    bounded: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def predict(self, n: npt.ArrayLike) -> FloatArray:
        """Return the law's throughput at n."""
        return _law(np.asarray(n, dtype=np.float64), self.alpha, self.beta, self.gamma)


def usl_fit(n: npt.ArrayLike, x: npt.ArrayLike, *, confidence: float = 0.95) -> UslFit:
    """Fit the universal scalability law to throughput x at sizes n, both of shape (k,), replicates allowed.

    Least squares with alpha, beta in [0, 1]; standard errors from an unbounded refit at the solution. A coefficient
    at its bound is fixed there and the rest fitted again. ValueError on fewer than 4 points or 3 different sizes.
    """
    return _fit(n, x, ("alpha", "beta", "gamma"), confidence)


def amdahl_fit(n: npt.ArrayLike, x: npt.ArrayLike, *, confidence: float = 0.95) -> UslFit:
    """Fit Amdahl's law X(N) = gamma N / (1 + alpha (N - 1)), which is the universal law without coherency."""
    return _fit(n, x, ("alpha", "gamma"), confidence)


def _law(n: FloatArray, alpha: float, beta: float, gamma: float) -> FloatArray:
    return gamma * n / (1 + alpha * (n - 1) + beta * n * (n - 1))


def _fit(n: npt.ArrayLike, x: npt.ArrayLike, free: tuple[str, ...], confidence: float) -> UslFit:
    data = _points(n, x, len(free))
    values = {"alpha": 0.0, "beta": 0.0}
    fixed: dict[str, float] = {}
    while True:
        inside, held, cov = _least_squares(data, free, values | fixed)
        if not held:
            break
        fixed |= held
        free = tuple(name for name in free if name not in held)
    return _result(values | fixed | inside, dict(zip(free, np.sqrt(np.diag(cov)).tolist(), strict=True)),
                   data, confidence, tuple(fixed))


class _Data(NamedTuple):
    """Sizes, rates, and the rate per size 1 in whose unit every coefficient is of order one or below."""

    sizes: FloatArray
    rates: FloatArray
    unit: float


def _points(n: npt.ArrayLike, x: npt.ArrayLike, parameters: int) -> _Data:
    sizes, rates = array(n, "n"), array(x, "x")
    if sizes.ndim != 1 or sizes.shape != rates.shape or sizes.size <= parameters:
        raise ValueError(f"n, x: shapes {sizes.shape} and {rates.shape}; two lists of more than {parameters} points")
    if np.unique(sizes).size < parameters or (sizes <= 0).any() or (rates <= 0).any():
        raise ValueError(f"n, x: at least {parameters} different sizes are needed, sizes and rates above zero")
    return _Data(sizes, rates, float(rates[sizes.argmin()] / sizes.min()))


def _least_squares(data: _Data, free: tuple[str, ...], values: dict[str, float]) -> tuple[
        dict[str, float], dict[str, float], FloatArray]:
    """Return the free coefficients, those of them that ended at a bound (with its value), and the covariance."""
    from scipy import optimize

    def law(at: FloatArray, *coefficients: float) -> FloatArray:
        return _law(at, **(values | dict(zip(free, coefficients, strict=True))))

    sizes, rates = data.sizes, data.rates / data.unit
    bounds = tuple(zip(*(_BOUNDS[name] for name in free), strict=True))
    tight: dict[str, Any] = {"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15}
    with python_warnings.catch_warnings():
        # An exact fit has no covariance to estimate; its standard errors are zero and need no warning.
        python_warnings.simplefilter("ignore", optimize.OptimizeWarning)
        start, cov = optimize.curve_fit(law, sizes, rates, [_START[name] for name in free], bounds=bounds,
                                        max_nfev=20_000, **tight)
        held = {name: edge for name, v in zip(free, start.tolist(), strict=True) for edge in _BOUNDS[name]
                if abs(v - edge) <= _AT_BOUND}
        if not held:
            start, cov = optimize.curve_fit(law, sizes, rates, start, maxfev=20_000, **tight)
    return dict(zip(free, start.tolist(), strict=True)), held, cov


def _result(values: dict[str, float], se: dict[str, float], data: _Data, confidence: float,
            bounded: tuple[str, ...]) -> UslFit:
    sizes, rates, unit = data
    alpha, beta, gamma = values["alpha"], values["beta"], values["gamma"] * unit
    if "gamma" in se:
        se = {**se, "gamma": se["gamma"] * unit}
    dof = sizes.size - len(se)
    quantile = t_quantile(dof, (1 + confidence) / 2)
    known = {"alpha": alpha, "beta": beta, "gamma": gamma}
    ci = {name: Interval(known[name] - quantile * s, known[name] + quantile * s, confidence) for name, s in se.items()}
    residual = rates - _law(sizes, alpha, beta, gamma)
    peak = math.sqrt((1 - alpha) / beta) if beta > 0 else math.inf
    limit = gamma / alpha if alpha > 0 else math.inf
    return UslFit(alpha, beta, gamma, se, ci, dof, math.sqrt(float((residual**2).sum()) / dof), peak,
                  float(_law(np.array(peak), alpha, beta, gamma)) if math.isfinite(peak) else limit, limit,
                  1 / alpha if alpha > 0 else math.inf, bounded, _warnings(sizes, bounded, peak))


def _warnings(sizes: FloatArray, bounded: tuple[str, ...], peak: float) -> tuple[str, ...]:
    distinct, largest = np.unique(sizes).size, float(sizes.max())
    out = []
    if distinct < _DISTINCT_MIN:
        out.append(f"few: {distinct} different sizes, {_DISTINCT_MIN} are needed")
    if "beta" in bounded:
        out.append("no_peak: beta ended at its bound 0; this is Amdahl's law, and no peak can be claimed")
    if largest * 2 < peak < math.inf:
        out.append(f"extrapolated: the peak at N = {peak:.3g} is beyond twice the largest measured N = {largest:g}")
    return tuple(out)
