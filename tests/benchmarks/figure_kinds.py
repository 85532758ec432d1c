"""Every figure of searches of many kinds, as PNG to be looked at, and what building and rendering each takes.

``python tests/benchmarks/figure_kinds.py --out FOLDER`` draws every kind of ``hpsearch plot`` for searches of 100,
1,000 and 10,000 trials in three stages, of one trial, of failures only, of one hyperparameter, of choices, and of
trials that were stopped early. It prints a Markdown table, and puts the figures of a kind side by side in
``FOLDER/KIND.png``.
It needs the extras ``[images]`` and ``[predict]`` and a browser, and takes two minutes.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from hpsearch.errors import BadInput
from hpsearch.records import CURVES, SECONDS, VALIDATION_LOSS, Completed, Failed, Outcome, Pruned, Trial
from hpsearch.reports import figures, plots
from hpsearch.reports.plot_kinds import Kind, Plan
from hpsearch.space import Categorical, Float, Int, Space
from hpsearch.store import NewStage, Owner, Store, open_store

_EPOCHS, _IMAGES = 20, 100
_WIDTH = 900
LR = Float(1e-6, 1e-1, log=True)
TWO: Space = {"lr": LR, "weight_decay": Float(1e-8, 1e-4, log=True)}
MIXED: Space = {
    **TWO,
    "optimizer": Categorical(("sgd", "momentum", "adam")),
    "batch_size": Int(20, 100, step=20),
    "batch_norm": Categorical((True, False)),
}


@dataclass(frozen=True, slots=True)
class Search:
    """A search to be made up.

    Args:
        name: Its name.
        trials: Of each stage.
        space: The ranges of its first stage.
        stages: How many stages; each keeps the half of a logarithmic range that is nearer to the optimum.
        failed: The share of trials that fail.
        pruned: The share of the others that are stopped early.
    """

    name: str
    trials: int
    space: Space
    stages: int = 3
    failed: float = 0.03
    pruned: float = 0.0


SEARCHES = (
    Search("100", 100, TWO),
    Search("1000", 1000, TWO),
    Search("10000", 10_000, TWO),
    Search("one-trial", 1, TWO, stages=1, failed=0.0),
    Search("only-failures", 30, TWO, stages=1, failed=1.0),
    Search("one-parameter", 100, {"lr": LR}),
    Search("choices", 100, MIXED),
    Search("stopped-early", 100, TWO, pruned=0.7),
)


def outcome(trial: Trial, search: Search, rng: np.random.Generator) -> Outcome:
    """What a trial might have come to: best at a learning rate of 0.01."""
    off = math.log10(float(trial.params["lr"])) + 2
    share = 0.1 + 0.75 * math.exp(-((off / 1.2) ** 2)) + 0.04 * rng.normal()
    if trial.params.get("optimizer") == "adam":
        share += 0.05
    rising = np.clip(share, 0.05, 0.99) * (1 - np.exp(-np.arange(1, _EPOCHS + 1) / 5))
    scores = tuple((np.round(_IMAGES * rising) / _IMAGES).tolist())
    kept: dict[str, Any] = {SECONDS: round(float(rng.random()), 6), VALIDATION_LOSS: float(2.3 - 2 * rising[-1])}
    kept[CURVES] = {
        "train_loss": (2.2 - 2 * rising).tolist(),
        "validation_loss": (2.3 - 2 * rising).tolist(),
        "train_accuracy": np.minimum(rising + 0.05, 1).tolist(),
    }
    if rng.random() < search.failed:
        return Failed(trial.number, "training loss became nan in epoch 4", scores[:3], {SECONDS: kept[SECONDS]})
    if rng.random() < search.pruned:
        epoch = int(rng.choice([2, 5, 10]))
        return Pruned(trial.number, epoch, scores[:epoch], {SECONDS: kept[SECONDS]})
    return Completed(trial.number, scores[-1], scores, kept)


def fill(store: Store, search: Search) -> None:
    """Make a search whose trials have finished."""
    owner, rng, space = Owner.current(), np.random.default_rng(0), dict(search.space)
    for number in range(1, search.stages + 1):
        new = NewStage(
            search.name,
            number,
            "maximize",
            number,
            dict(space),
            {"name": search.name, "objective": {"metric": "validation_accuracy"}},
            parent=number - 1 or None,
            sizes={"train": 4 * _IMAGES, "validation": _IMAGES},
        )
        stage = store.create_stage(new)
        trials = store.claim(stage, until=search.trials, most=search.trials, owner=owner).trials
        outcomes = [outcome(trial, search, rng) for trial in trials]
        store.record(stage, outcomes, {trial.number: trial.trial_id for trial in trials}, owner=owner)
        for name, one in space.items():
            if isinstance(one, Float) and name == "lr":
                low, high, best = math.log10(one.low), math.log10(one.high), -2.0
                space[name] = replace(one, low=10 ** ((low + best) / 2), high=10 ** ((high + best) / 2))


def draw(store: Store, search: Search, kind: Kind, file: Path) -> str:
    """Draw one figure; what it took, or why it cannot be drawn, for the table."""
    stages = store.stages(search.name)
    began = time.perf_counter()
    try:
        figure = plots.plot(store, stages, Plan(kind), stage=stages[-1])
    except BadInput as refusal:
        return f"refused: {refusal}"
    built = time.perf_counter()
    figures.save(figure, file)
    return f"{built - began:.2f} + {time.perf_counter() - built:.2f}"


def side_by_side(found: Sequence[tuple[str, Path]], file: Path) -> None:
    """Put pictures into one, two in a row, each under its name."""
    pictures = [(name, Image.open(path).convert("RGB")) for name, path in found if path.exists()]
    scaled = [(name, one.resize((_WIDTH, one.height * _WIDTH // one.width))) for name, one in pictures]
    rows = [scaled[start : start + 2] for start in range(0, len(scaled), 2)]
    heights = [20 + max(one.height for _, one in row) for row in rows]
    sheet = Image.new("RGB", (2 * _WIDTH, sum(heights)), "white")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        for column, (name, one) in enumerate(row):
            ImageDraw.Draw(sheet).text((column * _WIDTH + 10, top + 4), name, fill="black")
            sheet.paste(one, (column * _WIDTH, top + 20))
        top += height
    sheet.save(file)


def main() -> None:
    """Draw everything, and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    took: dict[tuple[str, Kind], str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for search in SEARCHES:
            store = open_store(f"{folder}/{search.name}.db", create=True, write=True)
            fill(store, search)
            for kind in Kind:
                took[search.name, kind] = draw(store, search, kind, out / f"{search.name}-{kind}.png")
            store.close()
    for kind in Kind:
        side_by_side([(search.name, out / f"{search.name}-{kind}.png") for search in SEARCHES], out / f"{kind}.png")
    print("Seconds to build + to render, a process for each image:\n")
    print("| search | " + " | ".join(Kind) + " |")
    print("|---|" + "---|" * len(Kind))
    for search in SEARCHES:
        print(f"| {search.name} | " + " | ".join(took[search.name, kind] for kind in Kind) + " |")


if __name__ == "__main__":
    main()
