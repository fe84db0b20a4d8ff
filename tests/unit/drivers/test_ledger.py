"""The ledger's client speaks the language of the judge, and takes a connection that ends for what it is."""

import json
import shutil
import socket
import threading

import pytest

from drivers import ledger as client
from drivers.workloads import _ledger
from harness import ledger
from harness.model import Outcome


@pytest.fixture
def session():
    return client.Session(3, ["127.0.0.1", "1", "1", "1", "5", "7"], threading.Event())


@pytest.mark.parametrize("action", sorted(set(client.ACTIONS)))
def test_what_a_session_plans_is_an_operation(session, action):
    told, statement = session._planned(action)
    line = json.dumps(told | {"session": 3, "action": action, "start": 1.0, "end": 2.0, "outcome": "unknown"})
    (one,) = ledger.read(f"{line}\n")
    assert (one.action, one.outcome) == (action, Outcome.UNKNOWN)
    assert statement
    assert ";" not in statement     # one statement, one outcome


def test_keys_and_values_are_never_used_twice(session):
    other = client.Session(4, ["127.0.0.1", "1", "1", "1", "5", "7"], threading.Event())
    keys = [one._planned("insert")[0]["key"] for one in (session, other) for _ in range(50)]
    assert len(set(keys)) == 100


def test_the_same_seed_makes_the_same_plan():
    plans = [[one._planned("transfer") for _ in range(20)] for one in
             (client.Session(3, ["127.0.0.1", "1", "1", "1", "5", "7"], threading.Event()) for _ in range(2))]
    assert plans[0] == plans[1]


def test_totals_begin_with_what_the_schema_puts_in():
    final = ledger.Final(numbers=(), transfers=(), balances=dict(_ledger.OPENING), registers=dict(_ledger.REGISTERS))
    judged = ledger.judge([], final, _ledger.OPENING, _ledger.REGISTERS)
    assert (judged.reason, judged.acked, judged.undecided) == ("", 0, ())


@pytest.mark.skipif(shutil.which("psql") is None, reason="psql is not installed")
@pytest.mark.parametrize("listens", [False, True])
def test_a_server_that_refuses_or_never_answers_is_a_broken_connection(listens):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if listens:
            silent.listen()
        with pytest.raises(client.Broken):
            client.Connection("127.0.0.1", str(silent.getsockname()[1]), 1.0)
