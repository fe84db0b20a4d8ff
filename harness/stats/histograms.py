"""Latencies as mergeable histograms, and percentiles that say how wide their bin was.

The one thing to know: a percentile from bins is not a number but the bounds of the bin that holds the order
statistic of rank ceil(p * N) (quantile type 1, an observed value). The rank is taken in exact arithmetic: in
floats 0.55 * 20 is more than 11. What fell into the open last bin is right-censored and is said to be.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Unpack

import numpy as np

from harness.stats.blocks import group_blocks, resampled_bins
from harness.stats.estimates import bare
from harness.stats.inputs import About, policy_of, seed_of
from harness.stats.layouts import CHUNK, Counts, FioLayout, HdrLayout, Layout, integers
from harness.stats.provenance import with_provenance
from harness.stats.ranks import PER_TAIL, exact_share, needed, rank_of
from harness.stats.records import Check, Estimate, Interval, StatsPolicy, revised

BLOCKS_MIN = 6      # fewer blocks of time carry no interval


@dataclass(frozen=True, eq=False)
class LatencyHistogram:
    """Counts per bin, int64 of shape (layout.size,), with exact number, extremes and mean of what was counted.

    `min`, `max` and `mean` are in ns and None where nothing was counted or the source did not say. `tags` tells
    what was done to the counts, such as "modelled". Equal are histograms of equal layout, counts and extremes.
    """

    layout: Layout
    counts: Counts
    n: int
    min: int | None = None
    max: int | None = None
    mean: float | None = None
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        counts = np.array(self.counts, dtype=np.int64)      # one of its own, that nobody else can write to
        if counts.shape != (self.layout.size,):
            raise ValueError(f"histogram: {counts.shape} counts for a layout of {self.layout.size} bins")
        if counts.size and np.minimum.reduce(counts) < 0:
            raise ValueError("histogram: a count is negative")
        if (held := int(np.add.reduce(counts))) != self.n:
            raise ValueError(f"histogram: N is {self.n} but the bins hold {held}; the file is damaged")
        counts.setflags(write=False)
        object.__setattr__(self, "counts", counts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LatencyHistogram):
            return NotImplemented
        return ((self.layout, self.n, self.min, self.max) == (other.layout, other.n, other.min, other.max)
                and bool(np.array_equal(self.counts, other.counts)))

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def from_samples(cls, values: Any, layout: Layout | None = None) -> LatencyHistogram:
        """Count integer nanoseconds of any shape; refuses floats and negative values (ValueError)."""
        layout = layout or FioLayout()
        flat = integers(values).reshape(-1)
        if flat.size == 0:
            return cls(layout, np.zeros(layout.size, dtype=np.int64), 0)
        least, most = int(flat.min()), int(flat.max())
        mean = float(Fraction(_exact_sum(flat, most), int(flat.size)))
        return cls(layout, layout.count(flat), int(flat.size), least, most, mean)

    @classmethod
    def from_bins(cls, keys_ns: Iterable[int], counts: Iterable[int], layout: Layout | None = None,
                  **exact: Any) -> LatencyHistogram:
        """Rebuild a histogram from (key, count) pairs; `exact` may give n, min, max, mean as the tool had them.

        Raises ValueError where a key is not one of the layout's, so that bins of another tool are not misread.
        """
        layout = layout or FioLayout()
        keys = integers(list(keys_ns)).reshape(-1)
        number = integers(list(counts)).reshape(-1)
        if keys.shape != number.shape:
            raise ValueError(f"histogram: {keys.size} keys for {number.size} counts")
        at = layout.index(keys)
        wrong = np.flatnonzero(layout.key(at) != keys)
        if wrong.size:
            raise ValueError(f"histogram: {int(keys[wrong[0]])} ns is no bin of {type(layout).__name__}; "
                             "these are bins of another tool or version")
        full = np.zeros(layout.size, dtype=np.int64)
        np.add.at(full, at, number)
        exact.setdefault("n", int(full.sum()))
        return cls(layout, full, **exact)

    @classmethod
    def from_seconds(cls, keys_s: Iterable[float], counts: Iterable[float]) -> LatencyHistogram:
        """Rebuild a histogram in fio's bins from keys in s, as a weighted series holds them; errors as `from_bins`."""
        return cls.from_bins((round(key * 1e9) for key in keys_s), map(round, counts))

    @classmethod
    def from_fio_json(cls, direction: Mapping[str, Any], *, clock: str = "clat_ns",
                      version: str = "3.33") -> LatencyHistogram:
        """Read one direction of a job of `fio --output-format=json+`, such as job["read"].

        `clock` is clat_ns (from submission to completion) or lat_ns (from issue to completion). Raises ValueError for
        fio < 3.0, for output without bins, for foreign bins, and where N is not the sum of the bins.
        """
        layout = FioLayout(version)
        if clock not in direction:
            raise ValueError(f"fio: no {clock!r} in this direction; it has {', '.join(sorted(direction)) or 'nothing'}")
        block = direction[clock]
        n, bins = int(block.get("N", 0)), block.get("bins", {})
        if n == 0 and not bins:
            return cls(layout, np.zeros(layout.size, dtype=np.int64), 0)
        if not bins:
            raise ValueError(f"fio: {clock} counts {n} I/Os but has no bins; run fio with --output-format=json+")
        if missing := {"min", "max", "mean"} - set(block):
            raise ValueError(f"fio: {clock} has no {', '.join(map(repr, sorted(missing)))}; the output is not complete")
        return cls.from_bins((int(k) for k in bins), bins.values(), layout, n=n, min=int(block["min"]),
                             max=int(block["max"]), mean=float(block["mean"]))

    def merge(self, other: LatencyHistogram) -> LatencyHistogram:
        """Return the histogram of both sets of values; ValueError for unlike layouts (see `cumulative_bounds`)."""
        if self.layout != other.layout:
            raise ValueError(f"histogram: cannot merge {self.layout} with {other.layout} bin by bin; "
                             "`cumulative_bounds` gives an interval at common edges")
        if not self.n or not other.n:
            kept = self if self.n else other
            return replace(kept, tags=_both(self.tags, other.tags))
        n = self.n + other.n
        known = self.mean is not None and other.mean is not None
        mean = float((Fraction(self.mean or 0) * self.n + Fraction(other.mean or 0) * other.n) / n) if known else None
        return LatencyHistogram(self.layout, self.counts + other.counts, n, _of(min, self.min, other.min),
                                _of(max, self.max, other.max), mean, _both(self.tags, other.tags))

    def bounds_of_mean(self) -> tuple[float, float]:
        """Return (lowest, highest) mean in ns that the bins allow; the exact one is `mean`. Empty: ValueError."""
        _refuse_empty(self)
        at = np.flatnonzero(self.counts)
        lo, width = self.layout.edges(at)
        weights = [int(c) for c in self.counts[at]]
        low = sum(c * int(v) for c, v in zip(weights, lo, strict=True))
        return low / self.n, (low + sum(c * (int(w) - 1) for c, w in zip(weights, width, strict=True))) / self.n


