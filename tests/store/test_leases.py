"""Whose trials are whose; how a runner that is gone is told from one that is there, whatever the clocks say."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored import Rows, claim

from hpsearch import __version__
from hpsearch.records import Completed, Failed, Pruned, Report, Stage
from hpsearch.store import Owned, Owner, Store, leases
from hpsearch.store.leases import BEAT_EVERY_S, GIVEN_BACK, LEASE, PROCESS_GONE, SILENT, STILL_S, Watch, utc_now

Age = Callable[[int, timedelta], None]
_CLAIM = """
import sys
from hpsearch.store import Owner, open_store
store = open_store(sys.argv[1])
store.claim(store.stages()[0], until=9, most=3, owner=Owner.current())
print("claimed", flush=True)
sys.stdin.read()
"""
_NOON = datetime(2026, 1, 2, 12)
_ME = Owner("me", "here", "boot", 1, "1")
_THEM = Owner("them", "elsewhere", "their boot", 1, "1")
offsets = st.timedeltas(timedelta(days=-400), timedelta(days=400))


class Time:
    """True seconds, which `leases.steady_seconds` is made to give, and clocks that are some way off."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(leases, "steady_seconds", lambda: self.now)

    def clock(self, off: timedelta) -> datetime:
        return _NOON + timedelta(seconds=self.now) + off


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """A clock that stands still unless it is set."""
    return Time(monkeypatch)


def elsewhere(me: Owner) -> Owner:
    """A runner on another machine: only its heartbeat tells whether it lives."""
    return replace(me, run="another run", host="another machine", pid=1)


def test_trials_of_a_killed_process_are_given_back(
    url: str, store: Store, stage: Stage, study: optuna.Study, me: Owner
) -> None:
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", _CLAIM, url], **pipes) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "claimed\n"
        assert store.release_dead(stage, me=me) == 0  # it lives
        child.send_signal(signal.SIGKILL)
        # Dead, and a zombie until its parent, this process, asks after it.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert store.release_dead(stage, me=me) == 3
        child.wait()
    assert store.release_dead(stage, me=me) == 0
    assert [trial.state.name for trial in study.trials] == ["WAITING"] * 3
    assert [trial.number for trial in store.claim(stage, until=3, most=9, owner=me).trials] == [0, 1, 2]


def test_a_late_record_is_refused(store: Store, stage: Stage, study: optuna.Study, me: Owner, gone: Owner) -> None:
    """A runner that was taken for gone and comes back finds its unfinished trials in other hands."""
    ids = claim(store, stage, gone, until=3)
    store.record(stage, [Completed(2, 0.5)], ids, owner=gone)
    assert store.release_dead(stage, me=me) == 2
    late = [Completed(0, 0.1, (0.1,)), Completed(1, 0.1, (0.1,))]
    assert store.record(stage, late, ids, owner=gone) == []  # waiting
    store.claim(stage, until=3, most=1, owner=me)
    assert store.record(stage, late, ids, owner=gone) == []  # one of them mine by now
    store.report(stage, [Report(0, 1, 0.1)], ids, owner=gone)
    store.beat(stage, ids.values(), owner=gone)
    assert store.release(stage, owner=gone) == 0
    states: list[Any] = [("RUNNING", None, {}), ("WAITING", None, {}), ("COMPLETE", [0.5], {})]
    assert [(t.state.name, t.values, t.intermediate_values) for t in study.trials] == states
    assert store.record(stage, [Completed(0, 0.9)], ids, owner=me) == [Completed(0, 0.9)]


@pytest.mark.parametrize(("old", "released"), [(-timedelta(seconds=10), 0), (timedelta(seconds=10), 1)])
@pytest.mark.parametrize("here", [True, False])
def test_a_living_process_that_hangs_and_one_elsewhere_are_told_by_the_heartbeat(
    store: Store, stage: Stage, me: Owner, age: Age, time: Time, here: bool, old: timedelta, released: int
) -> None:
    """And nobody loses trials of their own."""
    them = Owner.current() if here else elsewhere(me)
    first, _ = store.claim(stage, until=2, most=2, owner=them).trials
    (mine,) = store.claim(stage, until=3, most=1, owner=me).trials
    age(first.trial_id, LEASE + old)
    age(mine.trial_id, 2 * LEASE)
    assert store.release_dead(stage, me=me) == 0  # only one look: it may be the clocks
    time.now += STILL_S
    assert store.release_dead(stage, me=me) == released
    assert store.counts(stage).waiting == released


def test_a_beat_renews_the_lease(store: Store, stage: Stage, me: Owner, age: Age, time: Time) -> None:
    them = elsewhere(me)
    ids = list(claim(store, stage, them, until=2).values())
    for trial_id in ids:
        age(trial_id, 2 * LEASE)
    store.release_dead(stage, me=me)
    store.beat(stage, ids[:1], owner=them)
    store.beat(stage, ids, owner=me)  # not mine: nothing happens
    time.now += STILL_S
    assert store.release_dead(stage, me=me) == 1
    assert store.record(stage, [Completed(0, 0.5)], {0: ids[0]}, owner=them) == [Completed(0, 0.5)]


