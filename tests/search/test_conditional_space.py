"""A space with conditions, ranges per value, None and a constraint through the whole program; nothing is trained."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import conditional_spaces
import numpy as np
import optuna
import pytest
import user_functions
from made_stages import as_number, finish
from optuna.distributions import BaseDistribution, IntDistribution

from hpsearch import Search, import_trials
from hpsearch.errors import BadInput
from hpsearch.objectives import kinds
from hpsearch.objectives.user.runtime import NoData
from hpsearch.records import Completed, Stage, Trial
from hpsearch.reports.figures import StageTrials
from hpsearch.reports.figures.style import ParameterAxis
from hpsearch.reports.tables import trials_table
from hpsearch.samplers import sampler_of
from hpsearch.search.best import overview
from hpsearch.search.confirmation import best_settings, planned
from hpsearch.search.narrowing import narrow_stage
from hpsearch.search.stage import adopt
from hpsearch.space import Categorical, Float, Value, present
from hpsearch.store import NewStage, Owner, Store, open_store
from hpsearch.store.maintenance.check import check
from hpsearch.study_file import parse

PLAIN: dict[str, Any] = {
    "name": "boosting",
    "constraints": ["units * layers <= 1024"],
    "objective": {"function": "train:objective", "direction": "maximize"},
    "space": {
        "momentum": {"low": 0.5, "high": 0.99, "when": {"optimizer": ["sgd"]}},
        "optimizer": {"choices": ["sgd", "adam"], "none": True},
        "wd": {
            "by": "optimizer",
            "sgd": {"low": 1e-5, "high": 1e-2, "log": True},
            "adam": {"low": 1e-6, "high": 1e-3, "log": True},
        },
        "units": {"low": 8, "high": 512},
        "layers": {"low": 1, "high": 8},
    },
}


def score(params: Mapping[str, Value]) -> float:
    """Best with sgd, a momentum of 0.9 and a weight decay of 1e-4, or with adam and one of 1e-5."""
    optimizer = params["optimizer"]
    if optimizer is None:
        return 0.2 + as_number(params["units"]) / 1e4
    decay = abs(math.log10(as_number(params[f"wd[{optimizer}]"])) + (4 if optimizer == "sgd" else 5))
    return 1 - 0.1 * decay - (0.5 * abs(as_number(params["momentum"]) - 0.9) if "momentum" in params else 0.05)


def searched(store: Store, sampler: str = "random", trials: int = 90) -> Stage:
    """The first stage, with its trials scored."""
    study = parse({**PLAIN, "trials": {"sampler": sampler}}, source="a test")
    stage = store.create_stage(NewStage("boosting", 1, "maximize", 0, study.space, study.to_dict()))
    finish(store, stage, trials, lambda trial: Completed(trial.number, score(trial.params)))
    return stage


@pytest.fixture
def file(tmp_path: Path, store: Store) -> Path:
    return tmp_path / "studies.db"


@pytest.mark.parametrize("sampler", ["random", "sobol", "halton"])
def test_a_trial_has_rows_of_what_was_sampled_alone(store: Store, file: Path, sampler: str) -> None:
    stage = searched(store, sampler, trials=30)
    trials = optuna.load_study(study_name=stage.name, storage=f"sqlite:///{file}").trials
    for trial in trials:
        assert trial.params == present(stage.space, trial.params)
        assert ("momentum" in trial.params) == (trial.params["optimizer"] == "sgd")
        assert trial.params["units"] * trial.params["layers"] <= 1024
    assert {trial.params["optimizer"] for trial in trials} == {"sgd", "adam", None}
    assert check(str(file)).findings == []


def test_released_and_enqueued_trials_have_what_their_conditions_say(store: Store, file: Path) -> None:
    stage, me = searched(store, trials=1), Owner.current()
    first = store.claim(stage, until=9, most=6, owner=me).trials
    assert store.release(stage, owner=me) == 6
    study = optuna.load_study(study_name=stage.name, storage=f"sqlite:///{file}")
    study.enqueue_trial({"optimizer": "adam", "momentum": 0.7})
    study.enqueue_trial({"optimizer": None})
    *again, adam, nothing = store.claim(stage, until=9, most=9, owner=me).trials
    assert tuple(again) == first
    assert adam.params["optimizer"] == "adam"
    assert {"momentum", "wd[sgd]"} & adam.params.keys() == set()
    assert "wd[adam]" in adam.params
    assert list(nothing.params) == ["optimizer", "units", "layers"]
    assert [trial.params for trial in study.trials[1:]] == [dict(t.params) for t in (*again, adam, nothing)]
    assert check(str(file)).findings == []


@pytest.mark.parametrize("sampler", ["random", "sobol"])
def test_a_function_is_called_while_others_may_write(
    store: Store, file: Path, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = {"trials": {"sampler": sampler}, "constraints": ["user_functions:fits"]}
    stage = store.create_stage(NewStage("s", 1, "maximize", 3, {"x": Float(0.0, 1.0)}, plain))
    me, rival, taken = Owner.current(), open_store(str(file), write=True), list[Trial]()

    def fits(params: Mapping[str, Any]) -> bool:
        with closing(sqlite3.connect(file, timeout=0)) as other:
            other.execute("BEGIN IMMEDIATE")
        if not taken:
            taken.append(Trial(0, 0, {}))
            taken[:] = rival.claim(stage, until=9, most=2, owner=Owner.current()).trials
        return bool(params["x"] < 0.5)

    monkeypatch.setattr(user_functions, "fits", fits)
    with closing(rival):
        trials = store.claim(stage, until=9, most=3, owner=me).trials
        assert [trial.number for trial in (*taken, *trials)] == list(range(5))
        draws = sampler_of(stage)
        assert [trial.params for trial in (*taken, *trials)] == [draws.params(stage, number) for number in range(5)]
        assert store.release(stage, owner=me) == 3
        assert store.claim(stage, until=9, most=3, owner=me).trials == trials


def test_a_missing_value_is_found_where_the_conditions_ask_for_it(store: Store, file: Path) -> None:
    stage = searched(store, trials=10)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DELETE FROM trial_params WHERE param_name = 'momentum'")
    assert {finding.kind for finding in check(str(file)).findings} == {"no-param"}
    assert stage.space["momentum"].when == {"optimizer": ("sgd",)}


def test_each_range_is_narrowed_by_the_trials_that_have_it(store: Store) -> None:
    stage = searched(store)
    made = narrow_stage(store, [stage], top=12)
    ranges, space = made.narrowing.ranges, made.narrowing.space
    columns = store.columns(stage, top=12)
    having = {name: sum(value is not None for value in columns[f"param:{name}"]) for name in stage.space}
    assert having["momentum"] == having["wd[sgd]"]
    for name in ("momentum", "wd[sgd]", "wd[adam]"):
        assert ranges[name].top == having[name] >= 2
        assert space[name].when == stage.space[name].when
        assert f"of the best 12 the {having[name]} that use it" in str(ranges[name].sentences[0]) or ranges[name].effect
    assert space["optimizer"] == Categorical(("sgd", "adam"))
    for name, best in (("wd[sgd]", 1e-4), ("wd[adam]", 1e-5), ("momentum", 0.9)):
        narrowed = space[name]
        assert isinstance(narrowed, Float)
        assert narrowed.low <= best <= narrowed.high
        assert ranges[name].kept < 1
    assert made.stage is not None
    assert made.stage.space == space
    finish(store, made.stage, 20, lambda trial: Completed(trial.number, score(trial.params)))


def test_a_range_that_no_good_trial_has_is_kept(store: Store) -> None:
    stage = searched(store)
    few = narrow_stage(store, [stage], top=2, dry_run=True).narrowing.ranges
    kept = next(name for name in ("momentum", "wd[adam]") if few[name].top < 2)
    assert few[kept].after == stage.space[kept]
    assert f"of the best 2 trials used {kept} (optimizer " in str(few[kept].sentences[0])


def test_evidence_of_constrained_parameters_is_what_a_regression_on_the_others_leaves(store: Store) -> None:
    """Units are small in most trials that meet the constraint, which says nothing about the score."""
    stage = searched(store, trials=60)
    narrowing = narrow_stage(store, [stage], top=5, dry_run=True).narrowing
    for name in ("units", "layers"):
        made = narrowing.ranges[name]
        assert made.effect is not None
        assert made.evidence == made.effect.p > 0.05
    assert kinds.may_lack(stage) == {"momentum", "wd[sgd]", "wd[adam]"}


def test_what_only_reads_a_database_runs_no_function_that_it_names(
    store: Store, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = parse(PLAIN | {"constraints": ["user_functions:narrow"]}, source="a test")
    stage = store.create_stage(NewStage("boosting", 1, "maximize", 0, study.space, study.to_dict()))
    monkeypatch.setattr(user_functions, "narrow", lambda params: params["units"] < 100, raising=False)
    finish(store, stage, 20, lambda trial: Completed(trial.number, as_number(trial.params["units"])))
    assert max(store.columns(stage)["param:units"]) < 100
    monkeypatch.delattr(user_functions, "narrow")
    assert check(str(file)).findings == []
    assert narrow_stage(store, [stage], top=5).stage is not None


def test_ranges_in_which_hardly_a_draw_meets_the_constraints_are_refused(store: Store, file: Path) -> None:
    thin = {"x": {"low": 0.0, "high": 1.0}, "y": {"low": 0.0, "high": 1.0}}
    plain = PLAIN | {"space": thin, "constraints": ["y < 0.2 or abs(x - y) < 0.001"]}
    study = parse(plain, source="a test")
    study.check_names()
    stage = store.create_stage(NewStage("boosting", 1, "maximize", 0, study.space, study.to_dict()))
    theirs = optuna.load_study(study_name=stage.name, storage=f"sqlite:///{file}")
    for place in (0.5, 0.6, 0.7, 0.8, 0.9):
        theirs.enqueue_trial({"x": place, "y": place})
    finish(store, stage, 20, lambda trial: Completed(trial.number, as_number(trial.params["y"])))
    for dry_run in (True, False):
        with pytest.raises(BadInput, match=r"the next ranges cannot be sampled: of 1,000 draws .* or use a larger top"):
            narrow_stage(store, [stage], top=5, dry_run=dry_run)
    assert len(store.stages()) == 1


def test_tables_and_figures_show_none_and_nothing_for_a_missing_value(store: Store) -> None:
    stage = searched(store, trials=40)
    columns = store.columns(stage)
    table = trials_table(stage, columns)
    shown = dict(zip(table["trial"], zip(table["optimizer"], table["momentum"], strict=True), strict=True))
    for trial, optimizer, momentum in zip(
        columns["number"], columns["param:optimizer"], columns["param:momentum"], strict=True
    ):
        assert shown[trial] == ("none" if optimizer is None else optimizer, momentum)
        assert (momentum is None) == (optimizer != "sgd")
    trials = StageTrials.of(stage, store.trials(stage))
    assert set(trials.trials["param:optimizer"]) == {"sgd", "adam", "none"}
    axis = ParameterAxis("optimizer", [trials.stage.space["optimizer"], Categorical((None,))])
    assert axis.positions(["none", None, "adam"], step=0)[::2] == [2, 1]
    assert math.isnan(axis.positions([None])[0])
    assert len(axis.spans(Categorical((None, "sgd")))) == 2


def test_an_export_is_read_back_with_every_value(store: Store, file: Path, tmp_path: Path) -> None:
    searched(store, trials=40)
    Search("boosting", storage=file).export(tmp_path / "x.json")
    copy, _ = import_trials(str(tmp_path / "x.json"), storage=tmp_path / "other.db")
    assert check(str(tmp_path / "other.db")).findings == []

    def params(path: Path) -> list[dict[str, Any]]:
        return [
            trial.params
            for trial in optuna.load_study(study_name="boosting/stage-01", storage=f"sqlite:///{path}").trials
        ]

    assert params(tmp_path / "other.db") == params(file)
    assert json.dumps(copy.trials(top=3).table()["optimizer"])


def theirs_objective(trial: optuna.Trial) -> float:
    """An objective of Optuna's, with a conditional parameter, a step, and None among the choices of two."""
    lost = (trial.suggest_float("x", -5, 5) - 1) ** 2 + abs(trial.suggest_float("drop", 0, 1, step=0.1) - 0.3)
    if trial.suggest_categorical("kind", ["a", None]) == "a":
        lost += trial.suggest_float("only_a", 0, 1) + (trial.suggest_categorical("too", ["p", None]) is None)
    return lost