@dataclass(frozen=True)
class HistQuantile:
    """A percentile in ns: the bin (integers lo..hi) that holds it, and `mid`, the key that fio would print.

    `censored`: it lies in the open last bin, so that only `lo` is known; `hi` is then the exact maximum of the
    histogram, or inf. `u_b` is the standard uncertainty of the bin width in ns. `warnings` may hold tail_undersampled.
    """

    lo: float
    mid: float
    hi: float
    censored: bool
    rank: int = 0
    n: int = 0
    u_b: float = 0.0
    warnings: tuple[str, ...] = field(default=())

    @property
    def seconds(self) -> tuple[float, float, float]:
        """Return (lo, mid, hi) in s."""
        return self.lo / 1e9, self.mid / 1e9, self.hi / 1e9


def hist_quantile(h: LatencyHistogram, p: float | Fraction | str, *, rule: str = "ceil") -> HistQuantile:
    """Return the bin of the smallest value with at least p * N values at or below it (type 1, `inverted_cdf`).

    A float p means its shortest decimal: 0.999 is 999/1000. `rule` is "ceil" (fio, virtmark) or "nearest"
    (HdrHistogram: floor(p * N + 1/2), at least 1). Empty histogram or p outside [0, 1]: ValueError.
    """
    _refuse_empty(h)
    share = exact_share(p)
    rank = rank_of(share, h.n, rule)
    at = int(np.searchsorted(np.cumsum(h.counts), rank))
    lo, width = h.layout.edges(at)
    censored = at == h.layout.clamp_index
    last = math.inf if h.max is None else h.max
    undersampled = share < 1 and h.n * (1 - share) < PER_TAIL
    warnings = (f"tail_undersampled: N={h.n}, p={float(share):g} needs {needed(share)}",) if undersampled else ()
    return HistQuantile(lo, h.layout.key(at), max(lo, last) if censored else lo + width - 1, censored, rank, h.n,
                        width / math.sqrt(12) if width > 1 else 0.0, warnings)


