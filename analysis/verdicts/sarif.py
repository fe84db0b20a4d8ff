"""SARIF 2.1.0, as code scanning reads it: a rule an indicator, a result a case that is not fine."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from urllib.parse import quote

from analysis.verdicts.cases import Case, Level, Sheet

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
# By the format, only what failed has a level other than "none".
_HOW = {Level.FAILED: ("fail", "error"), Level.BROKEN: ("fail", "warning"), Level.OPEN: ("open", "none"),
        Level.SKIPPED: ("notApplicable", "none"), Level.FINE: ("pass", "none")}


def text(sheet: Sheet, *, version: str, place: str) -> str:
    """Return the document; `place` is the file that results point at, a relative path such as results/x/run.json."""
    rules = list(dict.fromkeys(case.indicator for case in sheet.cases))
    names = {case.indicator: case.name for case in sheet.cases}
    driver = {"name": "virtmark", "version": version, "semanticVersion": version, "rules": [
        {"id": rule, "name": rule, "shortDescription": {"text": names[rule] or rule},
         "help": {"text": "virtmark list indicators"}} for rule in rules]}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints",
           "automationDetails": {"id": f"virtmark/{sheet.target}/"},
           "invocations": [{"executionSuccessful": sheet.exit_code in (0, 1), "exitCode": sheet.exit_code,
                            "toolExecutionNotifications": [{"level": "note", "message": {"text": note}}
                                                           for note in sheet.notes]}],
           "results": [_result(case, rules.index(case.indicator), sheet.target, place) for case in sheet.cases]}
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1, ensure_ascii=False) + "\n"


def _result(case: Case, rule: int, target: str, place: str) -> dict[str, Any]:
    kind, level = _HOW[case.level]
    print_of = hashlib.sha256(f"{target}/{case.title}".encode()).hexdigest()[:32]
    return {"ruleId": case.indicator, "ruleIndex": rule, "kind": kind, "level": level,
            "message": {"text": f"{case.title}: {case.outcome}: {case.text}"},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": quote(place)}, "region": {"startLine": 1}},
                           "logicalLocations": [{"name": case.title, "kind": "member"}]}],
            "partialFingerprints": {"virtmark/v1": print_of}, "properties": case.facts}
