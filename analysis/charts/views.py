"""How long a move interrupted a guest, by three views at once: the platform, the guest itself, and from outside."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import moves, quantity
from analysis.charts import Absence, Chart, axis, latency, slug, style
from analysis.moves import View
from analysis.rows import Material
from analysis.words import Words

ORDER = 42
LEFT, RIGHT, LINE = 2.1, 1.2, 0.3
SPREAD = 0.28       # how far the moves of a target stand apart, of a line


def charts(material: Material, words: Words) -> Iterator[Chart | Absence]:
    """Yield a chart for every place at which guests were moved."""
    for place in moves.places(material):
        if found := moves.views(material, place):
            yield Chart(kind="views", area="MIG", title=_title(place, words), caption=words("views.notes"),
                        draw=partial(_draw, found, place, words), slug=slug(latency.place(*place), "views"))


def _title(place: tuple[str, str], words: Words) -> str:
    return f"{words('views.title')}: {latency.place(*place)}"


def _draw(found: Sequence[View], place: tuple[str, str], words: Words) -> Figure:
    words = style.spoken(words)
    notes = words("views.notes")
    parties = sorted({each.party.index: each.party for each in found}.items())
    entries = [style.Entry(party, f"{party.accelerator}, n = {max(len(v.times) for v in found if v.party == party)}",
                           curve) for curve, (_, party) in enumerate(parties)]
    names = list(dict.fromkeys(each.view for each in found))
    top = style.headroom(notes) + style.legend_height(entries) + 0.15
    tall = LINE * len(parties) * len(names) + 0.1
    made = style.figure(top + tall + 0.55)
    style.head(made, _title(place, words), notes, flag=style.flag((party for _, party in parties), words))
    style.legend(made, style.headroom(notes) + 0.05, entries)
    axes = style.panel(made, (LEFT, top, style.WIDTH - LEFT - RIGHT, tall))
    seen = [x for each in found for time in each.times for x in (time.value, time.high) if x > 0 and math.isfinite(x)]
    span = axis.cover(seen or [0.0, 1.0], zero=not seen)
    axis.across(axes, span, "s", words("views.axis"))
    inside = {moves.PLATFORM: words("views.platform"), moves.INSIDE: words("views.inside")}
    said = [inside.get(name, f"{words('views.outside')}: {words.probe(name)}") for name in names]
    axes.set_yticks(range(len(names)), [style.fit(each, LEFT - 0.2, style.SMALL) for each in said])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    for curve, (_, party) in enumerate(parties):
        for each in found:
            if each.party == party:
                at = names.index(each.view) + (curve + 0.5) / len(parties) - 0.5
                _row(axes, each, at, SPREAD / len(parties), span)
    return made


def _row(axes: Axes, view: View, at: float, spread: float, span: axis.Span) -> None:
    """Draw every move with its bounds, and say their median."""
    looks = style.look(view.party, 0)
    for place, time in zip(np.linspace(-spread, spread, len(view.times)), view.times, strict=True):
        y = at + float(place)
        if math.isinf(time.value):
            axes.plot((span.high,), (y,), marker=">", color=looks.colour, markersize=5, clip_on=False)
            continue
        hollow = time.value <= 0      # none was lost: shorter than the bound
        x = max(time.high if hollow else time.value, span.low)
        axes.plot((max(time.low, span.low), min(time.high, span.high)), (y, y), color=looks.colour, linewidth=1.6,
                  alpha=0.35, solid_capstyle="butt")
        axes.plot((x,), (y,), marker="<" if hollow else looks.marker, color=looks.colour, markersize=3.5,
                  markerfacecolor=style.PAPER if hollow else looks.colour, linestyle="none", clip_on=False)
    middle = float(np.median([time.value for time in view.times]))
    text = quantity.single(middle, "s", 3) if math.isfinite(middle) else "∞"
    axes.annotate(text, (1.0, at), xycoords=("axes fraction", "data"), xytext=(8, 0), textcoords="offset points",
                  va="center", size=style.SMALL, color=looks.colour, annotation_clip=False)
