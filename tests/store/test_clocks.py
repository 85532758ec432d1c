"""Leases when clocks are set, or differ between machines: laws of the watch, and through either store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.records import Completed, Stage
from hpsearch.store import Owner, Store, leases
from hpsearch.store.leases import BEAT_EVERY_S, LEASE, SILENT, STILL_S, Watch

PassTime = Callable[[float], None]
Age = Callable[[int, timedelta], None]
_NOON = datetime(2026, 1, 2, 12)
_ME = Owner("me", "here", "boot", 1, "1")
_THEM = Owner("them", "elsewhere", "their boot", 1, "1")
_LEASE_S = LEASE.total_seconds()


class Time:
    """True seconds, which `leases.steady_seconds` is made to give, and clocks that are some way off."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(leases, "steady_seconds", lambda: self.now)

    def clock(self, off: timedelta) -> datetime:
        return _NOON + timedelta(seconds=self.now) + off


offsets = st.timedeltas(timedelta(days=-400), timedelta(days=400))


@given(observer=offsets, runner=offsets, later=offsets, looks_every=st.floats(0.25, 200))
def test_who_lives_and_beats_keeps_its_trials_whatever_the_clocks_say(
    observer: timedelta, runner: timedelta, later: timedelta, looks_every: float
) -> None:
    """Both clocks are off, and the observer's is set in the middle."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        time, watch = Time(monkeypatch), Watch()
        beat, beaten = time.clock(runner), time.now
        for look in range(12):
            time.now += looks_every
            while time.now - beaten >= BEAT_EVERY_S:
                beaten += BEAT_EVERY_S
                beat = _NOON + timedelta(seconds=beaten) + runner
            now = time.clock(observer if look < 6 else later)
            assert watch.gone([(7, _THEM, beat)], me=_ME, now=now) == {}


@given(observer=offsets, runner=offsets)
def test_who_is_silent_loses_its_trials_in_bounded_time_whatever_the_clocks_say(
    observer: timedelta, runner: timedelta
) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        time, watch = Time(monkeypatch), Watch()
        beat = time.clock(runner)
        lost_after = None
        for _ in range(200):
            if watch.gone([(7, _THEM, beat)], me=_ME, now=time.clock(observer)):
                lost_after = time.now - 1000
                break
            time.now += 1
        assert lost_after is not None
        assert STILL_S <= lost_after <= _LEASE_S + 1


def test_a_watch_that_sees_no_trial_any_more_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was given back and claimed again is watched from then on."""
    time, watch = Time(monkeypatch), Watch()
    old = time.clock(-2 * LEASE)
    assert watch.gone([(7, _THEM, old)], me=_ME, now=time.clock(timedelta())) == {}
    assert watch.gone([], me=_ME, now=time.clock(timedelta())) == {}
    time.now += STILL_S
    assert watch.gone([(7, _THEM, old)], me=_ME, now=time.clock(timedelta())) == {}
    time.now += STILL_S
    assert watch.gone([(7, _THEM, old)], me=_ME, now=time.clock(timedelta())) == {7: SILENT}


@pytest.mark.parametrize("by", [timedelta(hours=5), -timedelta(hours=5)])
def test_a_clock_that_jumps_takes_no_trial_from_a_living_runner(
    store: Store, stage: Stage, me: Owner, age: Age, pass_time: PassTime, by: timedelta
) -> None:
    """On the same machine: the heartbeat is from before the jump; the next one comes within the time of three."""
    living = Owner.current()
    (trial,) = store.claim(stage, until=1, most=1, owner=living).trials
    age(trial.trial_id, by)
    for _ in range(20):
        assert store.release_dead(stage, me=me) == 0
        pass_time(BEAT_EVERY_S)
        store.beat(stage, [trial.trial_id], owner=living)
    assert store.record(stage, [Completed(0, 0.5)], {0: trial.trial_id}, owner=living) == {0}


def test_a_heartbeat_from_the_future_holds_no_trial_for_ever(
    store: Store, stage: Stage, me: Owner, age: Age, pass_time: PassTime
) -> None:
    """The clock was set back after the runner, which was elsewhere, had died."""
    there = replace(me, run="another run", host="another machine")
    (trial,) = store.claim(stage, until=1, most=1, owner=there).trials
    age(trial.trial_id, -timedelta(days=400))
    assert store.release_dead(stage, me=me) == 0
    pass_time(STILL_S)
    assert store.release_dead(stage, me=me) == 1
