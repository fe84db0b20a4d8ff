"""The chart kinds, one file each; a new file with `ORDER` and `charts` is a new kind, there is no list to edit.

`charts(material, words)` yields a Chart for everything it can draw and an Absence, with the reason, for what it cannot.
Drawing is pure: rows and runs in, a figure out; `rendered` turns it into SVG and PNG, the same bytes for the same
input.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from analysis.rows import Material
from analysis.words import Words

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One picture: where it belongs, what a reader must know beside it, and how to draw it."""

    kind: str
    area: str
    slug: str
    title: str
    caption: str
    draw: Callable[[], Figure]
    indicator: str = ""


@dataclass(frozen=True, kw_only=True)
class Absence:
    """A picture that is not there, and why."""

    kind: str
    area: str
    title: str
    reason: str
    indicator: str = ""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A drawn chart: SVG text with ids unique to it, and PNG bytes."""

    chart: Chart
    svg: str
    png: bytes

    @property
    def inline(self) -> str:
        """Return the SVG for a page: without XML prologue, and without the names of XML namespaces."""
        start = self.svg.index("<svg")
        head, rest = self.svg[start:].split(">", 1)
        return re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", head) + ">" + rest


def kinds() -> list[Any]:
    """Return the modules of all chart kinds in the order of the report."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    return sorted((module for module in modules if hasattr(module, "charts")), key=lambda module: module.ORDER)


def plan(material: Material, words: Words) -> Iterator[Chart | Absence]:
    """Yield everything there is to draw; file names (slugs) are unique."""
    used: dict[str, int] = {}
    for kind in kinds():
        for chart in kind.charts(material, words):
            yield _unique(chart, used) if isinstance(chart, Chart) else chart


def rendered(chart: Chart) -> Picture:
    """Draw and save one chart."""
    from analysis.charts import style

    with style.context():
        figure = chart.draw()
        return Picture(chart=chart, svg=style.svg(figure, prefix=chart.slug), png=style.png(figure))


def slug(*parts: str) -> str:
    """Return a file name of letters, digits and dashes, at most 80 long."""
    return re.sub(r"[^a-z0-9]+", "-", " ".join(filter(None, parts)).lower()).strip("-")[:80].rstrip("-") or "chart"


def _unique(chart: Chart, used: dict[str, int]) -> Chart:
    used[chart.slug] = count = used.get(chart.slug, 0) + 1
    if count == 1:
        return chart
    return replace(chart, slug=f"{chart.slug}-{count}")
