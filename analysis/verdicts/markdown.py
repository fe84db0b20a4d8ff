"""A gate or a history as Markdown: a table that GitHub, GitLab and mail show; what is fine stands folded below."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from analysis.verdicts.cases import Case, Level, Sheet

MARKS = {Level.FAILED: "❌", Level.BROKEN: "⚠️", Level.OPEN: "❔", Level.SKIPPED: "➖", Level.FINE: "✅"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#])")


def text(sheet: Sheet) -> str:
    """Return the document."""
    loud = [case for case in sheet.cases if case.level in (Level.FAILED, Level.BROKEN, Level.OPEN)]
    calm = [case for case in sheet.cases if case not in loud]
    lines = [f"### {escaped(sheet.title)}", "", f"**{escaped(sheet.summary)}**", ""]
    if loud:
        lines += [*_table(loud), ""]
    if calm:
        lines += [f"<details><summary>{len(calm)} more</summary>", "", *_table(calm), "", "</details>", ""]
    lines += [f"- {escaped(note)}" for note in sheet.notes]
    return "\n".join(lines) + "\n"


def _table(cases: Iterable[Case]) -> Iterator[str]:
    yield "| | indicator | point | baseline | run | loss (+ is worse) and why |"
    yield "|---|---|---|---|---|---|"
    for case in cases:
        cells = (f"{MARKS[case.level]} {case.outcome}", case.indicator, case.point, case.facts.get("baseline", ""),
                 case.facts.get("run", ""), case.text)
        yield f"| {' | '.join(map(escaped, cells))} |"


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
