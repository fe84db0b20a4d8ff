"""JUnit XML as Jenkins, GitLab and GitHub's reporters read it: a suite an area, a test case an indicator at a point.

Worse is a failure, missing or invalid an error, what cannot be told or was not gated is skipped, with the reason.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import groupby

from analysis.rows import clean
from analysis.verdicts.cases import Case, Level, Sheet

_TAG = {Level.FAILED: "failure", Level.BROKEN: "error", Level.OPEN: "skipped", Level.SKIPPED: "skipped"}


def text(sheet: Sheet) -> str:
    """Return the document."""
    root = ET.Element("testsuites", {"name": clean(sheet.title)} | _counts(sheet.cases))
    ordered = sorted(sheet.cases, key=_area)
    for area, group in groupby(ordered, key=_area):
        cases = tuple(group)
        suite = ET.SubElement(root, "testsuite", {"name": clean(f"{sheet.target}.{area}")} | _counts(cases))
        properties = ET.SubElement(suite, "properties")
        ET.SubElement(properties, "property", name="summary", value=clean(sheet.summary))
        for note in sheet.notes:
            ET.SubElement(properties, "property", name="note", value=clean(note))
        for case in cases:
            _case(suite, case, f"{sheet.target}.{area}")
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, case: Case, place: str) -> None:
    made = ET.SubElement(suite, "testcase", name=clean(case.title), classname=clean(place), time="0")
    if tag := _TAG.get(case.level):
        found = ET.SubElement(made, tag, message=clean(f"{case.outcome}: {case.text}"))
        if tag != "skipped":
            found.set("type", case.outcome)
            found.text = "\n".join(clean(f"{key}: {value}") for key, value in case.facts.items())
    out = ET.SubElement(made, "system-out")
    out.text = clean(f"{case.outcome}: {case.text}")


def _counts(cases: tuple[Case, ...]) -> dict[str, str]:
    tags = [_TAG.get(case.level, "") for case in cases]
    return {"tests": str(len(cases)), "failures": str(tags.count("failure")), "errors": str(tags.count("error")),
            "skipped": str(tags.count("skipped")), "time": "0"}


def _area(case: Case) -> str:
    return case.indicator.partition("-")[0]
