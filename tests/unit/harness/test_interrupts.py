"""Signals: the first unwinds, the second is answered, the third is obeyed; never in the middle of a line."""

import os
import signal
import threading

import pytest

from harness.interrupts import SIGNALS, guarded


def send(number=signal.SIGTERM):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_interrupts_and_handlers_are_put_back(number):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), guarded(print):
        send(number)
    assert signal.getsignal(number) == before


def test_a_held_interrupt_comes_after_the_block():
    seen = []

    def write(interrupts):
        with interrupts.held():
            with interrupts.held():
                send()
                seen.append("inner")
            seen.append("outer")

    with guarded(seen.append) as interrupts, pytest.raises(KeyboardInterrupt):
        write(interrupts)
    assert seen == ["inner", "outer"]


def test_clean_up_is_not_disturbed_until_the_third():
    said = []
    with guarded(said.append):
        with pytest.raises(KeyboardInterrupt):
            send()
        send()
        assert said == ["still cleaning up; interrupt once more to give up, and let the next start clean what is left"]
        with pytest.raises(KeyboardInterrupt):
            send()


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with guarded(print) as interrupts:
            send(signal.SIGHUP)
            assert interrupts.count == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_thread_cannot_handle_signals_and_need_not():
    before = [signal.getsignal(number) for number in SIGNALS]
    seen = []

    def work():
        with guarded(print):
            seen.append([signal.getsignal(number) for number in SIGNALS])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
