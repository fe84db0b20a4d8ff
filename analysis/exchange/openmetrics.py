"""Findings as OpenMetrics 1.0 text: a gauge an indicator, its interval and limit beside it, verdicts as a state set.

The one thing to know: a family is an indicator, its name ends in its unit, and the label `stat` tells the estimate from
the ends of its interval and the limit. There are no timestamps, since a finding has no moment of its own. The text is
what node_exporter's textfile collector and Pushgateway take.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence

from analysis import quantity
from analysis.rows import Material, Row
from harness.indicators import catalogue
from harness.model import Verdict

UNITS = {"s": "seconds", "B": "bytes", "B/s": "bytes_per_second", "1/s": "per_second", "1": "ratio", "points": "points"}
PREFIX = "virtmark"
Labelled = tuple[str, Row]


def text(materials: Iterable[tuple[str, Material]]) -> str:
    """Return the document of runs by name; families in the order of their names, samples in that of runs."""
    runs = list(materials)
    rows = [(name, row) for name, its in runs for row in its.rows]
    lines = [*_info(runs)]
    for indicator, unit in sorted({(row.indicator, row.unit) for _, row in rows if row.value is not None}):
        lines += _family(indicator, unit, [(name, row) for name, row in rows
                                           if (row.indicator, row.unit) == (indicator, unit) and row.value is not None])
    lines += _family_of(f"{PREFIX}_rounds", "", "Rounds that a finding was made of.",
                        ((_labels(name, row, indicator=row.indicator), float(row.n))
                         for name, row in rows if row.value is not None))
    return "\n".join([*lines, *_verdicts(rows), "# EOF"]) + "\n"


def _family(indicator: str, unit: str, rows: Sequence[Labelled]) -> Iterator[str]:
    known = catalogue().get(indicator)
    word = f"{known.name}, {known.direction.value} is better: {known.definition}" if known else indicator
    yield from _family_of(named(indicator, unit), UNITS.get(unit, ""), f"{indicator} {word}", (
        (_labels(name, row, stat=stat), value) for name, row in rows
        for stat, value in (("estimate", row.value), ("low", row.low), ("high", row.high), ("limit", row.limit),
                            ("limit_hi", row.limit_hi)) if value is not None))


def _family_of(name: str, unit: str, help_: str, samples: Iterable[tuple[str, float]]) -> Iterator[str]:
    kept = dict(samples)  # what two requirements share stands once
    if not kept:
        return
    yield f"# TYPE {name} gauge"
    if unit:
        yield f"# UNIT {name} {unit}"
    yield f"# HELP {name} {_escaped(help_)}"
    yield from (f"{name}{{{labels}}} {_number(value)}" for labels, value in kept.items())


def _verdicts(rows: Sequence[Labelled]) -> Iterator[str]:
    """Yield a state set: of each finding one of its verdicts is 1, the others are 0."""
    name = f"{PREFIX}_verdict"
    if rows:
        yield f"# TYPE {name} stateset"
        yield f"# HELP {name} Verdict of a finding."
    for labels, found in {_labels(run, row, indicator=row.indicator): row.verdict for run, row in rows}.items():
        yield from (f'{name}{{{labels},{name}="{verdict.name}"}} {int(found is verdict)}' for verdict in Verdict)


def _info(runs: Sequence[tuple[str, Material]]) -> Iterator[str]:
    name = f"{PREFIX}_run"
    if runs:
        yield f"# TYPE {name} info"
        yield f"# HELP {name} What a run is about; simulated ones measured nothing."
    for run, its in runs:
        party, made = its.parties[0], its.runs[0]
        about = _pairs(run=run, target=party.target, vendor=party.vendor, product=party.product, version=party.version,
                       accelerator=party.accelerator, scenario=made.plan.scenario.name,
                       simulated=str(party.simulated).lower(), virtmark=made.version)
        yield f"{name}_info{{{about}}} 1"


def named(indicator: str, unit: str) -> str:
    """Return the name of a family: virtmark_sto_01_p99_seconds."""
    plain = re.sub(r"[^a-z0-9]+", "_", indicator.lower()).strip("_")
    return "_".join(filter(None, (PREFIX, plain, UNITS.get(unit, ""))))


def _labels(run: str, row: Row, **more: str) -> str:
    asked = quantity.requirement(row.op, row.limits, row.unit) if row.limits else ""
    requirement = {"requirement": f"{asked} ({row.source})" if row.source else asked} if asked else {}
    return _pairs(run=run, target=row.party.target, point=row.point, **requirement, **more)


def _pairs(**labels: str) -> str:
    return ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else "+Inf" if value > 0 else "-Inf"
