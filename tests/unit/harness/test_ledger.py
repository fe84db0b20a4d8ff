"""A database that kept its word always passes; a lost write, a stale read, a transfer made twice never do."""

import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import ledger
from harness.ledger import Final, Operation, Transfer
from harness.model import Outcome

OK, FAILED, UNKNOWN = Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN
OPENING = {1: 100, 2: 100}


def op(action, value=None, *, start, end, outcome=OK, **more):
    return Operation(session=0, action=action, value=value, start=start, end=end, outcome=outcome, **more)


@st.composite
def histories(draw, most=10, domain=3, outcomes=(OK, OK, OK, UNKNOWN, FAILED)):
    """Return a history of a register that begins with 0 and does what it is told, and its value at the end.

    Each operation works at one moment inside its interval; an unknown one inside or after it, or never.
    """
    planned = []
    for index in range(draw(st.integers(0, most))):
        start, length = draw(st.integers(0, 30)), draw(st.integers(0, 10))
        action = draw(st.sampled_from(["read", "write", "compare-and-set"]))
        outcome = draw(st.sampled_from(outcomes))
        late = draw(st.integers(0, 60)) if outcome is UNKNOWN else draw(st.integers(0, length))
        works = outcome is OK or (outcome is UNKNOWN and draw(st.booleans()))
        planned.append((start + late + (index + 1) / 1000, start, length, action, outcome, works))
    register, history = 0, []
    for _, start, length, action, outcome, works in sorted(planned):
        new, expected = draw(st.integers(0, domain)), draw(st.integers(0, domain))
        done = action != "compare-and-set" or register == expected
        value = register if action == "read" else new
        if works and done and action != "read":
            register = new
        history.append(op(action, value if outcome is OK or action != "read" else None, start=float(start),
                          end=start + length + 0.5, outcome=outcome, done=done if outcome is OK else True,
                          expected=expected if action == "compare-and-set" else None))
    return draw(st.permutations(history)), register


def brute(history, value):
    """Try every order of every choice of the unknown ones."""
    sure = [one for one in history if one.outcome is OK]
    maybe = [one for one in history if one.outcome is UNKNOWN and one.action != "read"]
    return any(_right(order, value) for size in range(len(maybe) + 1) for some in itertools.combinations(maybe, size)
               for order in itertools.permutations([*sure, *some]))


def _right(order, value):
    for place, one in enumerate(order):
        if any(later.outcome is OK and later.end < one.start for later in order[place + 1:]):
            return False
        if one.action == "write":
            value = one.value
        elif one.action == "read" and one.value != value:
            return False
        elif one.action == "compare-and-set":
            sets = one.done or one.outcome is UNKNOWN
            if sets != (value == one.expected) and one.outcome is OK:
                return False
            value = one.value if sets and value == one.expected else value
    return True


@given(histories(most=40))
def test_a_register_that_does_what_it_is_told_passes(made):
    history, _ = made
    assert ledger.linearizable(history, 0) is True


@settings(deadline=None)
@given(histories(most=5, domain=2), st.data())
def test_the_search_finds_what_trying_all_orders_finds(made, data):
    history, _ = made
    history = [msgspec.structs.replace(one, value=data.draw(st.integers(0, 2)) if one.action == "read" else one.value,
                                       done=data.draw(st.booleans()) if one.outcome is OK else one.done)
               for one in history]
    assert ledger.linearizable(history, 0) is brute(history, 0)


@given(histories(most=20, outcomes=(OK, OK, FAILED)), st.integers(0, 3))
def test_a_stale_read_is_always_caught(made, old):
    history, _ = made   # without unknown writes, which might bring the old value back at any time
    later = [op("write", 99, start=200.0, end=201.0), op("read", old, start=202.0, end=203.0)]
    assert ledger.linearizable([*history, *later], 0) is False
    assert ledger.linearizable([*history, later[0], op("read", 99, start=202.0, end=203.0)], 0) is True


@given(histories(most=20))
def test_what_failed_must_not_be_read(made):
    dirty = [op("write", 77, start=200.0, end=201.0, outcome=FAILED), op("read", 77, start=200.5, end=203.0)]
    assert ledger.linearizable([*made[0], *dirty], 0) is False
    maybe = [msgspec.structs.replace(dirty[0], outcome=UNKNOWN), dirty[1]]
    assert ledger.linearizable([*made[0], *maybe], 0) is True


def test_a_search_that_would_take_too_long_says_so():
    burst = [op("write", value, start=0.0, end=10.0) for value in range(14)]
    assert ledger.linearizable([*burst, op("read", 99, start=11.0, end=12.0)], 0, most=1000) is None


