"""Whose trials are whose, through either store; and how a runner that is gone is told from one that is there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from importlib.metadata import version

import optuna
import pytest

from hpsearch.records import Completed, Report, Stage
from hpsearch.store import Owner, Store
from hpsearch.store.leases import LEASE, SILENT, STILL_S, Watch, utc_now

Age = Callable[[int, timedelta], None]
PassTime = Callable[[float], None]
Gone = Callable[[], Owner]
_CLAIM = """
import sys
from hpsearch.store import Owner, open_store, tables
if sys.argv[2] == "fallback":
    tables.REVISION = "another"
store = open_store(sys.argv[1])
store.claim(store.stages()[0], until=9, most=3, owner=Owner.current())
print("claimed", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def elsewhere(me: Owner) -> Owner:
    """A runner on another machine: only its heartbeat tells whether it lives."""
    return replace(me, run="another run", host="another machine", pid=1)


def test_trials_of_a_killed_process_are_given_back(
    url: str, kind: str, store: Store, stage: Stage, study: optuna.Study, me: Owner
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _CLAIM, url, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
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


def test_of_a_runner_that_is_gone_only_what_is_unfinished(
    store: Store, stage: Stage, study: optuna.Study, me: Owner, gone: Gone
) -> None:
    them = gone()
    ids = {trial.number: trial.trial_id for trial in store.claim(stage, until=3, most=3, owner=them).trials}
    store.record(stage, [Completed(1, 0.5)], ids, owner=them)
    assert store.release_dead(stage, me=me) == 2
    assert [trial.state.name for trial in study.trials] == ["WAITING", "COMPLETE", "WAITING"]


def test_a_late_record_is_refused(store: Store, stage: Stage, study: optuna.Study, me: Owner, gone: Gone) -> None:
    """A runner that was taken for gone and comes back finds its trials in other hands."""
    them = gone()
    ids = {trial.number: trial.trial_id for trial in store.claim(stage, until=2, most=2, owner=them).trials}
    assert store.release_dead(stage, me=me) == 2
    late = [Completed(0, 0.1, (0.1,)), Completed(1, 0.1, (0.1,))]
    assert store.record(stage, late, ids, owner=them) == set()  # waiting
    store.claim(stage, until=2, most=1, owner=me)
    assert store.record(stage, late, ids, owner=them) == set()  # one of them mine by now
    store.report(stage, [Report(0, 1, 0.1)], ids, owner=them)
    store.beat(stage, ids.values(), owner=them)
    assert store.release(stage, owner=them) == 0
    assert [(t.state.name, t.values, t.intermediate_values) for t in study.trials] == [
        ("RUNNING", None, {}),
        ("WAITING", None, {}),
    ]
    assert store.record(stage, [Completed(0, 0.9)], ids, owner=me) == {0}


@pytest.mark.parametrize(("old", "released"), [(-timedelta(seconds=10), 0), (timedelta(seconds=10), 1)])
def test_elsewhere_the_heartbeat_decides(
    store: Store,
    stage: Stage,
    me: Owner,
    elsewhere: Owner,
    age: Age,
    pass_time: PassTime,
    old: timedelta,
    released: int,
) -> None:
    first, _ = store.claim(stage, until=2, most=2, owner=elsewhere).trials
    age(first.trial_id, LEASE + old)
    assert store.release_dead(stage, me=me) == 0  # only one look: it may be the clocks
    pass_time(STILL_S)
    assert store.release_dead(stage, me=me) == released
    assert store.counts(stage).waiting == released


def test_a_living_process_that_hangs_loses_its_trials(
    store: Store, stage: Stage, me: Owner, age: Age, pass_time: PassTime
) -> None:
    hanging = Owner.current()
    (trial,) = store.claim(stage, until=1, most=1, owner=hanging).trials
    age(trial.trial_id, LEASE + timedelta(seconds=10))
    assert store.release_dead(stage, me=me) == 0
    pass_time(STILL_S)
    assert store.release_dead(stage, me=me) == 1


def test_a_beat_renews_the_lease(
    store: Store, stage: Stage, me: Owner, elsewhere: Owner, age: Age, pass_time: PassTime
) -> None:
    ids = [trial.trial_id for trial in store.claim(stage, until=2, most=2, owner=elsewhere).trials]
    for trial_id in ids:
        age(trial_id, 2 * LEASE)
    store.release_dead(stage, me=me)
    store.beat(stage, ids[:1], owner=elsewhere)
    store.beat(stage, ids, owner=me)  # not mine: nothing happens
    pass_time(STILL_S)
    assert store.release_dead(stage, me=me) == 1
    assert store.record(stage, [Completed(0, 0.5)], {0: ids[0]}, owner=elsewhere) == {0}


def test_ones_own_are_not_given_back(store: Store, stage: Stage, me: Owner, age: Age, pass_time: PassTime) -> None:
    (trial,) = store.claim(stage, until=1, most=1, owner=me).trials
    age(trial.trial_id, 2 * LEASE)
    store.release_dead(stage, me=me)
    pass_time(2 * LEASE.total_seconds())
    assert store.release_dead(stage, me=me) == 0
    assert store.counts(stage).running == 1


def test_another_run_of_a_living_process_keeps_its_own(store: Store, stage: Stage, me: Owner) -> None:
    store.claim(stage, until=1, most=1, owner=Owner.current())
    assert store.release_dead(stage, me=me) == 0


def test_a_process_number_used_again_is_another_process(me: Owner) -> None:
    assert not me.is_gone()
    assert me.started, "needs /proc"
    assert replace(me, started=str(int(me.started) - 1)).is_gone()
    assert not replace(me, started="").is_gone()  # where it cannot be known


def test_a_process_of_another_place_is_not_looked_up_here(gone: Gone, me: Owner) -> None:
    """After a reboot, or in another container of the same host name, process numbers mean other processes."""
    them, now = gone(), utc_now()
    assert them.is_gone()
    there = replace(them, run="there", place="another boot")
    assert not there.is_gone()
    assert Watch().gone([(1, there, now), (2, there, None)], me=me, now=now) == {2: SILENT}


def test_somebody_elses_process_lives(me: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(pid: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", kill)
    assert not replace(me, started="0").is_gone()


def test_an_owner_as_text(me: Owner) -> None:
    assert Owner.from_json(me.to_json()) == me
    assert Owner.current().run != me.run
    assert me.hpsearch == version("hpsearch")
    assert me.numpy == version("numpy")
    plain = json.loads(me.to_json())
    # One of a later version, and one from before versions were kept.
    assert Owner.from_json(json.dumps({**plain, "what": 2})) == me
    before = {name: plain[name] for name in ("run", "host", "place", "pid", "started")}
    assert Owner.from_json(json.dumps(before)) == replace(me, hpsearch="", numpy="")
    for text in ("null", "3", "[]", '{"run": "x"}', "not JSON", '{"run": 1, "what": 2}'):
        assert Owner.from_json(text) is None
