"""Stages and their lineage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import made_stages
import optuna
import pytest
import tiny
from optuna.distributions import BaseDistribution

from hpsearch import __version__
from hpsearch.errors import NotEnoughTrials, StageConflict, UnknownSearch
from hpsearch.records import Completed, Failed, Outcome, Sentence, Stage, Trial, stage_seed
from hpsearch.search.narrowing import narrow_stage
from hpsearch.search.stage import begin, best_of, kept_study, pick, stages_of
from hpsearch.space import Float, Space
from hpsearch.store import NewStage, Store

SEED = 3
TAKEN = "tiny/stage-02 has 6 trials already.*add branch to make stage 3 from stage 1"


class Loaded(NamedTuple):
    """Data that nothing reads."""

    fingerprint: str
    sizes: Mapping[str, int]
    notes: Sequence[Sentence] = ()
    facts: Mapping[str, Any] = {}


DATA, OTHER = (Loaded(letter * 64, {"train": 4, "validation": 2}) for letter in "ab")


def test_a_stage_of_0_2_goes_on_by_the_type_of_its_values() -> None:
    plain = tiny.study().to_dict()
    old = {key: value for key, value in plain["data"].items() if key not in ("scale", "missing", "text")}
    for data, scale in ((old, "type"), (plain["data"], "auto")):
        stage = Stage("tiny", 1, "maximize", 0, tiny.study().space, {**plain, "data": data}, study_id=1)
        assert kept_study(stage).sections.data.scale == scale


def started(store: Store) -> Stage:
    return begin(store, tiny.study(), DATA, seed=SEED)[0]


def finish(store: Store, stage: Stage, count: int, *, failed: int = 0) -> None:
    """Finish trials: the score falls with the trial's number; the last few fail."""
    until = store.counts(stage).finished + count

    def outcome(trial: Trial) -> Outcome:
        n, score = trial.number, 1 / (trial.number + 2)
        return Failed(n, "no reason") if n >= until - failed else Completed(n, score, (score,), {"validation_loss": n})

    made_stages.finish(store, stage, until, outcome)


def numbered(store: Store) -> dict[int, Any]:
    return {stage.number: stage.parent for stage in store.stages()}


def test_the_first_stage_is_made_once_and_found_again(store: Store) -> None:
    study = tiny.study(trials={"seed": 5})
    stage, new = begin(store, study, DATA)
    assert new
    assert (stage.name, stage.seed, stage.direction, stage.parent) == ("tiny/stage-01", 5, "maximize", None)
    assert stage.space == study.space
    assert stage.study_file == study.to_dict()
    assert set(stage.versions) == {"hpsearch", "numpy", "optuna"}
    assert stage.versions["hpsearch"] == __version__
    assert begin(store, study, DATA) == (stage, False)
    assert begin(store, study, OTHER, number=1, seed=5) == (stage, False)
    assert store.stages() == [stage]


def test_another_seed_or_stage_than_there_is_is_refused(store: Store) -> None:
    with pytest.raises(UnknownSearch, match="tiny has no stage 2: it has not been started"):
        begin(store, tiny.study(), DATA, number=2)
    assert store.stages() == []
    started(store)
    with pytest.raises(StageConflict, match=f"seed=4: tiny/stage-01 was begun with seed {SEED}; .*another storage"):
        begin(store, tiny.study(), DATA, seed=4)
    with pytest.raises(UnknownSearch, match="tiny has no stage 2; known: 1"):
        begin(store, tiny.study(), DATA, number=2)


def test_stages_are_found_by_name_or_because_there_is_one_search(store: Store) -> None:
    with pytest.raises(UnknownSearch, match=r"no search in .* yet"):
        stages_of(store, None)
    stage = started(store)
    assert stages_of(store, None) == stages_of(store, "tiny") == [stage]
    with pytest.raises(UnknownSearch, match=r"no search 'tinny' in .*; did you mean 'tiny'"):
        stages_of(store, "tinny")
    begin(store, tiny.study("other"), DATA)
    with pytest.raises(UnknownSearch, match="name one of: other, tiny"):
        stages_of(store, None)
    assert stages_of(store, "tiny") == [stage]


def test_narrowing_makes_the_next_stage_with_its_lineage(store: Store) -> None:
    first = started(store)
    finish(store, first, 12, failed=2)
    narrowed = narrow_stage(store, store.stages(), top=4, rule="order-statistics")
    first, second = store.stages()
    assert narrowed.stage == second == pick(store.stages(), None)
    assert (narrowed.parent, narrowed.finished, narrowed.replaced) == (first, 10, False)
    assert (second.number, second.parent, second.search) == (2, 1, "tiny")
    assert second.trials_used == narrowed.narrowing.used == (0, 1, 2, 3)
    assert second.seed == stage_seed(SEED, 2) != first.seed
    assert begin(store, tiny.study(), DATA, seed=SEED) == (second, False)  # the search's seed is its first stage's
    assert second.rule
    assert (second.fingerprint, second.study_file) == (first.fingerprint, first.study_file)
    assert second.space == narrowed.narrowing.space
    lr, before = second.space["lr"], first.space["lr"]
    assert before.low <= lr.low < lr.high <= before.high  # type: ignore[union-attr]
    assert lr != before


