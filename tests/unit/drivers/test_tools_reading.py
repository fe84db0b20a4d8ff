"""Tolerant reading: every blemish is either told or refused, in one line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.tools.reading import Ambiguous, complaint, document
from harness.errors import ToolError

PLAIN = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
                     | st.text(max_size=20), lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(max_size=8), x,
                                                                                                 max_size=4))
OBJECTS = st.dictionaries(st.text(min_size=1, max_size=8), PLAIN, min_size=1, max_size=5)


@given(OBJECTS, st.sampled_from([None, 2]))
def test_sound_json_is_read_as_it_is(data, indent):
    read = document(json.dumps(data, indent=indent), "tool")
    assert read.data == data
    assert read.notes == ()


@given(OBJECTS)
def test_text_around_it_is_told(data):
    read = document(f"tool: terminating on signal 2\n{json.dumps(data)}\nbye\n", "tool")
    assert read.data == data
    assert read.notes == ("text before the JSON: tool: terminating on signal 2", "text after the JSON: bye")


@given(OBJECTS, st.data())
def test_json_cut_short_never_passes(data, draw):
    text = json.dumps(data, indent=1)
    cut = text[:draw.draw(st.integers(0, len(text) - 1))]
    with pytest.raises(ToolError) as caught:
        document(cut, "tool")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("token", ["nan", "-nan", "NaN", "inf", "-inf", "Infinity"])
def test_nan_is_told_and_refused_where_it_is_needed(token):
    read = document(f'{{"a": {token}, "b": 2, "said": "it was {token}"}}', "tool")
    assert read.number("b") == 2
    assert read.data["said"] == f"it was {token}"
    assert read.notes == ("1 numbers were nan or inf",)
    with pytest.raises(ToolError, match="tool: a: None is no finite number"):
        read.number("a")


def test_keys_that_stand_twice():
    read = document('{"a": 1, "a": 1, "b": 1, "b": 2, "b": 3}', "tool")
    assert read.number("a") == 1
    assert read.data["b"] == Ambiguous((1, 2, 3))
    assert read.notes == ("keys that stand twice with different values: b",)
    with pytest.raises(ToolError, match="b: stands 3 times with different values"):
        read.number("b")


@pytest.mark.parametrize(("text", "problem"), [
    ("", "printed nothing"),
    (" \n\t", "printed nothing"),
    ("fio: engine libaio not loadable\nfio: failed to load engine\n", "no JSON but 'fio: failed to load engine'"),
    ('{"a": 1}\n{"a": 2}\n', "several JSON documents"),
    ('{"a": 1, b}\nmore text', "line 1 of its JSON cannot be read"),
    ('{"jobs": [{"read": {"iops"', "breaks off"),
    ("{" + '"a": {' * 20000, "nested too deeply|breaks off"),
])
def test_what_cannot_be_read_is_said(text, problem):
    with pytest.raises(ToolError, match=problem):
        document(text, "tool")


@pytest.mark.parametrize(("path", "problem"), [
    (("jobs", 1), "jobs.1: is missing"),
    (("jobs", 0, "read", "iops"), "jobs.0.read.iops: yes is no finite number"),
    (("jobs", 0, "ok"), "jobs.0.ok: True is no finite number"),
    (("end", "sum"), "end: is missing"),
])
def test_a_missing_or_odd_field_is_named(path, problem):
    read = document('{"jobs": [{"read": {"iops": "yes"}, "ok": true}]}', "tool")
    with pytest.raises(ToolError, match=problem):
        read.number(*path)


def test_an_error_goes_before_other_text():
    assert complaint("hello\n  error: disk full \nbye") == "error: disk full"
    assert complaint("\n hello \n") == "hello"
    assert complaint(" \n") == ""
