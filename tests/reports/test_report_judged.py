"""A report of values that were confirmed, or evaluated on the test set: which figure counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from made_search import LR, THREE, material, next_step, question, section, stage, trials

from hpsearch.records import Argument, Sentence, Setting, Stage
from hpsearch.reports.page import Page, to_html
from hpsearch.reports.report import report
from hpsearch.search.best import Confirmed, Overview
from hpsearch.search.evaluation import Evaluation
from hpsearch.search.range_analysis import NarrowedRange
from hpsearch.search.recommendation import Recommendation
from hpsearch.space import Float, Space
from hpsearch.statistics import Interval

PARAMS = {"lr": 0.002, "weight_decay": 3e-6}


def confirmed(trial: int, p: float | None, **more: Any) -> Confirmed:
    scores = dict.fromkeys(range(5), 0.8 - trial / 100)
    plain: dict[str, Any] = {"interval": Interval(0.7, 0.85), "covers": "seeds and examples"}
    return Confirmed(Setting(trial, PARAMS, 0.9), scores, p=p, **{**plain, **more})


def judged(stage_number: int, *, evaluations: int = 1, **more: Any) -> Page:
    """The three stages with one of them confirmed, and its first values evaluated."""
    whole = material(THREE, recommended=recommended(THREE[2][0]) if stage_number == 3 else None)
    stage = whole.stages[stage_number - 1].stage
    when = "2026-01-03T04:05:06+00:00"
    broken = Evaluation(stage.name, 2, None, None, None, params=PARAMS, when=when, metric="accuracy")
    result = replace(broken, score=0.812, interval=Interval(0.78, 0.83), examples=1000, trained_on=500, seed=9)
    every = [broken] * (evaluations - 1) + [result] * (evaluations > 0)
    ranking = (confirmed(2, None, **more), confirmed(4, 0.75, **more))
    confirmations = (Overview(stage, 10, 0, ranking),)
    return report(replace(whole, confirmations=confirmations, evaluations=every), figures=False)


def recommended(stage: Stage, **more: Any) -> Recommendation:
    plain: dict[str, Any] = {
        "by": "confirmed",
        "score": 0.9,
        "expected": 0.78,
        "interval": Interval(0.7, 0.85),
        "covers": "seeds and examples",
        "seed_sd": 0.012,
        "failure": 0.0,
        "repeats": 6,
    }
    known: dict[str, Any] = {"metric": "validation_accuracy", "of": stage, "best": (stage.name, 2)}
    return Recommendation(stage=stage.name, trial=2, params=PARAMS, trials=60, **{**plain, **known, **more})


def test_the_values_to_pick_are_those_judged_last() -> None:
    by_repeats, by_test = judged(3, evaluations=0).answer, judged(3).answer
    assert by_repeats.score == "Validation accuracy 0.78 expected when trained again (0.700 to 0.850)"
    assert by_test.score == "Test accuracy 0.812 (0.780 to 0.830)"
    for answer in (by_repeats, by_test):
        assert answer.values == {"lr": "0.002", "weight_decay": "3e-06"}
        assert "number 2 of stage 3" in answer.values_of
        assert any("Run again 5 times" in sentence for sentence in answer.sure)
        assert answer.sure[-1].startswith("For comparison, not to be expected again: the best score of ")
    assert not any("Superseded" in sentence for sentence in judged(1).answer.sure)


def test_recommended_values_say_what_retraining_gives() -> None:
    of = recommended(THREE[2][0], by="trials", failure=0.25)
    answer = report(material(THREE, recommended=of), figures=False).answer
    assert answer.score == "Validation accuracy 0.78 expected when trained again (0.700 to 0.850)"
    assert answer.values_of.startswith("Values of the recommended trial, number 2 of stage 3, which itself scored 0.")
    sure = " ".join(answer.sure)
    assert "trained again" not in sure  # the headline says it
    assert "the interval (95 %) is of the mean of such trainings on new examples" in sure
    assert "single trainings may differ by 0.012 (standard deviation over seeds, estimated; on few examples by" in sure
    assert "a training fails with probability 0.25" in sure
    few = material(THREE, recommended=replace(of, by="best"))
    assert report(few, figures=False).answer == report(material(THREE), figures=False).answer


def test_the_checklist_does_not_say_again_what_stands_above_it() -> None:
    of = recommended(THREE[2][0], by="trials")
    asked = replace(question("lr matters"), answers=(*of.sentences, Sentence("lr matters")))
    (on_page,) = section(
        report(material(THREE, recommended=of, questions=(asked,)), figures=False), "checklist"
    ).questions
    assert on_page.answers == (f"{of.sentences[0]}.", "lr matters.")


def test_a_judgement_of_an_earlier_stage_is_told_and_its_values_are_not_picked() -> None:
    answer = judged(1).answer
    assert answer.score.startswith("Validation accuracy 0.74")
    assert any("Run again 5 times" in sentence for sentence in answer.sure)
    assert any("1,000 examples" in sentence and "made/stage-01" in sentence for sentence in answer.sure)


def test_advice_is_worded_by_the_caller_and_which_figure_counts_is_not_said_twice() -> None:
    counts = replace(question("test accuracy 0.8"), key="test")
    whole = material(THREE, questions=(counts, question("lr matters")))
    page = report(whole, figures=False, word=lambda mention: f"hpsearch {getattr(mention, 'kind', mention)}")
    (asked,) = section(page, "checklist").questions
    assert (asked.mark, asked.answers, asked.figure, asked.command) == ("!", ("lr matters.",), "", "hpsearch start")
    assert page.answer.next == "Next: hpsearch narrow."


def test_the_checklist_comes_first_and_its_figures_are_on_the_page() -> None:
    page = report(material(THREE))
    assert page.sections[0].key == "checklist"
    (asked,) = page.sections[0].questions
    assert asked.figure in [figure.key for part in page.sections for figure in part.figures if " by lr" in figure.title]
    html = to_html(page)
    assert f'<a href="#{asked.figure}">figure</a><code>{asked.command}</code>' in html
    assert 'title="something to do"' in html


def test_the_next_range_is_the_advised_one() -> None:
    lr = NarrowedRange(
        LR,
        LR,
        5,
        0.001,
        sentences=(Sentence("widen with {}", (Argument("expand"),)),),
        widened=Float(1e-6, 0.1, log=True),
    )
    expand = material(THREE, ranges={"lr": lr}, next=next_step("expand"))
    page = report(expand, figures=False, word=lambda _: "--expand")
    shown = section(page, "ranges")
    columns = shown.tables[0].columns
    assert columns["range"][columns["stage"].index("next, expanded")] == "1e-06 .. 0.1 (log)"
    assert shown.points[0] == "lr: widen with --expand."
    used = report(material(THREE, ranges={"lr": lr}, next=next_step("use")), figures=False)
    assert "if narrowed, expanded" in section(used, "ranges").tables[0].columns["stage"]


def test_a_figure_shows_the_next_range_where_the_next_step_takes_it() -> None:
    lr = NarrowedRange(LR, LR, 5, 0.001, widened=Float(1e-6, 0.1, log=True))
    for next_, banded in ((next_step("expand"), True), (next_step("confirm"), False)):
        page = report(material(THREE, ranges={"lr": lr}, next=next_))
        figure = next(of for of in section(page, "parameters").figures if of.title.endswith(" by lr"))
        assert ("next range" in [trace.get("name") for trace in figure.figure["data"]]) == banded
        assert ("next range" in figure.caption) == banded


def test_ranges_that_did_not_change_have_no_rows() -> None:
    narrow = Float(1e-4, 1e-3, log=True)
    spaces: list[Space] = [{"lr": LR, "x": Float(0, 1)}, {"lr": narrow, "x": Float(0, 1)}]
    stages = [(stage(number, space=space), trials(30, space=space)) for number, space in enumerate(spaces, start=1)]
    (table,) = section(report(material(stages), figures=False), "ranges").tables
    assert list(zip(table.columns["parameter"], table.columns["stage"], strict=True)) == [
        ("lr", "stage 1"),
        ("lr", "stage 2"),
        ("x", "stage 1"),
    ]
    assert table.caption.endswith(" Not changed: x.")


def test_a_caption_says_what_intervals_and_p_hold_for() -> None:
    alone = section(judged(3, covers="seeds", compared="seeds"), "confirmation").tables[0].caption
    assert "the interval covers other seeds, not other validation examples" in alone
    assert "p holds for these validation examples alone" in alone
    caption = section(judged(3), "confirmation").tables[0].caption
    assert (
        "other seeds and other validation examples; all others are statistically tied with trial 2; p: two" in caption
    )
    assert "alone" not in caption


def test_confirmations_and_evaluations_have_their_tables() -> None:
    page = judged(3, evaluations=2)
    [table] = section(page, "confirmation").tables
    assert table.columns["mean"] == [0.78, 0.76]
    assert table.columns["p"] == [None, 0.75]
    assert "failed" not in table.columns
    test = section(page, "evaluation")
    assert test.tables[0].columns["test accuracy"] == [None, 0.812]
    assert test.tables[0].columns["95 % interval"] == [None, "0.780 to 0.830"]
    assert any("2 times" in sentence for sentence in test.sentences)
    assert "not at the first evaluation" in test.sentences[0]


def test_of_several_confirmations_the_answer_names_the_latest() -> None:
    whole = material(THREE)
    confirmations = [Overview(of.stage, 10, 0, (confirmed(2, None),)) for of in whole.stages[:2]]
    sure = report(replace(whole, confirmations=confirmations), figures=False).answer.sure
    (again,) = [sentence for sentence in sure if "Run again 5 times" in sentence]
    assert "the values of trial 2 of stage 2 rank first" in again
    assert "on the validation examples that they were chosen by (" in again
