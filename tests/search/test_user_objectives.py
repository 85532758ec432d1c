"""Whole stages of a user's function: define by run, narrowing, pruning, and the same under Optuna."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import count, repeat
from pathlib import Path
from typing import Any

import optuna
import pytest
import user_functions
from stub_objectives import Items, Kinds

from hpsearch.errors import EvaluationFailure
from hpsearch.executors.base import InlineExecutor
from hpsearch.executors.pool import PoolExecutor
from hpsearch.objectives.user.function import FunctionObjective, LocalObjective
from hpsearch.objectives.user.trial import Study
from hpsearch.optuna_sampler import KeyedRandomSampler
from hpsearch.records import SECONDS, Completed, Failed, Outcome, Stage, Trial
from hpsearch.search.batches import Batches
from hpsearch.search.limits import limits_of
from hpsearch.search.narrowing import narrow_stage
from hpsearch.search.pruning import plan_of
from hpsearch.search.runner import Runner
from hpsearch.search.stage import begin
from hpsearch.search.workflow import Job, run
from hpsearch.space import Categorical, Float, Int
from hpsearch.store import Owner, Store, open_store
from hpsearch.store.maintenance.check import check
from hpsearch.study_file import StudyFile, parse

TRIALS = 24


def study(function: str = "conditional", **sections: Any) -> StudyFile:
    objective = {"function": f"user_functions:{function}", "direction": "minimize", "epochs": 8}
    plain = {"name": "mine", "objective": objective, "trials": {"count": TRIALS}, **sections}
    return parse(plain, source="mine")


def write(folder: Path, function: str = "conditional", rule: str = "none") -> str:
    """Write a study file without ranges; return its path."""
    file = folder / "mine.toml"
    file.write_text(
        f"""
