"""Confirmations: the same bits however they come about, fresh seeds, and exactly as much as is asked."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import signalled
import tiny
from faulty.process import Running

from hpsearch.errors import BadInput, Interrupted, StageConflict, UnknownSearch
from hpsearch.nn import Purpose, lane_rng
from hpsearch.objectives.network import runtime
from hpsearch.objectives.network.objective import NetworkObjective
from hpsearch.records import CURVES, HITS, VALIDATION_LOSS, Stage, Trial
from hpsearch.search.confirmation import Confirmation
from hpsearch.search.runner import Tick
from hpsearch.search.stage import confirmation_of
from hpsearch.search.workflow import ConfirmJob, Job, Listener, confirm, run
from hpsearch.statistics.hits import unpack
from hpsearch.store import Store, open_store
from hpsearch.study_file import parse

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
    """A database in which a stage has run."""
    folder = tmp_path_factory.mktemp("searched")
    study = tiny.write(folder, **SECTIONS)
    run(Job(storage=str(folder / "made.db"), study=str(study), engine="inline"))
    return (folder / "made.db").read_bytes()


@pytest.fixture
def copy(tmp_path: Path, searched: bytes) -> Callable[[], str]:
    """Makes a database of its own with that stage."""

    def make() -> str:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.db"
        path.write_bytes(searched)
        return str(path)

    return make


def job(storage: str, **options: Any) -> ConfirmJob:
    return ConfirmJob(storage=storage, **{"engine": "inline", "top": 3, "repeats": 4, **options})


def outcomes(storage: str, stage: int = 1) -> dict[tuple[int, int], tuple[Any, ...]]:
    """All that lasts of a confirmation's trials, by confirmed trial and repeat."""
    store = open_store(storage)
    (found,) = [one for one in store.confirmations() if one.number == stage]
    roster = found.plan
    assert roster is not None
    columns = store.columns(found)
    curves = {number: rows["value"].tolist() for number, rows in store.curves(found).groupby("number")}
    attributes = {key: store.attribute(found, columns["number"], key) for key in (HITS, CURVES, VALIDATION_LOSS)}
    result = {}
    for at, number in enumerate(columns["number"]):
        index, repeat = roster.place(number)
        assert {name: columns[f"param:{name}"][at] for name in found.space} == roster.settings[index].params
        kept = [attributes[key].get(number) for key in attributes]
        result[roster.settings[index].trial, repeat] = (
            *(columns[name][at] for name in ("state", "score", "reason")),
            curves.get(number),
            *kept,
        )
    store.close()
    return result


class StopAfter(Listener):
    """Presses Ctrl-C once so many trials are recorded."""

    def __init__(self, trials: int) -> None:
        self._left = trials

    def note(self, text: str) -> None:
        raise AssertionError(text)

    def began(self, stage: Stage, *, until: int, jobs: int, best: tuple[int, float] | None, finished: int = 0) -> None:
        self.until = until

    def tick(self, tick: Tick) -> None:
        self._left -= len(tick.recorded)
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGINT)
            self._left = 10**9


def test_lanes_processes_a_stop_and_the_way_of_growing_make_no_difference(copy: Callable[[], str]) -> None:
    first = copy()
    confirm(job(first, lanes=1))
    expected = outcomes(first)
    assert len(expected) == 12
    assert len({repeat for _, repeat in expected}) == 4
    assert len({scores[1] for scores in expected.values()}) > 1
    wide, pool, grown, stopped = (copy() for _ in range(4))
    confirm(job(wide, lanes=7))
    confirm(job(pool, engine="pool", jobs=2))
    for top, repeats in ((2, 2), (3, 2), (1, 3), (3, 4)):
        confirm(job(grown, top=top, repeats=repeats, lanes=2))
    with pytest.raises(Interrupted, match=r"stopped: tiny/confirm-01 has \d+ of 12 trials, all recorded"):
        confirm(job(stopped, lanes=2), StopAfter(3))
    assert 3 <= len([one for one in outcomes(stopped).values() if one[0] != "WAITING"]) < 12
    confirm(job(stopped, lanes=5))
    for storage in (wide, pool, grown, stopped):
        assert outcomes(storage) == expected


