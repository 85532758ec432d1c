"""What retraining the recommended setting gives, on real searches: how often its interval holds.

``python tests/benchmarks/retraining.py FOLDER`` prints tables; the first call takes a quarter of an hour on one
core. Searches and retrainings are kept in the folder, from which a later call begins.

A search samples four hyperparameters of a small network 100 times, on MNIST, Fashion-MNIST or digits. The truth about
a setting is its mean accuracy over 20 trainings with other seeds, on examples that had no part in the search: 5,000, or
what is left of digits.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from hpsearch.executors.base import pin

pin()

import numpy as np  # noqa: E402
from measuring import markdown  # noqa: E402

from hpsearch import Search  # noqa: E402
from hpsearch.objectives.network import runtime  # noqa: E402
from hpsearch.records import Completed, Paused, Trial  # noqa: E402
from hpsearch.search.recommendation import Recommendation  # noqa: E402
from hpsearch.search.stage import kept_study  # noqa: E402
from hpsearch.space import delivered  # noqa: E402
from hpsearch.statistics.intervals import Interval  # noqa: E402
from hpsearch.store import open_store  # noqa: E402

RETRAININGS, TRUTH_SEED = 20, 2**40
TASKS = {  # data set, training examples, validation examples, test examples, hidden layers
    "mnist": ("mnist-10k", 400, 100, 5000, [64]),
    "mnist-deep": ("mnist-10k", 400, 100, 5000, [50] * 5),
    "mnist-1000": ("mnist-10k", 1000, 1000, 5000, [64]),
    "fashion": ("fashion-mnist", 800, 200, 5000, [64]),
    "fashion-deep": ("fashion-mnist", 800, 200, 5000, [50] * 5),
    "fashion-1000": ("fashion-mnist", 1000, 1000, 5000, [64]),
    "digits": ("digits", 300, 150, 1300, [32]),
}
STUDY = """
name = "search"
[data]
name = "{name}"
train = {train}
validation = {validation}
test = {test}
seed = {seed}
[network]
hidden = {hidden}
[training]
optimizer = "momentum"
batch_size = 50
epochs = 8
evaluate_train = false
[space]
lr = {{ low = 1e-3, high = 3.0, log = true }}
momentum = {{ low = 0.0, high = 0.95 }}
weight_decay = {{ low = 1e-6, high = 1e-1, log = true }}
dropout = {{ low = 0.0, high = 0.6 }}
[trials]
count = 100
seed = {seed}
"""


@dataclass(frozen=True)
class Real:
    """A real search and what is known about its settings."""

    task: str
    seed: int
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.task}-{self.seed:02d}"

    @property
    def storage(self) -> str:
        return str(self.folder / f"{self.name}.db")

    def search(self) -> Search:
        """The search, run where it has not been."""
        search = Search("search", storage=self.storage)
        if not Path(self.storage).exists():
            names = ("name", "train", "validation", "test", "hidden")
            file = self.folder / f"{self.name}.toml"
            file.write_text(STUDY.format(**dict(zip(names, TASKS[self.task], strict=True)), seed=self.seed))
            Search(str(file), storage=self.storage).start(engine="inline")
        return search

    @cached_property
    def truths(self) -> dict[str, list[float]]:
        """The accuracies of retrained settings, by their values as JSON."""
        path = self.folder / f"{self.name}.json"
        known: dict[str, list[float]] = json.loads(path.read_text()) if path.exists() else {}
        return known

    def retrained(self, settings: Sequence[Mapping[str, Any]]) -> list[list[float]]:
        """The accuracies of settings on unseen examples, `RETRAININGS` each; a training that diverges has chance's."""
        keys = [json.dumps(dict(values), sort_keys=True) for values in settings]
        new = {key: values for key, values in zip(keys, settings, strict=True) if key not in self.truths}
        if new:
            self.truths.update(zip(new, _retrain(self, list(new.values())), strict=True))
            (self.folder / f"{self.name}.json").write_text(json.dumps(self.truths))
        return [self.truths[key] for key in keys]


