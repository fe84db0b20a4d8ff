"""Scores of rounds as Go's benchmark text, which benchstat reads: one line a round, `key: value` for what is the same.

The one thing to know: benchstat takes each line as a sample, and here each line is a round (`replicate: round` says
so). It compares only what agrees in every key, so the keys are what must agree: the scenario, and the target, by which
`benchstat -col target` sets targets side by side. What else a run is stands in lines that it ignores. Units are base
units; those that do not tell which way is good say so by a `Unit` line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from analysis.rows import Material, Row, clean
from harness.stats.records import Direction

UNITS = {("s", Direction.LOWER_IS_BETTER): "sec/op", ("1/s", Direction.HIGHER_IS_BETTER): "op/s",
         ("B/s", Direction.HIGHER_IS_BETTER): "B/s"}
WORDS = {"s": "sec", "1/s": "per-sec", "B/s": "B-per-sec", "B": "B", "1": "ratio", "points": "points"}
SAFE = "=_.,:+*@()"


def text(materials: Iterable[tuple[str, Material]]) -> str:
    """Return the document of runs by name, in their order; findings without scores are left out."""
    runs = [(name, its) for name, its in materials if any(row.scores for row in its.rows)]
    units = dict.fromkeys((unit(row), row.direction) for _, its in runs for row in its.rows if row.scores)
    lines = ["replicate: round", *(f"Unit {name} better={way.value}" for name, way in units if "-" in name)]
    targets = [its.parties[0].target for _, its in runs]
    several = len(set(targets)) < len(targets)
    for name, its in runs:
        lines += ["", *_config(name, its, several), "", *_lines(its)]
    return "\n".join(lines) + "\n"


def unit(row: Row) -> str:
    """Return the unit of a row: sec/op, op/s, B/s, or one that carries its direction, such as ratio-lower."""
    return UNITS.get((row.unit, row.direction)) or f"{WORDS.get(row.unit, row.unit)}-{row.direction.value}"


def benchmark(row: Row) -> str:
    """Return the name of a row: Benchmark, indicator, point; no end that would be read as a number of processors."""
    point = quote(row.point or "all", safe=SAFE + "-")
    return f"Benchmark{row.indicator}/point={re.sub(r'-(?=[0-9]+$)', '%2D', point)}"


def _config(name: str, its: Material, several: bool) -> Iterator[str]:
    """Yield what a run is; its own name is a key where several are of one target, which must not be pooled."""
    party, run = its.parties[0], its.runs[0]
    yield f"# {' '.join(filter(None, (name, party.label, party.accelerator)))}"
    about = {"target": clean(party.target), "scenario": run.plan.scenario.name, "run": name if several else "",
             "simulated": "true" if party.simulated else ""}
    # An empty value unsets a key, so that nothing of the run before it holds on.
    yield from (f"{key}: {value}".rstrip() for key, value in about.items())


def _lines(its: Material) -> Iterator[str]:
    seen: set[tuple[str, str]] = set()
    for row in its.rows:
        if (key := (row.indicator, row.point)) not in seen:  # a finding a requirement has the same scores
            seen.add(key)
            yield from (f"{benchmark(row)} 1 {score!r} {unit(row)}" for score in row.scores)
