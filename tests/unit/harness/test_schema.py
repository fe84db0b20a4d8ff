"""The schemas say what the decoders say: what ships is valid, what is refused here is refused there."""

import tomllib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import codec, indicators, profile, scenario, schema
from harness.errors import InputError
from harness.model import GuestSize, Record, Scenario
from harness.units import BY_BASE, Bytes

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed; pip install 'virtmark[dev]'")
KINDS = ("scenario", "target", "profile")
FILES = [(kind, name) for kind in KINDS for name in scenario.packaged(kind)]


def valid(kind, data):
    described = schema.of(kind)
    jsonschema.Draft202012Validator.check_schema(described)
    return jsonschema.Draft202012Validator(described).is_valid(data)


@pytest.mark.parametrize(("kind", "name"), FILES)
def test_what_ships_is_valid(kind, name):
    described = schema.of(kind)
    data = tomllib.loads(scenario.packaged(kind)[name].read_text())
    jsonschema.Draft202012Validator(described).validate(data)


SCENARIO = {"name": "a", "title": "A", "stage": [{"workload": "toyload", "params": {"duration": "2s"},
                                                   "grid": {"block": ["4KiB", "1MiB"]}, "arms": {"where": ["guest"]}}]}


def stage(**changes):
    return {"stage": [SCENARIO["stage"][0] | changes]}


@pytest.mark.parametrize(("change", "good"), [
    ({}, True), ({"description": "x"}, True), ({"guest": {"memory": "1 GiB", "vcpus": 2}}, True),
    (stage(params={"depth": 64}), True), ({"repetition": {"rule": "two-stage", "eps": 0.01}}, True),
    ({"colour": 1}, False), ({"name": "a b"}, False), ({"stage": []}, False), (stage(workload="no"), False),
    (stage(params={"dept": 1}), False), (stage(params={"depth": 0}), False), (stage(params={"depth": "1"}), False),
    (stage(params={"duration": 2}), False), (stage(params={"duration": "2 MiB"}), False),
    (stage(params={"duration": "-2s"}), False), (stage(grid={"depth": []}), False),
    (stage(grid={"depth": [1, 1]}), False), (stage(arms={"where": ["moon"]}), False), (stage(warmups=-1), False),
    ({"guest": {"memory": 5}}, False), ({"repetition": {"rounds": 0}}, False),
    ({"repetition": {"rule": "often"}}, False),
])
def test_scenarios_are_judged_alike(change, good):
    data = SCENARIO | change
    assert valid("scenario", data) is good
    try:
        scenario.check(codec.convert(Scenario, data, "x"), "x")
        decoded = True
    except InputError:
        decoded = False
    assert decoded is good


@pytest.mark.parametrize(("data", "good"), [
    ({"driver": "toytarget"}, True), ({"driver": "toytarget", "name": "b", "rate": 3.0}, True), ({}, False),
    ({"driver": "vax"}, False), ({"driver": "toytarget", "rat": 3.0}, False),
    ({"driver": "toytarget", "rate": "fast"}, False), ({"driver": "toytarget", "name": "a/b"}, False),
])
def test_targets_are_judged_alike(data, good):
    assert valid("target", data) is good
    try:
        scenario.build({"name": "a"} | data, "x")
        decoded = True
    except InputError:
        decoded = False
    assert decoded is good


ENTRY = {"indicator": "CPU-01", "limit": ">= 5/s", "source": "user"}


@pytest.mark.parametrize(("entry", "good"), [
    ({}, True), ({"point": "x*", "required": True, "clause": "7"}, True), ({"limit": "between 1/s and 2/s"}, True),
    ({"indicator": "XYZ-99"}, False), ({"limit": "5/s"}, False), ({"source": ""}, False), ({"sauce": "x"}, False),
])
def test_profiles_are_judged_alike(entry, good):
    data = {"name": "p", "title": "P", "requirement": [ENTRY | entry], "gates": {"steal_invalid": "5 %"}}
    assert valid("profile", data) is good
    try:
        profile.read(data, "x", indicators.catalogue())
        decoded = True
    except InputError:
        decoded = False
    assert decoded is good


@given(st.sampled_from(sorted(BY_BASE.values(), key=lambda kind: kind.base)), st.data())
def test_quantities_written_are_read_back(kind, data):
    numbers = st.integers(0, 2**53) if kind is Bytes else st.floats(0, 1e15, allow_subnormal=False)
    value = kind(data.draw(numbers))
    written = schema.text(value)
    assert kind.read(written) == value
    assert jsonschema.Draft202012Validator(schema._quantity(kind)).is_valid(written)


@pytest.mark.parametrize(("kind", "value", "written"), [
    ("B", 512 * 2**20, "512MiB"), ("B", 1400, "1400B"), ("s", 30, "30s"), ("s", 0.25, "250ms"), ("1", 0.02, "2%"),
    ("B/s", 125e6, "1Gbit/s"), ("1/s", 1000, "1k/s"), ("s", 0, "0.0s"),
])
def test_quantities_are_written_as_people_do(kind, value, written):
    assert schema.text(BY_BASE[kind](value)) == written


class Outer(Record, frozen=True, kw_only=True):
    """A record in a record, with defaults that cannot be shown."""

    inner: tuple[GuestSize, ...] = ()
    either: GuestSize | None = None
    size: Bytes = Bytes(4096)
    must: int


def test_records_in_records_and_their_defaults():
    (ref,), found = schema._components([Outer])
    outer = schema._named(found, ref)
    assert outer["required"] == ["must"]
    assert outer["properties"]["size"]["default"] == "4KiB"
    assert found["GuestSize"]["properties"]["memory"]["default"] == "512MiB"
    assert set(found) == {"Outer", "GuestSize"}
    assert msgspec.json.encode(outer)


def test_an_unknown_kind_is_told():
    with pytest.raises(InputError, match=r"^schema 'x' is unknown; there are: scenario, target, profile$"):
        schema.of("x")
