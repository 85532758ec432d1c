"""Confirmations: the same bits however they come about, fresh seeds, and exactly the requested trials."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import made_stages
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from hpsearch import Search
from hpsearch.errors import BadInput, Interrupted, StageConflict, UnknownSearch
from hpsearch.objectives.network import runtime
from hpsearch.objectives.network.objective import NetworkObjective
from hpsearch.records import CURVES, HITS, VALIDATION_LOSS, Completed, ConfirmationPlan, Sentence, Setting, Trial
from hpsearch.search.confirmation import confirm
from hpsearch.search.runner import Tick
from hpsearch.search.stage import confirmation_of, kept_study
from hpsearch.search.workflow import ConfirmJob, Job, Listener, run
from hpsearch.statistics.hits import unpack
from hpsearch.store import open_store

SECTIONS: dict[str, Any] = {
    "network": {"hidden": None},
    "space": {
        # Up to rates that diverge, over two structures, with dropout masks.
        "lr": {"low": 1e-2, "high": 1e20, "log": True},
        "hidden": {"choices": ["8", "6x2"]},
        "dropout": {"low": 0.1, "high": 0.4},
    },
    "trials": {"count": 20},
}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return made_stages.searched(tmp_path_factory.mktemp("searched"), **SECTIONS)


@pytest.fixture
def copy(tmp_path: Path, searched: bytes) -> Callable[[], str]:
    def make() -> str:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.db"
        path.write_bytes(searched)
        return str(path)

    return make


def job(storage: str, **options: Any) -> ConfirmJob:
    return ConfirmJob(storage=storage, **{"engine": "inline", "top": 3, "repeats": 4, **options})


def outcomes(storage: str) -> dict[tuple[int, int], tuple[Any, ...]]:
    """All that lasts of a confirmation's trials, by confirmed trial and repeat."""
    with closing(open_store(storage)) as store:
        (confirmation,) = store.confirmations()
        plan, columns = confirmation.plan, store.columns(confirmation)
        assert plan is not None
        points = store.curves(confirmation).groupby("number")
        keys = (HITS, CURVES, VALIDATION_LOSS)
        attributes = [store.attribute(confirmation, columns["number"], key) for key in keys]
    curves = {number: rows["value"].tolist() for number, rows in points}
    result = {}
    for at, number in enumerate(columns["number"]):
        index, repeat = plan.place(number)
        setting = plan.settings[index]
        assert {name: columns[f"param:{name}"][at] for name in confirmation.space} == setting.params
        ends = (columns[name][at] for name in ("state", "score", "reason"))
        result[setting.trial, repeat] = (*ends, curves.get(number), *(of.get(number) for of in attributes))
    return result


class StopAfter(Listener):
    """Presses Ctrl-C once so many trials are recorded."""

    def __init__(self, trials: int) -> None:
        self._left = trials

    def note(self, text: str | Sentence) -> None:
        raise AssertionError(text)

    def tick(self, tick: Tick) -> None:
        self._left -= len(tick.recorded)
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGINT)
            self._left = 10**9


def test_lanes_processes_a_stop_and_the_way_of_growing_make_no_difference(copy: Callable[[], str]) -> None:
    first = copy()
    done = confirm(job(first, lanes=1))
    expected = outcomes(first)
    assert (done.summary.recorded, done.state.confirmation.name, done.state.stage) == (
        12,
        "tiny/confirm-01",
        "tiny/stage-01",
    )
    assert {repeat for _, repeat in expected} == {0, 1, 2, 3}
    assert len({scores[1] for scores in expected.values()}) > 1
    complete = [of for of in expected.values() if of[0] == "COMPLETE"]
    assert all(sum(unpack(hits, 20)) / 20 == score for _, score, _, _, hits, *_ in complete)
    wide, pool, grown, stopped = (copy() for _ in range(4))
    confirm(job(wide, lanes=7))
    confirm(job(pool, engine="pool", jobs=2))
    ran = [
        confirm(job(grown, top=top, repeats=repeats, lanes=2)).summary.recorded
        for top, repeats in ((2, 2), (2, 2), (1, 2), (3, 2), (1, 3), (3, 4))
    ]
    assert ran == [4, 0, 0, 2, 1, 5]  # exactly what is missing
    with pytest.raises(Interrupted, match=r"stopped: tiny/confirm-01 has \d+ of 12 trials, all recorded"):
        confirm(job(stopped, lanes=2), StopAfter(3))
    assert 3 <= len([of for of in outcomes(stopped).values() if of[0] != "WAITING"]) < 12
    confirm(job(stopped, lanes=5))
    for storage in (wide, pool, grown, stopped):
        assert outcomes(storage) == expected


