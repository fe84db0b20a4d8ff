"""Quantities: what may be written, what is refused, what is shown."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.units import BY_BASE, Bandwidth, Bytes, Rate, Seconds, Share, show

KINDS = sorted(BY_BASE.values(), key=lambda kind: kind.base)


@pytest.mark.parametrize(("kind", "text", "value"), [
    (Bytes, "4KiB", 4096), (Bytes, "4 KiB", 4096), (Bytes, "1kB", 1000), (Bytes, "1.5GiB", 1.5 * 2**30),
    (Seconds, "250us", 250e-6), (Seconds, "250 µs", 250e-6), (Seconds, "5min", 300), (Seconds, "1e-3s", 1e-3),
    (Bandwidth, "1Gbit/s", 125e6), (Bandwidth, "1 GiB/s", 2**30), (Bandwidth, "8bit/s", 1),
    (Rate, "1000/s", 1000), (Rate, "1k/s", 1000), (Rate, "200 IOPS", 200), (Rate, "10Hz", 10),
    (Share, "5%", 0.05), (Share, "100 ppm", 1e-4), (Share, "0.5", 0.5),
])
def test_reads(kind, text, value):
    assert kind.read(text) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", [5, 5.0, None, True, "", "s", "5 parsecs", "-1", "1e999", "nan", "inf", "0x10", "1 2",
                                  "1:30", ["5s"]])
def test_refuses(kind, text):
    with pytest.raises(ValueError, match=r"quantity|finite"):
        kind.read(text)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not Share])
def test_a_bare_number_is_refused(kind):
    with pytest.raises(ValueError, match="is no quantity"):
        kind.read("30")


@given(st.sampled_from(KINDS), st.data())
def test_every_unit_is_read(kind, data):
    unit = data.draw(st.sampled_from(sorted(kind.units)))
    number = data.draw(st.integers(0, 10**9))
    assert kind.read(f"{number} {unit}") == pytest.approx(number * kind.units[unit])
    assert kind.read(kind.example) > 0


@pytest.mark.parametrize(("value", "unit", "text"), [
    (0.00123, "s", "1.23 ms"), (0.0, "s", "0 s"), (90.0, "s", "90 s"), (2e-6, "s", "2 µs"), (5e-9, "s", "5 ns"),
    (1.2e9, "B/s", "1.2 GB/s"), (1234, "1/s", "1.234 k/s"), (7, "1/s", "7 /s"), (0.051, "1", "5.1 %"),
    (4096, "B", "4.096 kB"), (math.inf, "s", "∞ s"), (-math.inf, "s", "-∞ s"), (math.nan, "s", "nan s"),
    (-0.002, "s", "-2 ms"),
])
def test_shows(value, unit, text):
    assert show(value, unit) == text
