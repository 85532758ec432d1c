"""The first Ctrl-C asks, the second insists."""

from __future__ import annotations

import signal
import threading

import pytest

from hpsearch.search.workflow import Stopping, stopping

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("second", SIGNALS)
@pytest.mark.parametrize("first", SIGNALS)
def test_the_first_signal_is_noted_and_the_second_raises(first: signal.Signals, second: signal.Signals) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with stopping() as stop:
        assert not stop()
        signal.raise_signal(first)
        assert stop()
        assert stop.signal == first
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(second)
        assert stop()
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_handlers_come_back_after_an_exception_too() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]

    def interrupted() -> None:
        with stopping():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [signal.getsignal(number) for number in SIGNALS] == before
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_thread_handles_no_signals() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    seen: list[object] = []

    def work() -> None:
        with stopping() as stop:
            seen.extend([stop, stop(), [signal.getsignal(number) for number in SIGNALS]])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert isinstance(seen[0], Stopping)
    assert seen[1:] == [False, before]