name = "mine"
[objective]
function = "user_functions:{function}"
direction = "minimize"
epochs = 8
[trials]
count = {TRIALS}
[pruning]
rule = "{rule}"
cohort = 12
reduction_factor = 2
"""
    )
    return str(file)


def frozen(storage: Path, stage: str = "mine/stage-01") -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=stage, storage=f"sqlite:///{storage}").trials


def ours(trial: optuna.trial.FrozenTrial) -> tuple[Any, ...]:
    attributes = {key: value for key, value in trial.user_attrs.items() if key != SECONDS}
    return trial.number, trial.state, trial.value, trial.params, trial.distributions, attributes


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(str(tmp_path / "x.db"), create=True, write=True)) as store:
        yield store


def test_an_optuna_objective_gives_the_same_under_optuna_and_here(tmp_path: Path) -> None:
    optunas = optuna.create_study(sampler=KeyedRandomSampler(0), pruner=optuna.pruners.NopPruner())
    optunas.optimize(user_functions.conditional, n_trials=TRIALS)
    for jobs, engine in ((None, "inline"), (2, "pool")):
        storage = tmp_path / f"{engine}.db"
        ((stage, _),) = run(Job(storage=str(storage), study=write(tmp_path), engine=engine, jobs=jobs))
        assert list(map(ours, frozen(storage))) == list(map(ours, optunas.trials))
        curves = [[*trial.intermediate_values.values()] for trial in frozen(storage)]
        assert curves == [[*trial.intermediate_values.values()] for trial in optunas.trials]
        with closing(open_store(str(storage))) as store:
            again = store.reread(stage)
            assert (stage.ranges, again.ranges) == ({}, {})
            assert dict(again.space) == {
                "classifier": Categorical(("svc", "forest")),
                "svc_c": Float(1e-3, 1e3, log=True),
                "forest_depth": Int(2, 32, log=True),
            }


def test_the_next_stage_samples_from_its_own_ranges_and_goes_on_after_a_stop(tmp_path: Path) -> None:
    storage = tmp_path / "x.db"
    job: dict[str, Any] = {"storage": str(storage), "study": write(tmp_path), "engine": "inline"}
    run(Job(**job))
    with closing(open_store(str(storage), write=True)) as store:
        narrow_stage(store, store.stages("mine"), top=8, rule="order-statistics")
    run(Job(**job, trials=5, stage=2))
    ((second, _),) = run(Job(**job, trials=12, stage=2))
    assert second.declared == {}
    assert second.ranges["svc_c"] != Float(1e-3, 1e3, log=True)
    sampler = KeyedRandomSampler(second.seed)
    for trial in frozen(storage, "mine/stage-02"):
        for name, value in trial.params.items():
            range_ = second.ranges[name]
            assert isinstance(range_, Categorical) or range_.low <= value <= range_.high
            distribution = trial.distributions[name]
            assert value == sampler.sample_independent(None, trial, name, distribution)  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", ["halving", "median"])
def test_pruning_is_the_same_for_any_engine(rule: str, tmp_path: Path, scheduler: str) -> None:
    states = []
    for options in ({"engine": "inline"}, {"engine": "pool", "jobs": 2}, {"engine": "dask", "scheduler": scheduler}):
        storage = tmp_path / f"{options['engine']}.db"
        run(Job(storage=str(storage), study=write(tmp_path, rule=rule), **options))
        states.append([(*ours(trial), trial.intermediate_values) for trial in frozen(storage)])
    assert states[0] == states[1] == states[2]
    assert {state.name for _, state, *_ in states[0]} == {"COMPLETE", "PRUNED"}


def evaluated(store: Store, stage: Stage, calls: dict[int, Any], count: int) -> None:
    """Run trials of a stage by hand, each by its own function."""
    me = Owner.current()
    for trial in store.claim(stage, until=count, most=count, owner=me).trials:
        objective = LocalObjective(calls[trial.number], Study("", "minimize", stage.seed, stage.ranges, {}))
        ((outcome,),) = objective.evaluate([trial])
        assert isinstance(outcome, Completed | Failed)
        store.record(stage, [outcome], {trial.number: trial.trial_id}, owner=me)


def test_ranges_of_one_name_are_joined_and_others_fail_their_trial(store: Store) -> None:
    stage, _ = begin(store, study(), study().load())
    calls = {
        0: lambda trial: trial.suggest_int("n", 1, 4),
        1: lambda trial: trial.suggest_int("n", 2, 9),
        2: lambda trial: trial.suggest_float("n", 0, 1),
        3: lambda trial: trial.suggest_int("n", 1, 9, log=True),
        4: lambda trial: trial.suggest_categorical("what", ["a", "b"]) and 1.0,
        5: lambda trial: trial.suggest_categorical("what", ["a", "c"]) and 1.0,
    }
    evaluated(store, stage, calls, len(calls))
    stage = store.reread(stage)
    assert dict(stage.declared) == {"n": Int(1, 9), "what": Categorical(("a", "b"))}
    columns = store.columns(stage)
    assert columns["state"] == ["COMPLETE", "COMPLETE", "FAIL", "FAIL", "COMPLETE", "FAIL"]
    assert columns["reason"][2] == (
        "'n' is suggested with another type, scale or choices than in earlier trials: "
        "int 1 .. 9 and float 0 .. 1 are different scales"
    )
    assert columns["param:n"][2:] == [None] * 4


@dataclass(frozen=True)
class Declaring(Kinds):
    """Declares a parameter with two types, and completes."""

    def evaluate(self, trials: Sequence[Trial], **_: Any) -> Items:
        for number in (trial.number for trial in trials):
            n = (Float(0, 9) if number == 1 else Int(0, 9), number)
            yield [Completed(number, -float(number), (), {}, {"n": n})]


def test_a_trial_that_is_recorded_as_failed_reaches_no_goal(store: Store) -> None:
    stage, _ = begin(store, study(), study().load())
    recorded: list[Outcome] = []
    options: dict[str, Any] = {"limits": limits_of(None, "score <= -1", None), "until": 4, "lanes": 1}
    options["on_tick"] = lambda tick: recorded.extend(tick.recorded)
    summary = Runner(store, stage, Declaring(), InlineExecutor(), **options).run()
    assert (summary.ended_by, [type(outcome) for outcome in recorded]) == ("until", [Completed, Failed, Completed])


def test_values_that_somebody_enqueued_are_used(store: Store, tmp_path: Path) -> None:
    stage, _ = begin(store, study(), study().load())
    optunas = optuna.load_study(study_name=stage.name, storage=f"sqlite:///{tmp_path}/x.db")
    optunas.enqueue_trial({"x": 0.25})
    evaluated(store, stage, {0: lambda trial: trial.suggest_float("x", 0, 1)}, 1)
    assert optunas.trials[0].params == {"x": 0.25}
    assert optunas.trials[0].value == 0.25


def test_a_function_may_declare_more_than_the_study_file_has(store: Store) -> None:
    """And a later run samples it from the same range as the first."""
    given = study(space={"x": {"low": 0.0, "high": 1.0}})
    stage, _ = begin(store, given, given.load())

    def call(trial: Any) -> float:
        return float(trial.params["x"] + trial.suggest_float("y", 0, 1 + trial.number))

    evaluated(store, stage, {0: call, 1: call}, 2)
    later = store.reread(stage)
    assert dict(later.declared) == {"y": Float(0, 2)}
    evaluated(store, later, {2: call}, 3)
    sampler = KeyedRandomSampler(stage.seed)
    for number, y in enumerate(store.columns(store.stages("mine")[0])["param:y"]):
        distribution = optuna.distributions.FloatDistribution(0, 1 + number)
        trial = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING)
        trial.number = number
        assert y == sampler.sample_independent(None, trial, "y", distribution)  # type: ignore[arg-type]
    assert json.loads(json.dumps(later.study_file))["space"].keys() == {"x"}


def test_quick_trials_are_put_together_and_slow_ones_are_not() -> None:
    objective = FunctionObjective(function="user_functions:square", folder="", study=Study("", "minimize", 0, {}, {}))
    batches = Batches(objective, executor=InlineExecutor(), lanes=None)
    assert batches.size(1000) == 1
    for seconds, size in ((1e-9, 4), (1e-9, 16), (1e-9, 63), (0.01, 100), (1e-9, 250), (20.0, 1)):
        batches.measure([Completed(n, 0.0, (), {SECONDS: each}) for n, each in enumerate((1e-9, seconds))])
        assert batches.size(1000) == size
        batches.add([Trial(number, number, {}) for number in range(300)], 1000, until=None)
        assert len(batches.ready.pop().trials) <= max(size, 256)
        batches.ready.clear()


def test_a_function_that_is_gone_fails_the_run_and_not_its_trials(tmp_path: Path) -> None:
    job: dict[str, Any] = {"storage": str(tmp_path / "x.db"), "study": write(tmp_path, "square"), "engine": "inline"}
    text = (tmp_path / "mine.toml").read_text().replace("user_functions:square", "mine.py:f")
    (tmp_path / "mine.toml").write_text(text)
    (tmp_path / "mine.py").write_text("def f(trial):\n    return 1.0\n")
    run(Job(**job, trials=2))
    (tmp_path / "mine.py").write_text("def another(trial):\n    return 1.0\n")
    with pytest.raises(EvaluationFailure, match=r"mine\.py has no 'f'; it has: another; 2 trials recorded; fix"):
        run(Job(**job, trials=4))
    assert [trial.state.name for trial in frozen(tmp_path / "x.db")] == ["COMPLETE", "COMPLETE", "WAITING"]


def test_curves_and_attributes_as_a_function_pleases_are_sound(tmp_path: Path) -> None:
    """Half of the trials have no curve, some a short one; a few have an attribute more; a third is pruned at once."""
    write(tmp_path, "square")
    file = tmp_path / "mine.toml"
    file.write_text(file.read_text().replace("user_functions:square", "mine.py:f"))
    (tmp_path / "mine.py").write_text(FREE)
    run(Job(storage=str(tmp_path / "x.db"), study=str(file), engine="inline"))
    assert check(str(tmp_path / "x.db")).findings == []
    assert [trial.state.name for trial in frozen(tmp_path / "x.db")].count("PRUNED") == 8


FREE = """
class TrialPruned(Exception):
    pass