def test_a_study_of_optunas_is_narrowed_and_goes_on_with_its_objective_as_it_is(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'theirs.db'}"
    theirs = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    theirs.optimize(theirs_objective, n_trials=60)
    optuna.create_study(study_name="theirs", storage=storage).add_trials(theirs.trials)
    search, _ = import_trials(storage, storage=tmp_path / "ours.db")
    ranges = search.narrow(top=12).narrowing.ranges
    assert ranges["drop"].before == Float(0, 1, step=0.1)
    assert ranges["kind"].before == Categorical(("a", None))
    assert ranges["too"].before == Categorical(("p", "None"))  # a None of a table is a missing value, too
    assert 2 <= ranges["only_a"].top < 12
    again = optuna.load_study(study_name="theirs/stage-01", storage=f"sqlite:///{tmp_path / 'ours.db'}").trials
    texts = [{k: "None" if (k, v) == ("too", None) else v for k, v in trial.params.items()} for trial in theirs.trials]
    assert [trial.params for trial in again] == texts
    plain = {"name": "theirs", "objective": {"function": "train:objective", "direction": "minimize"}}
    with closing(open_store(str(tmp_path / "ours.db"), write=True)) as store:
        stage = adopt(store, store.stages("theirs")[1], parse(plain, source="a test"), NoData())
    assert (stage.number, stage.defined_by_run) == (2, True)
    assert dict(stage.ranges) == {name: range_.after for name, range_ in ranges.items()}


