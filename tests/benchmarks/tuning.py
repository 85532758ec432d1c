"""Staged search with a refinement beside Optuna's samplers: the same budget, the same noise, real learners.

    python tests/benchmarks/tuning.py run --results FILE [--tasks ...] [--methods ...] [--seeds 10] [--budget 100]
    python tests/benchmarks/tuning.py table --results FILE

A search sees the accuracy (or R2) on 100 validation examples of a fit with a seed of its own. What it recommends is
fitted again with `RETRAINED` other seeds and scored on the examples that neither part has seen. Each seed of the
benchmark splits the data anew, the same way for all methods. The regret of a run is what its held-out score lacks of
the best one that any method reached on the same split. Peers sample one trial after the other; hpsearch's stages are
fully parallel, and its refinements wait only between batches. Results are appended to a file as JSON lines; what is
there is not run again.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from hpsearch.executors.base import pin

pin()

import numpy as np  # noqa: E402
import optuna  # noqa: E402
from measuring import markdown  # noqa: E402
from sklearn import datasets  # noqa: E402
from sklearn.decomposition import PCA  # noqa: E402
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor, RandomForestClassifier  # noqa: E402
from sklearn.linear_model import SGDClassifier  # noqa: E402
from sklearn.neural_network import MLPClassifier, MLPRegressor  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.svm import SVC, SVR  # noqa: E402

from hpsearch import Categorical, Float, Int, Search  # noqa: E402
from hpsearch.records import HITS, Completed, Trial  # noqa: E402
from hpsearch.space import Space, to_distribution  # noqa: E402
from hpsearch.statistics.hits import unpack  # noqa: E402
from hpsearch.study_file import parse  # noqa: E402

VALIDATION, TRAINED, RETRAINED = 100, 250, 10
Params = Mapping[str, Any]
Fit = Callable[[Params, int, bool], float]  # values, a seed, whether on the held-out examples -> the score


class Task(NamedTuple):
    """A learner on a data set: its ranges, and what fits it on the split of a seed."""

    space: Space
    split: Callable[[int], Fit]


def _estimator_task(load: Callable[..., Any], make: Callable[[Params, int], Any], space: Space, trained: int) -> Task:
    def split(seed: int) -> Fit:
        x, y = load(return_X_y=True)
        order = np.random.default_rng([seed, len(x)]).permutation(len(x))
        train, seen, held = np.split(order, [trained, trained + VALIDATION])
        x = StandardScaler().fit(x[train]).transform(x)
        y = y / np.std(y[train]) if y.dtype.kind == "f" else y

        def fit(params: Params, seed: int, on_held_out: bool) -> float:
            model = make(params, seed)
            part = held if on_held_out else seen
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of fits that have not converged
                # R2 has no lower end, and below -1 there is nothing to be learned from it.
                return max(float(model.fit(x[train], y[train]).score(x[part], y[part])), -1.0)

        return fit

    return Task(space, split)


_RATE = Float(1e-4, 1.0, log=True)
_KERNEL: Space = {"C": Float(1e-3, 1e4, log=True), "gamma": Float(1e-6, 10.0, log=True)}
_TREES: Space = {
    "learning_rate": Float(1e-3, 1.0, log=True),
    "max_depth": Int(1, 8),
    "subsample": Float(0.2, 1.0),
    "max_features": Float(0.05, 1.0),
    "min_samples_leaf": Int(1, 50, log=True),
}
_FOREST: Space = {
    "max_depth": Int(1, 20),
    "max_features": Float(0.02, 1.0),
    "min_samples_split": Int(2, 100, log=True),
    "criterion": Categorical(("gini", "entropy")),
}
_LAYERS: Space = {
    "learning_rate_init": _RATE,
    "alpha": Float(1e-7, 10.0, log=True),
    "momentum": Float(0.0, 0.99),
    "batch_size": Int(16, 128, log=True),
    "activation": Categorical(("relu", "tanh")),
}
_LINEAR: Space = {
    "alpha": Float(1e-7, 10.0, log=True),
    "eta0": Float(1e-4, 10.0, log=True),
    "l1_ratio": Float(0.0, 1.0),
}
_NETWORK: dict[str, Any] = {
    "lr": {"low": 1e-4, "high": 1.0, "log": True},
    "momentum": {"low": 0.0, "high": 0.98},
    "weight_decay": {"low": 1e-7, "high": 0.1, "log": True},
    "dropout": {"low": 0.0, "high": 0.7},
}


def _layers(params: Params, seed: int, of: type = MLPClassifier) -> Any:
    return of(hidden_layer_sizes=(32,), solver="sgd", max_iter=10, random_state=seed, **params)


def _svm_of_components(params: Params, seed: int) -> Any:
    rest = {name: value for name, value in params.items() if name != "components"}
    return make_pipeline(PCA(params["components"], random_state=seed), SVC(**rest))


def _network_task(name: str) -> Task:
    plain = {
        "name": name,
        "data": {"name": name, "train": TRAINED, "validation": 1400, "test": 10},
        "network": {"hidden": [50]},
        "training": {"optimizer": "momentum", "batch_size": 50, "epochs": 12},
        "space": _NETWORK,
    }
    study = parse(plain, source=name)

    @cache
    def data() -> Any:
        return study.load()

    def split(seed: int) -> Fit:
        order = np.random.default_rng([seed, 1]).permutation(1400)

        def fit(params: Params, seed: int, on_held_out: bool) -> float:
            objective = study.objective(data(), seed=seed, space=study.space)
            items = [item for some in objective.evaluate([Trial(0, seed, dict(params))]) for item in some]
            (done,) = (item for item in items if isinstance(item, Completed))
            hits = np.frombuffer(unpack(done.attributes[HITS], 1400), np.bool_)[order]
            return float((hits[VALIDATION:] if on_held_out else hits[:VALIDATION]).mean())

        return fit

    return Task(study.space, split)


def _simulated_task(truth: Callable[..., float]) -> Task:
    """Return a task of known truth: the share of the validation examples that a trial gets right, on its own ones."""

    def fit(params: Params, seed: int, on_held_out: bool) -> float:
        share = min(truth(*params.values()), 1.0)
        return share if on_held_out else np.random.default_rng(seed).binomial(VALIDATION, share) / VALIDATION

    return Task({f"x{i}": Float(0.0, 1.0) for i in range(4)}, lambda seed: fit)


def _bowl(a: float, b: float, c: float, _: float) -> float:
    return 0.95 - 0.6 * ((a - 0.3) ** 2 + (b - 0.6) ** 2 + (c - 0.5) ** 2)


def _cliff(a: float, b: float, c: float, _: float) -> float:
    if a > 0.62:
        raise FloatingPointError("the loss became nan")
    return 0.94 + 0.5 * (a - 0.6) - 0.6 * ((b - 0.6) ** 2 + (c - 0.5) ** 2)


def _ridge(a: float, b: float, c: float, _: float) -> float:
    return max(0.95 - 2.5 * (a + b - 0.9) ** 2 - 0.3 * (a - 0.35) ** 2 - 0.3 * (c - 0.5) ** 2, 0.0)


def _modes(a: float, b: float, c: float, _: float) -> float:
    wide, narrow = (sum((x - at) ** 2 for x in (a, b, c)) for at in (0.75, 0.22))
    return max(0.9 - 0.4 * wide, 0.95 - 4 * narrow, 0.3)


TASKS: Mapping[str, Callable[[], Task]] = {
    "svm digits": lambda: _estimator_task(
        datasets.load_digits, _svm_of_components, {**_KERNEL, "components": Int(2, 60, log=True)}, TRAINED
    ),
    "svm diabetes": lambda: _estimator_task(
        datasets.load_diabetes, lambda p, s: SVR(**p), {**_KERNEL, "epsilon": Float(1e-3, 2.0, log=True)}, 200
    ),
    "boosting cancer": lambda: _estimator_task(
        datasets.load_breast_cancer,
        lambda p, s: GradientBoostingClassifier(n_estimators=20, random_state=s, **p),
        _TREES,
        200,
    ),
    "boosting diabetes": lambda: _estimator_task(
        datasets.load_diabetes,
        lambda p, s: GradientBoostingRegressor(n_estimators=20, random_state=s, **p),
        _TREES,
        200,
    ),
    "forest digits": lambda: _estimator_task(
        datasets.load_digits, lambda p, s: RandomForestClassifier(8, random_state=s, **p), _FOREST, TRAINED
    ),
    "mlp digits": lambda: _estimator_task(datasets.load_digits, _layers, _LAYERS, TRAINED),
    "mlp diabetes": lambda: _estimator_task(
        datasets.load_diabetes, lambda p, s: _layers(p, s, MLPRegressor), _LAYERS, 200
    ),
    "linear digits": lambda: _estimator_task(
        datasets.load_digits,
        lambda p, s: SGDClassifier(penalty="elasticnet", learning_rate="constant", max_iter=8, random_state=s, **p),
        _LINEAR,
        TRAINED,
    ),
    "network mnist": lambda: _network_task("mnist-10k"),
    "network digits": lambda: _network_task("digits"),
    "bowl": lambda: _simulated_task(_bowl),
    "cliff": lambda: _simulated_task(_cliff),
    "ridge": lambda: _simulated_task(_ridge),
    "two modes": lambda: _simulated_task(_modes),
}


def _optuna(make: Callable[[int], optuna.samplers.BaseSampler]) -> Callable[..., dict[str, Params]]:
    def search(task: Task, fit: Fit, budget: int, seed: int) -> dict[str, Params]:
        study = optuna.create_study(direction="maximize", sampler=make(seed))
        distributions = {name: to_distribution(parameter) for name, parameter in task.space.items()}
        for number in range(budget):
            trial = study.ask(distributions)
            try:
                study.tell(trial, _finite(fit(trial.params, 1000 * seed + number, False)))
            except (ValueError, FloatingPointError):
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return {"": study.best_params}

    return search


def _finite(score: float) -> float:
    if not math.isfinite(score):
        raise FloatingPointError(f"the score is {score}")
    return score


def _staged(stages: int, sampler: str | None = None, share: float = 0.5, batch: int = 5) -> Callable[..., Any]:
    """Return a search of narrowed stages, the last ``share`` of whose budget is a refinement by a sampler."""

    def search(task: Task, fit: Fit, budget: int, seed: int) -> dict[str, Params]:
        def score(trial: Any) -> float:
            return _finite(fit(trial.params, trial.seed % 2**31, False))

        refined = 0 if sampler is None else round(share * budget)
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            options: dict[str, Any] = {"space": task.space, "direction": "maximize", "seed": seed}
            of = Search("tuned", score, storage=f"{folder}/x.db", **options)
            for stage in range(stages):
                count = (budget - refined) * (stage + 1) // stages - (budget - refined) * stage // stages
                of.start(count, engine="inline", stage=stage + 1)
                if stage + 1 < stages:
                    of.narrow(top=5)
            if refined:
                of.refine(refined, sampler=sampler, batch=batch, engine="inline")
            return {"best": of.best.params, "recommend": of.recommend().params}

    return search


METHODS: Mapping[str, Callable[..., dict[str, Params]]] = {
    "random": _optuna(lambda seed: optuna.samplers.RandomSampler(seed=seed)),
    "qmc": _optuna(lambda seed: optuna.samplers.QMCSampler(seed=seed, scramble=True)),
    "tpe": _optuna(lambda seed: optuna.samplers.TPESampler(seed=seed)),
    "gp": _optuna(lambda seed: optuna.samplers.GPSampler(seed=seed)),
    "staged": _staged(3),
    "staged+surrogate": _staged(3, "surrogate"),
    "staged+tpe": _staged(3, "tpe"),
    "staged+gp": _staged(3, "gp"),
}


class Run(NamedTuple):
    """A finished search, as a line of the file of results."""

    task: str
    method: str
    budget: int
    seed: int
    held_out: Mapping[str, float]  # by how the values were chosen; "" where there is one way
    seconds: float


def run(task_name: str, method: str, budget: int, seed: int) -> Run:
    """Search once, and score what is recommended."""
    task = TASKS[task_name]()
    fit, began = task.split(seed), time.monotonic()
    chosen = METHODS[method](task, fit, budget, seed)
    seconds = time.monotonic() - began
    held_out = {how: held_out_score(fit, params) for how, params in chosen.items()}
    return Run(task_name, method, budget, seed, held_out, round(seconds, 2))


def held_out_score(fit: Fit, params: Params) -> float:
    """Return the mean held-out score of values that are fitted with other seeds; a failed fit counts as 0."""
    scores = []
    for seed in range(RETRAINED):
        try:
            scores.append(_finite(fit(params, 10**6 + seed, True)))
        except (ValueError, FloatingPointError):
            scores.append(0.0)
    return float(np.mean(scores))


def results(file: Path) -> list[Run]:
    """Return the runs of a file of results."""
    return [Run(**json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []


def regrets(runs: list[Run]) -> Iterator[tuple[str, str, int, float]]:
    """Yield the regret of each run and way of choosing: task, method, budget, regret."""
    best: dict[tuple[str, int], float] = {}
    for one in runs:
        for score in one.held_out.values():
            best[one.task, one.seed] = max(best.get((one.task, one.seed), -math.inf), score)
    for one in runs:
        for how, score in one.held_out.items():
            yield one.task, f"{one.method}{how and f': {how}'}", one.budget, best[one.task, one.seed] - score


def table(runs: list[Run]) -> str:
    """Return mean regrets x 1,000 and their standard errors, a row a task, a column a method."""
    cells: dict[tuple[int, str], dict[str, list[float]]] = {}
    for task, method, budget, regret in regrets(runs):
        cells.setdefault((budget, task), {}).setdefault(method, []).append(1000 * regret)
    methods = list(dict.fromkeys(method for row in cells.values() for method in row))
    rows: list[tuple[str, ...]] = []
    for (budget, task), row in sorted(cells.items()):
        rows.append((str(budget), task, *(_cell(row.get(method, [])) for method in methods)))
    for budget in sorted({budget for budget, _ in cells}):
        means = [
            [float(np.mean(row[method])) for (of, _), row in cells.items() if of == budget and method in row]
            for method in methods
        ]
        rows.append((str(budget), "**mean**", *(f"**{np.mean(of):.1f}**" if of else "" for of in means)))
    return markdown(("trials", "task", *methods), rows)


def _cell(values: list[float]) -> str:
    if not values:
        return ""
    error = np.std(values, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return f"{np.mean(values):.1f} +- {error:.1f}"


def main() -> None:
    """Run what is missing from the file of results, or print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no further search after so many")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    if options.what == "table":
        print(table(results(options.results)))
        return
    done = {one[:4] for one in results(options.results)}
    ends = time.monotonic() + options.seconds
    for seed, task, method in product(range(options.seeds), options.tasks, options.methods):
        if (task, method, options.budget, seed) in done or time.monotonic() > ends:
            continue
        one = run(task, method, options.budget, seed)
        with closing(options.results.open("a")) as file:
            file.write(json.dumps(one._asdict()) + "\n")
        print(f"{task}, {method}, seed {seed}: {one.held_out} in {one.seconds:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