def test_a_request_stops_a_confirmation_which_ranks_what_it_has(
    copy: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpsearch.search.limits._LOOK_S", 0.0)
    storage = copy()

    class Asks(Listener):
        def tick(self, tick: Tick) -> None:
            if tick.recorded:
                Search(storage=storage).stop()

    stopped = confirm(job(storage, lanes=1), Asks())
    assert (stopped.summary.ended_by, stopped.summary.recorded) == ("stop", 1)
    assert [of.repeats for of in stopped.state.ranking if of.repeats] == [1]
    assert confirm(job(storage)).summary.recorded == 11


def test_repeats_that_failed_can_be_retried(copy: Callable[[], str]) -> None:
    storage = copy()
    failed = confirm(job(storage, top=12)).summary.counts.failed
    assert failed > 0  # some diverged
    before = outcomes(storage)
    again = Search("tiny/confirm-01", storage=storage).retry()
    assert (again.stage.name, len(again.numbers)) == ("tiny/confirm-01", failed)
    (following,) = again.following
    assert str(following).startswith("confirm(stage=1")
    assert confirm(job(storage, top=12)).summary.recorded == failed
    assert outcomes(storage) == before


def test_what_a_larger_one_left_unfinished_is_finished_where_it_is_requested(copy: Callable[[], str]) -> None:
    storage = copy()
    with pytest.raises(Interrupted):
        confirm(job(storage, top=3, repeats=30, lanes=1), StopAfter(4))
    confirm(job(storage, top=3, repeats=2))
    requested = {place: of for place, of in outcomes(storage).items() if place[1] < 2}
    assert len(requested) == 6
    assert all(of[0] in ("COMPLETE", "FAIL") for of in requested.values())


def test_the_best_of_now_are_confirmed_though_others_were_before(copy: Callable[[], str], tmp_path: Path) -> None:
    storage = copy()
    before = {of.trial for of in confirm(job(storage, top=2, repeats=2)).state.ranking}
    run(Job(storage=storage, study=str(tiny.write(tmp_path, **SECTIONS)), trials=200, engine="inline"))
    after = {of.trial for of in confirm(job(storage, top=2, repeats=2)).state.ranking}
    with closing(open_store(storage)) as store:
        best = set(store.columns(store.stages()[0], top=2)["number"])
    assert after >= best | before
    assert best != before  # or this test would test nothing


def test_a_repeat_s_seeds_are_its_own_whatever_its_number_and_setting(copy: Callable[[], str]) -> None:
    storage = copy()
    done = confirm(job(storage))
    confirmation, kept = done.state.confirmation, outcomes(storage)
    with closing(open_store(storage)) as store:
        assert confirmation.seed != store.stages()[0].seed
    study = kept_study(confirmation)
    objective = cast(NetworkObjective, study.objective(tiny.split(), seed=confirmation.seed, space=confirmation.space))
    setting = next(of.setting for of in done.state.ranking if not of.failed)
    for number, repeat in ((0, 0), (17, 0), (3, 2)):
        (again,) = tiny.evaluated(objective, [Trial(1, number, setting.params, repeat)])[0].values()
        assert isinstance(again, Completed)
        assert again.score == kept[setting.trial, repeat][1]
        assert again.intermediate == tuple(kept[setting.trial, repeat][3])
    assert len({tuple(kept[setting.trial, repeat][3]) for repeat in range(4)}) == 4


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"top": 0}, BadInput, "top=0: give a number from 1 to 200"),
        ({"repeats": 1}, BadInput, "repeats=1: give a number from 2 to 1,000"),
        ({"top": 99}, BadInput, r"top=99: tiny/stage-01 has \d+ trials with a score; use a smaller top"),
        ({"stage": 2}, UnknownSearch, "tiny has no stage 2; known: 1"),
        ({"search": "other"}, UnknownSearch, "no search 'other'"),
        ({"data": "other"}, StageConflict, "the data of tiny/stage-01 have changed"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_made(
    copy: Callable[[], str],
    options: dict[str, Any],
    error: type[Exception],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = copy()
    if options.pop("data", None):
        elsewhere = tiny.study(data={"seed": 1}).load()
        monkeypatch.setattr(runtime, "load", lambda sections, data_dir: elsewhere)
    with pytest.raises(error, match=words):
        confirm(job(storage, **options))
    with closing(open_store(storage)) as store:
        assert store.confirmations() == []
        with pytest.raises(UnknownSearch, match=r"stage-01 has not been confirmed; `confirm\(stage=1\)` does it"):
            confirmation_of(store, store.stages()[0])


# The plan: which setting and repeat a trial is, for ever the same, however the confirmation grows.


def settings(*trials: int) -> list[Setting]:
    return [Setting(trial, {"lr": 0.1 * trial}, trial / 100) for trial in trials]


def places(plan: ConfirmationPlan) -> list[tuple[int, int]]:
    """The trial that is repeated, and the repeat, by number."""
    return [(plan.settings[index].trial, repeat) for index, repeat in map(plan.place, range(plan.size))]


GROWTHS = st.lists(
    st.tuples(st.lists(st.integers(0, 9), min_size=1, max_size=6, unique=True), st.integers(1, 6)), max_size=6
)


@given(GROWTHS)
def test_growing_in_any_direction_keeps_every_number_and_adds_what_is_missing(
    growths: list[tuple[list[int], int]],
) -> None:
    plan, every = ConfirmationPlan(), set()
    for trials, repeats in growths:
        before = places(plan)
        plan = plan.grown(settings(*trials), repeats)
        after = places(plan)
        assert after[: len(before)] == before
        requested = {(trial, repeat) for trial in trials for repeat in range(repeats)}
        every |= requested
        assert Counter(after) == Counter(every)  # nothing twice, nothing else
        # As soon as all numbers below the end are there, so is what was requested.
        end = plan.end(trials, repeats)
        assert requested <= set(after[:end])
        assert not requested <= set(after[: end - 1])
        assert plan.grown(settings(*trials), repeats) == plan
    assert ConfirmationPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_all_settings_are_trained_about_equally_often_at_any_time() -> None:
    plan = ConfirmationPlan().grown(settings(7, 3, 5), 4)
    for stop in range(1, plan.size):
        trained = Counter(trial for trial, _ in places(plan)[:stop])
        assert max(trained.values()) - min(trained.get(trial, 0) for trial in (7, 3, 5)) <= 1
    # Latecomers are brought level first.
    late = ConfirmationPlan().grown(settings(7), 2).grown(settings(7, 3), 3)
    assert places(late) == [(7, 0), (7, 1), (3, 0), (3, 1), (7, 2), (3, 2)]
    with pytest.raises(IndexError):
        late.place(6)
