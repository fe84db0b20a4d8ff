"""How other tools write units: what is measured, in which base unit, and the factor to it.

The one thing to know: letters of bytes and bits are told apart by case (MB/s, Mbps), those of times and rates are not.
A unit that does not stand here is nobody's mistake: its numbers are kept as they are, see `in_units`.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from harness.model import Series

OWN = "points"
KINDS: dict[str, tuple[str, str, dict[str, float]]] = {
    "time": ("s", "lower", {
        "s|sec|secs|second|seconds": 1.0, "ms|msec|millisecond|milliseconds": 1e-3,
        "us|µs|usec|microsecond|microseconds": 1e-6, "ns|nsec|nanosecond|nanoseconds": 1e-9, "min|minute|minutes": 60.0,
        "ns/op": 1e-9, "sec/op": 1.0}),
    "rate": ("1/s", "higher", {
        "1/s|/s|Hz|ops/s|ops/sec|op/s|iops|requests/s|requests/sec|requests per second|req/s|reqs/sec|tps|qps|fps"
        "|transactions/s|transactions/sec|transactions per second|queries/s|queries/sec|queries per second|events/sec"
        "|events per second|operations/s|operations/sec|operations/second|operations per second|frames per second"
        "|bogo ops/s|iterations/s|iterations per second|messages per second": 1.0,
        "kops/s|kops/sec|kiops": 1e3, "mops/s|mops/sec": 1e6}),
    "bandwidth": ("B/s", "higher", {
        "B/s|bytes/s|bytes/sec": 1.0, "kB/s|KB/s|KB/sec": 1e3, "MB/s|MB/sec": 1e6, "GB/s|GB/sec": 1e9,
        "KiB/s|KiB/sec": 2.0**10, "MiB/s|MiB/sec": 2.0**20, "GiB/s|GiB/sec": 2.0**30,
        "bits/sec|bit/s|bps": 1 / 8, "Kbits/sec|kbit/s|Kbps": 125.0, "Mbits/sec|Mbit/s|Mbps": 125e3,
        "Gbits/sec|Gbit/s|Gbps": 125e6}),
    "size": ("B", "lower", {
        "B|byte|bytes|B/op": 1.0, "kB|KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}),
}
UNITS = {name: (what, base, factor, better) for what, (base, better, groups) in KINDS.items()
         for names, factor in groups.items() for name in names.split("|")}
FOLDED = {name.lower(): meant for name, meant in UNITS.items() if meant[0] in ("time", "rate")}


def score(what: str, unit: str, value: float, **labels: str) -> Series:
    """Return the one number of a round that the general indicators take; `what` is time, rate, size, ..."""
    return Series(metric=f"imported.{what}", unit=unit, values=(value,), labels={"part": "score", **labels})


def samples(what: str, unit: str, values: Sequence[float], **labels: str) -> list[Series]:
    """Return the score of repetitions inside one file, which is their median, and the repetitions themselves."""
    made = [score(what, unit, median(values), stat="median", **labels)]
    if len(values) > 1:
        made.append(Series(metric=f"imported.{what}", unit=unit, values=tuple(values),
                           labels={**labels, "part": "sample"}))
    return made


def in_units(values: Sequence[float], unit: str, better: str = "") -> list[Series]:
    """Return numbers in the unit a tool wrote as series in base units.

    An unknown unit stays as it is, in points; `better` is "higher" or "lower" where that is known. Only with it do such
    numbers reach an indicator. The same holds for a known unit whose usual direction `better` contradicts (errors/s).
    """
    what, base, factor, usual = UNITS.get(unit) or FOLDED.get(unit.lower()) or ("number", OWN, 1.0, "")
    if what == "number" or better not in ("", usual):
        return samples("number", OWN, values, own=unit, **({"better": better} if better else {}))
    return samples(what, base, [value * factor for value in values])
