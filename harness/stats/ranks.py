"""Which order statistic a percentile is, in exact arithmetic.

The one thing to know: p * N in floats goes wrong (0.55 * 20 is more than 11), so shares are fractions and ranks
integers. A float stands for its shortest decimal: 0.999 is 999/1000.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

PER_TAIL = 100      # observations beyond a percentile below which it is called undersampled


def exact_share(p: float | Fraction | str) -> Fraction:
    """Return p as an exact fraction in [0, 1]; outside of it, and for NaN, ValueError."""
    if isinstance(p, float) and not math.isfinite(p):
        raise ValueError(f"quantile: p is {p}; allowed is 0 to 1 (0.99 for the 99th percentile)")
    share = p if isinstance(p, Fraction) else Fraction(p) if isinstance(p, str) else Fraction(repr(float(p)))
    if not 0 <= share <= 1:
        raise ValueError(f"quantile: p is {float(share):g}; allowed is 0 to 1 (0.99 for the 99th percentile)")
    return share


def rank_of(share: Fraction, n: int, rule: str = "ceil") -> int:
    """Return the rank (1..n) of a share of n values: "ceil" is type 1 (fio), "nearest" is HdrHistogram's."""
    if rule not in ("ceil", "nearest"):
        raise ValueError(f"quantile: rule {rule!r}; allowed are 'ceil', 'nearest'")
    return min(n, max(1, math.ceil(share * n) if rule == "ceil" else math.floor(share * n + Fraction(1, 2))))


def ranks_of(share: Fraction, n: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return `rank_of` for every n of an array (m,), 0 where n is 0; in integers, Python's where int64 is too small."""
    top, bottom = share.numerator, share.denominator
    if top * int(n.max(initial=0)) < 1 << 62 and bottom < 1 << 62:
        return np.minimum(n, np.maximum(1, -(-top * n // bottom)))
    return np.array([rank_of(share, m) if m else 0 for m in n.tolist()], dtype=np.int64)


def needed(share: Fraction) -> int:
    """Return how many observations a percentile below 1 needs, so that 100 of them lie beyond it."""
    return math.ceil(PER_TAIL / (1 - share))


__all__ = ["PER_TAIL", "exact_share", "needed", "rank_of", "ranks_of"]
