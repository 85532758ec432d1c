"""Comparisons: what is recommended over made stages, and the baseline that the database keeps."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import made_stages
import numpy as np
import pytest

from hpsearch.errors import BadInput, NotEnoughTrials, UnknownSearch
from hpsearch.records import Action, Failed, Stage
from hpsearch.search.baseline import baseline_of, known_baseline, set_baseline
from hpsearch.search.comparison import Comparison, Entrant, _costs, _remarks, against_baseline, compare
from hpsearch.search.confirmation import best_settings, planned, settings_to_confirm
from hpsearch.store import Store


def bowl(top: float) -> Any:
    """Accuracies of trials, by their numbers: most well below the best."""
    return lambda number, params: top - 0.2 * float(np.random.default_rng(number).random())


def entrant(store: Store, stage: Stage, trial: int | None = None) -> Entrant:
    return Entrant(store, stage.name, [stage], trial)


def decided(
    store: Store, tops: tuple[float, float], means: tuple[float | None, ...] = (), **options: Any
) -> Comparison:
    """Stage 2 against stage 1, whose best accuracies and, where these are given, confirmed means are so."""
    stages = [made_stages.make(store, bowl(top), number=n, images=400, **options) for n, top in enumerate(tops, 1)]
    for stage, mean in zip(stages, means, strict=False):
        if mean is not None:
            made_stages.confirm(store, stage, [mean, mean - 0.01], repeats=6)
    return compare(entrant(store, stages[0]), entrant(store, stages[1]))


def test_confirmed_values_that_are_better_beyond_their_repeats_are_adopted(store: Store) -> None:
    made = decided(store, (0.9, 0.9), (0.85, 0.88))
    assert made.verdict == "adopt"
    assert made.retrained is not None
    assert made.retrained.mean == pytest.approx(0.03, abs=0.003)
    assert 0 < made.retrained.interval.low < 0.03 < made.retrained.interval.high
    first, second, *_ = map(str, made.sentences)
    assert first.startswith(f"adopt the values of B ({made.b.values}): better by 0.03 (95 % interval ")
    assert second.startswith(
        f"trained again, {made.a.values} has a mean validation_accuracy of 0.8493 over 6 repeats, "
    )
    assert second.endswith("over other seeds; it allows for the choice among 2 settings")


def test_confirmed_values_decide_whatever_single_scores_are(store: Store) -> None:
    made = decided(store, (0.8, 0.95), (0.88, 0.85))
    assert made.verdict == "keep"
    assert made.searched is not None
    assert made.searched.interval.low > 0
    assert str(made.sentences[0]).startswith(f"keep A: the values of B ({made.b.values}) are worse by 0.03 (")


def test_a_small_gain_may_be_chance_and_more_repeats_would_tell(store: Store) -> None:
    made = decided(store, (0.9, 0.9), (0.85, 0.852))
    assert made.verdict == "undecided"
    assert str(made.sentences[0]).startswith(f"keep A for now: the values of B ({made.b.values}) are better by 0.00")
    assert re.search(
        r"(\d+) repeats of both would tell \(confirm\(stage=1, repeats=\1\) and confirm\(stage=2, repeats=\1\)\)",
        str(made),
    )
    assert made.action is not None
    assert made.action.arguments["repeats"] > 6


@pytest.mark.parametrize(
    ("tops", "verdict"), [((0.8, 0.95), "adopt"), ((0.9, 0.9), "undecided"), ((0.95, 0.8), "keep")]
)
@pytest.mark.parametrize("hits", [True, False])
def test_without_confirmations_the_searches_compare(
    store: Store, tops: tuple[float, float], verdict: str, hits: bool
) -> None:
    made = decided(store, tops, hits=hits)
    assert (made.verdict, made.retrained) == (verdict, None)
    assert made.searched is not None
    assert made.searched.covers == ("trials and examples" if hits else "trials")
    if verdict == "undecided":
        assert str(made.sentences[0]).endswith("; confirm(stage=1) trains the best of A again with other seeds")
        assert str(made.sentences[1]).endswith("; chance may explain that")


@pytest.mark.parametrize(("top", "keep"), [(0.88, "keep A for now"), (0.8, "keep A")])
def test_what_is_worse_is_said_to_be_worse(store: Store, top: float, keep: str) -> None:
    made = decided(store, (0.9, top))
    assert made.searched is not None
    assert made.searched.mean < 0
    words = "the best single score of B is expected to be worse by 0."
    assert str(made.sentences[0]).startswith(f"{keep}: {words}")
    assert str(made.sentences[1]).startswith(words)


def test_a_few_repeats_are_too_few_to_compare(store: Store) -> None:
    stages = [made_stages.make(store, bowl(0.9), number=n, images=400) for n in (1, 2)]
    for stage, mean in zip(stages, (0.8, 0.9), strict=True):
        made_stages.confirm(store, stage, [mean], repeats=3)
    made = compare(entrant(store, stages[0]), entrant(store, stages[1]))
    assert (made.verdict, made.retrained) == ("undecided", None)


def test_a_confirmation_that_has_only_begun_decides_nothing(store: Store) -> None:
    first, second = (made_stages.make(store, bowl(top), number=n, images=400) for n, top in ((1, 0.8), (2, 0.95)))
    planned(store, second, best_settings(store, second, 2), 6)
    made = compare(entrant(store, first), entrant(store, second))
    assert (made.verdict, made.retrained, made.b.repeats) == ("adopt", None, 0)


def test_a_search_of_several_stages_is_as_good_as_the_best_of_them(store: Store) -> None:
    one, two, three = (
        made_stages.make(store, bowl(top), number=n, images=400) for n, top in enumerate((0.8, 0.8, 0.95), 1)
    )
    both = Entrant(store, "made", [two, three])
    made = compare(entrant(store, one), both)
    assert made.verdict == "adopt"
    assert made.searched is not None
    assert made.searched.mean == pytest.approx(0.15, abs=0.01)


def test_lower_is_better_of_a_loss(store: Store) -> None:
    assert decided(store, (0.8, 0.95), metric="validation_loss").verdict == "adopt"


def test_noise_is_seldom_adopted(store: Store) -> None:
    """Of stages whose trials are all equally good, on the same examples, each against the one before."""
    scores = np.random.default_rng(0).binomial(100, 0.85, (13, 40)) / 100
    stages = [made_stages.make(store, list(of), number=n, trials=40, shared=0.5) for n, of in enumerate(scores, 1)]
    verdicts = [compare(entrant(store, a), entrant(store, b)).verdict for a, b in pairwise(stages)]
    assert verdicts.count("adopt") <= 1


def test_nothing_is_recommended_on_other_data(store: Store) -> None:
    stages = [made_stages.make(store, bowl(top), number=n) for n, top in ((1, 0.7), (2, 0.95))]
    other = replace(stages[1], fingerprint="others")
    made = compare(entrant(store, stages[0]), entrant(store, other))
    assert (made.verdict, made.retrained, made.searched) == ("undecided", None, None)
    assert str(made).startswith("no recommendation: the data differ (")


def test_a_baseline_is_kept_for_its_data_and_metric(store: Store) -> None:
    first = made_stages.make(store, bowl(0.9))
    assert baseline_of(store, [first]) is None
    assert against_baseline(store, [first]) is None
    with pytest.raises(UnknownSearch, match="no baseline for the data and metric of made; `baseline set"):
        known_baseline(store, [first])
    set_baseline(store, [first], 1, 3)
    second = made_stages.make(store, bowl(0.95), number=2)
    loss = made_stages.make(store, bowl(0.95), number=3, metric="validation_loss")
    assert baseline_of(store, [loss]) is None
    of_loss = set_baseline(store, [loss], 3, 0)
    assert set_baseline(store, [first, second], 2, 5).name == "made/stage-02/5"
    for number, trial in ((2, 7), (1, 4)):  # each takes the place of the one before
        latest = set_baseline(store, [first, second], number, trial)
        assert baseline_of(store, [first]) == baseline_of(store, [second]) == latest
    assert baseline_of(store, [loss]) == of_loss


def test_a_baseline_is_a_trial_with_a_score(store: Store) -> None:
    stage = made_stages.make(store, bowl(0.9), trials=4)
    with pytest.raises(BadInput, match="made/stage-01 has no trial 9 with a score; "):
        set_baseline(store, [stage], 1, 9)
    assert baseline_of(store, [stage]) is None


def test_a_search_is_weighed_against_its_baseline(store: Store) -> None:
    first = made_stages.make(store, bowl(0.9), images=400)
    made_stages.confirm(store, first, [0.85, 0.84])
    best = store.columns(first, top=2)["number"]
    set_baseline(store, [first], 1, best[0])
    same = against_baseline(store, [first])
    assert same is not None
    assert (same.verdict, str(same)) == ("keep", "keep the baseline: this search comes to the same values")
    second = made_stages.make(store, bowl(0.9), number=2, images=400)
    single = against_baseline(store, [second])
    assert single is not None
    assert (single.verdict, single.searched) == ("undecided", None)  # one trial is no search
    assert str(single.sentences[0]).startswith("keep the baseline for now: its values and those of this search ")
    assert "have not both been confirmed; confirm(stage=2) trains the best of this search again" in str(single)
    made_stages.confirm(store, second, [0.88, 0.87])
    better = against_baseline(store, [second])
    assert better is not None
    assert better.verdict == "adopt"
    assert better.a.values == f"made/stage-01/{best[0]}"
    assert better.action == Action("baseline set", {"search": better.b.values, "storage": store.where})


def test_a_baseline_without_repeats_of_its_own_decides_nothing(store: Store) -> None:
    first = made_stages.make(store, bowl(0.9), images=400)
    worst = store.columns(first, top=9)["number"][-1]
    set_baseline(store, [first], 1, worst)
    second = made_stages.make(store, bowl(0.99), number=2, images=400)
    made_stages.confirm(store, second, [0.95, 0.94])
    made = against_baseline(store, [second])
    assert made is not None
    assert made.verdict == "undecided"
    assert f"confirm(stage=1) trains made/stage-01/{worst} again" in str(made)
    assert settings_to_confirm(store, [first], first, 1)[0].trial == worst  # so it does


def test_no_confirmation_is_offered_that_would_train_other_values(store: Store) -> None:
    first, second = (made_stages.make(store, bowl(0.9), number=n, images=400) for n in (1, 2))
    made_stages.confirm(store, second, [0.88, 0.87])
    ranked = store.columns(first, top=50)["number"]
    for trial, offered in ((ranked[0], True), (ranked[-1], False)):
        made = compare(entrant(store, first, trial), entrant(store, second))
        assert made.action is not None
        assert ("confirm(stage=1)" in str(made)) == offered == (made.action.kind == "confirm")
        assert ("; baseline set(" in str(made)) == (not offered)
    set_baseline(store, [first], 1, ranked[-1])
    made = compare(entrant(store, first, ranked[-1]), entrant(store, second))
    assert "confirm(stage=1)" in str(made)


def test_a_baseline_whose_repeats_all_failed_is_not_confirmed_again(store: Store) -> None:
    first = made_stages.make(store, bowl(0.9), images=400)
    best = store.columns(first, top=1)["number"][0]
    set_baseline(store, [first], 1, best)
    plan = planned(store, first, settings_to_confirm(store, [first], first, 1), 10)
    made_stages.finish(store, plan, 10, lambda trial: Failed(trial.number, "boom"))
    second = made_stages.make(store, bowl(0.9), number=2, images=400)
    made_stages.confirm(store, second, [0.88, 0.87])
    made = against_baseline(store, [second])
    assert made is not None
    assert (made.verdict, made.action) == ("undecided", None)
    assert str(made).endswith(f"as 10 repeats of made/stage-01/{best} failed: see why first")


def test_of_a_few_trials_all_are_to_be_confirmed(store: Store) -> None:
    first, second = (made_stages.make(store, bowl(0.9), number=n, trials=4) for n in (1, 2))
    for trial in (None, 2):
        made = compare(entrant(store, first, trial), entrant(store, second))
        assert made.action is not None
        assert (made.action.kind, made.action.arguments["top"]) == ("confirm", 4)


def test_seconds_that_cost_nothing_are_not_named() -> None:
    assert _costs({"seconds a trial": (0.001, 0.01)}) == ("", "")
    assert _costs({"seconds a trial": (1.0, 2.0)}) == ("2 times the seconds a trial (2 s)", "")


def test_without_trials_there_is_nothing_to_compare(store: Store) -> None:
    stages = [made_stages.make(store, [], trials=0, number=n) for n in (1, 2)]
    with pytest.raises(NotEnoughTrials):
        compare(entrant(store, stages[0]), entrant(store, stages[1]))


def test_data_that_are_not_known_make_searches_doubtful_and_not_stages_of_one(store: Store) -> None:
    first, second = (replace(made_stages.make(store, bowl(0.9), number=n), fingerprint="") for n in (1, 2))
    made = compare(entrant(store, first), entrant(store, second))
    assert made.remarks == ()
    other = replace(made.b, stage=replace(second, search="other"))
    assert [*_remarks(made.a, other)] == ["the data of A and B are not known, so a difference may be the data's"]
