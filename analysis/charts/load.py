"""Response times and answers against the load that was offered, with the knee; and latency by percentile of each load.

Failed requests count as slower than all others. A level whose requests did not leave as planned is hollow: it tells of
the generator. The knee is the finding APP-02 with its interval, drawn through both panels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis import quantity
from analysis.charts import Absence, Chart, axis, slug, style
from analysis.charts.latency import path, tail
from analysis.curves import Distribution
from analysis.levels import Ladder, Place, Rung, ladders
from analysis.reasons import said
from analysis.rows import Material
from analysis.words import Words
from harness.stats import FioLayout

ORDER = 21
SHARES: tuple[tuple[float, Any, float], ...] = (
    (0.5, (0, (1.5, 1.2)), 1.0), (0.95, (0, (5, 1.5)), 1.2), (0.99, "-", 1.5))
BEYOND = 10             # requests that must lie beyond a percentile of all rounds
UPPER, LOWER, GAP = 2.5, 1.25, 0.16
TALL, MOST = 2.6, 9     # height of the percentiles; loads that are told apart in it
LIMIT = ("limit of the service found", said("limit of the service found", "zh"))  # open: the knee is a lower bound
TICKS = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
SHADES = ("#7db8da", "#5aa3d0", "#3787c0", "#105ba4", "#08306b")


def charts(material: Material, words: Words) -> Iterator[Chart | Absence]:
    """Yield, for every stage, what its loads showed, and for each party the percentiles by load."""
    for place, found in ladders(material).items():
        if place.model == "open" and any(len(each.rungs) > 1 for each in found):
            title = _title(place, words, "load")
            yield Chart(kind="load", area="APP", title=title, caption=_notes(found, words),
                        draw=partial(_draw, place, found, words), slug=slug(place.stage, place.arm, "load"))
        for each in found:
            rungs = _told_apart(each.rungs)
            if rungs:
                yield Chart(kind="load", area="APP", title=_one(place, each, words),
                            caption=words("loads.notes"), draw=partial(_percentiles, place, each, rungs, words),
                            slug=slug(place.stage, place.arm, place.model, each.party.target, "loads"))


def _title(place: Place, words: Words, kind: str) -> str:
    model = words(f"load.{place.model}")
    return f"{words(f'{kind}.title')}: {' · '.join(filter(None, (place.stage, place.arm, model)))}"


def _one(place: Place, each: Ladder, words: Words) -> str:
    """Return the title of the chart of one party."""
    engine = words("simulated") if each.party.simulated else each.party.accelerator
    return f"{_title(place, words, 'loads')} · {each.party.label} ({engine})"


def _shade(index: int, count: int) -> str:
    """Return the colour of a load: the higher, the darker."""
    return SHADES[round(index * (len(SHADES) - 1) / (count - 1))] if count > 1 else SHADES[-2]


def _notes(found: Sequence[Ladder], words: Words) -> str:
    rounds = sorted({len(rung.rounds) for each in found for rung in each.rungs})
    counts = f"{rounds[0]}…{rounds[-1]}" if len(rounds) > 1 else str(rounds[0])
    parts = [words("load.notes", n=counts), *[words("load.found")] * any(each.knee for each in found)]
    for slo in sorted({each.slo for each in found if each.slo}):
        parts.append(words("load.slo", limit=quantity.single(slo[0], "s"), share=f"P{100 * slo[1]:g}"))
    return " · ".join(parts)


def _said(each: Ladder, words: Words) -> str:
    """Return what the legend says of a party: accelerator, and its knee."""
    engine = words("simulated") if each.party.simulated else each.party.accelerator
    if each.knee is None or each.knee.value is None or each.knee.low is None or each.knee.high is None:
        return engine
    shown = [quantity.single(x, "1/s") for x in (each.knee.value, each.knee.low, each.knee.high)]
    least = "≥ " if any(check.name in LIMIT and check.passed is None for check in each.knee.checks) else ""
    knee = words("load.knee", value=least + shown[0], low=shown[1], high=shown[2], n=each.knee.n)
    return ", ".join((engine, knee, words(f"verdict.{each.knee.verdict.name}")))


def _draw(place: Place, found: Sequence[Ladder], plain: Words) -> Figure:
    words = style.spoken(plain)
    notes = _notes(found, words)
    entries = [style.Entry(each.party, _said(each, words), 0) for each in found]
    top = style.headroom(notes) + style.legend_height(entries) + 0.32
    made = style.figure(top + UPPER + GAP + LOWER + 0.6)
    style.head(made, _title(place, words, "load"), notes, flag=style.flag((each.party for each in found), words))
    style.legend(made, style.headroom(notes), entries)
    upper = style.panel(made, (0.85, top, style.WIDTH - 1.15, UPPER))
    lower = style.panel(made, (0.85, top + UPPER + GAP, style.WIDTH - 1.15, LOWER))
    _key(made, style.headroom(notes) + style.legend_height(entries) + 0.12, words)
    for each in found:
        _latencies(upper, each)
        _answers(lower, each)
    _scales(upper, lower, found, words)
    for each in found:
        _knee((upper, lower), each)
    return made


def _key(made: Figure, top: float, words: Words) -> None:
    """Name the lines of the upper panel."""
    axes = style.panel(made, (0, top - 0.08, style.WIDTH, 0.16))
    axes.set(xlim=(0, style.WIDTH), ylim=(0, 1))
    axes.axis("off")
    left = 0.85
    for share, dash, wide in SHARES:
        axes.plot((left, left + style.SAMPLE), (0.5, 0.5), color=style.SOFT, linestyle=dash, linewidth=wide)
        axes.text(left + style.SAMPLE + 0.07, 0.5, f"P{100 * share:g}", va="center", color=style.SOFT)
        left += style.SAMPLE + 0.6
    axes.plot((left + 0.1,), (0.5,), marker="o", markersize=4.5, color=style.SOFT, markerfacecolor=style.PAPER)
    axes.text(left + 0.22, 0.5, words("load.hollow"), va="center", color=style.SOFT)


def _latencies(axes: Axes, each: Ladder) -> None:
    """Draw the percentiles by load; whiskers reach to the lowest and the highest round."""
    looks = style.look(each.party, 0)
    for share, dash, wide in SHARES:
        known = [(rung, rung.quantile(share)) for rung in each.rungs if rung.whole.n * (1 - share) >= BEYOND]
        drawn = [(rung, at) for rung, at in known if at]
        if drawn:
            axes.plot([rung.offered for rung, _ in drawn], [at[0] for _, at in drawn], color=looks.colour,
                      linestyle=dash, linewidth=wide, zorder=3)
        for rung, (value, low, high) in drawn:
            axes.plot((rung.offered,) * 2, (low, high), color=looks.colour, linewidth=0.8, alpha=0.6, zorder=2)
            axes.plot((rung.offered,), (value,), marker=looks.marker, markersize=4.2, color=looks.colour,
                      markerfacecolor=style.PAPER if rung.short else looks.colour, zorder=4)


def _answers(axes: Axes, each: Ladder) -> None:
    looks = style.look(each.party, 0)
    axes.plot([rung.offered for rung in each.rungs], [rung.served for rung in each.rungs], color=looks.colour,
              linewidth=1.3, zorder=3)
    for rung in each.rungs:
        rates = [level.rate for level in rung.rounds]
        axes.plot((rung.offered,) * 2, (min(rates), max(rates)), color=looks.colour, linewidth=0.8, alpha=0.6)
        axes.plot((rung.offered,), (rung.served,), marker=looks.marker, markersize=4.2, color=looks.colour,
                  markerfacecolor=style.PAPER if rung.short else looks.colour, zorder=4)


def _scales(upper: Axes, lower: Axes, found: Sequence[Ladder], words: Words) -> None:
    rates = [rung.offered for each in found for rung in each.rungs]
    values = [y for line in upper.lines for y in np.asarray(line.get_ydata(), dtype=float)]
    limits = [each.slo[0] for each in found if each.slo]
    span, high = axis.cover(rates), axis.cover(values, limits)
    axis.across(upper, span, "1/s")
    upper.tick_params(labelbottom=False)
    upper.set_xlabel("")
    axis.upright(upper, high, "s", words("load.latency"))
    for limit in sorted(set(limits)):
        upper.axhline(limit, color=style.ALARM, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1.5)
    upper.grid(axis="y")
    axis.across(lower, span, "1/s", words("load.offered"))
    both = axis.cover([*rates, *(rung.served for each in found for rung in each.rungs)])
    axis.upright(lower, both, "1/s", words("load.served"), most=4)
    ends = (span.low, span.high)
    lower.plot(ends, ends, color=style.SOFT, linewidth=0.7, linestyle=(0, (1, 1.5)), zorder=1)
    lower.grid(axis="y")


def _knee(panels: Sequence[Axes], each: Ladder) -> None:
    """Mark the finding through both panels, and its interval."""
    knee, looks = each.knee, style.look(each.party, 0)
    if knee is None or knee.value is None or knee.low is None or knee.high is None:
        return
    for axes in panels:
        axes.axvline(knee.value, color=looks.colour, linewidth=1.1, linestyle=(0, (2, 1)), zorder=1.8)
        axes.axvspan(max(knee.low, axes.get_xlim()[0]), min(knee.high, axes.get_xlim()[1]), color=looks.colour,
                     alpha=0.12, linewidth=0, zorder=0.6)
    if axis.Span(*panels[0].get_xlim(), log=panels[0].get_xscale() == "log").holds(knee.value):
        mark = Line2D((knee.value,), (1.0,), transform=panels[0].get_xaxis_transform(), marker=7, markersize=8,
                      color=looks.colour, clip_on=False)
        panels[0].add_line(mark)


def _told_apart(rungs: Sequence[Rung]) -> list[Rung]:
    """Return those with requests enough for a curve, evenly thinned to what can be told apart."""
    fine = [rung for rung in rungs if _distribution(rung).deepest > 0.5]
    if len(fine) <= MOST:
        return fine
    return [fine[at] for at in np.unique(np.linspace(0, len(fine) - 1, MOST).round().astype(int))]


def _distribution(rung: Rung) -> Distribution:
    layout, whole = FioLayout(), rung.whole
    at = np.flatnonzero(whole.counts)
    low, wide = layout.edges(at)
    return Distribution(layout.key(at) / 1e9, low / 1e9, (low + wide - 1) / 1e9, whole.counts[at].astype(np.float64),
                        bool(at.size and at[-1] == layout.clamp_index))


def _percentiles(place: Place, each: Ladder, rungs: Sequence[Rung], plain: Words) -> Figure:
    words = style.spoken(plain)
    notes = words("loads.notes")
    top = style.headroom(notes) + 0.12
    made = style.figure(top + TALL + 0.55)
    style.head(made, _one(place, each, words), notes, flag=style.flag((each.party,), words))
    axes = style.panel(made, (0.85, top, style.WIDTH - 0.85 - 2.0, TALL))
    curves = [_distribution(rung) for rung in rungs]
    ends = [path(curve, 300) for curve in curves]
    deepest = max(x[-1] for x, _ in ends)
    span = axis.cover([y for curve, (_, at) in zip(curves, ends, strict=True)
                       for y in (curve.values[at[0]], curve.values[at[-1]])])
    axes.set(xlim=(0, deepest * 1.01), xlabel=words("percentile"))
    axis.upright(axes, span, "s", words("load.latency"))
    axes.xaxis.set_major_locator(FixedLocator([x for x in tail(np.array(TICKS)) if x <= deepest]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * (1 - 10 ** -x):.7g}"))
    axes.grid()
    for index, (curve, (x, at)) in enumerate(zip(curves, ends, strict=True)):
        shade = _shade(index, len(rungs))
        axes.plot(x, curve.values[at], color=shade, linestyle=style.DASHES[index % 3], linewidth=1.5)
        axes.plot(x[-1:], curve.values[at][-1:], color=shade, marker=style.MARKERS[index % len(style.MARKERS)],
                  markersize=4.5, clip_on=False, markerfacecolor=style.PAPER if rungs[index].short else shade)
    _names(made, top, rungs, words)
    return made


def _names(made: Figure, top: float, rungs: Sequence[Rung], words: Words) -> None:
    """Name the curves beside the panel, the highest load on top."""
    left = style.WIDTH - 1.85
    style.write(made, left, top + 0.06, words("loads.load"), size=style.SMALL, weight="bold")
    for index, rung in reversed(list(enumerate(rungs))):
        shade = _shade(index, len(rungs))
        y = top + 0.26 + 0.2 * (len(rungs) - 1 - index)
        axes = style.panel(made, (left, y - 0.06, style.SAMPLE, 0.12))
        axes.axis("off")
        axes.plot((0, 1), (0, 0), color=shade, linestyle=style.DASHES[index % 3], linewidth=1.5)
        axes.plot((0.5,), (0,), color=shade, marker=style.MARKERS[index % len(style.MARKERS)], markersize=4.5,
                  markerfacecolor=style.PAPER if rung.short else shade)
        text = f"{rung.name.replace(' users', words('load.users'))}, n = {len(rung.rounds)}"
        style.write(made, left + style.SAMPLE + 0.08, y, style.fit(text, 1.35, style.SMALL), size=style.SMALL)