def test_a_long_history_is_no_matter():
    history = [op("write" if index % 2 else "read", index if index % 2 else max(index - 1, 0), start=float(index),
                  end=index + 0.5) for index in range(5000)]
    assert ledger.linearizable(history, 0) is True


@st.composite
def ledgers(draw):
    """Return the history of a database that keeps its word, and what it holds at the end."""
    history, numbers, transfers, registers = [], [], [], {1: 0}
    for index in range(draw(st.integers(1, 30))):
        action = draw(st.sampled_from(["insert", "transfer", "write", "total"]))
        outcome = draw(st.sampled_from([OK, OK, FAILED, UNKNOWN]))
        works = outcome is OK or (outcome is UNKNOWN and draw(st.booleans()))
        value = {"insert": None, "transfer": 5, "write": index, "total": 200 if outcome is OK else None}[action]
        key = 1 if action == "write" else index
        history.append(op(action, value, key=key, start=float(index), end=index + 0.5, outcome=outcome))
        if works and action == "insert":
            numbers.append(index)
        elif works and action == "transfer":
            transfers.append(Transfer(index, 1 + index % 2, 2 - index % 2, 5))
        elif works and action == "write":
            registers[1] = index
    moved = sum(row.amount * (1 if row.target == 1 else -1) for row in transfers)
    final = Final(numbers=tuple(numbers), transfers=tuple(transfers), registers=registers,
                  balances={1: 100 + moved, 2: 100 - moved})
    return history, final


def judge(history, final):
    return ledger.judge(history, final, OPENING, {1: 0})


@given(ledgers())
def test_a_database_that_keeps_its_word_passes(made):
    judged = judge(*made)
    assert judged.reason == ""
    assert judged.undecided == ()
    assert all(s.values == (0.0,) for s in ledger.series(judged) if s.metric == "integrity.lost")


@given(ledgers(), st.data())
def test_every_acknowledged_row_that_is_missing_is_named(made, data):
    history, final = made
    told = [one.key for one in history if one.action == "insert" and one.outcome is OK]
    gone = data.draw(st.sets(st.sampled_from(told))) if told else set()
    left = msgspec.structs.replace(final, numbers=tuple(n for n in final.numbers if n not in gone))
    assert judge(history, left).lost == tuple(sorted(gone))
    assert bool(judge(history, left).reason) is bool(gone)


@given(ledgers())
def test_a_transfer_made_twice_or_lost_and_money_from_nowhere_are_caught(made):
    history, final = made
    replace = msgspec.structs.replace
    assert judge(history, replace(final, balances={1: final.balances[1] + 5, 2: final.balances[2] - 5})).balances
    assert judge(history, replace(final, balances={1: final.balances[1] + 1, 2: final.balances[2]})).totals == (201,)
    for row in final.transfers:
        twice = replace(final, transfers=(*final.transfers, row))
        assert judge(history, twice).duplicate == (row.id,)
        less = replace(final, transfers=tuple(other for other in final.transfers if other != row))
        assert row.id in judge(history, less).lost or judge(history, less).balances
    odd = [*history, op("total", 195, start=90.0, end=91.0)]
    assert judge(odd, final).totals == (195,)


def test_a_row_that_failed_but_is_there_is_dirty():
    history = [op("insert", key=4, start=0.0, end=1.0, outcome=FAILED)]
    final = Final(numbers=(4,), transfers=(), balances=OPENING, registers={1: 0})
    assert judge(history, final).phantom == (4,)
    assert judge(history, final).reason == "data-loss: 1 writes are there that failed (0 were acknowledged)"


def test_a_register_that_fell_back_is_named_and_counted():
    history = [op("write", 5, key=1, start=0.0, end=1.0)]
    judged = judge(history, Final(numbers=(), transfers=(), balances=OPENING, registers={1: 0}))
    assert judged.registers == (1,)
    assert {s.metric: s.values[0] for s in ledger.series(judged)} == {
        "integrity.acked": 1, "integrity.lost": 1, "integrity.doubtful": 0, "integrity.torn": 0,
        "integrity.reordered": 0}


def test_a_log_cut_off_in_its_last_line_is_read_up_to_there():
    one = op("insert", key=1, start=1.0, end=2.0, outcome=UNKNOWN)
    line = msgspec.json.encode(one).decode()
    assert ledger.read(f"{line}\n{line}\n{line[:20]}") == [one, one]
    assert [e.outcome for e in ledger.events([one], 0.5)] == [UNKNOWN]
    with pytest.raises(ValueError, match="ledger: "):
        ledger.read("{}\n")
