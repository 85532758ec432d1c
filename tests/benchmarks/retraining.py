"""What retraining the recommended setting gives, on real searches: how often the interval that `recommend` prints holds.

``python tests/benchmarks/retraining.py FOLDER`` prints a table in about ten minutes on one core. Searches and retrainings are
kept in the folder, from which a second call begins.

A search samples four hyperparameters of a small network 100 times, on MNIST, Fashion-MNIST or digits. The truth about a setting
is its mean accuracy over 20 trainings with other seeds, on examples that had no part in the search: 5,000, or what is
left of digits.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hpsearch.executors.base import pin

pin()

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from hpsearch import Search  # noqa: E402
from hpsearch.objectives.network import runtime  # noqa: E402
from hpsearch.records import Completed, Paused, Trial  # noqa: E402
from hpsearch.search.stage import kept_study, params_at  # noqa: E402
from hpsearch.space import delivered  # noqa: E402
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
        return json.loads(path.read_text()) if path.exists() else {}

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
    data = study.load()
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
    begun, last = replace(objective, data=few), study.epochs - 1
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
    return scores.reshape(len(settings), RETRAININGS).tolist()


def reals(folder: Path, tasks: Sequence[str], seeds: int) -> Iterator[Real]:
    """The searches."""
    for seed in range(seeds):
        for task in tasks:
            yield Real(task, seed, folder)


def best_settings(real: Real, top: int) -> list[dict[str, Any]]:
    """The values of the best trials by score."""
    with closing(open_store(real.storage)) as store:
        stage = store.stages()[0]
        columns = store.columns(stage, top=top)
    return [params_at(stage, columns, at) for at in range(len(columns["number"]))]


if __name__ == "__main__":
    import time
    folder = Path(sys.argv[1]); folder.mkdir(exist_ok=True)
    for real in reals(folder, list(TASKS), int(sys.argv[2])):
        t = time.time()
        real.search(); t1 = time.time()
        best = best_settings(real, 12)
        got = np.array(real.retrained(best)); 
        with closing(open_store(real.storage)) as store:
            c = store.columns(store.stages()[0])
        s = sorted([x for x in c["score"] if x is not None], reverse=True)
        print(real.name, f"search {t1-t:.1f}s truths {time.time()-t1:.1f}s fails {c['state'].count('FAIL')} best {s[0]:.3f} {s[5]:.3f} median {s[len(s)//2]:.3f} truth {got.mean(1)[:5].round(3)} sd {got.std(1,ddof=1)[:5].round(3)}", flush=True)
