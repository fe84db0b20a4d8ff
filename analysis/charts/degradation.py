"""How requests were served before, during and after a move, over all moves of a target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator

from analysis import moves, quantity
from analysis.charts import Absence, Chart, axis, latency, slug, style
from analysis.moves import Service
from analysis.rows import Material
from analysis.words import Words

ORDER = 43
TALL = 2.2


def charts(material: Material, words: Words) -> Iterator[Chart | Absence]:
    """Yield a chart for every place at which guests were moved while requests were sent."""
    for place in moves.places(material):
        if found := moves.service(material, place):
            yield Chart(kind="degradation", area="MIG", title=_title(place, words), caption=words("degradation.notes"),
                        draw=partial(_draw, found, place, words), slug=slug(latency.place(*place), "degradation"))


def _title(place: tuple[str, str], words: Words) -> str:
    return f"{words('degradation.title')}: {latency.place(*place)}"


def _draw(found: Sequence[Service], place: tuple[str, str], words: Words) -> Figure:
    words = style.spoken(words)
    notes = words("degradation.notes")
    entries = [style.Entry(each.party, words("degradation.which", moves=each.moves, requests=each.requests), curve)
               for curve, each in enumerate(found)]
    top = style.headroom(notes) + style.legend_height(entries) + 0.15
    made = style.figure(top + TALL + 0.6)
    style.head(made, _title(place, words), notes, flag=style.flag((each.party for each in found), words))
    style.legend(made, style.headroom(notes) + 0.05, entries)
    axes = style.panel(made, (0.75, top, style.WIDTH - 0.75 - 0.4, TALL))
    far = max(each.at[-1] for each in found) + moves.BIN
    axis.across(axes, axis.Span(-moves.BEFORE, far), "s", words("degradation.axis"))
    axes.axvline(0, color=style.ALARM, linewidth=1.0)
    for entry, each in zip(entries, found, strict=True):
        looks = style.look(each.party, entry.curve)
        axes.plot(each.at, each.shares, color=looks.colour, linestyle=looks.dash, marker=looks.marker, markersize=3)
        axes.axvline(each.end, color=looks.colour, linewidth=1.0, linestyle=(0, (1, 1)))
    axes.set_ylim(0, 1.05)
    axes.grid(axis="y")
    axes.yaxis.set_major_locator(MultipleLocator(0.25))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: quantity.single(y, "1")))
    return made
