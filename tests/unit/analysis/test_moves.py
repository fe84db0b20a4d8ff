"""Moves of runs made up through the model types: three views of each, and service around it."""

import msgspec
import numpy as np
import pytest

from analysis import charts, moves
from analysis.charts import style
from analysis.rows import material
from analysis.words import Words
from harness import history
from harness.model import Event, Outcome, Series, Status, StepResult

BEGINS, LASTED, AWAY = 4.0, 1.5, 0.3


def moved(made_up, target="target-0", turn=0):
    """Return a step with one move, whose guest answers no request in the last 0.3 s of it."""
    sent = (np.arange(0, 10, 0.05) * 1e9).astype(np.int64)
    end = BEGINS + LASTED
    latency = np.where((sent >= (end - AWAY) * 1e9) & (sent < end * 1e9), history.NEVER, 400_000)
    probe = history.made(history.Columns(sent, np.zeros_like(sent), latency), probe="http", kind="http", machine="sut",
                         interval=0.05, patience=1.0)
    told = {"downtime": 0.1, "heartbeat": 0.2, "heartbeat.low": 0.19, "heartbeat.high": 0.21}
    return StepResult(
        step=made_up.step(target, stage="idle", workload="migration", turn=turn, order=turn), status=Status.DONE,
        started="2026-10-01T10:00:00Z", elapsed=10.0, histories=(probe,),
        events=(Event(actor="migration", action="move", start=BEGINS, end=end, outcome=Outcome.OK),),
        series=tuple(Series(metric=f"migration.{name}", unit="s", values=(value,), labels={"move": "0"})
                     for name, value in told.items()))


@pytest.fixture
def gathered(made_up):
    runs = [msgspec.structs.replace(made_up.run(f"target-{index}", made_up.facts[index], rounds=1), results=tuple(
        moved(made_up, f"target-{index}", turn) for turn in range(3))) for index in range(2)]
    return material(runs, [])


def test_the_platform_comes_first_and_the_outside_last(gathered):
    place, = moves.places(gathered)
    found = [each for each in moves.views(gathered, place) if each.party.index == 0]
    assert [each.view for each in found] == ["platform", "inside", "http"]
    assert [len(each.times) for each in found] == [3, 3, 3]
    platform, inside, outside = (each.times[0] for each in found)
    assert (platform.low, platform.value, platform.high) == (0.1, 0.1, 0.1)
    assert (inside.low, inside.value, inside.high) == (0.19, 0.2, 0.21)
    assert outside.low <= AWAY <= outside.high


def test_service_falls_where_nobody_was_served(gathered):
    place, = moves.places(gathered)
    first, second = moves.service(gathered, place)
    assert (first.moves, first.end) == (3, pytest.approx(LASTED))
    shares = dict(zip(first.at, first.shares, strict=True))
    assert shares[-1.875] == shares[0.125] == 1.0
    assert shares[1.375] == 0.0           # of the last quarter of a second of the move
    assert first.requests == second.requests
    assert first.requests / 3 == pytest.approx((moves.BEFORE + LASTED + moves.AFTER) / 0.05, abs=2)


def test_without_requests_there_is_no_service(made_up):
    alone = msgspec.structs.replace(moved(made_up), histories=())
    run = msgspec.structs.replace(made_up.run("target-0", made_up.facts[0], rounds=1), results=(alone,))
    found = material([run], [])
    assert moves.service(found, moves.places(found)[0]) == []
    assert [each.view for each in moves.views(found, moves.places(found)[0])] == ["platform", "inside"]


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("kind", ["views", "degradation"])
def test_both_are_drawn_the_same_twice(gathered, kind, lang):
    planned = [each for each in charts.plan(gathered, Words(lang)) if each.kind == kind]
    assert len(planned) == 1
    once, again = (charts.render(planned)[0] for _ in range(2))
    assert once.svg == again.svg
    assert once.png == again.png
    assert style.chinese() or not charts.WIDE.search(once.svg), "glyphs that no font here has"
