"""How much each hyperparameter mattered, by PED-ANOVA over rows of trials.

Watanabe, Bansal and Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces"
(IJCAI 2023), and its conditional form (KDD 2026), both as Optuna has them: no further library is needed. It compares
where the best trials lie with where all trials lie, so it goes by ranks alone, and trials that failed or were stopped
early count as what they are: no good.
"""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hpsearch.errors import BadInput
from hpsearch.objectives.network.hyperparameters import uses
from hpsearch.space import Categorical, to_distribution
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import optuna
    import pandas as pd

    from hpsearch.records import Direction
    from hpsearch.space import Parameter, Space

LEAST = 10
"""Of fewer trials nothing is said."""
FEW = 50
"""Of fewer trials less than five are among the best tenth, the least that the method is good for."""
SHUFFLES = 59
_FINISHED = ("COMPLETE", "PRUNED", "FAIL")
_MOST_ROWS = 1_000
"""Of more trials an even share by rank: more precision than this is of no use to anybody."""


@dataclass(frozen=True, slots=True)
class Importance:
    """How much each hyperparameter mattered.

    Args:
        shares: Of each hyperparameter its share of the whole importance, the largest first; they sum to 1, or are all
            0 where nothing mattered.
        chance: A mark for each: where nothing matters, any of the shares passes its mark in one of twenty searches.
        trials: How many trials it rests on.
        best: How many of them are called the best.
        left_out: Hyperparameters that cannot be judged, with the reason.
        notes: What a reader must know, a sentence each.
    """

    shares: Mapping[str, float]
    chance: Mapping[str, float]
    trials: int
    best: int
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def above_chance(self) -> tuple[str, ...]:
        """Those that mattered more than chance would have it, the most important first."""
        return tuple(name for name, share in self.shares.items() if share > self.chance[name])


def importance(
    frame: pd.DataFrame,
    space: Space,
    *,
    direction: Direction = "maximize",
    settings: Mapping[str, Any] | None = None,
) -> Importance:
    """How much each hyperparameter mattered for being among the best trials of a stage.

    The same rows give the same numbers, whatever their order.

    Args:
        frame: Rows of `hpsearch.store.Store.trials`: number, state, score, ``param:<name>`` of each parameter.
        space: The stage's ranges.
        direction: ``maximize`` or ``minimize``.
        settings: The values of hyperparameters that are not drawn; they decide which trials use a hyperparameter. None:
            all trials use all, as of trials that were run elsewhere.

    Raises:
        BadInput: A column is missing.
    """
    for column in ("number", "state", "score", *(f"param:{name}" for name in space)):
        if column not in frame:
            raise BadInput(f"the trials have no column {column!r}")
    rows = _ranked(frame, direction)
    complete = int((rows["state"] == "COMPLETE").sum())
    left_out = {name: "only one value" for name, parameter in space.items() if _constant(parameter)}
    if len(rows) < LEAST or complete < 2:
        few = counted(len(rows), "finished trial")
        if complete != len(rows):
            few += f", {complete or 'none'} of them complete"
        return Importance({}, {}, len(rows), 0, left_out, (f"{few}: too few to say which hyperparameter mattered",))
    trials, drawn = _trials(rows, space, settings)
    left_out |= {name: "no trial uses it" for name in space if name not in left_out and not drawn.get(name)}
    names = [name for name in space if name not in left_out]
    quantile = min(0.5, max(0.1, 5 / len(rows)))
    best = max(1, round(quantile * len(rows)))
    if not names:
        return Importance({}, {}, len(rows), best, left_out, ("there was only one value of everything",))
    if len({trial.value for trial in trials}) == 1:
        return Importance({}, {}, len(rows), best, left_out, ("all trials have the same score",))
    raw, shuffled = _evaluated(trials, names, quantile)
    whole = sum(raw.values())
    if not whole:
        return Importance(
            dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0), len(rows), best, left_out, ("nothing mattered",)
        )
    order = sorted(names, key=lambda name: (-raw[name], names.index(name)))
    shares = {name: raw[name] / whole for name in order}
    chance = {name: mark / whole for name, mark in _marks(raw, shuffled, order).items()}
    found = Importance(shares, chance, len(rows), best, left_out)
    finished = int(frame["state"].isin(_FINISHED).sum())
    return Importance(shares, chance, len(rows), best, left_out, _notes(found, finished))


