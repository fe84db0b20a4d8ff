"""All events sorted by how long they took, target by target: an empirical distribution with nothing left out.

The one thing to know: an event that never ended stands at the right edge with a mark of its own; it is not dropped.
A limit is the user's, of the indicator that judges such outages; a red line shows it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator

from analysis import quantity
from analysis.charts import Absence, Chart, axis, latency, slug, style
from analysis.episodes import Episode, Seen, episodes
from analysis.rows import Material, Party, Row
from analysis.words import Words
from harness import stats

ORDER = 41
TALL, EDGE = 2.4, 0.55
OUTAGES = re.compile(r"(HA-0[124]|HA-03\.guest|MIG-03)(\.worst)?")    # indicators of how long an event was an outage


def charts(material: Material, words: Words) -> Iterator[Chart | Absence]:
    """Yield a chart for every stage, point and kind of event that probes looked at."""
    found = sorted((each for each in episodes(material) if each.worst),
                   key=lambda each: (each.stage, each.point, each.kind))
    for (stage, point, kind), group in groupby(found, key=lambda each: (each.stage, each.point, each.kind)):
        its = tuple(group)
        limited = tuple(row for row in material.rows
                        if row.limits and row.point == point and OUTAGES.fullmatch(row.indicator))
        yield Chart(kind="recoveries", area="MIG" if kind == "move" else "HA", title=_title(its, words),
                    caption=words("recoveries.notes"), draw=partial(_draw, its, limited, words),
                    slug=slug(latency.place(stage, point), kind, "recoveries"))


def _title(found: Sequence[Episode], words: Words) -> str:
    return f"{words('recoveries.title')}: {latency.place(found[0].stage, found[0].point)} · {found[0].kind}"


def _draw(found: Sequence[Episode], limited: Sequence[Row], words: Words) -> Figure:
    words = style.spoken(words)
    parties = sorted({each.party.index: each.party for each in found}.items())
    entries, said = [], []
    for curve, (_, party) in enumerate(parties):
        times = _of(found, party)
        entries.append(style.Entry(party, f"{party.accelerator}, n = {len(times)}", curve))
        said.append(f"{party.label}: {words.say(_bound(times).text)}")
    for row in {(row.indicator, row.op, row.limits): row for row in limited}.values():
        said.append(f"{row.indicator} {words('limit.axis', text=quantity.requirement(row.op, row.limits, row.unit))}")
    notes = words("recoveries.notes")
    lines = [line for text in said for line in style.wrap(text, style.WIDTH - 2 * style.PAD, style.SMALL, lines=2)]
    top = style.headroom(notes) + style.legend_height(entries) + 0.15
    made = style.figure(top + TALL + 0.6 + 0.15 * len(lines))
    style.head(made, _title(found, words), notes, flag=style.flag((party for _, party in parties), words))
    style.legend(made, style.headroom(notes) + 0.05, entries)
    axes = style.panel(made, (0.65, top, style.WIDTH - 0.65 - EDGE - 0.2, TALL))
    known = [x for each in found if each.worst and math.isfinite(each.worst.value)
             for x in (each.worst.low, each.worst.value, each.worst.high) if x > 0]
    limits = sorted({limit for row in limited for limit in row.limits})
    span = axis.cover(known or [0.0, 1.0], limits, zero=not known)
    axis.across(axes, span, "s", words("recoveries.axis"))
    for limit in filter(span.holds, limits):
        axes.axvline(limit, color=style.ALARM, linewidth=1.4)
    for entry in entries:
        _curve(axes, _of(found, entry.party), style.look(entry.party, entry.curve), words)
    axes.set_ylim(0, 1.06)
    axes.yaxis.set_major_locator(MultipleLocator(0.25))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: quantity.single(y, "1")))
    style.foot(made, top + TALL + 0.6, lines)
    return made


def _of(found: Sequence[Episode], party: Party) -> list[Seen]:
    times = [each.worst for each in found if each.party == party and each.worst]
    return sorted(times, key=lambda each: (each.value, each.high))


def _bound(times: Sequence[Seen]) -> stats.ToleranceBound:
    return stats.tolerance_bound([each.value for each in times],
                                 bounds=([each.low if math.isfinite(each.value) else math.inf for each in times],
                                         [each.high for each in times]), unit="s")


def _curve(axes: Axes, times: Sequence[Seen], looks: style.Look, words: Words) -> None:
    low, right = axes.get_xlim()
    shares = [(rank + 1) / len(times) for rank in range(len(times))]
    inside = [(max(each.value, low), share) for each, share in zip(times, shares, strict=True)
              if math.isfinite(each.value)]
    for each, share in zip(times, shares, strict=True):
        if math.isfinite(each.value):
            axes.plot((max(each.low, low), min(each.high, right)), (share, share), color=looks.colour, linewidth=2.2,
                      alpha=0.35, solid_capstyle="butt")
        else:
            axes.plot((right,), (share,), marker=">", color=looks.colour, markersize=7, clip_on=False)
            axes.annotate(words("incidents.never"), (right, share), xytext=(6, 0), textcoords="offset points",
                          va="center", size=style.SMALL, annotation_clip=False)
    if inside:
        axes.step([x for x, _ in inside], [y for _, y in inside], where="post", color=looks.colour,
                  linestyle=looks.dash, marker=looks.marker, markersize=4)
    bound = _bound(times).bound
    if low <= bound <= right:
        axes.axvline(bound, color=looks.colour, linestyle=(0, (1, 1)), linewidth=1.2)
