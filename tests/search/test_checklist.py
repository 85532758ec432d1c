"""The checklist: what follows from the trials, which figure counts, and what is left to do."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import made_stages
import pytest
from made_stages import as_number, edgeless

from hpsearch.api import Search
from hpsearch.errors import BadInput, EvaluatedAlready, UnknownSearch
from hpsearch.records import Action, Completed
from hpsearch.search import results
from hpsearch.search.baseline import set_baseline
from hpsearch.search.checklist import Checklist, Question, _effects, _width, checklist
from hpsearch.search.comparison import against_baseline
from hpsearch.search.confirmation import best_settings
from hpsearch.search.evaluation import prepare
from hpsearch.search.narrowing import NextStage, narrow_stage, strongest_evidence
from hpsearch.search.next_step import next_step
from hpsearch.search.recommendation import choose
from hpsearch.search.results import Results
from hpsearch.search.stage import made_from, resolve_stage
from hpsearch.serialization import to_plain
from hpsearch.space import Categorical, Float, Space, Value
from hpsearch.store import Store
from hpsearch.wording import word


def rising(number: int, params: Mapping[str, Value]) -> float:
    """Better with every decade of the learning rate, up to the upper bound and beyond it."""
    return 0.5 + 0.1 * (math.log10(as_number(params["lr"])) + 4)


def humped(number: int, params: Mapping[str, Value]) -> float:
    """Best in the middle of the learning rate's range."""
    return 0.9 - 0.15 * (math.log10(as_number(params["lr"])) + 2) ** 2


def advice(seen: Checklist) -> list[str]:
    return list(map(str, seen.advice))


def actions(seen: Checklist) -> list[str]:
    return list(map(str, seen.next.actions))


def has(seen: Checklist, words: str) -> bool:
    return any(words in sentence for sentence in advice(seen))


def asked(seen: Checklist, key: str) -> Question:
    (question,) = [question for question in seen.questions if question.key == key]
    return question


def test_before_any_trial_the_advice_is_to_run_them(store: Store) -> None:
    seen = checklist(store, [made_stages.make(store, [], trials=0)])
    assert (seen.best, seen.ranges) == (None, {})
    assert advice(seen) == ["next: run trials, as none has a score yet (start())"]
    assert (seen.next.step, actions(seen), seen.search, seen.stage) == ("start", ["start()"], "made", "made/stage-01")
    start = f"hpsearch start made --storage {store.where}"
    step = {"step": "start", "sentence": f"next: run trials, as none has a score yet ({start})", "actions": [start]}
    assert to_plain(seen, word=word)["next"] == step


def test_of_an_only_trial_nobody_knows_how_good_it_is(store: Store) -> None:
    result = asked(checklist(store, [made_stages.make(store, humped, trials=1, images=400)]), "result")
    assert (result.verdict, result.action) == ("unknown", None)


def test_an_edge_is_to_be_widened_and_the_action_that_does_it_comes_last(store: Store) -> None:
    seen = checklist(store, [made_stages.make(store, rising, images=400)])
    lr = seen.ranges["lr"]
    assert [edge.side for edge in lr.edges] == ["high"]
    assert isinstance(lr.after, Float)
    assert isinstance(lr.widened, Float)
    assert lr.after.high <= 1.0 < lr.widened.high
    width = asked(seen, "ranges")
    (edge,) = map(str, width.answers)
    assert edge.startswith("the best lr lies at the upper edge, 1, and the score still gets better towards it")
    assert edge.endswith("(narrow(top=5, expand=True))")
    assert (width.verdict, str(width.action)) == ("act", "narrow(top=5, expand=True)")
    assert str(width.figure) == "plot(kind='parameters', parameters=['lr'])"
    assert advice(seen)[-1] == "next: narrow(top=5, expand=True), then start()"
    assert (actions(seen), seen.next.step) == (["narrow(top=5, expand=True)", "start()"], "expand")
    # The range that is advised is the one of that action.
    assert lr.advised == lr.widened
    assert seen.ranges["weight_decay"].advised == seen.ranges["weight_decay"].after
    assert has(seen, "weight_decay shows no effect of its own in ")


