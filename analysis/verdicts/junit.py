"""The gate as JUnit XML: a suite an area, a test case an indicator at a point.

Worse is a failure, missing or invalid an error, what cannot be told or was not gated is skipped, with the reason.
"""

from __future__ import annotations

from analysis import junit
from analysis.junit import End
from analysis.rows import clean
from analysis.verdicts.cases import Case, Level, Sheet

_ENDS: dict[Level, End] = {Level.FAILED: "failure", Level.BROKEN: "error", Level.OPEN: "skipped",
                           Level.SKIPPED: "skipped", Level.FINE: ""}


def text(sheet: Sheet) -> str:
    """Return the document."""
    cases = sorted((_case(case, sheet.target) for case in sheet.cases), key=lambda case: case.suite)
    return junit.document(sheet.title, cases, (("summary", sheet.summary), *(("note", note) for note in sheet.notes)))


def _case(case: Case, target: str) -> junit.Case:
    said = f"{case.outcome}: {case.text}"
    return junit.Case(
        suite=f"{target}.{case.indicator.partition('-')[0]}", name=case.title, end=_ENDS[case.level],
        kind=case.outcome, message=said, said=said,
        detail="\n".join(f"{key}: {clean(value)}" for key, value in case.facts.items()))
