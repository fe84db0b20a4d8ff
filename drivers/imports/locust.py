"""locust 2.x: `PREFIX_stats.csv` of --csv, or the JSON of --json and --json-file; one request name a point.

The one thing to know: locust is closed loop (a user waits for the answer before the next request), so a stall hides
requests that a real user would have sent, and it rounds times: to 1 ms below 100 ms, to 10 ms below 1 s, and so on.
That step goes along as the resolution. The pool over all names is left out; it is a mixture that nobody asked for.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from drivers.imports._measured import Measured, general, number
from drivers.imports._units import score
from drivers.tools.reading import complaint, document
from harness.errors import ToolError
from harness.model import Series, Value

TOOL = "locust"
SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
COLUMNS = {"p50": "50%", "p95": "95%", "p99": "99%"}
HEAD = ("Type", "Name", "Request Count", "Failure Count", "Requests/s", *COLUMNS.values())


class Requests(NamedTuple):
    """What locust knows of the requests of one name; times in ms, `rate` in 1/s."""

    method: str
    name: str
    made: float
    failures: float
    rate: float
    times: Mapping[str, float]
    started: float = 0.0
    elapsed: float = 0.0


class Locust:
    """Reads the statistics of locust."""

    EXPECTED: ClassVar[str] = "PREFIX_stats.csv of locust --csv, or the JSON of locust --json, locust 2.x"
    OPTIONS: ClassVar[tuple[str, ...]] = ()

    @staticmethod
    def read(text: str, settings: Mapping[str, Value]) -> list[Measured]:
        """Return median, p95 and p99 of the response time, rate and share of failures of each name."""
        found = _json(text) if text.lstrip().startswith("[") else _csv(text)
        if not found:
            raise ToolError(f"{TOOL}: no request was made")
        return [_one(each) for each in found]


def _one(each: Requests) -> Measured:
    what = f"{each.method} {each.name}"
    if not each.made:
        raise ToolError(f"{TOOL}: {what}: no request was made")
    series: list[Series] = [
        score("rate", "1/s", each.rate), score("failures", "1", each.failures / each.made),
        score("requests", "1", each.made)]
    for name, time in each.times.items():
        part = {"part": "score", "stat": "median"} if name == "p50" else {"part": name}
        series.append(Series(metric="imported.time", unit="s", values=(time / 1e3,), labels={
            **part, "resolution": f"{_step(time) / 1e3:g}", "count": f"{each.made:.0f}"}))
    return general(TOOL, what, series, version="2.x", started=each.started, elapsed=each.elapsed)


def _step(time: float) -> float:
    """Return to what locust rounds a time, both in ms."""
    return next((step for limit, step in ((100, 1), (1000, 10), (10000, 100)) if time < limit), 1000)


def _csv(text: str) -> list[Requests]:
    rows = csv.DictReader(io.StringIO(text))
    if missing := [name for name in HEAD if name not in (rows.fieldnames or [])]:
        raise ToolError(f"{TOOL}: column {missing[0]!r} is missing; its first line is {complaint(text)!r}")
    kept = list(rows)
    if not kept or kept[-1]["Name"] != "Aggregated":
        raise ToolError(f"{TOOL}: the line 'Aggregated' is missing at the end; the file was cut off")
    return [_row(each) for each in kept[:-1]]


def _row(row: Mapping[str, str]) -> Requests:
    def read(column: str) -> float:
        return number(row[column], TOOL, f"{row['Name']}: {column}")

    return Requests(row["Type"], row["Name"], read("Request Count"), read("Failure Count"), read("Requests/s"),
                    {name: read(column) for name, column in COLUMNS.items()})


def _json(text: str) -> list[Requests]:
    read = document(f'{{"requests": {text}}}', TOOL)
    return [_entry(read.at("requests", at), f"requests[{at}]") for at in range(len(read.at("requests")))]


def _entry(entry: Mapping[str, Any], where: str) -> Requests:
    try:
        bins = sorted((float(time), int(count)) for time, count in entry["response_times"].items())
        begin, end, count = entry["start_time"], entry["last_request_timestamp"], entry["num_requests"]
        method, name, failures = entry["method"], entry["name"], entry["num_failures"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ToolError(f"{TOOL}: {where}: {error} is missing or no number") from None
    if not bins or end is None or end <= begin:
        raise ToolError(f"{TOOL}: {where}: too few requests for a rate")
    return Requests(method or "", name, count, failures, count / (end - begin),
                    {each: _quantile(bins, share) for each, share in SHARES.items()}, begin, end - begin)


def _quantile(bins: list[tuple[float, int]], share: float) -> float:
    """Return the smallest time that at least `share` of the requests did not exceed."""
    total, below = sum(count for _, count in bins), 0
    for time, count in bins:
        below += count
        if below >= share * total - 1e-9:
            return time
    return bins[-1][0]