def test_a_choice_without_an_effect_of_its_own_may_change_which_values_of_another_are_good(store: Store) -> None:
    def crossed(number: int, params: Mapping[str, Value]) -> float:
        optimum = -1.5 if params["way"] == "a" else -2.5
        return 0.9 - 0.15 * (math.log10(as_number(params["lr"])) - optimum) ** 2

    space: Space = {"lr": Float(1e-4, 1.0, log=True), "way": Categorical(("a", "b"))}
    seen = checklist(store, [made_stages.make(store, crossed, space=space)])
    assert has(seen, "way shows no effect of its own in 100 trials")
    assert has(seen, "which lr is good may depend on way: plot(kind='pair', parameters=['way', 'lr']) shows it")


def test_a_trial_of_another_stage_is_named_with_it(store: Store) -> None:
    stages = [made_stages.make(store, lambda number, _: 0.9 - 0.001 * number, number=1)]
    stages += [made_stages.make(store, lambda number, _: 0.7 - 0.001 * number, number=2)]
    seen = checklist(store, stages)
    assert (seen.stage, seen.best and seen.best.stage) == ("made/stage-02", "made/stage-01")
    assert any(re.match(r"made/stage-0\d trial \d+ is recommended: ", sentence) for sentence in advice(seen))
    made_stages.confirm(store, stages[0], [0.9, 0.5])
    told = advice(checklist(store, stages))
    named = [sentence for sentence in told if re.search(r"\btrial \d", sentence)]
    assert len(named) >= 3
    assert not [sentence for sentence in named if re.search(r"(?<!stage-01 )\btrial \d", sentence)]


def test_an_edge_at_its_limit_is_not_to_be_widened(store: Store) -> None:
    space = {**made_stages.SPACE, "lr": Float(1e-4, 1.0, log=True, limit=(1e-4, 1.0))}
    seen = checklist(store, [made_stages.make(store, rising, images=400, space=space)])
    assert [edge.side for edge in seen.ranges["lr"].edges] == ["high"]
    width = asked(seen, "ranges")
    assert str(width.answers[0]).endswith("its limit allows no wider range")
    assert (width.verdict, width.action) == ("ok", None)
    assert "expand" not in advice(seen)[-1]


def test_few_trials_do_not_tell_whether_a_bound_cuts_off_better_values(store: Store) -> None:
    width = asked(checklist(store, [made_stages.make(store, humped, trials=40)]), "ranges")
    assert (width.verdict, str(width.action)) == ("unknown", "start(trials=100)")
    assert "fewer than 80 trials with a score often miss a bound that does" in map(str, width.answers)
    seen = checklist(store, [made_stages.make(store, edgeless, trials=40, number=3)])
    assert {str(asked(seen, key).action) for key in ("trials", "ranges")} == {"start(trials=100)"}
    assert asked(seen, "trials").verdict == "act"
    assert [str(action) for action in seen.next.actions] == ["start(trials=100)", "confirm()"]
    assert "; or: confirm(), to train the best again with other seeds" in str(seen.next.sentence)
    many = asked(checklist(store, [made_stages.make(store, humped, number=2)]), "ranges")
    assert (many.verdict, many.action) == ("ok", None)


@pytest.mark.parametrize(("limit", "verdict"), [(None, "unknown"), ((1e-4, 1.0), "ok")])
def test_a_recommended_value_next_to_a_bound_is_said_to_be_there(
    store: Store, limit: tuple[float, float] | None, verdict: str
) -> None:
    space = {**made_stages.SPACE, "lr": Float(1e-4, 1.0, log=True, limit=limit)}
    at = Results(store, [made_stages.make(store, rising, space=space)])
    assert at.recommended is not None
    at.ranges = {name: replace(of, edges=(), widened=None) for name, of in at.ranges.items()}
    at.recommended = replace(at.recommended, params={"lr": 0.9, "weight_decay": 1e-6})
    width = _width(at, next_step(at), partial(at.action, "plot"))
    assert (width.verdict, width.action and str(width.action)) == (verdict, "start(trials=200)" if not limit else None)
    words = "the recommended lr, 0.9, lies next to its upper bound, 1: these trials do not tell"
    assert [str(answer).startswith(words) for answer in width.answers] == [verdict == "unknown"]


