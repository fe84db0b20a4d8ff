"""Everything the HTML page says, gathered into one mapping for the template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analysis import certificate, environment, export, quantity, tables, writing
from analysis.charts import Absence, Picture
from analysis.rows import Material, area_rank
from analysis.words import Words
from harness.assessment import Assessment
from harness.indicators import Indicator, catalogue
from harness.profile import Profile


@dataclass(frozen=True)
class Chapter:
    """One area: its findings, and its charts in order with the reasons for those that are missing."""

    area: str
    lines: tuple[tables.Line, ...]
    pictures: tuple[Picture, ...]
    absences: tuple[Absence, ...]
    events: tuple[tables.Happened, ...] = ()


def context(material: Material, drawn: Sequence[Picture | Absence], profile: Profile | None,
            words: Words, assessments: Sequence[Assessment] = ()) -> dict[str, Any]:
    """Return the values of the template; all text in them is plain, only the SVG of pictures is markup."""
    verdicts = [row.verdict for row in material.rows]
    found = tables.lines(material.rows, words)
    return {
        "t": words, "lang": words.lang, "profile": profile, "parties": material.parties,
        "overall": tables.badge(tables.worst(verdicts), words), "counts": tables.counts(verdicts, words),
        "total": len(verdicts), "simulated": [party for party in material.parties if party.simulated],
        "runs": tables.campaigns(material, words), "matrix": tables.matrix(material, words), "lines": found,
        "chapters": chapters(found, drawn, tables.happened(material, words)), "marks": tables.MARKS,
        "gates": tables.gates(material.rows), "sheets": certificate.sheets(material, assessments, words),
        "columns": environment.columns(material), "machines": environment.machines(material.runs),
        "conditions": environment.conditions(material.runs), "troubles": tables.troubles(material),
        "evidence": export.evidence(material), "definitions": definitions(material),
        "methods": methods(material, words), "glossary": words.glossary(),
        "policies": sorted({row.policy for row in material.rows if row.policy}),
        "sources": sorted({row.source for row in material.rows if row.source}),
        "drawing": writing.inline,
        "size": lambda value: quantity.single(float(value), "B", 3), "number": lambda value: f"{value:.3g}",
    }


def chapters(lines: Sequence[tables.Line], drawn: Sequence[Picture | Absence],
             events: Sequence[tables.Happened] = ()) -> list[Chapter]:
    """Return a chapter for every area that has a finding, a chart or an event."""
    areas = {line.area for line in lines} | {_area(item) for item in drawn} | {one.area for one in events}
    return [Chapter(area, tuple(line for line in lines if line.area == area),
                    tuple(item for item in drawn if isinstance(item, Picture) and _area(item) == area),
                    tuple(item for item in drawn if isinstance(item, Absence) and _area(item) == area),
                    tuple(one for one in events if one.area == area))
            for area in sorted(areas, key=area_rank)]


def definitions(material: Material) -> list[Indicator]:
    """Return the indicators of the findings, as the catalogue defines them."""
    used = dict.fromkeys(row.indicator for row in material.rows)
    return [catalogue()[name] for name in used if name in catalogue()]


def methods(material: Material, words: Words) -> list[tuple[str, str]]:
    """Return the methods that the findings used, each with its explanation where there is one."""
    used = dict.fromkeys(row.method for row in material.rows if row.method)
    return [(words.say(method), words.explain(method)) for method in used]


def _area(item: Picture | Absence) -> str:
    return item.chart.area if isinstance(item, Picture) else item.area