def _marks(raw: Mapping[str, float], shuffled: Sequence[Mapping[str, float]], names: Sequence[str]) -> dict[str, float]:
    """What chance reaches: a multiple of each one's mean, the same of all.

    In one of twenty shuffles, as in a permutation test, some share passes its mark: the more hyperparameters there
    are, the higher the marks.
    """
    import numpy as np

    # What was found is one of the shuffles that might have been; only with it in the mean is the test exact.
    found = np.array([[one[name] for name in names] for one in (raw, *shuffled)])  # (1 + shuffles, names)
    mean = found.mean(axis=0)
    ratios = np.divide(found, mean, out=np.zeros_like(found), where=mean > 0).max(axis=1)[1:]
    passed = (len(shuffled) + 1) // 20
    return dict(zip(names, (mean * np.sort(ratios)[-passed]).tolist(), strict=True))


def _notes(found: Importance, finished: int) -> tuple[str, ...]:
    notes = []
    if found.trials < finished:
        notes.append(f"of an even sample of {found.trials:,} of {finished:,} trials")
    if found.trials < FEW:
        notes.append(f"only {found.trials} trials: shares move a lot from one search to the next")
    if len(found.shares) == 1:
        notes.append("the only hyperparameter: its share is the whole")
    if not found.above_chance:
        notes.append("no hyperparameter mattered more than chance would have it")
    return tuple(notes)


def _constant(parameter: Parameter) -> bool:
    if isinstance(parameter, Categorical):
        return len(parameter.choices) == 1
    return parameter.low == parameter.high


def _ranked(frame: pd.DataFrame, direction: Direction) -> pd.DataFrame:
    """Finished trials by number, with a ``rank`` that is lower for better; equal scores have equal ranks.

    What did not run to its end ranks behind what did.
    """
    import numpy as np

    finished = frame[frame["state"].isin(_FINISHED)].sort_values("number", kind="stable")
    score = finished["score"].astype(float)
    ran = (finished["state"] == "COMPLETE") & np.isfinite(score)
    rank = score.where(ran).rank(ascending=direction == "minimize", method="min")
    rows = finished.assign(rank=rank.fillna(len(finished) + 1.0))
    if len(rows) <= _MOST_ROWS:
        return rows
    by_rank = rows.sort_values(["rank", "number"])
    return by_rank.iloc[np.linspace(0, len(rows) - 1, _MOST_ROWS).round().astype(int)].sort_values("number")


def _trials(
    rows: pd.DataFrame, space: Space, settings: Mapping[str, Any] | None
) -> tuple[list[optuna.trial.FrozenTrial], dict[str, int]]:
    """Optuna's trials with the rank as their value and only the hyperparameters that each uses; how many use each."""
    import optuna

    distributions = {name: to_distribution(parameter) for name, parameter in space.items()}
    counts = dict.fromkeys(space, 0)
    trials = []
    columns = [rows[f"param:{name}"].tolist() for name in space]
    for rank, *values in zip(rows["rank"].tolist(), *columns, strict=True):
        params = {
            name: value for name, value in zip(space, values, strict=True) if value is not None and value == value
        }
        used = {name: value for name, value in params.items() if settings is None or uses(name, {**settings, **params})}
        for name in used:
            counts[name] += 1
        kinds = {name: distributions[name] for name in used}
        try:
            trials.append(optuna.trial.create_trial(params=used, distributions=kinds, value=rank))
        except ValueError as error:
            raise BadInput(f"trials of other ranges than those given: {error}") from error
    return trials, counts


def _evaluated(
    trials: Sequence[optuna.trial.FrozenTrial], names: list[str], quantile: float
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """The importances, and those of the same trials with their ranks shuffled, again and again."""
    import numpy as np
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    with _quiet():
        evaluator = PedAnovaImportanceEvaluator(target_quantile=quantile)
        study = optuna.create_study(direction="minimize")
        study.add_trials(trials)
        raw = get_param_importances(study, evaluator=evaluator, params=names, normalize=False)
        ranks = np.array([trial.value for trial in trials])
        rng = np.random.default_rng(0)
        shuffled = []
        for _ in range(SHUFFLES):
            mixed = rng.permutation(ranks)
            shuffled.append(
                get_param_importances(
                    study,
                    evaluator=evaluator,
                    params=names,
                    normalize=False,
                    target=lambda trial, mixed=mixed: float(mixed[trial.number]),  # type: ignore[misc]
                )
            )
    return raw, shuffled


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's notes about a study in memory, and its warnings of few trials: the note says it better."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)
