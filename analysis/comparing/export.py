"""A comparison for machines: JSON with all of it, CSV with one flat row for every contender at every cell.

Numbers are in base units; infinite bounds are written "inf" and "-inf". Same input, same bytes.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from analysis.export import cell as text
from harness.comparison import Apart, Cell, Comparison, Composite, Contender, Entry, Group
from harness.model import Run

COLUMNS = ("kind", "group", "area", "indicator", "point", "unit", "better", "how", "why", "reference", "contender",
           "verdict", "value", "low", "high", "confidence", "n", "against", "against_low", "against_high", "mde80",
           "p_holm", "floor", "floor_measured", "outcome", "letters", "rank_low", "rank_high", "reasons", "doubts")


def as_json(found: Comparison, runs: Sequence[Run]) -> str:
    """Return everything that was found, with the runs it was found of."""
    document = {
        "by": found.by, "floor": found.floor, "forced": [_apart(each) for each in found.forced],
        "runs": [{"target": run.plan.target, "scenario": run.plan.scenario.name, "campaign": run.plan.campaign,
                  "created": run.created, "version": run.version} for run in runs],
        "groups": [_group(group) for group in found.groups], "apart": [_apart(each) for each in found.apart],
    }
    return json.dumps(_finite(document), indent=1, ensure_ascii=False) + "\n"


def as_csv(found: Comparison) -> str:
    """Return one row for every contender at every cell and of every composite, with a heading."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    for number, group in enumerate(found.groups):
        for row in _rows(group):
            writer.writerow({key: text(value) for key, value in ({"group": number} | row).items()})
    return out.getvalue()


def _rows(group: Group) -> Iterator[dict[str, object]]:
    for cell in group.cells:
        about = {"kind": "indicator", "area": cell.area, "indicator": cell.indicator, "point": cell.point,
                 "unit": cell.unit, "better": cell.direction.value, "how": cell.how.value, "why": cell.reason,
                 "reference": group.reference, "floor": cell.floor, "floor_measured": cell.measured}
        yield from (about | _row(entry) for entry in cell.entries)
    for one in group.composites:
        about = {"kind": "composite", "area": one.area, "unit": "1", "better": "higher", "how": "ratio",
                 "reference": group.reference, "floor": one.floor, "floor_measured": False}
        yield from (about | _row(entry) for entry in one.entries)


def _row(entry: Entry) -> dict[str, object]:
    its, found = entry.estimate, entry.against
    low, high = entry.ranks or ("", "")
    return {
        "contender": entry.contender, "verdict": entry.verdict.name, "n": len(entry.scores),
        **({"value": its.estimate, "low": its.ci.lo, "high": its.ci.hi, "confidence": its.ci.confidence}
           if its else {}),
        **({"against": found.value, "against_low": found.low, "against_high": found.high, "mde80": found.mde}
           if found else {}),
        "p_holm": entry.p, "outcome": entry.outcome.value, "letters": entry.letters, "rank_low": low,
        "rank_high": high, "reasons": "; ".join(entry.reasons), "doubts": "; ".join(entry.doubts)}


def _group(group: Group) -> dict[str, Any]:
    return {
        "reference": group.reference, "contenders": [_contender(who) for who in group.contenders],
        "warnings": list(group.warnings),
        "doubts": [{"contender": name, "key": key} for name, key in group.doubts],
        "noted": [{"contender": name, "key": one.key, "one": one.one, "other": one.other} for name, one in group.noted],
        "cells": [_cell(cell) for cell in group.cells], "composites": [_composite(one) for one in group.composites]}


def _cell(cell: Cell) -> dict[str, Any]:
    return {"indicator": cell.indicator, "point": cell.point, "unit": cell.unit, "better": cell.direction.value,
            "how": cell.how.value, "why": cell.reason, "floor": cell.floor, "floor_measured": cell.measured,
            "entries": [_entry(entry) for entry in cell.entries]}


def _composite(one: Composite) -> dict[str, Any]:
    return {"area": one.area, "parts": list(one.parts), "left_out": list(one.left_out), "method": one.method,
            "floor": one.floor, "entries": [_entry(entry) for entry in one.entries]}


def _entry(entry: Entry) -> dict[str, Any]:
    its, found = entry.estimate, entry.against
    return {
        "contender": entry.contender, "verdict": entry.verdict.name, "valid": entry.valid,
        "estimate": {"value": its.estimate, "low": its.ci.lo, "high": its.ci.hi, "confidence": its.ci.confidence,
                     "n": its.n, "unit": its.unit, "estimand": its.estimand, "method": its.method} if its else None,
        "scores": [{"run": run, "round": at, "score": score} for (run, at), score in entry.scores.items()],
        "against": {"value": found.value, "low": found.low, "high": found.high, "confidence": found.confidence,
                    "n": found.n, "mde80": found.mde, "method": found.method} if found else None,
        "p_holm": entry.p, "outcome": entry.outcome.value, "letters": entry.letters,
        "ranks": list(entry.ranks) if entry.ranks else None, "reasons": list(entry.reasons),
        "doubts": list(entry.doubts)}


def _contender(who: Contender) -> dict[str, Any]:
    return {"name": who.name, "runs": list(who.runs), "targets": list(who.targets), "products": list(who.products),
            "accelerators": list(who.accelerators), "simulated": who.simulated}


def _apart(each: Apart) -> dict[str, Any]:
    return {"run": each.run, "contender": each.contender.name,
            "differences": [{"key": one.key, "one": one.one, "other": one.other, "kind": one.kind.value}
                            for one in each.differences],
            "entries": [{"indicator": indicator, "point": point} | _entry(entry)
                        for indicator, point, entry in each.entries]}


def _finite(value: Any) -> Any:
    """Return the document with infinities as text, which JSON has no numbers for."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
