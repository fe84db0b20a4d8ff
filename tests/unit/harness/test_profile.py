"""Limits: read in any unit, compared in base units, refused when they cannot mean what they say."""

import dataclasses

import pytest

from harness import indicators, profile
from harness.errors import InputError
from harness.stats.records import Direction, Requirement
from harness.validity import GateLimits

HEAD = {"name": "p", "title": "P"}
TOYS = {
    id_: dataclasses.replace(indicators.catalogue()["CPU-01"], id=id_, unit=unit, direction=Direction(direction))
    for id_, unit, direction in (("UP", "1/s", "higher"), ("DOWN", "s", "lower"), ("SHARE", "1", "lower"),
                                 ("BAND", "B/s", "higher"), ("AIM", "B", "target"))
}


def read(*entries, **more):
    rows = [{"indicator": "UP", "limit": ">= 1/s", "source": "user"} | entry for entry in entries]
    return profile.read(HEAD | {"requirement": rows} | more, "p.toml", TOYS)


@pytest.mark.parametrize(("indicator", "text", "op", "limit", "high"), [
    ("UP", ">= 1000 /s", ">=", 1000, None), ("UP", ">1k/s", ">", 1000, None), ("UP", ">= 200 IOPS", ">=", 200, None),
    ("DOWN", "<= 10 ms", "<=", 0.01, None), ("DOWN", "  <  250us ", "<", 250e-6, None),
    ("SHARE", "<= 5 %", "<=", 0.05, None), ("SHARE", "<= 0.05", "<=", 0.05, None),
    ("SHARE", "< -2 %", "<", -0.02, None), ("SHARE", "between -5 % and 5 %", "between", -0.05, 0.05),
    ("BAND", ">= 1Gbit/s", ">=", 125e6, None),
    ("AIM", "between 1 MiB and 2MiB", "between", 2**20, 2**21), ("AIM", ">= 1kB", ">=", 1000, None),
])
def test_limits(indicator, text, op, limit, high):
    (clause,) = read({"indicator": indicator, "limit": text}).clauses
    assert clause.requirement == Requirement(indicator_id=indicator, op=op, limit=pytest.approx(limit),
                                             limit_hi=high if high is None else pytest.approx(high),
                                             unit=TOYS[indicator].unit, source="user")


@pytest.mark.parametrize(("entry", "message"), [
    ({"indicator": "NO"}, "p.toml: requirement[0].indicator: 'NO' is unknown; there are: AIM, BAND, DOWN, SHARE, UP"),
    ({"limit": "5/s"}, "p.toml: requirement[0].limit: '5/s' is no limit; write, say, '>= 5 1/s', '<= 10 %' or "),
    ({"limit": "== 5/s"}, "p.toml: requirement[0].limit: '== 5/s' is no limit"),
    ({"limit": ">= 5"}, "p.toml: requirement[0].limit: '5' is no quantity in 1/s; write, say, '1000/s'; units: "),
    ({"limit": ">= 5 ms"}, "p.toml: requirement[0].limit: '5 ms' is no quantity in 1/s"),
    ({"limit": ">= inf/s"}, "p.toml: requirement[0].limit: 'inf/s' is no quantity in 1/s"),
    ({"limit": "<= 5/s"}, "p.toml: requirement[0].limit: '<= 5/s' is the wrong way round: of UP higher is better"),
    ({"indicator": "DOWN", "limit": ">= 5s"}, "p.toml: requirement[0].limit: '>= 5s' is the wrong way round: of DOWN"),
    ({"limit": "between 5/s and 5/s"}, "p.toml: requirement[0].limit: 'between 5/s and 5/s' is empty; the first value"),
    ({"source": ""}, "p.toml: requirement[0].source: must be str of length >= 1"),
    ({"limi": "x"}, "p.toml: requirement[0]: unknown key 'limi'; allowed: indicator, limit, source, point, "),
])
def test_refused(entry, message):
    with pytest.raises(InputError) as caught:
        read(entry)
    assert str(caught.value).startswith(message)


def test_a_source_is_never_left_out():
    with pytest.raises(InputError, match=r"^p\.toml: requirement\[0\]: key 'source' is missing$"):
        profile.read(HEAD | {"requirement": [{"indicator": "UP", "limit": ">= 1/s"}]}, "p.toml", TOYS)


def test_the_same_twice_is_a_mistake():
    with pytest.raises(InputError, match=r"^p\.toml: requirement\[1\]: stands there twice"):
        read({}, {})


@pytest.mark.parametrize(("glob", "point", "yes"), [
    ("", "disk:depth=1", True), ("disk:*", "disk:depth=1", True), ("*depth=1", "disk:depth=1", True),
    ("*depth=1", "disk:depth=12", False), ("disk", "disk:depth=1", False), ("Disk*", "disk:depth=1", False),
])
def test_points_by_glob(glob, point, yes):
    (clause,) = read({"point": glob}).clauses
    assert clause.covers("UP", point) is yes
    assert not clause.covers("DOWN", point)


def test_gates_are_limits_with_units():
    assert read(gates={"steal_invalid": "2 %", "clock_step_invalid": "1ms"}).gates == GateLimits(
        steal_invalid=0.02, clock_step_invalid=0.001)
    with pytest.raises(InputError, match=r"^p\.toml: gates\.steal_invalid: 0\.02 is no quantity"):
        read(gates={"steal_invalid": 0.02})
    with pytest.raises(InputError, match=r"^p\.toml: gates: unknown key 'steel'; allowed: controller_cpu_warn, "):
        read(gates={"steel": "2 %"})


def test_profiles_add_up():
    one, two = read({}), read({}, {"indicator": "DOWN", "limit": "<= 1s"}, gates={"steal_invalid": "2 %"})
    both = profile.merge([one, two])
    assert both.clauses == two.clauses
    assert both.gates == two.gates
    assert profile.merge([one]) is one
    assert profile.merge([]) is None
    other = read(gates={"steal_invalid": "3 %"})
    with pytest.raises(InputError, match=r"profiles 'p' and 'p': gates\.steal_invalid: 0\.02 and 0\.03; they must"):
        profile.merge([one, two, other])


def test_a_profile_is_read_from_its_file(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text('name = "p"\ntitle = "P"\n[[requirement]]\nindicator = "UP"\nlimit = ">= 5 /s"\nsource = "x"\n'
                    'clause = "7.1"\nrequired = true\n')
    (clause,) = profile.load(path, TOYS).clauses
    assert (clause.clause, clause.required, clause.requirement.source) == ("7.1", True, "x")
    path.write_text('name = "p"\n')
    with pytest.raises(InputError, match=rf"^{path}: key 'title' is missing$"):
        profile.load(path, TOYS)