@pytest.mark.parametrize(("optimizer", "users"), [("momentum", 4), ("adam", 0)])
def test_who_uses_a_hyperparameter_is_in_the_stages_study_file(store: Store, optimizer: str, users: int) -> None:
    file = {"training": {"optimizer": optimizer}}
    stage = store.create_stage(NewStage("tiny", 1, "maximize", SEED, {"momentum": Float(0.5, 0.9)}, file))
    finish(store, stage, 12)
    made = narrow_stage(store, store.stages(), top=4, dry_run=True).narrowing.ranges["momentum"]
    assert made.top == users
    assert (made.evidence is None) == (users == 0)


def test_a_stage_with_trials_is_never_replaced(store: Store) -> None:
    finish(store, started(store), 12)
    narrow_stage(store, store.stages(), top=4)
    second = pick(store.stages(), 2)
    finish(store, second, 6)
    with pytest.raises(StageConflict, match=TAKEN):
        narrow_stage(store, store.stages(), number=1, top=6)
    assert numbered(store) == {1: None, 2: 1}
    branched = narrow_stage(store, store.stages(), number=1, top=6, branch=True)
    assert branched.stage is not None
    assert (branched.replaced, branched.stage.trials_used) == (False, tuple(range(6)))
    assert numbered(store) == {1: None, 2: 1, 3: 1}
    assert pick(store.stages(), 2) == second


def test_a_narrowing_that_changes_nothing_says_so(store: Store) -> None:
    space: Space = {"momentum": Float(0.5, 0.9)}
    stage = store.create_stage(NewStage("tiny", 1, "maximize", SEED, space, {"training": {"optimizer": "adam"}}))
    finish(store, stage, 12)
    remarks = narrow_stage(store, store.stages(), top=4, expand=True, dry_run=True).remarks
    assert [str(of) for of in remarks] == [
        "expand moved no bound: none is seen to cut off better values",
        "no range changed",
    ]
    assert [str(of) for of in narrow_stage(store, store.stages(), top=4, dry_run=True).remarks] == ["no range changed"]


def test_an_empty_last_stage_does_not_hide_the_trials_of_one_between(store: Store) -> None:
    finish(store, started(store), 12)
    narrow_stage(store, store.stages(), top=6)
    finish(store, pick(store.stages(), 2), 6)
    narrow_stage(store, store.stages(), top=4)
    assert numbered(store) == {1: None, 2: 1, 3: 2}
    with pytest.raises(StageConflict, match=TAKEN):
        narrow_stage(store, store.stages(), number=1, top=4)
    assert narrow_stage(store, store.stages(), top=3).replaced
    assert numbered(store) == {1: None, 2: 1, 3: 2}
    assert narrow_stage(store, store.stages(), number=1, top=4, branch=True).replaced
    assert numbered(store) == {1: None, 2: 1, 3: 1}
    # Said once, for a narrowing that is only made again.
    assert narrow_stage(store, store.stages(), top=3).replaced
    assert numbered(store) == {1: None, 2: 1, 3: 1}


def test_a_dry_run_writes_nothing(store: Store) -> None:
    finish(store, started(store), 12)
    before = store.stages()
    dry = narrow_stage(store, before, top=4, dry_run=True)
    assert dry.stage is None
    assert store.stages() == before
    real = narrow_stage(store, before, top=4)
    assert real.narrowing == dry.narrowing


def test_narrowing_needs_the_trials_it_is_asked_to_use(store: Store) -> None:
    stage = started(store)
    with pytest.raises(NotEnoughTrials, match=r"tiny/stage-01 has no trial with a score yet; run `start\(\)` first"):
        narrow_stage(store, store.stages(), top=4)
    finish(store, stage, 5, failed=2)
    with pytest.raises(NotEnoughTrials, match="there are 3"):
        narrow_stage(store, store.stages(), top=4)
    assert numbered(store) == {1: None}


def test_the_best_trial_of_all_stages(store: Store) -> None:
    first = started(store)
    assert best_of(store, store.stages()) is None
    finish(store, first, 12)
    narrow_stage(store, store.stages(), top=4)
    finish(store, pick(store.stages(), 2), 3)
    found = best_of(store, store.stages())
    assert found is not None
    # Both stages' trial 0 have the same score and loss: the earlier stage's stands.
    assert found[0] == store.stages()[0]
    assert found[1]["number"] == [0]


def test_trials_that_somebody_ran_otherwise_do_not_count_in_narrowing(store: Store) -> None:
    stage = started(store)
    finish(store, stage, 4)
    study = optuna.load_study(study_name=stage.name, storage=store.url)
    other = optuna.distributions.FloatDistribution(1e-3, 1e3, log=True)
    decay = optuna.distributions.FloatDistribution(1e-9, 1.0, log=True)
    for lr, score in ((500.0, 9.0), (0.5, math.inf)):  # out of the range; a score that is no number
        params = {"lr": lr, "weight_decay": 1e-5}
        distributions: dict[str, BaseDistribution] = {"lr": other, "weight_decay": decay}
        study.add_trial(optuna.create_trial(params=params, distributions=distributions, value=score))
    study.add_trial(optuna.create_trial(value=5.0))  # no parameters at all
    narrowed = narrow_stage(store, store.stages(), top=2, dry_run=True)
    assert narrowed.finished == 4
    assert narrowed.narrowing.used == (0, 1)