def hist_quantile_ci(blocks: Sequence[LatencyHistogram], p: float | Fraction | str, *, block_s: float,
                     B: int | None = None, seed: int | None = None, **about: Unpack[About]) -> Estimate:
    """Return a percentile in s with an interval from blocks of time: what one run says about itself, no more.

    `blocks` are histograms of equal duration `block_s` in the order of time; they are put together to blocks of at
    least `policy.block_s`, then drawn B times. n is 1: a verdict needs runs. Below 6 blocks the interval is infinite.
    """
    policy, share, (counts, whole) = policy_of(about), exact_share(p), _together(blocks)
    if not 0 < block_s < math.inf:
        raise ValueError(f"block bootstrap: blocks of {block_s} s; needed is their duration, above 0")
    rows = group_blocks(counts, math.ceil(round(policy.block_s / block_s, 9)))
    point, used = hist_quantile(whole, share), np.flatnonzero(whole.counts)
    rows = rows[:, used]
    block, at = np.nonzero(rows)
    data = np.stack((block, used[at], rows[block, at])).astype(np.float64)
    seed = seed_of(policy, about.get("indicator_id", ""), data) if seed is None else seed
    few = rows.shape[0] < BLOCKS_MIN
    draws = B or policy.bootstrap
    lo, hi = (0.0, math.inf) if few else _percentile_interval(rows, used, share, whole, draws, seed, policy)
    warnings = (*point.warnings, "descriptive: one run; a verdict needs runs")
    if few:
        warnings += (f"no_interval: {rows.shape[0]} blocks of {policy.block_s:g} s, needed are {BLOCKS_MIN}",)
    found = bare(point.mid / 1e9, Interval(lo, hi, policy.confidence), dof=math.inf, method="block bootstrap",
                 estimand=f"p{float(100 * share):g} (inverted_cdf) of one run", unit="s", seed=seed)
    checks = (Check("not censored", not point.censored), Check("tail sampled", not point.warnings, whole.n,
              None if share == 1 else needed(share)))
    u_b = (("bin width", point.u_b / 1e9),) if point.u_b else ()
    found = revised(found, budget=revised(found.budget, u_b=u_b) if found.budget else None)
    return with_provenance(found, about, data, n=1, n_by_level={"run": 1, "block": rows.shape[0], "sample": whole.n},
                           assumptions=checks, warnings=warnings)


def _together(blocks: Sequence[LatencyHistogram]) -> tuple[Counts, LatencyHistogram]:
    """Return the counts of all blocks, (blocks, bins), and one histogram of all, without the mean that no percentile
    needs; unlike layouts are refused."""
    first = blocks[0]
    for other in blocks[1:]:
        if other.layout != first.layout:
            first.merge(other)
    counts, most = np.stack([b.counts for b in blocks]), [b.max for b in blocks if b.n]
    known = [m for m in most if m is not None]
    largest = max(known) if known and len(known) == len(most) else None
    return counts, LatencyHistogram(first.layout, counts.sum(axis=0), int(counts.sum()), max=largest)


