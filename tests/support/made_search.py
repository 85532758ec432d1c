"""What a report is made of, made up: stages with as many trials of each kind as asked, and a checklist of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from made_trials import made_trials

from hpsearch.records import Action, Sentence, Stage
from hpsearch.reports.figures import StageTrials
from hpsearch.reports.page import Page
from hpsearch.reports.report import Material
from hpsearch.search.best import BestTrial
from hpsearch.search.checklist import Checklist, Question
from hpsearch.search.next_step import NextStep, Step
from hpsearch.search.range_analysis import NarrowedRange
from hpsearch.space import Categorical, Float, Int, Parameter, Space
from hpsearch.statistics import Interval, wilson

LR = Float(1e-6, 1e-2, log=True)
DECAY = Float(1e-8, 1e-4, log=True)
SPACE: Mapping[str, Parameter] = {"lr": LR, "weight_decay": DECAY}
MIXED: Mapping[str, Parameter] = {
    **SPACE,
    "optimizer": Categorical(("sgd", "momentum", "adam")),
    "momentum": Float(0.5, 0.99),
    "batch_size": Int(20, 100, step=20),
    "batch_norm": Categorical((True, False)),
}
EXAMPLES = 100
STUDY_FILE: Mapping[str, Any] = {
    "name": "made",
    "data": {"name": "mnist-10k", "train": 400, "validation": EXAMPLES, "seed": 0},
    "network": {"hidden": [100, 100], "activation": "relu", "batch_norm": False},
    "training": {"optimizer": "sgd", "epochs": 50},
    "trials": {"count": 100, "seed": 7},
    "objective": {"metric": "validation_accuracy", "at": "last"},
}


def stage(number: int = 1, *, space: Space = SPACE, search: str = "made", **fields: Any) -> Stage:
    """A stage, narrowed from the one before."""
    plain: dict[str, Any] = {
        "direction": "maximize",
        "seed": 7,
        "study_file": STUDY_FILE,
        "parent": number - 1 or None,
        "rule": {"rule": {"top": 5, "expand": False}} if number > 1 else {},
        "trials_used": (3, 1, 4, 0, 2) if number > 1 else (),
        "fingerprint": "ab" * 32,
        "sizes": {"train": 400, "validation": EXAMPLES},
        "versions": {"hpsearch": "1.0", "numpy": "2.0"},
    }
    return Stage(search=search, number=number, space=space, study_id=number, **{**plain, **fields})


def trials(
    count: int,
    *,
    space: Space = SPACE,
    failed: int = 0,
    pruned: int = 0,
    running: int = 0,
    reason: str = "training loss became nan in epoch {}",
    seed: int = 0,
) -> pd.DataFrame:
    """Rows as `hpsearch.store.Store.trials` gives them; the last ones failed, were pruned or run."""
    frame = made_trials(count, space, pruned=pruned, failed=failed, running=running, seed=seed)
    states = frame["state"]
    reasons = [reason.format(place) if state == "FAIL" else None for place, state in enumerate(states)]
    times = pd.Series(pd.date_range("2026-01-02 03:04:05", periods=count, freq="s"))
    return frame.assign(
        validation_loss=2 - frame["score"],
        seconds=np.random.default_rng(seed).uniform(0.1, 0.2, count),
        reason=pd.Series(reasons, dtype=object),
        started=times,
        finished=times.where(states != "RUNNING"),
    )


def material(stages: Sequence[tuple[Stage, pd.DataFrame]], *, curves: int = 4, **changes: Any) -> Material:
    """The material of these stages, with a checklist as the last one with a score would give it, but for `changes`."""
    there = [StageTrials.of(one, frame) for one, frame in stages]
    scored = [one for one in there if len(one.complete)]
    found: dict[str, Any] = {"best": None, "ranges": {}}
    if scored:
        last = scored[-1]
        row = last.complete.iloc[0].to_dict()
        params = {name: row[f"param:{name}"] for name in last.stage.space}
        score, images = float(row["score"]), last.stage.sizes.get("validation")
        interval = wilson(round(score * images), images) if images else None
        corrected: tuple[Any, Any] = (score - 0.02, Interval(score - 0.1, score + 0.05)) if images else (None, None)
        of, number = last.stage, int(row["number"])
        tied = (1, 2) if len(last.complete) >= 5 else ()
        columns, ties = {"number": [number, *tied]}, (True,) * len(tied)
        found["best"] = BestTrial(
            of.name, number, score, interval, *corrected, params, images, of.metric, of, columns, ties
        )
        if tied:
            found["ranges"] = {
                name: NarrowedRange(one, one, 5, 0.001 * 10**place)
                for place, (name, one) in enumerate(last.stage.space.items())
                if place < 3
            }
    checklist = Checklist(
        **{
            "search": there[0].stage.search,
            "stage": (scored or there)[-1].stage.name,
            "top": 5,
            "questions": (question("lr matters (p = 0.001)"),) if scored else (),
            "next": next_step(),
            **found,
            **changes,
        }
    )
    rows = [] if not scored else [curve_row(n, scored[-1]) for n in range(min(curves, len(scored[-1].complete)))]
    return Material(there, checklist, rows, "studies/made.db")


def next_step(step: Step = "narrow") -> NextStep:
    """A next step that is to narrow, whatever it is called."""
    narrow = Action("narrow", {"top": 5})
    return NextStep(step, Sentence("next: {}", (narrow,)), (narrow,))


def question(*answers: str | Sentence) -> Question:
    """A question of the checklist with its answers."""
    said = tuple(Sentence(answer) if isinstance(answer, str) else answer for answer in answers)
    figure, action = Action("plot", {"kind": "parameters", "parameters": ["lr"]}), Action("start", {"trials": 200})
    return Question("effects", "Which hyperparameters matter?", "act", said, figure, action)


def section(page: Page, key: str) -> Any:
    """The one section of a key."""
    [section] = [section for section in page.sections if section.key == key]
    return section


def curve_row(place: int, one: StageTrials) -> dict[str, Any]:
    """A trial with its learning curves."""
    curve = (1 - np.exp(-np.arange(1, 51) / 10)) * (0.9 - 0.05 * place)
    row = {str(name): value for name, value in one.complete.iloc[place].to_dict().items()}
    return {**row, "train_accuracy": (curve + 0.05).tolist(), "validation_accuracy": curve.tolist()}


NARROWER: dict[str, Parameter] = {"lr": Float(1e-4, 1e-2, log=True), "weight_decay": SPACE["weight_decay"]}
THREE = [
    (stage(), trials(60)),
    (stage(2, space=NARROWER), trials(60, space=NARROWER, seed=1)),
    (stage(3, space=NARROWER), trials(40, space=NARROWER, seed=2, running=7)),
]
HOSTILE_NAME = '<a href="//x">lr</a> & <b>&lt;</b>\x1b[31m %{y}'
HOSTILE_LONG = "\u202e" + 9_999 * "L"  # written from right to left
_ODD: dict[str, Parameter] = {
    "<script>document.title='script'</script>": Float(0.0, 1.0),
    'x" onmouseover="document.title=2': Categorical(
        ("</script><script>document.title='choice'</script>", "<img src=x onerror=document.title=1>", "V" * 9_999)
    ),
    HOSTILE_NAME: Float(0.0, 1.0),
    HOSTILE_LONG: Float(0.0, 1.0),
}
_REASON = "<script>document.title='{}'</script> | [x](javascript:alert(1)) `a` *b* " + "R" * 9_999
_FILE = {**STUDY_FILE, "data": {"path": "<i>.npz"}, "objective": {"metric": "<a href='javascript:x()'>s</a> %{x}"}}
HOSTILE = [
    (
        stage(space=_ODD, search="<img src=x onerror=\"document.title='search'\">", study_file=_FILE),
        trials(40, space=_ODD, failed=5, reason=_REASON),
    )
]