def f(trial):
    if trial.number % 3 == 0:
        raise TrialPruned
    if trial.number % 3 == 1:
        trial.report(1.0, 0)
    if trial.number > 4:
        trial.set_user_attr("note", 1)
    return trial.suggest_float("x", 0, 1)
"""


@pytest.mark.parametrize("function", ["counting", "ignorant"])
def test_what_is_pruned_does_not_depend_on_stops(function: str, tmp_path: Path) -> None:
    """Stopped after ever more looks of the runner, and gone on with, until a run comes to its end."""
    ended = []
    for stops in (False, True):
        with closing(open_store(str(tmp_path / f"{stops}.db"), create=True, write=True)) as store:
            section = {"function": f"user_functions:{function}", "direction": "minimize", "epochs": 10}
            space = {"x": {"low": 0.0, "high": 1.0}}
            pruning = {"rule": "halving", "cohort": 6, "reduction_factor": 2}
            given = study(objective=section, space=space, pruning=pruning, trials={"count": 12})
            stage, _ = begin(store, given, given.load())
            for looks in count(6 if stops else 10**5, 25):
                objective = given.objective(given.load(), seed=stage.seed, space=stage.ranges)
                left = iter([*repeat(False, looks), *repeat(True, 1000)])
                options: dict[str, Any] = {"until": 12, "plan": plan_of(given)}
                executor = PoolExecutor(2)
                Runner(store, stage, objective, executor, stopping=partial(next, left), **options).run()
                executor.close(kill=True)
                if store.counts(stage).finished == 12:
                    break
        trials = frozen(tmp_path / f"{stops}.db")
        ended.append([(trial.state.name, trial.value, trial.intermediate_values) for trial in trials])
    assert ended[0] == ended[1]
    assert {state for state, *_ in ended[0]} == ({"PRUNED", "COMPLETE"} if function == "counting" else {"COMPLETE"})
