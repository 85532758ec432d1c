"""Signs in learning curves: of stages in a database, in words, and as often right as the manual says."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from curve_alarms import SCENARIOS, rates
from made_stages import finish

from hpsearch.objectives.kinds import KINDS
from hpsearch.records import CURVES, VALIDATION_LOSS, Completed, Direction, Outcome, Stage, Trial
from hpsearch.search.curve_analysis import BEST, CurveSigns, analyse, curve_signs, sentences
from hpsearch.space import Float
from hpsearch.store import NewStage, Store

REMEDIES = KINDS["network"].remedies


def stage_of(
    store: Store,
    shape: Sequence[float],
    *,
    trials: int = 60,
    rise: Mapping[str, float] | None = None,
    metric: str = "validation_accuracy",
    number: int = 1,
) -> Stage:
    """A stage whose curves approach 0.9 (accuracy) and 0.1 (losses) by a shape from 1 to 0; `rise` is of the losses."""
    sign = 1 if metric == "validation_accuracy" else -1
    file = {"name": "made", "objective": {"metric": metric}}
    direction: Direction = "maximize" if sign == 1 else "minimize"
    sizes = {"validation": 100}
    space = {"lr": Float(1e-4, 1.0, log=True)}
    stage = store.create_stage(NewStage("made", number, direction, 7, space, file, fingerprint="x", sizes=sizes))
    x = np.linspace(0, 1, len(shape))

    def outcome(trial: Trial) -> Outcome:
        rng = np.random.default_rng(trial.number)
        level = 0.001 * trial.number
        loss = np.array(shape) + 0.1 + level
        kept = {
            name: (loss + rise_ * np.maximum(0, x - 0.5) + rng.normal(0, 0.002, len(x))).tolist()
            for name, rise_ in {VALIDATION_LOSS: 0.0, "train_loss": 0.0, **(rise or {})}.items()
        }
        score = 1 - loss + rng.normal(0, 0.002, len(x)) if sign == 1 else np.array(kept.pop(VALIDATION_LOSS))
        return Completed(trial.number, float(score[-1]), tuple(score.tolist()), {CURVES: kept, VALIDATION_LOSS: level})

    finish(store, stage, trials, outcome)
    return stage


def approach(epochs: int, rate: float) -> list[float]:
    return [math.exp(-rate * epoch / epochs) for epoch in range(epochs)]


def words(of: CurveSigns | None) -> list[str]:
    assert of is not None
    return list(sentences(of, REMEDIES))


def test_curves_that_end_too_soon(store: Store) -> None:
    of = curve_signs(store, stage_of(store, approach(40, 2)), error=0.01)
    assert of is not None
    assert (of.signs, of.epochs, of.best, of.trials) == (("improving",), 40, 12, 60)
    first, *_, last = words(of)
    assert first.startswith("the scores of the best 12 trials still improve at the end: the last quarter of 40 epochs")
    assert first.endswith(REMEDIES["improving"])
    brought = re.search(r"brought (\S+) on average", first)
    assert brought is not None
    assert float(brought[1]) == pytest.approx(math.exp(-1.4) - math.exp(-1.9), abs=0.03)
    assert re.fullmatch(r"the best epoch of the best 12 trials is \d+ of 40 at the median, .*", last)
    assert of.best_epochs[1] >= 37


def test_curves_that_end_too_late(store: Store) -> None:
    of = curve_signs(store, stage_of(store, approach(40, 25)), error=0.01)
    assert of is not None
    assert of.signs == ("saturated",)
    assert "have settled long before the end: the last half of 40 epochs brought" in words(of)[0]


def test_overfitting_is_seen_in_the_loss_whatever_is_scored(store: Store) -> None:
    stage = stage_of(store, approach(40, 8), rise={VALIDATION_LOSS: 0.4})
    of = curve_signs(store, stage, error=0.01)
    assert of is not None
    assert (of.overfitting, of.unstable) == ((12, 60), (0, 0))
    assert words(of)[0].startswith("12 of the best 12 trials overfit (60 of all 60): their validation loss rises ")
    assert of.overfits_from == pytest.approx(20, abs=2)
    stage = stage_of(store, approach(40, 8), rise={VALIDATION_LOSS: 0.4}, metric="validation_loss", number=2)
    of = curve_signs(store, stage)
    assert of is not None
    assert "overfitting" in of.signs


def test_a_training_loss_that_rises_is_no_overfitting(store: Store) -> None:
    rise = {VALIDATION_LOSS: 0.4, "train_loss": 0.4}
    of = curve_signs(store, stage_of(store, approach(40, 8), rise=rise), error=0.01)
    assert of is not None
    assert (of.unstable, of.overfitting[0]) == ((12, 60), 0)
    assert "unstable" in of.signs
    assert words(of)[0].startswith("the training loss of 12 of the best 12 trials rises at the end (60 of all 60): ")


def test_where_training_goes_astray_nothing_is_said_of_overfitting() -> None:
    rng, x = np.random.default_rng(5), np.linspace(0, 1, 40)
    losses = np.exp(-8 * x) + 0.4 * np.maximum(0, x - 0.5) + rng.normal(0, 0.002, (12, 40))
    training = np.exp(-8 * x) + rng.normal(0, 0.002, (12, 40))
    training[:10] += 0.4 * np.maximum(0, x - 0.5)
    of = analyse(losses, np.ones(12, dtype=bool), losses=losses, training=training)
    assert (of.unstable[0], of.overfitting[0]) == (10, 2)
    assert [sign for sign in of.signs if sign in ("unstable", "overfitting")] == ["unstable"]


def test_scores_that_move_more_than_trials_can_be_told_apart(store: Store) -> None:
    stage = stage_of(store, approach(40, 8))
    steady, unsteady = curve_signs(store, stage, error=0.01), curve_signs(store, stage, error=0.0005)
    assert steady is not None
    assert "unsteady" not in steady.signs
    assert unsteady is not None
    assert "unsteady" in unsteady.signs
    assert any("from epoch to epoch at the end, more than the 0.0005 by which" in text for text in words(unsteady))


def test_too_short_and_too_few_curves_say_nothing(store: Store) -> None:
    assert curve_signs(store, stage_of(store, approach(4, 8))) is None
    assert curve_signs(store, stage_of(store, approach(40, 8), trials=2, number=2)) is None


def test_short_curves_tell_whether_training_should_go_on_and_no_more(store: Store) -> None:
    of = curve_signs(store, stage_of(store, approach(8, 2), rise={"train_loss": 0.4}), error=0.0005)
    assert of is not None
    assert of.signs == ("improving",)
    assert "curves of 8 epochs do not tell of overfitting and unsteady training: 15 or more do" in words(of)
    for name, improving in (("still improving", 1), ("learned by half of the epochs", 0)):
        found = rates(SCENARIOS[name], 6, 0.3, searches=40, seed=1)
        assert found.pop("improving") == pytest.approx(improving, abs=0.05)
        assert max(found.values()) == 0


def test_of_many_trials_the_best_twenty_and_some_of_the_others_are_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpsearch.search.curve_analysis._MOST", 30)
    of = curve_signs(store, stage_of(store, approach(20, 8), trials=130))
    assert of is not None
    assert (of.best, of.trials) == (BEST, BEST + 28)


def test_every_kind_has_a_remedy_for_every_sign() -> None:
    assert {frozenset(kind.remedies) for kind in KINDS.values()} == {frozenset(REMEDIES)}


@pytest.mark.parametrize("name", SCENARIOS)
def test_signs_are_found_where_they_are_planted_and_nowhere_else(name: str) -> None:
    of = SCENARIOS[name]
    found = rates(of, 50, 0.3, searches=40, seed=1)
    assert {sign for sign in of.planted if found[sign] < 0.95} == set()
    assert {sign for sign in of.absent if found[sign] > 0.05} == set()
