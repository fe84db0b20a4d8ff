"""Records to data and back: nothing lost, nothing guessed, every complaint with its place."""

import math
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import codec
from harness.errors import InputError
from harness.model import (
    Event,
    Evidence,
    GuestSize,
    Outcome,
    Record,
    Scenario,
    Series,
    Stage,
    Status,
    Step,
    StepResult,
)
from harness.units import Bytes, Seconds

STAGE = {"workload": "disk"}
SIZES = "is no quantity in B; write, say, '4KiB'; units: B, kB, MB, GB, TB, KiB, MiB, GiB, TiB"
GOOD = {"name": "quick", "title": "Quick", "stage": [STAGE]}


class Colour(Record, frozen=True, kw_only=True):
    """A record with all that the error texts have to describe."""

    kind: Literal["red", "blue"] = "red"
    length: Seconds = Seconds(1)


@pytest.mark.parametrize(("change", "message"), [
    ({"stage": [{"workload": "disk", "round": 3}]},
     ("f.toml: stage[0]: unknown key 'round'; allowed: workload, name, params, grid, arms, warmups, quick, "
      "background")),
    ({"rounds": 3}, ("f.toml: unknown key 'rounds'; allowed: name, title, stage, title_zh, description, repetition, "
                     "quick, guest")),
    ({"stage": [{}]}, "f.toml: stage[0]: key 'workload' is missing"),
    ({"stage": []}, "f.toml: stage: must be array of length >= 1"),
    ({"name": "a b"}, "f.toml: name: only letters, digits, '.', '_' and '-', and a letter or digit first"),
    ({"name": "../up"}, "f.toml: name: only letters, digits, '.', '_' and '-', and a letter or digit first"),
    ({"title": 3}, "f.toml: title: expected str, got int"),
    ({"guest": {"vcpus": 0}}, "f.toml: guest.vcpus: must be int >= 1"),
    ({"repetition": {"rule": "often"}}, "f.toml: repetition.rule: 'often' is unknown; allowed: fixed, two-stage"),
    ({"guest": {"memory": 512}}, f"f.toml: guest.memory: 512 {SIZES}"),
    ({"guest": {"memory": "4Kb"}}, f"f.toml: guest.memory: '4Kb' {SIZES}"),
    ({"guest": {"memory": "0.3B"}}, "f.toml: guest.memory: '0.3B' is not a whole number of bytes"),
])
def test_complaints_name_file_key_problem_and_what_is_allowed(change, message):
    with pytest.raises(InputError) as caught:
        codec.convert(Scenario, GOOD | change, "f.toml")
    assert str(caught.value) == message


def test_a_single_field_can_be_converted():
    assert codec.convert(Bytes, "4KiB", "here") == 4096
    with pytest.raises(InputError, match=r"^here: 'green' is unknown; allowed: red, blue$"):
        codec.convert(Literal["red", "blue"], "green", "here")


def test_the_choices_of_an_optional_literal_are_named():
    with pytest.raises(InputError, match=r"^c: kind: 'green' is unknown; allowed: red, blue$"):
        codec.convert(Colour, {"kind": "green"}, "c")


def step(**changes):
    given = {
        "id": "disk#0", "stage": "disk", "workload": "disk", "target": "here", "point": "disk:depth=1", "round": 0,
        "params": {"depth": 1, "block": "4KiB", "direct": True}, "grid": {"depth": 1}, "arm": {}, "order": 0,
    }
    return Step(**given | changes)


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(codec="utf-8"))
SERIES = st.builds(lambda values, labels: Series(metric="disk.rate", unit="1/s", values=tuple(values), labels=labels),
                   st.lists(NUMBERS), st.dictionaries(TEXT, TEXT))
EVENTS = st.builds(Event, actor=TEXT, action=TEXT, start=NUMBERS, end=NUMBERS, outcome=st.sampled_from(Outcome),
                   detail=TEXT)
EVIDENCE = st.builds(Evidence, path=TEXT, sha256=TEXT, size=st.integers(0, 2**60), source=TEXT,
                     argv=st.lists(TEXT).map(tuple), code=st.integers(-255, 255), start=NUMBERS, elapsed=NUMBERS)
VALUES = st.one_of(TEXT, st.booleans(), NUMBERS, st.integers(-2**63, 2**63))
RESULTS = st.builds(StepResult, step=st.builds(step, params=st.dictionaries(TEXT, VALUES)),
                    status=st.sampled_from(Status), started=TEXT, elapsed=NUMBERS, error=TEXT,
                    series=st.lists(SERIES).map(tuple), events=st.lists(EVENTS).map(tuple),
                    conditions=st.dictionaries(TEXT, NUMBERS), evidence=st.lists(EVIDENCE).map(tuple))


@given(RESULTS)
def test_a_step_result_survives_the_file(result):
    line = codec.encode(result)
    assert b"\n" not in line
    assert codec.decode(StepResult, line, "x") == result
    assert codec.encode(codec.decode(StepResult, line, "x")) == line


def test_quantities_in_base_units_survive_the_file():
    scenario = Scenario(name="a", title="A", stage=(Stage(workload="disk"),), guest=GuestSize(memory=Bytes(2**30)))
    back = codec.decode(Scenario, codec.encode(scenario), "x")
    assert back == scenario
    assert isinstance(back.guest.memory, Bytes)


def test_infinity_is_text_and_nan_is_no_measurement():
    assert codec.encode({"a": math.inf, "b": [-math.inf]}) == b'{"a":"inf","b":["-inf"]}'
    with pytest.raises(ValueError, match="NaN is no measurement"):
        codec.encode({"a": math.nan})


def test_an_unreadable_stored_line_names_its_place():
    with pytest.raises(InputError, match=r"^steps\.jsonl:3: "):
        codec.decode(StepResult, b'{"step":', "steps.jsonl:3")


@pytest.mark.parametrize(("text", "message"), [
    ("a = 1\na = 2\n", "Cannot overwrite a value"),
    ("a = nan\n", "a: must be a finite number"),
    ("[[stage]]\n[[stage]]\ngrid = { depth = [1, inf] }\n", r"stage\[1\]\.grid\.depth\[1\]: must be a finite number"),
    ("a = \n", "Invalid value"),
    ("bs = 0644\n", ""),
])
def test_ill_formed_toml_names_the_file(tmp_path, text, message):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"^{path}: .*{message}"):
        codec.toml(path)


def test_a_missing_file_and_one_that_is_no_text(tmp_path):
    with pytest.raises(InputError, match=r"none\.toml: No such file or directory$"):
        codec.toml(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"bytes\.toml: is not UTF-8 text$"):
        codec.toml(tmp_path / "bytes.toml")
