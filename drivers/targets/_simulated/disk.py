"""Simulated fio: one job, json or json+, with the same keys as fio 3.33 and its own histogram bins."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from typing import Any

from drivers.targets._simulated.world import EPOCH, Answer, Conditions, Options, counts

SERVICE = 80e-6           # s for one small read
PARALLEL = 24             # I/Os that the disk serves at once
BANDWIDTH = 2.0e9         # B/s
WRITING = 1.3             # how much longer a write takes
SIGMA = 0.45
PERCENTILES = (1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99, 99.5, 99.9, 99.95, 99.99)
UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}
NOTHING = {"min": 0, "max": 0, "mean": 0.0, "stddev": 0.0, "N": 0}
DEPTHS = {"1": 0.0, "2": 0.0, "4": 0.0, "8": 0.0, "16": 0.0, "32": 100.0, ">=64": 0.0}
BATCHES = {"0": 0.0, "4": 100.0, "8": 0.0, "16": 0.0, "32": 0.0, "64": 0.0, ">=64": 0.0}
LATENCIES: dict[str, tuple[int | str, ...]] = {
    "ns": (2, 4, 10, 20, 50, 100, 250, 500, 750, 1000), "us": (2, 4, 10, 20, 50, 100, 250, 500, 750, 1000),
    "ms": (2, 4, 10, 20, 50, 100, 250, 500, 750, 1000, 2000, ">=2000")}
SWITCHES = {"time_based"}


def fio(argv: Sequence[str], here: Conditions) -> Answer:
    """Answer `fio --name=... --output-format=json|json+`."""
    asked = Options(argv, SWITCHES)
    pattern, block = asked.text("rw", "read"), size(asked.text("bs", "4k"))
    jobs = int(asked.number("numjobs", 1))
    mix = asked.number("rwmixread", 50) / 100 if pattern in ("randrw", "rw", "readwrite") else float("read" in pattern)
    rate, latency = _service(asked, here, block, mix, jobs)
    total = size(asked.text("size", "0")) * asked.number("loops", 1)
    span = asked.number("runtime") if "time_based" in asked else total / (rate * block)
    ways = {"read": mix, "write": 1 - mix}
    bins = {way: _bins(here, round(rate * span * share), latency * (1 if way == "read" else WRITING))
            for way, share in ways.items() if share}
    if "time_based" not in asked:
        bins = {way: _bins(here, 0, latency) | {index(round(latency * 1e9)): round(total / block)} for way in bins}
    parts = {way: _direction(bins.get(way, {}), block, span, asked) for way in ("read", "write", "trim")}
    document = _document(argv, here, span, parts)
    return Answer(stdout=json.dumps(document, indent=2, separators=(",", " : ")) + "\n",
                  seconds=span + asked.number("ramp_time") + 0.3,
                  files={asked.text("filename", "fio.0.0"): b"", **_logs(asked, here, rate, ways, span, jobs)})


def _service(asked: Options, here: Conditions, block: float, mix: float, jobs: int) -> tuple[float, float]:
    """Return the rate of I/Os in 1/s and the median time of one read in s, by Little's law."""
    depth = asked.number("iodepth", 1) * jobs
    alone = here.around(SERVICE / here.speed) * (mix + (1 - mix) * WRITING) + block / BANDWIDTH
    able = min(min(depth, PARALLEL) / alone, here.around(BANDWIDTH * here.speed) / block)
    offered = sum(float(part) for part in asked.text("rate_iops", "0").split(",")) * jobs
    if offered and offered < able:
        return offered, alone * (1 + offered / able) / math.exp(SIGMA**2 / 2)
    return able, depth / able / math.exp(SIGMA**2 / 2)


def _bins(here: Conditions, total: int, median: float) -> dict[int, int]:
    """Return counts by bin number."""
    first, last = (index(round(1e9 * median * math.exp(k * SIGMA))) for k in (-5, 6))
    edges = [float(lowest(number)) for number in range(first, last + 2)]
    drawn = counts(here.rng, total, edges, 1e9 * median, SIGMA)
    return {first + offset: number for offset, number in enumerate(drawn) if number}


