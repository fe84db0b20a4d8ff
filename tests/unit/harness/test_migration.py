"""What the rows of live migration read of a step: interruptions, refusals, corrupted guests."""

import math

import numpy as np
import pytest

from harness import history, indicators
from harness.indicators import migration
from harness.model import Event, Outcome, Series, Status, Step, StepResult
from harness.stats.records import DEFAULT_POLICY

AWAY = 0.3      # s that a guest is away after each move's begin
STARTS = (5.0, 15.0)
SOUND = "host 0 to 1: the guest is sound"


def move(start, detail=SOUND):
    outcome = Outcome.OK if detail == SOUND else Outcome.FAILED
    return Event(actor="migration", action="move", start=start, end=start + 2, outcome=outcome, detail=detail)


def probed(kind, interval, since, until, starts):
    sent = np.arange(round(since * 1e9), round(until * 1e9), round(interval * 1e9))
    latency = np.full_like(sent, 10**6)
    for start in starts:
        latency[(sent >= (start + 1) * 1e9) & (sent < (start + 1 + AWAY) * 1e9)] = history.NEVER
    return history.made(history.Columns(sent, np.zeros_like(sent), latency), probe=kind, kind=kind, machine="sut",
                        interval=interval, patience=60)


TWO = tuple(move(start) for start in STARTS)


def step(turn=0, events=TWO, histories=None, storage="shared"):
    where = Step(id=f"memory#{turn}", stage="memory", workload="migration", params={"storage": storage}, point="memory",
                 grid={}, arm={}, round=turn, order=turn, target="t")
    if histories is None:
        histories = tuple(probed(kind, 0.01, 0, 25, STARTS) for kind in ("icmp", "udp", "http"))
    series = tuple(Series(metric=f"migration.{name}", unit="s", values=(value,), labels={"move": str(number)})
                   for number in range(len(events)) for name, value in (
                       ("total", 2.0), ("downtime", 0.2), ("heartbeat", 0.25), ("heartbeat.low", 0.24),
                       ("heartbeat.high", 0.26)))
    return StepResult(step=where, status=Status.DONE, started="2026-10-01T10:00:00Z", elapsed=25.0, events=events,
                      histories=histories, series=series)


def evaluated(row, *steps):
    return indicators.catalogue()[row].evaluate(steps, DEFAULT_POLICY)


def test_all_rows_of_sound_moves_have_numbers():
    for storage in ("shared", "copied"):
        steps = [step(turn, storage=storage) for turn in range(5)]
        for row in indicators.catalogue().values():
            if row.workload == "migration" and row.applies(steps[0].step):
                found = row.evaluate(steps, DEFAULT_POLICY)
                assert not found.fail, row.id
                assert not math.isnan(found.estimate.estimate), row.id
    assert evaluated("MIG-02", *steps).estimate.estimate == pytest.approx(0.2)
    assert evaluated("MIG-03", *steps).estimate.estimate == pytest.approx(AWAY, abs=0.01)
    assert evaluated("MIG-04", *steps).estimate.estimate == pytest.approx(AWAY / 2, abs=0.01)


def test_each_move_is_looked_up_in_the_probes_of_its_own_guest():
    parts = tuple(probed(kind, 0.01, since, since + 12, (start,))
                  for since, start in zip((0, 12.5), STARTS, strict=True)
                  for kind in ("icmp", "http"))
    whole = migration.interruption("icmp")(step(histories=parts))
    assert [timed.value for timed in whole] == pytest.approx([AWAY, AWAY], abs=0.01)
    assert migration.degradation(step(histories=parts)) == pytest.approx(AWAY / 2, abs=0.01)


def test_a_move_that_nobody_noticed_took_less_than_two_intervals_and_a_round_trip():
    quiet = (probed("icmp", 0.01, 0, 25, ()),)
    for timed in migration.interruption("icmp")(step(histories=quiet)):
        assert (timed.value, timed.low) == (0, 0)
        assert 0.02 <= timed.high <= 0.04


@pytest.mark.parametrize(("detail", "fails"), [
    ("host 0 to 1: 3 pages of its memory were not what was written (1 damaged)", True),
    ("host 0 to 1: the platform says: operation failed; the network of the guest does not answer", True),
    ("host 0 to 1: the platform says: operation aborted", False)])
def test_a_guest_that_is_not_sound_fails_and_a_refusal_only_counts(detail, fails):
    steps = [step(0, (move(5.0, detail), move(15.0))), *(step(turn) for turn in range(1, 5))]
    found = evaluated("MIG-05", *steps)
    assert bool(found.fail) is fails
    assert found.estimate.estimate == pytest.approx(0.9)
    assert len(migration.interruption("icmp")(steps[0])) == 1


def test_without_a_probe_there_is_no_interruption():
    with pytest.raises(ValueError, match="no probe of kind icmp"):
        migration.interruption("icmp")(step(histories=()))