def _retrain(real: Real, settings: Sequence[Mapping[str, Any]]) -> list[list[float]]:
    with closing(open_store(real.storage)) as store:
        stage = store.stages()[0]
    study = kept_study(stage)
    data: Any = study.load()
    x, y = runtime.load_test(study.sections)
    objective = runtime.objective(
        study.sections, replace(data, x_validation=x, y_validation=y), seed=TRUTH_SEED, space=stage.space
    )
    trials = [
        Trial(number, number, delivered(stage.space, values), repeat=repeat)
        for number, (values, repeat) in enumerate((v, r) for v in settings for r in range(RETRAININGS))
    ]
    # All epochs but the last without the unseen examples: scoring them takes longer than training.
    few = replace(objective.data, validation_images=objective.data.validation_images[:1], validation_labels=y[:1])
    begun, last = replace(objective, data=few), (study.epochs or 1) - 1
    scores = np.full(len(trials), 1 / data.classes)
    for group in objective.group(trials):
        lanes = objective.lanes(group[0])
        for at in range(0, len(group), lanes):
            *_, ended = begun.evaluate(group[at : at + lanes], until=last)
            paused = {pause.number: pause for pause in ended if isinstance(pause, Paused)}
            if paused:
                *_, ended = objective.evaluate([trials[number] for number in paused], paused=list(paused.values()))
            for outcome in ended:
                if isinstance(outcome, Completed):
                    scores[outcome.number] = outcome.score
    accuracies: list[list[float]] = scores.reshape(len(settings), RETRAININGS).tolist()
    return accuracies


@dataclass(frozen=True)
class Said:
    """What is said of one search's chosen setting, and the truth."""

    how: str  # by what it was chosen
    score: float  # what is expected of it
    interval: Interval | None
    seed_sd: float | None
    truth: float
    seeds: float  # standard deviation of its retrainings

    @classmethod
    def of(cls, real: Real, how: str, params: Mapping[str, Any], score: float, interval: Interval | None) -> Self:
        """Hold a score and its interval against the accuracies of retrained networks."""
        (accuracies,) = real.retrained([params])
        return cls(how, score, interval, None, float(np.mean(accuracies)), float(np.std(accuracies, ddof=1)))


def held_against(real: Real) -> list[Said]:
    """What each way of choosing says of its choice, and the truth about that."""
    search = real.search()
    best, recommended = search.best, search.recommend()
    said = [
        Said.of(real, "best score", best.params, best.score, best.interval),
        Said.of(real, "best score, corrected", best.params, best.corrected or best.score, best.corrected_interval),
        _recommended(real, "recommended", recommended),
    ]
    copy = real.folder / f"{real.name}-confirmed.db"
    if not copy.exists():
        copy.write_bytes(Path(real.storage).read_bytes())
    confirmed = Search("search", storage=copy)
    first = confirmed.confirm(engine="inline").state.ranking[0]
    said.append(Said.of(real, "confirmed, its mean", first.setting.params, first.mean, first.interval))
    said.append(_recommended(real, "confirmed, recommended", confirmed.recommend()))
    return said


def _recommended(real: Real, how: str, recommended: Recommendation) -> Said:
    said = Said.of(real, how, recommended.params, recommended.expected, recommended.interval)
    return replace(said, seed_sd=recommended.seed_sd)


def table(said: Sequence[Said]) -> str:
    """How often the intervals hold the truth, by way of choosing."""
    rows = []
    for how in dict.fromkeys(of.how for of in said):
        of_how = [of for of in said if of.how == how]
        off = np.array([of.score - of.truth for of in of_how])
        ends = [of.interval for of in of_how]
        holds = [e is not None and e.low <= of.truth <= e.high for of, e in zip(of_how, ends, strict=True)]
        width = np.mean([e.high - e.low for e in ends if e is not None])
        seeds = [of.seed_sd for of in of_how if of.seed_sd is not None]
        squares = (f"{np.sqrt(np.mean(np.square(seeds))):.4f}" if seeds else "-",)
        true = np.sqrt(np.mean([of.seeds**2 for of in of_how]))
        reached = np.mean([of.truth for of in of_how])
        error = f"{off.mean():+.4f} +- {off.std(ddof=1) / np.sqrt(len(off)):.4f}"
        rows.append(
            (
                how,
                str(len(of_how)),
                f"{np.mean(holds):.3f}",
                error,
                f"{width:.3f}",
                *squares,
                f"{true:.4f}",
                f"{reached:.4f}",
            )
        )
    headings = ("chosen by", "searches", "interval holds", "mean error", "width", "seed SD said", "seed SD", "reached")
    return markdown(headings, rows)


def main() -> None:
    """Print what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the searches and retrainings are kept")
    parser.add_argument("--seeds", type=int, default=6, help="searches a task")
    parser.add_argument("--first-seed", type=int, default=0, help="of a task's searches")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS, help="which tasks")
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True, parents=True)
    said: dict[str, list[Said]] = {}
    for real in (
        Real(task, options.first_seed + seed, options.folder) for seed in range(options.seeds) for task in options.tasks
    ):
        said.setdefault(real.task, []).extend(held_against(real))
        print(real.name, file=sys.stderr, flush=True)
    for task, of_task in said.items():
        print(f"{task}\n\n{table(of_task)}\n")
    print(f"all\n\n{table([one for of_task in said.values() for one in of_task])}")


if __name__ == "__main__":
    main()
