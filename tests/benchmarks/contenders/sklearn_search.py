"""scikit-learn's `RandomizedSearchCV` over an `MLPClassifier`, in as many processes as cores.

It does less than the others: it scores the validation set once, after the last epoch, and stores nothing.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import numpy as np
from scipy.stats import loguniform
from sklearn.model_selection import PredefinedSplit, RandomizedSearchCV
from sklearn.neural_network import MLPClassifier
from workloads import Assignment, answer


class HeClassifier(MLPClassifier):  # type: ignore[misc]  # scikit-learn has no types
    """With He's initial weights: scikit-learn's own are Glorot's, with which six layers of ReLU learn less."""

    def _init_coef(self, fan_in: int, fan_out: int, dtype: Any) -> tuple[Any, Any]:
        weights = self._random_state.normal(0.0, np.sqrt(2.0 / fan_in), (fan_in, fan_out))
        return weights.astype(dtype, copy=False), np.zeros(fan_out, dtype=dtype)


def main() -> None:
    # loky's processes inherit it: max_iter reached is what is wanted, not a warning.
    os.environ["PYTHONWARNINGS"] = "ignore"
    assignment = Assignment.given(sys.argv[1:])
    workload, images = assignment.workload, assignment.images()
    classifier = HeClassifier(
        workload.hidden,
        activation="relu",
        solver=workload.optimizer,
        momentum=0.0,
        learning_rate="constant",
        batch_size=workload.batch_size,
        max_iter=workload.epochs,
        tol=0.0,
        n_iter_no_change=10**9,
        random_state=assignment.seed,
    )
    # scikit-learn divides alpha by the number of images in the mini-batch.
    decay = (end * workload.batch_size for end in workload.weight_decay)
    folds = [-1] * len(images.x_train) + [0] * len(images.x_validation)
    search = RandomizedSearchCV(
        classifier,
        {"learning_rate_init": loguniform(*workload.lr), "alpha": loguniform(*decay)},
        n_iter=workload.trials,
        n_jobs=assignment.cores,
        cv=PredefinedSplit(folds),
        refit=False,
        random_state=assignment.seed,
        error_score="raise",
    )
    began = time.perf_counter()
    search.fit(
        np.concatenate([images.x_train, images.x_validation]), np.concatenate([images.y_train, images.y_validation])
    )
    answer(search.cv_results_["mean_test_score"].tolist(), time.perf_counter() - began)


if __name__ == "__main__":
    main()
