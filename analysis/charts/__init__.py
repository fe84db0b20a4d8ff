"""The chart kinds, one file each; a new file with `ORDER` and `charts` is a new kind, there is no list to edit.

`charts(material, words)` yields a Chart for everything it can draw and an Absence, with the reason, for what it cannot.
Drawing is pure: rows and runs in, a figure out; `rendered` turns it into SVG and PNG, the same bytes for the same
input.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from analysis.rows import Material
from analysis.words import Words

if TYPE_CHECKING:
    from matplotlib.figure import Figure


WORTH_A_PROCESS = 10  # charts; a process of its own costs about as much as drawing five
WIDE = re.compile("[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef]")


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One picture: where it belongs, what a reader must know beside it, and how to draw it.

    `draw` can be pickled, so that charts are drawn in several processes. `wide` is set where texts need Chinese glyphs.
    """

    kind: str
    area: str
    slug: str
    title: str
    caption: str
    draw: Callable[[], Figure]
    indicator: str = ""
    wide: bool = False


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
    wide = words.lang == "zh" or _needs_wide(material)
    for kind in kinds():
        for chart in kind.charts(material, words):
            yield replace(chart, slug=_unique(chart.slug, used), wide=wide) if isinstance(chart, Chart) else chart


def render(planned: Sequence[Chart | Absence]) -> list[Picture | Absence]:
    """Draw all charts, in several processes where there are many; the order stays."""
    wanted = [item for item in planned if isinstance(item, Chart)]
    workers = min(os.cpu_count() or 1, len(wanted) // WORTH_A_PROCESS)
    drawn = iter(_spread(wanted, workers) if workers > 1 else map(rendered, wanted))
    return [next(drawn) if isinstance(item, Chart) else item for item in planned]


def _spread(wanted: Sequence[Chart], workers: int) -> Iterable[Picture]:
    try:
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            return list(pool.map(rendered, wanted, chunksize=3))
    except BrokenProcessPool:  # no room for processes, or a main program that cannot be imported: slower, not wrong
        return map(rendered, wanted)


def rendered(chart: Chart) -> Picture:
    """Draw and save one chart."""
    from analysis.charts import style

    with style.context(wide=chart.wide):
        figure = chart.draw()
        return Picture(chart=chart, svg=style.svg(figure, prefix=chart.slug), png=style.png(figure))


def slug(*parts: str) -> str:
    """Return a file name of letters, digits and dashes, at most 80 long."""
    return re.sub(r"[^a-z0-9]+", "-", " ".join(filter(None, parts)).lower()).strip("-")[:80].rstrip("-") or "chart"


def _unique(name: str, used: dict[str, int]) -> str:
    used[name] = count = used.get(name, 0) + 1
    return name if count == 1 else f"{name}-{count}"


def _needs_wide(material: Material) -> bool:
    """Say whether any text that charts show holds Chinese, Japanese or Korean characters."""
    return any(WIDE.search(text) for text in (
        *(party.label + party.accelerator for party in material.parties),
        *(" ".join((row.point, row.source, *row.why)) for row in material.rows),
        *(f"{step.stage} {step.point} {step.arm}" for run in material.runs for step in run.plan.steps)))