def test_a_recommended_value_at_a_bound_is_said_to_be_there_whatever_stage_it_is_from(store: Store) -> None:
    first = made_stages.make(store, humped)
    narrower = {**first.space, "lr": Float(1e-3, 0.1, log=True)}
    at = Results(store, [first, made_stages.make(store, humped, number=2, space=narrower)])
    assert at.recommended is not None
    at.ranges = {name: replace(of, edges=(), widened=None) for name, of in at.ranges.items()}
    # The stage that the ranges are about has other bounds. Weight decay has no effect: its bounds do not count.
    at.recommended = replace(at.recommended, of=first, params={"lr": 1.0, "weight_decay": 1e-4})
    width = _width(at, next_step(at), partial(at.action, "plot"))
    assert width.verdict == "unknown"
    assert str(width.answers[0]).startswith("the recommended lr, 1, lies at its upper bound, 1: these trials")
    assert not any("weight_decay" in str(answer) for answer in width.answers)
    at.recommended = replace(at.recommended, of=at.of, params={"lr": 0.1, "weight_decay": 1e-4})  # stage 1 went beyond
    assert _width(at, next_step(at), partial(at.action, "plot")).verdict == "ok"


def test_an_edge_that_an_earlier_stage_saw_stays_one_until_a_stage_has_gone_beyond_it(store: Store) -> None:
    def run(made: NextStage) -> None:
        assert made.stage is not None
        score = partial(edgeless, params=None)  # which shows no edge
        made_stages.finish(store, made.stage, 90, lambda trial: Completed(trial.number, score(trial.number), (), {}))

    narrow = partial(narrow_stage, store, rule="order-statistics", top=5)
    first = made_stages.make(store, rising)
    run(narrow([first]))
    seen = checklist(store, store.stages())
    width, expand = asked(seen, "ranges"), "narrow(top=5, expand=True)"
    assert (seen.stage, width.verdict, str(width.action)) == ("made/stage-02", "act", expand)
    words = "lr: the scores of made/stage-01 got better towards the upper bound, 1, and no stage has gone beyond it: "
    assert str(width.answers[0]).startswith(words)
    assert actions(seen) == [expand, "start()"]
    made = narrow(store.stages(), expand=True)
    of = made.narrowing.ranges["lr"]
    assert isinstance(of.after, Float)
    assert of.after.high >= 10  # a quarter of the range of the stage that saw it
    rose = "the scores of made/stage-01 rose towards the upper bound 1, and no stage has gone beyond it: widened to "
    assert str(of.sentences[1]).startswith(rose)
    again = narrow(store.stages(), expand=True, dry_run=True)  # the stage that was made has no trial yet
    assert again.narrowing.space == made.narrowing.space
    run(made)
    assert not has(checklist(store, store.stages()), "no stage has gone beyond")
    earlier = narrow(store.stages(), number=2, expand=True, branch=True, dry_run=True).narrowing
    assert not any(edge.stage for of in earlier.ranges.values() for edge in of.edges)


def test_of_few_trials_it_is_not_said_that_a_parameter_has_no_effect(store: Store) -> None:
    few = asked(checklist(store, [made_stages.make(store, edgeless, trials=12)]), "effects")
    assert (few.verdict, str(few.action)) == ("unknown", "start(trials=100)")
    assert str(few.answers[0]) == "lr: 12 trials with a score are too few to say whether it matters"
    many = asked(checklist(store, [made_stages.make(store, edgeless, trials=40, number=2)]), "effects")
    assert (many.verdict, many.action) == ("ok", None)


def test_of_many_tests_some_are_weak_by_chance(store: Store) -> None:
    at = Results(store, [made_stages.make(store, humped, images=400)])
    weak, none = (replace(at.ranges["weight_decay"], evidence=p, scored=100) for p in (0.03, 0.8))
    at.ranges = {f"x{place}": weak if place == 1 else none for place in range(12)}
    words = "of 12 parameters without effect 0.6 would seem to matter by chance (p = 0.05)"
    assert str(_effects(at, at.action("plot")).answers[-1]) == words
    at.ranges = {"x1": weak}
    assert len(_effects(at, at.action("plot")).answers) == 1


