"""Latency by percentile on an axis that gives every nine of the tail the same room.

The band is the width of the histogram's bins; a line ends where fewer than 100 values lie beyond it, since a percentile
needs 100 / (1 - p) values; an arrow marks where the histogram's last, open bin begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.markers import CARETUP
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from analysis import quantity
from analysis.charts import Absence, Chart, axis, slug, style
from analysis.curves import Curve, Distribution, Family, Floats, families
from analysis.rows import Material
from analysis.words import Words

ORDER = 20
MOST_LINES = 12
TICKS = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999, 0.9999999)
BETWEEN = (0.25, 0.75, 0.8)  # further ticks where the axis ends early
TALL = 2.9


def charts(material: Material, words: Words) -> Iterator[Chart | Absence]:
    """Yield a chart for every stage, point and latency metric."""
    for family in families(material):
        title = heading(family, words, "latency")
        shown = [curve for curve in family.curves if curve.whole.deepest > 0.5][:MOST_LINES]
        area = words.area_of(family.metric)
        if shown:
            yield Chart(kind="latency", area=area, title=title, caption=_notes(shown, words),
                        draw=partial(_draw, family, shown, words),
                        slug=slug(place(family.stage, family.point), family.metric, family.labels, "curve"))
        else:
            most = max(curve.whole.n for curve in family.curves)
            yield Absence(kind="latency", area=area, title=title, reason=words("latency.few", n=most))


def heading(family: Family, words: Words, kind: str) -> str:
    """Return the title of a chart of a family."""
    return f"{words(f'{kind}.title')}: {place(family.stage, family.point)} · {described(family.metric, family.labels)}"


def place(stage: str, point: str) -> str:
    """Return stage and point of a chart; points are mostly named after their stage."""
    return point if point.startswith(stage) else " · ".join(filter(None, (stage, point)))


def described(metric: str, labels: str) -> str:
    """Return metric and labels of a chart."""
    return " · ".join(filter(None, (metric, labels)))


def noted(curve: Curve, words: Words) -> str:
    """Return what a legend says of a curve: accelerator, arm, number of values, what lies in the open bin."""
    whole, engine = curve.whole, words("simulated") if curve.party.simulated else curve.party.accelerator
    counted = f"n = {whole.n:,}".replace(",", "\u202f")
    open_bin = words("latency.open", share=f"{100 * whole.counts[-1] / whole.n:.2g} %",
                     bound=quantity.single(float(whole.low[-1]), "s")) if whole.censored else ""
    return ", ".join(filter(None, (engine, curve.arm, counted, open_bin)))


def tail(shares: Floats) -> Floats:
    """Return where shares stand on the axis: 0 for 0, 1 for 0.9, 2 for 0.99, ..."""
    return np.asarray(-np.log10(np.maximum(1.0 - shares, 1e-12)))


def _notes(shown: Sequence[Curve], words: Words) -> str:
    rounds = sorted({len(curve.rounds) for curve in shown})
    return words("latency.notes", n=" / ".join(map(str, rounds)))


def _draw(family: Family, shown: Sequence[Curve], words: Words) -> Figure:
    words = style.spoken(words)
    notes = _notes(shown, words)
    entries = [style.Entry(curve.party, noted(curve, words), index) for index, curve in enumerate(shown)]
    top = style.headroom(notes) + style.legend_height(entries) + 0.1
    made = style.figure(top + TALL + 0.55)
    style.head(made, heading(family, words, "latency"), notes, flag=style.flag((curve.party for curve in shown), words))
    style.legend(made, style.headroom(notes), entries)
    axes = style.panel(made, (0.85, top, style.WIDTH - 1.15, TALL))
    _axes(axes, shown, words)
    for index, curve in enumerate(shown):
        _curve(axes, curve, style.look(curve.party, index))
    return made


def _axes(axes: Axes, shown: Sequence[Curve], words: Words) -> None:
    deepest = max(path(curve.whole, 2)[0][-1] for curve in shown)
    span = axis.cover([y for curve in shown for y in _bounds(curve.whole) if y > 0])
    axes.set(xlim=(0, deepest * 1.02), yscale="log" if span.log else "linear", ylim=(span.low, span.high),
             xlabel=words("percentile"))
    marks = [x for x in tail(np.array(TICKS if deepest > 1.5 else (*TICKS, *BETWEEN))) if x <= deepest]
    axes.xaxis.set_major_locator(FixedLocator(marks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * (1 - 10 ** -x):.7g}"))
    axis.upright(axes, span, "s", words("latency"))
    axes.grid()


def _bounds(whole: Distribution) -> list[float]:
    """Return the latencies that the axis must reach: the lowest, nearly the lowest, and the end of the curve."""
    bins = whole.at(np.array([0.0, 0.001]))
    end = path(whole, 2)[1][-1]
    near = float(whole.values[bins[1]])
    return [float(whole.low[bins[0]]) or near, near, float(whole.high[end])]


def _curve(axes: Axes, curve: Curve, look: style.Look) -> None:
    for one in curve.rounds if len(curve.rounds) > 1 else ():
        x, at = path(one, 120)
        axes.plot(x, one.values[at], color=look.colour, linewidth=0.5, alpha=0.35, zorder=2)
    whole = curve.whole
    x, at = path(whole, 300)
    axes.fill_between(x, whole.low[at], whole.high[at], color=look.colour, alpha=0.25, linewidth=0, zorder=2.5)
    axes.plot(x, whole.values[at], color=look.colour, linestyle=look.dash, linewidth=1.5, zorder=3)
    cut = whole.censored and x[-1] < tail(np.array(whole.deepest))
    axes.plot(x[-1:], whole.values[at][-1:], marker=CARETUP if cut else look.marker,
              markersize=10 if cut else 4.5, color=look.colour, zorder=4, clip_on=False)


def path(whole: Distribution, points: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return axis positions and bins of a curve, up to the percentile that n allows or to the open last bin."""
    end = max(whole.deepest, 0.0)
    if whole.censored:
        end = min(end, max(1.0 - float(whole.counts[-1]) / whole.n - 1e-9, 0.0))
    x = np.linspace(0.0, float(tail(np.array(end))), points)
    return x, whole.at(1.0 - 10.0 ** -x)