def test_it_comes_to_have_what_is_asked_and_no_more(copy: Callable[[], str]) -> None:
    storage = copy()
    done = confirm(job(storage, top=2, repeats=3))
    assert (done.summary.recorded, done.stage.name, done.parent.name) == (6, "tiny/confirm-01", "tiny/stage-01")
    assert confirm(job(storage, top=2, repeats=3)).summary.recorded == 0
    assert confirm(job(storage, top=1, repeats=2)).summary.recorded == 0
    assert confirm(job(storage, top=2, repeats=5)).summary.recorded == 4
    grown = confirm(job(storage, top=3, repeats=5))
    assert grown.summary.recorded == 5
    assert {one.repeats + one.failed for one in grown.ranking} == {5}
    assert confirm(job(storage, top=1, repeats=6)).summary.recorded == 1


def test_what_an_interrupted_bigger_one_left_unfinished_is_finished_where_it_is_asked_for(
    copy: Callable[[], str],
) -> None:
    storage = copy()
    with pytest.raises(Interrupted):
        confirm(job(storage, top=3, repeats=30, lanes=1), StopAfter(4))
    confirm(job(storage, top=3, repeats=2))
    found = outcomes(storage)
    asked = {place for place in found if place[1] < 2}
    assert len(asked) == 6
    assert all(found[place][0] in ("COMPLETE", "FAIL") for place in asked)


def test_the_best_of_now_are_confirmed_though_others_were_before(copy: Callable[[], str], tmp_path: Path) -> None:
    storage = copy()
    before = confirm(job(storage, top=2, repeats=2))
    study = tiny.write(tmp_path, **SECTIONS)
    run(Job(storage=storage, study=str(study), trials=80, engine="inline"))
    after = confirm(job(storage, top=2, repeats=2))
    store = open_store(storage)
    (stage,) = store.stages()
    best = store.columns(stage, top=2)["number"]
    store.close()
    assert {one.setting.trial for one in after.ranking} >= set(best) | {one.setting.trial for one in before.ranking}
    assert best != [one.setting.trial for one in before.ranking]  # or this test would test nothing


def objective_of(done: Confirmation) -> NetworkObjective:
    study = parse(done.parent.study_file, source="kept")
    return cast("NetworkObjective", study.objective(tiny.split(), seed=done.stage.seed, space=done.parent.space))


def test_a_repeat_s_seeds_are_its_own_whatever_its_number_and_setting(copy: Callable[[], str]) -> None:
    storage = copy()
    done = confirm(job(storage))
    assert done.stage.seed != done.parent.seed
    found = outcomes(storage)
    objective = objective_of(done)
    one = next(one for one in done.ranking if not one.failed)
    for number, repeat in ((0, 0), (17, 0), (3, 2)):
        (again,), _ = tiny.evaluated(objective, [Trial(1, number, one.setting.params, repeat)])[0].values(), None
        assert again.score == found[one.setting.trial, repeat][1]  # type: ignore[union-attr]
        assert again.intermediate == tuple(found[one.setting.trial, repeat][3])
    curves = {tuple(found[one.setting.trial, repeat][3]) for repeat in range(4)}
    assert len(curves) == 4


def test_weights_order_and_masks_are_all_drawn_anew_for_a_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    from hpsearch.objectives.network import structure as built

    drawn: list[tuple[int, Purpose]] = []

    def note(seed: int, number: int, purpose: Purpose) -> np.random.Generator:
        drawn.append((number, purpose))
        return lane_rng(seed, number, purpose)

    monkeypatch.setattr(built, "lane_rng", note)
    monkeypatch.setattr(built, "lane_rngs", lambda seed, numbers, purpose: [note(seed, n, purpose) for n in numbers])
    objective = tiny.objective(network={"dropout": 0.2})
    params = {"lr": 0.1, "weight_decay": 1e-6}
    tiny.evaluated(objective, [Trial(1, 10, params, 3), Trial(2, 11, params, 4)])
    assert {number for number, purpose in drawn if purpose == Purpose.WEIGHTS} == {3, 4}
    assert {number for number, purpose in drawn if purpose == Purpose.DROPOUT} == {3, 4}
    assert {3, 4} <= {number for number, purpose in drawn if purpose == Purpose.ORDER}
    assert 10 not in {number for number, _ in drawn}


