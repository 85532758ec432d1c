"""The recommended values: by all trials instead of the luckiest one, what retraining gives, and what is said of it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import made_stages
import numpy as np
import pytest

from hpsearch.records import FOLDS, STD_ERROR, Completed, Failed, Outcome, Stage, Trial
from hpsearch.search.best import overview
from hpsearch.search.confirmation import best_settings, settings_to_confirm
from hpsearch.search.recommendation import Recommendation, choose, recommend
from hpsearch.search.stage import confirmation_of
from hpsearch.space import Categorical, Float, Space, Value
from hpsearch.store import Store

LUCKY = 17  # a trial whose score is luck


def place(params: Mapping[str, Value]) -> float:
    """The learning rate on its transformed scale, less the best one."""
    return math.log10(made_stages.as_number(params["lr"])) + 2.5


def hill(number: int, params: Mapping[str, Value]) -> float:
    """An accuracy that is best at a learning rate of 10^-2.5, with luck."""
    return float(np.clip(0.88 - 0.15 * place(params) ** 2 + 0.02 * math.sin(7.1 * number), 0.1, 0.95))


def lucky(number: int, params: Mapping[str, Value]) -> float:
    """The same, but for one trial that is far from there and has the best score."""
    return 0.95 if number == LUCKY else hill(number, params)


def recommended(store: Store, *stages: Stage) -> Recommendation:
    of = recommend(store, stages)
    assert of is not None
    return of


@pytest.fixture
def searched(store: Store) -> Stage:
    return made_stages.make(store, lucky, trials=60)


def test_values_with_good_neighbours_are_recommended_not_the_luckiest_score(store: Store, searched: Stage) -> None:
    of = recommended(store, searched)
    assert (of.by, of.best, of.repeats) == ("trials", (searched.name, LUCKY), 1)
    assert of.trial != LUCKY
    assert abs(place(of.params)) < 0.4
    assert of.expected == pytest.approx(0.88, abs=0.03)
    assert of.interval is not None
    assert of.interval.low < 0.88 < of.interval.high
    words = " ".join(map(str, of.sentences))
    assert f"made/stage-01 trial {of.trial} is recommended" in words
    assert re.search(
        rf"stage-01 trial {LUCKY} has the best score, 0.95; by all trials, .* 0\.\d+ worse than these", words
    )
    assert "trained again, they are expected to reach validation accuracy 0.8" in words
    assert "confirm()" in words
    assert choose(store, [searched]).trial == of.trial
    assert choose(store, [searched], by="best").trial == LUCKY


def test_values_next_to_failures_are_not_recommended(store: Store) -> None:
    stage = made_stages.make(store, [], trials=0)

    def outcome(trial: Trial) -> Outcome:
        beyond = place(trial.params) + 0.5  # the score rises up to here, and behind nothing learns but one trial
        if beyond > 0 and trial.number != LUCKY:
            return Failed(trial.number, "the loss became nan")
        score = 0.95 if trial.number == LUCKY else round(max(0.9 + 0.2 * beyond, 0.1), 2)
        return Completed(trial.number, score, (score,), {})

    made_stages.finish(store, stage, 60, outcome)
    columns = store.columns(stage, numbers=(LUCKY,))
    assert place({"lr": columns["param:lr"][0]}) > -0.5  # it is there
    of = recommended(store, stage)
    assert of.trial != LUCKY
    assert place(of.params) < -0.5
    assert of.failure is not None
    assert of.failure < 0.3
    assert re.search(
        rf"trial {LUCKY} has the best score, 0.95; .* (worse than these|more likely to fail)", str(of.sentences)
    )


def test_of_few_trials_it_is_the_best_one(store: Store) -> None:
    assert recommend(store, [made_stages.make(store, [], trials=0, number=2)]) is None
    stage = made_stages.make(store, hill, trials=6)
    of = recommended(store, stage)
    assert (of.by, (of.stage, of.trial)) == ("best", of.best)
    assert of.expected < of.score  # corrected for selection
    assert "too few trials" in str(of.sentences[0])
    made_stages.confirm(store, stage, [0.7, 0.8])
    confirmed = recommended(store, stage)
    assert (confirmed.by, confirmed.repeats) == ("confirmed", 11)
    assert confirmed.trial != of.trial
    assert confirmed.expected == pytest.approx(0.8, abs=0.01)


def test_a_confirmation_decides_until_a_later_stage_is_better(store: Store, searched: Stage) -> None:
    settings = best_settings(store, searched, 3)
    made_stages.confirm(store, searched, [0.5, 0.84, 0.8])
    of = recommended(store, searched)
    assert (of.by, of.trial, of.repeats) == ("confirmed", settings[1].trial, 11)
    assert of.expected == pytest.approx(0.84, abs=0.02)
    assert of.params == settings[1].params
    later = made_stages.make(store, lambda number, params: hill(number, params) + 0.06, trials=40, number=2)
    both = recommended(store, searched, later)
    assert (both.by, both.stage) == ("trials", later.name)
    assert recommend(store, [searched, later], among=[searched]) == of or both.trials > of.trials


def test_the_settings_with_the_best_expected_and_the_best_own_scores_are_confirmed_whatever_the_repeats_say(
    store: Store, searched: Stage
) -> None:
    before = settings_to_confirm(store, [searched], searched, 5)
    assert len(before) == 5
    assert before[0].trial == recommended(store, searched).trial
    assert before[1].trial == LUCKY  # its neighbours may not see a narrow peak
    made_stages.confirm(store, searched, [0.5, 0.9], run=3)
    made_stages.make(store, hill, trials=20, number=2)
    stages = store.stages()
    assert settings_to_confirm(store, stages, stages[0], 5) == before
    assert [of.trial for of in settings_to_confirm(store, stages, stages[0], 60)][:5] == [of.trial for of in before]
    words = " ".join(map(str, recommended(store, stages[0]).sentences))
    assert "made/confirm-01 is not complete, 17 trials of it are left: confirm(stage=1, top=2)" in words


@pytest.mark.parametrize("known", ["folds", "nothing"])
def test_a_loss_is_expected_too(store: Store, known: str) -> None:
    stage = made_stages.make(store, [], trials=0, metric="validation_loss")

    def outcome(trial: Trial) -> Completed:
        loss = 1.2 - hill(trial.number, trial.params) - (0.2 if trial.number == LUCKY else 0)
        rng = np.random.default_rng(trial.number)
        folds = (loss + 0.01 * rng.normal(size=5) + np.linspace(-0.05, 0.05, 5)).tolist()
        kept = {FOLDS: folds} if known == "folds" else {}
        return Completed(trial.number, float(np.mean(folds)), (), kept)

    made_stages.finish(store, stage, 60, outcome)
    of = recommended(store, stage)
    assert of.trial != LUCKY
    assert of.expected == pytest.approx(0.32, abs=0.03)
    assert of.interval is not None
    assert of.interval.low < of.expected < of.interval.high
    assert of.covers == ("seeds and examples" if known == "folds" else "seeds")
    words = " ".join(map(str, of.sentences))
    assert ("other data are not covered" in words) == (known == "nothing")
    assert STD_ERROR not in words


def test_without_hits_the_interval_is_wider(store: Store) -> None:
    with_hits = recommended(store, made_stages.make(store, hill, trials=60))
    without = recommended(store, made_stages.make(store, hill, trials=60, number=2, hits=False))
    assert with_hits.interval is not None
    assert without.interval is not None
    assert without.interval.high - without.interval.low > 0.8 * (with_hits.interval.high - with_hits.interval.low)
    assert without.covers == "seeds and examples"


def test_spaces_that_differ_from_stage_to_stage_are_learned_from_together(store: Store) -> None:
    first = made_stages.make(store, hill, trials=40)
    narrow = {**made_stages.SPACE, "lr": Float(1e-3, 1e-2, log=True)}
    second = made_stages.make(store, hill, trials=40, number=2, space=narrow)
    of = recommended(store, first, second)
    assert of.trials == 80
    assert abs(place(of.params)) < 0.3


def test_a_search_with_nearly_no_error_is_expected_to_have_one_on_new_examples(store: Store) -> None:
    def easy(number: int, params: Mapping[str, Value]) -> float:
        return min(1.04 - 0.15 * place(params) ** 2 + 0.01 * math.sin(7.1 * number), 1.0)

    of = recommended(store, made_stages.make(store, easy, trials=60))
    assert of.score == 1
    assert of.expected <= 1
    assert of.interval is not None
    assert 0.94 < of.interval.low < 0.985
    assert of.interval.high <= 1
    assert of.covers == "seeds and examples"


def test_scores_on_folds_are_expected_within_what_they_can_be(store: Store) -> None:
    stage = made_stages.make(store, [], trials=0, metric="r2", images=0)

    def outcome(trial: Trial) -> Completed:
        score = min(1.04 - 0.15 * place(trial.params) ** 2, 1.0)
        return Completed(trial.number, score, (), {FOLDS: [score] * 5})

    made_stages.finish(store, stage, 60, outcome)
    of = recommended(store, stage)
    assert of.interval is not None
    assert of.expected <= of.interval.high <= 1


def test_a_confirmation_counts_whose_stage_is_too_poor_to_learn_from(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpsearch.search.surrogate.MOST", 10)
    first = made_stages.make(store, hill, trials=40)
    second = made_stages.make(store, [0.2, 0.21, 0.2, 0.2], trials=4, number=2)
    made_stages.confirm(store, second, [0.21, 0.2])
    of = recommended(store, first, second, made_stages.make(store, [0.3] * 4, trials=4, number=3))
    assert of.judged_by.startswith("judged by 30 of 68 trials (with 20 repeats; half of them evenly, ")
    assert of.stage in (first.name, second.name)
    assert recommend(store, store.stages(), among=[second]) is not None


@pytest.mark.parametrize("metric", ["validation_loss", "validation_accuracy"])
def test_of_equal_scores_no_spread_is_said(store: Store, metric: str) -> None:
    of = recommended(store, made_stages.make(store, [0.8] * 30, trials=30, metric=metric))
    assert of.seed_sd is None
    assert (of.interval is None) == (metric == "validation_loss")  # hits tell how many examples there were
    words = " ".join(map(str, of.sentences))
    assert "single trainings" not in words
    assert ("all scores are equal" in words) == (metric == "validation_loss")


def test_values_have_the_names_that_the_objective_knows(store: Store) -> None:
    ranges = {f"lr[{name}]": Float(1e-4, 1.0, log=True, when={"by": (name,)}) for name in "ab"}
    space: Space = {"by": Categorical(("a", "b")), **ranges}
    of = recommended(store, made_stages.make(store, made_stages.edgeless, trials=20, space=space))
    assert of.resolved_params.keys() == {"by", "lr"}


def test_more_trials_of_a_search_that_was_run_elsewhere_are_not_asked_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = made_stages.make(store, hill, trials=6)
    words = "from 10 trials with a score on, all trials are learned from: start()"
    assert [*map(str, recommended(store, stage).remarks)] == [words]
    monkeypatch.setattr("hpsearch.search.recommendation.kinds.foreign", lambda _: True)
    assert not recommended(store, stage).remarks


def test_after_a_confirmation_the_spread_over_seeds_is_that_of_its_repeats(store: Store) -> None:
    stage = made_stages.make(store, hill, trials=40)
    made_stages.confirm(store, stage, [0.86, 0.85, 0.84])
    of = recommended(store, stage)
    state = overview(store, confirmation_of(store, stage))
    scores = [[*setting.scores.values()] for setting in state.ranking]
    assert of.seed_sd == pytest.approx(math.sqrt(np.mean([np.var(each, ddof=1) for each in scores])))
    assert any(words.startswith("repeats on the same examples differ by") for words in of.outlook)