def test_a_process_is_known_by_more_than_its_number(gone: Owner, me: Owner) -> None:
    """After a reboot, or in another container of the same host name, process numbers mean other processes."""
    assert not me.is_gone()
    assert me.started, "needs /proc"
    assert replace(me, started=str(int(me.started) - 1)).is_gone()
    assert not replace(me, started="").is_gone()  # where it cannot be known
    now = utc_now()
    assert gone.is_gone()
    there = replace(gone, run="there", place="another boot")
    assert not there.is_gone()
    assert Watch().gone([(1, there, now), (2, there, None)], me=me, now=now) == {2: SILENT}


def test_an_owner_as_text(me: Owner) -> None:
    assert Owner.from_json(me.to_json()) == me
    assert Owner.current().run != me.run
    assert me.hpsearch == __version__
    assert me.numpy == version("numpy")
    plain = json.loads(me.to_json())
    # One of a later version, and one from before versions were kept.
    assert Owner.from_json(json.dumps({**plain, "what": 2})) == me
    before = {name: plain[name] for name in ("run", "host", "place", "pid", "started")}
    assert Owner.from_json(json.dumps(before)) == replace(me, hpsearch="", numpy="")
    for text in ("null", "3", "[]", '{"run": "x"}', "not JSON", '{"run": 1, "what": 2}'):
        assert Owner.from_json(text) is None


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
        assert STILL_S <= lost_after <= LEASE.total_seconds() + 1


def test_a_watch_that_sees_no_trial_any_more_begins_anew(time: Time) -> None:
    """One that was given back and claimed again is watched from then on."""
    watch, old = Watch(), time.clock(-2 * LEASE)
    assert watch.gone([(7, _THEM, old)], me=_ME, now=time.clock(timedelta())) == {}
    assert watch.gone([], me=_ME, now=time.clock(timedelta())) == {}
    time.now += STILL_S
    assert watch.gone([(7, _THEM, old)], me=_ME, now=time.clock(timedelta())) == {}
    time.now += STILL_S
    assert watch.gone([(7, _THEM, old)], me=_ME, now=time.clock(timedelta())) == {7: SILENT}


def test_a_trial_that_has_ended_says_who_ran_it(store: Store, stage: Stage, me: Owner) -> None:
    other = replace(me, run="another run", host="another machine", hpsearch="0.1.0")
    mine, theirs = claim(store, stage, me, until=3), claim(store, stage, other, until=4)
    store.record(stage, [Completed(0, 0.5), Failed(1, "diverged"), Pruned(2, 1, (0.5,))], mine, owner=me)
    assert store.finishers(stage) == {me: 3}
    store.record(stage, [Completed(3, 0.25)], theirs, owner=other)
    assert list(store.finishers(stage).items()) == [(me, 3), (other, 1)]
    for among, finishers in ((1, {other: 1}), (2, {other: 1, me: 1}), (4, {me: 3, other: 1}), (9, {me: 3, other: 1})):
        assert store.finishers(stage, among=among) == finishers
    assert store.owned(stage, [0, 3, 77]) == {0: Owned(me, 1), 3: Owned(other, 1)}
    assert store.runners(stage) == {}


def test_every_attempt_counts_and_the_last_one_in_vain_is_kept(
    store: Store, stage: Stage, me: Owner, gone: Owner, age: Age, time: Time, rows: Rows
) -> None:
    def kept() -> dict[str, Any]:
        texts = [row["value_json"] for row in rows("trial_system_attributes") if row["key"] == "hpsearch:released"]
        (found,) = map(json.loads, texts)
        assert isinstance(found, dict)
        assert found.pop("at").endswith("Z")
        return found

    def plain(owner: Owner) -> Any:
        return json.loads(owner.to_json())

    claim(store, stage, gone, until=1)
    assert store.owned(stage, [0]) == {0: Owned(gone, 1)}
    store.release_dead(stage, me=me)
    assert kept() == {"times": 1, "owner": plain(gone), "by": plain(me), "why": PROCESS_GONE}
    assert store.owned(stage, [0]) == {0: Owned(None, 1)}
    other = elsewhere(me)
    ids = claim(store, stage, other, until=1)
    store.release(stage, owner=other)
    assert kept() == {"times": 2, "owner": plain(other), "by": plain(other), "why": GIVEN_BACK}
    claim(store, stage, other, until=1)
    age(ids[0], timedelta(days=1))
    store.release_dead(stage, me=me)
    time.now += STILL_S
    store.release_dead(stage, me=me)
    assert kept() == {"times": 3, "owner": plain(other), "by": plain(me), "why": SILENT}
    claim(store, stage, me, until=1)
    store.record(stage, [Completed(0, 0.5)], ids, owner=me)
    assert kept()["times"] == 3
    assert store.owned(stage, [0]) == {0: Owned(me, 4)}
    assert store.finishers(stage) == {me: 1}
