"""Ctrl-C while arms run is counted, and is Python's again afterwards."""

import signal
import threading

import pytest

from trustbench.launching.interrupts import Interrupts


def test_interrupts_are_counted_inside_and_raised_outside():
    with Interrupts() as seen:
        assert not seen.stop
        signal.raise_signal(signal.SIGINT)
        assert (seen.stop, seen.now) == (True, False)
        signal.raise_signal(signal.SIGINT)
        assert seen.now
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_termination_stops_at_once():
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts() as seen:
        signal.raise_signal(signal.SIGTERM)
        assert seen.now
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_thread_that_gets_no_signals_leaves_them_alone():
    found = []

    def inside():
        with Interrupts() as seen:
            found.append((seen.count, signal.getsignal(signal.SIGINT)))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert found == [(0, before)]