def test_an_optimum_inside_is_narrowed_to(store: Store) -> None:
    stage = made_stages.make(store, humped, images=400)
    seen = checklist(store, [stage], top=6)
    lr = seen.ranges["lr"]
    assert (lr.edges, lr.widened) == ((), None)
    assert lr.evidence is not None
    assert lr.evidence < 0.01
    assert has(seen, "lr matters")
    assert actions(seen) == ["narrow(top=6)", "start()"]
    assert advice(seen)[-1] == "next: narrow(top=6), then start()"
    # Nothing is decided twice: narrowing itself makes the same of the range.
    made = narrow_stage(store, [stage], top=6, dry_run=True).narrowing.ranges
    assert {name: of.after for name, of in made.items()} == {name: of.after for name, of in seen.ranges.items()}
    assert checklist(store, [stage], top=6) == seen


def test_ranges_that_keep_most_of_their_volume_are_not_worth_narrowing(store: Store) -> None:
    at = Results(store, [made_stages.make(store, humped, images=400)])
    assert next_step(at).step == "narrow"
    for kept, step in ((0.6, "narrow"), (0.7, "confirm")):
        at.ranges = {name: replace(made, kept=kept if name == "lr" else 1.0) for name, made in at.ranges.items()}
        assert next_step(at).step == step