def test_confirmed_trials_keep_to_their_branch(store: Store, file: Path) -> None:
    stage = searched(store, trials=40)
    theirs = optuna.load_study(study_name=stage.name, storage=f"sqlite:///{file}")
    units: dict[str, BaseDistribution] = {"units": IntDistribution(8, 512)}
    theirs.add_trial(optuna.create_trial(params={"units": 9}, distributions=units, value=9.0))  # lacks the others
    settings = best_settings(store, stage, 4)
    assert len(settings) == 4
    assert all(setting.params == present(stage.space, setting.params) for setting in settings)
    confirmation = planned(store, stage, settings, 2)
    finish(store, confirmation, 8, lambda trial: Completed(trial.number, score(trial.params)))
    assert check(str(file)).findings == []
    assert [of.setting.params for of in overview(store, confirmation).ranking] == [s.params for s in settings]


@pytest.mark.parametrize("sampler", ["random", "sobol"])
def test_simulated_searches_keep_the_optimum_and_see_no_effect_where_there_is_none(sampler: str) -> None:
    """In small what ``tests/benchmarks/conditional_spaces.py`` does."""
    inside: list[bool] = []
    weak = known = 0
    for seed in range(25):
        truth = conditional_spaces.Truth.drawn(np.random.default_rng([seed, 0]))
        made = conditional_spaces.searched(sampler, truth, seed=seed, stages=1)
        assert conditional_spaces.loses(made, truth) <= conditional_spaces.LOSES
        inside += conditional_spaces.inside(made, truth)
        evidence = [made.ranges[name].evidence for name in conditional_spaces.DUMMIES]
        known += sum(p is not None for p in evidence)
        weak += sum(p is not None and p <= 0.05 for p in evidence)
    assert np.mean(inside) >= 0.9
    assert weak / known < 0.12
