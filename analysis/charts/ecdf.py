"""Scheduling latency as a cumulative share: how often a thread woke within a given time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator

from analysis.charts import Absence, Chart, axis, latency, slug, style
from analysis.curves import Curve, Distribution, Family, Floats, families
from analysis.rows import Material
from analysis.words import Words

ORDER = 21
METRICS = ("scheduling.latency",)
FEWEST = 20
TALL = 2.5


def charts(material: Material, words: Words) -> Iterator[Chart | Absence]:
    """Yield a chart for every point at which scheduling latency was measured."""
    for family in families(material, METRICS):
        title = latency.heading(family, words, "ecdf")
        shown = [curve for curve in family.curves if curve.whole.n >= FEWEST][:latency.MOST_LINES]
        area = words.area_of(family.metric)
        if not shown:
            most = max(curve.whole.n for curve in family.curves)
            yield Absence(kind="ecdf", area=area, title=title, reason=words("ecdf.few", n=most, needed=FEWEST))
            continue
        yield Chart(kind="ecdf", area=area, title=title, caption=_notes(shown, words),
                    draw=partial(_draw, family, shown, words),
                    slug=slug(latency.place(family.stage, family.point), family.metric, family.labels, "ecdf"))


def _notes(shown: Sequence[Curve], words: Words) -> str:
    return words("ecdf.notes", n=" / ".join(map(str, sorted({len(curve.rounds) for curve in shown}))))


def _draw(family: Family, shown: Sequence[Curve], words: Words) -> Figure:
    words = style.spoken(words)
    notes = _notes(shown, words)
    entries = [style.Entry(curve.party, latency.noted(curve, words), index) for index, curve in enumerate(shown)]
    top = style.headroom(notes) + style.legend_height(entries) + 0.1
    made = style.figure(top + TALL + 0.55)
    style.head(made, latency.heading(family, words, "ecdf"), notes,
               flag=style.flag((curve.party for curve in shown), words))
    style.legend(made, style.headroom(notes), entries)
    axes = style.panel(made, (0.85, top, style.WIDTH - 1.15, TALL))
    for index, curve in enumerate(shown):
        _curve(axes, curve, style.look(curve.party, index))
    _axes(axes, shown, words)
    return made


def _axes(axes: Axes, shown: Sequence[Curve], words: Words) -> None:
    seen = [float(y) for curve in shown for y in _steps(curve.whole, 300)[0] if y > 0]
    axis.across(axes, axis.cover(seen), "s", words("latency"))
    axes.set(ylim=(0, 1.02), ylabel=words("share"))
    axes.yaxis.set_major_locator(MultipleLocator(0.25))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:g} %"))
    axes.grid()


def _curve(axes: Axes, curve: Curve, look: style.Look) -> None:
    for one in curve.rounds if len(curve.rounds) > 1 else ():
        x, share = _steps(one, 100)
        axes.step(x, share, where="post", color=look.colour, linewidth=0.5, alpha=0.35, zorder=2)
    x, share = _steps(curve.whole, 300)
    axes.step(x, share, where="post", color=look.colour, linestyle=look.dash, linewidth=1.5, zorder=3)
    middle = int(curve.whole.at(np.array([0.5]))[0])
    axes.plot((curve.whole.high[middle],), (0.5,), marker=look.marker, markersize=5, color=look.colour, zorder=4)


def _steps(whole: Distribution, points: int) -> tuple[Floats, Floats]:
    """Return upper bin edges and the exact shares at or below them, about `points` of them, without the open bin."""
    closed = len(whole.values) - int(whole.censored)
    high, share = whole.high[:closed], (np.cumsum(whole.counts) / whole.n)[:closed]
    if closed <= points:
        return high, share
    ranks = np.unique(np.concatenate([np.searchsorted(share, np.linspace(0, share[-1], points)), [0, closed - 1]]))
    keep = ranks[ranks < closed]
    return high[keep], share[keep]
