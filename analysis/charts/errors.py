"""How far off each probe was at every event of known length: its error in intervals over the true length.

The one thing to know: the band is one interval either way, which no prober can do better than; what lies outside the
picture stands at its edge as a triangle and is counted in the panel's note, never left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.charts import Absence, Chart, axis, latency, slug, style
from analysis.rows import Material, Party, clean
from analysis.words import Words
from harness.indicators import probing
from harness.indicators.probing import Told

ORDER = 44
EDGE = 3.0          # intervals up and down that a panel shows
RIM = 2.75          # where what is beyond stands, clear of the panel's title
LEFT, RIGHT, TALL, SPACE = 0.75, 0.25, 1.05, 0.24


@dataclass(frozen=True, kw_only=True)
class Errors:
    """What one probe of a party told of all events at a place."""

    party: Party
    probe: str
    told: tuple[Told, ...]


def charts(material: Material, words: Words) -> Iterator[Chart | Absence]:
    """Yield a chart for every place at which a prober was held to events of known length."""
    for place, found in _found(material).items():
        yield Chart(kind="errors", area="probing", title=_title(place, words), caption=words("errors.notes"),
                    draw=partial(_draw, found, place, words), slug=slug(latency.place(*place), "errors"))


def _found(material: Material) -> dict[tuple[str, str], list[Errors]]:
    told: dict[tuple[str, str], dict[tuple[Party, str], list[Told]]] = {}
    for run in material.runs:
        party = material.party(run.plan.target)
        for result in run.results:
            if any(event.actor == "fault" and event.action in probing.LENGTHS for event in result.events):
                place = told.setdefault((result.step.stage, clean(result.step.point)), {})
                for probe in dict.fromkeys(history.probe for history in result.histories):
                    place.setdefault((party, probe), []).extend(probing.told(result, probe))
    return {place: found for place, each in told.items() if (found := [
        Errors(party=party, probe=clean(probe), told=tuple(them)) for (party, probe), them in each.items() if them])}


def _title(place: tuple[str, str], words: Words) -> str:
    return f"{words('errors.title')}: {latency.place(*place)}"


def _draw(found: Sequence[Errors], place: tuple[str, str], words: Words) -> Figure:
    words = style.spoken(words)
    notes = words("errors.notes")
    parties = sorted({each.party.index: each.party for each in found}.items())
    entries = [style.Entry(party, party.accelerator, curve) for curve, (_, party) in enumerate(parties)]
    top = style.headroom(notes) + style.legend_height(entries) + 0.3
    made = style.figure(top + len(found) * (TALL + SPACE) + 0.4)
    style.head(made, _title(place, words), notes, flag=style.flag((party for _, party in parties), words))
    style.legend(made, style.headroom(notes) + 0.05, entries)
    span = axis.cover([each.true for one in found for each in one.told])
    for row, one in enumerate(found):
        axes = style.panel(made, (LEFT, top + row * (TALL + SPACE), style.WIDTH - LEFT - RIGHT, TALL))
        axis.across(axes, span, "s", words("errors.axis") if row == len(found) - 1 else "")
        if row < len(found) - 1:
            axes.tick_params(axis="x", labelbottom=False)
        _panel(axes, one, words)
    return made


def _panel(axes: Axes, one: Errors, words: Words) -> None:
    looks = style.look(one.party, 0)
    axes.axhspan(-1, 1, color=style.FAINT, alpha=0.55, linewidth=0, zorder=0)
    axes.axhline(0, color=style.SOFT, linewidth=0.6, zorder=1)
    inside = [each for each in one.told if abs(each.error) <= EDGE]
    axes.plot([each.true for each in inside], [each.error for each in inside], linestyle="none", marker=looks.marker,
              markersize=3, color=looks.colour, alpha=0.75, zorder=3)
    for sign, mark in ((1, "^"), (-1, "v")):
        axes.plot([each.true for each in one.told if sign * each.error > EDGE],
                  [sign * RIM for each in one.told if sign * each.error > EDGE], linestyle="none", marker=mark,
                  markersize=5, color=style.ALARM, zorder=4)
    axes.set_ylim(-EDGE, EDGE)
    axes.set_yticks((-2, -1, 0, 1, 2))
    axes.set_ylabel(words("errors.unit"), fontsize=style.SMALL)
    near = sum(abs(each.error) <= 1 for each in one.told)
    far = sum(abs(each.error) > EDGE for each in one.told)
    bias = math.fsum(each.error for each in one.told) / len(one.told)
    axes.set_title(words("errors.panel", probe=one.probe, near=near, n=len(one.told), bias=f"{bias:+.2f}", far=far),
                   loc="left", fontsize=style.SMALL, pad=2)
