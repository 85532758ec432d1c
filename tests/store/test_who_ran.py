"""What the database says of who ran a trial, on which machine, with which version, and how often it was begun."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hpsearch.records import Completed, Failed, Pruned, Stage
from hpsearch.store import Owner, Store
from hpsearch.store.base import Owned
from hpsearch.store.leases import GIVEN_BACK, PROCESS_GONE, SILENT, STILL_S

Rows = Callable[[str], list[dict[str, Any]]]


def _ids(store: Store, stage: Stage, owner: Owner, *, until: int = 3) -> dict[int, int]:
    return {trial.number: trial.trial_id for trial in store.claim(stage, until=until, most=9, owner=owner).trials}


def test_a_trial_that_has_ended_says_who_ran_it(store: Store, stage: Stage, me: Owner) -> None:
    other = replace(me, run="another run", host="another machine", hpsearch="0.1.0")
    mine, theirs = _ids(store, stage, me, until=3), _ids(store, stage, other, until=4)
    store.record(stage, [Completed(0, 0.5), Failed(1, "diverged"), Pruned(2, 1, (0.5,))], mine, owner=me)
    assert store.finishers(stage) == {me: 3}
    store.record(stage, [Completed(3, 0.25)], theirs, owner=other)
    assert list(store.finishers(stage).items()) == [(me, 3), (other, 1)]
    assert [store.finishers(stage, among=many) for many in (1, 2, 4, 9)] == [
        {other: 1},
        {other: 1, me: 1},
        {me: 3, other: 1},
        {me: 3, other: 1},
    ]
    assert store.owned(stage, [0, 3, 77]) == {0: Owned(me, 1), 3: Owned(other, 1)}
    assert store.runners(stage) == {}


def test_every_attempt_counts_and_the_last_one_in_vain_is_kept(
    store: Store,
    stage: Stage,
    me: Owner,
    gone: Callable[[], Owner],
    age: Callable[[int, timedelta], None],
    pass_time: Callable[[float], None],
    rows: Rows,
) -> None:
    def kept() -> dict[str, Any]:
        texts = [row["value_json"] for row in rows("trial_system_attributes") if row["key"] == "hpsearch:released"]
        (found,) = map(json.loads, texts)
        assert isinstance(found, dict)
        assert found.pop("at").endswith("Z")
        return found

    def plain(owner: Owner) -> Any:
        return json.loads(owner.to_json())

    dead = gone()
    _ids(store, stage, dead, until=1)
    assert store.owned(stage, [0]) == {0: Owned(dead, 1)}
    store.release_dead(stage, me=me)
    assert kept() == {"times": 1, "owner": plain(dead), "by": plain(me), "why": PROCESS_GONE}
    assert store.owned(stage, [0]) == {0: Owned(None, 1)}
    other = replace(me, run="another run", host="another machine")
    ids = _ids(store, stage, other, until=1)
    store.release(stage, owner=other)
    assert kept() == {"times": 2, "owner": plain(other), "by": plain(other), "why": GIVEN_BACK}
    _ids(store, stage, other, until=1)
    age(ids[0], timedelta(days=1))
    store.release_dead(stage, me=me)
    pass_time(STILL_S)
    store.release_dead(stage, me=me)
    assert kept() == {"times": 3, "owner": plain(other), "by": plain(me), "why": SILENT}
    _ids(store, stage, me, until=1)
    store.record(stage, [Completed(0, 0.5)], ids, owner=me)
    assert kept()["times"] == 3
    assert store.owned(stage, [0]) == {0: Owned(me, 4)}
    assert store.finishers(stage) == {me: 1}
