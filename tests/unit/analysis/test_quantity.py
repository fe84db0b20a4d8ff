import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from analysis import quantity

SIZES = st.floats(-1e13, 1e13, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-9)
UNITS = st.sampled_from(["s", "B", "B/s", "1/s", "1"])
EXACT = 10 ** -quantity.MOST_DECIMALS


def read(text):
    return float(text.replace(quantity.MINUS, "-"))


def compare(a, b):
    return (a > b) - (a < b)


@pytest.mark.parametrize(("value", "unit", "text"), [
    (0.00123, "s", "1.23 ms"), (0.0, "s", "0 s"), (-0.0125, "1", "−1.25 %"), (1.2e9, "B/s", "1.2 GB/s"),
    (math.inf, "s", "∞ s"), (-math.inf, "B", "−∞ B"), (5000.0, "1/s", "5 k/s"), (3.1e-9, "s", "3.1 ns"),
])
def test_single(value, unit, text):
    assert quantity.single(value, unit) == text


@pytest.mark.parametrize(("value", "low", "high", "expected"), [
    (1234.567, 1201.3, 1267.9, ("1.235", "1.201", "1.268")),
    (1.0, 0.9, 1.1, ("1.00", "0.90", "1.10")),
    (1.5, -math.inf, math.inf, ("1.500", "−∞", "∞")),
    (0.0, 0.0, 0.0, ("0", "0", "0")),
    (0.3, 0.003, 30.0, ("0.30", "0.0030", "30")),
    (1e-5, -0.5, 0.5, ("0.00", "−0.50", "0.50")),
    (1.35, -762.0, 1.0, ("1", "−762", "1")),
])
def test_decimals_follow_the_interval(value, low, high, expected):
    shown = quantity.together(value, low, high, unit="1/s")
    assert (shown.value, shown.low, shown.high) == expected


def test_a_bound_just_beside_the_limit_is_not_rounded_onto_it():
    shown = quantity.together(101.0, 99.996, 102.0, unit="1/s", limits=(100.0,))
    assert read(shown.low) < 100.0
    assert shown.limit == "100"


@given(value=SIZES, below=st.floats(0, 1e3), above=st.floats(0, 1e3), shift=st.floats(-1.0, 1.0), unit=UNITS)
def test_printed_numbers_stand_to_the_limit_as_the_real_ones(value, below, above, shift, unit):
    low, high = value - below * abs(value), value + above * abs(value)
    limit = low + shift * (high - low)
    assume(math.isfinite(low) and math.isfinite(high))
    shown = quantity.together(value, low, high, unit=unit, limits=(limit,))
    factor = quantity.scale((value, low, high), unit).factor
    for text, real in ((shown.low, low), (shown.value, value), (shown.high, high)):
        told_apart = abs(real - limit) / factor > max(4 * EXACT, 1e-6 * abs(limit) / factor)
        if told_apart:
            assert compare(read(text), read(shown.limit)) == compare(real, limit)


@given(value=SIZES, unit=UNITS)
def test_the_scale_turns_back(value, unit):
    chosen = quantity.scale((value,), unit)
    assert read(chosen.short(value, 9)) * chosen.factor == pytest.approx(value, rel=1e-8)


@given(value=SIZES, half=st.floats(1e-6, 0.5), unit=UNITS)
def test_value_and_interval_have_the_same_number_of_decimals(value, half, unit):
    shown = quantity.together(value, value - half * abs(value), value + half * abs(value), unit=unit)
    assert len({len(text.partition(".")[2]) for text in (shown.value, shown.low, shown.high) if float(read(text))}) <= 1


@pytest.mark.parametrize(("op", "limits", "unit", "text"), [
    (">=", (20e3,), "1/s", "≥ 20 k/s"), ("<=", (0.05,), "1", "≤ 5 %"), ("between", (0.01, 0.02), "s", "10 … 20 ms"),
    (">", (0.0,), "s", "> 0 s"), ("", (), "s", ""),
])
def test_requirement(op, limits, unit, text):
    assert quantity.requirement(op, limits, unit) == text