def test_hits_are_kept_of_every_repeat(copy: Callable[[], str]) -> None:
    storage = copy()
    confirm(job(storage, top=2, repeats=2))
    complete = [one for one in outcomes(storage).values() if one[0] == "COMPLETE"]
    assert complete
    for _, score, _, _, hits, *_ in complete:
        assert float(unpack(hits, 20).mean()) == score


def test_several_runners_share_one(copy: Callable[[], str]) -> None:
    storage, alone = copy(), copy()
    confirm(job(alone, top=3, repeats=4))
    together = threading.Barrier(2, timeout=60)

    class Together(StopAfter):
        def began(
            self, stage: Stage, *, until: int, jobs: int, best: tuple[int, float] | None, finished: int = 0
        ) -> None:
            together.wait()

    with ThreadPoolExecutor(2) as runners:
        asked = [{"top": 2, "repeats": 3, "lanes": 1}, {"top": 3, "repeats": 4, "lanes": 2}]
        done = [runners.submit(confirm, job(storage, **options), Together(10**9)) for options in asked]
        assert sum(one.result().summary.recorded for one in done) == 12
    assert outcomes(storage) == outcomes(alone)


def test_signals_to_its_processes_lose_nothing_that_was_recorded(tmp_path: Path) -> None:
    study = tiny.write(tmp_path, trials={"count": 2})
    storage, undisturbed = tmp_path / "studies.db", str(tmp_path / "undisturbed.db")
    run(Job(storage=str(storage), study=str(study), engine="inline"))
    shutil.copy(storage, undisturbed)
    words = ("confirm", "--top", "2", "--repeats", "8", "--lanes", "1", "--jobs", "2", "--storage", storage.name)
    with Running(tmp_path) as running:
        # Those of the stage have finished before.
        for number, held in ((signal.SIGINT, 3), (signal.SIGKILL, 6)):
            process = signalled.start(running, *words, held_from=held)
            signalled.finished(storage, process, 2 + held)
            process.send(number, group=True)
            code, _, said = process.end()
            assert code == (130 if number == signal.SIGINT else -number)
            if number == signal.SIGINT:
                assert said[-1].startswith("hpsearch: stopped: tiny/confirm-01 has ")
            assert 2 + held <= signalled.states(storage).count("COMPLETE") < 2 + 16
    confirm(job(str(storage), top=2, repeats=8))
    confirm(job(undisturbed, top=2, repeats=8))
    assert outcomes(str(storage)) == outcomes(undisturbed)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"top": 0}, BadInput, "top=0: give a number from 1 to 200"),
        ({"top": 201}, BadInput, "top=201"),
        ({"repeats": 1}, BadInput, "repeats=1: give a number from 2 to 1000; one repeat has no spread"),
        ({"top": 99}, BadInput, r"top=99: tiny/stage-01 has \d+ trials with a score; use a smaller top"),
        ({"stage": 2}, UnknownSearch, "tiny has no stage 2; known: 1"),
        ({"search": "other"}, UnknownSearch, "no search 'other'"),
        ({"engine": "polo"}, BadInput, "did you mean 'pool'"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_made(
    copy: Callable[[], str], options: dict[str, Any], error: type[Exception], words: str
) -> None:
    storage = copy()
    with pytest.raises(error, match=words):
        confirm(job(storage, **options))
    store = open_store(storage)
    assert store.confirmations() == []
    store.close()


def test_other_data_than_the_stage_s_are_refused(copy: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    storage = copy()
    other = tiny.study(data={"seed": 1})
    elsewhere = other.load()
    monkeypatch.setattr(runtime, "load", lambda sections, data_dir: elsewhere)
    with pytest.raises(StageConflict, match="the data of tiny/stage-01 have changed"):
        confirm(job(storage))


def test_a_stage_that_nobody_confirmed_says_how(copy: Callable[[], str]) -> None:
    store: Store = open_store(copy())
    with pytest.raises(UnknownSearch, match=r"stage-01 has not been confirmed; `confirm\(stage=1\)` does it"):
        confirmation_of(store, store.stages()[0])
    store.close()