def _direction(bins: dict[int, int], block: float, span: float, asked: Options) -> dict[str, Any]:
    total = sum(bins.values())
    moved, runtime = total * block, span if total else 0.0
    rate = total / span if total else 0.0
    mean_bw = {"min": round(0.98 * rate * block / 1024), "max": round(1.02 * rate * block / 1024)}
    clat = _summary(bins)
    if total and asked.text("output-format") == "json+":
        clat["bins"] = {str(middle(number)): count for number, count in sorted(bins.items())}
    return {
        "io_bytes": round(moved), "io_kbytes": round(moved / 1024), "bw_bytes": round(rate * block),
        "bw": round(rate * block / 1024), "iops": round(rate, 6), "runtime": round(runtime * 1e3), "total_ios": total,
        "short_ios": 0, "drop_ios": 0, "slat_ns": _little(clat, 0.01), "clat_ns": clat, "lat_ns": _little(clat, 1.01),
        "bw_min": mean_bw["min"], "bw_max": mean_bw["max"], "bw_agg": 100.0 if total else 0.0,
        "bw_mean": rate * block / 1024, "bw_dev": 0.0, "bw_samples": round(2 * runtime),
        "iops_min": round(0.98 * rate), "iops_max": round(1.02 * rate), "iops_mean": rate, "iops_stddev": 0.0,
        "iops_samples": round(2 * runtime)}


def _summary(bins: dict[int, int]) -> dict[str, Any]:
    total = sum(bins.values())
    if not total:
        return dict(NOTHING)
    ordered = sorted(bins.items())
    mean = sum(middle(number) * count for number, count in ordered) / total
    square = sum((middle(number) - mean) ** 2 * count for number, count in ordered) / total
    found: dict[str, int] = {}
    for percent in PERCENTILES:
        seen = 0
        for number, count in ordered:
            seen += count
            if seen >= math.ceil(total * percent / 100):
                found[f"{percent:.6f}"] = middle(number)
                break
    return {"min": lowest(ordered[0][0]), "max": lowest(ordered[-1][0] + 1) - 1, "mean": round(mean, 6),
            "stddev": round(math.sqrt(square), 6), "N": total, "percentile": found}


def _little(clat: dict[str, Any], share: float) -> dict[str, Any]:
    return {key: type(clat[key])(clat[key] * share) for key in ("min", "max", "mean", "stddev")} | {"N": clat["N"]}


def _document(argv: Sequence[str], here: Conditions, span: float, parts: dict[str, Any]) -> dict[str, Any]:
    began = EPOCH + here.now
    options = dict(word.lstrip("-").split("=", 1) for word in argv[1:] if "=" in word)
    options.pop("output-format", None)
    job = {
        "jobname": options.get("name", ""), "groupid": 0, "error": 0, "eta": 2147483647, "elapsed": round(span) + 1,
        "job options": options, **parts, "sync": {"total_ios": 0, "lat_ns": dict(NOTHING)},
        "job_runtime": round(span * 1e3), "usr_cpu": 4.0, "sys_cpu": 20.0, "ctx": 1000, "majf": 0, "minf": 40,
        "iodepth_level": DEPTHS, "iodepth_submit": BATCHES, "iodepth_complete": BATCHES,
        **{f"latency_{unit}": {str(step): 0.0 for step in steps} for unit, steps in LATENCIES.items()},
        "latency_depth": int(options.get("iodepth", 1)), "latency_target": 0, "latency_percentile": 100.0,
        "latency_window": 0}
    return {"fio version": "fio-3.33", "timestamp": int(began), "timestamp_ms": int(began * 1e3),
            "time": time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(began)), "jobs": [job], "disk_util": []}


def _logs(asked: Options, here: Conditions, rate: float, ways: dict[str, float], span: float,
          jobs: int) -> dict[str, bytes]:
    """Return fio's logs of averages: a line for each window and direction; the jobs come one after the other."""
    found = {}
    step = asked.number("log_avg_msec", 1000)
    block = size(asked.text("bs", "4k"))
    for kind, scale in (("iops", 1.0), ("bw", block / 1024)):
        if prefix := asked.text(f"write_{kind}_log"):
            lines = [f"{round(number * step)}, {round(here.around(rate * share * scale / jobs))}, {way}, 0, 0"
                     for _ in range(jobs) for number in range(1, int(span * 1e3 / step) + 1)
                     for way, share in enumerate(ways.values()) if share]
            found[f"{prefix}_{kind}.log"] = ("\n".join(lines) + "\n").encode()
    return found


def size(text: str) -> float:
    """Return bytes: fio's k, M and G are powers of two."""
    unit = text[-1].lower() if text[-1:].isalpha() else ""
    return float(text[:-1] if unit else text) * UNITS[unit]


def index(value: int) -> int:
    """Return the number of the bin of a time in ns: 64 bins for each doubling, exact below 128 ns."""
    extra = max(0, value.bit_length() - 7)
    return (extra << 6) + (value >> extra)


def lowest(number: int) -> int:
    """Return the shortest time in ns of a bin."""
    extra = max(0, (number >> 6) - 1)
    return (number - (extra << 6)) << extra


def middle(number: int) -> int:
    """Return the time in ns that fio prints for a bin."""
    extra = max(0, (number >> 6) - 1)
    return lowest(number) + ((1 << extra) >> 1)