def test_where_scores_still_improve_the_next_stage_trains_for_longer(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = made_stages.make(store, humped, images=400)
    assert list(map(str, next_step(Results(store, [stage])).actions)) == ["narrow(top=5)", "start()"]
    monkeypatch.setattr("hpsearch.objectives.kinds.trained_epochs", lambda of: 10)
    monkeypatch.setattr(results, "curve_signs", lambda *of, **more: SimpleNamespace(signs=("improving",)))
    assert list(map(str, next_step(Results(store, [stage])).actions)) == ["narrow(top=5, epochs=20)", "start()"]
    level = made_stages.make(store, edgeless, trials=40, number=2)
    assert str(next_step(Results(store, [level])).actions[0]) == "narrow(top=5, epochs=20)"
    slow = made_stages.make(store, rising, images=400, number=3)  # the range comes first
    assert str(next_step(Results(store, [slow])).actions[0]) == "narrow(top=5, expand=True)"


def test_what_an_earlier_stage_has_shown_is_said_beside_what_is_left_within_this_one(store: Store) -> None:
    made_stages.make(store, humped, images=400)
    made_stages.make(store, edgeless, trials=40, number=2)
    seen, evidence = checklist(store, store.stages()), strongest_evidence(store, store.stages(), top=5)
    assert evidence["lr"].stage == "made/stage-01"
    first = strongest_evidence(store, store.stages()[:1], top=5)["lr"].p
    assert evidence["lr"].p == pytest.approx(2 * first)  # the smaller of two stages' p-values
    assert evidence["weight_decay"].p > 0.01
    assert has(seen, "lr matters (p = ")
    assert has(seen, "by the trials of made/stage-01: mean score by lr: low third 0.")
    assert has(seen, "no clear effect is left within stage 2's range")


def test_equals_are_tied_and_not_narrowed(store: Store) -> None:
    seen = checklist(store, [made_stages.make(store, [0.8] * 100)])
    assert seen.best is not None
    assert set(seen.best.tied) >= {1, 2, 3, 4}
    assert {of.evidence for of in seen.ranges.values()} == {1.0}
    assert has(seen, "all 100 trials of made/stage-01 have the same score, 0.8: no hyperparameter made a difference")
    assert asked(seen, "result").action is None
    assert not has(seen, "matter")
    assert not has(seen, "no effect")
    assert (seen.next.step, seen.next.actions) == ("pick", ())
    seen = checklist(store, [made_stages.make(store, edgeless, trials=40, number=2)])
    assert has(seen, "the top 5 are tied: ")
    assert has(seen, " within stage 2's range ")
    assert "confirm()" in advice(seen)[-1]


def test_a_winner_differs_from_the_others(store: Store) -> None:
    seen = checklist(store, [made_stages.make(store, [0.95, *[0.4] * 39], trials=40)])
    assert seen.best is not None
    assert seen.best.tied == ()
    assert has(seen, "differs significantly from every other trial")


def test_few_trials_are_called_few(store: Store) -> None:
    few = checklist(store, [made_stages.make(store, rising, trials=8)])
    trials = asked(few, "trials")
    assert "only 8 trials" in str(trials.answers[0])
    assert (trials.verdict, str(trials.action)) == ("act", "start(trials=100)")
    assert actions(few) == ["start(trials=100)"]
    assert advice(few)[-1] == "next: start(trials=100), for more trials"
    fewer = checklist(store, [made_stages.make(store, rising, trials=3, number=2)])
    assert fewer.ranges == {}
    assert "too few for a top 5" in str(asked(fewer, "trials").answers[0])
    assert asked(fewer, "ranges").verdict == "unknown"


def test_a_loss_is_not_given_a_noise_that_nobody_knows(store: Store) -> None:
    seen = checklist(store, [made_stages.make(store, humped, metric="validation_loss")])
    assert seen.best is not None
    assert seen.best.interval is None
    assert has(seen, "noise unknown")


@pytest.mark.parametrize("hits", [True, False])
def test_an_empty_next_stage_is_not_what_the_ranges_are_about(store: Store, hits: bool) -> None:
    narrow_stage(store, [made_stages.make(store, humped, trials=30, hits=hits)], top=5)
    seen = checklist(store, store.stages())
    assert (seen.stage, seen.next.step) == ("made/stage-01", "start")
    assert "made/stage-02 is made and has no trial yet" in advice(seen)[-1]
    assert seen.best is not None
    assert (seen.best.corrected is None) is not hits


def test_after_a_confirmation_its_first_values_are_recommended_and_single_scores_are_superseded(store: Store) -> None:
    stage = made_stages.make(store, edgeless, trials=80)
    before = checklist(store, [stage])
    assert before.next.step == "confirm"
    assert before.best is not None
    assert has(before, "is recommended: ")
    assert has(before, "trained again, they are expected to reach validation accuracy 0.8")
    made_stages.confirm(store, stage, [0.81, 0.86, 0.82])
    after, confirmed = checklist(store, [stage]), Results(store, [stage]).confirmed
    assert confirmed is not None
    assert confirmed.ranking[0].trial != before.best.trial
    first = f"{stage.name} trial {confirmed.ranking[0].trial} is recommended: the confirmation of {stage.name} puts its"
    assert advice(after)[0].startswith(first)
    assert "expected to reach validation accuracy 0.859" in advice(after)[1]
    assert not has(after, "the best single score")
    assert after.next.step == "evaluate"
    assert f"{stage.name} trial {confirmed.ranking[0].trial} is the one to pick" in advice(after)[-1]
    assert actions(after) == ["evaluate()"]
    assert next_step(Results(store, [stage])) == after.next


def test_of_two_confirmations_the_one_that_is_recommended_is_told_of(store: Store) -> None:
    first, second = (made_stages.make(store, edgeless, trials=40, number=number) for number in (1, 2))
    made_stages.confirm(store, first, [0.83, 0.87])
    made_stages.confirm(store, second, [0.84, 0.82])
    results = Results(store, [first, second])
    results.best = results.best and replace(results.best, stage=second.name, of=second)  # of trials that are equal
    assert results.confirmed is not None
    assert results.recommended is not None
    values = (results.confirmed.stage, results.confirmed.ranking[0].trial)
    assert values == (results.recommended.stage, results.recommended.trial)
    assert values[0] == first.name
    assert f"{first.name} trial {values[1]} is the one to pick" in str(next_step(results).sentence)


def test_of_trials_that_were_run_elsewhere_the_recommended_values_are_to_pick(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpsearch.objectives.kinds.foreign", lambda _: True)
    seen = checklist(store, [made_stages.make(store, edgeless, trials=40)])
    assert (seen.next.step, actions(seen)) == ("pick", ["recommend()"])
    assert "recommend() names the values to pick" in advice(seen)[-1]


def test_after_the_evaluation_the_test_score_is_the_answer_and_nothing_is_narrowed(store: Store) -> None:
    stage = made_stages.make(store, rising, images=400)
    assert checklist(store, [stage]).next.step == "expand"
    made_stages.confirm(store, stage, [0.81, 0.86, 0.82])
    assert "or end here: evaluate()" in advice(checklist(store, [stage]))[-1]
    made_stages.evaluate(store, stage, 7)
    seen = checklist(store, [stage])
    assert advice(seen)[0].startswith("test accuracy 0.855 (0.832 to 0.875) on 1,000 test examples")
    assert advice(seen)[1].startswith("superseded by it: the best single score")
    assert seen.next.step == "use"
    assert not any(has(seen, words) for words in ("narrow(", "is recommended", "uncertain"))
    assert "begin another search with another test set" in advice(seen)[-1]
    assert actions(seen) == ["evaluate(stage=1, trial=7, again=True)"]


def test_an_evaluation_before_the_search_went_on_is_told_and_not_taken_for_the_answer(store: Store) -> None:
    made_stages.evaluate(store, made_stages.make(store, [0.6] * 40, trials=40), 3)
    made_stages.confirm(store, made_stages.make(store, edgeless, trials=40, number=2), [0.86, 0.85])
    seen = checklist(store, store.stages())
    assert "before the search went on" in advice(seen)[0]
    assert seen.next.step == "pick"
    assert "the test set has been used" in advice(seen)[-1]
    assert actions(seen) == []


def test_an_evaluation_without_a_result_counts_as_one(store: Store) -> None:
    stage = made_stages.make(store, edgeless, trials=40)
    made_stages.confirm(store, stage, [0.86, 0.85])
    made_stages.evaluate(store, stage, 3, accuracy=None, interval=None)
    seen = checklist(store, [stage])
    assert advice(seen)[0].startswith("the evaluation on the test set")
    assert seen.next.step == "pick"
    # A stage or trial that is not there is no second evaluation.
    with pytest.raises(UnknownSearch, match="no stage 9"):
        prepare(store, [stage], number=9)
    with pytest.raises(BadInput, match="no trial 99"):
        prepare(store, [stage], number=1, trial=99)
    with pytest.raises(EvaluatedAlready):
        prepare(store, [stage], number=1)


def test_an_incomplete_confirmation_is_not_final_and_brought_to_its_end(store: Store) -> None:
    stage = made_stages.make(store, edgeless, trials=40)
    made_stages.confirm(store, stage, [0.86, 0.85, 0.84], repeats=6, run=10)
    seen = checklist(store, [stage])
    assert has(seen, "made/confirm-01 is not complete, 8 trials are left")
    (action,) = [question.action for question in seen.questions if question.key == "result"]
    assert str(action) == "confirm(top=3, repeats=6)"
    assert actions(seen) == ["confirm(top=3, repeats=6)"]


def test_the_stage_of_the_best_trial_is_named_where_it_is_not_the_latest(store: Store) -> None:
    made_stages.make(store, edgeless, trials=80)
    made_stages.make(store, [0.6] * 40, trials=40, number=2)
    assert actions(checklist(store, store.stages())) == ["confirm(stage=1)"]


def test_a_refinement_is_chosen_from_and_not_narrowed(store: Store) -> None:
    first = made_stages.make(store, humped, images=400)
    assert checklist(store, [first]).next.step == "narrow"
    rule = {"refine": {"sampler": "tpe", "batch": 8}}
    refined = store.create_stage(made_from(first, number=2, seed=9, space=first.space, rule=rule))
    made_stages.finish(store, refined, 8, lambda trial: Completed(trial.number, 0.9, (0.9,), {}))
    seen = checklist(store, store.stages())
    assert (seen.stage, seen.next.step) == ("made/stage-01", "confirm")
    assert "made/stage-02 has refined the ranges" in advice(seen)[-1]


def test_whether_to_adopt_is_asked_of_a_search_with_a_baseline(store: Store) -> None:
    stage = made_stages.make(store, edgeless, trials=40)
    assert "adopt" not in {question.key for question in checklist(store, [stage]).questions}
    set_baseline(store, [stage], 1, 3)
    seen = checklist(store, [stage])
    question = asked(seen, "adopt")
    whether = against_baseline(store, [stage])
    assert whether is not None
    assert question.answers == whether.sentences
    assert question.verdict == {"keep": "ok", "adopt": "act", "undecided": "unknown"}[whether.verdict]


@pytest.mark.parametrize(("baseline", "step"), [(-1, "evaluate"), (7, "confirm")])
def test_what_would_tell_whether_to_adopt_is_to_do_where_it_is_the_next_step(
    store: Store, baseline: int, step: str
) -> None:
    stage = made_stages.make(store, edgeless, trials=40)
    confirmed = [setting.trial for setting in best_settings(store, stage, 3)]
    made_stages.confirm(store, stage, [0.86, 0.858, 0.859])
    set_baseline(store, [stage], 1, confirmed[-1] if baseline < 0 else baseline)
    seen, whether = checklist(store, [stage]), against_baseline(store, [stage])
    assert whether is not None
    assert whether.verdict == "undecided"
    assert whether.action is not None
    assert seen.next.step == step
    assert asked(seen, "adopt").action == (whether.action if step == "confirm" else None)


def test_narrowing_by_all_that_were_confirmed_says_that_nothing_was_chosen(store: Store) -> None:
    stage = made_stages.make(store, edgeless, trials=40)
    made_stages.confirm(store, stage, [0.86, 0.85, 0.84, 0.83, 0.82], repeats=4)
    every = narrow_stage(store, [stage], top=5, dry_run=True, confirmed=True)
    first, *_ = map(str, every.remarks)
    assert first.startswith("all 5 confirmed trials were used, so their means chose nothing")
    assert "top=3" in first
    for top, confirmed in ((3, True), (5, False)):
        of = narrow_stage(store, [stage], top=top, dry_run=True, confirmed=confirmed)
        assert not any("chose nothing" in str(remark) for remark in of.remarks)


def test_a_confirmed_trial_that_a_repair_has_released_is_named(store: Store) -> None:
    stage = made_stages.make(store, edgeless, trials=40)
    made_stages.confirm(store, stage, [0.86, 0.85, 0.84, 0.83, 0.82], repeats=4)
    first = narrow_stage(store, [stage], top=3, dry_run=True, confirmed=True).narrowing.used[0]
    release = f"UPDATE trials SET state = 'WAITING' WHERE study_id = {stage.study_id} AND number = {first}"
    with store.database.write() as connection:
        connection.exec_driver_sql(release)
    with pytest.raises(BadInput, match=f"^trial {first} is not among the stage's finished trials"):
        narrow_stage(store, [stage], top=3, dry_run=True, confirmed=True)


def test_every_action_is_a_call_of_search(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Action] = []
    init = Action.__init__

    def note(action: Action, *arguments: Any) -> None:
        init(action, *arguments)
        made.append(action)

    monkeypatch.setattr(Action, "__init__", note)
    first = made_stages.make(store, edgeless, trials=80)
    checklist(store, [first])
    made_stages.confirm(store, first, [0.86, 0.85, 0.84], repeats=6, run=10)
    next_step(Results(store, [first]))
    with pytest.raises(BadInput, match="is not complete"):
        choose(store, [first])
    with pytest.raises(UnknownSearch, match="is a confirmation"):
        resolve_stage("made/confirm-01")
    second = made_stages.make(store, rising, images=400, number=2)
    third = made_stages.make(store, rising, number=3)
    next_step(Results(store, [first, second]))
    made_stages.evaluate(store, third, 7)
    next_step(Results(store, store.stages()))
    for action in made:
        signature = inspect.signature(partial(getattr(Search, action.kind), None))
        eval(str(action), {action.kind: signature.bind})
    assert {action.kind for action in made} == {"confirm", "evaluate", "narrow", "plot", "refine", "start"}
    for name, value in {"again": True, "branch": True, "repeats": 6}.items():
        assert value in [action.arguments.get(name) for action in made]
