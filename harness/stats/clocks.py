"""How far two clocks are apart and how fast they drift, from exchanges with four time stamps each.

The one thing to know: what the two ways of an exchange differ by cannot be seen from inside. It is carried as a Type B
uncertainty of half the shortest round trip, and no number of exchanges makes it smaller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.stats.inputs import FloatArray, array
from harness.stats.moments import t_quantile
from harness.stats.trend import slope_interval, theil_sen

WINDOW_S = 10.0
WINDOWS_MAX = 1000      # longer records get longer windows: the cost of the fit grows with the square


@dataclass(frozen=True)
class ClockModel:
    """Server clock minus client clock: `offset_s` at client time `ref_s`, growing by `drift_ppm`.

    `u_offset_s` combines the scatter of the fit with the unknown asymmetry of the path; `u_drift_ppm` is scatter alone.
    """

    offset_s: float
    drift_ppm: float
    u_offset_s: float
    u_drift_ppm: float
    ref_s: float = 0.0
    n: int = 0
    rtt_min_s: float = 0.0
    warnings: tuple[str, ...] = ()

    def at(self, t_s: float) -> float:
        """Return the offset in s at client time `t_s`."""
        return self.offset_s + self.drift_ppm * 1e-6 * (t_s - self.ref_s)


def clock_fit(t1: npt.ArrayLike, t2: npt.ArrayLike, t3: npt.ArrayLike, t4: npt.ArrayLike, *,
              window_s: float = WINDOW_S) -> ClockModel:
    """Fit offset and drift from (n,) arrays in s: client sends t1, server receives t2, answers t3, client receives t4.

    Of every `window_s` seconds (at most 1000 windows) only the exchange with the shortest round trip counts; the drift
    is the Theil-Sen slope through these, the offset refers to the middle of the record. Below 3 windows the drift is 0
    with infinite uncertainty. Raises ValueError for unequal lengths, time going back, or a negative round trip.
    """
    a, b, c, d = (array(t, name) for t, name in ((t1, "t1"), (t2, "t2"), (t3, "t3"), (t4, "t4")))
    if len({x.shape for x in (a, b, c, d)}) != 1 or a.ndim != 1:
        raise ValueError(f"clock: time stamps of shapes {a.shape}, {b.shape}, {c.shape}, {d.shape}; one each is needed")
    round_trip = (d - a) - (c - b)
    if (np.diff(a) < 0).any() or (round_trip < 0).any():
        raise ValueError("clock: the client's clock went back, or a round trip is negative; discard this window")
    offset = ((b - a) + (c - d)) / 2
    kept = _fastest(a, round_trip, max(window_s, float(a[-1] - a[0]) / WINDOWS_MAX))
    ref, asymmetry = float((a[0] + a[-1]) / 2), float(round_trip.min()) / 2 / math.sqrt(3)
    return _through(a[kept] - ref, offset[kept], ref, asymmetry, float(round_trip.min()))


def _fastest(t: FloatArray, round_trip: FloatArray, window_s: float) -> npt.NDArray[np.int64]:
    """Return the index of the exchange with the shortest round trip in every window that has one."""
    window = np.floor((t - t[0]) / window_s).astype(np.int64)
    order = np.lexsort((round_trip, window))
    first = np.concatenate(([True], np.diff(window[order]) > 0))
    found: npt.NDArray[np.int64] = order[first]
    return found


def _through(t: FloatArray, offset: FloatArray, ref: float, asymmetry: float, rtt: float) -> ClockModel:
    n = t.size
    if n < 3:
        centre = float(np.median(offset))
        return ClockModel(centre, 0.0, math.hypot(rtt / 2, asymmetry), math.inf, ref, n, rtt,
                          (f"few: {n} windows; the drift needs 3",))
    slope, slopes = theil_sen(t, offset)
    rest = offset - slope * t
    at_ref = float(np.median(rest))
    z = t_quantile(math.inf, 0.975)
    lo, hi = slope_interval(slopes, n, z)
    scatter = 1.2533 * float(rest.std(ddof=2)) / math.sqrt(n)      # of a median, sqrt(pi / 2) of a mean's
    return ClockModel(at_ref, slope * 1e6, math.hypot(scatter, asymmetry), (hi - lo) / (2 * z) * 1e6, ref, n, rtt)


__all__ = ["ClockModel", "clock_fit"]
