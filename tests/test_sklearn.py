"""`StagedRandomSearchCV` beside scikit-learn's own searches, and what it keeps in its database."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("scipy")

import pandas as pd
from joblib import parallel_config
from scipy.sparse import csr_array
from scipy.stats import loguniform, randint
from sk_estimators import Counting
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.linear_model import Ridge
from sklearn.metrics import accuracy_score, f1_score, get_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, RandomizedSearchCV, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from hpsearch import Search
from hpsearch.errors import BadArgument, BadSpace, StageConflict
from hpsearch.records import FOLDS
from hpsearch.sklearn import StagedRandomSearchCV
from hpsearch.store import open_store

X, Y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)  # a few iterations are enough
GROUPS, WEIGHTS = np.arange(len(X)) % 10, np.linspace(0.5, 2.0, len(X))
RANGES = {"C": loguniform(1e-3, 10.0), "max_iter": randint(200, 300)}


@pytest.fixture(autouse=True)
def _counting() -> None:
    Counting.fits = Counting.interrupted_at = 0
    Counting.impossible = 0.0


def search(ranges: Any = None, **options: Any) -> StagedRandomSearchCV:
    given = {"n_iter": 8, "cv": 3, "random_state": 0, **options}
    return StagedRandomSearchCV(given.pop("estimator", Counting()), ranges or RANGES, **given)


def scores(fitted: Any) -> dict[str, Any]:
    """Return all that does not depend on the clock."""
    return {name: column for name, column in fitted.cv_results_.items() if "_time" not in name}


def two_scores(estimator: Any, x: Any, y: Any) -> dict[str, float]:
    """Score by two metrics."""
    return {"hits": accuracy_score(y, estimator.predict(x)), "f1": f1_score(y, estimator.predict(x), average="macro")}


def last(results: Mapping[str, Any]) -> int:
    """Choose the last candidate."""
    return len(results["params"]) - 1


OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "one metric": ({"scoring": "f1_macro", "return_train_score": True}, {}),
    "several": ({"scoring": ["f1_macro", "accuracy"], "refit": "accuracy", "return_train_score": True}, {}),
    "by name": ({"scoring": {"hits": "accuracy", "f1": get_scorer("f1_macro")}, "refit": "f1"}, {}),
    "a function of two": ({"scoring": two_scores, "refit": "hits"}, {}),
    "refit by a function": ({"refit": last}, {}),
    "no refit": ({"refit": False}, {}),
    "several, no refit": ({"scoring": ["f1_macro", "accuracy"], "refit": False}, {}),
    "groups": ({"cv": GroupKFold(3)}, {"groups": GROUPS}),
    "weights": ({}, {"sample_weight": WEIGHTS}),
    "two workers": ({"n_jobs": 2}, {}),
    "None": ({"ranges": [{"class_weight": [None, "balanced"]}, {"class_weight": [None], "tol": [1e-3]}]}, {}),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_all_is_as_scikit_learn_has_it_for_the_same_candidates(case: str) -> None:
    options, params = dict(OPTIONS[case][0]), OPTIONS[case][1]
    with parallel_config("threading"):  # processes take seconds to start
        ours = search(options.pop("ranges", None), **options).fit(X, Y, **params)
    grid = [{name: [value] for name, value in candidate.items()} for candidate in ours.cv_results_["params"]]
    theirs = GridSearchCV(Counting(), grid, **{"cv": 3, **options, "n_jobs": None}).fit(X, Y, **params)
    assert [name for name in ours.cv_results_ if name != "stage"] == list(theirs.cv_results_)
    for name, column in theirs.cv_results_.items():
        if "_time" not in name:
            np.testing.assert_array_equal(ours.cv_results_[name], column, err_msg=name)
            assert getattr(ours.cv_results_[name], "dtype", None) == getattr(column, "dtype", None), name
    for name in ("best_index_", "best_params_", "best_score_", "n_splits_", "multimetric_"):
        assert getattr(ours, name, None) == getattr(theirs, name, None), name
    assert type(ours.scorer_) is type(theirs.scorer_)
    if options.get("refit") is not False:
        np.testing.assert_array_equal(ours.predict_proba(X), theirs.predict_proba(X))
        assert ours.score(X, Y) == theirs.score(X, Y)
        assert ours.refit_time_ > 0
        assert ours.classes_.tolist() == [0, 1, 2]
        assert ours.n_features_in_ == 4


def test_later_stages_lie_in_narrower_ranges() -> None:
    fitted = search(n_iter=17, stages=3).fit(X, Y)
    assert fitted.cv_results_["stage"].tolist() == [1] * 6 + [2] * 6 + [3] * 5
    first, *_, final = ((space["C"].low, space["C"].high) for space in fitted.spaces_)  # type: ignore[union-attr]
    assert first == (1e-3, 10.0)
    assert final[1] / final[0] < 0.5 * first[1] / first[0]
    for stage, params in zip(fitted.cv_results_["stage"], fitted.cv_results_["params"], strict=True):
        space = fitted.spaces_[stage - 1]
        assert all(space[name].low <= value <= space[name].high for name, value in params.items())


def test_a_pipeline_with_choices_that_are_objects_and_dicts_of_ranges() -> None:
    scalers = [StandardScaler(), MinMaxScaler(), "passthrough", None]
    ranges = [
        {"counting__C": loguniform(1e-3, 10.0), "standardscaler": scalers},
        {"counting__solver": ["lbfgs", "newton-cg"], "counting__tol": [1e-3, 1e-4, 1e-5]},
    ]
    fitted = search(ranges, estimator=make_pipeline(StandardScaler(), Counting()), n_iter=20).fit(X, Y)
    kinds = {tuple(params) for params in fitted.cv_results_["params"]}
    assert kinds == {("counting__C", "standardscaler"), ("counting__solver", "counting__tol")}
    assert fitted.cv_results_["param_counting__C"].mask.sum() == sum(
        "counting__C" not in params for params in fitted.cv_results_["params"]
    )
    chosen = [params["standardscaler"] for params in fitted.cv_results_["params"] if "standardscaler" in params]
    assert {type(one) for one in chosen} <= {StandardScaler, MinMaxScaler, str, type(None)}
    assert len({type(one) for one in chosen}) > 1


@pytest.mark.parametrize("form", [pd.DataFrame, csr_array, list])
def test_data_in_other_forms_are_known_again(form: Any, tmp_path: Path) -> None:
    x = form(X, columns=list("abcd")) if form is pd.DataFrame else form(X)
    made = search(n_iter=4, storage=str(tmp_path / "kept.db"))
    first = made.fit(x, Y).best_score_
    Counting.fits = 0
    again = made.fit(x.copy(), Y)
    assert (again.best_score_, Counting.fits) == (first, 1)
    assert again.n_features_in_ == 4
    assert list(getattr(again, "feature_names_in_", "abcd")) == list("abcd")


def test_metadata_are_routed() -> None:
    with config_context(enable_metadata_routing=True):
        estimator = Counting().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        options = {"estimator": estimator, "cv": GroupKFold(3), "n_iter": 4}
        params = {"sample_weight": WEIGHTS, "groups": GROUPS}
        ours = search(**options).fit(X, Y, **params)
        grid = [{name: [value] for name, value in candidate.items()} for candidate in ours.cv_results_["params"]]
        theirs = GridSearchCV(estimator, grid, cv=GroupKFold(3)).fit(X, Y, **params)
        np.testing.assert_array_equal(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])
        np.testing.assert_array_equal(ours.predict_proba(X), theirs.predict_proba(X))
        with pytest.raises(TypeError, match=r"StagedRandomSearchCV.fit got unexpected argument\(s\) {'other'}"):
            search(**options).fit(X, Y, other=1)
    with pytest.raises(ValueError, match="groups"):
        search(cv=GroupKFold(3)).fit(X, Y)


def test_a_fit_that_was_killed_goes_on_and_fits_no_candidate_twice(tmp_path: Path) -> None:
    whole = search().fit(X, Y)
    fits = Counting.fits
    storage = str(tmp_path / "kept.db")
    kept = search(storage=storage, name="iris")
    Counting.fits, Counting.interrupted_at = 0, 17  # in the sixth candidate, of the second stage
    with pytest.raises(KeyboardInterrupt):
        kept.fit(X, Y)
    Counting.interrupted_at = 0
    kept.fit(X, Y)
    assert fits == 8 * 3 + 1
    assert fits <= Counting.fits <= fits + 3 * 3  # those of the batch that was interrupted
    for name, column in scores(whole).items():
        np.testing.assert_array_equal(kept.cv_results_[name], column, err_msg=name)
    Counting.fits = 0
    assert search(storage=storage, name="iris", random_state=None).fit(X, Y).best_params_ == whole.best_params_
    assert Counting.fits == 1  # the refit


def test_equal_candidates_are_fitted_once() -> None:
    fitted = search({"C": [0.1, 1.0], "tol": [1e-3, 1e-4]}, n_iter=20, refit=False).fit(X, Y)
    different = {tuple(params.items()) for params in fitted.cv_results_["params"]}
    assert len(fitted.cv_results_["params"]) == 20
    assert Counting.fits == 3 * len(different) <= 3 * 4


def test_another_fit_under_the_same_name_is_refused(tmp_path: Path) -> None:
    options: dict[str, Any] = {"storage": str(tmp_path / "kept.db"), "n_iter": 4}
    search(**options).fit(X, Y)
    with pytest.raises(StageConflict, match=r"folds \(cv\) of Counting/stage-01 have changed"):
        search(**options).fit(X[::-1], Y)
    with pytest.raises(StageConflict, match=r"folds \(cv\) of"):  # other folds
        search(**options, cv=ShuffleSplit(3, random_state=1)).fit(X, Y)
    for other in ({"n_iter": 5}, {"scoring": "f1_macro"}, {"estimator": Counting(tol=1e-3)}, {"random_state": 1}):
        with pytest.raises(StageConflict, match=r"Counting was begun with other settings \(.*; give .*name"):
            search(**{**options, **other}).fit(X, Y)
    search(**options, name="another", scoring="f1_macro").fit(X, Y)


def test_its_search_is_one_for_the_rest_of_the_program(tmp_path: Path) -> None:
    storage = str(tmp_path / "kept.db")
    fitted = search(storage=storage, name="iris", scoring=["accuracy", "f1_macro"], refit="f1_macro").fit(X, Y)
    kept = Search("iris", storage=storage)
    best, _ = kept.best_of()
    assert best.score == fitted.best_score_
    trials = kept.trials(stage=2).columns
    assert trials["param:C"] == [params["C"] for params in fitted.cv_results_["params"][4:]]
    store = open_store(storage)
    stage = store.stages("iris")[0]
    folds = store.attribute(stage, range(4), FOLDS)
    columns = [fitted.cv_results_[f"split{fold}_test_f1_macro"] for fold in range(3)]
    assert [folds[at] for at in range(4)] == [[column[at] for column in columns] for at in range(4)]
    assert (stage.metric, stage.direction, stage.sizes) == ("f1_macro", "maximize", {"train": 100, "validation": 50})
    assert "scikit-learn" in stage.versions
    store.close()


def test_candidates_that_cannot_be_fitted_fail_and_the_search_goes_on(tmp_path: Path) -> None:
    Counting.impossible = 1.0
    storage = str(tmp_path / "kept.db")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of what fails beside others
        fitted = search(n_iter=12, storage=storage).fit(X, Y)
    C = fitted.cv_results_["param_C"].astype(float)  # noqa: N806  # scikit-learn's name
    assert np.isnan(fitted.cv_results_["mean_test_score"]).tolist() == (C > 1.0).tolist()
    assert 0 < (C > 1.0).sum() < 12
    assert fitted.best_params_["C"] <= 1.0
    assert fitted.cv_results_["rank_test_score"].max() == 12 - (C > 1.0).sum() + 1
    reasons = [Search("Counting", storage=storage).trials(stage=1, state="fail").columns["reason"]]
    assert all("is too much" in reason or "folds have no score" in reason for reason in reasons[0])


def test_where_no_candidate_can_be_fitted_scikit_learn_s_own_error_is_raised(tmp_path: Path) -> None:
    Counting.impossible = 1e-9
    with pytest.raises(ValueError, match=r"(?s)fits failed.*is too much"):
        search(storage=str(tmp_path / "kept.db")).fit(X, Y)
    with pytest.raises(ValueError, match="all candidates failed in an earlier fit; give another name"):
        search(storage=str(tmp_path / "kept.db")).fit(X, Y)


def test_error_score_raise_raises_and_the_candidate_is_tried_again(tmp_path: Path) -> None:
    options: dict[str, Any] = {"error_score": "raise", "storage": str(tmp_path / "kept.db")}
    Counting.impossible = 1.0
    with pytest.raises(ValueError, match=r"^C = .* is too much"):
        search(**options).fit(X, Y)
    Counting.impossible = 0.0
    assert not np.isnan(search(**options).fit(X, Y).cv_results_["mean_test_score"]).any()


def test_a_number_as_error_score_counts(tmp_path: Path) -> None:
    storage = str(tmp_path / "kept.db")
    Counting.impossible = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitFailedWarning)
        fitted = search(n_iter=12, stages=1, error_score=-1.0, storage=storage, name="x").fit(X, Y)
    means = fitted.cv_results_["mean_test_score"]
    assert (means == -1.0).tolist() == (fitted.cv_results_["param_C"].astype(float) > 1.0).tolist()
    # A failure is one whether scikit-learn was given the candidate alone or among others.
    states = Search("x", storage=storage).trials().columns["state"]
    assert [state == "FAIL" for state in states] == (means == -1.0).tolist()


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "n_iter": ({"n_iter": 3}, ValueError, "n_iter=3: each of 2 stages needs 2 candidates; use more, or fewer stages"),
    "stages": ({"stages": 0}, ValueError, "stages=0: give a whole number from 1"),
    "top": ({"top": 1}, BadArgument, "top=1: give a whole number from 2"),
    "refit": ({"scoring": ["accuracy"]}, ValueError, "refit=True: there are several metrics; name one of accuracy"),
    "two metrics": ({"scoring": two_scores}, ValueError, "refit=True: there are several metrics; name one of hits, f1"),
    "scoring": ({"scoring": "accurate"}, ValueError, "accurate"),
    "no range": ({"ranges": {"C": 1.0}}, BadSpace, "C: 1.0 is no range"),
    "no dict": ({"ranges": [1, 2]}, ValueError, "param_distributions=.*give a dict"),
    "parameter": ({"ranges": {"D": [1, 2]}}, ValueError, "Invalid parameter 'D' for estimator Counting"),
    "index": ({"refit": lambda results: 99}, IndexError, "best_index_ index out of range"),
    "no index": ({"refit": lambda results: "best"}, TypeError, "best_index_ returned is not an integer"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused(case: str) -> None:
    options, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        search(**options).fit(X, Y)


def test_it_is_cloned_and_pickled_and_knows_whether_it_is_fitted() -> None:
    made = search(RANGES, stages=2, top=3, expand=True, name="x")
    assert clone(made).get_params(deep=False).keys() == made.get_params(deep=False).keys()
    with pytest.raises(NotFittedError):
        made.predict(X)
    fitted = pickle.loads(pickle.dumps(made.fit(X, Y)))
    np.testing.assert_array_equal(fitted.predict(X), made.predict(X))


@pytest.mark.slow
def test_each_of_scikit_learn_s_checks_ends_as_of_randomized_search() -> None:
    ours, theirs = (
        [(check["check_name"], check["status"]) for check in check_estimator(made, on_fail=None, on_skip=None)]
        for kind, n_iter in ((StagedRandomSearchCV, 4), (RandomizedSearchCV, 2))
        for made in [kind(Ridge(), {"alpha": [0.1, 1.0]}, n_iter=n_iter, cv=2, error_score="raise", random_state=0)]
    )
    assert ours == theirs
    assert [name for name, status in ours if status == "failed"] == ["check_supervised_y_2d"]
    assert sum(status == "passed" for _, status in ours) > 40
