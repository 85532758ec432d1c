"""`StagedRandomSearchCV` beside scikit-learn's own random searches: the same number of fits, held-out score and time.

    python tests/benchmarks/sklearn_search.py [SEEDS]

On five data sets that scikit-learn ships (600 of the digits), support vector machines over wide ranges, 40 candidates
on 5 folds: 200 fits. Successive halving has 27 + 9 + 3 + 1 = 40 candidates, the first ones on few of the examples.
Each seed cuts off another 30 % of the data, on which the refitted best candidate is scored. Time is that of the
processor.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Mapping
from statistics import fmean, stdev
from typing import Any

from hpsearch.executors.base import pin

pin()

import numpy as np  # noqa: E402
from scipy.stats import loguniform  # noqa: E402
from sklearn import datasets  # noqa: E402
from sklearn.base import is_classifier  # noqa: E402
from sklearn.experimental import enable_halving_search_cv  # noqa: E402, F401
from sklearn.model_selection import HalvingRandomSearchCV, RandomizedSearchCV, train_test_split  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.svm import SVC, SVR  # noqa: E402

from hpsearch.sklearn import StagedRandomSearchCV  # noqa: E402

CANDIDATES, FOLDS = 40, 5
DATA: Mapping[str, Callable[..., Any]] = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
    "diabetes": datasets.load_diabetes,
}
SEARCHES: Mapping[str, Callable[..., Any]] = {
    "RandomizedSearchCV": lambda *what, **options: RandomizedSearchCV(*what, n_iter=CANDIDATES, **options),
    "HalvingRandomSearchCV": lambda *what, **options: HalvingRandomSearchCV(*what, n_candidates=27, **options),
    "StagedRandomSearchCV, 2 stages": lambda *what, **options: StagedRandomSearchCV(
        *what, n_iter=CANDIDATES, **options
    ),
    "StagedRandomSearchCV, 4 stages": lambda *what, **options: StagedRandomSearchCV(
        *what, n_iter=CANDIDATES, stages=4, **options
    ),
}


def problem(name: str) -> tuple[Any, Any, Any, dict[str, Any]]:
    """Return the examples of a data set, their targets, a model and its ranges."""
    x, y = (column[:600] for column in DATA[name](return_X_y=True))
    model = SVR() if name == "diabetes" else SVC()
    ranges: dict[str, Any] = {"C": loguniform(1e-3, 1e5), "gamma": loguniform(1e-7, 1e2)}
    if name == "diabetes":
        ranges["epsilon"] = loguniform(1e-2, 1e2)
    named = {f"{type(model).__name__.lower()}__{key}": range_ for key, range_ in ranges.items()}
    return x, y, make_pipeline(StandardScaler(), model), named


def measured(search: Any, x: Any, y: Any, seed: int) -> tuple[float, float, float]:
    """Return a search's best score by cross-validation, that on the examples held out, and its seconds."""
    by_class = y if is_classifier(search.estimator) else None
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.3, random_state=seed, stratify=by_class)
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of halving's first rounds, which may lack a class
        search.fit(x_train, y_train)
    seconds = time.process_time() - began
    return search.best_score_, search.score(x_test, y_test), seconds


def main(seeds: int) -> None:
    """Print a table of all searches on all data sets."""
    print("| data | search | best CV score | held out | beside RandomizedSearchCV | seconds |")
    print("| --- | --- | --- | --- | --- | --- |")
    differences: dict[str, list[float]] = {name: [] for name in SEARCHES}
    for data in DATA:
        x, y, model, ranges = problem(data)
        first: list[float] = []
        for name, make in SEARCHES.items():
            options = {"cv": FOLDS, "error_score": np.nan}
            runs = [measured(make(model, ranges, random_state=seed, **options), x, y, seed) for seed in range(seeds)]
            inner, outer, seconds = (list(column) for column in zip(*runs, strict=True))
            first = first or outer
            paired = [ours - theirs for ours, theirs in zip(outer, first, strict=True)]
            differences[name] += paired
            cells = (spread(inner), spread(outer), error(paired), f"{fmean(seconds):.2f} +- {stdev(seconds):.2f}")
            print(f"| {data} | {name} | {' | '.join(cells)} |", flush=True)
    for name, paired in differences.items():
        print(f"| all | {name} | | | {error(paired)} | |")


def spread(values: list[float]) -> str:
    return f"{fmean(values):.4f} +- {stdev(values):.4f}"


def error(values: list[float]) -> str:
    """Return a mean difference and its standard error."""
    return f"{fmean(values):+.4f} ({stdev(values) / len(values) ** 0.5:.4f})"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
