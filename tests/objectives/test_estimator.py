"""An estimator named in a study file: its scores, and what is refused before anything is fitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from scipy.stats import loguniform
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from hpsearch import Search
from hpsearch.__main__ import main
from hpsearch.errors import BadArgument, BadData, BadStudyFile, EvaluatedAlready, EvaluationFailure, StageConflict
from hpsearch.objectives import kinds
from hpsearch.objectives.network.runtime import load, load_test
from hpsearch.objectives.network.sections import NetworkSections
from hpsearch.objectives.user import estimator
from hpsearch.objectives.user.trial import Study, Task, run
from hpsearch.objectives.user.trial import Trial as Called
from hpsearch.records import FOLDS, METRICS, Completed, Failed, NewStage
from hpsearch.records import Trial as Claimed
from hpsearch.search.evaluation import evaluations
from hpsearch.sklearn import StagedRandomSearchCV
from hpsearch.statistics import wilson
from hpsearch.store import open_store
from hpsearch.study_file import parse

FILE: dict[str, Any] = {
    "name": "logistic",
    "objective": {"estimator": "sklearn.linear_model:LogisticRegression", "cv": 3, "scoring": ["f1_macro", "accuracy"]},
    "data": {"path": "points.npz", "scale": "none"},
    "fixed": {"tol": 1e-3},
    "space": {"C": {"low": 1e-3, "high": 10.0, "log": True}},
}


@pytest.fixture(autouse=True)
def points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of 60 points of three classes, in the working folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    np.savez("points.npz", x=(rng.normal(size=(60, 4)) + y[:, None]).astype(np.float32), y=y)
    return tmp_path / "points.npz"


def study(**changes: Any) -> dict[str, Any]:
    return {key: FILE.get(key, {}) | changes.get(key, {}) for key in {**FILE, **changes} if key != "name"} | {
        "name": "logistic"
    }


def evaluated(plain: dict[str, Any], **params: Any) -> Any:
    """Return the outcome of a trial, in this process."""
    file = parse(plain, source="the file")
    objective: Any = file.objective(file.load(), seed=7, space=file.space)
    return run(estimator.score, Called(Task(Claimed(0, 0, params)), objective.study, print))


def examples(sections: NetworkSections) -> tuple[Any, Any]:
    """Return all that a search may read."""
    split = load(sections)
    return np.concatenate((split.x_train, split.x_validation)), np.concatenate((split.y_train, split.y_validation))


def test_a_trial_s_score_is_the_mean_over_the_folds() -> None:
    outcome = evaluated(FILE, C=0.1)
    assert isinstance(outcome, Completed)
    x, y = examples(NetworkSections(data=parse(FILE, source="").sections.data))
    assert len(x) == 60
    given = LogisticRegression(C=0.1, tol=1e-3, random_state=0)
    theirs = cross_validate(given, x, y, cv=3, scoring=["f1_macro", "accuracy"])
    assert outcome.attributes[FOLDS] == theirs["test_f1_macro"].tolist()
    assert outcome.score == pytest.approx(theirs["test_f1_macro"].mean(), abs=1e-15)
    assert outcome.attributes[METRICS] == {"accuracy": pytest.approx(theirs["test_accuracy"].mean(), abs=1e-15)}


def test_a_whole_stage_is_run_and_kept_and_evaluated_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "models.py").write_text(
        "from sklearn.pipeline import make_pipeline\n"
        "from sklearn.preprocessing import StandardScaler\n"
        "from sklearn.ensemble import RandomForestClassifier\n"
        "def make():\n"
        "    return make_pipeline(StandardScaler(), RandomForestClassifier(n_estimators=3))\n"
    )
    (tmp_path / "forest.toml").write_text(
        'name = "forest"\n[objective]\nestimator = "models.py:make"\ncv = 2\ntrial_timeout = "1m"\n'
        '[data]\npath = "points.npz"\ntrain = 38\nvalidation = 10\ntest = 12\n'
        "[space]\n"
        'randomforestclassifier__criterion = { choices = ["gini", "entropy"] }\n'
        'randomforestclassifier__max_depth = { by = "randomforestclassifier__criterion", gini = { low = 1, high = 9 }, '
        "entropy = { low = 1, high = 9 } }\n"
    )
    runs = []
    for name in ("once.db", "again.db"):  # the trial's seed is its random_state
        search = Search("forest.toml", storage=tmp_path / name)
        search.start(trials=2, engine="inline")
        runs.append(search.trials().columns)
    assert runs[0]["state"] == ["COMPLETE", "COMPLETE"]
    assert runs[0]["score"] == runs[1]["score"]
    store = open_store(str(tmp_path / "once.db"))
    (stage,) = store.stages()
    assert (stage.metric, stage.direction, stage.sizes) == ("score", "maximize", {"train": 38, "validation": 10})
    store.close()
    with pytest.raises(BadArgument, match="only a network has epochs"):
        search.evaluate(epochs=3)
    assert main(["evaluate", "--save", "net.npz", "--storage", "again.db"]) == 2
    assert main(["evaluate", "--storage", "again.db"]) == 0
    with pytest.raises(EvaluatedAlready, match=r"forest was evaluated on .*: test accuracy "):
        search.evaluate()
    made = search.evaluate(again=True)
    params = {name.partition("[")[0]: value for name, value in made.prepared.choice.params.items()}
    networks = NetworkSections(data=made.prepared.study.sections.data)
    x, y = load_test(networks)
    forest = make_pipeline(StandardScaler(), RandomForestClassifier(n_estimators=3, random_state=made.prepared.seed))
    hits = round(12 * forest.set_params(**params).fit(*examples(networks)).score(x, y))
    assert 0 < hits < 12
    store = open_store(str(tmp_path / "again.db"))
    first, _ = evaluations(store, store.stages())
    store.close()
    assert (first.metric, first.score, first.interval, first.examples) == ("accuracy", hits / 12, wilson(hits, 12), 12)
    fitted: Any = made.fitted
    assert (fitted.model.score(x, y), search.checklist(top=2).next.step) == (hits / 12, "use")
    printed = capsys.readouterr().out
    assert "trained on 48 examples (38 train, 10 validation), in " in printed
    assert f"test accuracy {hits / 12:.4g}, 95 % interval " in printed
    assert printed.endswith("%\n\n")


def test_a_value_that_cannot_be_fitted_fails_its_trial() -> None:
    outcome = evaluated(study(space={"solver": {"choices": ["lbfgs", "none"]}}), C=1.0, solver="none")
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("InvalidParameterError: The 'solver' parameter of ")


def test_other_data_where_a_trial_runs_fail_it(points: Path) -> None:
    file = parse(FILE, source="")
    objective: Any = file.objective(file.load(), seed=7, space=file.space)
    other = objective.study.user_attrs | {"fingerprint": "another"}
    trial = Called(Task(Claimed(0, 0, {"C": 1.0})), Study("", "maximize", 7, {}, {}, other), print)
    outcome = run(estimator.score, trial)
    assert isinstance(outcome, Failed)
    assert "the data on this worker differ" in outcome.reason


@pytest.mark.parametrize("test", [None, 0, 12])
def test_an_evaluation_is_advised_where_the_study_file_keeps_a_test_part(test: int | None) -> None:
    assert kinds.evaluates(NewStage("logistic", 1, "maximize", 0, {}, study(data={"test": test}))) is bool(test)


def test_a_fit_that_fails_reads_no_test_set() -> None:
    file = parse(study(fixed={"tol": -1.0}), source="")
    with pytest.raises(
        EvaluationFailure, match="LogisticRegression cannot be fitted: InvalidParameterError: The 'tol' "
    ):
        file.kind.runtime().fit(file.sections, file.load(), seed=0)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no colon": ({"objective": {"estimator": "SVC"}}, "or a module and a name, sklearn.svm:SVC"),
    "no module": ({"objective": {"estimator": "sklearn.svn:SVC"}}, "importing sklearn.svn failed: ModuleNotFoundError"),
    "no class": ({"objective": {"estimator": "sklearn.svm:SVG"}}, "has no 'SVG'; it has: "),
    "no file": ({"objective": {"estimator": "mine.py:make"}}, "there is no file "),
    "no estimator": ({"objective": {"estimator": "builtins:dict"}}, "it makes a dict, which is no scikit-learn estim"),
    "no estimator's error": (
        {"objective": {"estimator": "asyncio:get_running_loop"}},
        ": RuntimeError: no running event",
    ),
    "scoring": (
        {"objective": {"scoring": "accurate"}},
        "LogisticRegression': no scorer 'accurate'; did you mean 'accuracy'?",
    ),
    "parameter": ({"space": {"D": {"low": 0.1, "high": 1.0}}}, "'D' is not a parameter of sklearn.linear_model:Log"),
    "fixed": ({"fixed": {"tolerance": 1.0}}, "'tolerance' is not a parameter of "),
    "minimize": ({"objective": {"direction": "minimize"}}, "objective.direction = 'minimize'"),
    "folds": ({"objective": {"cv": 1}}, "objective.cv"),
    "epochs": ({"objective": {"epochs": 3}}, "objective.epochs"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_before_anything_is_fitted(case: str, capfd: pytest.CaptureFixture[str]) -> None:
    changes, message = REFUSED[case]
    with pytest.raises(BadStudyFile) as raised:
        parse(study(**changes), source="the file").check_names()
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_data_are_asked_for() -> None:
    with pytest.raises(BadData, match="no data set is given"):
        parse({key: value for key, value in FILE.items() if key != "data"}, source="the file").load()


def test_a_search_that_was_fitted_from_python_goes_on_there_or_from_a_study_file(tmp_path: Path) -> None:
    storage = tmp_path / "kept.db"
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 2)), np.arange(40) % 2
    ranges = {"C": loguniform(0.1, 1.0)}
    StagedRandomSearchCV(SVC(), ranges, n_iter=4, stages=1, cv=2, storage=storage, name="svc").fit(x, y)
    search = Search("svc", storage=storage)
    for run_here in (lambda: search.start(trials=9, engine="inline"), lambda: search.confirm(engine="inline")):
        with pytest.raises(StageConflict, match="svc was fitted from Python, where fit goes on with it"):
            run_here()
    assert "start" not in [action.kind for action in search.checklist(top=2).next.actions]
    search.narrow(top=2)
    (tmp_path / "svc.toml").write_text(
        'name = "svc"\n[objective]\nestimator = "sklearn.svm:SVC"\n[data]\npath = "points.npz"\n'
        "[space]\nC = { low = 0.1, high = 1.0, log = true }\n"
    )
    Search("svc.toml", storage=storage).start(trials=1, engine="inline")
    assert search.status()[-1].counts.complete == 1
