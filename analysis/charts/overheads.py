"""Overheads: two arms of the same rounds compared in pairs, as intervals beside the line of no difference."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.charts import Absence, Chart, intervals
from analysis.rows import Material
from analysis.words import Words

ORDER = 11


def charts(material: Material, words: Words) -> Iterator[Chart | Absence]:
    """Yield the chart of every indicator that compares arms in pairs."""
    yield from intervals.sheets((row for row in material.rows if row.paired), words, "overheads")
