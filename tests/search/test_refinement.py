"""Refinement: what its trials' values follow from, and that it finds what random search does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import made_stages
import pytest
import tiny

from hpsearch import BadArgument, Float, MissingExtra, NotEnoughTrials, Search, StageConflict
from hpsearch.records import Completed, Failed, Outcome, Stage, Trial
from hpsearch.samplers import RandomSampler
from hpsearch.search import refinement, thompson
from hpsearch.search.refinement import Proposals, Scored, propose, refine_stage
from hpsearch.space import Categorical, Int, Space, Value, contains, space_to_dict
from hpsearch.store import NewStage, Owner, Store, open_store
from hpsearch.store.maintenance.check import check

SPACE: Space = {"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)}
GP = pytest.param("gp", marks=pytest.mark.skipif(find_spec("torch") is None, reason="needs torch (extra [examples])"))
SAMPLERS = pytest.mark.parametrize("sampler", ["surrogate", "tpe", GP])


def bowl(params: Mapping[str, Value]) -> float:
    x, y = (float(params[name]) for name in ("x", "y"))  # type: ignore[arg-type]
    return 1 - (x - 0.3) ** 2 - (y - 0.8) ** 2


def first_stage(store: Store, space: Space = SPACE, **fields: Any) -> Stage:
    file: dict[str, Any] = {"name": "own", "objective": {"function": "a:b", "direction": "maximize", "metric": "score"}}
    file["space"] = space_to_dict(space)
    return store.create_stage(NewStage("own", 1, "maximize", 7, space, file, **fields))


def run(store: Store, stage: Stage, until: int, score: Callable[[Mapping[str, Value]], float | None] = bowl) -> None:
    """Run trials one batch after the other, the last of a batch first."""
    owner = Owner.current()
    step = stage.refinement["batch"] if stage.refinement else until
    if stage.refinement:
        store.sample_by(stage, Proposals(store, stage))
    for goal in [*range(step, until, step), until]:
        trials = store.claim(stage, until=goal, most=goal, owner=owner).trials
        ids = {trial.number: trial.trial_id for trial in trials}
        for trial in reversed(trials):
            store.record(stage, [outcome(trial, score(trial.params))], ids, owner=owner)


def outcome(trial: Trial, score: float | None) -> Outcome:
    return Failed(trial.number, "the loss became nan") if score is None else Completed(trial.number, score, ())


def params_of(store: Store, stage: Stage) -> list[tuple[Any, ...]]:
    columns = store.columns(stage)
    return list(zip(*(columns[f"param:{name}"] for name in stage.space), strict=True))


@SAMPLERS
def test_a_refinement_comes_nearer_to_the_best_values_than_random_search(store: Store, sampler: str) -> None:
    parent = first_stage(store)
    run(store, parent, 20)
    made = refine_stage(store, store.stages(), sampler=sampler, batch=4)
    assert (made.name, made.parent, made.space, made.pruning_rule) == ("own/stage-02", 1, parent.space, "none")
    run(store, made, 20)
    (before,), (after,) = (store.columns(stage, top=1)["score"] for stage in (parent, made))
    assert 1 - after < (1 - before) / 2
    assert check(store.url).sound  # values that no seed gives are no finding


@SAMPLERS
def test_values_follow_from_the_seed_the_batch_and_the_trials_before_it(
    tmp_path: Path, empty_database: bytes, sampler: str
) -> None:
    def refined(name: str, *, batch: int = 4, pauses: bool = False) -> list[tuple[Any, ...]]:
        (tmp_path / name).write_bytes(empty_database)
        with closing(open_store(str(tmp_path / name), write=True)) as store:
            run(store, first_stage(store), 12)
            made = refine_stage(store, store.stages(), sampler=sampler, batch=batch)
            if pauses:
                run(store, made, 5)
                with closing(open_store(str(tmp_path / name), write=True)) as other:  # another process, and a restart
                    (_, made) = other.stages()
                    run(other, made, 10)
            else:
                run(store, made, 10)
            return params_of(store, made)

    whole = refined("a.db")
    assert len(set(whole)) == 10
    assert refined("b.db", pauses=True) == whole
    assert refined("c.db", batch=5)[5:] != whole[5:]


def test_what_a_sampler_learns_from(store: Store) -> None:
    parent = first_stage(store)
    run(store, parent, 30, lambda params: None if float(params["x"]) > 0.8 else bowl(params))  # type: ignore[arg-type]
    narrower = {"x": Float(0.0, 0.5), "y": Float(0.0, 1.0)}
    second = store.create_stage(replace(first_fields(parent), number=2, parent=1, seed=8, space=narrower))
    run(store, second, 6)
    longer = replace(first_fields(parent), number=3, parent=2, seed=9, space=narrower)
    store.create_stage(replace(longer, study_file={**parent.study_file, "fixed": {"epochs": 9}}))
    third = store.stages()[2]
    run(store, third, 4)
    made = refine_stage(store, store.stages(), number=2, batch=4)
    assert made.number == 4
    run(store, made, 8)
    past = refinement.past_trials(store, made, 4)
    inside = sum(float(x) <= 0.5 for x, _ in params_of(store, parent))
    assert len(past) == inside + 6 + 4  # of stage 1 those inside, of stage 3 none, of its own the first batch
    assert all(contains(narrower["x"], trial.params["x"]) for trial in past)
    wide = refine_stage(store, store.stages(), number=1, batch=4)
    assert [trial.score for trial in refinement.past_trials(store, wide, 0)].count(None) > 0


def test_trials_of_one_range_are_those_of_a_range_for_each_value(store: Store) -> None:
    space: Space = {"kind": Categorical(("a", "b")), "rate": Float(1e-4, 1.0, log=True)}
    parent = first_stage(store, space)
    run(store, parent, 20, lambda params: float(params["rate"]))  # type: ignore[arg-type]
    narrower = {name: CONDITIONAL[name] for name in ("kind", "rate[a]", "rate[b]")}
    store.create_stage(replace(first_fields(parent), number=2, parent=1, seed=8, space=narrower))
    run(store, store.stages()[1], 5, lambda params: 0.5)
    made = refine_stage(store, store.stages())
    past = refinement.past_trials(store, made, 0)
    low = [kind == "b" and float(rate) < 1e-3 for kind, rate in params_of(store, parent)]
    assert len(past) == 20 - sum(low) + 5
    assert {tuple(trial.params) for trial in past} == {("kind", "rate[a]"), ("kind", "rate[b]")}


def test_a_narrowed_stage_without_trials_is_refined_in_its_own_ranges(store: Store) -> None:
    parent = first_stage(store)
    run(store, parent, 20)
    narrower = {"x": Float(0.2, 0.5), "y": Float(0.0, 1.0)}
    store.create_stage(replace(first_fields(parent), number=2, parent=1, seed=8, space=narrower))
    made = refine_stage(store, store.stages(), batch=4)
    assert (made.number, made.parent, made.space) == (3, 2, narrower)
    run(store, made, 4)
    assert all(0.2 <= x <= 0.5 for x, _ in params_of(store, made))


def test_no_values_are_tried_twice_as_long_as_there_are_others() -> None:
    space: Space = {"a": Int(0, 3), "b": Int(0, 3)}
    stage = Stage("own", 2, "maximize", 3, space, {}, study_id=1)
    past = [Scored({"a": a, "b": b}, float(a - b)) for a in range(4) for b in range(4) if a != b]  # 12 of 16
    assert sorted(tried(stage, past, 4)) == [(i, i) for i in range(4)]
    every = [*past, *(Scored({"a": i, "b": i}, 0.0) for i in range(4))]
    assert len(set(tried(stage, every, 16))) == 16
    assert len(tried(stage, every, 40)) == 40


def tried(stage: Stage, past: list[Scored], count: int) -> list[tuple[Value, ...]]:
    return [tuple(values.values()) for values in propose(stage, past, sampler="surrogate", first=0, count=count)]


def test_a_large_batch_has_values_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thompson, "_CANDIDATES", 5)
    stage = Stage("own", 2, "maximize", 3, SPACE, {}, study_id=1)
    past = [Scored({"x": i / 20, "y": i / 20}, float(i)) for i in range(20)]
    assert len(set(tried(stage, past, 40))) == 40


def first_fields(stage: Stage) -> NewStage:
    names = ("search", "number", "direction", "seed", "space", "study_file")
    return NewStage(**{name: getattr(stage, name) for name in names})


def test_optunas_samplers_learn_from_the_latest_of_many_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage("own", 2, "maximize", 3, SPACE, {}, study_id=1)
    past = [Scored({"x": i / 40, "y": 0.5}, float(i)) for i in range(40)]
    latest = refinement.propose(stage, past[-10:], sampler="tpe", first=0, count=4)
    monkeypatch.setattr(refinement, "_MOST", 10)
    assert refinement.propose(stage, past, sampler="tpe", first=0, count=4) == latest


CONDITIONAL: Space = {
    "kind": Categorical(("a", "b")),
    "rate[a]": Float(1e-4, 1.0, log=True, when={"kind": ("a",)}),
    "rate[b]": Float(1e-3, 1.0, log=True, when={"kind": ("b",)}),
    "size": Int(2, 64, step=2),
    "grid": Float(0.0, 1.0, step=0.25),
}


@SAMPLERS
def test_proposals_keep_ranges_steps_conditions_and_constraints(sampler: str) -> None:
    file = {"constraints": ["size <= 40"], "objective": {"function": "a:b"}}
    stage = Stage("own", 2, "minimize", 3, CONDITIONAL, file, study_id=1)
    random = RandomSampler()
    past = []
    for number in range(30):
        params = random.params(stage, number)
        past.append(Scored(params, None if number % 9 == 0 else abs(float(params["size"]) - 64)))  # type: ignore[arg-type]
    proposed = propose(stage, past, sampler=sampler, first=0, count=4)
    for params in proposed:
        rate = f"rate[{params['kind']}]"
        assert list(params) == [name for name in CONDITIONAL if name in ("kind", rate, "size", "grid")]
        assert all(contains(CONDITIONAL[name], value) for name, value in params.items())
        size, grid = params["size"], params["grid"]
        assert isinstance(size, int)
        assert size % 2 == 0
        assert size <= 40
        assert float(grid) % 0.25 == 0  # type: ignore[arg-type]
    assert any(int(params["size"]) > 30 for params in proposed)  # type: ignore[arg-type]


@SAMPLERS
def test_without_a_score_the_values_are_random_ones(sampler: str) -> None:
    stage = Stage("own", 2, "maximize", 3, SPACE, {}, study_id=1)
    proposed = propose(stage, [Scored({"x": 0.1, "y": 0.2}, None)], sampler=sampler, first=8, count=2)
    assert proposed == [RandomSampler().params(stage, number) for number in (8, 9)]


def test_failures_keep_a_sampler_away(store: Store) -> None:
    """The best values lie at x = 0.5, and everything beyond fails."""
    parent = first_stage(store)

    def cliff(params: Mapping[str, Value]) -> float | None:
        x = float(params["x"])  # type: ignore[arg-type]
        return None if x > 0.5 else x

    run(store, parent, 40, cliff)
    made = refine_stage(store, store.stages(), batch=8)
    run(store, made, 24, cliff)
    failed = store.counts(made).failed
    assert failed < 12  # of random trials half would


def test_refusals_name_the_way_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = first_stage(store)
    stages = store.stages()
    with pytest.raises(NotEnoughTrials, match="no trial with a score yet"):
        refine_stage(store, stages)
    run(store, parent, 12)
    with pytest.raises(BadArgument, match="sampler=cmaes: no such sampler"):
        refine_stage(store, stages, sampler="cmaes")
    with pytest.raises(BadArgument, match="batch=1001: give a number from 1 to 1,000"):
        refine_stage(store, stages, batch=1001)
    monkeypatch.setattr(refinement, "find_spec", lambda name: None if name == "torch" else object())
    with pytest.raises(MissingExtra, match=r"needs torch; pip install 'hpsearch\[gp\]', or use sampler=surrogate"):
        refine_stage(store, stages, sampler="gp")
    made = refine_stage(store, stages, batch=4)
    assert refine_stage(store, store.stages()) == refine_stage(store, store.stages(), number=2) == made
    with pytest.raises(StageConflict, match="batch=5: own/stage-02 was begun with batch 4"):
        refine_stage(store, store.stages(), batch=5)


def test_a_search_is_refined_and_goes_on_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.write(tmp_path, pruning={"rule": "halving"}, training={"epochs": 3})
    search = Search("tiny.toml", storage="studies.db")
    search.start(12, engine="inline")
    ((made, summary),) = search.refine(3, batch=2, engine="inline")
    assert (made.name, summary.recorded, summary.counts.complete) == ("tiny/stage-02", 3, 3)
    ((_, summary),) = search.refine(5, engine="inline")
    assert summary.recorded == 2
    ((_, summary),) = search.start(6, engine="inline")
    assert (summary.recorded, summary.counts.complete) == (1, 6)
    with closing(open_store("studies.db")) as store:  # each batch followed from all trials before it
        proposals = Proposals(store, made)
        again = [tuple(proposals.params(made, number).values()) for number in range(6)]
        assert again == params_of(store, made)
    with pytest.raises(StageConflict, match=r"is a refinement.*`narrow\(stage=1, branch=True\)`"):
        search.narrow(stage=2)
    with pytest.raises(StageConflict, match=r"tiny/stage-02 has 6 trials already, .* not replace it; add branch"):
        search.narrow(top=3)
    following = search.narrow(top=3, branch=True).stage
    assert following is not None
    assert (following.number, following.parent) == (3, 1)


def test_a_stage_narrowed_from_imported_trials_says_why_it_is_not_refined(store: Store) -> None:
    theirs, narrowed = (made_stages.make(store, [0.5], trials=1, number=number) for number in (1, 2))
    theirs = replace(theirs, imported={"from": "theirs.db"})
    words = r"made has no study file: made/stage-02 was narrowed from imported trials.* start it with .* run elsewhere"
    for stages, says in (([theirs], "made was imported from theirs.db"), ([theirs, narrowed], words)):
        with pytest.raises(StageConflict, match=says):
            refine_stage(store, stages)
