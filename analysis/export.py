"""Findings for machines: JSON (the records as they are), CSV (one flat row each), and lists of hashes of the evidence.

Numbers are in base units; infinite bounds are written "inf" and "-inf". Same input, same bytes.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.rows import Material, Party, Row
from analysis.tables import worst
from harness import codec
from harness.assessment import Assessment
from harness.model import Finding, Run, Verdict

COLUMNS: dict[str, Callable[[Row], object]] = {
    "target": lambda row: row.party.target, "vendor": lambda row: row.party.vendor,
    "product": lambda row: row.party.product, "version": lambda row: row.party.version,
    "accelerator": lambda row: row.party.accelerator, "simulated": lambda row: row.party.simulated,
    "area": lambda row: row.area, "indicator": lambda row: row.indicator, "name": lambda row: row.name_en,
    "point": lambda row: row.point, "verdict": lambda row: row.verdict.name, "value": lambda row: row.value,
    "low": lambda row: row.low, "high": lambda row: row.high, "confidence": lambda row: row.confidence,
    "unit": lambda row: row.unit, "n": lambda row: row.n, "estimand": lambda row: row.estimand,
    "method": lambda row: row.method, "better": lambda row: row.direction.value if row.value is not None else "",
    "op": lambda row: row.op, "limit": lambda row: row.limit, "limit_hi": lambda row: row.limit_hi,
    "source": lambda row: row.source, "mde80": lambda row: row.mde, "rounds_needed": lambda row: row.needed,
    "scores": lambda row: ";".join(map(repr, row.scores)), "rounds": lambda row: ";".join(map(str, row.rounds)),
    "reasons": lambda row: "; ".join(row.reasons), "warnings": lambda row: "; ".join(row.warnings),
    "policy": lambda row: row.policy,
}


@dataclass(frozen=True)
class Evidence:
    """The untouched tool output of one run: how much there is, and one hash over the list of all hashes.

    `listing` is in the format of sha256sum, paths relative to the run folder, so that `sha256sum -c` checks it there.
    """

    party: Party
    folder: str
    files: int
    size: int
    listing: str
    digest: str


def findings_json(findings: Sequence[Finding]) -> str:
    """Return the findings with the verdict of the whole and the counts."""
    return _text(_judged(findings))


def assessments_json(assessments: Sequence[Assessment]) -> str:
    """Return each standard held to each target: every clause with what became of it, and the levels."""
    return _text([_assessed(each) for each in assessments])


def judged_json(findings: Sequence[Finding], assessments: Sequence[Assessment]) -> str:
    """Return the findings, and beside them the standards clause by clause."""
    return _text(_judged(findings) | {"assessments": [_assessed(each) for each in assessments]})


def _judged(findings: Sequence[Finding]) -> dict[str, Any]:
    count = {verdict.name: sum(found.verdict is verdict for found in findings) for verdict in reversed(Verdict)}
    return {"verdict": worst(found.verdict for found in findings).name, "counts": count,
            "findings": [_named(codec.plain(found)) for found in findings]}


def _text(document: Any) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _assessed(assessment: Assessment) -> dict[str, Any]:
    reached, following = assessment.level, assessment.following
    clauses = [{"clause": leaf.clause.id, "number": leaf.clause.number, "title": leaf.clause.title,
                "kind": str(leaf.clause.kind), "outcome": leaf.outcome, "holds": leaf.holds, "why": leaf.why,
                "answer": codec.plain(leaf.answer) if leaf.answer else None,
                "findings": [{"indicator": each.indicator, "point": each.point, "verdict": each.verdict.name}
                             for each in leaf.findings]} for leaf in assessment.leaves()]
    return {"profile": assessment.part.name, "target": assessment.target,
            "level": reached.level.name if reached else None,
            "next": {"level": following.level.name, "missing": [leaf.clause.id for leaf in following.missing]}
            if following else None, "clauses": clauses}


def findings_csv(rows: Sequence[Row]) -> str:
    """Return one flat row for every finding, with a heading."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([cell(column(row)) for column in COLUMNS.values()] for row in rows)
    return out.getvalue()


def evidence(material: Material) -> list[Evidence]:
    """Return what each run kept, in the order of runs."""
    folders = material.folders or ("",) * len(material.runs)
    return [_evidence(run, material.party(run.plan.target), folder)
            for run, folder in zip(material.runs, folders, strict=True)]


def _evidence(run: Run, party: Party, folder: str) -> Evidence:
    kept = {item.path: item for result in run.results for item in result.evidence}
    listing = "".join(f"{kept[path].sha256}  {path}\n" for path in sorted(kept))
    return Evidence(party, folder, len(kept), sum(item.size for item in kept.values()), listing,
                    hashlib.sha256(listing.encode()).hexdigest())


def cell(value: object) -> str:
    """Return a cell; text that a spreadsheet would run as a formula is quoted."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value) if isinstance(value, float) else str(value)
    return f"'{text}" if isinstance(value, str) and text[:1] in ("=", "+", "@", "\t") else text


def _named(finding: dict[str, object]) -> dict[str, object]:
    """Spell verdicts out, so that a reader of the JSON need not know their order."""
    return {key: Verdict(value).name if key == "verdict" and isinstance(value, int) else
            _named(value) if isinstance(value, dict) else value for key, value in finding.items()}
