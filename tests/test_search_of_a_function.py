"""`Search` of a function that is given from Python: everything through the API."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from scipy.stats import loguniform, randint
from user_functions import declares, loss

from hpsearch import (
    BadArgument,
    BadInput,
    BadSpace,
    BadStudyFile,
    Categorical,
    Float,
    Int,
    NotEnoughTrials,
    Search,
    StageConflict,
    import_trials,
)
from hpsearch.api import Plot
from hpsearch.search.runner import Tick
from hpsearch.search.workflow import Listener

SPACE = {"lr": Float(1e-4, 1, log=True), "depth": Int(1, 8)}


@pytest.fixture
def storage(tmp_path: Path, empty_database: bytes) -> str:
    """An empty database."""
    (tmp_path / "search.db").write_bytes(empty_database)
    return str(tmp_path / "search.db")


def search(storage: str, name: str = "boosting", function: Any = lambda trial: loss(trial), **given: Any) -> Search:
    return Search(name, function, storage=storage, **{"space": SPACE, "direction": "minimize"} | given)


def test_a_search_from_its_definition_to_its_report(storage: str, tmp_path: Path) -> None:
    boosting = search(storage, function=loss)
    ((stage, summary),) = boosting.start(12, jobs=1)
    assert (summary.counts.complete, stage.space) == (12, SPACE)
    narrowed = boosting.narrow(top=3, expand=True)
    assert narrowed.stage is not None
    boosting.start(6, engine="inline")
    # Another process has the name alone.
    again = Search("boosting", storage=storage)
    assert again.best.params == boosting.best.params
    assert again.best.score == loss(again.best)
    assert len(again.trials(stage=1).frame()) == 12
    assert "lr" in str(again.plot("pair"))
    with pytest.raises(BadArgument, match="kind=pear: no such figure; did you mean 'pair'"):
        again.plot("pear")
    assert again.report(form="md").text.startswith("<!-- generator: hpsearch")
    again.report(tmp_path / "report.md")
    assert "boosting" in (tmp_path / "report.md").read_text(encoding="utf-8")
    again.start(7, engine="inline")  # its module can be imported
    assert [state.counts.complete for state in again.status()] == [12, 7]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (loguniform(1e-4, 1), Float(1e-4, 1, log=True)),
        (randint(1, 9), Int(1, 8)),
        (optuna.distributions.FloatDistribution(0, 1, step=0.25), Float(0, 1, step=0.25)),
        (["sgd", None, True], Categorical(("sgd", None, True))),
        ({"low": 1, "high": 8, "type": "int"}, Int(1, 8)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_ranges_as_other_libraries_have_them(storage: str, given: Any, expected: Any) -> None:
    ((stage, _),) = search(storage, function=lambda trial: 1.0, space={"a": given}).start(1)
    assert stage.space == {"a": expected}


def test_a_tuple_of_two_numbers_is_a_range_or_two_choices(storage: str) -> None:
    with pytest.raises(BadSpace, match=r"Give Float\(0, 1\) or Int\(0, 1\), or \[0, 1\]"):
        search(storage, space={"x": (0, 1)}).start(1)


def outside(params: Mapping[str, Any]) -> bool:
    return params["depth"] == 3 and not 0.3 < params["wd"] < 0.7


def test_settings_are_those_of_a_study_file(storage: str) -> None:
    seen: list[Mapping[str, Any]] = []

    def records(trial: Any) -> int:
        seen.append(trial.params)
        return int(trial.seed % 7)

    made = search(
        storage,
        function=records,
        space={"optimizer": ["sgd", "adam"], "wd": {"by": "optimizer", "sgd": Float(0, 1), "adam": Float(1, 2)}},
        fixed={"depth": 3},
        constraints=["wd <= 1.5", outside],
        sampler="halton",
        seed=5,
        metric="loss",
        repeats=2,
    )
    ((stage, _),) = made.start(8)
    assert (stage.metric, stage.study_file["trials"]["sampler"]) == ("loss", "halton")
    assert len(seen) == 16
    for params in seen:
        assert params["depth"] == 3
        assert (params["wd"] <= 1) is (params["optimizer"] == "sgd")
        assert params["wd"] <= 1.5
        assert outside(params)
    assert list(stage.space) == ["optimizer", "wd[sgd]", "wd[adam]"]
    assert made.best.resolved_params in seen


def test_a_search_goes_on_with_what_is_given_again(storage: str) -> None:
    search(storage, seed=3).start(2)
    # Neither space nor direction: as it was begun; and the function may have moved.
    ((stage, _),) = Search("boosting", loss, storage=storage).start(4, engine="inline")
    assert (stage.space, stage.seed) == (SPACE, 3)
    moved = Search("boosting", loss, storage=storage).confirm(top=1, repeats=2, engine="inline")
    assert moved.state.ranking[0].repeats == 2
    with pytest.raises(StageConflict, match=r"stage-01 was begun with other settings \(trials.seed: 3 -> 4\); give"):
        search(storage, seed=4).start(6)
    with pytest.raises(StageConflict, match=r"space.lr: .* -> none"):
        search(storage, space={"x": Float(0, 1)}).start(6)
    with pytest.raises(StageConflict, match=r"direction: .?minimize.? -> .?maximize"):
        search(storage, direction="maximize").start(6)


def test_what_no_other_process_can_import_runs_in_this_one(storage: str, caplog: pytest.LogCaptureFixture) -> None:
    made = search(storage)
    made.start(2, jobs=4)
    assert "jobs=4: <lambda> runs in this process" in caplog.text
    with pytest.raises(BadArgument, match="engine=pool: <lambda> runs in this process"):
        made.start(4, engine="pool")
    with pytest.raises(BadInput, match=r"no other process can import this objective, .*; use engine=inline"):
        Search("boosting", storage=storage).start(4)
    assert Search("boosting", storage=storage).status()[0].counts.finished == 2
    # Two lambdas have one name, and each search its own.
    one, two = (search(storage, name, lambda trial, score=score: score) for name, score in (("one", 1.0), ("two", 2.0)))
    for of in (one, two):
        of.start(2)
    assert (one.best.score, two.best.score) == (1.0, 2.0)
    assert one.confirm(top=1, repeats=2).state.ranking[0].mean == 1.0


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"function": 3}, BadArgument, "objective=3: it cannot be called; give a function of one argument"),
        ({"name": None}, BadArgument, "name: a search with an objective of its own needs a name"),
        ({"name": "a.toml"}, BadArgument, "name=a.toml: .* needs a name; no study file is read"),
        ({"name": "a/b"}, BadStudyFile, "'a/b' .* is not a name for a search"),
        ({"function": None}, BadArgument, "space=.*: it belongs to an objective; give objective too, or a study file"),
        ({"direction": None}, BadStudyFile, 'objective.direction: missing; add direction = "maximize" or "minimize"'),
        ({"direction": "up"}, BadStudyFile, "boosting: objective.direction = 'up'; known: maximize, minimize"),
        ({"space": {"a": 3}}, BadSpace, "a: 3 is no range; give hpsearch.Float"),
        ({"space": {"a": [object]}}, BadSpace, "a: choice .* is no string, .* give each choice a name"),
        ({"space": {}, "sampler": "sobol"}, BadStudyFile, r"trials.sampler needs \[space\]"),
        ({"sampler": "grid"}, BadStudyFile, "trials.sampler = 'grid'; known"),
        ({"epochs": -1}, BadStudyFile, "boosting: objective.epochs: .* greater than or equal to 1"),
        ({"constraints": ["a <"]}, BadStudyFile, "boosting: .*a <"),
        ({"constraints": [lambda params: True]}, BadArgument, "constraints=.*lambda.*: it has no name in its module"),
        ({"trial_timeout": "1m"}, BadStudyFile, "trial_timeout: <lambda> is called in this process; define it"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_what_makes_no_sense_is_refused_before_anything_runs(
    storage: str, given: dict[str, Any], error: type[BadInput], words: str
) -> None:
    with pytest.raises(error, match=words):
        search(storage, **given).start(2)
    with pytest.raises(BadInput):
        Search("boosting", storage=storage).status()


def test_the_best_trial_of_a_search_without_scores(storage: str) -> None:
    made = search(storage, function=lambda trial: float("nan"))
    made.start(2)
    with pytest.raises(NotEnoughTrials):
        made.best  # noqa: B018 - the access is what raises


def test_a_function_is_called_with_each_trial_that_is_recorded(storage: str, caplog: pytest.LogCaptureFixture) -> None:
    seen = {}

    def on_trial(trial: Any) -> None:
        seen[trial.number] = (trial.state, trial.score, trial.params)
        assert trial.resolved_params == trial.params | {"fixed": 1}
        if trial.number == 1:
            raise ValueError("not this one")

    made = search(storage, function=declares, space=None, fixed={"fixed": 1})
    made.start(6, engine="inline", on_trial=on_trial)
    table = made.trials().table()
    assert sorted(seen) == table["trial"]
    assert [seen[number][:2] for number in table["trial"]] == list(zip(table["state"], table["score"], strict=True))
    assert all(("k" in params) is (params["x"] < 0.5) for _, _, params in seen.values())
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "on_trial failed with trial 1 of boosting/stage-01: ValueError: not this one"
    ]


def test_quick_trials_of_a_lambda_are_recorded_many_at_once(storage: str) -> None:
    recorded = []

    class Counting(Listener):
        def tick(self, tick: Tick) -> None:
            recorded.append(len(tick.recorded))

    search(storage).start(200, listener=Counting())
    assert sum(recorded) == 200
    assert len(recorded) < 50


def test_a_notebook_shows_tables_and_a_bar(
    storage: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[dict[str, str]] = []
    handle = SimpleNamespace(update=lambda content, raw: shown.append(content))

    def display(content: dict[str, str], raw: bool, display_id: bool) -> Any:
        shown.append(content)
        return handle

    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=1)))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    made = search(storage, function=lambda trial: None if trial.number == 2 else float(trial.number // 2))
    assert made._repr_html_().startswith("Search(&#x27;boosting&#x27;")  # it has not begun
    runs = made.start(4)
    assert capsys.readouterr().out == ""
    assert "boosting/stage-01: 0 of 4 trials" in shown[0]["text/plain"]
    bar = '<progress value="4" max="4"></progress> boosting/stage-01: 4 of 4 trials, best 0 (trial 0)'
    assert bar in shown[-2]["text/html"]
    assert f"{bar}; 4 now, in " in shown[-1]["text/html"]
    assert repr(runs).startswith("boosting/stage-01 has 4 finished trials (1 failed); 4 of them now, in ")
    assert "<td>boosting/stage-01</td>" in made._repr_html_()
    assert made.trials()._repr_html_().count("<tr") == 5
    assert "<td>boosting/stage-01</td>" in made.best._repr_html_()
    figures: list[Any] = []
    figure: Any = SimpleNamespace(show=lambda: figures.append("shown"))
    Plot(figure, "boosting", "history")._ipython_display_()
    assert figures == ["shown"]
    confirmed = made.confirm(top=1, repeats=2, jobs=2)
    assert confirmed._repr_html_().count("<tr") == 2
    assert "<lambda> runs in this process" in capsys.readouterr().out
    assert "2 of 2 trials" in shown[-1]["text/plain"]


def test_optuna_goes_on_with_our_study_and_we_with_optuna_s(storage: str) -> None:
    url = f"sqlite:///{storage}"
    ours = search(storage, function=declares, space=None)
    ours.start(8, engine="inline")
    theirs = optuna.load_study(study_name="boosting/stage-01", storage=url, sampler=optuna.samplers.TPESampler(seed=0))
    theirs.optimize(declares, n_trials=4)
    assert ours.status()[0].counts.complete == 12
    assert ours.best.score == theirs.best_value
    plain = optuna.create_study(study_name="theirs", storage=url)
    with pytest.raises(StageConflict, match="an Optuna study theirs that was run without hpsearch; import_trials"):
        search(storage, "theirs").start(1)
    plain.optimize(declares, n_trials=8)
    import_trials(url, storage=storage, study_name="theirs")
    for stages in (ours, search(storage, "theirs", function=declares, space=None)):
        assert stages.narrow(top=4).stage is not None
        ((_, summary),) = stages.start(4, engine="inline")
        assert summary.counts.complete == 4
        assert f"{stages.name}/stage-02" in stages.report(form="md").text
