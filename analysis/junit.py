"""JUnit XML as Jenkins, GitLab and GitHub's reporters read it; the one writer for findings and for whatever else fails.

The one thing to know: there are four ways for a case to end, and no fifth: fine, failure (measured and missed), error
(no sound number), skipped (nothing to say, with the reason). The caller decides which; nothing is derived here.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from analysis.rows import clean

End = Literal["", "failure", "error", "skipped"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One claim: the suite it stands in, its name there, how it ended and why, s it took, and facts by name.

    `detail` is the text of what is wrong, line by line; `said` is what it said, shown beside any end.
    """

    suite: str
    name: str
    end: End = ""
    kind: str = ""
    message: str = ""
    detail: str = ""
    said: str = ""
    seconds: float = 0.0
    facts: Mapping[str, str] = field(default_factory=dict)


def document(title: str, cases: Sequence[Case], notes: Iterable[tuple[str, str]] = ()) -> str:
    """Return the whole document: a suite for each name of a suite, in the order of its first case; `notes` in each."""
    root = ET.Element("testsuites", {"name": clean(title)} | _counts(cases))
    about = tuple(notes)
    for name in dict.fromkeys(case.suite for case in cases):
        own = [case for case in cases if case.suite == name]
        suite = ET.SubElement(root, "testsuite", {"name": clean(name)} | _counts(own))
        _properties(suite, about)
        for case in own:
            _case(suite, case)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, case: Case) -> None:
    made = ET.SubElement(suite, "testcase", name=clean(case.name), classname=clean(case.suite),
                         time=f"{case.seconds:.6f}")
    _properties(made, case.facts.items())
    if case.end:
        found = ET.SubElement(made, case.end, message=clean(case.message))
        if case.end != "skipped":
            found.set("type", clean(case.kind))
            found.text = "\n".join(map(clean, case.detail.splitlines())) or None
    if case.said:
        ET.SubElement(made, "system-out").text = clean(case.said)


def _properties(parent: ET.Element, pairs: Iterable[tuple[str, str]]) -> None:
    kept = tuple(pairs)
    if kept:
        holder = ET.SubElement(parent, "properties")
        for name, value in kept:
            ET.SubElement(holder, "property", name=clean(name), value=clean(value))


def _counts(cases: Sequence[Case]) -> dict[str, str]:
    ends = [case.end for case in cases]
    return {"tests": str(len(cases)), "failures": str(ends.count("failure")), "errors": str(ends.count("error")),
            "skipped": str(ends.count("skipped")), "time": f"{sum(case.seconds for case in cases):.6f}"}