def _percentile_interval(rows: Counts, used: Counts, share: Fraction, whole: LatencyHistogram, draws: int, seed: int,
                         policy: StatsPolicy) -> tuple[float, float]:
    """Return the interval in s between outer bin edges; open above where it reaches the open last bin. `rows` are the
    counts of the bins `used`."""
    bins = used[np.sort(resampled_bins(rows, share, draws, seed))]
    tail = (1 - policy.confidence) / 2
    first, last = int(bins[math.floor(tail * (draws - 1))]), int(bins[math.ceil((1 - tail) * (draws - 1))])
    (lo, _), (edge, width) = whole.layout.edges(first), whole.layout.edges(last)
    return lo / 1e9, math.inf if last == whole.layout.clamp_index else (edge + width - 1) / 1e9


def cumulative_bounds(histograms: Sequence[LatencyHistogram], at_ns: Any) -> tuple[Counts, Counts]:
    """Return (lowest, highest) number of values <= each of `at_ns` over histograms of any layouts.

    This is how unlike layouts are put together: a bin that ends at or below a point counts in full, one that only
    begins there may or may not; the truth lies between the two curves.
    """
    points = integers(at_ns).reshape(-1)
    low, high = (np.zeros(points.size, dtype=np.int64) for _ in range(2))
    for h in histograms:
        total = np.concatenate(([0], np.cumsum(h.counts)))
        lo, width = h.layout.edges(np.arange(h.layout.size))
        ends = lo + (width - 1)
        ends[-1] = np.iinfo(np.int64).max if h.max is None else max(int(lo[-1]), h.max)
        low += total[np.searchsorted(ends, points, side="right")]
        high += total[np.searchsorted(lo, points, side="right")]
    return low, high


def correct_coordinated_omission(h: LatencyHistogram, interval_ns: int) -> LatencyHistogram:
    """Add the requests that a closed loop of one outstanding request, due every `interval_ns`, could not send.

    A value v above the interval stands for further waits of v - interval, v - 2 * interval, ... down to the interval;
    v is the key of its bin, for the largest value the exact maximum. The result is a model, tagged "modelled": show it
    beside the data. Data from an open loop need no correction; correcting twice is refused (ValueError).
    """
    if interval_ns <= 0:
        raise ValueError(f"coordinated omission: interval of {interval_ns} ns; needed is the intended one, above 0")
    if "modelled" in h.tags:
        raise ValueError("coordinated omission: these counts are corrected already")
    counts = h.counts.copy()
    for value, times in _representatives(h):
        missing = np.arange(value - interval_ns, interval_ns - 1, -interval_ns, dtype=np.int64)
        if missing.size:
            counts += h.layout.count(missing) * times
    return LatencyHistogram(h.layout, counts, int(counts.sum()), h.min, h.max, None, (*h.tags, "modelled"))


def _representatives(h: LatencyHistogram) -> Iterator[tuple[int, int]]:
    """Yield (value, count) of every bin: its key, and the largest value exactly where it is known."""
    top = -1 if h.max is None or not h.n else h.layout.index(h.max)
    for i in np.flatnonzero(h.counts).tolist():
        rest = int(h.counts[i]) - (i == top)
        if i == top and h.max is not None:
            yield h.max, 1
        yield h.layout.key(i), rest


def _exact_sum(values: Counts, top: int) -> int:
    """Return the sum of values up to `top` as a Python integer; where a chunk could overflow, by halves of 32 bits."""
    parts = [values[start:start + CHUNK] for start in range(0, values.size, CHUNK)]
    if top < (1 << 62) // CHUNK:
        return sum(int(part.sum()) for part in parts)
    return sum((int((part >> 32).sum()) << 32) + int((part & 0xFFFFFFFF).sum()) for part in parts)


def _of(pick: Any, a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else int(pick(a, b))


def _both(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(a + b))


def _refuse_empty(h: LatencyHistogram) -> None:
    if h.n == 0:
        raise ValueError("histogram: nothing was counted; there is no percentile of nothing")


__all__ = ["FioLayout", "HdrLayout", "HistQuantile", "LatencyHistogram", "Layout", "correct_coordinated_omission",
           "cumulative_bounds", "hist_quantile", "hist_quantile_ci"]
