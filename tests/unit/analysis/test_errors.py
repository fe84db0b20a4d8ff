"""Errors of a prober at events of known length, as a chart for each place."""

import msgspec
import numpy as np
import pytest

from analysis import charts
from analysis.charts import errors, style
from analysis.episodes import episodes
from analysis.rows import material
from analysis.words import Words
from harness import history
from harness.model import Event, Outcome, Status, StepResult

INTERVAL = 0.01
EVENTS = [(1.0 + 2 * number, 1.0 + 2 * number + 0.004 * 2.2 ** number) for number in range(8)]


def calibrated(made_up, seen, action="cut"):
    """Return a step whose events were seen `seen` times as long as they were."""
    sent = (np.arange(0, 20, INTERVAL) * 1e9).astype(np.int64)
    lost = np.zeros(sent.size, dtype=bool)
    for begin, end in EVENTS:
        lost |= (sent >= begin * 1e9) & (sent < (begin + seen * (end - begin)) * 1e9)
    columns = history.Columns(sent, np.zeros_like(sent), np.where(lost, history.NEVER, 400_000))
    probes = tuple(history.made(columns, probe=probe, kind="icmp", machine="sut", interval=INTERVAL, patience=12.0)
                   for probe in ("icmp", "ping"))
    return StepResult(step=made_up.step("target-0", stage="packets", workload="calibration"), status=Status.DONE,
                      started="2026-10-01T10:00:00Z", elapsed=20.0, series=(), histories=probes,
                      events=tuple(Event(actor="fault", action=action, start=begin, end=end, outcome=Outcome.OK)
                                   for begin, end in EVENTS))


def gathered(made_up, *results):
    return material([msgspec.structs.replace(made_up.run("target-0", made_up.facts[0], rounds=1), results=results)], [])


def of_errors(found, lang="en"):
    return [each for each in charts.plan(found, Words(lang)) if each.kind == "errors"]


def test_every_probe_has_a_panel_that_counts_all_its_events(made_up):
    chart, = of_errors(gathered(made_up, calibrated(made_up, 1.0)))
    titles = [axes.get_title(loc="left") for axes in chart.draw().axes if axes.get_title(loc="left")]
    assert [title.partition(":")[0] for title in titles] == ["icmp", "ping"]
    assert all("8 of 8 within one interval" in title for title in titles)


def test_what_is_far_off_stands_at_the_edge_and_is_counted(made_up):
    chart, = of_errors(gathered(made_up, calibrated(made_up, 1.5)))
    axes = next(each for each in chart.draw().axes if each.get_title(loc="left"))
    beyond = int(axes.get_title(loc="left").split(", ")[-1].split()[0])
    assert beyond >= 3
    edge = [y for line in axes.lines if line.get_marker() == "^" for y in line.get_ydata()]
    assert edge == [errors.RIM] * beyond


@pytest.mark.parametrize("action", ["cut", "pause"])
def test_events_that_only_calibrate_are_no_episodes(made_up, action):
    found = gathered(made_up, calibrated(made_up, 1.0, action))
    assert len(of_errors(found)) == 1
    assert not episodes(found)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_it_is_drawn_the_same_twice(made_up, lang):
    planned = of_errors(gathered(made_up, calibrated(made_up, 1.2)), lang)
    once, again = (charts.render(planned)[0] for _ in range(2))
    assert (once.svg, once.png) == (again.svg, again.png)
    assert style.chinese() or not charts.WIDE.search(once.svg), "glyphs that no font here has"


def test_without_such_events_there_is_none(made_up):
    alone = msgspec.structs.replace(calibrated(made_up, 1.0), events=())
    assert of_errors(gathered(made_up, alone)) == []
