"""Every acknowledged record that is missing is found, and nothing else is called lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import integrity
from harness.integrity import Promise, Run, Written

NAMES = st.tuples(st.integers(1, 4), st.integers(1, 12))


def runs(records):
    """Return the runs of a file that holds these records in this order."""
    found = []
    for epoch, sequence in records:
        if found and found[-1][0] == epoch and found[-1][2] + 1 == sequence:
            found[-1] = Run(epoch, found[-1][1], sequence)
        else:
            found.append(Run(epoch, sequence, sequence))
    return tuple(found)


def file(records, torn=0):
    return Written(runs=runs(records), records=len(records), torn=torn, bytes=4096 * (len(records) + torn))


def promises(names):
    return [Promise(*name, float(time)) for time, name in enumerate(names)]


@given(st.lists(NAMES, max_size=40), st.lists(NAMES, max_size=40), st.integers(0, 3))
def test_lost_is_exactly_what_was_promised_and_is_not_there(promised, there, torn):
    found = integrity.compare(promises(promised), file(there, torn))
    assert {promise[:2] for promise in found.lost} == set(promised) - set(there)
    assert len(found.lost) == len(set(promised) - set(there))
    assert found.doubtful == len(set(there) - set(promised))
    assert (found.acked, found.torn) == (len(set(promised)), torn)
    assert bool(found.reason) == bool(found.lost)
    assert found.duplicate == len(there) - len(set(there))


@given(st.lists(NAMES, max_size=40))
def test_disorder_is_every_record_behind_a_later_one(there):
    seen, latest, wrong = set(), (0, 0), 0
    for name in there:
        wrong += name not in seen and name < latest
        seen.add(name)
        latest = max(latest, name)
    found = integrity.compare([], file(there))
    assert found.reordered == wrong
    assert found.missing == sum(max(s) - min(s) + 1 - len(s) for e in {e for e, _ in seen}
                                for s in [{n for f, n in seen if f == e}])


@given(st.integers(0, 200), st.integers(0, 200), st.sets(st.integers(1, 200)))
def test_a_writer_whose_disk_keeps_its_word_loses_nothing(number, extra, unheard):
    """Acknowledgements may be lost on the way, and the last records be there before anybody is told."""
    there = [(7, n) for n in range(1, number + extra + 1)]
    found = integrity.compare(promises([(7, n) for n in range(1, number + 1) if n not in unheard]), file(there))
    assert not found.lost
    assert found.rpo(1000.0) == 0
    assert (found.torn, found.reordered, found.duplicate, found.missing) == (0, 0, 0, 0)


@given(st.integers(1, 100), st.integers(0, 99))
def test_the_recovery_point_is_the_last_record_before_anything_is_lost(number, kept):
    kept = min(kept, number - 1)
    told = promises([(1, n) for n in range(1, number + 1)])
    found = integrity.compare(told, file([(1, n) for n in range(1, kept + 1)] + [(2, n) for n in range(kept, number)]))
    assert len(found.lost) == number - kept
    assert found.rpo(500.0) == 500.0 - max(kept - 1, 0)


def test_what_a_later_start_wrote_does_not_hide_a_loss():
    found = integrity.compare(promises([(1, 1), (1, 2), (1, 3)]), file([(1, 1), (2, 2), (2, 3)]))
    assert [promise.sequence for promise in found.lost] == [2, 3]
    assert found.reason == "data-loss: 2 of 3 acknowledged records are missing, the first of them number 2"


def test_series_tell_of_lost_data_as_a_reason():
    bad = integrity.compare(promises([(1, 1), (1, 2)]), file([(1, 1)]))
    good = integrity.compare(promises([(1, 1)]), file([(1, 1)]))
    told = [*integrity.series(bad, fault=3.5, event="0"), *integrity.series(good, fault=3.5, event="1")]
    assert {s.metric: s.values for s in told if s.labels["event"] == "0"} == {
        "integrity.acked": (2.0,), "integrity.lost": (1.0,), "integrity.doubtful": (0.0,), "integrity.torn": (0.0,),
        "integrity.reordered": (0.0,), "integrity.rpo": (3.5,)}
    assert integrity.loss(told) == "data-loss: 1 of 3 acknowledged writes are missing"
    assert integrity.loss(integrity.series(good)) == ""


@pytest.mark.parametrize("text", ["", "{}", '{"runs": [[1, 2]], "records": 1, "torn": 0, "bytes": 0}'])
def test_what_is_no_answer_of_the_verifier_is_said(text):
    with pytest.raises(ValueError, match="check: "):
        integrity.written(text)


@pytest.mark.parametrize(("epochs", "found"), [
    ([1, 1, 2, 2], ()), ([1, 2, 1, 2], (1,)), ([], ()), ([3], ()), ([1, 3, 2, 1], (1, 2))])
def test_epochs_that_are_acknowledged_in_turn_are_two_writers(epochs, found):
    assert integrity.interleaved(Promise(epoch, n, float(n)) for n, epoch in enumerate(epochs)) == found
