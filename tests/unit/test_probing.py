"""What probes say of an event, against the exact truth of simulated cuts and pauses."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.probe import packed
from harness import history, probing
from harness.errors import ToolError
from harness.history import NEVER, Columns
from harness.stats.outages import Outage

MS = 1_000_000
TRIP = 300_000


def seen(d: int, begin: int, end: int, kind: str, *, span: int, seed: int = 0) -> Columns:
    """Return what a prober at spacing `d` sees of a cut or a pause from `begin` to `end` (ns)."""
    rng = np.random.default_rng(seed)
    sent = np.arange(0, span, d, dtype=np.int64) + int(rng.integers(d))
    latency = TRIP + rng.integers(0, 2 * MS, sent.size)
    away = (sent >= begin) & (sent < end)
    latency[away] = NEVER if kind == "cut" else end - sent[away] + TRIP
    return Columns(sent, np.zeros_like(sent), latency)


def found(columns: Columns, d: int) -> list[Outage]:
    made = history.made(columns, probe="a", kind="udp", machine="guest", interval=d / 1e9, patience=30)
    return probing.outages(made)


@settings(deadline=None, max_examples=40)
@given(d=st.sampled_from([MS, 5 * MS, 10 * MS]), length=st.integers(1, 3000), phase=st.integers(0, 10 * MS),
       seed=st.integers(0, 99))
def test_a_cut_is_seen_within_one_interval(d: int, length: int, phase: int, seed: int) -> None:
    begin = 500 * MS + phase
    outages = found(seen(d, begin, begin + length * MS, "cut", span=3700 * MS, seed=seed), d)
    total = probing.seen_of(outages, begin / 1e9, begin / 1e9 + length / 1e3, 0.02)
    assert abs(total - length / 1e3) <= d / 1e9 + 1e-9


@settings(deadline=None, max_examples=40)
@given(d=st.sampled_from([MS, 5 * MS, 10 * MS]), length=st.integers(30, 3000), phase=st.integers(0, 10 * MS),
       seed=st.integers(0, 99))
def test_a_pause_is_seen_whole_although_its_last_probes_are_answered_in_time(
        d: int, length: int, phase: int, seed: int) -> None:
    begin = 500 * MS + phase
    (outage,) = found(seen(d, begin, begin + length * MS, "pause", span=3700 * MS, seed=seed), d)
    assert abs(outage.est_s - length / 1e3) <= d / 1e9 + 2e-3       # and the jitter of the simulated round trip


def test_neither_cut_nor_pause_is_biased() -> None:
    rng = np.random.default_rng(1)
    for kind in ("cut", "pause"):
        errors = []
        for seed in range(400):
            begin, length = int(rng.integers(400 * MS, 500 * MS)), int(rng.integers(50 * MS, 400 * MS))
            columns = seen(10 * MS, begin, begin + length, kind, span=1000 * MS, seed=seed)
            errors.append(found(columns, 10 * MS)[0].est_s - length / 1e9)
        assert abs(np.mean(errors)) < 0.1 * 0.01


def test_jitter_is_no_event() -> None:
    columns = seen(MS, 0, 0, "cut", span=1000 * MS)
    columns.latency[100:103] = 9 * MS
    assert found(columns, MS) == []


def test_a_service_that_never_comes_back_is_censored() -> None:
    (outage,) = found(seen(10 * MS, 500 * MS, 9000 * MS, "cut", span=1000 * MS), 10 * MS)
    assert outage.censored
    assert outage.est_s == np.inf


def test_a_prober_that_was_late_is_no_witness() -> None:
    columns = seen(10 * MS, 0, 0, "cut", span=1000 * MS)
    made = [history.made(columns._replace(lag=columns.lag + lag), probe="a", kind="udp", machine="g", interval=0.01,
                         patience=1) for lag in (4 * MS, 6 * MS)]
    assert probing.punctual(made[:1]).passed
    assert not probing.punctual(made).passed


@given(st.lists(st.integers(-2**62, 2**62), max_size=50))
def test_what_the_prober_packs_is_unpacked(values: list[int]) -> None:
    import base64
    assert history.unpack(base64.b64decode(packed(values)), len(values)).tolist() == values


def test_lines_become_columns_and_a_line_cut_off_by_a_kill_is_left_out() -> None:
    def block(first: int, sent: list[int]) -> str:
        return json.dumps({"probe": "a", "first": first, "count": len(sent), "sent": packed(sent),
                           "lag": packed([0] * len(sent)), "latency": packed([NEVER] * len(sent))})
    head = json.dumps({"boot": "b", "monotonic": 1, "realtime": 2, "scheduler": "fifo"})
    text = "\n".join((head, block(0, [5, 6]), block(2, [7]), block(3, [8])[:30]))
    assert probing.parse(text).columns["a"].sent.tolist() == [5, 6, 7]


def test_what_is_no_prober_is_told() -> None:
    with pytest.raises(ToolError, match="prober"):
        probing.parse("Traceback\n")
