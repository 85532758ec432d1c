"""A search with everything in it that may travel: every kind of range, state and number, and names beyond ASCII."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from hpsearch import samplers
from hpsearch.records import NewStage, PastTrials
from hpsearch.space import Categorical, Float, Int, Space
from hpsearch.statistics.hits import pack
from hpsearch.store import Store

SPACE: Space = {
    "lr": Float(1e-6, 0.1 + 0.2, log=True, limit=(1e-9, 2.0)),
    "größe": Float(-1.5, 2.5),
    "batch_size": Int(20, 200, step=20),
    "units": Int(1, 512, log=True),
    "=aktivierung": Categorical(("relu", "=1+1", "'quoted", "", 'a,b\n"c"', "größe")),
    "mixed": Categorical((True, 2, 0.5, "true", "2", "-x")),
    "flag": Categorical((True, False)),
}
STATES = ("COMPLETE", "COMPLETE", "PRUNED", "COMPLETE", "FAIL", "COMPLETE")


def past(count: int, seed: int, space: Space = SPACE) -> PastTrials:
    """Trials in every state, the last one waiting, with odd numbers among their values."""
    rng = np.random.default_rng(seed)
    states = [STATES[n % len(STATES)] for n in range(count - 1)] + ["WAITING"]
    ended = [state != "WAITING" for state in states]
    began = datetime(2026, 1, 2, 3, 4, 5, 678_901)
    sampled = [samplers.values(space, seed=seed, number=n) if over else {} for n, over in enumerate(ended)]
    odd = [math.nan, math.inf, -math.inf, 5e-324, 0.1 + 0.2]
    points = [
        (n, s, odd[(n + s) % 9] if (n + s) % 9 < 5 else float(rng.random()))
        for n in range(count - 1)
        for s in (1, 2, 3)
    ]
    numbers, steps, values = zip(*points, strict=True)
    attributes: list[tuple[int, str, object]] = []
    for n, state in enumerate(states):
        if state == "WAITING":
            continue
        # Of some the loss is not known, and of some not a number; the best ones tie.
        losses = {0: None, 1: math.nan}
        loss = losses.get(n % 5, float(rng.random()))
        attributes += [] if loss is None else [(n, "validation_loss", loss)]
        attributes += [(n, "seconds", float(rng.random())), (n, "hits", pack(rng.random(30) < 0.5))]
        # Some have no curves beside their score's, some end sooner, and some go on without a score.
        kept = {"train_loss": [0.5, math.nan, math.inf], "validation_loss": [1.0, 2.0, 0.3, 0.1][: 1 + n % 4]}
        attributes += [] if n % 7 == 3 else [(n, "curves", kept)]
        attributes += [(n, "reason", "=cmd|' /C calc'!A0\nüber")] if state == "FAIL" else []
    scores = [round(float(score), 1) for score in rng.random(count)]
    return PastTrials(
        states=states,
        scores=[
            score if state in ("COMPLETE", "PRUNED") else None for score, state in zip(scores, states, strict=True)
        ],
        started=[began if over else None for over in ended],
        finished=[began + timedelta(seconds=n) if over else None for n, over in enumerate(ended)],
        params={name: [params.get(name) for params in sampled] for name in space},
        points=(np.array(numbers), np.array(steps), np.array(values)),
        attributes=attributes,
    )


def stage(number: int, **changes: Any) -> NewStage:
    """A stage with something in every field."""
    plain: dict[str, Any] = {
        "search": "reise",
        "number": number,
        "direction": "maximize",
        "seed": 2**40 + number,
        "space": SPACE,
        "study_file": {"name": "reise", "objective": {"metric": "validation_accuracy"}, "data": {"path": "größe.npz"}},
        "parent": number - 1 or None,
        "rule": {"top": 5, "sentences": ["größer"], "evidence": 0.1 + 0.2},
        "trials_used": (3, 1),
        "fingerprint": "ab12",
        "sizes": {"train": 60, "validation": 30},
        "versions": {"hpsearch": "0.1"},
    }
    return NewStage(**(plain | changes))


def fill(store: Store, count: int = 31) -> None:
    """Two stages of the search, the second with fewer choices, and a third without trials."""
    fewer = {**SPACE, "=aktivierung": Categorical(("=1+1", "größe")), "lr": Float(1e-3, 1e-2, log=True)}
    second = stage(2, space=fewer, direction="minimize")
    store.import_stages([(stage(1), past(count, 1)), (second, past(count, 2, fewer))])
    store.create_stage(stage(3, space=fewer))
