"""The best trials with their hits, and how many were drawn: what a comparison with the best one asks of a store."""

from __future__ import annotations

import numpy as np
import pytest

from hpsearch.records import HITS, VALIDATION_LOSS, Completed, Failed, Outcome, Stage
from hpsearch.statistics.hits import pack
from hpsearch.store import Owner, Store, queries


def record(store: Store, stage: Stage, outcomes: list[Outcome], me: Owner) -> None:
    claimed = store.claim(stage, until=len(outcomes), most=len(outcomes), owner=me).trials
    store.record(stage, outcomes, {trial.number: trial.trial_id for trial in claimed}, owner=me)


def test_hits_come_with_the_columns_where_they_are_asked_for(store: Store, stage: Stage, me: Owner) -> None:
    right = np.array([True, False, True])
    with_hits = Completed(0, 2 / 3, (), {HITS: pack(right)})
    record(store, stage, [with_hits, Completed(1, 0.5, (), {}), Failed(2, "diverged")], me)
    assert store.columns(stage, top=5, hits=True)[HITS] == [pack(right), None]
    assert store.columns(stage, hits=True)[HITS] == [pack(right), None, None]
    assert HITS not in store.columns(stage, top=5)


def test_drawn_counts_what_ever_became_of_them(store: Store, stage: Stage, me: Owner) -> None:
    assert store.drawn(stage) == 0
    store.claim(stage, until=10, most=4, owner=me)
    assert store.drawn(stage) == 4
    store.release(stage, owner=me)
    assert store.drawn(stage) == 4


def test_the_best_are_ranked_whole_however_many_tie(
    store: Store, stage: Stage, me: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 3, 16) / 4
    losses = [None if loss == 3 else float(loss) for loss in rng.integers(0, 4, 16)]
    outcomes: list[Outcome] = [
        Completed(number, float(score), (), {} if loss is None else {VALIDATION_LOSS: loss})
        for number, (score, loss) in enumerate(zip(scores, losses, strict=True))
    ]
    record(store, stage, outcomes, me)
    order = sorted(range(16), key=lambda i: (-scores[i], losses[i] is None, losses[i] or 0.0, i))
    for beyond in (1, 3, 1000):
        monkeypatch.setattr(queries, "_BEYOND", beyond)
        for top in (1, 2, 5, 15, 16, 20):
            assert store.columns(stage, top=top)["number"] == order[:top]
