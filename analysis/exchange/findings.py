"""Findings as test cases: JUnit XML, and the hierarchy format of Open Test Reporting 0.2.0.

The one thing to know: FAIL is a failure. INVALID and NOT_RUN are errors (aborted there), never passes. INCONCLUSIVE and
NOT_APPLICABLE are skipped with the reason (INCONCLUSIVE is aborted there). MEASURED, of which nothing was asked, is
fine.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence

from analysis import junit, quantity
from analysis.junit import Case, End
from analysis.rows import Material, Row, clean
from harness.model import Verdict

ENDS: dict[Verdict, tuple[End, str]] = {
    Verdict.NOT_APPLICABLE: ("skipped", "SKIPPED"), Verdict.MEASURED: ("", "SUCCESSFUL"),
    Verdict.PASS: ("", "SUCCESSFUL"), Verdict.NOT_RUN: ("error", "ABORTED"),
    Verdict.INCONCLUSIVE: ("skipped", "ABORTED"), Verdict.INVALID: ("error", "ABORTED"),
    Verdict.FAIL: ("failure", "FAILED")}
CORE = "https://schemas.opentest4j.org/reporting/core/0.2.0"
HIERARCHY = "https://schemas.opentest4j.org/reporting/hierarchy/0.2.0"


def as_junit(materials: Iterable[tuple[str, Material]]) -> str:
    """Return JUnit XML: a suite a run and area, a case an indicator at a point (and a requirement)."""
    cases = [_case(name, row) for name, its in materials for row in its.rows]
    return junit.document("virtmark", cases)


def as_opentest(materials: Iterable[tuple[str, Material]]) -> str:
    """Return the hierarchy: a root a run, below it areas, below them findings with their numbers as data."""
    for prefix, space in (("c", CORE), ("h", HIERARCHY)):
        ET.register_namespace(prefix, space)
    whole = ET.Element(f"{{{HIERARCHY}}}execution")
    for name, its in materials:
        start = its.runs[0].created
        root = _node(whole, "root", name, start)
        _result(root, its.rows)
        for area in dict.fromkeys(row.area for row in its.rows):
            own = [row for row in its.rows if row.area == area]
            branch = _node(root, "child", area, start)
            _result(branch, own)
            for row in own:
                _leaf(branch, row, start)
    ET.indent(whole)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(whole, encoding="unicode") + "\n"


def facts(row: Row) -> dict[str, str]:
    """Return the numbers of a finding by name, exact, and once as people read them."""
    known: dict[str, object] = {"verdict": row.verdict.name, "indicator": row.indicator, "name": row.name_en,
                                "point": row.point, "unit": row.unit}
    if row.value is not None:
        known |= {"value": row.value, "low": row.low, "high": row.high, "confidence": row.confidence, "n": row.n,
                  "better": row.direction.value, "estimand": row.estimand, "method": row.method,
                  "shown": quantity.single(row.value, row.unit)}
    if row.limit is not None:
        known |= {"op": row.op, "limit": row.limit, "limit_hi": row.limit_hi, "source": row.source}
    return {key: str(value) for key, value in known.items() if value not in (None, "")}


def _case(run: str, row: Row) -> Case:
    end, _ = ENDS[row.verdict]
    return Case(suite=f"{run}.{row.area}", name=_title(row), end=end, kind=row.verdict.name,
                message=f"{row.verdict.name}: {'; '.join(row.why)}" if end else "", facts=facts(row))


def _title(row: Row) -> str:
    asked = quantity.requirement(row.op, row.limits, row.unit) if row.limits else ""
    return " ".join(filter(None, (row.indicator, row.point, asked)))


def _node(parent: ET.Element, kind: str, name: str, start: str) -> ET.Element:
    return ET.SubElement(parent, f"{{{HIERARCHY}}}{kind}", name=clean(name), start=start, duration="PT0S")


def _leaf(parent: ET.Element, row: Row, start: str) -> None:
    node = _node(parent, "child", _title(row), start)
    attachments = ET.SubElement(node, f"{{{CORE}}}attachments")
    data = ET.SubElement(attachments, f"{{{CORE}}}data", time=start)
    for key, value in facts(row).items():
        ET.SubElement(data, f"{{{CORE}}}entry", key=key).text = clean(value)
    result = ET.SubElement(node, f"{{{CORE}}}result", status=ENDS[row.verdict][1])
    if row.why:
        ET.SubElement(result, f"{{{CORE}}}reason").text = clean("; ".join(row.why))


def _result(node: ET.Element, rows: Sequence[Row]) -> None:
    worst = max((row.verdict for row in rows), default=Verdict.NOT_RUN)
    ET.SubElement(node, f"{{{CORE}}}result", status=ENDS[worst][1])
